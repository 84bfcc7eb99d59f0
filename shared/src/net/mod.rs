//! Netlink sockets and entry into network namespaces.

pub mod netlink;
pub mod netns;
mod sockopt;
