//! Waiting longer and longer between tries, with jitter, so that many workers do not return at once (I7).

use std::time::Duration;

/// Waits of `initial`, doubled up to `max`, each spread over its upper half.
#[derive(Clone, Debug)]
pub struct Backoff {
    initial_us: u64,
    max_us: u64,
    next_us: u64,
    seed: u64,
}

impl Backoff {
    /// Waits from `initial_ms` to `max_ms`; `seed` varies the jitter between workers.
    #[must_use]
    pub fn new(initial_ms: u64, max_ms: u64, seed: u64) -> Self {
        let initial_us = initial_ms.max(1) * 1_000;
        Self { initial_us, max_us: (max_ms * 1_000).max(initial_us), next_us: initial_us, seed: seed | 1 }
    }

    /// The next wait.
    pub fn wait(&mut self) -> Duration {
        // xorshift64* is enough for jitter (Vigna 2016).
        self.seed ^= self.seed >> 12;
        self.seed ^= self.seed << 25;
        self.seed ^= self.seed >> 27;
        let half = self.next_us / 2;
        let jitter = self.seed.wrapping_mul(0x2545_F491_4F6C_DD1D) % (half + 1);
        self.next_us = (self.next_us * 2).min(self.max_us);
        Duration::from_micros(half + jitter)
    }

    /// Starts again from the first wait.
    pub fn reset(&mut self) {
        self.next_us = self.initial_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_maximum_and_starts_again() {
        let mut backoff = Backoff::new(10, 100, 7);
        let waits: Vec<u128> = (0..6).map(|_| backoff.wait().as_micros()).collect();
        assert!((5_000..=10_000).contains(&waits[0]), "{waits:?}");
        assert!((50_000..=100_000).contains(&waits[5]), "{waits:?}");
        backoff.reset();
        assert!(backoff.wait().as_micros() <= 10_000);
    }
}
