//! Kafka's headers as ours, and back.
//!
//! | Kafka | here |
//! |---|---|
//! | a header | the same; a name that is not UTF-8 has its bad bytes replaced |
//! | a header without a value | one with an empty value |
//! | a record without a value (a tombstone) | an empty value, and the header [`NULL_VALUE`] |
//! | a record without a key | an empty key |

use crate::ffi::Fetched;
use pipeline::Headers;
use pipeline::record::NULL_VALUE;
use rdkafka::message::{Header, OwnedHeaders};

/// The headers of a record that was read.
pub(crate) fn read(message: Fetched<'_>) -> Headers {
    let mut headers = Headers::default();
    message.each_header(|name, value| headers.push(&String::from_utf8_lossy(name), value.unwrap_or_default()));
    if message.payload().is_none() {
        headers.push(NULL_VALUE, b"");
    }
    headers
}

/// The headers of a record to be published, and whether its value is null.
pub(crate) fn write(headers: &Headers) -> (Option<OwnedHeaders>, bool) {
    let mut null = false;
    let mut owned: Option<OwnedHeaders> = None;
    for (key, value) in Headers::pairs(headers.as_bytes()) {
        if key == NULL_VALUE {
            null = true;
        } else {
            owned = Some(owned.unwrap_or_default().insert(Header { key, value: Some(value) }));
        }
    }
    (owned, null)
}
