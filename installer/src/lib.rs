//! The node program as a library.
//!
//! Text to text in the middle, files and sockets at the edges:
//!
//! ```text
//! run, commands   what a person or a DaemonSet starts
//! install         the binary and the entry: put in place, kept there, taken out
//! runtime         what the runtime says of itself, and where it looks
//! health          whether this program is well
//! readiness       whether the runtime has the plugin loaded
//! pods            ADDs counted, running pods repaired, state swept
//! kube            pods, Events and the taint of this node; the agent
//! serve, control  who asks and who commands
//! error           what keeps it from what it was told to do
//! event, problem  what people should hear of; what is wrong now
//! metrics         what is counted
//! ```

#[cfg(test)]
mod arrows;
pub mod commands;
pub mod control;
pub mod error;
pub mod event;
pub mod health;
pub mod install;
pub mod kube;
pub mod metrics;
pub mod options;
pub mod pods;
pub mod problem;
pub mod readiness;
pub mod run;
pub mod runtime;
pub mod serve;
