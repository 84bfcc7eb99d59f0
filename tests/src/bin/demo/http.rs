//! Just enough HTTP: a server that says whom it sees, and a request.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use sluice_tests::{Netns, Probe, Who};

/// Nothing here takes longer than this unless it is lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// The header by which the sidecar says that it had a connection.
pub(crate) const HEADER: &str = "x-sidecar: ";

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The sidecar's words, if it was on the way.
    pub(crate) via: Option<String>,
    pub(crate) body: String,
}

/// Listens inside under someone's ids, and answers everyone with whom it sees.
pub(crate) fn serve(
    ns: &Netns,
    who: Who,
    name: &'static str,
    ip: &'static str,
    ports: &[u16],
) -> io::Result<()> {
    for &port in ports {
        let listener = ns.run_as(who, || TcpListener::bind((ip, port)))?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = welcome(stream, name);
            }
        });
    }
    Ok(())
}

fn welcome(mut stream: TcpStream, name: &str) -> io::Result<()> {
    let _ = head(&mut stream)?;
    let sees = stream.peer_addr()?.ip();
    stream.write_all(response(&format!("{name} sees {sees}")).as_bytes())
}

/// A whole response.
pub(crate) fn response(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}\n")
}

/// Everything up to the empty line: requests here have nothing after it.
pub(crate) fn head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => head.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(head)
}

/// Sends `request` and reads all of the response.
pub(crate) fn exchange(mut stream: TcpStream, request: &[u8]) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}

/// GET / from a namespace under someone's ids.
pub(crate) fn get(ns: &Netns, who: Who, to: SocketAddr) -> io::Result<Answer> {
    let socket = Probe::tcp(who, &to.to_string()).open(ns)?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    let request = format!("GET / HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n\r\n");
    let response = exchange(socket.into(), request.as_bytes())?;
    let (head, body) = response.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    let via = head.lines().find_map(|line| line.strip_prefix(HEADER));
    Ok(Answer { via: via.map(str::to_owned), body: body.trim_end().to_owned() })
}
