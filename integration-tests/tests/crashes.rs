//! SIGKILL at every named step of every role's loop, and at random moments while appends go on: afterwards the stores
//! are as if nothing had happened (I2, I4, I5, I10). Prints how often it killed, and where.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails, fails the test")]

use domain::projection::PROJECTIONS;
use integration_tests::wait::pause;
use integration_tests::workload::Workload;
use integration_tests::{Digests, Sporelog, run_async};
use pipeline::Step;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

const ROLES: [&str; 3] = ["ingest", "projector", "aggregator"];
/// Kills of each role at each step: 21 a step.
const KILLS_EACH: u32 = 7;
const RANDOM_KILLS: u32 = 70;
const EVENTS: usize = 3_000;
/// Small batches, so that there are many steps to be killed at.
const SMALL: [&str; 2] = ["--set", "worker.batch_max_records=20"];

/// Several workers a role, which share the partitions.
const MANY: [&str; 8] = [
    "--set",
    "worker.batch_max_records=20",
    "--set",
    "roles.ingest_workers=2",
    "--set",
    "roles.projector_workers=3",
    "--set",
    "roles.aggregator_workers=2",
];

type Kills = Mutex<BTreeMap<(&'static str, &'static str), u32>>;

#[test]
fn killed_at_any_step_nothing_is_lost_and_nothing_counts_twice() {
    let workload = Workload::mixed(EVENTS, 7);
    let prepared = Sporelog::new();
    prepared.append(workload.records.clone());
    let undisturbed = prepared.copy();
    undisturbed.settle(&[]);
    check(&undisturbed, &workload);
    let reference = undisturbed.digests();
    let tables: usize = PROJECTIONS.iter().map(|projection| projection.tables.len()).sum();
    assert_eq!(reference.len(), tables, "a digest for each table: {reference:?}");

    let kills = Kills::default();
    let todo: Vec<_> = ROLES.iter().flat_map(|role| Step::ALL.map(|step| (*role, step.name()))).collect();
    let next = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((role, step)) = todo.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let folder = prepared.copy();
                    kill_at(&folder, role, step, &kills);
                    settled_like(&folder, &workload, &reference, &format!("{role} killed at {step}"));
                }
            });
        }
    });
    let random = kill_at_random(&workload, &reference);

    let kills = kills.into_inner().unwrap();
    print_table(&kills, random);
    for step in Step::ALL {
        let at_step: u32 = ROLES.iter().map(|role| kills.get(&(*role, step.name())).copied().unwrap_or(0)).sum();
        assert!(at_step >= 20, "{} kills at {}", at_step, step.name());
    }
    assert!(kills.values().sum::<u32>() + random >= 200);
}

/// Starts the process again and again on one folder, each time to be killed when the role reaches the step.
fn kill_at(folder: &Sporelog, role: &'static str, step: &'static str, kills: &Kills) {
    for round in 0..KILLS_EACH {
        // Sometimes at once, sometimes after a few batches that went through.
        let count = 1 + (round * 5) % 4;
        let hold = format!("{role}:{step}:{count}");
        let mut running = folder.up(&SMALL, &[("SPORELOG_TEST_HOLD_AT", &hold)]);
        running.wait_line(&format!("held at {step}"));
        running.kill9();
        *kills.lock().unwrap().entry((role, step)).or_default() += 1;
    }
}

