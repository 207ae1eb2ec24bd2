//! Any bytes, decoded, encoded again and shown as JSON: `cargo +nightly fuzz run decode` in `crates/codec`.
#![no_main]

use std::sync::{Arc, LazyLock};

use codec::{Encoder, Schemas, to_json};
use libfuzzer_sys::fuzz_target;

static SCHEMAS: LazyLock<Arc<Schemas>> = LazyLock::new(|| Arc::new(Schemas::embedded().expect("schemas parse")));

fuzz_target!(|value: &[u8]| {
    let Ok(event) = SCHEMAS.decode(value) else { return };
    let mut out = Vec::new();
    Encoder::new(SCHEMAS.clone()).encode(&event, &mut out).expect("what was decoded can be encoded");
    let again = SCHEMAS.decode(&out).expect("what was encoded can be decoded");
    assert_eq!(again.kind(), event.kind());
    to_json(&SCHEMAS, value).expect("what was decoded can be shown");
});
