//! Connections that are open when rules come into a running pod: they go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sluice_tests::running::{Ends, Open, PASTS, Past, WAYS, Way, accept};
use sluice_tests::{Mesh, Probe, Who, need, patience};

const TPROXY: &[(&str, &str)] = &[("mode", "tproxy"), ("proxy-mark", "1337"), ("self-calls", "inbound")];
const MODES: [&[(&str, &str)]; 2] = [&[], TPROXY];

/// Rules of somebody else that have connection tracking begin.
const TRACKING: &str = "table inet tracking {
    chain output { type filter hook output priority 0; ct state new counter; }
    chain prerouting { type filter hook prerouting priority 0; ct state new counter; }
}";

/// A connection each way, in both families, with each past; and who listened.
struct Connections {
    listeners: Vec<TcpListener>,
    open: Vec<(Ends, Past, Open)>,
}

impl Connections {
    fn open(mesh: &Mesh) -> Self {
        let (mut listeners, mut open) = (Vec::new(), Vec::new());
        for ends in WAYS {
            let listener = ends.listen(mesh);
            for past in PASTS {
                let mut connection = ends.open(mesh, &listener);
                connection.live_through(past);
                open.push((ends, past, connection));
            }
            listeners.push(listener);
        }
        Self { listeners, open }
    }

    #[track_caller]
    fn live(&mut self, when: &str) {
        for (ends, past, open) in &mut self.open {
            assert!(open.is_alive(*past), "{when}: {ends:?}, {past:?}");
        }
    }
}

/// New connections are diverted.
#[track_caller]
fn diverted(mesh: &Mesh) {
    for to in ["192.0.2.10:443", "[2001:db8::10]:443"] {
        assert_eq!(mesh.out(Who::APP, to), "O");
    }
    for to in ["10.1.0.2:8080", "[fd00:1::2]:8080"] {
        assert_eq!(mesh.enters(to), "I");
    }
}

#[test]
fn they_survive_a_repair_whether_they_were_tracked_before_or_not() {
    need!(need::ids(), need::program("nft"));
    for fields in MODES {
        for tracked in [false, true] {
            let mesh = Mesh::unprogrammed(fields);
            if tracked {
                mesh.pod.nft(TRACKING);
            }
            let mut before = Connections::open(&mesh);
            assert!(mesh.repair().unwrap().new);
            before.live(&format!("{fields:?}, tracked before: {tracked}"));
            diverted(&mesh);
            before.live("once more");
            assert!(!mesh.repair().unwrap().new, "the second finds nothing to do");
            for listener in &before.listeners {
                assert!(listener.accept().is_err(), "nobody else came to them");
            }
        }
    }
}

#[test]
fn they_survive_an_add_that_replaces_what_is_there() {
    need!(need::ids());
    for fields in MODES {
        let mesh = Mesh::unprogrammed(fields);
        let mut before = Connections::open(&mesh);
        mesh.repair().unwrap();
        let diverted_out = Probe::tcp(Who::APP, "192.0.2.10:443").connect(&mesh.pod).unwrap();
        let diverted_in = Probe::tcp(Who::ROOT, "10.1.0.2:8080").connect(&mesh.peer).unwrap();
        let request = mesh.request.clone().annotate("sluice-cni.dev/exclude-outbound-ports", "9999");
        mesh.plugin.add(&request);
        mesh.plugin.check(&request);
        before.live("another ADD");
        for (answer, socket) in [diverted_out, diverted_in] {
            assert!(echoes(socket), "what {} has goes on", answer.by);
        }
        diverted(&mesh);
    }
}

/// The rules of the first revision, as their plugin put them into these pods.
const OLD: [&str; 2] = [
    include_str!("open_connections_rules/revision-1-redirect.nft"),
    include_str!("open_connections_rules/revision-1-tproxy.nft"),
];
const OLD_ROUTES: &str = "rule add pref 1337 fwmark 1337 lookup 133
route add local default dev lo table 133
";

