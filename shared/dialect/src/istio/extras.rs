//! Keys of `defaults.istio` beside our fields' names: the annotations', whole or without what stands before
//! the slash, and the names in `proxyMetadata`.

use redirect::value::{parse_port, parse_ports};
use redirect::{Field, Redirect, ValueError};

use super::super::layer::Extra;
use super::{keys, metadata, parse_interception};

pub(crate) const EXTRAS: &[Extra] = &[
    extra(&[keys::INTERCEPTION_MODE, "interceptionMode"], Some(Field::Mode), |text| {
        parse_interception(text).map(drop)
    }),
    extra(&[keys::INCLUDE_INBOUND_PORTS, "includeInboundPorts"], Some(Field::IncludeInboundPorts), |text| {
        takes(Field::IncludeInboundPorts, text)
    }),
    extra(&[keys::EXCLUDE_INBOUND_PORTS, "excludeInboundPorts"], Some(Field::ExcludeInboundPorts), ports),
    extra(&[keys::INCLUDE_OUTBOUND_PORTS, "includeOutboundPorts"], Some(Field::AlsoOutboundPorts), ports),
    extra(&[keys::EXCLUDE_OUTBOUND_PORTS, "excludeOutboundPorts"], Some(Field::ExcludeOutboundPorts), ports),
    extra(
        &[keys::INCLUDE_OUTBOUND_CIDRS, "includeOutboundIPRanges"],
        Some(Field::IncludeOutboundCidrs),
        |text| takes(Field::IncludeOutboundCidrs, text),
    ),
    extra(
        &[keys::EXCLUDE_OUTBOUND_CIDRS, "excludeOutboundIPRanges"],
        Some(Field::ExcludeOutboundCidrs),
        |text| takes(Field::ExcludeOutboundCidrs, text),
    ),
    extra(&[keys::EXCLUDE_INTERFACES, "excludeInterfaces"], Some(Field::ExcludeInterfaces), names),
    extra(&[keys::REROUTE_INTERFACES, "reroute-virtual-interfaces"], Some(Field::OutboundInterfaces), names),
    extra(&[keys::KUBEVIRT_INTERFACES, "kubevirtInterfaces"], Some(Field::OutboundInterfaces), names),
    extra(&[keys::STATUS_PORT, "statusPort", "status-port"], None, |text| parse_port(text).map(drop)),
    extra(&[keys::DNS_CAPTURE], Some(Field::DnsPort), bool),
    extra(&[keys::DUAL_STACK], Some(Field::Ipv6), bool),
    extra(&[keys::INVALID_DROP], Some(Field::DropInvalid), bool),
    extra(&[keys::OWNER_GROUPS], Some(Field::IncludeGids), |text| metadata::parse_groups(text).map(drop)),
    extra(&[keys::OWNER_GROUPS_EXCLUDE], Some(Field::ExcludeGids), |text| {
        metadata::parse_excluded_groups(text).map(drop)
    }),
    extra(&[keys::LOOPBACK_CIDR], Some(Field::LoopbackCidrs), |text| {
        metadata::parse_loopback(text).map(drop)
    }),
];

const fn extra(
    names: &'static [&'static str],
    field: Option<Field>,
    check: fn(&str) -> Result<(), ValueError>,
) -> Extra {
    Extra { names, field, check }
}

fn takes(field: Field, text: &str) -> Result<(), ValueError> {
    Redirect::new("").set(field, text, "")
}

fn ports(text: &str) -> Result<(), ValueError> {
    parse_ports(text).map(drop)
}

fn names(text: &str) -> Result<(), ValueError> {
    takes(Field::ExcludeInterfaces, text)
}

fn bool(text: &str) -> Result<(), ValueError> {
    metadata::parse_bool(text).map(drop)
}
