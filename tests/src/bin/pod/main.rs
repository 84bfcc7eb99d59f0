//! What runs inside the tests' pods: the pause process, an app (HTTP and UDP) that tells who called it, a client, a DNS server
//! and a DNS client. One static program, so that an image is one file.
//!
//! std only: `runtime::tools` compiles it by itself, static.
#![allow(clippy::print_stdout, clippy::indexing_slicing, clippy::disallowed_methods, missing_docs)]

mod ask;
mod dns;
mod first;
mod http;

use std::time::Duration;

const USAGE: &str = "pod pause | app PORT NAME | get ADDRESS:PORT PATH | first PORT ADDRESS:PORT | \
                     ask SECONDS AT-A-TIME tcp|udp:ADDRESS:PORT... | serve-dns ADDRESS:PORT ANSWER [UPSTREAM] | \
                     resolve udp|tcp SERVER:PORT NAME";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["pause"] | [] => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        ["app", port, name] => ask::serve(port, name).and_then(|()| http::serve(port, name)),
        ["get", address, path] => http::get(address, path),
        ["ask", seconds, at_a_time, targets @ ..] => ask::all(seconds, at_a_time, targets),
        ["first", port, address] => first::connect(port, address),
        ["serve-dns", address, answer] => dns::serve(address, answer, None),
        ["serve-dns", address, answer, upstream] => dns::serve(address, answer, Some(upstream)),
        ["resolve", transport, server, name] => dns::resolve(transport, server, name),
        _ => Err(std::io::Error::other(USAGE)),
    };
    if let Err(error) = outcome {
        // On stdout too: what a test reads back from a container is stdout.
        println!("error: {error}");
        std::process::exit(1);
    }
}
