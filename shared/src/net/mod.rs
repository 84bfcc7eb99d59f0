//! Netlink sockets and entry into network namespaces; the connections of one, as sockets and in connection tracking.

pub mod conntrack;
pub mod netlink;
pub mod netns;
pub mod sock_diag;
mod sockopt;
