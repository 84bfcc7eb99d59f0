//! Many questions at once, each answered in a line: what a table of services asks for.

use std::io::Result;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::http;

/// Longer than the 3 s that the tests' proxy waits: its own refusal is to be heard.
const PATIENCE: Duration = Duration::from_secs(4);
/// More than that would wait for each other.
const AT_A_TIME: usize = 32;

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

/// Asks all of `tcp:ADDRESS:PORT` and `udp:ADDRESS:PORT`, some at a time, and prints a line for each, in their order: what was
/// asked, and the answer with ` | ` for its ends of line, or `error: ` and why there was none.
pub(crate) fn all(targets: &[&str]) -> Result<()> {
    let next = AtomicUsize::new(0);
    let ask = || {
        let numbers = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
        let targets = numbers.map_while(|number| targets.get(number).map(|target| (number, *target)));
        targets.map(|(number, target)| (number, target, answer(target))).collect::<Vec<_>>()
    };
    let mut answers = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect::<Vec<_>>()
    });
    answers.sort_unstable();
    for (_, target, answer) in answers {
        println!("{target} {}", answer.lines().collect::<Vec<_>>().join(" | "));
    }
    Ok(())
}

fn answer(target: &str) -> String {
    let answer = match target.split_once(':') {
        Some(("udp", address)) => udp(address),
        Some(("tcp", address)) => http::fetch(address, "/", PATIENCE).map(|(_, answer)| answer),
        _ => Err(std::io::Error::other("neither tcp: nor udp:")),
    };
    answer.unwrap_or_else(|error| format!("error: {error}"))
}

/// Connected, so that an answer from anyone but the one asked does not count.
fn udp(address: &str) -> Result<String> {
    let address: SocketAddr = address.parse().map_err(std::io::Error::other)?;
    let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(address)?;
    socket.send(b"?")?;
    let mut buffer = [0; 512];
    let size = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..size]).into_owned())
}
