//! A redirect by its fields: set from text, read back as text, stored and restored.

use std::collections::{BTreeMap, BTreeSet};

use super::value::ValueError;
use super::{
    Cidrs, Destinations, Field, Forwarded, Ids, Interfaces, Intervals, Ipv6, Mode, Only, Ports, Redirect,
    SelfCalls, spelling::nearest,
};

/// A rule's comment has no more room than this for where a value came from.
const LONGEST_SOURCE: usize = 100;

impl Redirect {
    /// Every field at its default, from `source`. The two ports have none: they stay `None`, and without a
    /// source until they are set.
    #[must_use]
    pub fn new(source: &str) -> Self {
        let ports = [Field::InboundPort, Field::OutboundPort];
        // They come in order: `collect` would sort them.
        let mut sources = BTreeMap::new();
        let others = Field::ALL.iter().filter(|field| !ports.contains(field));
        sources.extend(others.map(|field| (*field, source.to_owned())));
        let loopback = Cidrs {
            v4: Intervals::from_iter([(0x7f00_0000, 0x7fff_ffff)]),
            v6: Intervals::from_iter([(1, 1)]),
        };
        Self {
            inbound_port: None,
            outbound_port: None,
            mode: Mode::Redirect,
            proxy_uids: Ids::default(),
            proxy_gids: Ids::default(),
            include_inbound_ports: Only::Any,
            exclude_inbound_ports: Ports::default(),
            exclude_inbound_cidrs: Cidrs::default(),
            include_outbound_ports: Only::Any,
            also_outbound_ports: Ports::default(),
            exclude_outbound_ports: Ports::default(),
            include_outbound_cidrs: Destinations { cidrs: Only::Any, loopback: false },
            exclude_outbound_cidrs: Cidrs::default(),
            exclude_uids: Ids::default(),
            exclude_gids: Ids::default(),
            include_gids: Ids::default(),
            exclude_interfaces: Interfaces::default(),
            outbound_interfaces: Interfaces::default(),
            tunnel_ports: Ports::default(),
            self_calls: SelfCalls::Bypass,
            passthrough_sources: BTreeSet::new(),
            proxy_mark: None,
            proxy_out_mark: None,
            loopback_cidrs: loopback,
            forwarded: Forwarded::Leave,
            dns_port: None,
            dns_servers: Only::Any,
            ipv6: Ipv6::Capture,
            drop_invalid: false,
            sources,
        }
    }

    /// The field's canonical text, which [`set`](Self::set) takes back to the same value.
    #[must_use]
    pub fn get(&self, field: Field) -> String {
        self.value(field).text()
    }

    /// Replaces the field's value by what the text says.
    pub fn set(&mut self, field: Field, text: &str, source: &str) -> Result<(), ValueError> {
        self.value_mut(field).read(text)?;
        self.came_from(field, source);
        Ok(())
    }

    /// Where the field's value comes from, as the rules' comments show it.
    #[must_use]
    pub fn source(&self, field: Field) -> &str {
        self.sources.get(&field).map_or("", String::as_str)
    }

    /// Whether the proxy's own sockets can be told: without that its traffic would be diverted to itself.
    #[must_use]
    pub fn knows_the_proxy(&self) -> bool {
        !self.proxy_uids.is_empty() || !self.proxy_gids.is_empty() || self.proxy_out_mark.is_some()
    }

    /// Why nothing of a pod is diverted, whatever it sends and receives; `None` where something may be.
    #[must_use]
    pub fn diverts_nothing(&self, has_ipv4: bool) -> Option<String> {
        if !has_ipv4 && self.ipv6 != Ipv6::Capture {
            let (ipv6, source) = (self.get(Field::Ipv6), self.source(Field::Ipv6));
            return Some(format!("it has no IPv4 address of its own, and ipv6 is {ipv6}, from {source}"));
        }
        let lists_none = |ports: &Only<Ports>| *ports == Only::These(Ports::default());
        let inbound = self.inbound_port.is_some() && !lists_none(&self.include_inbound_ports);
        let included = !lists_none(&self.include_outbound_ports)
            && !lists_no_address(&self.include_outbound_cidrs.cidrs);
        let outbound = self.outbound_port.is_some() && (included || !self.also_outbound_ports.is_empty());
        let dns = self.dns_port.is_some() && !lists_no_address(&self.dns_servers);
        (!inbound && !outbound && !dns)
            .then(|| "ports and lists leave neither inbound nor outbound nor DNS".to_owned())
    }

    /// Notes where the field's value comes from: `source` alone.
    pub fn came_from(&mut self, field: Field, source: &str) {
        self.sources.insert(field, shortened(source));
    }

    /// Adds ports to those excluded inbound, whatever they are already.
    pub fn exclude_inbound(&mut self, ports: &Ports, source: &str) {
        self.also_from(Field::ExcludeInboundPorts, self.exclude_inbound_ports.is_empty(), source);
        self.exclude_inbound_ports.extend(ports.iter());
    }

    /// Adds ports to those excluded outbound.
    pub fn exclude_outbound(&mut self, ports: &Ports, source: &str) {
        self.also_from(Field::ExcludeOutboundPorts, self.exclude_outbound_ports.is_empty(), source);
        self.exclude_outbound_ports.extend(ports.iter());
    }

    /// A value was added to the field's: it has one source more, or its first if it was empty.
    fn also_from(&mut self, field: Field, was_empty: bool, source: &str) {
        let before = self.source(field);
        if was_empty || before.is_empty() {
            self.came_from(field, source);
        } else if before.split(" + ").all(|one| one != source) {
            let both = format!("{before} + {source}");
            self.came_from(field, &both);
        }
    }

    /// Every field with its text and source: what a state file stores.
    pub fn fields(&self) -> impl Iterator<Item = (Field, String, &str)> {
        Field::ALL.iter().map(|field| (*field, self.get(*field), self.source(*field)))
    }

    /// The redirect from what [`fields`](Self::fields) gave; a field that is missing has its default.
    pub fn from_fields<'a>(
        fields: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> Result<Self, FieldsError> {
        let mut redirect = Self::new("");
        for (name, text, source) in fields {
            let unknown = || FieldsError::Unknown {
                name: name.to_owned(),
                nearest: nearest(name, Field::ALL.iter().map(|field| field.name())),
            };
            let field = Field::from_name(name).ok_or_else(unknown)?;
            redirect.set(field, text, source).map_err(|error| FieldsError::Value { field, error })?;
        }
        redirect.sources.retain(|_, source| !source.is_empty());
        Ok(redirect)
    }
}

/// Why stored fields make no redirect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldsError {
    /// A name that no field has.
    #[error("{name} is not a field{}", .nearest.map(|it| format!("; the nearest is {it}")).unwrap_or_default())]
    Unknown {
        /// What was given.
        name: String,
        /// The nearest name of a field.
        nearest: Option<&'static str>,
    },
    /// A value that the field cannot have.
    #[error("{field}: {error}")]
    Value {
        /// Whose value.
        field: Field,
        /// What is wrong with it.
        error: ValueError,
    },
}

fn lists_no_address(cidrs: &Only<Cidrs>) -> bool {
    matches!(cidrs, Only::These(cidrs) if cidrs.is_empty())
}

/// A source as a rule's comment can hold it: a state file may be damaged, and the kernel takes no zero byte.
fn shortened(source: &str) -> String {
    let source = source.replace(char::is_control, " ");
    if source.len() <= LONGEST_SOURCE {
        return source;
    }
    let end = source.floor_char_boundary(LONGEST_SOURCE - "…".len());
    format!("{}…", source.get(..end).unwrap_or_default())
}
