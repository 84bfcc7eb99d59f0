//! The socket by which commands reach a running `run`: a line of JSON each way.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// How long each side waits for the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a running program may be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum Command {
    /// Look now: the mark is gone.
    Install,
    /// Set the mark, take the entry out and write no more.
    Uninstall {
        /// The installation that is meant, if it has a revision.
        #[serde(default)]
        revision: Option<String>,
    },
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// It was done.
    pub done: bool,
    /// One line.
    pub text: String,
}

/// A command with the way back.
pub type Request = (Command, oneshot::Sender<Reply>);

/// The socket; its file goes with it.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    /// Device and number: somebody may remove the file, or put another in its place.
    file: Option<(u64, u64)>,
    task: tokio::task::JoinHandle<()>,
}

impl Socket {
    /// Listens. Only who holds the folder's lock may: an older socket there is a dead one.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(state_dir: &Path, requests: mpsc::Sender<Request>) -> io::Result<Self> {
        std::fs::create_dir_all(state_dir)?;
        let path = at(state_dir);
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let task = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        tokio::spawn(timeout(PATIENCE, answer(stream, requests.clone())));
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
        Ok(Self { file: number(&path), path, task })
    }

    /// Its file is where others look for it.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.file.is_some() && self.file == number(&self.path)
    }
}

fn number(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.task.abort();
        if self.is_there() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

async fn answer(stream: UnixStream, requests: mpsc::Sender<Request>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(4096)).read_line(&mut line).await?;
    let reply = match serde_json::from_str::<Command>(&line) {
        Ok(command) => {
            let (back, reply) = oneshot::channel();
            let sent = requests.send((command, back)).await.is_ok();
            match reply.await {
                Ok(reply) if sent => reply,
                _ => failed("it is ending"),
            }
        }
        Err(error) => failed(&error.to_string()),
    };
    let mut text = serde_json::to_vec(&reply)?;
    text.push(b'\n');
    write.write_all(&text).await
}

/// Tells a running program. `None`: none runs here.
pub async fn tell(state_dir: &Path, command: Command) -> Option<Reply> {
    let stream = UnixStream::connect(at(state_dir)).await.ok()?;
    let talk = async {
        let (read, mut write) = stream.into_split();
        let mut text = serde_json::to_vec(&command)?;
        text.push(b'\n');
        write.write_all(&text).await?;
        let mut line = String::new();
        BufReader::new(read).read_line(&mut line).await?;
        Ok::<Reply, io::Error>(serde_json::from_str(&line)?)
    };
    Some(match timeout(PATIENCE, talk).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => failed(&format!("the running sluice-node did not answer: {error}")),
        Err(_) => failed("the running sluice-node did not answer within 10 s"),
    })
}

fn at(state_dir: &Path) -> PathBuf {
    state_dir.join("node.sock")
}

fn failed(text: &str) -> Reply {
    Reply { done: false, text: text.to_owned() }
}
