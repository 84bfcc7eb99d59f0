//! The library of Sluice's programs.
//!
//! ```text
//! state      what a node remembers of an attachment; kept: what CHECK needs of it; failure: an ADD that failed
//! agent      the question that the plugin asks the node program, and the answer
//! program    a Redirect into a namespace: create, replace, check, clean; comment: the table's comment
//! adopt      a running pod's open connections, entered into connection tracking
//! entry      our entry in a conflist
//! dialect    a pod's annotations to a Redirect, one file a dialect; namespace: names of namespaces
//! rules      a Redirect to a Ruleset (pure)
//! redirect   the model: what a pod asks for, its parsers, its verdicts (pure)
//! route      the policy route that TPROXY needs, and what an ADD made beside its table
//! cni        the protocol: environment, stdin, results, errors, versions
//! nft        nf_tables over netlink: encode, commit, dump, compare, print
//! net        sockets, namespace entry, connection tracking
//! file       small files that nothing can hold; deadline: one for everything that waits
//! ```
//!
//! A module uses only modules below it, with one exception: `net` reads and writes attributes with `nft::attr`.
//!
//! An ADD passes through once: request, annotations, dialect, redirect, ruleset, batch, commit.
//! `docs/architecture.md` follows it with the names of the files.

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
