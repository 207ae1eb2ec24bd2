//! The two calls into librdkafka that have no safe form.
#![allow(unsafe_code, reason = "each use states why it is sound")]

use rdkafka::ClientContext;
use rdkafka::bindings;
use rdkafka::client::Client;
use rdkafka::message::BorrowedMessage;
use std::ffi::{CStr, CString};
use std::ptr;

/// The end of a partition's log as of the last fetch: without a request, and without statistics.
pub(crate) fn known_end<C: ClientContext>(client: &Client<C>, topic: &str, partition: i32) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1_i64, -1_i64);
    // SAFETY: the client outlives the call, which takes a lock of its own and writes the two numbers only.
    let code = unsafe {
        bindings::rd_kafka_get_watermark_offsets(client.native_ptr(), topic.as_ptr(), partition, &mut low, &mut high)
    };
    (code == bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
}

/// Calls `visit` with each header. The safe form panics at a name that is not UTF-8, which any producer can write.
pub(crate) fn each_header(message: &BorrowedMessage<'_>, mut visit: impl FnMut(&[u8], Option<&[u8]>)) {
    let mut headers = ptr::null_mut();
    // SAFETY: the message is borrowed, so it and the headers that belong to it live until the end of this function.
    let code = unsafe { bindings::rd_kafka_message_headers(message.ptr(), &mut headers) };
    if code != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return;
    }
    for ix in 0.. {
        let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
        // SAFETY: as above; past the last header the call writes nothing and says so.
        let code = unsafe { bindings::rd_kafka_header_get_all(headers, ix, &mut name, &mut value, &mut length) };
        if code != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
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
