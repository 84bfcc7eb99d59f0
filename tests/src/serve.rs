//! Listeners that answer with who they are, and echo what they are sent after that.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::ns::Netns;

/// One listener to be.
#[derive(Clone, Debug)]
pub struct Listen {
    /// What it answers: `POD:4143`.
    pub name: String,
    pub addr: SocketAddr,
    pub udp: bool,
    /// IP_TRANSPARENT: takes what TPROXY brings it.
    pub transparent: bool,
}

impl Listen {
    #[must_use]
    pub fn tcp(name: &str, addr: &str) -> Self {
        let addr = addr.parse().unwrap_or_else(|error| panic!("{addr}: {error}"));
        Listen { name: name.into(), addr, udp: false, transparent: false }
    }

    #[must_use]
    pub fn udp(name: &str, addr: &str) -> Self {
        Listen { udp: true, ..Self::tcp(name, addr) }
    }

    #[must_use]
    pub fn transparent(self) -> Self {
        Listen { transparent: true, ..self }
    }

    /// `<who>:<port>` for each port, on one address.
    #[must_use]
    pub fn ports(who: &str, ip: &str, ports: &[u16]) -> Vec<Self> {
        ports.iter().map(|port| Self::tcp(&format!("{who}:{port}"), &format!("{ip}:{port}"))).collect()
    }

    fn open(&self) -> Socket {
        let kind = if self.udp { Type::DGRAM } else { Type::STREAM };
        let protocol = if self.udp { Protocol::UDP } else { Protocol::TCP };
        let socket = Socket::new(Domain::for_address(self.addr), kind, Some(protocol)).expect("a socket");
        socket.set_reuse_address(true).expect("SO_REUSEADDR");
        if self.addr.is_ipv6() {
            socket.set_only_v6(true).expect("IPV6_V6ONLY");
        }
        if self.transparent {
            if self.addr.is_ipv6() {
                socket.set_ip_transparent_v6(true).expect("IPV6_TRANSPARENT");
            } else {
                socket.set_ip_transparent_v4(true).expect("IP_TRANSPARENT");
            }
        }
        socket
            .bind(&self.addr.into())
            .unwrap_or_else(|error| panic!("{} on {}: {error}", self.name, self.addr));
        if !self.udp {
            socket.listen(64).expect("listen");
        }
        socket.set_nonblocking(true).expect("O_NONBLOCK");
        socket
    }
}

/// What SO_ORIGINAL_DST says of a connection.
#[must_use]
pub fn original_dst(socket: &SockRef<'_>, local: SocketAddr) -> Option<SocketAddr> {
    let answer = if local.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
    answer.ok()?.as_socket()
}

/// Listeners of one namespace, until dropped.
#[derive(Debug)]
pub struct Server {
    stop: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens inside; ready when this returns.
    #[must_use]
    pub fn start(ns: &Netns, listeners: Vec<Listen>) -> Self {
        let (stop, stopped) = UnixStream::pair().expect("a pair");
        let open: Vec<_> = ns.run(|| listeners.into_iter().map(|listen| (listen.open(), listen)).collect());
        let thread = ns.spawn(move || serve(&open, &stopped));
        Server { stop, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.write_all(b"x");
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listeners: &[(Socket, Listen)], stopped: &UnixStream) {
    let mut open: HashMap<i32, TcpStream> = HashMap::new();
    loop {
        let ready: Vec<i32> = {
            let mut fds: Vec<_> = std::iter::once(stopped.as_fd())
                .chain(listeners.iter().map(|(socket, _)| socket.as_fd()))
                .chain(open.values().map(AsFd::as_fd))
                .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
                .collect();
            if poll(&mut fds, PollTimeout::NONE).is_err() {
                continue;
            }
            fds.iter().filter(|fd| fd.any().unwrap_or(true)).map(|fd| fd.as_fd().as_raw_fd()).collect()
        };
        if ready.contains(&stopped.as_raw_fd()) {
            return;
        }
        for (socket, listen) in listeners.iter().filter(|(socket, _)| ready.contains(&socket.as_raw_fd())) {
            if listen.udp {
                answer_datagram(socket, listen);
            } else if let Ok((connection, _)) = socket.accept() {
                let mut stream = TcpStream::from(connection);
                if greet(&mut stream, listen).is_ok() {
                    open.insert(stream.as_raw_fd(), stream);
                }
            }
        }
        open.retain(|fd, stream| !ready.contains(fd) || echo(stream));
    }
}

fn greet(stream: &mut TcpStream, listen: &Listen) -> std::io::Result<()> {
    stream.set_nonblocking(true)?;
    let (local, peer) = (stream.local_addr()?, stream.peer_addr()?);
    let orig = original_dst(&SockRef::from(&*stream), local).map_or(String::new(), |addr| addr.to_string());
    stream.write_all(format!("{}|{orig}|{peer}|{local}\n", listen.name).as_bytes())
}

/// False once the other side is gone.
fn echo(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(0) => false,
        Ok(count) => stream.write_all(&buffer[..count]).is_ok(),
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

fn answer_datagram(socket: &Socket, listen: &Listen) {
    let Ok(socket) = socket.try_clone().map(UdpSocket::from) else {
        return;
    };
    let mut buffer = [0; 512];
    while let Ok((count, peer)) = socket.recv_from(&mut buffer) {
        let asked = String::from_utf8_lossy(&buffer[..count]).into_owned();
        // Two listeners would answer each other for ever.
        if asked.contains('|') {
            continue;
        }
        let _ = socket.send_to(format!("{}||{peer}|{}|{asked}", listen.name, listen.addr).as_bytes(), peer);
    }
}
