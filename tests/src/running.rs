//! Connections of a running pod, both ends in hand, and rules put in as a repair puts them.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use dialect::{self, Config, Decision};
use netlink::deadline::Deadline;
use netlink::netns;
use pod::program::{self, Plan, Programmed};
use redirect::Redirect;
use socket2::{SockRef, Socket};

use crate::mesh::Mesh;
use crate::ns::{Netns, Who};
use crate::plugin::ANNOTATIONS;
use crate::probe::{Probe, patience};

/// Where a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Outside, to the pod's own address.
    In,
    /// In the pod, to an address outside.
    Out,
    /// In the pod, to the pod's own address: over lo.
    Within,
}

/// The addresses of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    pub way: Way,
    from: &'static str,
    to: &'static str,
}

/// Every way, in both families; one comes over IPv4 to a socket of IPv6.
pub const WAYS: [Ends; 7] = [
    Ends { way: Way::In, from: "10.1.0.1:0", to: "10.1.0.2:0" },
    Ends { way: Way::In, from: "10.1.0.1:0", to: "[::ffff:10.1.0.2]:0" },
    Ends { way: Way::In, from: "[fd00:1::1]:0", to: "[fd00:1::2]:0" },
    Ends { way: Way::Out, from: "10.1.0.2:0", to: "192.0.2.10:0" },
    Ends { way: Way::Out, from: "[fd00:1::2]:0", to: "[2001:db8::10]:0" },
    Ends { way: Way::Within, from: "10.1.0.2:0", to: "10.1.0.2:0" },
    Ends { way: Way::Within, from: "[::1]:0", to: "[::1]:0" },
];

impl Ends {
    /// The namespaces where it begins and ends.
    #[must_use]
    pub fn places<'m>(&self, mesh: &'m Mesh) -> (&'m Netns, &'m Netns) {
        match self.way {
            Way::In => (&mesh.peer, &mesh.pod),
            Way::Out => (&mesh.pod, &mesh.peer),
            Way::Within => (&mesh.pod, &mesh.pod),
        }
    }

    /// Who listens at its end, now and later.
    #[must_use]
    pub fn listen(&self, mesh: &Mesh) -> TcpListener {
        let (_, end) = self.places(mesh);
        let listener = end.run_as(Who::APP, || TcpListener::bind(self.to)).expect("a listener");
        listener.set_nonblocking(true).expect("O_NONBLOCK");
        listener
    }

    /// A connection to that listener.
    #[must_use]
    pub fn open(&self, mesh: &Mesh, listener: &TcpListener) -> Open {
        let to = listener.local_addr().expect("its address");
        let to = SocketAddr::new(to.ip().to_canonical(), to.port());
        let probe = Probe::tcp(Who::APP, &to.to_string()).from(self.from);
        let (begin, _) = self.places(mesh);
        let near = probe.open(begin).expect("a socket");
        begin
            .run_as(Who::APP, || near.connect_timeout(&to.into(), patience(Duration::from_secs(4))))
            .unwrap_or_else(|error| panic!("{self:?}: {error}"));
        let far = accept(listener).unwrap_or_else(|| panic!("{self:?}: nobody comes"));
        let open = Open { near: TcpStream::from(near), far };
        open.near.set_read_timeout(Some(patience(Duration::from_secs(4)))).expect("a time-out");
        open.far.set_read_timeout(Some(patience(Duration::from_secs(4)))).expect("a time-out");
        open
    }
}

/// Who comes to a listener, if anybody does in the time in which a SYN is sent four times.
#[must_use]
pub fn accept(listener: &TcpListener) -> Option<TcpStream> {
    let end = Instant::now() + patience(Duration::from_secs(20));
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).expect("O_NONBLOCK");
                return Some(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(_) => return None,
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Open {
    /// The end that began it.
    pub near: TcpStream,
    /// The end that listened.
    pub far: TcpStream,
}

/// What an open connection goes through before rules come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// Nothing was ever sent.
    Silent,
    /// Both ends have sent.
    Used,
    /// The end that began it sends no more.
    NearShut,
    /// The other end sends no more.
    FarShut,
}

/// All of them.
pub const PASTS: [Past; 4] = [Past::Silent, Past::Used, Past::NearShut, Past::FarShut];

