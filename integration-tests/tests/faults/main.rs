//! The guarantee under faults, on real engines: whatever fails, nothing is lost, nothing counts twice, no outage makes a
//! dead letter, no worker exits, and the digests are those of an undisturbed run (I2 to I7, I10).
//!
//! `make test` makes every kind of fault once. `make soak` sets SPORELOG_SOAK_FAULTS: that many faults in a random order,
//! from SPORELOG_SOAK_SEED (else from the clock), which it prints.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails, fails the test")]

mod faults;
mod rig;

use faults::ALL;
use integration_tests::say;
use pipeline::{Clock as _, SystemClock};
use rig::Rig;
use std::time::Duration;

#[test]
fn after_every_fault_the_stores_are_as_if_there_had_been_none() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match number("SPORELOG_SOAK_FAULTS") {
        None => each_once(),
        Some(faults) => soak(faults, number("SPORELOG_SOAK_SEED").unwrap_or(SystemClock::new().now_us() as u64)),
    }
}

fn each_once() {
    let mut rig = Rig::new(3, 1, 12_000);
    for (name, fault) in ALL {
        say!("{name}");
        fault(&mut rig);
    }
    say!("{} faults: {:?}", rig.made.values().sum::<u32>(), rig.made);
    assert_eq!(rig.made.len(), ALL.len());
}

fn soak(wanted: u64, seed: u64) {
    say!("SPORELOG_SOAK_SEED={seed} SPORELOG_SOAK_FAULTS={wanted}");
    let mut rig = Rig::new(3, seed, 400_000);
    rig.outage = Duration::from_secs(60);
    let mut schedule = Vec::new();
    while rig.made.values().sum::<u32>() < wanted as u32 {
        let (name, fault) = ALL[rig.pick(ALL.len())];
        schedule.push(name);
        say!("{} {name}", schedule.len());
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fault(&mut rig)));
        assert!(made.is_ok(), "SPORELOG_SOAK_SEED={seed}, after {schedule:?}");
    }
    say!("{} faults in {} rounds: {:?}", rig.made.values().sum::<u32>(), schedule.len(), rig.made);
}
