//! Consumer groups: who owns which partition, and how a partition passes from one member to the next.
//!
//! A rebalance is cooperative and sticky. A partition that must move is revoked from its owner, who flushes and
//! releases it; only then does the next member get it. An owner that does not release within the grace loses it all
//! the same: from then on its commits are refused (the worker's store fences it too, I3).
//!
//! | state of a partition | owner may commit | leaves the state by |
//! |---|---|---|
//! | free | - | rebalance: offered |
//! | offered to m | no | m takes it (owned); rebalance or m leaves (free) |
//! | owned by m | yes | rebalance (revoking); m leaves (free) |
//! | revoking from m | yes | m releases or leaves, or the grace ends (free, then offered) |
//!
//! No I/O and no clock: the time comes in with each call, in microseconds.

use super::balance::{MemberId, balance};
use domain::{Topic, TopicPartition};
use std::collections::BTreeMap;

/// What a member is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Revoked(Vec<TopicPartition>),
    Assigned(Vec<TopicPartition>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Offered(MemberId),
    Owned(MemberId),
    Revoking { from: MemberId, until_us: i64, told: bool },
}

impl State {
    fn member(self) -> MemberId {
        match self {
            Self::Offered(member) | Self::Owned(member) | Self::Revoking { from: member, .. } => member,
        }
    }
}

/// One consumer group.
#[derive(Debug, Default)]
struct Group {
    members: BTreeMap<MemberId, Vec<Topic>>,
    /// Who should own what.
    targets: BTreeMap<TopicPartition, MemberId>,
    /// Who does; a partition without an entry is free.
    states: BTreeMap<TopicPartition, State>,
    /// Partitions that a member still believes to own after the grace took them.
    lost: BTreeMap<MemberId, Vec<TopicPartition>>,
}

/// Every group of a log.
#[derive(Debug)]
pub(super) struct Assigner {
    /// The partition count of each topic.
    partitions: BTreeMap<Topic, u32>,
    grace_us: i64,
    groups: BTreeMap<String, Group>,
    next_member: MemberId,
}

impl Assigner {
    pub(super) fn new(partitions: BTreeMap<Topic, u32>, grace_us: i64) -> Self {
        Self { partitions, grace_us, groups: BTreeMap::new(), next_member: 1 }
    }

    /// Adds a member and rebalances.
    pub(super) fn join(&mut self, group: &str, topics: &[Topic], now_us: i64) -> MemberId {
        let member = self.next_member;
        self.next_member += 1;
        self.groups.entry(group.to_owned()).or_default().members.insert(member, topics.to_vec());
        self.rebalance(group, now_us);
        member
    }

    /// Removes a member, frees what it had, and rebalances.
    pub(super) fn leave(&mut self, group: &str, member: MemberId, now_us: i64) {
        let Some(held) = self.groups.get_mut(group) else { return };
        if held.members.remove(&member).is_none() {
            return;
        }
        held.lost.remove(&member);
        held.states.retain(|_, state| state.member() != member);
        if held.members.is_empty() {
            self.groups.remove(group);
        } else {
            self.rebalance(group, now_us);
        }
    }

    /// Moves every partition one member on, for tests of hand-overs. A lone member gets its own back.
    pub(super) fn shuffle(&mut self, group: &str, now_us: i64) {
        let Some(held) = self.groups.get_mut(group) else { return };
        let members: Vec<(MemberId, Vec<Topic>)> = held.members.clone().into_iter().collect();
        for (tp, target) in &mut held.targets {
            let at = members.iter().position(|(member, _)| member == target).unwrap_or(0);
            let after = members.iter().cycle().skip(at + 1).take(members.len());
            if let Some((next, _)) = after.into_iter().find(|(_, topics)| topics.contains(&tp.topic)) {
                *target = *next;
            }
        }
        let all: Vec<TopicPartition> = held.states.keys().copied().collect();
        all.iter().for_each(|tp| held.revoke(*tp, now_us + self.grace_us));
        held.settle(now_us);
    }

    /// What the member must be told next, if anything; telling it changes what it may do.
    pub(super) fn notice(&mut self, group: &str, member: MemberId, now_us: i64) -> Option<Notice> {
        let held = self.groups.get_mut(group)?;
        held.settle(now_us);
        held.notice(member)
    }

    /// When the next grace of the group ends, if one runs.
    pub(super) fn next_deadline_us(&self, group: &str) -> Option<i64> {
        let states = self.groups.get(group)?.states.values();
        let deadlines = states.filter_map(|state| match state {
            State::Revoking { until_us, .. } => Some(*until_us),
            _ => None,
        });
        deadlines.min()
    }

