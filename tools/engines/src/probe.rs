//! Asking an engine something, to know that it serves: an open port is not an answer.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(3);

/// Sends a request on a new connection, and reads until there is `enough`, or the end.
fn exchange(address: SocketAddr, request: &[u8], enough: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request).ok()?;
    let mut answer = Vec::new();
    let mut page = [0; 4096];
    while !enough(&answer) {
        match stream.read(&mut page).ok()? {
            0 => break,
            read => answer.extend_from_slice(&page[..read]),
        }
    }
    Some(answer)
}

/// Redis: PING.
pub(crate) fn redis(address: SocketAddr) -> bool {
    exchange(address, b"PING\r\n", |answer| answer.ends_with(b"\n")).is_some_and(|answer| answer == b"+PONG\r\n")
}

/// HTTP: a GET that finds something.
pub(crate) fn http(address: SocketAddr, path: &str) -> bool {
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    exchange(address, request.as_bytes(), |_| false)
        .is_some_and(|answer| answer.starts_with(b"HTTP/1.") && answer.get(8..12) == Some(b" 200"))
}

/// Cassandra: OPTIONS of the native protocol, version 4, which is answered with SUPPORTED.
pub(crate) fn cassandra(address: SocketAddr) -> bool {
    const OPTIONS: [u8; 9] = [4, 0, 0, 0, 5, 0, 0, 0, 0];
    const SUPPORTED: u8 = 6;
    let answer = exchange(address, &OPTIONS, |answer| answer.len() >= OPTIONS.len());
    answer.is_some_and(|answer| answer.get(4) == Some(&SUPPORTED))
}

/// Kafka: the ids of the brokers that this one believes to be up.
pub(crate) fn kafka_brokers(address: SocketAddr) -> Option<Vec<i32>> {
    // Metadata, version 1: key 3, correlation 0, no client id, no topics.
    const METADATA: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
    let whole = |answer: &[u8]| {
        let size = answer.first_chunk().map(|size| u32::from_be_bytes(*size));
        size.is_some_and(|size| u64::try_from(answer.len()).is_ok_and(|length| length >= u64::from(size) + 4))
    };
    let answer = exchange(address, &METADATA, whole)?;
    // Behind size and correlation: the number of brokers; each is id, host, port, rack.
    let mut rest = answer.get(8..)?;
    let count = int(&mut rest)?;
    let mut broker = || {
        let id = int(&mut rest)?;
        skip_string(&mut rest)?;
        int(&mut rest)?;
        skip_string(&mut rest)?;
        Some(id)
    };
    (0..count).map(|_| broker()).collect()
}

fn int(rest: &mut &[u8]) -> Option<i32> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(i32::from_be_bytes(*head))
}

fn skip_string(rest: &mut &[u8]) -> Option<()> {
    let (length, tail) = rest.split_first_chunk()?;
    // Negative: null.
    let length = usize::try_from(i16::from_be_bytes(*length)).unwrap_or(0);
    *rest = tail.get(length..)?;
    Some(())
}
