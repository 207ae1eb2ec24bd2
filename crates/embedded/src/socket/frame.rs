//! What travels over the socket: a greeting of who serves it, then requests to append and their answers, as frames of
//! bounded length.
//!
//! | frame | form (integers big-endian) |
//! |---|---|
//! | any | length of the rest: u32, id of the request: u64, body |
//! | greeting | none; its id is 0 |
//! | request | 1 where the next frame belongs to the same request, else 0; records: u32; each: topic name (u8 length), key, value, headers (u32 length each) |
//! | answer | 0, records: u32; each: topic name (u8 length), partition: u32, offset: i64 |
//! | error | 1 unavailable, 2 refused, 3 fatal, 4 a setting; place of the record refused: u32 (the largest: none); then the text |
//!
//! The frames of one request are appended together, all of them or none; each gets an answer of its own.

use crate::log::Placed;
use domain::{Topic, TopicPartition};
use pipeline::error::Unpublished;
use pipeline::{Headers, LogError, OutRecord};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest frame, in bytes: the largest record that a log can be told to take (64 MiB), a dead letter's envelope (1 MiB)
/// and room for coordinates. What is appended here may also be appended over the socket.
pub(super) const MAX_FRAME: usize = 66 << 20;

const ID: usize = 8;

/// The most that one request may hold, in bytes of its records as they travel: the largest record fits.
pub(super) const MAX_REQUEST: usize = MAX_FRAME;

/// No record in particular is refused.
const NO_RECORD: u32 = u32::MAX;

/// The answer to a frame of a request.
pub(crate) type Answer = Result<Vec<Placed>, Unpublished>;

/// Reads a frame: its id and body. None at the orderly end of the stream.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<(u64, Vec<u8>)>> {
    let length = match stream.read_u32().await {
        Ok(length) => length as usize,
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if !(ID..=MAX_FRAME).contains(&length) {
        let text = format!("a frame of {length} bytes: is the other process of the same version?");
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, text));
    }
    let id = stream.read_u64().await?;
    let mut body = vec![0; length - ID];
    stream.read_exact(&mut body).await?;
    Ok(Some((id, body)))
}

/// The bytes of a record in a request.
pub(super) fn size(record: &OutRecord) -> usize {
    1 + record.topic.name().len() + 12 + record.key.len() + record.value.len() + record.headers.as_bytes().len()
}

/// A frame of a request, the last or with more to come; none where it would be too long.
pub(super) fn request(id: u64, is_last: bool, records: &[OutRecord]) -> Option<Vec<u8>> {
    let body = 5 + records.iter().map(size).sum::<usize>();
    let mut frame = start(id, body)?;
    frame.push(u8::from(!is_last));
    frame.extend_from_slice(&(records.len() as u32).to_be_bytes());
    for record in records {
        put_name(&mut frame, record.topic);
        for part in [record.key.as_slice(), &record.value, record.headers.as_bytes()] {
            frame.extend_from_slice(&(part.len() as u32).to_be_bytes());
            frame.extend_from_slice(part);
        }
    }
    Some(frame)
}

/// What a server says first, as a frame.
pub(super) fn greeting() -> [u8; 4 + ID] {
    let mut frame = [0; 4 + ID];
    frame[..4].copy_from_slice(&(ID as u32).to_be_bytes());
    frame
}

/// Reads what a server says first.
///
/// # Errors
/// Where the stream ends, because nobody serves the socket any more, or says something else.
pub(super) async fn read_greeting(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<()> {
    match read(stream).await? {
        Some((0, body)) if body.is_empty() => Ok(()),
        Some(_) => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "no greeting on the socket")),
        None => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

/// An answer as a frame.
pub(super) fn answer(id: u64, answer: &Answer) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    match answer {
        Ok(placed) => {
            body.push(0);
            body.extend_from_slice(&(placed.len() as u32).to_be_bytes());
            for Placed { tp, offset } in placed {
                put_name(&mut body, tp.topic);
                body.extend_from_slice(&tp.partition.to_be_bytes());
                body.extend_from_slice(&offset.to_be_bytes());
            }
        }
        Err(Unpublished { error, refused, .. }) => {
            let (kind, text) = match error {
                LogError::Unavailable(text) => (1, text.clone()),
                LogError::Refused(text) => (2, text.clone()),
                LogError::NotOwner(_) | LogError::Fatal(_) => (3, error.to_string()),
                LogError::Setting(text) => (4, text.clone()),
            };
            body.push(kind);
            let refused = refused.and_then(|ix| u32::try_from(ix).ok()).unwrap_or(NO_RECORD);
            body.extend_from_slice(&refused.to_be_bytes());
            body.extend_from_slice(text.as_bytes());
        }
    }
    let mut frame = start(id, body.len())?;
    frame.extend_from_slice(&body);
    Some(frame)
}

fn start(id: u64, body: usize) -> Option<Vec<u8>> {
    let length = u32::try_from(ID + body).ok().filter(|length| *length as usize <= MAX_FRAME)?;
    let mut frame = Vec::with_capacity(4 + ID + body);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&id.to_be_bytes());
    Some(frame)
}

fn put_name(bytes: &mut Vec<u8>, topic: Topic) {
    bytes.push(topic.name().len() as u8);
    bytes.extend_from_slice(topic.name().as_bytes());
}

