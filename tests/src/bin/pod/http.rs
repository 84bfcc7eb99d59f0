//! HTTP/1.1, as much as two lines need: every answer says who answers and what its socket calls the other end.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// Answers every request on `port`, v4 and v6, with `<name> sees <peer>` and the request's head; says on stdout who asked what.
pub(crate) fn serve(port: &str, name: &str) -> Result<()> {
    let listener = TcpListener::bind(format!("[::]:{port}"))
        .or_else(|_| TcpListener::bind(format!("0.0.0.0:{port}")))?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let (stream, name) = (stream?, name.to_string());
        std::thread::spawn(move || answer(stream, &name));
    }
    Ok(())
}

fn answer(mut stream: TcpStream, name: &str) -> Result<()> {
    let (peer, own) = (stream.peer_addr()?, stream.local_addr()?);
    let mut lines = BufReader::new(stream.try_clone()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if lines.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        println!("asked by {}: {}", plain(peer).ip(), head.lines().next().unwrap_or_default());
        let body = format!("{name} sees {} at {}\n{head}", plain(peer), plain(own));
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nserver: {name}\r\n\r\n{body}", body.len())?;
    }
}

/// A v4 address as such, on a v6 socket too.
pub(crate) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// One request; status line, headers and body on stdout, and before them the port it called from.
pub(crate) fn get(address: &str, path: &str) -> Result<()> {
    let (from, answer) = fetch(address, path, PATIENCE)?;
    print!("from {from}\n{answer}");
    Ok(())
}

/// One request: the port it called from, and the whole answer.
pub(crate) fn fetch(address: &str, path: &str, patience: Duration) -> Result<(SocketAddr, String)> {
    let address: SocketAddr = address.parse().map_err(Error::other)?;
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    let from = stream.local_addr()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut reader = BufReader::new(stream);
    let (mut answer, mut length) = (String::new(), None);
    while !answer.ends_with("\r\n\r\n") {
        let start = answer.len();
        if reader.read_line(&mut answer)? == 0 {
            return Err(Error::other(format!("closed after {answer:?}")));
        }
        if let Some((key, value)) = answer[start..].split_once(':')
            && key.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
    reader.take(length.unwrap_or(u64::MAX)).read_to_string(&mut answer)?;
    Ok((from, answer))
}
