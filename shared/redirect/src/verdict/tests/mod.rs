//! Every rule of `docs/verdicts.md`, and the measured verdicts of the two meshes.

mod arriving;
mod general;
mod meshes;
mod output;

use super::{Action, Hook, Judgement, Packet, Protocol, RuleId, flags, judge, judge_known};
use crate::{Field, Redirect};

/// A redirect with inbound port 15006, outbound port 15001, proxy uid 1337 and what is said beside.
pub(super) fn redirect(fields: &[(Field, &str)]) -> Redirect {
    let mut redirect = Redirect::new("test");
    let usual = [(Field::InboundPort, "15006"), (Field::OutboundPort, "15001"), (Field::ProxyUid, "1337")];
    for (field, text) in usual.iter().chain(fields) {
        redirect.set(*field, text, "test").unwrap();
    }
    redirect
}

/// An address outside of the pod and of every list.
pub(super) const OUTSIDE: &str = "192.0.2.10";

const OPENS: Protocol = Protocol::Tcp { flags: flags::SYN };

/// An app's SYN by eth0 from the pod.
pub(super) fn out(dst: &str, dport: u16) -> Packet {
    let src = if dst.contains(':') { "fd00:1::2" } else { "10.1.0.2" };
    Packet {
        hook: Hook::Output { oif: "eth0".into(), uid: Some(1000), gid: Some(1000), mark: 0 },
        protocol: OPENS,
        src: src.parse().unwrap(),
        sport: 40000,
        dst: dst.parse().unwrap(),
        dport,
        ct_invalid: false,
    }
}

/// A peer's SYN by eth0 to the pod.
pub(super) fn arriving(dport: u16) -> Packet {
    Packet {
        hook: Hook::Arriving { iif: "eth0".into(), to_this_netns: true },
        src: "10.1.0.9".parse().unwrap(),
        dst: "10.1.0.2".parse().unwrap(),
        ..out("10.1.0.2", dport)
    }
}

impl Packet {
    pub(super) fn udp(self) -> Self {
        Self { protocol: Protocol::Udp, ..self }
    }

    pub(super) fn flags(self, flags: u8) -> Self {
        Self { protocol: Protocol::Tcp { flags }, ..self }
    }

    pub(super) fn ids(mut self, user: Option<u32>, group: Option<u32>) -> Self {
        if let Hook::Output { uid, gid, .. } = &mut self.hook {
            (*uid, *gid) = (user, group);
        }
        self
    }

    pub(super) fn proxy(self) -> Self {
        self.ids(Some(1337), Some(1337))
    }

    pub(super) fn mark(mut self, socket: u32) -> Self {
        if let Hook::Output { mark, .. } = &mut self.hook {
            *mark = socket;
        }
        self
    }

    pub(super) fn by(mut self, interface: &str) -> Self {
        match &mut self.hook {
            Hook::Output { oif, .. } => *oif = interface.into(),
            Hook::Arriving { iif, .. } => *iif = interface.into(),
        }
        self
    }

    pub(super) fn forwarded(mut self) -> Self {
        if let Hook::Arriving { to_this_netns, .. } = &mut self.hook {
            *to_this_netns = false;
        }
        self
    }

    pub(super) fn from(self, src: &str) -> Self {
        Self { src: src.parse().unwrap(), ..self }
    }

    pub(super) fn to(self, dst: &str) -> Self {
        Self { dst: dst.parse().unwrap(), ..self }
    }

    pub(super) fn invalid(self) -> Self {
        Self { ct_invalid: true, ..self }
    }
}

#[track_caller]
pub(super) fn check(redirect: &Redirect, packet: &Packet, rule: RuleId, action: Action) {
    assert_eq!(judge(redirect, packet), Judgement { rule, action }, "{packet:?}");
}
