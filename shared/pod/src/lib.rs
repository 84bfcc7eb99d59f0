//! A redirect in a pod's kernel, and what a node remembers of it.
//!
//! ```text
//! rules      a redirect to a ruleset (pure)
//! comment    what the table's comment says: version, revision, digest, what was made beside it
//! program    a redirect into a namespace: create, replace, check, clean
//! adopt      a running pod's open connections, before rules come into it
//! state      what a node remembers of an attachment; kept: of what its ADD read; failure: of an ADD that failed
//! agent      what the plugin asks the node program
//! file       small files that nothing can hold
//! ```

pub mod adopt;
pub mod agent;
pub mod comment;
pub mod failure;
pub mod file;
pub mod kept;
pub mod program;
pub mod rules;
pub mod state;
