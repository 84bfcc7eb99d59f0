//! The worst that a pod's author can write: as much as an object's annotations may hold, 256 KiB in all.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use sluice_tests::{Plugin, Request};

use crate::ground::Ground;
use crate::pods::Kind;
use crate::report::Report;
use crate::run::Call;
use crate::stats::{Samples, time};

/// Bytes in all fields together.
const BYTES: usize = 250_000;
const TIMES: usize = 5;
const MIB: f64 = 1_048_576.0;

/// The item of a list with this number; none where there is no other.
type Item = fn(u32) -> Option<String>;

/// Each is a name, and the fields that share the bytes. No two items touch, so that none can be merged.
pub(crate) const WORST: [(&str, &[(&str, Item)]); 10] = [
    ("32,768 single ports", &[("exclude-outbound-ports", port)]),
    ("250 kB of IPv4 addresses", &[("exclude-outbound-cidrs", v4)]),
    ("250 kB of IPv4 CIDRs", &[("exclude-outbound-cidrs", cidr)]),
    ("250 kB of IPv6 addresses", &[("exclude-outbound-cidrs", v6)]),
    ("250 kB of uids", &[("exclude-uids", id)]),
    ("250 kB of interfaces", &[("exclude-interfaces", interface)]),
    ("250 kB of prefixes of interfaces", &[("exclude-interfaces", prefix)]),
    ("250 kB of passthrough sources", &[("passthrough-sources", v6)]),
    (
        "250 kB of ports",
        &[
            ("exclude-inbound-ports", port),
            ("include-inbound-ports", port),
            ("exclude-outbound-ports", port),
            ("also-outbound-ports", port),
            ("include-outbound-ports", port),
            ("tunnel-ports", port),
        ],
    ),
    (
        "250 kB, mixed",
        &[
            ("exclude-inbound-ports", port),
            ("exclude-outbound-ports", port),
            ("exclude-inbound-cidrs", v6),
            ("include-outbound-cidrs", v4),
            ("exclude-outbound-cidrs", cidr),
            ("exclude-uids", id),
            ("include-gids", id),
            ("exclude-interfaces", interface),
            ("outbound-interfaces", interface),
            ("dns-servers", v6),
        ],
    ),
];

/// Such a pod's request. DNS is diverted, so that some lists are asked twice.
pub(crate) fn request(at: usize, request: Request) -> Request {
    let fields = WORST[at].1;
    let lists: Vec<_> =
        fields.iter().map(|(name, item)| (*name, list(*item, BYTES / fields.len()))).collect();
    let lists = lists.iter().map(|(name, list)| (*name, list.as_str()));
    request.native(&lists.chain([("dns-port", "15053")]).collect::<Vec<_>>())
}

pub(crate) fn measure(ground: &Ground, report: &mut Report) {
    report.section(
        "The worst annotation",
        &format!("CPU time of a whole ADD, the kernel's work included; medians of {TIMES}. DNS is diverted, so that some lists are asked twice.\n\
             An ADD may refuse a list: then that is what costs."),
    );
    let plugin = Plugin::new();
    let mut rows = Vec::new();
    let (mut most, mut peak) = (0.0_f64, 0.0_f64);
    for kind in (0..WORST.len()).map(Kind::Worst) {
        let call = || {
            let pod = ground.pod();
            let request = kind.request(&plugin, &pod, ground.memory(), ground.disk());
            (Call::plugin(&ground.sluice, "ADD", request), pod)
        };
        let (mut samples, mut answer) = (Samples::default(), String::new());
        for _ in 0..TIMES {
            let (call, _pod) = call();
            let before = spent();
            answer = call.answer();
            samples.push(spent() - before);
        }
        let (call, _pod) = call();
        let footprint = call.footprint().expect("it reads stdin");
        let mib = footprint.peak as f64 / MIB;
        let stdin = format!("{} kB", call.stdin().len() / 1000);
        rows.push(vec![kind.name(), stdin, answer, time(samples.median()), format!("{mib:.1} MiB")]);
        most = most.max(samples.median() / 1e6);
        peak = peak.max(mib);
    }
    report.table(&["ADD", "stdin", "answer", "CPU time", "peak memory"], &rows);
    report.target("the worst annotation: CPU time", most, 0.3, " s");
    report.target("the worst annotation: peak memory", peak, 16.0, " MiB");
}

fn list(item: Item, bytes: usize) -> String {
    let mut list = String::new();
    for item in (0..).map_while(item) {
        if list.len() + item.len() + 1 > bytes {
            break;
        }
        list = list + &item + ",";
    }
    list
}

fn port(at: u32) -> Option<String> {
    u16::try_from(2 * at + 1).ok().map(|port| port.to_string())
}

fn v4(at: u32) -> Option<String> {
    Some(std::net::Ipv4Addr::from(0x0100_0000 + 2 * at).to_string())
}

fn cidr(at: u32) -> Option<String> {
    let network = std::net::Ipv4Addr::from(0x0b00_0000 + (at << 12));
    Some(format!("{network}/{}", 22 + at % 11))
}

fn v6(at: u32) -> Option<String> {
    u16::try_from(at + 1).ok().map(|high| format!("{high:x}::"))
}

fn id(at: u32) -> Option<String> {
    Some((2 * at).to_string())
}

fn interface(at: u32) -> Option<String> {
    Some(format!("e{at:x}"))
}

fn prefix(at: u32) -> Option<String> {
    Some(format!("e{at:x}+"))
}

/// CPU time of all processes that this one has waited for: microseconds.
fn spent() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage");
    let micros = |time: TimeVal| time.num_microseconds() as f64;
    micros(usage.user_time()) + micros(usage.system_time())
}
