//! The calls into librdkafka that have no safe form, or whose safe form takes records one by one.
#![allow(unsafe_code, reason = "each use states why it is sound")]

mod question;

pub(crate) use question::{Described, End, Question, Waiting, describe_topics, list_ends, topic_settings};

use rdkafka::ClientContext;
use rdkafka::bindings::{self, rd_kafka_message_t, rd_kafka_resp_err_t};
use rdkafka::client::Client;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};
use std::ffi::{CStr, CString};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// The end of a partition's log as of the last fetch: without a request, and without statistics.
pub(crate) fn known_end<C: ClientContext>(client: &Client<C>, topic: &str, partition: i32) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1_i64, -1_i64);
    // SAFETY: the client outlives the call, which takes a lock of its own and writes the two numbers only.
    let code = unsafe {
        bindings::rd_kafka_get_watermark_offsets(client.native_ptr(), topic.as_ptr(), partition, &mut low, &mut high)
    };
    (code == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
}

/// How far the client was read of each of these partitions: the offset behind the last record or marker that was taken, in
/// the order of the list. Without a request.
pub(crate) fn taken<C: ClientContext>(client: &Client<C>, partitions: &TopicPartitionList) -> Vec<Option<i64>> {
    // SAFETY: client and list live; the call writes the offsets of the list's elements only.
    let code = unsafe { bindings::rd_kafka_position(client.native_ptr(), partitions.ptr()) };
    let told = code == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    let offset = |offset| match offset {
        Offset::Offset(offset) if told => Some(offset),
        _ => None,
    };
    partitions.elements().iter().map(|elem| offset(elem.offset())).collect()
}

/// A record as the client holds it.
#[derive(Clone, Copy)]
pub(crate) struct Fetched<'a>(&'a rd_kafka_message_t);

impl<'a> From<&'a BorrowedMessage<'_>> for Fetched<'a> {
    fn from(message: &'a BorrowedMessage<'_>) -> Self {
        // SAFETY: the message is borrowed, so what it points to lives at least as long as that.
        Self(unsafe { &*message.ptr() })
    }
}

impl<'a> Fetched<'a> {
    /// The bytes of its topic's name.
    pub(crate) fn topic(self) -> &'a [u8] {
        // SAFETY: a record keeps its topic, whose name ends with a zero byte and never changes.
        unsafe { CStr::from_ptr(bindings::rd_kafka_topic_name(self.0.rkt)) }.to_bytes()
    }

    pub(crate) fn partition(self) -> i32 {
        self.0.partition
    }

    pub(crate) fn offset(self) -> i64 {
        self.0.offset
    }

    /// The leader epoch of its batch; -1 where the log does not say.
    pub(crate) fn leader_epoch(self) -> i32 {
        // SAFETY: the record lives; the call only reads.
        unsafe { bindings::rd_kafka_message_leader_epoch(self.0) }
    }

    /// When it was appended, in ms since 1970; 0 where the broker does not say.
    pub(crate) fn append_time_ms(self) -> i64 {
        let mut kind = bindings::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the record lives; the call writes the kind only.
        let at_ms = unsafe { bindings::rd_kafka_message_timestamp(self.0, &mut kind) };
        if kind == bindings::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE { 0 } else { at_ms.max(0) }
    }

    pub(crate) fn key(self) -> Option<&'a [u8]> {
        // SAFETY: key and length belong to the record, which lives as long as the slice.
        (!self.0.key.is_null()).then(|| unsafe { std::slice::from_raw_parts(self.0.key.cast(), self.0.key_len) })
    }

    pub(crate) fn payload(self) -> Option<&'a [u8]> {
        // SAFETY: as for the key.
        (!self.0.payload.is_null()).then(|| unsafe { std::slice::from_raw_parts(self.0.payload.cast(), self.0.len) })
    }

    /// Calls `visit` with each header. The safe form panics at a name that is not UTF-8, which any producer can write.
    pub(crate) fn each_header(self, mut visit: impl FnMut(&[u8], Option<&[u8]>)) {
        let mut headers = ptr::null_mut();
        // SAFETY: the record lives until the end of this function, and so do the headers that belong to it.
        let code = unsafe { bindings::rd_kafka_message_headers(self.0, &mut headers) };
        if code != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return;
        }
        for ix in 0.. {
            let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
            // SAFETY: as above; past the last header the call writes nothing and says so.
            let code = unsafe { bindings::rd_kafka_header_get_all(headers, ix, &mut name, &mut value, &mut length) };
            if code != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
                return;
            }
            // SAFETY: librdkafka ends names with a zero byte, and gives the value's own length.
            let (name, value) = unsafe {
                let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), length));
                (CStr::from_ptr(name), value)
            };
            visit(name.to_bytes(), value);
        }
    }
}

