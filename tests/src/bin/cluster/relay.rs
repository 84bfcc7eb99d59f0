//! The API server on this machine's loopback, without a link between the networks: a socket belongs to the namespace it was
//! made in, so one process can hold both ends.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use sluice_tests::Netns;

/// Listens on a free port of 127.0.0.1 and passes connections on to `address` in that network; the port.
pub(crate) fn start(network: Netns, address: SocketAddr) -> io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for here in listener.incoming().flatten() {
            if let Ok(there) = network.run(|| TcpStream::connect(address)) {
                let _ = join(&here, &there);
            }
        }
    });
    Ok(port)
}

fn join(here: &TcpStream, there: &TcpStream) -> io::Result<()> {
    for (from, to) in [(here, there), (there, here)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}
