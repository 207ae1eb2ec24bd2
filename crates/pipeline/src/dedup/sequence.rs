//! The sequence numbers of one producer that were applied to one partition: a set, not a mark (design 7).
//!
//! Numbers may come in any order and with gaps, since a producer's numbers are spread over partitions. The 1,024 largest
//! are kept exactly, in blocks of 128 so that a commit writes only what it touched. The largest number let go is the
//! floor: whatever is at or below it counts as seen, because it cannot be told apart any more.

use std::collections::VecDeque;

/// How many of the largest numbers are kept: how far a producer's records may overtake one another.
pub const KEPT_NUMBERS: usize = 1_024;

/// Numbers of one block.
const BLOCK: i64 = 128;

/// What is stored of a producer beside its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceHead {
    /// The largest number let go; `i64::MIN` while none was.
    pub floor: i64,
    /// The largest number applied.
    pub largest: i64,
    /// The latest time at which an applied event id was minted, in us.
    pub minted_us: i64,
    /// The largest append time of the partition when the last number was applied, in us.
    pub last_append_us: i64,
}

/// A producer as it is stored: its head and its blocks, each a number and the bits of its numbers, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSequence {
    /// What is not in blocks.
    pub head: SequenceHead,
    /// The blocks: block `b` holds the numbers `b * 128 ..`, the lowest in the lowest bit.
    pub blocks: Vec<(i64, u128)>,
}

/// What the set says of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It was not applied.
    New,
    /// It was applied.
    Applied,
    /// It is at or below the floor.
    Behind,
}

/// The numbers of one producer on one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceSet {
    floor: i64,
    /// Ascending, none empty.
    blocks: VecDeque<(i64, u128)>,
    numbers: usize,
    /// The largest number applied, also where the set has shrunk to its floor.
    largest: i64,
    minted_us: i64,
    last_append_us: i64,
}

impl Default for SequenceSet {
    fn default() -> Self {
        Self {
            floor: i64::MIN,
            blocks: VecDeque::new(),
            numbers: 0,
            largest: i64::MIN,
            minted_us: i64::MIN,
            last_append_us: i64::MIN,
        }
    }
}

impl From<StoredSequence> for SequenceSet {
    fn from(stored: StoredSequence) -> Self {
        let SequenceHead { floor, largest, minted_us, last_append_us } = stored.head;
        let floor_block = floor.div_euclid(BLOCK);
        let mut blocks = VecDeque::with_capacity(stored.blocks.len());
        let mut numbers = 0;
        for (block, bits) in stored.blocks {
            // Numbers let go may still stand in the block of the floor.
            let bits = match block {
                _ if floor == i64::MIN || block > floor_block => bits,
                _ if block < floor_block => 0,
                _ => bits & !low_bits(floor.rem_euclid(BLOCK)),
            };
            if bits != 0 {
                numbers += bits.count_ones() as usize;
                blocks.push_back((block, bits));
            }
        }
        Self { floor, blocks, numbers, largest, minted_us, last_append_us }
    }
}

/// The bits of the numbers up to and including this place of a block.
fn low_bits(place: i64) -> u128 {
    if place >= BLOCK - 1 { u128::MAX } else { (1 << (place + 1)) - 1 }
}

