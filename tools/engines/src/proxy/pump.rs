//! Bytes of one connection, in both directions, under the faults of the moment.

use super::Faults;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

const PAGE_BYTES: usize = 16 * 1024;
/// Pages under way in a direction while they are delayed; a faster sender waits.
const PAGES: usize = 256;

/// Relays until both sides have ended their stream, one of them is gone, or it is cut.
pub(super) async fn relay(
    mut client: TcpStream,
    mut server: TcpStream,
    (faults, lost): (watch::Receiver<Faults>, Arc<AtomicU64>),
    cut: &CancellationToken,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let in_order = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let asked = AtomicBool::new(false);
        let there = direction(from_client, to_server, faults.clone(), Way::There(&asked));
        let back = direction(from_server, to_client, faults, Way::Back(&asked, &lost));
        tokio::select! {
            () = cut.cancelled() => false,
            ended = async { tokio::try_join!(there, back) } => ended.is_ok(),
        }
    };
    if !in_order {
        // Closed as they are now, both sides see a reset and not the end of a stream.
        client.set_zero_linger()?;
        server.set_zero_linger()?;
    }
    Ok(())
}

/// Which way bytes go. The request whose reply is to be lost is noted on the way there, and met on the way back.
enum Way<'a> {
    There(&'a AtomicBool),
    Back(&'a AtomicBool, &'a AtomicU64),
}

impl Way<'_> {
    /// Whether these bytes are a reply that is to be lost. A request is found where it lies in one page, as a short one
    /// does.
    fn loses(&self, page: &[u8], request: Option<&[u8]>) -> bool {
        match self {
            Way::There(asked) => {
                let is_asked = request.is_some_and(|request| page.windows(request.len()).any(|part| part == request));
                asked.fetch_or(is_asked, Ordering::Relaxed);
                false
            }
            Way::Back(asked, lost) => {
                let loses = asked.load(Ordering::Relaxed);
                lost.fetch_add(u64::from(loses), Ordering::Relaxed);
                loses
            }
        }
    }
}

/// One direction. Reading and writing go on beside each other, so that a delay does not throttle.
async fn direction(
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    faults: watch::Receiver<Faults>,
    way: Way<'_>,
) -> io::Result<()> {
    let (pages, due) = mpsc::channel(PAGES);
    tokio::try_join!(read(from, pages, faults, way), write(to, due))?;
    Ok(())
}

async fn read(
    mut from: ReadHalf<'_>,
    pages: mpsc::Sender<(Instant, Vec<u8>)>,
    faults: watch::Receiver<Faults>,
    way: Way<'_>,
) -> io::Result<()> {
    let mut page = vec![0; PAGE_BYTES];
    loop {
        let read = from.read(&mut page).await;
        let now = *faults.borrow();
        if now.blackhole {
            return swallow(from, page, faults).await;
        }
        let read = read?;
        if read == 0 {
            return Ok(());
        }
        if way.loses(&page[..read], now.lose_reply_to) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        // The writer ends before us only with an error of its own, which ends us too.
        let _ = pages.send((Instant::now() + now.delay, page[..read].to_vec())).await;
    }
}

/// Reads on and forgets, until the black hole ends; the stream has a gap then.
async fn swallow(mut from: ReadHalf<'_>, mut page: Vec<u8>, mut faults: watch::Receiver<Faults>) -> io::Result<()> {
    let drain = async {
        // Its end is swallowed as well.
        while from.read(&mut page).await.is_ok_and(|read| read > 0) {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = drain => {}
        _ = faults.wait_for(|faults| !faults.blackhole) => {}
    }
    Err(io::ErrorKind::ConnectionReset.into())
}

async fn write(mut to: WriteHalf<'_>, mut due: mpsc::Receiver<(Instant, Vec<u8>)>) -> io::Result<()> {
    while let Some((when, page)) = due.recv().await {
        sleep_until(when).await;
        to.write_all(&page).await?;
    }
    to.shutdown().await
}
