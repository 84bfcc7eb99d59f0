//! Netlink as Sluice's programs need it: a socket, attributes, entry into network namespaces, and what can be asked of
//! one by netlink beside nf_tables: links, addresses, routes and rules, its sockets, its connection tracking.
//!
//! ```text
//! attr       attributes, written and read
//! deadline   one for every wait of a call
//! socket     a netlink socket, which belongs to the namespace that it was opened in
//! netns      entry into a namespace, and back
//! route      the policy route that TPROXY needs; a namespace's addresses
//! sock_diag  the TCP sockets of a namespace
//! conntrack  its connection tracking
//! ```

pub mod attr;
pub mod conntrack;
pub mod deadline;
pub mod netns;
pub mod route;
pub mod sock_diag;
pub mod socket;
mod sockopt;

/// The two families of addresses.
#[allow(missing_docs)] // the names say it
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    V4,
    V6,
}
