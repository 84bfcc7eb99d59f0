//! The CNI plugin `sluice`: a pod's traffic through its sidecar proxy.
//!
//! It is called after the main plugin has given the pod its network, reads the pod's annotations
//! from stdin, and programs nftables in the pod's namespace in one batch. It starts no process,
//! asks no API server, and prints nothing but one JSON object.
//!
//! One call goes through once: [`call`] reads, [`source`] and the dialects decide,
//! [`pod::program`] changes the kernel, and [`run`] answers. A verb is a file.

#![cfg_attr(not(test), no_main)]

mod add;
mod agent;
mod call;
mod check;
mod context;
mod deadline;
mod del;
mod failed;
mod gc;
mod kernel;
mod log;
mod netns;
mod source;
mod start;
mod status;
mod stdio;

use std::time::Duration;

use cni::{Code, Error, Version};
use deadline::Deadline;

/// For telling of a bug.
const AFTER_A_PANIC: Duration = Duration::from_secs(1);

/// One call; whether it succeeded.
fn run() -> bool {
    std::panic::set_hook(Box::new(|panic| {
        // The process aborts after this; the runtime must still get its one object.
        let error = Error::new(Code::Internal, format!("a bug in sluice, please report it: {panic}"));
        stdio::answer(&error.to_json(Version::NEWEST.as_str()), Deadline::after(AFTER_A_PANIC));
    }));
    let (whole, work) = deadline::start();
    deadline::backstop();

    let answer = call::run(work);
    let printed = match &answer.result {
        Ok(None) => true,
        Ok(Some(result)) => stdio::answer(result, whole),
        Err(error) => stdio::answer(&error.to_json(answer.version.as_str()), whole),
    };
    printed && answer.result.is_ok()
}
