//! Chance, repeatable: PCG from a seed.

use oorandom::Rand64;
use uuid::Uuid;

/// Dice that fall the same way for the same seed.
#[derive(Clone, Debug)]
pub(super) struct Dice(Rand64);

impl Dice {
    pub(super) fn new(seed: u64, run: &str) -> Self {
        let hash = blake3::hash(run.as_bytes());
        let run = hash.as_bytes().iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        Self(Rand64::new((u128::from(seed) << 64) | u128::from(run)))
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0.rand_u64()
    }

    /// 0 to just below 1.
    pub(super) fn unit(&mut self) -> f64 {
        self.0.rand_float()
    }

    /// A number below `n`; 0 where `n` is 0. The bias of the multiplication is far below what a population shows.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Between two numbers, to three decimals: people do not report more.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        round(low + self.unit() * (high - low))
    }

    /// Near a middle, within bounds, to three decimals; the sum of three throws is bell-shaped enough.
    pub(super) fn near(&mut self, middle: f64, spread: f64, low: f64, high: f64) -> f64 {
        let bell = (self.unit() + self.unit() + self.unit()) / 1.5 - 1.0;
        round((middle + bell * spread).clamp(low, high))
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A rank below `n`, rank r with a probability proportional to 1/(r+1), nearly: Zipf with exponent 1.
    pub(super) fn zipf(&mut self, n: u64) -> u64 {
        let rank = ((n as f64 + 1.0).ln() * self.unit()).exp() - 1.0;
        (rank as u64).min(n.saturating_sub(1))
    }

    /// An id in the form of UUIDv7: milliseconds of event time, then chance.
    pub(super) fn id(&mut self, at_us: i64) -> Uuid {
        let millis = (at_us / 1_000).max(0) as u64;
        let (high, low) = (self.bits(), self.bits());
        let high = (millis << 16) | 0x7000 | (high & 0x0fff);
        let low = (low & (u64::MAX >> 2)) | (1 << 63);
        Uuid::from_u64_pair(high, low)
    }
}

fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// A number that looks like chance but depends on its arguments alone (the finaliser of SplitMix64).
pub(super) const fn mixed(a: u64, b: u64) -> u64 {
    let mut z =
        a.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(b.wrapping_mul(0xd1b5_4a32_d192_ed03)).wrapping_add(1);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_form_of_version_7_and_carry_the_time() {
        let id = Dice::new(1, "a").id(1_767_225_600_123_456);
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        assert_eq!(id.as_u128() >> 80, 1_767_225_600_123);
        assert_ne!(id, Dice::new(1, "b").id(1_767_225_600_123_456));
        assert_eq!(id, Dice::new(1, "a").id(1_767_225_600_123_456));
    }

    #[test]
    fn zipf_favours_the_first_and_reaches_the_last() {
        let mut dice = Dice::new(7, "");
        let mut counts = [0_u32; 10];
        (0..100_000).for_each(|_| counts[dice.zipf(10) as usize] += 1);
        assert!(counts.is_sorted_by(|a, b| a > b), "{counts:?}");
        assert!(counts[0] > 5 * counts[9] && counts[9] > 1_000, "{counts:?}");
    }
}
