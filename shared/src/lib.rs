//! What Sluice's programs stand on.
//!
//! Layers, each of which knows only those below it:
//!
//! ```text
//! entry      our entry in a conflist; state: what a node remembers of an attachment; failure: of an ADD that failed
//! agent      what the plugin asks the node program
//! program    a Redirect into a namespace: create, replace, check, clean
//! cni        the protocol: environment, stdin, results, errors, versions
//! dialect    a pod's annotations to a Redirect, one file a dialect
//! rules      a Redirect to a Ruleset (pure)
//! redirect   the model: what a pod asks for, its parsers, its verdicts (pure)
//! nft        nf_tables over netlink: encode, commit, dump, compare, print
//! route      the policy route that TPROXY needs
//! net        sockets and namespace entry; file: small files that nothing can hold; deadline: for all of it
//! ```
//!
//! An ADD passes through once: request, annotations, dialect, redirect, ruleset, batch, commit.

pub mod adopt;
pub mod agent;
pub mod cni;
pub mod comment;
pub mod deadline;
pub mod dialect;
pub mod entry;
pub mod failure;
pub mod file;
pub mod kept;
pub mod namespace;
pub mod net;
pub mod nft;
pub mod program;
pub mod redirect;
pub mod route;
pub mod rules;
pub mod state;
