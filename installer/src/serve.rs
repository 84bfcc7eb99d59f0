//! /healthz, /readyz and /metrics. A request is a line, an answer is short: no library is needed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::health::Health;
use crate::metrics::Metrics;
use crate::readiness::probe::Probe;

/// How long a client may take to ask, and with its answer.
const ASKING: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);
/// More than any request that is meant for us.
const LARGEST: usize = 8192;
/// Clients at a time, from elsewhere and from this node: whoever opens connections and says nothing must not keep the
/// kubelet from asking.
const CLIENTS: (usize, usize) = (32, 256);
/// So old an answer of the runtime is good enough for those from elsewhere.
const OLD: Duration = Duration::from_secs(1);

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What answers are made of.
#[derive(Debug)]
pub struct Answers {
    /// /healthz.
    pub health: Arc<Health>,
    /// /readyz.
    pub readiness: Arc<Probe>,
    /// /metrics.
    pub metrics: Metrics,
}

/// Serves for ever. Where the address is taken, as during an upgrade, it says so and keeps trying.
pub async fn serve(listen: SocketAddr, answers: Answers) {
    let answers = Arc::new(answers);
    let mut said = false;
    let listener = loop {
        match TcpListener::bind(listen).await {
            Ok(listener) => break listener,
            Err(error) if !said => {
                tracing::warn!("nothing is served yet: {listen}: {error}; retrying");
                said = true;
            }
            Err(_) => {}
        }
        sleep(Duration::from_millis(500)).await;
    };
    tracing::info!("serving /healthz, /readyz and /metrics on {listen}");
    let places = Places::default();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let local = stream.local_addr().is_ok_and(|own| is_local(peer.ip(), own.ip()));
                // Too many: it is closed at once, and comes again.
                let Some(place) = places.take(local) else { continue };
                let answers = Arc::clone(&answers);
                tokio::spawn(async move {
                    let _ = timeout(PATIENCE, answer(stream, local, &answers)).await;
                    drop(place);
                });
            }
            // Out of file descriptors, mostly: it passes.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Who may be served at a time.
#[derive(Debug)]
struct Places {
    others: Arc<Semaphore>,
    local: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        let (others, local) = CLIENTS;
        Self { others: Arc::new(Semaphore::new(others)), local: Arc::new(Semaphore::new(local)) }
    }
}

impl Places {
    /// A place until it is dropped, if there is one left.
    fn take(&self, local: bool) -> Option<OwnedSemaphorePermit> {
        Arc::clone(if local { &self.local } else { &self.others }).try_acquire_owned().ok()
    }
}

/// The peer is on this node's own network, as the kubelet is: pods have addresses of their own.
fn is_local(peer: IpAddr, own: IpAddr) -> bool {
    let peer = peer.to_canonical();
    peer.is_loopback() || peer == own.to_canonical()
}

/// The request's head; `None` if it is none.
async fn head(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if request.len() > LARGEST || stream.read_buf(&mut request).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(String::from_utf8_lossy(&request).into_owned()))
}

async fn answer(mut stream: TcpStream, local: bool, answers: &Answers) -> std::io::Result<()> {
    let Some(text) = timeout(ASKING, head(&mut stream)).await?? else {
        return Ok(());
    };
    let mut words = text.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default();
    let (status, kind, body) = match (method, path) {
        ("GET" | "HEAD", "/healthz") => said(answers.health.check()),
        ("GET" | "HEAD", "/readyz") => {
            let probe = &answers.readiness;
            let readiness = if local { probe.ask().await } else { probe.ask_within(OLD).await };
            said((readiness.ready, readiness.text))
        }
        ("GET" | "HEAD", "/metrics") => ("200 OK", OPEN_METRICS, answers.metrics.text()),
        ("GET" | "HEAD", _) => ("404 Not Found", TEXT, "/healthz, /readyz, /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", TEXT, "GET only\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if method != "HEAD" {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}

fn said((good, text): (bool, String)) -> (&'static str, &'static str, String) {
    let status = if good { "200 OK" } else { "503 Service Unavailable" };
    (status, TEXT, text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_come_from_elsewhere_the_kubelet_has_a_place() {
        let places = Places::default();
        let taken: Vec<_> = std::iter::from_fn(|| places.take(false)).take(10_000).collect();
        assert_eq!(taken.len(), CLIENTS.0);
        assert!(places.take(true).is_some());
        drop(taken);
        assert!(places.take(false).is_some(), "places come back");
    }

    #[test]
    fn a_peer_with_our_own_address_is_on_this_node() {
        let is = |peer: &str, own: &str| is_local(peer.parse().unwrap(), own.parse().unwrap());
        assert!(is("127.0.0.1", "127.0.0.1") && is("::1", "::1") && is("10.0.0.5", "10.0.0.5"));
        assert!(is("::ffff:10.0.0.5", "10.0.0.5") && is("::ffff:127.0.0.1", "::ffff:127.0.0.1"));
        assert!(!is("10.244.0.7", "10.0.0.5") && !is("fd00::7", "fd00::5"));
    }
}
