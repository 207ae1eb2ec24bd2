//! Each fault that the proxy makes, before a server that echoes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use engines::proxy::Proxy;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use support::until;
use tokio::time::Instant;

/// A server that sends back what it gets, until the client has ended.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let _ = std::io::copy(&mut stream.try_clone().unwrap(), &mut stream);
                let _ = stream.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Sends a word and waits for it to come back.
fn round(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut back = [0; 5];
    stream.write_all(b"spore")?;
    stream.read_exact(&mut back)?;
    assert_eq!(&back, b"spore");
    Ok(())
}

#[test]
fn without_a_fault_every_byte_passes_and_the_end_too() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = connect(&proxy);
    let sent: Vec<u8> = (0..1_000_000_u32).map(|ix| ix.to_le_bytes()[0]).collect();
    let mut writer = stream.try_clone().unwrap();
    let mut back = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&sent).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        stream.read_to_end(&mut back).unwrap();
    });
    assert!(back == sent);
    until("for the connection to be forgotten", || proxy.connections().is_empty());
}

#[test]
fn a_cut_resets_what_is_open_and_says_whom() {
    let proxy = Proxy::start(echo()).unwrap();
    let (mut one, mut other) = (connect(&proxy), connect(&proxy));
    round(&mut one).unwrap();
    round(&mut other).unwrap();
    let mut cut = proxy.cut();
    let mut peers = vec![one.local_addr().unwrap(), other.local_addr().unwrap()];
    cut.sort_unstable();
    peers.sort_unstable();
    assert_eq!(cut, peers);
    for mut stream in [one, other] {
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    assert!(proxy.connections().is_empty());
    round(&mut connect(&proxy)).unwrap();
}

#[test]
fn refusing_is_for_new_connections() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut open = connect(&proxy);
    round(&mut open).unwrap();
    proxy.refuse(true).unwrap();
    assert_eq!(TcpStream::connect(proxy.address()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    round(&mut open).unwrap();
    proxy.refuse(false).unwrap();
    round(&mut connect(&proxy)).unwrap();
}

#[test]
fn a_delay_holds_back_and_does_not_throttle() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = connect(&proxy);
    round(&mut stream).unwrap();
    proxy.delay(Duration::from_millis(200));
    let start = Instant::now();
    for _ in 0..20 {
        stream.write_all(b"spore").unwrap();
    }
    stream.read_exact(&mut [0; 100]).unwrap();
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(400), "{took:?}");
    // Twenty one after the other would take eight seconds.
    assert!(took < Duration::from_secs(4), "{took:?}");
    proxy.delay(Duration::ZERO);
    round(&mut stream).unwrap();
}

#[test]
fn a_black_hole_answers_nothing_and_resets_what_lost_bytes_when_it_ends() {
    let proxy = Proxy::start(echo()).unwrap();
    let (mut idle, mut lost) = (connect(&proxy), connect(&proxy));
    round(&mut idle).unwrap();
    round(&mut lost).unwrap();
    proxy.blackhole(true);
    lost.write_all(b"spore").unwrap();
    let mut fresh = connect(&proxy);
    fresh.write_all(b"spore").unwrap();
    for stream in [&mut lost, &mut fresh] {
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    }
    assert_eq!(proxy.connections().len(), 3);
    proxy.blackhole(false);
    for mut stream in [lost, fresh] {
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    round(&mut idle).unwrap();
}

#[test]
fn a_server_that_is_down_ends_the_connection_and_dropping_the_proxy_too() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::start(nobody).unwrap();
    let ended = |mut stream: TcpStream| {
        stream.read(&mut [0]).map_or_else(|error| error.kind() != ErrorKind::WouldBlock, |read| read == 0)
    };
    assert!(ended(connect(&proxy)));
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = connect(&proxy);
    round(&mut stream).unwrap();
    drop(proxy);
    assert!(ended(stream));
}

#[test]
fn the_reply_to_a_request_is_lost_though_the_server_has_it() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = connect(&proxy);
    proxy.lose_reply_to(Some(b"ore"));
    assert!(round(&mut stream).is_err());
    assert_eq!(proxy.lost(), 1);
    proxy.lose_reply_to(None);
    round(&mut connect(&proxy)).unwrap();
    assert_eq!(proxy.lost(), 1);
}
