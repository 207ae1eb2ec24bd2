//! Just enough of Cassandra's native protocol, version 4, to run a statement.

#![allow(clippy::unwrap_used, dead_code, reason = "a test fails by panicking; each test uses a part")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

const ERROR: u8 = 0;
const STARTUP: u8 = 1;
const QUERY: u8 = 7;

/// Runs a statement on a connection of its own and returns the body of its result.
pub fn cql(address: SocketAddr, statement: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    let version = [&[0, 1][..], &string("CQL_VERSION"), &string("3.0.0")].concat();
    ask(&mut stream, STARTUP, &version);
    let length = u32::try_from(statement.len()).unwrap().to_be_bytes();
    // Consistency ONE, no flags.
    ask(&mut stream, QUERY, &[&length[..], statement.as_bytes(), &[0, 1, 0]].concat())
}

fn string(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

fn ask(stream: &mut TcpStream, opcode: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    stream.write_all(&[&[4, 0, 0, 0, opcode][..], &length, body].concat()).unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    let length = u32::from_be_bytes(head[5..].try_into().unwrap());
    let mut answer = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    assert_ne!(head[4], ERROR, "{}", String::from_utf8_lossy(&answer));
    answer
}
