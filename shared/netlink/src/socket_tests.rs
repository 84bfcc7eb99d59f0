use std::time::Duration;

use nix::sys::socket::{bind, getsockname, sendto};

use super::*;

/// A datagram that looks like the kernel's: an acknowledgement of that number.
fn acknowledgement(seq: u32) -> Vec<u8> {
    let mut bytes = vec![];
    bytes.extend(36_u32.to_ne_bytes());
    bytes.extend(ERROR.to_ne_bytes());
    bytes.extend(0_u16.to_ne_bytes());
    bytes.extend(seq.to_ne_bytes());
    bytes.extend([0; 4 + 20]);
    bytes
}

fn raw() -> OwnedFd {
    socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute).unwrap()
}

#[test]
fn nobody_but_the_kernel_can_answer() {
    let ours = Socket::open(Protocol::Route).unwrap();
    let address: NetlinkAddr = getsockname(ours.fd.as_raw_fd()).unwrap();
    let sent = sendto(raw().as_raw_fd(), &acknowledgement(1), &address, MsgFlags::empty());
    assert_eq!(sent, Err(Errno::ECONNREFUSED));
}

#[test]
fn what_came_before_the_socket_was_connected_is_passed_over() {
    let fd = raw();
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).unwrap();
    let address: NetlinkAddr = getsockname(fd.as_raw_fd()).unwrap();
    let other = raw();
    for seq in 0..3 {
        sendto(other.as_raw_fd(), &acknowledgement(seq), &address, MsgFlags::empty()).unwrap();
    }
    let mut ours = Socket { fd, room: Vec::new(), number: 1 };
    let nothing = ours.receive(Deadline::after(Duration::from_millis(1)));
    assert_eq!(nothing, Err(Error::Timeout));

    // A question that the kernel refuses, for its answer.
    sendto(other.as_raw_fd(), &acknowledgement(7), &address, MsgFlags::empty()).unwrap();
    let mut question = acknowledgement(7);
    question[4..8].copy_from_slice(&[0xff, 0x7f, 5, 0]);
    ours.send(&[&question]).unwrap();
    let answer = ours.receive(Deadline::after(Duration::from_secs(20))).unwrap();
    let message = messages(answer).next().unwrap();
    assert_ne!(message.body.get(..4), Some(&[0; 4][..]), "the kernel's own words");
}
