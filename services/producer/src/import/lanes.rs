//! Which `[[event]]` of a mapping continues which one of an earlier import of the same content.
//!
//! An `[[event]]` is named by the hash of its own text, without its condition: it keeps its ids and
//! numbers wherever it stands in the mapping, whichever rows it is for, and whatever is said above
//! all events. One whose text was changed gives other events, so it has another name, with one
//! exception: where rows were rejected because of a field, and that field's expression is what was
//! changed, the mended `[[event]]` keeps the name. Else mending it would double the rows that had
//! been good.

use super::mapping::{Mapping, Output};
use super::ranges::RowRanges;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is kept of an `[[event]]` that was imported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedOutput {
    /// The name under which its events went.
    pub lane: String,
    /// Its text as JSON, without the condition.
    pub text: Value,
    /// Its condition as JSON; null where it has none.
    pub condition: Value,
    /// The rows that are behind it: what they give is published and acknowledged.
    pub done: RowRanges,
}

/// What an `[[event]]` is to earlier imports of the same content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuation {
    /// It was imported before as it stands: only rows that are not behind it are published.
    Same,
    /// It was imported before under another condition: all rows are published, and the workers drop
    /// what they know.
    Widened,
    /// It mends one because of which rows were rejected: these are tried again, the others stay as
    /// they are.
    Mended,
    /// It was not imported before: all rows are published.
    New,
}

/// An `[[event]]` of the mapping, with the name of its events.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) continuation: Continuation,
    /// Its place in the saved outputs, where it stands there as it is.
    pub(super) place: Option<usize>,
    pub(super) output: SavedOutput,
}

/// Finds out what each `[[event]]` continues; `fields` are those because of which rows were
/// rejected.
pub(super) fn lanes(mapping: &Mapping, saved: &[SavedOutput], fields: &[&str]) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::with_capacity(mapping.outputs.len());
    for output in &mapping.outputs {
        let fresh = |lane: &str| SavedOutput {
            lane: lane.to_owned(),
            text: output.text.clone(),
            condition: output.condition.clone(),
            done: RowRanges::default(),
        };
        let place = same(output, saved, &lanes);
        let (continuation, output) = if let Some(held) = place.and_then(|place| saved.get(place)) {
            (Continuation::Same, held.clone())
        } else if let Some(held) = saved.iter().find(|held| held.text == output.text) {
            (Continuation::Widened, fresh(&held.lane))
        } else if let Some(held) = mended(output, mapping, saved, &lanes, fields) {
            let mut next = fresh(&held.lane);
            if held.condition == output.condition {
                next.done.clone_from(&held.done);
            }
            (Continuation::Mended, next)
        } else {
            (Continuation::New, fresh(&output.name))
        };
        lanes.push(Lane { continuation, place, output });
    }
    lanes
}

/// The place where it is saved as it stands. Of two that are alike, each takes a place of its own.
fn same(output: &Output, saved: &[SavedOutput], taken: &[Lane]) -> Option<usize> {
    saved.iter().enumerate().position(|(place, held)| {
        let is_free = taken.iter().all(|lane| lane.place != Some(place));
        is_free && held.text == output.text && held.condition == output.condition
    })
}

/// The latest one that it mends, among those that the mapping does not have any more.
fn mended<'s>(
    output: &Output,
    mapping: &Mapping,
    saved: &'s [SavedOutput],
    taken: &[Lane],
    fields: &[&str],
) -> Option<&'s SavedOutput> {
    saved.iter().rev().find(|held| {
        let is_gone = mapping.outputs.iter().all(|other| other.text != held.text);
        let is_free = taken.iter().all(|lane| lane.output.lane != held.lane);
        is_gone && is_free && mends(&held.text, &output.text, fields)
    })
}

/// Whether a text mends another: the same event for the same values, changed in a field that rows
/// were rejected for.
fn mends(former: &Value, text: &Value, fields: &[&str]) -> bool {
    let differs = |pointer: &str| former.pointer(pointer) != text.pointer(pointer);
    let is_mended = |field: &&str| match *field {
        "first_of" => differs("/first_of"),
        "occurred_at" | "love_resonance" => differs(&format!("/{field}")),
        _ => {
            let top = field.split(['.', '[']).next().unwrap_or(field);
            differs(&format!("/fields/{top}"))
        }
    };
    let is_for_the_same_values = !differs("/first_of") || fields.contains(&"first_of");
    !differs("/type") && is_for_the_same_values && fields.iter().any(is_mended)
}
