//! A pod's first connection.

use std::io::{Error, ErrorKind, Result};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(5);

/// Connects to `address` at once, and ends well only if that arrives at our own `port`, as a proxy's.
pub(crate) fn connect(port: &str, address: &str) -> Result<()> {
    let proxy = TcpListener::bind(format!("0.0.0.0:{port}"))?;
    proxy.set_nonblocking(true)?;
    let address: SocketAddr = address.parse().map_err(Error::other)?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE)
        .map_err(|error| Error::other(format!("{address} past the proxy: {error}")))?;
    let (own, end) = (stream.local_addr()?, Instant::now() + PATIENCE);
    loop {
        match proxy.accept() {
            Ok((_, peer)) if peer == own => break,
            Ok((_, peer)) => return Err(Error::other(format!("{peer} is not ours"))),
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(Error::other(format!("{address} was reached past the proxy: {error}"))),
        }
    }
    println!("{address}: the proxy has it");
    Ok(())
}
