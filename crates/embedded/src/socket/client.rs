//! The side of another process: appends over the socket, with several requests in flight.

use super::frame::{self, Answer};
use pipeline::{LogError, OutRecord};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncWriteExt as _, BufReader, BufWriter};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Frames that may wait to be written.
const QUEUE: usize = 16;
/// Requests are cut into frames of about this many bytes.
const FRAME_BYTES: usize = 4 << 20;

type Reply = oneshot::Sender<Answer>;
/// Who waits for an answer, in the order of requests; none once the connection has ended.
type Waiting = Arc<Mutex<Option<VecDeque<(u64, Reply)>>>>;

/// A connection to the process that holds the folder.
#[derive(Debug)]
pub(crate) struct Connection {
    frames: mpsc::Sender<(Vec<OutRecord>, Reply)>,
    tasks: [JoinHandle<()>; 2],
}

impl Connection {
    /// Connects, and waits for the greeting: the system takes a connection before anybody serves it, also to a socket of
    /// a process that is just ending, or that left it to a child for a moment.
    pub(crate) async fn open(dir: &Path) -> std::io::Result<Self> {
        let (input, output) = UnixStream::connect(super::path(dir)).await?.into_split();
        let mut input = BufReader::new(input);
        frame::read_greeting(&mut input).await?;
        let (frames, queue) = mpsc::channel(QUEUE);
        let waiting: Waiting = Arc::new(Mutex::new(Some(VecDeque::new())));
        let answers = tokio::spawn(read(input, waiting.clone()));
        let requests = tokio::spawn(write(BufWriter::new(output), queue, waiting));
        Ok(Self { frames, tasks: [answers, requests] })
    }

    /// Whether the other process has gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.frames.is_closed() || self.tasks.iter().any(JoinHandle::is_finished)
    }

    /// Queues records, cut into frames; waits only for room. Answers come in the order of the records.
    pub(crate) async fn submit(&self, records: Vec<OutRecord>) -> Result<Vec<oneshot::Receiver<Answer>>, LogError> {
        let mut answers = Vec::new();
        for records in chunks(records)? {
            let (reply, answer) = oneshot::channel();
            self.frames.send((records, reply)).await.map_err(|_| lost())?;
            answers.push(answer);
        }
        Ok(answers)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

pub(crate) fn lost() -> LogError {
    LogError::Unavailable(
        "the process that holds the data folder is gone; what was in flight may or may not be appended".to_owned(),
    )
}

/// Cuts records into runs that fit a frame each.
fn chunks(records: Vec<OutRecord>) -> Result<Vec<Vec<OutRecord>>, LogError> {
    let mut chunks: Vec<Vec<OutRecord>> = Vec::new();
    let mut bytes = usize::MAX;
    for record in records {
        let size = frame::size(&record);
        if size + 64 > frame::MAX_FRAME {
            return Err(LogError::Refused(format!(
                "{size} bytes for {}, a frame holds {}",
                record.topic,
                frame::MAX_FRAME
            )));
        }
        bytes = bytes.saturating_add(size);
        match chunks.last_mut().filter(|_| bytes <= FRAME_BYTES) {
            Some(chunk) => chunk.push(record),
            None => {
                bytes = size;
                chunks.push(vec![record]);
            }
        }
    }
    Ok(chunks)
}

async fn write(
    mut output: BufWriter<OwnedWriteHalf>,
    mut queue: mpsc::Receiver<(Vec<OutRecord>, Reply)>,
    waiting: Waiting,
) {
    let mut id = 0;
    while let Some((records, reply)) = queue.recv().await {
        id += 1;
        let Some(bytes) = frame::request(id, &records) else {
            let _ = reply.send(Err(LogError::Refused("the request is too long for a frame".to_owned())));
            continue;
        };
        let accepted =
            waiting.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(|held| held.push_back((id, reply)));
        let sent = async {
            output.write_all(&bytes).await?;
            if queue.is_empty() { output.flush().await } else { Ok(()) }
        };
        if accepted.is_none() || sent.await.is_err() {
            break;
        }
    }
    close(&waiting);
}

async fn read(mut input: BufReader<OwnedReadHalf>, waiting: Waiting) {
    while let Ok(Some((id, body))) = frame::read(&mut input).await {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).as_mut().and_then(VecDeque::pop_front);
        match next {
            Some((asked, reply)) if asked == id => drop(reply.send(frame::read_answer(&body))),
            // Answers come in order; anything else is not the protocol.
            _ => break,
        }
    }
    close(&waiting);
}

/// Ends the connection for everybody who waits: dropped replies read as lost.
fn close(waiting: &Waiting) {
    drop(waiting.lock().unwrap_or_else(PoisonError::into_inner).take());
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Topic;
    use pipeline::Headers;

    #[test]
    fn requests_are_cut_between_records() {
        let record = |bytes| OutRecord {
            topic: Topic::ALL[0],
            key: Vec::new(),
            value: vec![0; bytes],
            headers: Headers::default(),
        };
        let sizes = [3 << 20, 1 << 19, 2 << 20, 8 << 20, 10];
        let cut = chunks(sizes.iter().map(|size| record(*size)).collect()).unwrap();
        assert_eq!(cut.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 1]);
        assert!(matches!(chunks(vec![record(frame::MAX_FRAME)]), Err(LogError::Refused(_))));
    }
}
