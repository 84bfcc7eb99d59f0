//! The agent's socket, `<stateDir>/agent.sock`: root asks, one line each way.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pod::agent::{Answer, socket};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::{answer, parse};
use crate::kube::pods::Pods;
use crate::metrics::kubernetes::{Asked, Kubernetes as Metrics};

/// How long a client may take, our own waiting included.
const PATIENCE: Duration = Duration::from_secs(4);
/// More than any question.
const LARGEST: u64 = 4096;
/// Clients at a time; others wait in the socket.
const CLIENTS: usize = 256;
/// What anybody is told where no API server is asked for pods.
const NO_KUBERNETES: &str =
    "sluice-node runs with --no-kubernetes and knows no pod; run it without, or let no entry ask it";
/// How often it is looked whether the socket still leads here.
const LOOK: Duration = Duration::from_secs(5);

/// Answers for ever; without pods, that there are none to tell of. The file stays when this program ends: its successor puts its own in its place.
pub(in crate::kube) async fn serve(state_dir: PathBuf, pods: Option<Arc<Pods>>, metrics: Metrics) {
    let path = socket(&state_dir);
    let mut said = None;
    loop {
        match open(&path) {
            Ok(listener) => {
                said = None;
                tokio::select! {
                    () = accept(listener, pods.as_ref(), &metrics) => {}
                    () = lost(&path) => {}
                }
            }
            Err(error) => {
                let text = format!("{}: {error}", path.display());
                if said.as_ref() != Some(&text) {
                    tracing::warn!("the agent cannot be asked: {text}; retrying");
                    said = Some(text);
                }
                sleep(LOOK).await;
            }
        }
    }
}

/// Under another name first, so that at every moment somebody answers under the real one.
fn open(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mine = path.with_extension(format!("{}.tmp", std::process::id()));
    let _ = std::fs::remove_file(&mine);
    let listener = UnixListener::bind(&mine)?;
    let placed = std::fs::set_permissions(&mine, std::fs::Permissions::from_mode(0o600))
        .and_then(|()| std::fs::rename(&mine, path));
    placed.inspect_err(|_| drop(std::fs::remove_file(&mine)))?;
    Ok(listener)
}

/// Ends when nobody answers under the name any more: the folder was emptied, or another program of ours came and went.
async fn lost(path: &Path) {
    loop {
        sleep(LOOK).await;
        if UnixStream::connect(path).await.is_err() {
            return;
        }
    }
}

async fn accept(listener: UnixListener, pods: Option<&Arc<Pods>>, metrics: &Metrics) {
    let clients = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let Ok(place) = Arc::clone(&clients).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (pods, metrics) = (pods.cloned(), metrics.clone());
                tokio::spawn(async move {
                    let _ = timeout(PATIENCE, talk(stream, pods.as_deref(), &metrics)).await;
                    drop(place);
                });
            }
            // Out of file descriptors, mostly: it passes.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn talk(stream: UnixStream, pods: Option<&Pods>, metrics: &Metrics) -> io::Result<()> {
    let root = stream.peer_cred()?.uid() == 0;
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(LARGEST)).read_line(&mut line).await?;
    // Only looked whether somebody is here.
    if line.is_empty() {
        return Ok(());
    }
    let (answer, asked) = match parse(&line) {
        _ if !root => (Answer::error("only root is answered"), Asked::Refused),
        Err(why) => (Answer::error(why.to_string()), Asked::Refused),
        Ok(question) => {
            let answer = match pods {
                Some(pods) => self::answer(&question, pods).await,
                None => Answer::error(NO_KUBERNETES),
            };
            let asked = if answer.error.is_none() { Asked::Known } else { Asked::Unknown };
            (answer, asked)
        }
    };
    metrics.answered(asked);
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    write.write_all(&text).await
}
