//! What can go wrong, in one line that a person can act on.

use std::fmt;

use netlink::socket;
use nix::errno::Errno;

use super::attr::Fault;

/// Why the kernel does not have the ruleset.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Found before any socket was opened: the ruleset cannot be written as netlink messages.
    #[error("{what}: {fault}")]
    Encode {
        /// The part that cannot be written, such as `elements of set x`.
        what: String,
        /// Why.
        fault: Fault,
    },
    /// The table was to be new, and is there already. Nothing changed.
    #[error("table inet {table} exists already")]
    Exists {
        /// Its name.
        table: String,
    },
    /// There is no table to delete.
    #[error("there is no table inet {table}")]
    NoTable {
        /// Its name.
        table: String,
    },
    /// The kernel refused a message of the batch, so nothing of it is in effect.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// Netlink itself failed.
    #[error(transparent)]
    Netlink(#[from] socket::Error),
    /// The table kept changing while it was read, five times over.
    #[error("the table kept changing while it was read")]
    Unsteady,
    /// Time was over before the kernel was handed the batch. Nothing changed.
    #[error("time ran out before the rules went to the kernel; nothing of them is there")]
    Late,
    /// More than anybody has a use for.
    #[error("there are too many {0} to read them all")]
    Overfull(&'static str),
    /// An answer that makes no sense.
    #[error("the kernel's answer about {0} cannot be read")]
    Malformed(&'static str),
}

/// One message that the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The kernel's answer.
    pub errno: Errno,
    /// What the message was about: `rule 5 of chain output ("config.linkerd.io/skip-outbound-ports")`.
    pub what: String,
    /// The attribute that it refused, where it says: `expressions[3] tproxy`.
    pub at: Option<String>,
    /// Its own words, rarely there.
    pub text: Option<String>,
    /// What the kernel lacks, where that is the reason.
    pub missing: Option<Missing>,
    /// Who asked is what it refused, not what was asked for.
    pub person: bool,
}

/// A part of the kernel that can be a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// For `modprobe`.
    pub module: &'static str,
    /// For who builds kernels.
    pub config: &'static str,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the kernel refused {}", self.what)?;
        if let Some(at) = &self.at {
            write!(f, ", {at}")?;
        }
        write!(f, ": {}", self.errno)?;
        if let Some(text) = &self.text {
            write!(f, " ({text})")?;
        }
        if let Some(Missing { module, config }) = self.missing {
            write!(f, "; load the kernel module {module} ({config})")?;
        } else if self.person && matches!(self.errno, Errno::EPERM | Errno::EACCES) {
            f.write_str("; CAP_NET_ADMIN over the network namespace is needed")?;
        } else if self.errno == Errno::EPERM {
            f.write_str(
                "; the table has an owner (flags owner), a process that alone may change it: \
                 end that process, and it goes",
            )?;
        }
        Ok(())
    }
}

/// The module of an expression, by the kernel's name of it. Those left out are part of nf_tables.
#[must_use]
pub fn module_of(expression: &str) -> Option<Missing> {
    let (module, config) = match expression {
        "redir" => ("nft_redir", "CONFIG_NFT_REDIR"),
        "nat" => ("nft_nat", "CONFIG_NFT_NAT"),
        "tproxy" => ("nft_tproxy", "CONFIG_NFT_TPROXY"),
        "socket" => ("nft_socket", "CONFIG_NFT_SOCKET"),
        "fib" => ("nft_fib_inet", "CONFIG_NFT_FIB_INET"),
        "ct" | "notrack" => ("nft_ct", "CONFIG_NFT_CT"),
        "reject" => ("nft_reject_inet", "CONFIG_NFT_REJECT_INET"),
        "numgen" => ("nft_numgen", "CONFIG_NFT_NUMGEN"),
        "log" => ("nft_log", "CONFIG_NFT_LOG"),
        _ => return None,
    };
    Some(Missing { module, config })
}

pub(crate) const NF_TABLES: Missing = Missing { module: "nf_tables", config: "CONFIG_NF_TABLES" };
pub(crate) const NF_TABLES_INET: Missing = Missing { module: "nf_tables", config: "CONFIG_NF_TABLES_INET" };
pub(crate) const NAT_CHAIN: Missing = Missing { module: "nft_chain_nat", config: "CONFIG_NFT_NAT" };
