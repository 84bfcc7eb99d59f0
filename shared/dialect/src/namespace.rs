//! Names of Kubernetes namespaces, where a configuration lists them.

/// What to write instead of something that is none.
pub const ALLOWED: &str = "names of namespaces as they stand: lower-case letters, digits and -, no wildcards";

/// Whether a namespace can have this name: a DNS label (RFC 1123).
#[must_use]
pub fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label() {
        for name in ["a", "kube-system", "0", "1password", &"a".repeat(63)] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            "openshift-*",
            "kube-system ",
            "KUBE-SYSTEM",
            "a,b",
            "-a",
            "a-",
            "a.b",
            "a_b",
            "é",
            &"a".repeat(64),
        ] {
            assert!(!is_name(name), "{name}");
        }
    }
}