impl SequenceSet {
    /// Whether nothing was ever applied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.largest == i64::MIN
    }

    /// How many numbers are kept exactly.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers
    }

    /// When the last number was applied, in append time.
    #[must_use]
    pub fn last_append_us(&self) -> i64 {
        self.last_append_us
    }

    /// Whether the number was applied.
    #[must_use]
    pub fn seen(&self, number: i64) -> Seen {
        if number <= self.floor && self.floor != i64::MIN {
            return Seen::Behind;
        }
        let (block, bit) = place(number);
        match self.find(block) {
            Ok(at) if self.blocks[at].1 & bit != 0 => Seen::Applied,
            _ => Seen::New,
        }
    }

    /// Whether an event that bears a number of the set was made after all that were applied: then the number was used
    /// for two events. A true repeat bears an id that was minted before.
    #[must_use]
    pub fn is_reused(&self, minted_us: i64) -> bool {
        minted_us > self.minted_us
    }

    fn find(&self, block: i64) -> Result<usize, usize> {
        match self.blocks.back() {
            None => Err(0),
            Some((last, _)) if *last < block => Err(self.blocks.len()),
            Some((last, _)) if *last == block => Ok(self.blocks.len() - 1),
            Some(_) => self.blocks.binary_search_by_key(&block, |(held, _)| *held),
        }
    }

    /// Adds a number that is new, and lets the smallest go where there are too many. Returns the block that changed.
    pub fn apply(&mut self, number: i64, minted_us: i64, append_us: i64) -> i64 {
        let (block, bit) = place(number);
        match self.find(block) {
            Ok(at) => self.blocks[at].1 |= bit,
            Err(at) => self.blocks.insert(at, (block, bit)),
        }
        self.numbers += 1;
        self.largest = self.largest.max(number);
        self.minted_us = self.minted_us.max(minted_us);
        self.last_append_us = self.last_append_us.max(append_us);
        if self.numbers > KEPT_NUMBERS {
            self.let_smallest_go();
        }
        block
    }

    fn let_smallest_go(&mut self) {
        let Some((block, bits)) = self.blocks.front_mut() else { return };
        let lowest = bits.trailing_zeros();
        self.floor = block.saturating_mul(BLOCK) + i64::from(lowest);
        *bits &= *bits - 1;
        if *bits == 0 {
            self.blocks.pop_front();
        }
        self.numbers -= 1;
    }

    /// Keeps the floor alone, raised to the largest number: the producer was silent for long.
    pub fn shrink(&mut self) {
        self.floor = self.largest;
        self.blocks.clear();
        self.numbers = 0;
    }

    /// What is stored beside the blocks.
    #[must_use]
    pub fn head(&self) -> SequenceHead {
        let Self { floor, largest, minted_us, last_append_us, .. } = *self;
        SequenceHead { floor, largest, minted_us, last_append_us }
    }

    /// The bits of a block; none where it holds no number any more.
    #[must_use]
    pub fn block(&self, block: i64) -> Option<u128> {
        self.find(block).ok().map(|at| self.blocks[at].1)
    }

    /// The smallest block that is left: those before it are gone. Where none is left, the block behind the largest number.
    #[must_use]
    pub fn first_block(&self) -> i64 {
        self.blocks.front().map_or(self.largest.div_euclid(BLOCK).saturating_add(1), |(block, _)| *block)
    }
}

fn place(number: i64) -> (i64, u128) {
    (number.div_euclid(BLOCK), 1 << number.rem_euclid(BLOCK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_in_any_order_are_new_once() {
        let mut set = SequenceSet::default();
        assert!(set.is_empty());
        for number in [5, 0, 1_000, 127, 128, -3] {
            assert_eq!(set.seen(number), Seen::New, "{number}");
            set.apply(number, 10, 20);
            assert_eq!(set.seen(number), Seen::Applied, "{number}");
        }
        assert_eq!((set.len(), set.seen(4), set.seen(-4)), (6, Seen::New, Seen::New));
        assert!(set.is_reused(11) && !set.is_reused(10));
    }

    #[test]
    fn a_silent_producer_keeps_its_largest_number_as_floor() {
        let mut set = SequenceSet::default();
        for number in 0..10 {
            set.apply(number * 3, 1, 1);
        }
        set.shrink();
        assert_eq!((set.seen(26), set.seen(27), set.seen(28)), (Seen::Behind, Seen::Behind, Seen::New));
        assert_eq!((set.len(), set.first_block()), (0, 1));
    }

    proptest! {
        /// The set says the same as one that forgets nothing, for all numbers above its floor; the floor is the largest
        /// number that is not among the 1,024 largest. A set that is stored by touched blocks comes back the same.
        #[test]
        fn the_largest_1024_are_exact(numbers in proptest::collection::vec(-3_000..6_000_i64, 1..3_000)) {
            let (mut set, mut model) = (SequenceSet::default(), BTreeSet::new());
            let mut stored = std::collections::BTreeMap::new();
            for number in numbers {
                let expected = match model.contains(&number) {
                    _ if number <= set.head().floor => Seen::Behind,
                    true => Seen::Applied,
                    false => Seen::New,
                };
                prop_assert_eq!(set.seen(number), expected);
                if expected == Seen::New {
                    let block = set.apply(number, number, 0);
                    model.insert(number);
                    stored.insert(block, set.block(block).unwrap_or(0));
                    stored.retain(|block, _| *block >= set.first_block());
                }
            }
            let floor = model.iter().rev().nth(KEPT_NUMBERS).copied();
            prop_assert_eq!(set.head().floor, floor.unwrap_or(i64::MIN));
            let blocks = stored.into_iter().collect();
            let back = SequenceSet::from(StoredSequence { head: set.head(), blocks });
            prop_assert_eq!(back, set);
        }
    }
}
