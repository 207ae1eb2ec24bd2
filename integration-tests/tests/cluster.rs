//! The pipeline on real engines gives what it gives on the embedded default (I10).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails, fails the test")]

use integration_tests::cluster::{Addresses, Cluster};
use integration_tests::workload::Workload;
use integration_tests::{Sporelog, data};

const ROLES: [&str; 3] = ["ingest", "projector", "aggregator"];

/// CollegeMsg, imported twice on either: the second import adds nothing, and the digests are the same.
#[test]
fn collegemsg_has_the_same_digests_on_a_cluster() {
    let (file, mapping) = (data::fetched("fetch-collegemsg.sh"), data::mapping("collegemsg.toml"));
    let import = ["import", file.to_str().unwrap(), "--mapping", mapping.as_str()];
    let embedded = Sporelog::new();
    embedded.ok(&import);
    embedded.settle(&[]);
    let cluster = Cluster::new(&Addresses::shared(), "");
    let workers: Vec<_> = ROLES.iter().map(|role| cluster.start(role, &[])).collect();
    cluster.ok(&import);
    cluster.settle();
    let once = cluster.digests();
    assert_eq!(once, embedded.digests());
    assert_eq!(cluster.number("SELECT count(*) FROM tie"), 27_676);
    assert_eq!(cluster.number("SELECT count(*) FROM contact"), 20_296);
    cluster.ok(&[&import[..], &["--again"]].concat());
    cluster.settle();
    assert_eq!(cluster.digests(), once);
    assert_eq!(cluster.dead_letters(), 0);
    drop(workers);
}

/// A mixed workload with repeats, on two workers a role in two processes, verified while more is appended.
#[test]
fn a_mixed_workload_is_verified_under_traffic() {
    let workload = Workload::mixed(6_000, 11);
    let embedded = Sporelog::new();
    embedded.append(workload.records.clone());
    embedded.settle(&[]);
    let cluster = Cluster::new(&Addresses::shared(), "");
    let workers: Vec<_> = ROLES.iter().flat_map(|role| [cluster.start(role, &[]), cluster.start(role, &[])]).collect();
    std::thread::scope(|scope| {
        let appended = scope.spawn(|| workload.records.chunks(100).for_each(|chunk| cluster.append(chunk.to_vec())));
        while !appended.is_finished() {
            cluster.ok(&["verify"]);
        }
    });
    cluster.settle();
    assert_eq!(cluster.digests(), embedded.digests());
    assert_eq!(cluster.number("SELECT coalesce(sum(abs(gap)), 0)::bigint FROM freshness"), 0);
    drop(workers);
}
