//! Questions to the brokers that the safe interface has no form for, or only in a client of its own: asked in the name of
//! a client that is there, answered into a queue of their own.

use rdkafka::bindings::{self as sys, rd_kafka_event_t, rd_kafka_queue_t, rd_kafka_resp_err_t, rd_kafka_t};
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{ClientContext, TopicPartitionList};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::time::Duration;

/// What a broker answered, or why it did not.
pub(crate) type Answer<T> = Result<T, (Code, String)>;

/// A question under way.
pub(crate) struct Question {
    queue: *mut rd_kafka_queue_t,
}

/// What an event says, and when it is there.
pub(crate) enum Waiting<T> {
    /// The answer.
    Answered(Answer<T>),
    /// Not yet.
    Still(Question),
}

// SAFETY: librdkafka's queues have locks of their own and may be used from any thread.
unsafe impl Send for Question {}

impl Drop for Question {
    fn drop(&mut self) {
        // SAFETY: made by `ask`, used by nobody else; the client outlives it, see there.
        unsafe { sys::rd_kafka_queue_destroy(self.queue) };
    }
}

/// The event of an answer.
struct Event(*mut rd_kafka_event_t);

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the queue gave it away.
        unsafe { sys::rd_kafka_event_destroy(self.0) };
    }
}

impl Question {
    /// Sends a question. Whoever holds the question must hold the client as well.
    fn ask<C: ClientContext>(
        client: &Client<C>,
        op: sys::rd_kafka_admin_op_t,
        timeout: Duration,
        send: impl FnOnce(*mut rd_kafka_t, *mut sys::rd_kafka_AdminOptions_t, *mut rd_kafka_queue_t),
    ) -> Self {
        let wait_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let mut text = [0 as c_char; 128];
        // SAFETY: client, options and queue live; `send` copies what it needs of the options, which go right after.
        unsafe {
            let rk = client.native_ptr();
            let queue = sys::rd_kafka_queue_new(rk);
            let options = sys::rd_kafka_AdminOptions_new(rk, op);
            // A timeout outside of the bounds leaves the default.
            sys::rd_kafka_AdminOptions_set_request_timeout(options, wait_ms, text.as_mut_ptr(), text.len());
            send(rk, options, queue);
            sys::rd_kafka_AdminOptions_destroy(options);
            Self { queue }
        }
    }

    /// Waits for the answer; `read` makes it of an event that is no error.
    fn wait<T>(self, wait: Duration, read: impl FnOnce(*mut rd_kafka_event_t) -> Answer<T>) -> Waiting<T> {
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue lives.
        let event = unsafe { sys::rd_kafka_queue_poll(self.queue, wait_ms) };
        if event.is_null() {
            return Waiting::Still(self);
        }
        let event = Event(event);
        // SAFETY: the event lives; its words end with a zero byte or are null.
        let (code, words) = unsafe {
            (sys::rd_kafka_event_error(event.0), text(sys::rd_kafka_event_error_string(event.0)).unwrap_or_default())
        };
        Waiting::Answered(match code {
            rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => read(event.0),
            code => Err((code.into(), words)),
        })
    }

    fn answer<T>(self, wait: Duration, read: impl FnOnce(*mut rd_kafka_event_t) -> Answer<T>) -> Answer<T> {
        match self.wait(wait, read) {
            Waiting::Answered(answer) => answer,
            Waiting::Still(_) => Err((Code::OperationTimedOut, "no answer in time".to_owned())),
        }
    }
}

/// A text of librdkafka.
///
/// # Safety
/// Null, or ends with a zero byte and lives during the call.
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// The members of an array of librdkafka.
///
/// # Safety
/// Null, or as long as said, and lives as long as the slice is used.
unsafe fn members<'a, T>(array: *mut T, count: usize) -> &'a [T] {
    // SAFETY: the caller's promise.
    if array.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(array, count) } }
}

fn names_of(topics: &[String]) -> Vec<CString> {
    topics.iter().filter_map(|topic| CString::new(topic.as_str()).ok()).collect()
}

/// A topic as a broker describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    /// The id that the topic got when it was made; empty where the cluster gives none.
    pub(crate) topic_id: String,
    /// The number of its partitions.
    pub(crate) partitions: u32,
}

/// Describes topics, by their names on the cluster.
pub(crate) fn describe_topics<C: ClientContext>(
    client: &Client<C>,
    topics: &[String],
    timeout: Duration,
) -> Answer<BTreeMap<String, Answer<Described>>> {
    let names = names_of(topics);
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let op = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    let question = Question::ask(client, op, timeout, |rk, options, queue| {
        // SAFETY: the names live during the call, which copies them; the collection is given back.
        unsafe {
            let all = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            sys::rd_kafka_DescribeTopics(rk, all, options, queue);
            sys::rd_kafka_TopicCollection_destroy(all);
        }
    });
    question.answer(timeout, |event| {
        let mut count = 0;
        // SAFETY: the event lives while its parts are read, and is of this kind, or the result is null.
        let found = unsafe {
            let result = sys::rd_kafka_event_DescribeTopics_result(event);
            if result.is_null() {
                return Err((Code::Fail, "an answer to another question".to_owned()));
            }
            members(sys::rd_kafka_DescribeTopics_result_topics(result, &mut count), count)
        };
        Ok(found.iter().filter_map(|topic| described(*topic)).collect())
    })
}

