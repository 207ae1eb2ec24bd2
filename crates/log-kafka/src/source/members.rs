//! Which partitions are whose, from the worker's point of view. Pure: no client, no clock.
//!
//! | state | how it is entered | commits | pages | how it ends |
//! |---|---|---|---|---|
//! | offered | the group assigns it | no | no | told to the worker: owned; revoked: gone, as if it never was |
//! | owned | the worker was told | yes | after a seek | revoked: revoking; lost: gone, and told |
//! | revoking | the group wants it back | yes | no | released by the worker, or the deadline passes: gone |
//!
//! What goes without the worker having been told is told later, before anything else. Until then the worker takes it
//! for its own, and is refused: `NotOwner`.

use domain::TopicPartition;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Offered,
    Owned { reading: Option<u64> },
    Revoking { told: bool },
}

/// What the worker is to be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
}

/// The partitions of one member.
#[derive(Debug, Default)]
pub(super) struct Members {
    states: BTreeMap<TopicPartition, State>,
    /// Gone, but the worker was not told yet.
    lost: BTreeSet<TopicPartition>,
    /// Which reading of a partition a page belongs to: a seek begins a new one.
    readings: u64,
    /// The member joined, and nothing was left for it: it is told so once, so that it knows that it works.
    is_spare: bool,
}

impl Members {
    /// The group assigns partitions.
    pub(super) fn offer(&mut self, tps: &[TopicPartition]) {
        self.is_spare = tps.is_empty() && self.states.is_empty();
        self.states.extend(tps.iter().map(|tp| (*tp, State::Offered)));
    }

    /// The group wants partitions back; says whether any of them must be released first.
    pub(super) fn revoke(&mut self, tps: &[TopicPartition]) -> bool {
        for tp in tps {
            match self.states.get(tp) {
                Some(State::Offered) | None => drop(self.states.remove(tp)),
                Some(State::Owned { .. }) => drop(self.states.insert(*tp, State::Revoking { told: false })),
                Some(State::Revoking { .. }) => {}
            }
        }
        self.is_revoking()
    }

    /// Partitions are gone, flushed or not.
    pub(super) fn lose(&mut self, tps: &[TopicPartition]) {
        for tp in tps {
            match self.states.remove(tp) {
                Some(State::Owned { .. } | State::Revoking { told: false }) => drop(self.lost.insert(*tp)),
                Some(State::Offered | State::Revoking { told: true }) | None => {}
            }
        }
    }

    /// The worker has flushed what it was told to give up. What it was not told to give up stays.
    pub(super) fn release(&mut self, tps: &[TopicPartition]) {
        for tp in tps {
            if self.states.get(tp) == Some(&State::Revoking { told: true }) {
                self.states.remove(tp);
            }
        }
    }

    /// Whether a partition waits for its release.
    pub(super) fn is_revoking(&self) -> bool {
        self.states.values().any(|state| matches!(state, State::Revoking { .. }))
    }

    /// What the worker must be told next: losses before gains. Telling it changes what it may do.
    pub(super) fn notice(&mut self) -> Option<Notice> {
        let mut revoked: Vec<_> = std::mem::take(&mut self.lost).into_iter().collect();
        for (tp, state) in &mut self.states {
            if *state == (State::Revoking { told: false }) {
                *state = State::Revoking { told: true };
                revoked.push(*tp);
            }
        }
        if !revoked.is_empty() {
            return Some(Notice::Revoked(revoked));
        }
        let mut assigned = Vec::new();
        for (tp, state) in &mut self.states {
            if *state == State::Offered {
                *state = State::Owned { reading: None };
                assigned.push(*tp);
            }
        }
        let is_spare = std::mem::take(&mut self.is_spare);
        (is_spare || !assigned.is_empty()).then_some(Notice::Assigned(assigned))
    }

    /// Begins a new reading of an owned partition.
    pub(super) fn read(&mut self, tp: TopicPartition) -> Option<u64> {
        let State::Owned { reading } = self.states.get_mut(&tp)? else { return None };
        self.readings += 1;
        *reading = Some(self.readings);
        *reading
    }

    /// Ends the reading of a partition that stays owned.
    pub(super) fn halt(&mut self, tp: TopicPartition) {
        if let Some(State::Owned { reading }) = self.states.get_mut(&tp) {
            *reading = None;
        }
    }

    /// Whether a page of this reading may be delivered.
    pub(super) fn reads(&self, tp: TopicPartition, reading: u64) -> bool {
        self.states.get(&tp) == Some(&State::Owned { reading: Some(reading) })
    }