impl Open {
    /// Goes through that.
    pub fn live_through(&mut self, past: Past) {
        if past != Past::Silent {
            assert!(self.is_alive(Past::Used), "{self:?}");
        }
        match past {
            Past::NearShut => self.near.shutdown(Shutdown::Write).expect("shutdown"),
            Past::FarShut => self.far.shutdown(Shutdown::Write).expect("shutdown"),
            Past::Silent | Past::Used => {}
        }
        if matches!(past, Past::NearShut | Past::FarShut) {
            let reader = if past == Past::NearShut { &mut self.far } else { &mut self.near };
            assert_eq!(reader.read(&mut [0; 8]).expect("the end"), 0);
        }
    }

    /// Whether what is sent arrives, from each end that may send.
    pub fn is_alive(&mut self, past: Past) -> bool {
        let passes = |from: &mut TcpStream, to: &mut TcpStream| {
            let mut buffer = [0; 5];
            from.write_all(b"still").is_ok() && to.read_exact(&mut buffer).is_ok() && &buffer == b"still"
        };
        (past == Past::NearShut || passes(&mut self.near, &mut self.far))
            && (past == Past::FarShut || passes(&mut self.far, &mut self.near))
    }

    /// Where it begins and where it goes.
    #[must_use]
    pub fn ends(&self) -> (SocketAddr, SocketAddr) {
        (self.near.local_addr().expect("an address"), self.near.peer_addr().expect("an address"))
    }

    /// Ends it: by a reset, or by both ends' FIN.
    pub fn end(self, how: End) {
        let Self { mut near, mut far } = self;
        let (first, second) = match how {
            End::NearReset | End::NearFin => (&mut near, &mut far),
            End::FarReset | End::FarFin => (&mut far, &mut near),
        };
        if matches!(how, End::NearReset | End::FarReset) {
            SockRef::from(&*first).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
        }
        match how {
            // The other end learns of it before it goes.
            End::NearReset => {
                drop(near);
                let _ = far.read(&mut [0; 8]);
            }
            End::FarReset => {
                drop(far);
                let _ = near.read(&mut [0; 8]);
            }
            End::NearFin | End::FarFin => {
                first.shutdown(Shutdown::Write).expect("shutdown");
                let _ = second.read(&mut [0; 8]);
                second.shutdown(Shutdown::Write).expect("shutdown");
                let _ = first.read(&mut [0; 8]);
            }
        }
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    NearReset,
    FarReset,
    NearFin,
    FarFin,
}

/// All of them.
pub const ENDS: [End; 4] = [End::NearReset, End::FarReset, End::NearFin, End::FarFin];

impl Mesh {
    /// Puts the rules into the running pod, as a repair does.
    pub fn repair(&self) -> Result<Programmed, program::Error> {
        let netns = netns::Netns::open(self.pod.path()).expect("the pod's namespace");
        let plan = Plan::new(&self.redirect());
        program::enter_running(&plan, &netns, "eth0", Deadline::after(patience(Duration::from_secs(10))))
    }

    /// What its annotations come to.
    #[must_use]
    pub fn redirect(&self) -> Redirect {
        let annotations: BTreeMap<String, String> =
            serde_json::from_value(self.request.config["runtimeConfig"][ANNOTATIONS].clone())
                .expect("annotations");
        let pod =
            dialect::Pod { annotations: &annotations, namespace: "shop", has_ipv4: true, proxy_ids: None };
        match dialect::decide(&pod, &Config::default()) {
            Ok(Decision::Divert { redirect, .. }) => *redirect,
            other => panic!("{other:?}"),
        }
    }
}

/// Connects again from and to where a connection was, as soon as its end lets go of the port; the error if it does not come about.
pub fn again(ns: &Netns, (from, to): (SocketAddr, SocketAddr)) -> std::io::Result<Socket> {
    // Its own TIME_WAIT is in the way for a second.
    ns.sysctl("ipv4/tcp_tw_reuse", "1");
    let probe = Probe::tcp(Who::APP, &to.to_string()).from(&from.to_string()).briefly();
    let end = Instant::now() + patience(Duration::from_secs(10));
    loop {
        let socket = probe.open(ns);
        let connected = socket.and_then(|socket| {
            ns.run_as(Who::APP, || socket.connect_timeout(&to.into(), probe.patience)).map(|()| socket)
        });
        match connected {
            Err(error)
                if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable)
                    && Instant::now() < end =>
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            other => return other,
        }
    }
}
