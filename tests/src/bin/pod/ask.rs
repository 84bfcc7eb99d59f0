//! Many questions at once, each answered in a line: what a table of services asks for.

use std::io::{Error, Result};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::http;

/// Answers every datagram at `port`, v4 and v6, as the HTTP app answers requests.
pub(crate) fn serve(port: &str, name: &str) -> Result<()> {
    let socket =
        UdpSocket::bind(format!("[::]:{port}")).or_else(|_| UdpSocket::bind(format!("0.0.0.0:{port}")))?;
    let name = name.to_string();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(format!("{name} sees {}", http::plain(peer)).as_bytes(), peer);
        }
    });
    Ok(())
}

/// Asks all of `tcp:ADDRESS:PORT` and `udp:ADDRESS:PORT`, so many at a time and each for so many seconds, and prints a line for
/// each, in their order: what was asked, and the answer with ` | ` for its ends of line, or `error: ` and why there was none.
pub(crate) fn all(seconds: &str, at_a_time: &str, targets: &[&str]) -> Result<()> {
    let patience = Duration::from_secs(seconds.parse().map_err(Error::other)?);
    let at_a_time: usize = at_a_time.parse().map_err(Error::other)?;
    let next = AtomicUsize::new(0);
    let ask = || {
        let numbers = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
        let targets = numbers.map_while(|number| targets.get(number).map(|target| (number, *target)));
        targets.map(|(number, target)| (number, target, answer(target, patience))).collect::<Vec<_>>()
    };
    let mut answers = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..at_a_time).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect::<Vec<_>>()
    });
    answers.sort_unstable();
    for (_, target, answer) in answers {
        println!("{target} {}", answer.lines().collect::<Vec<_>>().join(" | "));
    }
    Ok(())
}

fn answer(target: &str, patience: Duration) -> String {
    let answer = match target.split_once(':') {
        Some(("udp", address)) => udp(address, patience),
        Some(("tcp", address)) => http::fetch(address, "/", patience).map(|(_, answer)| answer),
        _ => Err(Error::other("neither tcp: nor udp:")),
    };
    answer.unwrap_or_else(|error| format!("error: {error}"))
}

/// Connected, so that an answer from anyone but the one asked does not count.
fn udp(address: &str, patience: Duration) -> Result<String> {
    let address: SocketAddr = address.parse().map_err(Error::other)?;
    let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.set_read_timeout(Some(patience))?;
    socket.connect(address)?;
    socket.send(b"?")?;
    let mut buffer = [0; 512];
    let size = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..size]).into_owned())
}
