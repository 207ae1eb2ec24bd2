//! The side of another process: appends over the socket, with several requests in flight.

use super::frame::{self, Answer};
use pipeline::error::Unpublished;
use pipeline::{LogError, OutRecord};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncWriteExt as _, BufReader, BufWriter};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

/// Requests that may wait to be written.
const QUEUE: usize = 64;
/// Bytes of records that may wait to be written: the largest request, so that it fits alone (I8).
const QUEUE_BYTES: usize = frame::MAX_REQUEST;
/// Requests are cut into frames of about this many bytes.
const FRAME_BYTES: usize = 4 << 20;

type Reply = oneshot::Sender<Answer>;
/// Who waits for an answer, in the order of requests; none once the connection has ended.
type Waiting = Arc<Mutex<Option<VecDeque<(u64, Reply)>>>>;

/// A request in parts, each of which fits a frame. It is queued whole: a caller that gives up while it waits must not leave
/// a beginning behind, which the next request would be taken for the rest of.
struct Request {
    parts: Vec<(Vec<OutRecord>, Reply)>,
    _room: OwnedSemaphorePermit,
}

/// A connection to the process that holds the folder.
#[derive(Debug)]
pub(crate) struct Connection {
    requests: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
    tasks: [JoinHandle<()>; 2],
}

impl Connection {
    /// Connects, and waits for the greeting: the system takes a connection before anybody serves it, also to a socket of
    /// a process that is just ending, or that left it to a child for a moment.
    pub(crate) async fn open(dir: &Path) -> std::io::Result<Self> {
        let (input, output) = UnixStream::connect(super::path(dir)).await?.into_split();
        let mut input = BufReader::new(input);
        frame::read_greeting(&mut input).await?;
        let (requests, queue) = mpsc::channel(QUEUE);
        let waiting: Waiting = Arc::new(Mutex::new(Some(VecDeque::new())));
        let answers = tokio::spawn(read(input, waiting.clone()));
        let writes = tokio::spawn(write(BufWriter::new(output), queue, waiting));
        Ok(Self { requests, room: Arc::new(Semaphore::new(QUEUE_BYTES)), tasks: [answers, writes] })
    }

    /// Whether the other process has gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.requests.is_closed() || self.tasks.iter().any(JoinHandle::is_finished)
    }

    /// Queues records, cut into frames; waits only for room. Answers come in the order of the records.
    pub(crate) async fn submit(&self, records: Vec<OutRecord>) -> Result<Vec<oneshot::Receiver<Answer>>, Unpublished> {
        let (runs, bytes) = cut(records)?;
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = self.room.clone().acquire_many_owned(permits).await.map_err(|_| lost())?;
        let mut answers = Vec::with_capacity(runs.len());
        let mut parts = Vec::with_capacity(runs.len());
        for records in runs {
            let (reply, answer) = oneshot::channel();
            parts.push((records, reply));
            answers.push(answer);
        }
        self.requests.send(Request { parts, _room: room }).await.map_err(|_| lost())?;
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

/// Cuts records into runs that fit a frame each, and gives their bytes; refuses more than a request may hold.
fn cut(records: Vec<OutRecord>) -> Result<(Vec<Vec<OutRecord>>, usize), Unpublished> {
    let mut parts: Vec<Vec<OutRecord>> = Vec::new();
    let mut bytes = usize::MAX;
    let mut total = 0;
    for (ix, record) in records.into_iter().enumerate() {
        let size = frame::size(&record);
        total += size;
        if size + 64 > frame::MAX_FRAME {
            let text = format!("{size} bytes for {}, a frame holds {}", record.topic, frame::MAX_FRAME);
            return Err(Unpublished { refused: Some(ix), ..LogError::Refused(text).into() });
        }
        bytes = bytes.saturating_add(size);
        match parts.last_mut().filter(|_| bytes <= FRAME_BYTES) {
            Some(part) => part.push(record),
            None => {
                bytes = size;
                parts.push(vec![record]);
            }
        }
    }
    if total.saturating_add(parts.len() * 64) > frame::MAX_REQUEST {
        let text =
            format!("{total} bytes at once over the socket, it takes {}: append in smaller parts", frame::MAX_REQUEST);
        return Err(LogError::Refused(text).into());
    }
    Ok((parts, total))
}

async fn write(mut output: BufWriter<OwnedWriteHalf>, mut queue: mpsc::Receiver<Request>, waiting: Waiting) {
    let mut id = 0;
    'requests: while let Some(Request { parts, _room }) = queue.recv().await {
        let last = parts.len().saturating_sub(1);
        for (ix, (records, reply)) in parts.into_iter().enumerate() {
            id += 1;
            // It was cut to fit. Without this frame the request would be another one, so the connection ends.
            let Some(bytes) = frame::request(id, ix == last, &records) else { break 'requests };
            let accepted =
                waiting.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(|held| held.push_back((id, reply)));
            if accepted.is_none() || output.write_all(&bytes).await.is_err() {
                break 'requests;
            }
        }
        if queue.is_empty() && output.flush().await.is_err() {
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
        let (parts, bytes) = cut(sizes.iter().map(|size| record(*size)).collect()).unwrap();
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 1]);
        assert_eq!(bytes, parts.iter().flatten().map(frame::size).sum::<usize>());
        let refused = cut(vec![record(1), record(frame::MAX_FRAME)]).unwrap_err();
        assert!(matches!((refused.error, refused.refused), (LogError::Refused(_), Some(1))));
        let refused = cut((0..9).map(|_| record(8 << 20)).collect()).unwrap_err();
        assert!(matches!((refused.error, refused.refused), (LogError::Refused(_), None)), "no record in particular");
    }
}
