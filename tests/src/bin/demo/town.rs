//! The pod and its surroundings, and who asks whom.

use std::io;
use std::net::SocketAddr;

use sluice_tests::{Netns, Who, need};

use crate::page::{Ink, Page};
use crate::sidecar::{INBOUND, OUTBOUND, Sidecar};
use crate::{Stop, http};

pub(crate) const POD: &str = "10.244.0.7";
pub(crate) const CLIENT: &str = "10.244.0.1";
pub(crate) const SERVER: &str = "10.244.0.20";
/// The proxy's user where there are several.
pub(crate) const PROXY_UID: u32 = 2102;

/// Where the app listens; the second is its metrics.
pub(crate) const APP: u16 = 8080;
pub(crate) const METRICS: u16 = 9990;
/// Where the server listens; the second is its database.
pub(crate) const WEB: u16 = 80;
pub(crate) const DATABASE: u16 = 5432;

const PICTURE: &str =
    "   ┌─ outside ────────────┐         ┌─ pod web-0 ────────────────────────────────────────┐
   │                      │         │ eth0           proxy            app                │
   │ client  10.244.0.1   │         │ 10.244.0.7 ──▶ :4143 ─────────▶ :8080              │
   │                      ├─────────┤            ───────────────────▶ :9990  metrics     │
   │ server  10.244.0.20  │         │            ◀── :4140 ◀───────── calls to anywhere  │
   │         :80 :5432    │         │            ◀─────────────────── calls to :5432     │
   └──────────────────────┘         └────────────────────────────────────────────────────┘";

/// Everything that runs.
pub(crate) struct Town {
    pub(crate) pod: Netns,
    pub(crate) outside: Netns,
    pub(crate) sidecar: Sidecar,
    app: Who,
    proxy: Who,
    /// Whether app and proxy have users of their own.
    pub(crate) several_users: bool,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Client,
    App,
    Proxy,
}

/// Which way a connection is claimed to take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Straight,
    Proxy,
}

impl Town {
    /// Builds it, and starts everyone.
    pub(crate) fn build() -> io::Result<Self> {
        let (pod, outside) = (Netns::new(), Netns::new());
        pod.cable("eth0", &["10.244.0.7/24"], &outside, "veth0", &["10.244.0.1/24", "10.244.0.20/24"]);
        let several_users = need::ids().is_ok();
        let (app, proxy) = match several_users {
            true => (Who::APP, Who::new(PROXY_UID, PROXY_UID)),
            false => (Who::ROOT, Who::ROOT),
        };
        http::serve(&pod, app, "app", "0.0.0.0", &[APP, METRICS])?;
        http::serve(&outside, Who::ROOT, "server", SERVER, &[WEB, DATABASE])?;
        let sidecar = Sidecar::start(&pod, proxy, several_users)?;
        Ok(Town { pod, outside, sidecar, app, proxy, several_users })
    }

    pub(crate) fn picture(page: &mut Page) -> Result<(), Stop> {
        PICTURE.lines().try_for_each(|line| page.line(&page.ink(Ink::Code, line)))
    }

    /// One request; what became of it must be as claimed.
    pub(crate) fn ask(
        &self,
        page: &mut Page,
        caller: Caller,
        ip: &str,
        port: u16,
        way: Way,
    ) -> Result<(), Stop> {
        let to = SocketAddr::from((ip.parse::<std::net::Ipv4Addr>().expect("an address"), port));
        let (ns, who, name, own) = match caller {
            Caller::Client => (&self.outside, Who::ROOT, "client", CLIENT),
            Caller::App => (&self.pod, self.app, "app", POD),
            Caller::Proxy => (&self.pod, self.proxy, "proxy", POD),
        };
        // On the last stretch of an inbound connection it is the proxy that calls, over loopback.
        let (door, callee, sees) = match caller {
            Caller::Client => (INBOUND, "app", if way == Way::Proxy { "127.0.0.1" } else { own }),
            _ => (OUTBOUND, "server", own),
        };
        let wanted = http::Answer {
            via: (way == Way::Proxy).then(|| format!("{door}, meant for {to}")),
            body: match callee {
                "server" if way == Way::Proxy && !self.several_users => "proxy answers itself".to_owned(),
                _ => format!("{callee} sees {sees}"),
            },
        };
        let route = match way {
            Way::Straight => "straight".to_owned(),
            Way::Proxy => format!("proxy {door}, meant for {to}"),
        };
        let text = format!("{name:<6} → {:<16}  {route:<38}  {}", to.to_string(), wanted.body);
        match http::get(ns, who, to) {
            Ok(answer) => {
                let seen = answer.via.as_ref().map_or("straight".to_owned(), |via| format!("proxy {via}"));
                page.claim(answer == wanted, &text, &format!("seen: {seen}, {}", answer.body))
            }
            Err(error) => page.claim(false, &text, &format!("seen: {error}")),
        }
    }

    /// Both directions.
    pub(crate) fn ask_both(&self, page: &mut Page, way: Way) -> Result<(), Stop> {
        self.ask(page, Caller::Client, POD, APP, way)?;
        self.ask(page, Caller::App, SERVER, WEB, way)
    }
}
