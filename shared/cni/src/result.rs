//! The result of the plugins before ours: passed on as it came, and asked whether the pod has IPv4.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::error::{Code, Error};
use super::version::Version;

#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(rename = "cniVersion", default, borrow, deserialize_with = "even_null")]
    cni_version: Option<&'a RawValue>,
    #[serde(default)]
    interfaces: Option<Vec<Interface>>,
    #[serde(default)]
    ips: Option<Vec<Ip>>,
}

#[derive(Deserialize)]
struct Interface {
    #[serde(default)]
    sandbox: Option<String>,
}

#[derive(Deserialize)]
struct Ip {
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    interface: Option<i64>,
}

/// A key that is there: null too, which an `Option` would swallow.
fn even_null<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

/// What ADD needs of `prevResult`.
#[derive(Debug)]
pub struct PrevResult<'a> {
    raw: &'a RawValue,
    /// What `cniVersion` says.
    version: Option<&'a RawValue>,
    /// Whether an IPv4 address is among those of the sandbox's interfaces, loopback and link-local ones left out.
    pub has_ipv4: bool,
}

impl<'a> PrevResult<'a> {
    /// Reads a result of any version.
    ///
    /// # Errors
    /// Code 7 if it is no result.
    pub fn parse(raw: &'a RawValue) -> Result<Self, Error> {
        let refused = |reason: &dyn std::fmt::Display| {
            Error::new(Code::InvalidConfig, format!("prevResult is not a CNI result: {reason}"))
        };
        // serde takes an array for a struct too.
        if !raw.get().starts_with('{') {
            return Err(refused(&"it is not an object"));
        }
        let shape: Shape<'a> = serde_json::from_str(raw.get()).map_err(|error| refused(&error))?;
        if let Some(version) = shape.cni_version {
            serde_json::from_str::<Option<Cow<'_, str>>>(version.get())
                .map_err(|_| refused(&"cniVersion is not a string"))?;
        }
        let interfaces = shape.interfaces.unwrap_or_default();
        // The host's ends have no sandbox; an address without an interface is the pod's.
        let of_the_pod = |ip: &&Ip| {
            let interface =
                ip.interface.and_then(|at| usize::try_from(at).ok()).and_then(|at| interfaces.get(at));
            interface.is_none_or(|interface| interface.sandbox.as_deref().is_some_and(|it| !it.is_empty()))
        };
        let ips = shape.ips.unwrap_or_default();
        let address = |ip: &Ip| ip.address.as_deref()?.split('/').next()?.parse().ok();
        let has_ipv4 = ips.iter().filter(of_the_pod).filter_map(address).any(is_pods_own);
        Ok(Self { raw, version: shape.cni_version, has_ipv4 })
    }

    /// What ADD prints: every byte as it came, and a version where it had none.
    #[must_use]
    pub fn to_json(&self, version: Version) -> String {
        let text = self.raw.get();
        let version = version.as_str();
        match (text.strip_prefix('{'), self.version) {
            // Where null stands, the version takes its place: nobody reads a key that is there twice alike.
            (_, Some(null)) if null.get() == "null" => {
                let at = null.get().as_ptr().addr() - text.as_ptr().addr();
                let (before, after) = text.split_at(at);
                format!("{before}\"{version}\"{}", after.strip_prefix("null").unwrap_or(after))
            }
            (Some(rest), None) => {
                let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
                format!("{{\"cniVersion\":\"{version}\"{comma}{rest}")
            }
            _ => text.to_owned(),
        }
    }
}

/// Whether it is IPv4 by which others reach the pod: neither loopback nor link-local.
#[must_use]
pub fn is_pods_own(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (bool, String) {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let result = PrevResult::parse(raw).unwrap();
        (result.has_ipv4, result.to_json(Version::V1_0_0))
    }

    #[test]
    fn a_result_without_version_gets_the_configurations() {
        assert_eq!(parse("{}").1, r#"{"cniVersion":"1.0.0"}"#);
        assert_eq!(parse(r#"{"dns":{}}"#).1, r#"{"cniVersion":"1.0.0","dns":{}}"#);
    }

    #[test]
    fn a_version_that_is_null_is_replaced_where_it_stands() {
        assert_eq!(
            parse(r#"{ "dns":{}, "cniVersion": null ,"x":1e400}"#).1,
            r#"{ "dns":{}, "cniVersion": "1.0.0" ,"x":1e400}"#
        );
    }

    #[test]
    fn what_is_no_result_is_refused() {
        for text in ["[]", "7", "null", r#"["1.0.0",[],[]]"#, r#"{"cniVersion":1}"#, r#"{"ips":{}}"#] {
            let raw: &RawValue = serde_json::from_str(text).unwrap();
            let error = PrevResult::parse(raw).unwrap_err();
            assert_eq!(error.code, Code::InvalidConfig, "{text}");
        }
    }

    #[test]
    fn lists_may_be_null_and_indices_missing_or_negative() {
        let text = r#"{"cniVersion":"0.3.1","interfaces":null,"ips":[{"version":"4","address":"10.0.0.1/24","interface":-1}]}"#;
        assert_eq!(parse(text), (true, text.to_owned()));
    }

    #[test]
    fn the_host_ends_address_is_not_the_pods() {
        let text = r#"{"cniVersion":"1.0.0","interfaces":[{"name":"cni0"},{"name":"eth0","sandbox":"/run/netns/x"}],
            "ips":[{"address":"10.0.0.1/24","interface":0},{"address":"fd00::2/64","interface":1}]}"#;
        assert!(!parse(text).0);
    }

    #[test]
    fn ipv4_counts_in_whatever_order_and_on_whatever_interface_of_the_sandbox() {
        let result = |addresses: &[(&str, usize)]| {
            let ips: Vec<_> = addresses
                .iter()
                .map(|(address, interface)| serde_json::json!({"address": address, "interface": interface}))
                .collect();
            let interfaces = serde_json::json!([{"name":"cni0"},{"name":"eth0","sandbox":"/x"},{"name":"net1","sandbox":"/x"}]);
            parse(&serde_json::json!({"cniVersion":"1.0.0","interfaces":interfaces,"ips":ips}).to_string()).0
        };
        assert!(result(&[("fd00::2/64", 1), ("10.0.0.2/24", 1)]), "Cilium's order");
        assert!(result(&[("fd00::2/64", 1), ("10.2.0.2/24", 2)]));
        assert!(!result(&[("fd00::2/64", 1), ("169.254.172.2/22", 1)]), "EKS' egress address");
        assert!(!result(&[("127.0.0.1/8", 1), ("fd00::2/64", 1)]));
        assert!(!result(&[("10.0.0.1/24", 0), ("fd00::2/64", 1)]), "the host's end");
        assert!(!result(&[]));
    }
}
