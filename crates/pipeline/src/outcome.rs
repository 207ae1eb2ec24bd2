//! What happened to a record: a closed set, never a boolean or a log line.

use crate::position::Counts;
use std::fmt;

/// What happened to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was folded into rows.
    Applied,
    /// It was seen before.
    Duplicate,
    /// It is at or below the floor of its producer's sequences: a duplicate, counted apart as well.
    Behind,
    /// It is valid, but writes no table of the projection.
    Ignored,
    /// It is of a kind that this binary does not know: ignored, and counted apart as well.
    Unknown,
    /// It holds no event: a tombstone of a compacted topic.
    Hole,
    /// It cannot be applied and goes to the dead-letter topic (I6).
    Dead(DeadReason),
}

/// Why a record cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadReason {
    /// The kind: a label of metrics.
    pub kind: DeadKind,
    /// The sentence for people: the field and what is wrong with it.
    pub text: String,
}

/// The kinds of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadKind {
    /// The bytes are no event.
    Undecodable,
    /// The event breaks a rule of validity.
    Invalid,
    /// The record lies in another partition than its key's (I9).
    Misplaced,
    /// Its producer used its sequence number for another event before.
    Reused,
    /// A store refuses its rows.
    Refused,
}

impl DeadKind {
    /// All kinds.
    pub const ALL: [DeadKind; 5] =
        [DeadKind::Undecodable, DeadKind::Invalid, DeadKind::Misplaced, DeadKind::Reused, DeadKind::Refused];

    /// The label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            DeadKind::Undecodable => "undecodable",
            DeadKind::Invalid => "invalid",
            DeadKind::Misplaced => "misplaced",
            DeadKind::Reused => "reused",
            DeadKind::Refused => "refused",
        }
    }
}

impl DeadReason {
    /// The reason in the form in which it is displayed: the reverse of that.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let known = |(label, rest): (&str, &str)| {
            let kind = DeadKind::ALL.into_iter().find(|kind| kind.label() == label)?;
            Some(Self { kind, text: rest.to_owned() })
        };
        let parsed = text.split_once(": ").and_then(known);
        parsed.unwrap_or_else(|| Self { kind: DeadKind::Refused, text: text.to_owned() })
    }

    /// A store refuses the record's rows.
    #[must_use]
    pub fn refused(text: String) -> Self {
        Self { kind: DeadKind::Refused, text }
    }
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.label(), self.text)
    }
}

impl Counts {
    /// Counts one outcome.
    pub fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Applied => self.applied += 1,
            Outcome::Duplicate => self.duplicate += 1,
            Outcome::Behind => {
                self.duplicate += 1;
                self.behind += 1;
            }
            Outcome::Ignored => self.ignored += 1,
            Outcome::Unknown => {
                self.ignored += 1;
                self.unknown += 1;
            }
            Outcome::Hole => self.holes += 1,
            Outcome::Dead(_) => self.dead += 1,
        }
    }
}