/// What the client says of one partition instead of a record.
#[derive(Clone, Copy)]
pub(crate) struct Said<'a>(Fetched<'a>);

impl<'a> Said<'a> {
    /// The code. An end of the partition is one: everything below [`Fetched::offset`] was handed out.
    pub(crate) fn code(self) -> Code {
        self.0.0.err.into()
    }

    /// Where: topic, partition, and the offset at which the client stands. None where it names no topic.
    pub(crate) fn place(self) -> Option<Fetched<'a>> {
        (!self.0.0.rkt.is_null()).then_some(self.0)
    }

    /// Its words.
    pub(crate) fn text(self) -> String {
        // An error has its words in the place of a value.
        let words = self.0.payload().map(|words| String::from_utf8_lossy(words).into_owned());
        words.unwrap_or_else(|| self.code().to_string())
    }
}

/// How many records are taken at once.
const TAKE: usize = 256;

/// A queue of fetched records, beside the one on which a consumer gets the events of its group.
///
/// The client's own poll gives a record at a time, each with an event around it and two looks at the clock; what is fetched
/// into a queue of its own can be taken many records at a time.
pub(crate) struct FetchQueue<C: ConsumerContext + 'static> {
    /// The queue must be gone before its client is.
    consumer: Arc<BaseConsumer<C>>,
    queue: *mut bindings::rd_kafka_queue_t,
}

// SAFETY: librdkafka's queues have locks of their own and may be used from any thread.
unsafe impl<C: ConsumerContext> Send for FetchQueue<C> {}

impl<C: ConsumerContext> FetchQueue<C> {
    pub(crate) fn new(consumer: Arc<BaseConsumer<C>>) -> Self {
        // SAFETY: the client lives as long as this queue.
        let queue = unsafe { bindings::rd_kafka_queue_new(consumer.client().native_ptr()) };
        Self { consumer, queue }
    }

    /// Lets a partition's records come here. To be called before the partition is assigned, so that none goes elsewhere;
    /// and again later on: the client forgets it when it ends an earlier assignment of the partition, which may happen
    /// after the next one was asked for.
    pub(crate) fn receive(&self, topic: &str, partition: i32) {
        let Ok(topic) = CString::new(topic) else { return };
        // SAFETY: client and queue live; the handle of the partition's own queue is given back at once.
        unsafe {
            let client = self.consumer.client().native_ptr();
            let own = bindings::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition);
            if !own.is_null() {
                bindings::rd_kafka_queue_forward(own, self.queue);
                bindings::rd_kafka_queue_destroy(own);
            }
        }
    }

    /// Waits for a record, then takes what is there, up to [`TAKE`]; calls `each` with every one, or with what is said of
    /// its partition. Gives back how many there were.
    pub(crate) fn take(&self, wait: Duration, mut each: impl FnMut(Result<Fetched<'_>, Said<'_>>)) -> usize {
        let mut taken = [ptr::null_mut(); TAKE];
        let mut count = 0;
        if !wait.is_zero() {
            // Waiting, the call would wait until all room is taken.
            count = self.fill(&mut taken[..1], wait);
            if count == 0 {
                return 0;
            }
        }
        count += self.fill(&mut taken[count..], Duration::ZERO);
        for message in &taken[..count] {
            // SAFETY: the queue gave this record away, valid until it is destroyed below; nothing else refers to it.
            let held = unsafe { &**message };
            each(match held.err {
                rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(Fetched(held)),
                _ => Err(Said(Fetched(held))),
            });
            // SAFETY: as above; `each` cannot keep it.
            unsafe { bindings::rd_kafka_message_destroy(*message) };
        }
        count
    }

    fn fill(&self, room: &mut [*mut rd_kafka_message_t], wait: Duration) -> usize {
        let wait_ms = i32::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(i32::MAX);
        // SAFETY: the room is as long as said; the call fills as much of it as it says.
        let count =
            unsafe { bindings::rd_kafka_consume_batch_queue(self.queue, wait_ms, room.as_mut_ptr(), room.len()) };
        usize::try_from(count).unwrap_or(0)
    }
}

impl<C: ConsumerContext> Drop for FetchQueue<C> {
    fn drop(&mut self) {
        // SAFETY: made by this struct, used by nobody else, and the client is still there.
        unsafe { bindings::rd_kafka_queue_destroy(self.queue) };
    }
}