#[test]
fn they_survive_rules_in_place_of_an_older_revisions() {
    need!(need::ids(), need::program("nft"), need::program("ip"));
    for (fields, old) in MODES.into_iter().zip(OLD) {
        let mesh = Mesh::unprogrammed(fields);
        let mut before = Connections::open(&mesh);
        if fields == TPROXY {
            for family in ["-4", "-6"] {
                let _ = mesh.pod.output("ip", &[family, "-batch", "-"], OLD_ROUTES);
            }
        }
        mesh.pod.nft(old);
        before.live("under the old rules");
        let mut during = Vec::new();
        for to in ["192.0.2.10:443", "[2001:db8::10]:443"] {
            during.push(Probe::tcp(Who::APP, to).connect(&mesh.pod).unwrap());
            during.push(Probe::tcp(Who::new(1337, 1337), to).connect(&mesh.pod).unwrap());
        }
        for to in ["10.1.0.2:8080", "[fd00:1::2]:8080"] {
            during.push(Probe::tcp(Who::ROOT, to).connect(&mesh.peer).unwrap());
        }
        let by: Vec<_> = during.iter().map(|(answer, _)| answer.by.as_str()).collect();
        assert_eq!(by, ["O", "W", "O", "W", "I", "I"]);
        assert!(mesh.repair().unwrap().new);
        before.live("under the new rules");
        for (answer, socket) in during {
            assert!(echoes(socket), "{fields:?}: {} at {}", answer.by, answer.local);
        }
        diverted(&mesh);
    }
}

/// Whoever can enter the pod can do that to its table; what opens until the repair goes past the proxy, and goes on.
#[test]
fn they_survive_the_repair_of_a_table_that_does_nothing() {
    need!(need::ids(), need::program("nft"));
    for fields in MODES {
        for done in [
            "add table inet sluice { flags dormant; }",
            "flush table inet sluice",
            "delete table inet sluice",
        ] {
            let mesh = Mesh::native(fields);
            let out = Probe::tcp(Who::APP, "192.0.2.10:443").connect(&mesh.pod).unwrap();
            let inward = Probe::tcp(Who::ROOT, "10.1.0.2:8080").connect(&mesh.peer).unwrap();
            mesh.pod.nft(done);
            let mut since = Connections::open(&mesh);
            assert!(mesh.repair().unwrap().new, "{done}");
            since.live(done);
            diverted(&mesh);
            mesh.plugin.check(&mesh.request);
            // Under TPROXY the first were never tracked; a connection that nobody translates any more is broken anyway.
            for (answer, socket) in [out, inward] {
                assert!(echoes(socket), "{fields:?}, {done}: {}", answer.by);
            }
        }
    }
}

/// Nothing ever saw the table between the two batches that a kill left, but whoever comes next.
#[test]
fn a_repair_cut_short_between_its_batches_is_taken_up_by_the_next() {
    need!(need::ids(), need::program("nft"));
    for fields in MODES {
        for by_add in [false, true] {
            let mesh = Mesh::unprogrammed(fields);
            let mut before = Connections::open(&mesh);
            let mark = pod::rules::names::adopted_mark(&mesh.redirect());
            mesh.pod.nft(&pod::rules::window(mark).to_string());
            let mut between = Connections::open(&mesh);
            mesh.plugin.call("CHECK", &mesh.request).fails(103, &[]);
            if by_add {
                mesh.plugin.add(&mesh.request);
            } else {
                assert!(mesh.repair().unwrap().new);
            }
            mesh.plugin.check(&mesh.request);
            before.live("open before");
            between.live("open since the first batch");
            diverted(&mesh);
        }
    }
}

/// Whether what is sent to a server of the lab comes back.
fn echoes(socket: socket2::Socket) -> bool {
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(patience(Duration::from_secs(4)))).unwrap();
    let mut buffer = [0; 5];
    stream.write_all(b"still").is_ok() && stream.read_exact(&mut buffer).is_ok() && &buffer == b"still"
}

