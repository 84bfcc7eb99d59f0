//! The protocol versions that this plugin speaks.

use super::error::{Code, Error};

/// One of the versions of [`Version::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// No CHECK yet, no prevResult on DEL.
    V0_3_0,
    /// The same; what flannel, Calico and Cilium write.
    V0_3_1,
    /// CHECK.
    V0_4_0,
    /// No `version` in `ips` any more.
    V1_0_0,
    /// GC and STATUS.
    V1_1_0,
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: [Self; 5] = [Self::V0_3_0, Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];
    /// The newest, spoken where the runtime's own is not known.
    pub const NEWEST: Self = Self::V1_1_0;

    /// As it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// Reads a version as the specification writes it, nothing else.
    ///
    /// # Errors
    /// Code 1, naming both sides.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::new(
                Code::IncompatibleVersion,
                format!(
                    "cniVersion {text:?} is not supported; set the conflist's cniVersion to one of {known}"
                ),
            )
            .with_details(format!("the configuration says {text:?}, the plugin supports {known}"))
        })
    }
}

/// The answer to VERSION.
#[must_use]
pub fn report() -> String {
    serde_json::json!({
        "cniVersion": Version::NEWEST.as_str(),
        "supportedVersions": Version::ALL.map(Version::as_str),
    })
    .to_string()
}
