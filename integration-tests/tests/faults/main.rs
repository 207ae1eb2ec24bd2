//! The guarantee under faults, on real engines: whatever fails, nothing is lost, nothing counts twice, no outage makes a
//! dead letter, no worker exits, and the digests are those of an undisturbed run (I2 to I7, I10).
//!
//! `make test` makes every kind of fault once. `make soak` goes on in a random order: SPORELOG_SOAK_FAULTS of them
//! (default 300), from SPORELOG_SOAK_SEED (default: from the clock), which it prints.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails, fails the test")]

mod faults;
mod rig;

use faults::ALL;
use integration_tests::say;
use pipeline::{Clock as _, SystemClock};
use rig::Rig;
use std::time::Duration;

#[test]
fn every_kind_of_fault_leaves_the_stores_as_if_there_had_been_none() {
    let mut rig = Rig::new(3, 1, 12_000);
    for (name, fault) in ALL {
        say!("{name}");
        fault(&mut rig);
    }
    say!("{} faults: {:?}", rig.made.values().sum::<u32>(), rig.made);
    assert_eq!(rig.made.len(), ALL.len());
}

/// `make soak`.
#[test]
#[ignore = "takes an hour: make soak"]
fn soak() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("SPORELOG_SOAK_SEED").unwrap_or_else(|| SystemClock::new().now_us() as u64);
    let wanted = number("SPORELOG_SOAK_FAULTS").unwrap_or(300) as u32;
    say!("SPORELOG_SOAK_SEED={seed} SPORELOG_SOAK_FAULTS={wanted}");
    let mut rig = Rig::new(3, seed, 400_000);
    rig.outage = Duration::from_secs(60);
    let mut schedule = Vec::new();
    while rig.made.values().sum::<u32>() < wanted {
        let (name, fault) = ALL[rig.pick(ALL.len())];
        schedule.push(name);
        say!("{} {name}", schedule.len());
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fault(&mut rig)));
        assert!(made.is_ok(), "SPORELOG_SOAK_SEED={seed}, after {schedule:?}");
    }
    say!("{} faults in {} rounds: {:?}", rig.made.values().sum::<u32>(), schedule.len(), rig.made);
}
