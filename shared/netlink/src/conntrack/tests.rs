use std::time::Duration;

use nix::sched::{CloneFlags, unshare};

use super::*;

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// In a namespace of its own.
fn inside(work: impl FnOnce(Conntrack) + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("needs root, or `unshare -rn`");
        work(Conntrack::open().unwrap());
    });
    thread.join().unwrap();
}

fn entry(host: &str, port: u16, stage: Stage) -> Entry {
    let from = SocketAddr::new(host.parse().unwrap(), port);
    Entry { from, to: SocketAddr::new(host.parse().unwrap(), 8080), stage }
}

#[test]
fn entries_are_made_once_found_in_either_direction_and_marked_anew() {
    inside(|mut conntrack| {
        for host in ["10.1.0.1", "fd00::1"] {
            let stages = [Stage::Connecting, Stage::Accepting, Stage::Open, Stage::Closing];
            let entries: Vec<_> =
                (1000..).zip(stages).map(|(port, stage)| entry(host, port, stage)).collect();
            assert_eq!(conntrack.create(&entries, 7, deadline()), Ok(vec![]));
            assert_eq!(conntrack.create(&entries, 8, deadline()), Ok(vec![0, 1, 2, 3]));
            let turned: Vec<_> =
                entries.iter().map(|entry| Entry { from: entry.to, to: entry.from, ..*entry }).collect();
            assert_eq!(conntrack.create(&turned, 8, deadline()), Ok(vec![0, 1, 2, 3]));
            let tuples: Vec<_> = entries.iter().map(|entry| (entry.from, entry.to)).collect();
            let replies: Vec<_> = tuples.iter().map(|(from, to)| (*to, *from)).collect();
            assert_eq!(conntrack.set_marks(&replies, 9, deadline()), Ok(vec![]));
            for direction in [&tuples, &replies] {
                assert_eq!(conntrack.marks(direction, deadline()), Ok(vec![Some(9); 4]));
            }
            let nobodys = [(tuples[0].0, tuples[1].0)];
            assert_eq!(conntrack.marks(&nobodys, deadline()), Ok(vec![None]));
            assert_eq!(conntrack.set_marks(&nobodys, 9, deadline()), Ok(vec![0]));
        }
    });
}

#[test]
fn thousands_are_no_more_than_the_answers_that_fit() {
    inside(|mut conntrack| {
        let entries: Vec<_> = (10_000..15_000).map(|port| entry("10.1.0.1", port, Stage::Open)).collect();
        let tuples: Vec<_> = entries.iter().map(|entry| (entry.from, entry.to)).collect();
        assert_eq!(conntrack.create(&entries, 7, deadline()), Ok(vec![]));
        assert_eq!(conntrack.create(&entries, 7, deadline()).unwrap().len(), entries.len());
        assert_eq!(conntrack.set_marks(&tuples, 8, deadline()), Ok(vec![]));
        assert!(conntrack.marks(&tuples, deadline()).unwrap().iter().all(|mark| *mark == Some(8)));
    });
}

#[test]
fn an_error_names_the_connection_or_what_is_missing() {
    let (from, to) = ("10.1.0.1:1000".parse().unwrap(), "10.1.0.2:80".parse().unwrap());
    let text = Error::Refused { from, to, errno: Errno::EPERM }.to_string();
    assert!(text.contains("10.1.0.1:1000") && text.contains("CAP_NET_ADMIN"), "{text}");
    assert!(Error::Missing(Errno::EINVAL).to_string().contains("nf_conntrack_netlink"));
}
