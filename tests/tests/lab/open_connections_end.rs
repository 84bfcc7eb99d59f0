//! What was open when the rules came is over: whoever comes from the same port is judged like anybody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use sluice_tests::running::{ENDS, End, Ends, WAYS, Way, again};
use sluice_tests::{Mesh, need, patience};

const MODES: [&[(&str, &str)]; 2] =
    [&[], &[("mode", "tproxy"), ("proxy-mark", "1337"), ("self-calls", "inbound")]];

/// Who greets: the proxy, or nobody.
fn greeting(stream: TcpStream) -> String {
    stream.set_read_timeout(Some(patience(Duration::from_secs(4)))).unwrap();
    let mut line = [0; 1];
    match (&stream).read(&mut line) {
        Ok(1) => String::from_utf8_lossy(&line).into_owned(),
        other => format!("nobody ({other:?})"),
    }
}

/// A connection that was adopted, its end, and another one between the same ends.
fn comes_again(mesh: &Mesh, ends: Ends, how: End) -> String {
    let listener = ends.listen(mesh);
    let mut open = ends.open(mesh, &listener);
    mesh.repair().unwrap();
    assert!(open.is_alive(sluice_tests::running::Past::Used));
    let between = open.ends();
    open.end(how);
    let (begin, _) = ends.places(mesh);
    let seen = match again(begin, between) {
        Ok(socket) => greeting(TcpStream::from(socket)),
        Err(error) => format!("nobody ({error})"),
    };
    assert!(listener.accept().is_err(), "{ends:?}, {how:?}: past the proxy");
    seen
}

#[test]
fn whoever_comes_again_from_the_same_port_does_not_pass_the_proxy() {
    need!(need::ids());
    for fields in MODES {
        for ends in WAYS.into_iter().filter(|ends| ends.way != Way::Within) {
            for how in ENDS {
                let mesh = Mesh::unprogrammed(fields);
                let seen = comes_again(&mesh, ends, how);
                let proxy = if ends.way == Way::In { "I" } else { "O" };
                // A FIN of either end has connection tracking begin anew; after a reset it may wait for its entry's end.
                let reset = matches!(how, End::NearReset | End::FarReset);
                assert!(
                    seen == proxy || reset && seen.starts_with("nobody"),
                    "{fields:?}, {ends:?}, {how:?}: {seen}"
                );
            }
        }
    }
}

/// Neither a SYN nor anything else goes to the app in place of a proxy that is not there.
#[test]
fn nor_where_nobody_listens_for_the_proxy() {
    need!(need::ids());
    for ends in WAYS.into_iter().filter(|ends| ends.way == Way::In) {
        for how in ENDS {
            let mesh = Mesh::unprogrammed(&[("mode", "tproxy"), ("inbound-port", "16006")]);
            let seen = comes_again(&mesh, ends, how);
            assert!(seen.starts_with("nobody"), "{ends:?}, {how:?}: {seen}");
        }
    }
}
