//! Whether a record may be applied: a pure function of the event, its key and its append time (design 6).
//!
//! Ranges, sizes, finite numbers, no NUL (no store takes it), ids that agree, times that are not ahead of the log.
//! Enumerations are open: an unknown word is valid, except where a fold depends on it. Limits that a field does not
//! state in its schema: a plain string 8 KiB, JSON or personal text 1 MiB, an array or a map 10,000 elements.
//! The happy path does not allocate.

mod events;
mod rules;

use std::fmt;

use thiserror::Error;

use crate::event::{Event, EventKind, Meta};
use crate::projection::is_deriving_producer;
use rules::{id, int, opt_string, time};

/// Longest id or word of a vocabulary, bytes.
pub const ID_MAX: usize = 256;
/// Longest plain string, bytes.
pub const STRING_MAX: usize = 8 << 10;
/// Longest text, bytes.
pub const TEXT_MAX: usize = 1 << 20;
/// Most elements of an array or a map.
pub const ELEMENTS_MAX: usize = 10_000;
/// How far an event may lie ahead of its append time, microseconds.
pub const AHEAD_MAX_US: i64 = 5 * 60 * 1_000_000;
/// Longest part of a key that a message cites, bytes.
pub const CITED_MAX: usize = 200;
/// Last microsecond of the year 9999: the largest time that every store can hold.
pub const TIME_MAX_US: i64 = 253_402_300_799_999_999;

/// Why a record is not valid: the field (its path in the schema, or `key`) and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{field}: {reason}")]
pub struct Violation {
    /// Path of the field, such as `meta.tenant_id`; `key` for the record key.
    pub field: &'static str,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// A number outside its range.
    OutOfRange {
        /// The number.
        value: f64,
        /// Smallest valid number.
        min: f64,
        /// Largest valid number.
        max: f64,
    },
    /// NaN or infinite.
    NotFinite,
    /// An integer or a time outside its range.
    IntOutOfRange {
        /// The number.
        value: i64,
        /// Smallest valid number.
        min: i64,
        /// Largest valid number.
        max: i64,
    },
    /// A decimal number, as text, outside its range.
    DecimalOutOfRange {
        /// The largest valid absolute value.
        bound: i128,
    },
    /// A time too far ahead of the append time.
    Ahead {
        /// By how much it passes the append time, microseconds.
        by_us: i64,
    },
    /// An empty string, where one is required.
    Empty,
    /// A string or blob that is too long.
    TooLong {
        /// Its length, bytes.
        len: usize,
        /// Largest valid length, bytes.
        max: usize,
    },
    /// An array or a map that is too large.
    TooMany {
        /// Its number of elements.
        len: usize,
        /// Largest valid number.
        max: usize,
    },
    /// A string that holds NUL.
    Nul,
    /// A string that holds `|`, which separates the parts of a record key.
    Separator,
    /// The nil UUID, where an id is required.
    Nil,
    /// A value that must equal another one.
    Differs {
        /// What it must equal.
        from: &'static str,
    },
    /// A record key that is not the event's. Both escaped, and cut at [`CITED_MAX`] bytes.
    Key {
        /// The key that the event wants.
        wanted: String,
        /// The key that the record has.
        found: String,
    },
    /// A producer's id that is reserved for derived events, on an event that is not derived.
    DerivingProducer,
    /// A derived event under a producer's id that is no projection's.
    NotDerived,
    /// A value that has not the form it must have.
    Malformed {
        /// The form.
        expected: &'static str,
    },
    /// A word outside a closed vocabulary.
    Unknown {
        /// The vocabulary's words.
        expected: &'static [&'static str],
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::OutOfRange { value, min, max } => write!(f, "{value} is outside {min}..={max}"),
            Reason::NotFinite => f.write_str("not a finite number"),
            Reason::IntOutOfRange { value, min, max } => {
                write!(f, "{value} is outside {min}..={max}")
            }
            Reason::DecimalOutOfRange { bound } => write!(f, "outside {}..={bound}", -bound),
            Reason::Ahead { by_us } => {
                write!(f, "{by_us} us ahead of the append time, more than {AHEAD_MAX_US} us")
            }
            Reason::Empty => f.write_str("empty"),
            Reason::TooLong { len, max } => write!(f, "{len} bytes, more than {max}"),
            Reason::TooMany { len, max } => write!(f, "{len} elements, more than {max}"),
            Reason::Nul => f.write_str("contains NUL"),
            Reason::Separator => f.write_str("contains `|`, which separates the parts of a record key"),
            Reason::Nil => f.write_str("the nil UUID"),
            Reason::Differs { from } => write!(f, "differs from {from}"),
            Reason::Key { wanted, found } => write!(f, "the event wants `{wanted}`, the record has `{found}`"),
            Reason::DerivingProducer => f.write_str(
                "begins with a projection's name and `/`: such ids are for events that projections derive; choose another",
            ),
            Reason::NotDerived => f.write_str(
                "no projection's: this kind of event is derived by the workers, whose ids begin with a projection's \
                 name and `/`; a producer does not append it",
            ),
            Reason::Malformed { expected } => write!(f, "not {expected}"),
            Reason::Unknown { expected } => write!(f, "none of {}", expected.join(", ")),
        }
    }
}

