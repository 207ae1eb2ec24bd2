//! The side of the process that holds the folder.

use super::frame::{self, Answer};
use crate::log::{Log, Pending};
use pipeline::LogError;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tokio::io::{AsyncWriteExt as _, BufReader, BufWriter};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Requests of one connection that may be in flight; reading from it stops above that.
const IN_FLIGHT: usize = 64;

/// The listening socket of a data folder. Its file stays behind: the next holder replaces it, and until then nobody
/// answers there.
#[derive(Debug)]
pub struct AppendServer {
    listener: UnixListener,
}

impl AppendServer {
    /// Binds the socket, in the folder that this process holds, for its owner alone (mode 0600).
    ///
    /// # Errors
    /// [`LogError::Fatal`] where it cannot be made, for example because the folder's path is above 90 bytes.
    pub fn bind(dir: &Path) -> Result<Self, LogError> {
        let path = super::path(dir);
        let failed = |error: io::Error| {
            let hint = "use a shorter path for the data folder (the system allows about 100 bytes), on a local disk";
            LogError::Fatal(format!("the socket {} cannot be made: {error}; {hint}", path.display()))
        };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            // Whoever left it is gone: this process holds the lock of the folder.
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self { listener })
    }

    /// Serves appends until dropped; connections end with it.
    pub async fn serve(self, log: Log) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(connection(stream, log.clone()))),
                    // Out of file descriptors, most likely: give some time to close others.
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// An answer that is there, or is to come.
enum Due {
    Now(Answer),
    Later(Pending),
}

/// Greets, reads requests and answers them in order; either half ends the other.
async fn connection(stream: UnixStream, log: Log) {
    let (input, mut output) = stream.into_split();
    if output.write_all(&frame::greeting()).await.is_err() {
        return;
    }
    let (due, answers) = mpsc::channel(IN_FLIGHT);
    // An error on one connection is the other process's affair: it sees the stream end.
    let _ = tokio::join!(requests(BufReader::new(input), log, due), write(BufWriter::new(output), answers));
}

async fn requests(mut input: BufReader<OwnedReadHalf>, log: Log, due: mpsc::Sender<(u64, Due)>) -> io::Result<()> {
    loop {
        let next = tokio::select! {
            next = frame::read(&mut input) => next?,
            () = due.closed() => None,
        };
        let Some((id, body)) = next else { return Ok(()) };
        let answer = match frame::read_request(&body) {
            Ok(records) => log.submit(records).await.map_or_else(|error| Due::Now(Err(error)), Due::Later),
            Err(error) => Due::Now(Err(error)),
        };
        if due.send((id, answer)).await.is_err() {
            return Ok(());
        }
    }
}

async fn write(mut output: BufWriter<OwnedWriteHalf>, mut answers: mpsc::Receiver<(u64, Due)>) -> io::Result<()> {
    while let Some((id, due)) = answers.recv().await {
        let answer = match due {
            Due::Now(answer) => answer,
            Due::Later(pending) => pending.placed().await,
        };
        let too_long = || frame::answer(id, &Err(LogError::Fatal("the answer is too long for a frame".to_owned())));
        if let Some(bytes) = frame::answer(id, &answer).or_else(too_long) {
            output.write_all(&bytes).await?;
        }
        if answers.is_empty() {
            output.flush().await?;
        }
    }
    output.flush().await
}