fn described(topic: *const sys::rd_kafka_TopicDescription_t) -> Option<(String, Answer<Described>)> {
    // SAFETY: the description belongs to an event that lives; its parts live as long.
    unsafe {
        let name = text(sys::rd_kafka_TopicDescription_name(topic))?;
        let code = sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(topic));
        if code != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            let words = text(sys::rd_kafka_error_string(sys::rd_kafka_TopicDescription_error(topic)));
            return Some((name, Err((code.into(), words.unwrap_or_default()))));
        }
        let mut partitions = 0;
        sys::rd_kafka_TopicDescription_partitions(topic, &mut partitions);
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let is_given =
            sys::rd_kafka_Uuid_most_significant_bits(id) != 0 || sys::rd_kafka_Uuid_least_significant_bits(id) != 0;
        let topic_id =
            if is_given { text(sys::rd_kafka_Uuid_base64str(id)).unwrap_or_default() } else { String::new() };
        Some((name, Ok(Described { topic_id, partitions: u32::try_from(partitions).unwrap_or(0) })))
    }
}

/// The settings in force of topics, by their names on the cluster.
pub(crate) fn topic_settings<C: ClientContext>(
    client: &Client<C>,
    topics: &[String],
    timeout: Duration,
) -> Answer<BTreeMap<String, Answer<BTreeMap<String, String>>>> {
    let op = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS;
    let question = Question::ask(client, op, timeout, |rk, options, queue| {
        let kind = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        // SAFETY: the names live during the calls, which copy them; the resources are given back.
        unsafe {
            let names = names_of(topics);
            let resources = names.iter().map(|name| sys::rd_kafka_ConfigResource_new(kind, name.as_ptr()));
            let mut resources: Vec<_> = resources.filter(|resource| !resource.is_null()).collect();
            sys::rd_kafka_DescribeConfigs(rk, resources.as_mut_ptr(), resources.len(), options, queue);
            sys::rd_kafka_ConfigResource_destroy_array(resources.as_mut_ptr(), resources.len());
        }
    });
    question.answer(timeout, |event| {
        let mut count = 0;
        // SAFETY: the event lives while its parts are read, and is of this kind, or the result is null.
        let found = unsafe {
            let result = sys::rd_kafka_event_DescribeConfigs_result(event);
            if result.is_null() {
                return Err((Code::Fail, "an answer to another question".to_owned()));
            }
            members(sys::rd_kafka_DescribeConfigs_result_resources(result, &mut count), count)
        };
        Ok(found.iter().filter_map(|resource| settings(*resource)).collect())
    })
}

fn settings(resource: *const sys::rd_kafka_ConfigResource_t) -> Option<(String, Answer<BTreeMap<String, String>>)> {
    // SAFETY: the resource belongs to an event that lives; its parts live as long.
    unsafe {
        let name = text(sys::rd_kafka_ConfigResource_name(resource))?;
        let code = sys::rd_kafka_ConfigResource_error(resource);
        if code != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            let words = text(sys::rd_kafka_ConfigResource_error_string(resource)).unwrap_or_default();
            return Some((name, Err((code.into(), words))));
        }
        let mut count = 0;
        let entries = members(sys::rd_kafka_ConfigResource_configs(resource, &mut count), count);
        let pair = |entry: &*const sys::rd_kafka_ConfigEntry_t| {
            Some((text(sys::rd_kafka_ConfigEntry_name(*entry))?, text(sys::rd_kafka_ConfigEntry_value(*entry))?))
        };
        Some((name, Ok(entries.iter().filter_map(pair).collect())))
    }
}

/// Which end of a log is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The next offset to be appended.
    Appended,
    /// Where reading ends: before the first transaction that is still open.
    Readable,
}

/// The end of one partition's log, or why there is none.
pub(crate) type Ends = Vec<(String, i32, Result<i64, Code>)>;

/// Asks for the ends of partitions, which stand in the list by their names on the cluster. The answer comes to
/// [`Question::ends`].
pub(crate) fn list_ends<C: ClientContext>(
    client: &Client<C>,
    partitions: &TopicPartitionList,
    end: End,
    timeout: Duration,
) -> Question {
    let op = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS;
    Question::ask(client, op, timeout, |rk, options, queue| {
        let level = match end {
            End::Appended => sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED,
            End::Readable => sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
        };
        // SAFETY: options and list live; the call copies the list. An error of the level is given back, and cannot be.
        unsafe {
            let refused = sys::rd_kafka_AdminOptions_set_isolation_level(options, level);
            if !refused.is_null() {
                sys::rd_kafka_error_destroy(refused);
            }
            sys::rd_kafka_ListOffsets(rk, partitions.ptr(), options, queue);
        }
    })
}

impl Question {
    /// The answer to [`list_ends`].
    pub(crate) fn ends(self, wait: Duration) -> Waiting<Ends> {
        self.wait(wait, |event| {
            let mut count = 0;
            // SAFETY: the event lives while its parts are read, and is of this kind, or the result is null.
            unsafe {
                let result = sys::rd_kafka_event_ListOffsets_result(event);
                if result.is_null() {
                    return Err((Code::Fail, "an answer to another question".to_owned()));
                }
                let found = members(sys::rd_kafka_ListOffsets_result_infos(result, &mut count), count);
                let end = |info: &*const sys::rd_kafka_ListOffsetsResultInfo_t| {
                    let place = sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*info).as_ref()?;
                    let offset = match place.err {
                        rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(place.offset),
                        code => Err(code.into()),
                    };
                    Some((text(place.topic)?, place.partition, offset))
                };
                Ok(found.iter().filter_map(end).collect())
            }
        })
    }
}
