//! DNS, as much as one A record needs, over UDP and TCP.

use std::io::{Error, Read, Result, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(3);

/// Answers every query at `address`: with `answer`, or, if there is an upstream and the name begins with `up.`, with what the
/// upstream says, asked over UDP from this process, so with the proxy's own uid.
pub(crate) fn serve(address: &str, answer: &str, upstream: Option<&str>) -> Result<()> {
    let answer: Ipv4Addr = answer.parse().map_err(Error::other)?;
    let upstream = upstream.map(str::to_string);
    let listener = TcpListener::bind(address)?;
    let socket = UdpSocket::bind(address)?;
    println!("listening on {address}");
    let up = upstream.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer_tcp(stream, answer, up.as_deref());
        }
    });
    let mut buffer = [0; 1500];
    loop {
        let (size, from) = socket.recv_from(&mut buffer)?;
        if let Ok(reply) = reply(&buffer[..size], answer, upstream.as_deref()) {
            socket.send_to(&reply, from)?;
        }
    }
}

fn answer_tcp(mut stream: TcpStream, answer: Ipv4Addr, upstream: Option<&str>) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let query = read_framed(&mut stream)?;
    write_framed(&mut stream, &reply(&query, answer, upstream)?)
}

fn reply(query: &[u8], answer: Ipv4Addr, upstream: Option<&str>) -> Result<Vec<u8>> {
    if query.len() < 17 {
        return Err(Error::other("too short"));
    }
    if let Some(server) = upstream.filter(|_| query[12..].starts_with(b"\x02up")) {
        return ask_udp(server, query);
    }
    let mut reply = query.to_vec();
    reply[2] |= 0x80; // an answer
    reply[7] = 1; // one record
    reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]); // the name asked for, A, IN, 5 s, four bytes
    reply.extend_from_slice(&answer.octets());
    Ok(reply)
}

/// Asks for `name` and prints the address.
pub(crate) fn resolve(transport: &str, server: &str, name: &str) -> Result<()> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).map_err(Error::other)?);
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    let reply = if transport == "tcp" {
        let address = server.parse().map_err(Error::other)?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write_framed(&mut stream, &query)?;
        read_framed(&mut stream)?
    } else {
        ask_udp(server, &query)?
    };
    // Bytes 6 and 7 count the records that answer. Without one others may follow: whose name it would be.
    let answered = reply.get(6..8).is_some_and(|count| count != [0, 0]);
    let Some(octets) = reply.last_chunk::<4>().filter(|_| answered) else {
        return Err(Error::other("no answer in the reply"));
    };
    println!("{name} is {}", Ipv4Addr::from(*octets));
    Ok(())
}

/// Connected, so that an answer from anyone but the server asked does not count.
fn ask_udp(server: &str, query: &[u8]) -> Result<Vec<u8>> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(server)?;
    socket.send(query)?;
    let mut buffer = [0; 1500];
    let size = socket.recv(&mut buffer)?;
    Ok(buffer[..size].to_vec())
}

fn read_framed(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

fn write_framed(stream: &mut TcpStream, message: &[u8]) -> Result<()> {
    let length = u16::try_from(message.len()).map_err(Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat())
}
