//! The sidecar proxy: takes what the rules bring it, asks the kernel where that was going, says so in
//! a header of the answer, and passes it on.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use sluice_tests::serve::original_dst;
use sluice_tests::{Netns, Who};
use socket2::SockRef;

use crate::http;

pub(crate) const INBOUND: u16 = 4143;
pub(crate) const OUTBOUND: u16 = 4140;

/// More at one time can only be a loop.
const CROWD: u32 = 16;

/// A running sidecar.
#[derive(Clone)]
pub(crate) struct Sidecar {
    /// Whether the kernel can tell it from the app. If not, what it sends outside would come back to it.
    told_apart: bool,
    inside: Arc<AtomicU32>,
    taken: Arc<AtomicU32>,
}

impl Sidecar {
    /// Listens inside under its own ids.
    pub(crate) fn start(pod: &Netns, who: Who, told_apart: bool) -> io::Result<Self> {
        let sidecar = Sidecar { told_apart, inside: Arc::default(), taken: Arc::default() };
        for port in [INBOUND, OUTBOUND] {
            // Threads made in there stay in there, and keep the ids.
            pod.run_as(who, || -> io::Result<()> {
                let listener = TcpListener::bind(("0.0.0.0", port))?;
                let sidecar = sidecar.clone();
                thread::spawn(move || {
                    for stream in listener.incoming().flatten() {
                        let sidecar = sidecar.clone();
                        thread::spawn(move || {
                            sidecar.taken.fetch_add(1, Ordering::SeqCst);
                            sidecar.inside.fetch_add(1, Ordering::SeqCst);
                            let _ = sidecar.pass_on(stream, port);
                            sidecar.inside.fetch_sub(1, Ordering::SeqCst);
                        });
                    }
                });
                Ok(())
            })?;
        }
        Ok(sidecar)
    }

    /// Connections taken so far.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Ordering::SeqCst)
    }

    fn pass_on(&self, mut stream: TcpStream, port: u16) -> io::Result<()> {
        let local = stream.local_addr()?;
        let request = http::head(&mut stream)?;
        let meant = original_dst(&SockRef::from(&stream), local).filter(|meant| *meant != local);
        let answer = match meant {
            _ if self.inside.load(Ordering::SeqCst) > CROWD => http::response("proxy sees a loop"),
            None => http::response("proxy was called by its own address"),
            Some(_) if port == OUTBOUND && !self.told_apart => http::response("proxy answers itself"),
            Some(meant) if port == INBOUND => {
                let app = SocketAddr::from(([127, 0, 0, 1], meant.port()));
                http::exchange(TcpStream::connect(app)?, &request)?
            }
            Some(meant) => http::exchange(TcpStream::connect(meant)?, &request)?,
        };
        let meant = meant.map_or("unknown".to_owned(), |meant| meant.to_string());
        let header = format!("\r\n{}{port}, meant for {meant}\r\n", http::HEADER);
        stream.write_all(answer.replacen("\r\n", &header, 1).as_bytes())
    }
}
