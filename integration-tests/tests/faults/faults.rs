//! The faults, one function each. All say whom they hit, by process or connection.

use crate::rig::{ROLES, Rig, STALL};
use domain::Topic;
use engines::proxy::Proxy;
use integration_tests::wait::pause;
use pipeline::{Headers, OutRecord};
use std::time::Duration;

/// Records published beside a fault.
const RECORDS: usize = 240;

/// A fault: its name, and how it is made.
pub type Fault = (&'static str, fn(&mut Rig));

/// Every kind of fault.
pub const ALL: [Fault; 14] = [
    ("worker killed", worker_killed),
    ("worker stalled", worker_stalled),
    ("rebalance storm", rebalance_storm),
    ("broker restarted", broker_restarted),
    ("broker killed", broker_killed),
    ("postgres killed", postgres_killed),
    ("commit's reply lost", commit_reply_lost),
    ("cassandra stopped", cassandra_stopped),
    ("cassandra killed", cassandra_killed),
    ("registry stopped", registry_stopped),
    ("connections cut", connections_cut),
    ("connections delayed", connections_delayed),
    ("connections dead", connections_blackholed),
    ("input repeated and junk", repeated_and_junk),
];

/// SIGKILL to a worker of each role, twice, which is started again.
fn worker_killed(rig: &mut Rig) {
    let records = rig.records(RECORDS);
    rig.during(records, |rig| {
        for role in ROLES.iter().chain(&ROLES).copied() {
            rig.moment(400);
            let of_role = rig.of(role);
            let ix = of_role[rig.pick(of_role.len())];
            let again = rig.cluster.start(role, &[]);
            let (_, killed) = std::mem::replace(&mut rig.workers[ix], (role, again));
            rig.hit("worker killed", &format!("{role}, pid {}", killed.pid()));
            killed.kill9();
        }
    });
}

/// SIGSTOP beyond the session timeout: another worker takes the partitions over, and what the first one does when it
/// wakes is fenced (I3).
fn worker_stalled(rig: &mut Rig) {
    let records = rig.records(RECORDS);
    rig.during(records, |rig| {
        let role = ROLES[rig.pick(ROLES.len())];
        let stalled = rig.of(role)[0];
        rig.join(role);
        pause(Duration::from_millis(1_500));
        let pid = rig.workers[stalled].1.pid();
        rig.workers[stalled].1.signal("STOP");
        rig.hit("worker stalled", &format!("{role}, pid {pid}, for {STALL:?}"));
        pause(STALL);
        rig.workers[stalled].1.signal("CONT");
        pause(Duration::from_millis(500));
        let (_, left) = rig.workers.remove(stalled);
        left.interrupt();
        assert!(left.wait().success());
    });
}

/// Three workers of a role join and leave, some in good order and some killed.
fn rebalance_storm(rig: &mut Rig) {
    let records = rig.records(RECORDS);
    rig.during(records, |rig| {
        let role = ROLES[rig.pick(ROLES.len())];
        for _ in 0..3 {
            rig.join(role);
            rig.moment(700);
        }
        while rig.of(role).len() > 1 {
            rig.moment(700);
            let of_role = rig.of(role);
            let ix = of_role[rig.pick(of_role.len())];
            let (_, leaves) = rig.workers.remove(ix);
            let kill = rig.pick(2) == 0;
            rig.hit(
                "rebalance storm",
                &format!("{role}, pid {}, {}", leaves.pid(), if kill { "killed" } else { "left" }),
            );
            if kill {
                leaves.kill9();
            } else {
                leaves.interrupt();
                assert!(leaves.wait().success());
            }
        }
    });
}

fn broker_restarted(rig: &mut Rig) {
    broker(rig, "broker restarted", false);
}

fn broker_killed(rig: &mut Rig) {
    broker(rig, "broker killed", true);
}

/// A broker goes and comes back while records are published; with three of them each leads a third of the partitions.
fn broker(rig: &mut Rig, kind: &'static str, kill: bool) {
    let records = rig.records(RECORDS);
    rig.during(records, |rig| {
        rig.moment(500);
        let count = rig.engines.set.kafka.as_ref().unwrap().brokers().len();
        let ix = rig.pick(count);
        let kafka = rig.engines.set.kafka.as_ref().unwrap();
        let broker = &kafka.brokers()[ix];
        let pid = broker.pid().unwrap_or_default();
        if kill {
            broker.kill().unwrap()
        } else {
            broker.stop().unwrap()
        }
        pause(Duration::from_millis(500));
        broker.spawn().unwrap();
        broker.wait_ready().unwrap();
        kafka.wait_gathered().unwrap();
        rig.hit(kind, &format!("broker {}, pid {pid}", ix + 1));
    });
}

fn postgres_killed(rig: &mut Rig) {
    let records = rig.records(RECORDS);
    rig.during(records, |rig| {
        for _ in 0..2 {
            rig.moment(500);
            let postgres = rig.engines.set.postgres.as_ref().unwrap();
            let pid = postgres.pid().unwrap_or_default();
            postgres.kill().unwrap();
            pause(Duration::from_millis(300));
            postgres.spawn().unwrap();
            postgres.wait_ready().unwrap();
            rig.hit("postgres killed", &format!("pid {pid}"));
        }
    });
}

/// The server commits, and the worker is never told: it reads the position back (I3).
fn commit_reply_lost(rig: &mut Rig) {
    let records = rig.records(RECORDS);
    rig.during(records, |rig| {
        let before = rig.engines.postgres.lost();
        rig.engines.postgres.lose_reply_to(Some(b"COMMIT\0"));
        integration_tests::wait::until("for a reply to COMMIT to be lost", || {
            (rig.engines.postgres.lost() > before + 3).then_some(())
        });
        rig.engines.postgres.lose_reply_to(None);
        let lost = rig.engines.postgres.lost() - before;
        (0..lost).for_each(|_| rig.hit("commit's reply lost", "a connection through the proxy of Postgres"));
    });
}

fn cassandra_stopped(rig: &mut Rig) {
    let records = rig.records(RECORDS);
    rig.during(records, |rig| {
        let cassandra = rig.engines.set.cassandra.as_ref().unwrap();
        let pid = cassandra.pid().unwrap_or_default();
        cassandra.pause().unwrap();
        pause(rig.outage);
        cassandra.resume().unwrap();
        rig.hit("cassandra stopped", &format!("pid {pid}, stood still for {:?}", rig.outage));
    });
}

fn cassandra_killed(rig: &mut Rig) {
    let records = rig.records(RECORDS);
    rig.during(records, |rig| {
        rig.moment(500);
        let cassandra = rig.engines.set.cassandra.as_ref().unwrap();
        let pid = cassandra.pid().unwrap_or_default();
        cassandra.kill().unwrap();
        cassandra.spawn().unwrap();
        cassandra.wait_ready().unwrap();
        rig.hit("cassandra killed", &format!("pid {pid}"));
    });
}

/// The registry is away while workers start that have to ask it.
fn registry_stopped(rig: &mut Rig) {
    let records = rig.records(RECORDS);
    rig.during(records, |rig| {
        let registry = rig.engines.set.registry.as_ref().unwrap();
        let pid = registry.pid().unwrap_or_default();
        registry.pause().unwrap();
        for role in ROLES {
            let ix = rig.of(role)[0];
            let again = rig.cluster.start(role, &[]);
            let (_, old) = std::mem::replace(&mut rig.workers[ix], (role, again));
            old.kill9();
        }
        pause(rig.outage);
        rig.engines.set.registry.as_ref().unwrap().resume().unwrap();
        rig.hit("registry stopped", &format!("pid {pid}, stood still for {:?}", rig.outage));
    });
}

/// The proxies, each with its name.
fn proxies(rig: &Rig) -> Vec<(&'static str, &Proxy)> {
    let kafka = rig.engines.set.kafka.as_ref().unwrap().proxies().iter().map(|proxy| ("kafka", proxy));
    kafka.chain([("postgres", &rig.engines.postgres), ("cassandra", &rig.engines.cassandra)]).collect()
}

fn connections_cut(rig: &mut Rig) {
    let records = rig.records(RECORDS);
    rig.during(records, |rig| {
        for _ in 0..4 {
            rig.moment(600);
            let cut: Vec<_> = proxies(rig).iter().map(|(name, proxy)| format!("{name} {:?}", proxy.cut())).collect();
            rig.hit("connections cut", &cut.join(", "));
        }
    });
}

fn connections_delayed(rig: &mut Rig) {
    let records = rig.records(RECORDS);
    rig.during(records, |rig| {
        let delay = Duration::from_millis(50 + rig.pick(250) as u64);
        proxies(rig).iter().for_each(|(_, proxy)| proxy.delay(delay));
        pause(Duration::from_secs(5));
        let all: Vec<_> =
            proxies(rig).iter().map(|(name, proxy)| format!("{name} {:?}", proxy.connections())).collect();
        proxies(rig).iter().for_each(|(_, proxy)| proxy.delay(Duration::ZERO));
        rig.hit("connections delayed", &format!("by {delay:?}: {}", all.join(", ")));
    });
}

/// Connections stay open, and nothing comes through.
fn connections_blackholed(rig: &mut Rig) {
    let records = rig.records(RECORDS);
    rig.during(records, |rig| {
        let count = proxies(rig).len();
        let ix = rig.pick(count);
        proxies(rig)[ix].1.blackhole(true);
        pause(Duration::from_secs(8));
        let (name, proxy) = proxies(rig)[ix];
        let open = proxy.connections();
        proxy.blackhole(false);
        rig.hit("connections dead", &format!("{name} {open:?}, for 8 s"));
    });
}

/// Every record of a stretch comes twice, and between them bytes that are no events.
fn repeated_and_junk(rig: &mut Rig) {
    let stretch = rig.records(RECORDS / 2);
    let junk = |ix: usize| OutRecord {
        topic: [Topic::SacredMessages, Topic::SporeCreated, Topic::AgentPresence][ix % 3],
        key: format!("default|junk-{ix}").into_bytes(),
        value: vec![0xC3, ix as u8, 0x01, 0xFF],
        headers: Headers::default(),
    };
    let mut records = stretch.clone();
    let first = rig.pick(1_000_000);
    records.extend((first..first + 6).map(junk));
    records.extend(stretch);
    rig.hit(
        "input repeated and junk",
        &format!("{} records of which {} are repeats and 6 junk", records.len(), RECORDS / 2),
    );
    rig.during(records, |_| ());
}