#[test]
fn what_the_proxy_hands_to_the_app_goes_on_over_lo() {
    need!(need::ids());
    let mesh = Mesh::native(TPROXY);
    let proxy = Probe::tcp(Who::ROOT, "10.1.0.2:8080").from("10.1.0.1:0").mark(1337).transparent();
    let (answer, socket) = proxy.connect(&mesh.pod).unwrap();
    assert_eq!(answer.by, "A");
    mesh.plugin.add(&mesh.request.clone().annotate("sluice-cni.dev/exclude-outbound-ports", "9999"));
    assert!(echoes(socket), "the app's answers find the proxy");
}

#[test]
fn hundreds_survive_while_they_are_busy() {
    need!(need::ids());
    for fields in MODES {
        let mesh = Mesh::unprogrammed(fields);
        let listeners = WAYS.map(|ends| ends.listen(&mesh));
        let mut open: Vec<Open> = WAYS
            .iter()
            .zip(&listeners)
            .flat_map(|(ends, listener)| (0..100).map(|_| ends.open(&mesh, listener)).collect::<Vec<_>>())
            .collect();
        let (done, broken) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for chunk in open.chunks_mut(100) {
                scope.spawn(|| {
                    // Once more after the rules are in.
                    let mut last = false;
                    while !last {
                        last = done.load(Ordering::Acquire);
                        if !chunk.iter_mut().all(|open| open.is_alive(Past::Used)) {
                            broken.store(true, Ordering::Release);
                            return;
                        }
                    }
                });
            }
            let repaired = mesh.repair();
            done.store(true, Ordering::Release);
            assert!(repaired.unwrap().new);
        });
        assert!(!broken.into_inner(), "{fields:?}");
        diverted(&mesh);
    }
}

/// The SYN came, its answer is lost until the rules are in. `None`: that took so long that the SYN was sent again, which is
/// then diverted, and no longer this connection.
fn being_made(mesh: &Mesh, ends: Ends) -> Option<Open> {
    let listener = ends.listen(mesh);
    // A first one, so that neighbours know each other: a SYN that is lost is not sent again.
    drop(ends.open(mesh, &listener));
    // Lost where it arrives: who sends it does not notice.
    let (begin, _) = ends.places(mesh);
    let device = if ends.way == Way::In { "pod0" } else { "eth0" };
    begin.nft(&format!(
        "table netdev lost {{
            chain lost {{
                type filter hook ingress device {device} priority 0
                tcp flags & (syn | ack) == syn | ack drop
            }}
        }}"
    ));
    let to = listener.local_addr().unwrap();
    let to = SocketAddr::new(to.ip().to_canonical(), to.port());
    let near = Probe::tcp(Who::APP, &to.to_string()).open(begin).unwrap();
    near.set_nonblocking(true).unwrap();
    let start = Instant::now();
    begin.run_as(Who::APP, || near.connect(&to.into())).unwrap_err();
    mesh.repair().unwrap();
    if start.elapsed() > SYN_AGAIN {
        return None;
    }
    begin.nft("delete table netdev lost");
    near.set_nonblocking(false).unwrap();
    let far = accept(&listener).unwrap_or_else(|| panic!("{ends:?}: nobody comes"));
    let open = Open { near: TcpStream::from(near), far };
    for end in [&open.near, &open.far] {
        end.set_read_timeout(Some(patience(Duration::from_secs(4)))).unwrap();
    }
    Some(open)
}

/// Less than a second, after which the kernel sends a SYN again.
const SYN_AGAIN: Duration = Duration::from_millis(900);

#[test]
fn connections_that_are_being_made_are_made() {
    need!(need::ids(), need::program("nft"));
    for fields in MODES {
        for ends in WAYS.into_iter().filter(|ends| ends.way != Way::Within) {
            let made = (0..20).find_map(|_| {
                let mesh = Mesh::unprogrammed(fields);
                being_made(&mesh, ends).map(|open| (mesh, open))
            });
            let (_mesh, mut open) = made.expect("a repair within a second");
            assert!(open.is_alive(Past::Used), "{fields:?}, {ends:?}");
        }
    }
}