    /// Whether the worker may commit for a partition.
    pub(super) fn may_commit(&self, tp: TopicPartition) -> bool {
        !self.lost.contains(&tp) && matches!(self.states.get(&tp), Some(State::Owned { .. } | State::Revoking { .. }))
    }

    /// The partitions that the worker may claim and read.
    pub(super) fn owned(&self) -> Vec<TopicPartition> {
        let owned = self.states.iter().filter(|(_, state)| matches!(state, State::Owned { .. }));
        owned.map(|(tp, _)| *tp).collect()
    }

    /// Whether anything is assigned, told or not.
    pub(super) fn is_empty(&self) -> bool {
        self.states.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Topic;

    fn tp(partition: u32) -> TopicPartition {
        TopicPartition::new(Topic::AgentState, partition)
    }

    fn owning(partitions: &[TopicPartition]) -> Members {
        let mut members = Members::default();
        members.offer(partitions);
        assert_eq!(members.notice(), Some(Notice::Assigned(partitions.to_vec())));
        members
    }

    #[test]
    fn what_is_revoked_is_committed_until_it_is_released() {
        let mut members = owning(&[tp(0), tp(1)]);
        let reading = members.read(tp(0)).unwrap();
        assert!(members.reads(tp(0), reading));
        assert!(members.revoke(&[tp(0)]));
        assert!(!members.reads(tp(0), reading), "no page after a revocation");
        assert!(members.may_commit(tp(0)) && members.read(tp(0)).is_none());
        members.release(&[tp(0)]);
        assert!(members.may_commit(tp(0)), "not released before it was told");
        assert_eq!(members.notice(), Some(Notice::Revoked(vec![tp(0)])));
        members.release(&[tp(0), tp(1)]);
        assert!(!members.is_revoking() && !members.may_commit(tp(0)));
        assert_eq!(members.owned(), [tp(1)], "what was not revoked stays");
    }

    #[test]
    fn what_was_never_told_goes_in_silence() {
        let mut members = Members::default();
        members.offer(&[tp(0)]);
        assert!(!members.may_commit(tp(0)));
        assert!(!members.revoke(&[tp(0)]));
        assert_eq!(members.notice(), None);
    }

    #[test]
    fn a_loss_is_told_before_the_return() {
        let mut members = owning(&[tp(0)]);
        members.revoke(&[tp(0)]);
        members.lose(&[tp(0)]);
        members.offer(&[tp(0)]);
        assert!(!members.may_commit(tp(0)), "the worker's work is that of the earlier ownership");
        assert_eq!(members.notice(), Some(Notice::Revoked(vec![tp(0)])));
        members.release(&[tp(0)]);
        assert_eq!(members.notice(), Some(Notice::Assigned(vec![tp(0)])), "a late release leaves the new one alone");
        assert!(members.may_commit(tp(0)));
    }

    #[test]
    fn a_loss_after_the_worker_was_told_is_not_told_again() {
        let mut members = owning(&[tp(0)]);
        members.revoke(&[tp(0)]);
        assert!(members.notice().is_some());
        members.lose(&[tp(0)]);
        assert_eq!(members.notice(), None);
        assert!(!members.may_commit(tp(0)) && members.is_empty());
    }

    #[test]
    fn a_member_for_which_nothing_is_left_is_told_so_once() {
        let mut members = Members::default();
        members.offer(&[]);
        assert_eq!(members.notice(), Some(Notice::Assigned(Vec::new())));
        assert_eq!(members.notice(), None);
    }

    #[test]
    fn halted_partition_is_owned_and_not_read_until_the_next_seek() {
        let mut members = owning(&[tp(0)]);
        let reading = members.read(tp(0)).unwrap();
        members.halt(tp(0));
        assert!(!members.reads(tp(0), reading) && members.may_commit(tp(0)));
        let again = members.read(tp(0)).unwrap();
        assert!(members.reads(tp(0), again) && !members.reads(tp(0), reading));
        members.halt(tp(1));
        assert_eq!(members.owned(), [tp(0)], "a partition of somebody else");
    }

    #[test]
    fn a_seek_ends_the_pages_before_it() {
        let mut members = owning(&[tp(0)]);
        let (one, two) = (members.read(tp(0)).unwrap(), members.read(tp(0)).unwrap());
        assert!(!members.reads(tp(0), one) && members.reads(tp(0), two));
    }
}