/// Kills at random moments while a producer appends, and sends again what was not acknowledged.
fn kill_at_random(workload: &Workload, reference: &Digests) -> u32 {
    let folder = Sporelog::new();
    let (stop, killed) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| produce(&folder, workload, &killed));
        scope.spawn(|| {
            let mut random = oorandom::Rand32::new(11);
            while !stop.load(Ordering::Relaxed) {
                let workers: &[&str] = if random.rand_u32().is_multiple_of(2) { &SMALL } else { &MANY };
                let mut running = folder.up(workers, &[]);
                // Where the producer took the folder for a moment, the process is refused: try again.
                if running.says("sporelog is up") {
                    pause(Duration::from_millis(u64::from(random.rand_range(0..150))));
                    running.kill9();
                    killed.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let produced = producer.join();
        stop.store(true, Ordering::Relaxed);
        produced.unwrap();
    });
    settled_like(&folder, workload, reference, "killed at random");
    killed.into_inner()
}

/// Appends the workload in small requests, spread over the kills; one that was not acknowledged is sent again.
fn produce(folder: &Sporelog, workload: &Workload, killed: &AtomicU32) {
    let requests: Vec<_> = workload.records.chunks(workload.records.len() / RANDOM_KILLS as usize).collect();
    for (ix, request) in requests.iter().enumerate() {
        while killed.load(Ordering::Relaxed) < (ix as u32).min(RANDOM_KILLS) {
            pause(Duration::from_millis(1));
        }
        let appended = || run_async(async { folder.appender().await.append(request.to_vec()).await });
        while appended().is_err() {}
    }
}

fn settled_like(folder: &Sporelog, workload: &Workload, reference: &Digests, what: &str) {
    folder.settle(&[]);
    check(folder, workload);
    assert_eq!(folder.digests(), *reference, "{what}");
}

/// The account closes, nothing is dead, and everything is there once.
fn check(folder: &Sporelog, workload: &Workload) {
    assert_eq!(folder.gaps(), 0);
    assert_eq!(folder.dead_letters(), Vec::<Vec<String>>::new());
    let counts = [
        ("SELECT count(DISTINCT interaction_id) FROM interactions", workload.interactions),
        ("SELECT count(*) FROM interactions WHERE direction = 'out'", workload.interactions),
        ("SELECT sum(interactions) FROM contact", workload.interactions),
        ("SELECT sum(interactions) FROM interaction_rate_agent_1d", workload.interactions),
        ("SELECT sum(interactions) FROM interaction_rate_region_1m", workload.interactions),
        ("SELECT sum(heartbeats) FROM agent_presence", workload.heartbeats),
        ("SELECT sum(heartbeats) FROM field_coherence_1h", workload.heartbeats),
        ("SELECT count(*) FROM spores", workload.spores),
        ("SELECT count(*) FROM spores_by_day", workload.spores),
        ("SELECT count(*) FROM spore", workload.spores),
        ("SELECT sum(created) FROM spore_velocity_1m", workload.spores),
        ("SELECT count(*) FROM spore_path", workload.propagations),
        ("SELECT sum(times) FROM received", workload.propagations),
        ("SELECT sum(propagated) FROM spore_velocity_1m", workload.propagations),
        ("SELECT sum(changes) FROM agent", workload.profiles + workload.changes),
        ("SELECT count(*) FROM agent_history", workload.changes),
    ];
    let asked: Vec<_> = counts.iter().map(|(question, _)| format!("({question})")).collect();
    let answer = &folder.sql(&format!("SELECT {}", asked.join(", ")))[0];
    for ((question, expected), found) in counts.iter().zip(answer) {
        assert_eq!(found, &expected.to_string(), "{question}");
    }
}

fn print_table(kills: &BTreeMap<(&str, &str), u32>, random: u32) {
    integration_tests::say!("{:<14}{:>8}{:>11}{:>12}{:>7}", "killed at", ROLES[0], ROLES[1], ROLES[2], "all");
    for step in Step::ALL {
        let of = |role| kills.get(&(role, step.name())).copied().unwrap_or(0);
        let [ingest, projector, aggregator] = ROLES.map(of);
        let all = ingest + projector + aggregator;
        integration_tests::say!("{:<14}{ingest:>8}{projector:>11}{aggregator:>12}{all:>7}", step.name());
    }
    integration_tests::say!("{:<14}{:>38}", "random moments", random);
    integration_tests::say!("{:<14}{:>38}", "all", kills.values().sum::<u32>() + random);
}
