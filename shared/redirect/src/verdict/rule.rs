//! The rules' names, and a sentence for each.

macro_rules! rules {
    ($($variant:ident $number:literal $sentence:literal)*) => {
        /// A rule of `docs/verdicts.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RuleId {
            $(#[doc = concat!($number, ": ", $sentence)] $variant,)*
        }

        impl RuleId {
            /// Every rule, in order.
            pub const ALL: &[RuleId] = &[$(RuleId::$variant,)*];

            /// Its number in `docs/verdicts.md`, such as `output 4`.
            #[must_use]
            pub const fn number(self) -> &'static str {
                match self {
                    $(RuleId::$variant => $number,)*
                }
            }
        }

        /// The sentence that says why.
        impl std::fmt::Display for RuleId {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str(match self {
                    $(RuleId::$variant => $sentence,)*
                })
            }
        }
    };
}

rules! {
    Ipv6Bypassed "ipv6" "IPv6 is bypassed (ipv6)"
    InvalidDropped "drop-invalid" "conntrack calls it invalid (drop-invalid)"
    NotTcpOrUdp "protocol" "only TCP, and UDP for DNS, is ever diverted"
    NotTracked "tracking" "conntrack has no flow for it, and it opens no connection"
    KnownFlow "tracking" "it opens a connection by a flow that was not judged, or without one"
    OutputLinkLocal "output 0" "its destination is a link-local neighbour, whom no proxy can call by that address"
    OutputExcludedInterface "output 1" "it leaves by an interface that is left alone (exclude-interfaces)"
    OutputExcludedPort "output 2" "its destination port is left alone (exclude-outbound-ports)"
    OutputPassthrough "output 3" "the proxy hands it to the application (passthrough-sources, proxy-mark)"
    OutputSelfCall "output 4" "the proxy calls the pod's own address (self-calls)"
    OutputProxy "output 4" "the proxy itself sends it (proxy-uid, proxy-gid, proxy-out-mark)"
    OutputExcludedSender "output 5" "its sender is left alone (exclude-uids, exclude-gids, include-gids)"
    OutputLoopbackInterface "output 6" "it stays within the pod, on lo"
    OutputDns "output 7" "it is a DNS query (dns-port, dns-servers)"
    OutputLoopback "output 8" "its destination is loopback (loopback-cidrs)"
    OutputExcludedCidr "output 9" "its destination is left alone (exclude-outbound-cidrs)"
    OutputAlsoPort "output 10" "its destination port is always diverted (also-outbound-ports)"
    OutputIncluded "output 11" "it is outbound (include-outbound-cidrs, include-outbound-ports)"
    OutputOther "output" "no rule diverts it"
    ArrivingLoopback "arriving 0" "it comes in by lo"
    ArrivingOutboundInterface "arriving 1" "it comes from a machine behind the pod (outbound-interfaces), and no outbound rule diverts it"
    ArrivingExcludedInterface "arriving 2" "it comes in by an interface that is left alone (exclude-interfaces)"
    ArrivingTunnel "arriving 3" "the proxy listens on that port for tunnels (tunnel-ports)"
    ArrivingExcludedCidr "arriving 4" "its source is left alone (exclude-inbound-cidrs)"
    ArrivingExcludedPort "arriving 5" "its destination port is left alone (exclude-inbound-ports)"
    ArrivingForwarded "arriving 6" "it only passes through the pod (forwarded)"
    ArrivingIncluded "arriving 7" "it is inbound (include-inbound-ports)"
    ArrivingOther "arriving" "no rule diverts it"
}
