//! Bytes of one connection, in both directions, under the faults of the moment.

use super::Faults;
use std::io;
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
    faults: watch::Receiver<Faults>,
    cut: &CancellationToken,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let in_order = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let there = direction(from_client, to_server, faults.clone());
        let back = direction(from_server, to_client, faults);
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

/// One direction. Reading and writing go on beside each other, so that a delay does not throttle.
async fn direction(from: ReadHalf<'_>, to: WriteHalf<'_>, faults: watch::Receiver<Faults>) -> io::Result<()> {
    let (pages, due) = mpsc::channel(PAGES);
    tokio::try_join!(read(from, pages, faults), write(to, due))?;
    Ok(())
}

async fn read(
    mut from: ReadHalf<'_>,
    pages: mpsc::Sender<(Instant, Vec<u8>)>,
    faults: watch::Receiver<Faults>,
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