/// The records in a frame of a request, and whether it is the last; an error is told to the sender.
pub(super) fn read_request(body: &[u8]) -> Result<(bool, Vec<OutRecord>), LogError> {
    let mut rest = Rest(body);
    let [has_more] = rest.array()?;
    let count = rest.u32()?;
    let mut records = Vec::new();
    for _ in 0..count {
        let topic = rest.topic()?;
        let (key, value) = (rest.part()?.to_vec(), rest.part()?.to_vec());
        let mut headers = Headers::default();
        for (name, value) in Headers::pairs(rest.part()?) {
            headers.push(name, value);
        }
        records.push(OutRecord { topic, key, value, headers });
    }
    rest.end().map(|()| (has_more == 0, records))
}

/// The answer in a body.
pub(super) fn read_answer(body: &[u8]) -> Answer {
    let Some((kind, rest)) = body.split_first() else { return Err(malformed().into()) };
    let mut rest = Rest(rest);
    if *kind != 0 {
        let refused = rest.u32()?;
        let text = String::from_utf8_lossy(rest.0).into_owned();
        let error = match kind {
            1 => LogError::Unavailable(text),
            2 => LogError::Refused(text),
            4 => LogError::Setting(text),
            _ => LogError::Fatal(text),
        };
        let refused = if refused == NO_RECORD { None } else { Some(refused as usize) };
        return Err(Unpublished { refused, ..error.into() });
    }
    let mut placed = Vec::new();
    for _ in 0..rest.u32()? {
        let tp = TopicPartition::new(rest.topic()?, rest.u32()?);
        placed.push(Placed { tp, offset: i64::from_be_bytes(rest.array()?) });
    }
    rest.end()?;
    Ok(placed)
}

fn malformed() -> LogError {
    LogError::Fatal("a malformed frame on the socket: use the same version of sporelog in both processes".to_owned())
}

/// Bytes still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], LogError> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or_else(malformed)?;
        self.0 = tail;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32, LogError> {
        self.array().map(u32::from_be_bytes)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], LogError> {
        let (head, tail) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = tail;
        Ok(head)
    }

    fn part(&mut self) -> Result<&'a [u8], LogError> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    fn topic(&mut self) -> Result<Topic, LogError> {
        let [length] = self.array()?;
        let name = std::str::from_utf8(self.take(usize::from(length))?).map_err(|_| malformed())?;
        let unknown = || {
            LogError::Fatal(format!("`{name}` is not a topic here: use the same version of sporelog in both processes"))
        };
        Topic::from_name(name).ok_or_else(unknown)
    }

    fn end(&self) -> Result<(), LogError> {
        if self.0.is_empty() { Ok(()) } else { Err(malformed()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..40)
    }

    prop_compose! {
        fn record()(topic in 0..Topic::ALL.len(), key in bytes(), value in bytes(), name in "[a-z]{0,9}", held in bytes()) -> OutRecord {
            let mut headers = Headers::default();
            headers.push(&name, &held);
            OutRecord { topic: Topic::ALL[topic], key, value, headers }
        }
    }

    proptest! {
        #[test]
        fn a_request_comes_back_as_it_was(id in any::<u64>(), is_last in any::<bool>(), records in prop::collection::vec(record(), 0..8)) {
            let frame = request(id, is_last, &records).unwrap();
            prop_assert_eq!(u32::from_be_bytes(*frame.first_chunk().unwrap()) as usize, frame.len() - 4);
            prop_assert_eq!(&frame[4..12], &id.to_be_bytes());
            prop_assert_eq!(read_request(&frame[12..]).unwrap(), (is_last, records));
        }

        #[test]
        fn an_answer_comes_back_as_it_was(placed in prop::collection::vec((0..Topic::ALL.len(), any::<u32>(), any::<i64>()), 0..8)) {
            let at = |(topic, partition, offset): (usize, _, _)| {
                Placed { tp: TopicPartition::new(Topic::ALL[topic], partition), offset }
            };
            let placed: Vec<Placed> = placed.into_iter().map(at).collect();
            let frame = answer(7, &Ok(placed.clone())).unwrap();
            prop_assert_eq!(read_answer(&frame[12..]).unwrap(), placed);
        }

        #[test]
        fn noise_is_an_error_and_nothing_else(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_request(&body);
            let _ = read_answer(&body);
        }
    }

    #[test]
    fn errors_keep_their_kind_and_the_record_refused() {
        let text = || "text".to_owned();
        let kinds = [
            (LogError::Unavailable(text()), None),
            (LogError::Refused(text()), Some(7)),
            (LogError::Refused(text()), None),
            (LogError::Fatal(text()), None),
            (LogError::Setting(text()), None),
        ];
        for (error, refused) in kinds {
            let sent = Unpublished { refused, ..error.into() };
            let shown = format!("{sent:?}");
            let frame = answer(7, &Err(sent)).unwrap();
            assert_eq!(format!("{:?}", read_answer(&frame[12..]).unwrap_err()), shown);
        }
    }

    #[test]
    fn what_is_too_long_is_no_frame() {
        let record =
            OutRecord { topic: Topic::ALL[0], key: Vec::new(), value: vec![0; MAX_FRAME], headers: Headers::default() };
        assert_eq!(request(1, true, &[record]), None);
    }
}
