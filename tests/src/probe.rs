//! One packet (or connection) sent on its way, and what became of it.

use std::fmt;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::ns::{Netns, Who};

/// Long enough for a loaded machine; only a packet that stays without an answer ever waits for it.
const PATIENCE: Duration = Duration::from_secs(4);

/// A time to wait, on a machine that may be slower than others by the factor in `SLUICE_PATIENCE`.
#[must_use]
pub fn patience(usual: Duration) -> Duration {
    let factor = std::env::var("SLUICE_PATIENCE").map_or(1, |factor| factor.parse().expect("a factor"));
    usual * factor
}

/// What to send, and as whom.
#[derive(Clone, Debug)]
pub struct Probe {
    pub who: Who,
    pub udp: bool,
    pub to: SocketAddr,
    pub from: Option<SocketAddr>,
    pub mark: Option<u32>,
    /// IP_TRANSPARENT: `from` need not be an own address.
    pub transparent: bool,
    pub patience: Duration,
}

/// What became of it.
#[derive(Debug)]
pub enum Seen {
    /// Someone took it.
    Taken(Answer),
    Refused,
    Silent,
    /// It could not even be sent.
    Unsendable(String),
}

/// Who took it, and what they know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub by: String,
    /// What SO_ORIGINAL_DST says.
    pub orig: Option<SocketAddr>,
    /// Whom they saw.
    pub peer: SocketAddr,
    /// The address they took it on.
    pub local: SocketAddr,
}

impl Probe {
    #[must_use]
    pub fn tcp(who: Who, to: &str) -> Self {
        let to = to.parse().unwrap_or_else(|error| panic!("{to}: {error}"));
        Probe {
            who,
            udp: false,
            to,
            from: None,
            mark: None,
            transparent: false,
            patience: patience(PATIENCE),
        }
    }

    #[must_use]
    pub fn udp(who: Who, to: &str) -> Self {
        Probe { udp: true, ..Self::tcp(who, to) }
    }

    /// Sent from this address, whose port may be 0.
    #[must_use]
    pub fn from(self, from: &str) -> Self {
        let from = from.parse().unwrap_or_else(|error| panic!("{from}: {error}"));
        Probe { from: Some(from), ..self }
    }

    #[must_use]
    pub fn mark(self, mark: u32) -> Self {
        Probe { mark: Some(mark), ..self }
    }

    #[must_use]
    pub fn transparent(self) -> Self {
        Probe { transparent: true, ..self }
    }

    /// For a packet that should stay without an answer.
    #[must_use]
    pub fn briefly(self) -> Self {
        Probe { patience: patience(Duration::from_millis(700)), ..self }
    }

    /// The socket, ready to connect; for those who want to keep it.
    pub fn open(&self, ns: &Netns) -> std::io::Result<Socket> {
        ns.run_as(self.who, || {
            let (kind, protocol) =
                if self.udp { (Type::DGRAM, Protocol::UDP) } else { (Type::STREAM, Protocol::TCP) };
            let socket = Socket::new(Domain::for_address(self.to), kind, Some(protocol))?;
            socket.set_reuse_address(true)?;
            if let Some(mark) = self.mark {
                socket.set_mark(mark)?;
            }
            if self.transparent {
                if self.to.is_ipv4() {
                    socket.set_ip_transparent_v4(true)?;
                } else {
                    socket.set_ip_transparent_v6(true)?;
                }
            }
            if let Some(from) = self.from {
                socket.bind(&from.into())?;
            }
            Ok(socket)
        })
    }

    /// Sends it and waits for what becomes of it.
    #[must_use]
    pub fn send(&self, ns: &Netns) -> Seen {
        match self.connect(ns) {
            Ok((answer, _)) => Seen::Taken(answer),
            Err(seen) => seen,
        }
    }

    /// Connects and keeps the connection.
    pub fn connect(&self, ns: &Netns) -> Result<(Answer, Socket), Seen> {
        let socket = self.open(ns).map_err(|error| Seen::Unsendable(error.to_string()))?;
        let answer = ns.run(|| self.ask(&socket)).map_err(|error| {
            // A connection that was made and got no answer in time ends by a reset: its port is free at once.
            let _ = socket.set_linger(Some(Duration::ZERO));
            match error.kind() {
                ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Seen::Refused,
                ErrorKind::TimedOut | ErrorKind::WouldBlock => Seen::Silent,
                _ => Seen::Unsendable(error.to_string()),
            }
        })?;
        Ok((answer, socket))
    }

    fn ask(&self, socket: &Socket) -> std::io::Result<Answer> {
        let mut line = String::new();
        if self.udp {
            let socket = UdpSocket::from(socket.try_clone()?);
            socket.connect(self.to)?;
            line.push_str(&self.ask_by_datagrams(&socket)?);
        } else {
            socket.connect_timeout(&self.to.into(), self.patience)?;
            let stream = TcpStream::from(socket.try_clone()?);
            stream.set_read_timeout(Some(self.patience))?;
            BufReader::new(stream).read_line(&mut line)?;
        }
        line.parse()
            .map_err(|()| std::io::Error::new(ErrorKind::ConnectionReset, format!("closed after {line:?}")))
    }

    /// A datagram may get lost on a busy machine, as a resolver knows: it is sent again, twice.
    fn ask_by_datagrams(&self, socket: &UdpSocket) -> std::io::Result<String> {
        const TRIES: u32 = 3;
        socket.set_read_timeout(Some(self.patience / TRIES))?;
        let mut buffer = [0; 512];
        let mut answer = Err(ErrorKind::TimedOut.into());
        for _ in 0..TRIES {
            socket.send(b"who?")?;
            answer = socket.recv(&mut buffer);
            if !answer
                .as_ref()
                .is_err_and(|error| matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock))
            {
                break;
            }
        }
        Ok(String::from_utf8_lossy(buffer.get(..answer?).unwrap_or_default()).into_owned())
    }
}

impl std::str::FromStr for Answer {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let mut parts = line.trim_end().split('|');
        let mut next = || parts.next().ok_or(());
        Ok(Answer {
            by: next()?.into(),
            orig: next()?.parse().ok(),
            peer: next()?.parse().map_err(drop)?,
            local: next()?.parse().map_err(drop)?,
        })
    }
}

impl Seen {
    /// Who took it, or `REFUSED`, `SILENT`, `n/a`.
    #[must_use]
    pub fn by(&self) -> &str {
        match self {
            Seen::Taken(answer) => &answer.by,
            Seen::Refused => "REFUSED",
            Seen::Silent => "SILENT",
            Seen::Unsendable(_) => "n/a",
        }
    }

    /// The answer; anything else fails the test.
    #[must_use]
    pub fn answer(self) -> Answer {
        match self {
            Seen::Taken(answer) => answer,
            other => panic!("nobody took it: {other}"),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seen::Taken(Answer { by, orig: Some(orig), .. }) => write!(out, "{by} orig={orig}"),
            Seen::Unsendable(why) => write!(out, "n/a ({why})"),
            other => out.write_str(other.by()),
        }
    }
}
