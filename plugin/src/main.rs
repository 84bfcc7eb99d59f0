//! The CNI plugin `sluice`.

fn main() {}
