//! The redirect's fields: their names, and the way from a name to the value.

use super::Redirect;
use super::spelling::nearest;
use super::value::Value;

macro_rules! fields {
    ($($variant:ident $name:literal $place:ident)*) => {
        /// A field of [`Redirect`]; its [`name`](Field::name) is the annotation's and the default's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Field {
            /// Every field, in the order of the documentation.
            pub const ALL: &[Field] = &[$(Field::$variant,)*];

            /// Its name in annotations (behind `sluice-cni.dev/`) and in defaults.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Field::$variant => $name,)*
                }
            }
        }

        impl Redirect {
            pub(super) fn value(&self, field: Field) -> &dyn Value {
                match field {
                    $(Field::$variant => &self.$place,)*
                }
            }

            pub(super) fn value_mut(&mut self, field: Field) -> &mut dyn Value {
                match field {
                    $(Field::$variant => &mut self.$place,)*
                }
            }
        }
    };
}

fields! {
    InboundPort "inbound-port" inbound_port
    OutboundPort "outbound-port" outbound_port
    Mode "mode" mode
    ProxyUid "proxy-uid" proxy_uids
    ProxyGid "proxy-gid" proxy_gids
    IncludeInboundPorts "include-inbound-ports" include_inbound_ports
    ExcludeInboundPorts "exclude-inbound-ports" exclude_inbound_ports
    ExcludeInboundCidrs "exclude-inbound-cidrs" exclude_inbound_cidrs
    IncludeOutboundPorts "include-outbound-ports" include_outbound_ports
    AlsoOutboundPorts "also-outbound-ports" also_outbound_ports
    ExcludeOutboundPorts "exclude-outbound-ports" exclude_outbound_ports
    IncludeOutboundCidrs "include-outbound-cidrs" include_outbound_cidrs
    ExcludeOutboundCidrs "exclude-outbound-cidrs" exclude_outbound_cidrs
    ExcludeUids "exclude-uids" exclude_uids
    ExcludeGids "exclude-gids" exclude_gids
    IncludeGids "include-gids" include_gids
    ExcludeInterfaces "exclude-interfaces" exclude_interfaces
    OutboundInterfaces "outbound-interfaces" outbound_interfaces
    TunnelPorts "tunnel-ports" tunnel_ports
    SelfCalls "self-calls" self_calls
    PassthroughSources "passthrough-sources" passthrough_sources
    ProxyMark "proxy-mark" proxy_mark
    ProxyOutMark "proxy-out-mark" proxy_out_mark
    LoopbackCidrs "loopback-cidrs" loopback_cidrs
    Forwarded "forwarded" forwarded
    DnsPort "dns-port" dns_port
    DnsServers "dns-servers" dns_servers
    Ipv6 "ipv6" ipv6
    DropInvalid "drop-invalid" drop_invalid
}

impl Field {
    /// The field of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Field> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }

    /// The field whose name is nearest to a misspelt one; `None` for something wholly different.
    #[must_use]
    pub fn nearest(name: &str) -> Option<Field> {
        nearest(name, Self::ALL.iter().map(|field| field.name())).and_then(Self::from_name)
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_field_and_none_is_there_twice() {
        for field in Field::ALL {
            assert_eq!(Field::from_name(field.name()), Some(*field));
        }
        assert_eq!(Field::ALL.len(), 29);
    }

    #[test]
    fn a_misspelt_name_has_a_nearest_field() {
        assert_eq!(Field::nearest("exclude-inbound-port"), Some(Field::ExcludeInboundPorts));
        assert_eq!(Field::nearest("Proxy-UID"), Some(Field::ProxyUid));
        assert_eq!(Field::nearest("quite-another-thing"), None);
    }
}