type Checked = Result<(), Violation>;

fn violation(field: &'static str, reason: Reason) -> Checked {
    Err(Violation { field, reason })
}

/// Whether the record may be applied. `append_time_us` is the log's append time, microseconds since the Unix epoch.
///
/// # Errors
/// The first violation, in the order of the schema's fields; the key last.
pub fn check(event: &Event<'_>, key: &[u8], append_time_us: i64) -> Result<(), Violation> {
    meta(event.meta(), append_time_us)?;
    origin(event.kind(), event.meta().producer_id)?;
    events::check(event, append_time_us)?;
    if event.key_matches(key) { Ok(()) } else { Err(other_key(event, key)) }
}

/// Only projections derive, and what they append is derived: whoever else used their ids would take their numbers, and
/// make derived events that follow from nothing (I1).
fn origin(kind: EventKind, producer_id: &str) -> Checked {
    match (kind.derived(), is_deriving_producer(producer_id)) {
        (true, false) => violation("meta.producer_id", Reason::NotDerived),
        (false, true) => violation("meta.producer_id", Reason::DerivingProducer),
        _ => Ok(()),
    }
}

fn other_key(event: &Event<'_>, key: &[u8]) -> Violation {
    let wanted = if let Event::Forgotten(forgotten) = event {
        format!("{}|...", cite(forgotten.meta.tenant_id.as_bytes()))
    } else {
        let mut wanted = Vec::new();
        event.key(&mut wanted);
        cite(&wanted)
    };
    Violation { field: "key", reason: Reason::Key { wanted, found: cite(key) } }
}

/// Bytes of a stranger, so that they can stand in a message: escaped, and cut.
fn cite(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(CITED_MAX)];
    let escaped = match std::str::from_utf8(shown) {
        Ok(text) => text.escape_debug().to_string(),
        Err(_) => shown.escape_ascii().to_string(),
    };
    if bytes.len() > CITED_MAX { format!("{escaped}... ({} bytes)", bytes.len()) } else { escaped }
}

/// The largest time that an event appended then may name.
const fn horizon(append_time_us: i64) -> i64 {
    append_time_us.saturating_add(AHEAD_MAX_US)
}

/// A time that may lie at most [`AHEAD_MAX_US`] ahead of the append time.
fn not_ahead(field: &'static str, value: i64, append_time_us: i64) -> Checked {
    time(field, value)?;
    if value > horizon(append_time_us) {
        return violation(field, Reason::Ahead { by_us: value.saturating_sub(append_time_us) });
    }
    Ok(())
}

fn meta(meta: &Meta<'_>, append_time_us: i64) -> Checked {
    if meta.event_id.is_nil() {
        return violation("meta.event_id", Reason::Nil);
    }
    not_ahead("meta.occurred_at", meta.occurred_at, append_time_us)?;
    id("meta.tenant_id", meta.tenant_id)?;
    if meta.tenant_id.contains('|') {
        return violation("meta.tenant_id", Reason::Separator);
    }
    id("meta.producer_id", meta.producer_id)?;
    if let Some(seq) = meta.producer_seq {
        int("meta.producer_seq", seq, 0, i64::MAX - 1)?;
    }
    int("meta.love_resonance", meta.love_resonance.into(), 0, 100)?;
    if let Some(version) = meta.base_version {
        not_ahead("meta.base_version", version, append_time_us)?;
    }
    opt_string("meta.trace_id", meta.trace_id)
}

#[cfg(test)]
mod tests;
