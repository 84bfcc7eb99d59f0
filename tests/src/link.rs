//! Links, addresses and routes, by rtnetlink from a thread inside the namespace.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU16, Ordering};

use nix::net::if_::if_nametoindex;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};

use crate::ns::Netns;

/// What one can do to the links of the namespace that the thread is in.
#[derive(Clone)]
pub struct Links(Handle);

/// Link-local addresses handed out.
static LINK_LOCAL: AtomicU16 = AtomicU16::new(1);

type Work<T> = Pin<Box<dyn Future<Output = T>>>;

fn index(name: &str) -> u32 {
    if_nametoindex(name).unwrap_or_else(|error| panic!("link {name}: {error}"))
}

/// `10.0.0.1/24` in its two parts.
fn prefix(text: &str) -> (IpAddr, u8) {
    let (address, length) = text.split_once('/').unwrap_or_else(|| panic!("{text} is no prefix"));
    (address.parse().expect("an address"), length.parse().expect("a length"))
}

impl Links {
    pub async fn up(&self, name: &str) {
        let message = LinkUnspec::new_with_index(index(name)).up().build();
        self.0.link().set(message).execute().await.unwrap_or_else(|error| panic!("{name} up: {error}"));
    }

    pub async fn down(&self, name: &str) {
        let message = LinkUnspec::new_with_index(index(name)).down().build();
        self.0.link().set(message).execute().await.unwrap_or_else(|error| panic!("{name} down: {error}"));
    }

    pub async fn delete(&self, name: &str) {
        self.0
            .link()
            .del(index(name))
            .execute()
            .await
            .unwrap_or_else(|error| panic!("{name} delete: {error}"));
    }

    pub async fn veth(&self, name: &str, peer: &str) {
        let message = LinkVeth::new(name, peer).build();
        self.0.link().add(message).execute().await.unwrap_or_else(|error| panic!("veth {name}: {error}"));
    }

    pub async fn bridge(&self, name: &str) {
        let message = LinkBridge::new(name).build();
        self.0.link().add(message).execute().await.unwrap_or_else(|error| panic!("bridge {name}: {error}"));
    }

    pub async fn enslave(&self, name: &str, bridge: &str) {
        let message = LinkUnspec::new_with_index(index(name)).controller(index(bridge)).up().build();
        self.0
            .link()
            .set(message)
            .execute()
            .await
            .unwrap_or_else(|error| panic!("{name} to {bridge}: {error}"));
    }

    pub async fn move_to(&self, name: &str, fd: i32) {
        let message = LinkUnspec::new_with_index(index(name)).setns_by_fd(fd).build();
        self.0.link().set(message).execute().await.unwrap_or_else(|error| panic!("{name} away: {error}"));
    }

    pub async fn address(&self, name: &str, address: &str) {
        let (ip, length) = prefix(address);
        let mut request = self.0.address().add(index(name), ip, length);
        // Usable at once.
        request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        request.execute().await.unwrap_or_else(|error| panic!("{address} on {name}: {error}"));
    }

    /// `to` is a prefix, or `default`.
    pub async fn route(&self, to: &str, via: &str) {
        let via: IpAddr = via.parse().expect("a gateway");
        let any = if via.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
        let (ip, length) = prefix(if to == "default" { any } else { to });
        let route = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(ip, length)
            .and_then(|builder| builder.gateway(via))
            .expect("one family")
            .build();
        self.0
            .route()
            .add(route)
            .execute()
            .await
            .unwrap_or_else(|error| panic!("route {to} via {via}: {error}"));
    }
}

impl Netns {
    /// Works on the links inside.
    pub fn link<T: Send>(&self, work: impl FnOnce(Links) -> Work<T> + Send) -> T {
        self.run(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (connection, handle, _) = rtnetlink::new_connection().expect("rtnetlink");
                let driver = tokio::spawn(connection);
                let value = work(Links(handle)).await;
                driver.abort();
                value
            })
        })
    }

    /// A cable from here to there; both ends up, with their addresses.
    pub fn cable(
        &self,
        name: &'static str,
        own: &'static [&'static str],
        other: &Netns,
        its: &'static str,
        addresses: &'static [&'static str],
    ) {
        let fd = other.raw();
        self.link(move |net| {
            Box::pin(async move {
                net.veth(name, "cable").await;
                net.move_to("cable", fd).await;
            })
        });
        // A name of its own only over there: names meet in one namespace otherwise.
        other.rename("cable", its);
        other.plug(its, addresses);
        self.plug(name, own);
    }

    fn plug(&self, name: &'static str, addresses: &'static [&'static str]) {
        self.link(move |net| {
            Box::pin(async move {
                net.up(name).await;
                for address in addresses {
                    net.address(name, address).await;
                }
                // The kernel would make one in its own time; without any it asks for no neighbours.
                if name != "lo" && addresses.iter().any(|address| address.contains(':')) {
                    let number = LINK_LOCAL.fetch_add(1, Ordering::Relaxed);
                    net.address(name, &format!("fe80::{number:x}/64")).await;
                }
            })
        });
    }

    fn rename(&self, from: &'static str, to: &'static str) {
        self.link(move |net| {
            Box::pin(async move {
                let message = LinkUnspec::new_with_index(index(from)).name(to).build();
                net.0
                    .link()
                    .set(message)
                    .execute()
                    .await
                    .unwrap_or_else(|error| panic!("{from} to {to}: {error}"));
            })
        });
    }

    /// More addresses on a link that is there.
    pub fn addresses(&self, name: &'static str, addresses: &'static [&'static str]) {
        self.plug(name, addresses);
    }

    /// A bridge with addresses; `port` becomes its port.
    pub fn bridge(&self, name: &'static str, port: &'static str, addresses: &'static [&'static str]) {
        self.link(move |net| {
            Box::pin(async move {
                net.bridge(name).await;
                net.enslave(port, name).await;
            })
        });
        self.plug(name, addresses);
        // Where br_netfilter is loaded: packets that cross a bridge pass the hooks as routed ones do.
        let _ = self.bridge_netfilter(false);
    }

    /// Whether the IP hooks see packets while they are still on a bridge.
    pub fn bridge_netfilter(&self, on: bool) -> Result<(), String> {
        let value = if on { "1" } else { "0" };
        self.run(|| {
            let set = |key| std::fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{key}"), value);
            set("iptables").and(set("ip6tables")).map_err(|error| format!("no br_netfilter here: {error}"))
        })
    }

    /// A route.
    pub fn route(&self, to: &'static str, via: &'static str) {
        self.link(move |net| Box::pin(async move { net.route(to, via).await }));
    }

    /// Lets packets pass through.
    pub fn forwards(&self) {
        self.sysctl("ipv4/ip_forward", "1");
        self.sysctl("ipv6/conf/all/forwarding", "1");
    }
}
