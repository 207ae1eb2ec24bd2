//! Loopback ports that are free and stay ours, also while the engine on them is down.
//!
//! A port is taken below the range from which systems give ports to outgoing connections, so that none of those sits
//! on it between the death of an engine and its restart; and it is locked by a file, so that several sets, of several
//! processes, never choose the same one.

use anyhow::{Context as _, Result};
use nix::unistd::geteuid;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

const RANGE: Range<u16> = 20_000..32_000;

/// A port of 127.0.0.1, ours until dropped.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Takes one that nobody listens on.
    pub(crate) fn take() -> Result<Self> {
        // A folder per user: one cannot write into that of another.
        let locks = std::env::temp_dir().join(format!("sporelog-engines-ports-{}", geteuid()));
        fs::create_dir_all(&locks).with_context(|| format!("cannot create {}", locks.display()))?;
        // Anywhere in the range, so that sets which start at once seldom try the same one.
        let first = RandomState::new().hash_one(()) % u64::from(RANGE.end - RANGE.start);
        let first = RANGE.start + u16::try_from(first)?;
        (first..RANGE.end)
            .chain(RANGE.start..first)
            .find_map(|number| {
                let lock = File::create(locks.join(number.to_string())).ok()?;
                lock.try_lock().ok()?;
                TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
                Some(Self { number, _lock: lock })
            })
            .with_context(|| format!("no port of 127.0.0.1 in {RANGE:?} is free"))
    }

    /// Its number.
    pub(crate) const fn number(&self) -> u16 {
        self.number
    }

    /// Its address on 127.0.0.1.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}
