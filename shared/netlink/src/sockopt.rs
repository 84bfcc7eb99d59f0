//! The socket options that nix does not know. The only unsafe code of the crate.
#![allow(unsafe_code)] // setsockopt(2) with a constant level, a constant name and an int

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc::{self, c_int, socklen_t};

/// Errors then carry the kernel's text and the offset of the attribute it refused.
pub(super) const EXT_ACK: c_int = 11;
/// Errors then carry only the header of what was sent, not all of it.
pub(super) const CAP_ACK: c_int = 10;

/// Turns a netlink socket's option on.
pub(super) fn enable(socket: BorrowedFd<'_>, option: c_int) -> Result<(), Errno> {
    let on: c_int = 1;
    let size = socklen_t::try_from(size_of::<c_int>()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the descriptor is borrowed, so it is open; `on` lives through the call and is `size` bytes long.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_NETLINK, option, (&raw const on).cast(), size)
    };
    Errno::result(result).map(drop)
}
