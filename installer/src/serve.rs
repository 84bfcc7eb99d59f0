//! /healthz, /readyz and /metrics. A request is a line, an answer is short: no library is needed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::shared::Shared;

/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than any request that is meant for us.
const LARGEST: usize = 8192;
/// Clients at a time.
const CLIENTS: usize = 32;

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves for ever. Where the address is taken, as during an upgrade, it says so and keeps trying.
pub async fn serve(listen: SocketAddr, shared: Arc<Shared>) {
    let mut said = false;
    let listener = loop {
        match TcpListener::bind(listen).await {
            Ok(listener) => break listener,
            Err(error) if !said => {
                tracing::warn!("nothing is served yet: {listen}: {error}; trying on");
                said = true;
            }
            Err(_) => {}
        }
        sleep(Duration::from_millis(500)).await;
    };
    tracing::info!("serving /healthz, /readyz and /metrics on {listen}");
    let clients = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let Ok(place) = Arc::clone(&clients).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let _ = timeout(PATIENCE, answer(stream, &shared)).await;
                    drop(place);
                });
            }
            // Out of file descriptors, mostly: it passes.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if request.len() > LARGEST || stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&request);
    let mut words = text.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default();
    let (status, kind, body) = match (method, path) {
        ("GET" | "HEAD", "/healthz") => said(shared.healthy()),
        ("GET" | "HEAD", "/readyz") => said(shared.ready().await),
        ("GET" | "HEAD", "/metrics") => ("200 OK", OPEN_METRICS, shared.metrics.text()),
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
