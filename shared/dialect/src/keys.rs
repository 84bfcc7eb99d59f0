//! Every annotation that a dialect reads, and the names inside one of them.

/// Before each of our own annotations.
pub const PREFIX: &str = "sluice-cni.dev/";
/// Whether the pod's traffic is diverted at all, behind [`PREFIX`].
pub const REDIRECT: &str = "redirect";

/// What Linkerd's injector and its users write.
#[allow(missing_docs, reason = "each name says what its annotation says")]
pub mod linkerd {
    pub const PROXY_VERSION: &str = "linkerd.io/proxy-version";
    pub const INJECT: &str = "linkerd.io/inject";
    pub const INBOUND_PORT: &str = "config.linkerd.io/inbound-port";
    pub const OUTBOUND_PORT: &str = "config.linkerd.io/outbound-port";
    pub const PROXY_UID: &str = "config.linkerd.io/proxy-uid";
    pub const PROXY_GID: &str = "config.linkerd.io/proxy-gid";
    pub const CONTROL_PORT: &str = "config.linkerd.io/control-port";
    pub const ADMIN_PORT: &str = "config.linkerd.io/admin-port";
    pub const SKIP_INBOUND_PORTS: &str = "config.linkerd.io/skip-inbound-ports";
    pub const SKIP_OUTBOUND_PORTS: &str = "config.linkerd.io/skip-outbound-ports";
    pub const SKIP_SUBNETS: &str = "config.linkerd.io/skip-subnets";
}

/// What Istio's injector and its users write.
#[allow(missing_docs, reason = "each name says what its annotation says")]
pub mod istio {
    pub const STATUS: &str = "sidecar.istio.io/status";
    pub const INJECT: &str = "sidecar.istio.io/inject";
    pub const TEMPLATES: &str = "inject.istio.io/templates";
    pub const INTERCEPTION_MODE: &str = "sidecar.istio.io/interceptionMode";
    pub const INCLUDE_INBOUND_PORTS: &str = "traffic.sidecar.istio.io/includeInboundPorts";
    pub const EXCLUDE_INBOUND_PORTS: &str = "traffic.sidecar.istio.io/excludeInboundPorts";
    pub const INCLUDE_OUTBOUND_PORTS: &str = "traffic.sidecar.istio.io/includeOutboundPorts";
    pub const EXCLUDE_OUTBOUND_PORTS: &str = "traffic.sidecar.istio.io/excludeOutboundPorts";
    pub const INCLUDE_OUTBOUND_CIDRS: &str = "traffic.sidecar.istio.io/includeOutboundIPRanges";
    pub const EXCLUDE_OUTBOUND_CIDRS: &str = "traffic.sidecar.istio.io/excludeOutboundIPRanges";
    pub const EXCLUDE_INTERFACES: &str = "traffic.sidecar.istio.io/excludeInterfaces";
    pub const REROUTE_INTERFACES: &str = "istio.io/reroute-virtual-interfaces";
    pub const KUBEVIRT_INTERFACES: &str = "traffic.sidecar.istio.io/kubevirtInterfaces";
    pub const STATUS_PORT: &str = "status.sidecar.istio.io/port";
    /// YAML or JSON; its `proxyMetadata` holds the names below.
    pub const PROXY_CONFIG: &str = "proxy.istio.io/config";
    pub const DNS_CAPTURE: &str = "ISTIO_META_DNS_CAPTURE";
    pub const DUAL_STACK: &str = "ISTIO_DUAL_STACK";
    pub const INVALID_DROP: &str = "INVALID_DROP";
    pub const OWNER_GROUPS: &str = "ISTIO_OUTBOUND_OWNER_GROUPS";
    pub const OWNER_GROUPS_EXCLUDE: &str = "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE";
    pub const LOOPBACK_CIDR: &str = "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR";
}
