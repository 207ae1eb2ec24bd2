//! What may be in flight: requests and their memory, over all clones of a store (I8).

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::{Semaphore, SemaphorePermit};

/// What is in flight, and the most that ever was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    /// Requests that were sent and not answered.
    pub statements: usize,
    /// The memory of their values, in bytes.
    pub bytes: usize,
    /// The most requests at once since the start.
    pub peak_statements: usize,
    /// The most memory at once since the start, in bytes.
    pub peak_bytes: usize,
    /// Requests sent since the start: rows divided by this are what travels together.
    pub sent_statements: u64,
}

/// The limits that clones of a store share.
#[derive(Debug)]
pub(crate) struct Limits {
    statements: Semaphore,
    bytes: Semaphore,
    max_statements: u32,
    max_bytes: u32,
    peak_statements: AtomicUsize,
    peak_bytes: AtomicUsize,
    sent_statements: AtomicU64,
}

/// Leave to send one request; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Leave<'a> {
    _statement: Option<SemaphorePermit<'a>>,
    _bytes: Option<SemaphorePermit<'a>>,
}

impl Limits {
    pub(crate) fn new(max_statements: u32, max_bytes: u32) -> Self {
        Self {
            statements: Semaphore::new(max_statements as usize),
            bytes: Semaphore::new(max_bytes as usize),
            max_statements,
            max_bytes,
            peak_statements: AtomicUsize::new(0),
            peak_bytes: AtomicUsize::new(0),
            sent_statements: AtomicU64::new(0),
        }
    }

    /// Waits for leave to send a request of this size. One that is larger than the limit goes alone.
    pub(crate) async fn enter(&self, bytes: usize) -> Leave<'_> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.max_bytes);
        // The semaphores are never closed, so both permits are always given.
        let leave = Leave {
            _statement: self.statements.acquire().await.ok(),
            _bytes: self.bytes.acquire_many(bytes).await.ok(),
        };
        self.sent_statements.fetch_add(1, Ordering::Relaxed);
        let now = self.now();
        self.peak_statements.fetch_max(now.statements, Ordering::Relaxed);
        self.peak_bytes.fetch_max(now.bytes, Ordering::Relaxed);
        leave
    }

    /// What is in flight now.
    pub(crate) fn now(&self) -> InFlight {
        InFlight {
            statements: self.max_statements as usize - self.statements.available_permits(),
            bytes: self.max_bytes as usize - self.bytes.available_permits(),
            peak_statements: self.peak_statements.load(Ordering::Relaxed),
            peak_bytes: self.peak_bytes.load(Ordering::Relaxed),
            sent_statements: self.sent_statements.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn both_limits_hold_and_a_large_request_goes_alone() {
        let limits = Limits::new(2, 100);
        let first = limits.enter(60).await;
        assert!(limits.enter(60).now_or_never().is_none(), "too much memory");
        let second = limits.enter(40).await;
        assert!(limits.enter(0).now_or_never().is_none(), "too many requests");
        drop(first);
        drop(second);
        let large = limits.enter(1_000).await;
        assert!(limits.enter(1).now_or_never().is_none());
        drop(large);
        let peak = InFlight { peak_statements: 2, peak_bytes: 100, sent_statements: 3, ..InFlight::default() };
        assert_eq!(limits.now(), peak);
    }
}
