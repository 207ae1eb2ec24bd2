//! The side of the process that holds the folder.

use super::frame::{self, Answer, MAX_REQUEST};
use crate::log::{Log, Pending};
use pipeline::error::Unpublished;
use pipeline::{LogError, OutRecord};
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

/// The frames of a request, each with its id and the number of its records.
type Frames = Vec<(u64, usize)>;

/// What answers a request: it is there, or is to come.
enum Due {
    Now(Frames, Unpublished),
    Later(Frames, Pending),
}

/// A request of which not every frame has come.
#[derive(Default)]
struct Gathered {
    frames: Frames,
    records: Vec<OutRecord>,
    bytes: usize,
    /// Why it is not appended; its records are not kept any more.
    error: Option<Unpublished>,
}

impl Gathered {
    /// Takes a frame; whether it was the last. A frame that cannot be read is the last: what follows cannot be told.
    fn take(&mut self, id: u64, body: &[u8]) -> bool {
        let (is_last, records) = match frame::read_request(body) {
            Ok(read) => read,
            Err(error) => {
                self.frames.push((id, 0));
                self.fail(error);
                return true;
            }
        };
        self.frames.push((id, records.len()));
        self.bytes += body.len();
        // I8: what this process holds for another one is bounded.
        if self.bytes > MAX_REQUEST {
            self.fail(LogError::Refused(format!(
                "more than {MAX_REQUEST} bytes at once over the socket: append in smaller parts"
            )));
        }
        if self.error.is_none() {
            self.records.extend(records);
        }
        is_last
    }

    fn fail(&mut self, error: LogError) {
        self.records = Vec::new();
        self.error.get_or_insert_with(|| error.into());
    }

    /// Appends what has been gathered, all of it or nothing.
    async fn append(self, log: &Log) -> Due {
        let Self { frames, records, error, .. } = self;
        if let Some(error) = error {
            return Due::Now(frames, error);
        }
        if let Err(error) = log.check(&records) {
            return Due::Now(frames, error);
        }
        match log.enqueue(records).await {
            Ok(pending) => Due::Later(frames, pending),
            Err(error) => Due::Now(frames, error.into()),
        }
    }
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

async fn requests(mut input: BufReader<OwnedReadHalf>, log: Log, due: mpsc::Sender<Due>) -> io::Result<()> {
    let mut gathered = Gathered::default();
    loop {
        let next = tokio::select! {
            next = frame::read(&mut input) => next?,
            () = due.closed() => None,
        };
        let Some((id, body)) = next else { return Ok(()) };
        if !gathered.take(id, &body) {
            continue;
        }
        let answer = std::mem::take(&mut gathered).append(&log).await;
        if due.send(answer).await.is_err() {
            return Ok(());
        }
    }
}

async fn write(mut output: BufWriter<OwnedWriteHalf>, mut answers: mpsc::Receiver<Due>) -> io::Result<()> {
    while let Some(due) = answers.recv().await {
        let (frames, answer) = match due {
            Due::Now(frames, error) => (frames, Err(error)),
            Due::Later(frames, pending) => (frames, pending.placed().await.map_err(Unpublished::from)),
        };
        for bytes in answers_of(frames, answer) {
            output.write_all(&bytes).await?;
        }
        if answers.is_empty() {
            output.flush().await?;
        }
    }
    output.flush().await
}

/// The answer to a request, cut as its frames were. The same error answers each of them.
fn answers_of(frames: Frames, answer: Answer) -> Vec<Vec<u8>> {
    let mut placed = match answer {
        Ok(placed) => placed,
        Err(error) => {
            let error = Err(error);
            return frames.iter().filter_map(|(id, _)| frame::answer(*id, &error)).collect();
        }
    };
    let mut answers = Vec::with_capacity(frames.len());
    for (id, records) in frames {
        let rest = placed.split_off(records.min(placed.len()));
        let of_frame = Ok(std::mem::replace(&mut placed, rest));
        let too_long =
            || frame::answer(id, &Err(LogError::Fatal("the answer is too long for a frame".to_owned()).into()));
        answers.extend(frame::answer(id, &of_frame).or_else(too_long));
    }
    answers
}
