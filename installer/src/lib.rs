//! The node program as a library.
//!
//! Text to text in the middle, files and sockets at the edges:
//!
//! ```text
//! run, commands   what a person or a DaemonSet starts
//! node            one pass: lock, mark, binary, entry
//! look, act       what is there and what would put it right (nothing written); doing it
//! conflist        a configuration as text, edits as splices (pure)
//! atomic, binary  files whole or not at all
//! watch, war      when to look; when to answer more slowly
//! ready, told, cri  what the runtime has loaded
//! folders, detect where the runtime looks, and where we write
//! repair          pods that should be diverted and are not
//! serve, control  who asks and who commands
//! adds, metrics   what is counted
//! event           what people should hear of
//! ```

pub mod act;
pub mod adds;
pub mod atomic;
pub mod binary;
pub mod commands;
pub mod conflist;
pub mod control;
pub mod cri;
pub mod detect;
pub mod entry;
pub mod event;
pub mod folder;
pub mod folders;
pub mod kick;
pub mod lock;
pub mod look;
pub mod mark;
pub mod metrics;
pub mod node;
pub mod options;
pub mod problem;
pub mod ready;
pub mod repair;
pub mod run;
pub mod serve;
pub mod shared;
pub mod sweep;
pub mod told;
pub mod war;
pub mod watch;