    /// Takes back what the member was told to give up; anything else is left as it is.
    pub(super) fn release(&mut self, group: &str, member: MemberId, tps: &[TopicPartition], now_us: i64) {
        let Some(held) = self.groups.get_mut(group) else { return };
        for tp in tps {
            if matches!(held.states.get(tp), Some(State::Revoking { from, told: true, .. }) if *from == member) {
                held.states.remove(tp);
            }
        }
        held.settle(now_us);
    }

    /// Whether the member may commit for this partition now.
    pub(super) fn owns(&mut self, group: &str, member: MemberId, tp: TopicPartition, now_us: i64) -> bool {
        let Some(held) = self.groups.get_mut(group) else { return false };
        held.settle(now_us);
        match held.states.get(&tp) {
            Some(State::Owned(owner)) => *owner == member,
            Some(State::Revoking { from, .. }) => *from == member,
            Some(State::Offered(_)) | None => false,
        }
    }

    fn rebalance(&mut self, group: &str, now_us: i64) {
        let Some(held) = self.groups.get_mut(group) else { return };
        let counts = self.partitions.iter();
        let all: Vec<TopicPartition> = counts
            .flat_map(|(topic, count)| (0..*count).map(|partition| TopicPartition::new(*topic, partition)))
            .collect();
        held.targets = balance(&all, &held.members, &held.targets);
        let misplaced: Vec<TopicPartition> = held
            .states
            .iter()
            .filter_map(|(tp, state)| (held.targets.get(tp) != Some(&state.member())).then_some(*tp))
            .collect();
        misplaced.iter().for_each(|tp| held.revoke(*tp, now_us + self.grace_us));
        held.settle(now_us);
    }
}

impl Group {
    fn revoke(&mut self, tp: TopicPartition, until_us: i64) {
        match self.states.get(&tp) {
            Some(State::Offered(_)) => {
                self.states.remove(&tp);
            }
            Some(State::Owned(from)) => {
                let from = *from;
                self.states.insert(tp, State::Revoking { from, until_us, told: false });
            }
            Some(State::Revoking { .. }) | None => {}
        }
    }

    /// Ends graces that are over and offers free partitions to those who should have them.
    fn settle(&mut self, now_us: i64) {
        for (tp, target) in &self.targets {
            if let Some(State::Revoking { from, until_us, told }) = self.states.get(tp) {
                if *until_us > now_us {
                    continue;
                }
                if !told {
                    self.lost.entry(*from).or_default().push(*tp);
                }
                self.states.remove(tp);
            }
            self.states.entry(*tp).or_insert(State::Offered(*target));
        }
    }

