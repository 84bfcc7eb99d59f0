#![no_main]
#![allow(unsafe_code, missing_docs)] // libFuzzer calls by the name of a C function

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluice_fuzz::conflist(data));
