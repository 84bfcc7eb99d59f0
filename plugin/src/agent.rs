//! Asks `sluice-node` for a pod's annotations, where the runtime does not hand them over.
//!
//! One line of JSON each way over `<stateDir>/agent.sock`. The question names the pod; the answer
//! is `{"annotations":{...}}`, or `{"error":"..."}` where the agent does not know the pod yet.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sluice_shared::cni::{Code, Error, PodIdentity};

/// How long the agent may take in all.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than any pod's annotations.
const LARGEST: u64 = 4 << 20;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
    container_id: &'a str,
}

#[derive(Deserialize)]
struct Reply {
    annotations: Option<BTreeMap<String, String>>,
    error: Option<String>,
}

/// The pod's annotations, as the agent knows them.
///
/// # Errors
/// Code 11 if there is no answer within 2 s, or the agent does not know the pod.
pub(crate) fn ask(
    state_dir: &Path,
    pod: &PodIdentity,
    container_id: &str,
) -> Result<BTreeMap<String, String>, Error> {
    let socket = state_dir.join("agent.sock");
    let unknown = |reason: String| {
        Error::new(
            Code::TryAgainLater,
            format!(
                "the annotations of pod {}/{} are not known: {reason}; the runtime hands none over, and \
                 sluice-node ({}) is to be asked",
                pod.namespace,
                pod.name,
                socket.display()
            ),
        )
    };
    let question = Question { namespace: &pod.namespace, name: &pod.name, uid: &pod.uid, container_id };
    let reply = talk(&socket, &question).map_err(|error| unknown(error.to_string()))?;
    match reply {
        Reply { annotations: Some(annotations), .. } => Ok(annotations),
        Reply { error, .. } => {
            Err(unknown(error.unwrap_or_else(|| "the agent does not know the pod".to_owned())))
        }
    }
}

fn talk(socket: &Path, question: &Question<'_>) -> std::io::Result<Reply> {
    let end = Instant::now() + PATIENCE;
    let mut stream = UnixStream::connect(socket)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line)?;

    // A time-out for each read would let a slow talker hold the pod for ever.
    let mut answer = Vec::new();
    let mut reader = BufReader::new((&stream).take(LARGEST));
    while !answer.ends_with(b"\n") {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer within 2 s"));
        }
        stream.set_read_timeout(Some(left))?;
        let chunk = match reader.fill_buf() {
            Ok([]) => break,
            Ok(chunk) => chunk.to_vec(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        reader.consume(chunk.len());
        answer.extend(chunk);
    }
    Ok(serde_json::from_slice(&answer)?)
}