    fn notice(&mut self, member: MemberId) -> Option<Notice> {
        let mut revoked = self.lost.remove(&member).unwrap_or_default();
        for (tp, state) in &mut self.states {
            match state {
                State::Revoking { from, told, .. } if *from == member && !*told => {
                    *told = true;
                    revoked.push(*tp);
                }
                _ => {}
            }
        }
        if !revoked.is_empty() {
            return Some(Notice::Revoked(revoked));
        }
        let mut assigned = Vec::new();
        for (tp, state) in &mut self.states {
            if *state == State::Offered(member) {
                *state = State::Owned(member);
                assigned.push(*tp);
            }
        }
        (!assigned.is_empty()).then_some(Notice::Assigned(assigned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GROUP: &str = "views";
    const TOPIC: Topic = Topic::AgentState;

    fn assigner(partitions: u32, grace_us: i64) -> Assigner {
        Assigner::new(BTreeMap::from([(TOPIC, partitions)]), grace_us)
    }

    fn tps(partitions: impl IntoIterator<Item = u32>) -> Vec<TopicPartition> {
        partitions.into_iter().map(|partition| TopicPartition::new(TOPIC, partition)).collect()
    }

    #[test]
    fn only_what_moves_is_revoked_and_it_passes_on_release() {
        let mut assigner = assigner(4, 1_000);
        let one = assigner.join(GROUP, &[TOPIC], 0);
        assert_eq!(assigner.notice(GROUP, one, 0), Some(Notice::Assigned(tps(0..4))));
        let two = assigner.join(GROUP, &[TOPIC], 0);
        assert_eq!(assigner.notice(GROUP, two, 0), None);
        assert_eq!(assigner.notice(GROUP, one, 0), Some(Notice::Revoked(tps([2, 3]))));
        assert!(assigner.owns(GROUP, one, tps([2])[0], 0), "it may still commit what it flushes");
        assigner.release(GROUP, one, &tps([2, 3]), 0);
        assert!(!assigner.owns(GROUP, one, tps([2])[0], 0));
        assert_eq!(assigner.notice(GROUP, two, 0), Some(Notice::Assigned(tps([2, 3]))));
        assert_eq!(assigner.notice(GROUP, one, 0), None);
    }

    #[test]
    fn the_grace_ends_a_silent_owner() {
        let mut assigner = assigner(2, 1_000);
        let one = assigner.join(GROUP, &[TOPIC], 0);
        assigner.notice(GROUP, one, 0);
        let two = assigner.join(GROUP, &[TOPIC], 10);
        assert_eq!(assigner.next_deadline_us(GROUP), Some(1_010));
        assert_eq!(assigner.notice(GROUP, two, 1_009), None);
        assert_eq!(assigner.notice(GROUP, two, 1_010), Some(Notice::Assigned(tps([1]))));
        assert!(!assigner.owns(GROUP, one, tps([1])[0], 1_010));
        assert_eq!(assigner.notice(GROUP, one, 1_010), Some(Notice::Revoked(tps([1]))), "it learns of it late");
    }

    #[test]
    fn a_late_release_does_not_touch_a_new_ownership() {
        let mut assigner = assigner(1, 0);
        let one = assigner.join(GROUP, &[TOPIC], 0);
        assigner.notice(GROUP, one, 0);
        assigner.shuffle(GROUP, 0);
        assert_eq!(assigner.notice(GROUP, one, 0), Some(Notice::Revoked(tps([0]))));
        assert!(!assigner.owns(GROUP, one, tps([0])[0], 0), "offered again, not taken yet");
        assigner.release(GROUP, one, &tps([0]), 0);
        assert_eq!(assigner.notice(GROUP, one, 0), Some(Notice::Assigned(tps([0]))));
        assert!(assigner.owns(GROUP, one, tps([0])[0], 0));
    }

    #[test]
    fn a_leaver_frees_what_it_had() {
        let mut assigner = assigner(2, 1_000);
        let one = assigner.join(GROUP, &[TOPIC], 0);
        let two = assigner.join(GROUP, &[TOPIC], 0);
        assigner.notice(GROUP, one, 0);
        assigner.notice(GROUP, two, 0);
        assigner.leave(GROUP, one, 0);
        assert_eq!(assigner.notice(GROUP, two, 0), Some(Notice::Assigned(tps([0]))));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Join,
        Leave(usize),
        Poll(usize),
        Release(usize),
        Shuffle,
        Wait(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let at = 0_usize..4;
        prop_oneof![
            Just(Step::Join),
            at.clone().prop_map(Step::Leave),
            at.clone().prop_map(Step::Poll),
            at.prop_map(Step::Release),
            Just(Step::Shuffle),
            (0_i64..200).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// Whatever happens: nobody but one may commit for a partition, and in the end everything is assigned.
        #[test]
        fn one_owner_at_most_and_all_assigned_at_rest(steps in prop::collection::vec(step(), 1..60), grace in 0_i64..150) {
            let mut assigner = assigner(5, grace);
            let (mut members, mut now) = (Vec::<MemberId>::new(), 0);
            for step in steps {
                let at = |ix: usize| members.get(ix).copied().unwrap_or(0);
                match step {
                    Step::Join if members.len() < 4 => members.push(assigner.join(GROUP, &[TOPIC], now)),
                    Step::Leave(ix) if ix < members.len() => assigner.leave(GROUP, members.remove(ix), now),
                    Step::Poll(ix) => drop(assigner.notice(GROUP, at(ix), now)),
                    Step::Release(ix) => assigner.release(GROUP, at(ix), &tps(0..5), now),
                    Step::Shuffle => assigner.shuffle(GROUP, now),
                    Step::Wait(us) => now += us,
                    Step::Join | Step::Leave(_) => {}
                }
                for tp in tps(0..5) {
                    prop_assert!(members.iter().filter(|member| assigner.owns(GROUP, **member, tp, now)).count() <= 1);
                }
            }
            now += grace;
            for _ in 0..3 {
                members.iter().for_each(|member| drop(assigner.notice(GROUP, *member, now)));
            }
            for tp in tps(0..if members.is_empty() { 0 } else { 5 }) {
                prop_assert_eq!(members.iter().filter(|member| assigner.owns(GROUP, **member, tp, now)).count(), 1);
            }
        }
    }
}
