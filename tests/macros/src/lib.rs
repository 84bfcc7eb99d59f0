//! `#[test]` for the test programs: the same word as everywhere, and the test is known to `sluice_tests::harness`.
//!
//! It reads the function's name and its `#[ignore = "why"]`, and changes nothing of it.

use proc_macro::{Delimiter, TokenStream, TokenTree};

/// Makes a function without arguments a test of this program.
#[proc_macro_attribute]
pub fn test(_: TokenStream, function: TokenStream) -> TokenStream {
    let tokens: Vec<TokenTree> = function.clone().into_iter().collect();
    let name = tokens.iter().skip_while(|token| token.to_string() != "fn").nth(1);
    let Some(name) = name else {
        return "compile_error!(\"#[test] is for functions\");".parse().unwrap_or_default();
    };
    let ignored = tokens.iter().find_map(ignored).map_or("None".into(), |why| format!("Some({why})"));
    let entry = format!(
        "::sluice_tests::harness::inventory::submit! {{ ::sluice_tests::harness::Test {{ \
             module: module_path!(), name: stringify!({name}), ignored: {ignored}, run: {name} }} }}"
    );
    let mut all = function;
    all.extend(entry.parse::<TokenStream>());
    all
}

/// Why, if this is the `[ignore = "why"]` of an attribute.
fn ignored(token: &TokenTree) -> Option<String> {
    let TokenTree::Group(group) = token else { return None };
    let mut inside = group.stream().into_iter().map(|token| token.to_string());
    let is = group.delimiter() == Delimiter::Bracket && inside.next()? == "ignore";
    is.then(|| inside.nth(1).unwrap_or_else(|| "\"\"".into()))
}
