//! Who should own which partition: even, and with as few moves as possible. Pure.

use domain::{Topic, TopicPartition};
use std::collections::BTreeMap;

/// The number of a member within the life of a log; never used twice.
pub(super) type MemberId = u64;

/// Spreads partitions over members. `owners` is what is, and only members who are still there count.
///
/// Every topic is spread evenly over its subscribers (their counts differ by at most one), and of two members whose
/// counts in a topic differ by one, the one with fewer partitions in all gets the larger share. Each move lowers the
/// sum of squared counts per topic, or leaves it and lowers that over all: so this ends.
pub(super) fn balance(
    partitions: &[TopicPartition],
    members: &BTreeMap<MemberId, Vec<Topic>>,
    owners: &BTreeMap<TopicPartition, MemberId>,
) -> BTreeMap<TopicPartition, MemberId> {
    let mut load = Load::default();
    let mut plan = BTreeMap::new();
    for (tp, owner) in owners {
        if partitions.contains(tp) && members.get(owner).is_some_and(|topics| topics.contains(&tp.topic)) {
            load.add(*owner, tp.topic, 1);
            plan.insert(*tp, *owner);
        }
    }
    for tp in partitions {
        if plan.contains_key(tp) {
            continue;
        }
        if let Some(member) = load.lightest(tp.topic, members) {
            load.add(member, tp.topic, 1);
            plan.insert(*tp, member);
        }
    }
    while let Some((tp, from, to)) = next_move(&plan, members, &load) {
        load.add(from, tp.topic, -1);
        load.add(to, tp.topic, 1);
        plan.insert(tp, to);
    }
    plan
}

fn next_move(
    plan: &BTreeMap<TopicPartition, MemberId>,
    members: &BTreeMap<MemberId, Vec<Topic>>,
    load: &Load,
) -> Option<(TopicPartition, MemberId, MemberId)> {
    // The highest partitions move first, so that the choice does not depend on the order of joining.
    plan.iter().rev().find_map(|(tp, from)| {
        let to = load.lightest(tp.topic, members)?;
        let (have, get) = (load.of(*from, tp.topic), load.of(to, tp.topic));
        let uneven = have.0 > get.0 + 1 || (have.0 == get.0 + 1 && have.1 > get.1 + 1);
        uneven.then_some((*tp, *from, to))
    })
}

#[derive(Default)]
struct Load {
    by_topic: BTreeMap<(MemberId, Topic), i64>,
    total: BTreeMap<MemberId, i64>,
}

impl Load {
    fn add(&mut self, member: MemberId, topic: Topic, count: i64) {
        *self.by_topic.entry((member, topic)).or_default() += count;
        *self.total.entry(member).or_default() += count;
    }

    /// The member's partitions of that topic, and of all.
    fn of(&self, member: MemberId, topic: Topic) -> (i64, i64) {
        let count = self.by_topic.get(&(member, topic)).copied().unwrap_or(0);
        (count, self.total.get(&member).copied().unwrap_or(0))
    }

    fn lightest(&self, topic: Topic, members: &BTreeMap<MemberId, Vec<Topic>>) -> Option<MemberId> {
        let subscribers = members.iter().filter(|(_, topics)| topics.contains(&topic)).map(|(member, _)| *member);
        subscribers.min_by_key(|member| (self.of(*member, topic), *member))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn partitions(topics: usize, each: u32) -> Vec<TopicPartition> {
        let topics = Topic::ALL.iter().take(topics);
        topics.flat_map(|topic| (0..each).map(|partition| TopicPartition::new(*topic, partition))).collect()
    }

    fn members(count: u64) -> BTreeMap<MemberId, Vec<Topic>> {
        (0..count).map(|member| (member, Topic::ALL.to_vec())).collect()
    }

    fn counts(plan: &BTreeMap<TopicPartition, MemberId>, members: u64, topic: Option<Topic>) -> (usize, usize) {
        let of = |member| {
            let mine =
                plan.iter().filter(|(tp, owner)| **owner == member && topic.is_none_or(|topic| tp.topic == topic));
            mine.count()
        };
        let all: Vec<usize> = (0..members).map(of).collect();
        (all.iter().copied().min().unwrap_or(0), all.iter().copied().max().unwrap_or(0))
    }

    #[test]
    fn single_partitions_are_spread_over_topics() {
        let plan = balance(&partitions(6, 1), &members(3), &BTreeMap::new());
        assert_eq!(counts(&plan, 3, None), (2, 2));
    }

    #[test]
    fn a_member_gets_only_topics_that_it_reads() {
        let members = BTreeMap::from([(1, vec![Topic::ALL[0]]), (2, vec![Topic::ALL[1]])]);
        let plan = balance(&partitions(3, 4), &members, &BTreeMap::new());
        assert_eq!(plan.len(), 8);
        assert!(plan.iter().all(|(tp, owner)| members[owner].contains(&tp.topic)));
    }

    proptest! {
        #[test]
        fn is_even_and_sticky(topics in 1_usize..5, each in 1_u32..13, before in 1_u64..6, after in 1_u64..6) {
            let all = partitions(topics, each);
            let old = balance(&all, &members(before), &BTreeMap::new());
            let new = balance(&all, &members(after), &old);
            prop_assert_eq!(new.len(), all.len());
            for topic in Topic::ALL.iter().take(topics) {
                let (least, most) = counts(&new, after, Some(*topic));
                prop_assert!(most - least <= 1);
            }
            let (least, most) = counts(&new, after, None);
            prop_assert!(most - least <= 1, "{} {}", least, most);
            prop_assert_eq!(&balance(&all, &members(after), &new), &new);
            let moved = old.iter().filter(|(tp, owner)| **owner < after && new[*tp] != **owner).count();
            // What newcomers hold must come from somewhere; beside that, evenness over all topics together may move a
            // remainder per topic. A leaver moves hardly more than what was its own.
            let newcomers = new.values().filter(|owner| **owner >= before).count();
            prop_assert!(moved <= newcomers + topics, "{moved} moved, {newcomers} needed");
        }
    }
}
