//! What operators and analysts ask a cluster: `sql` on both stores, and `verify` where an id was given to two events.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails, fails the test")]

use integration_tests::cluster::{Addresses, Cluster};
use integration_tests::text;
use integration_tests::workload::{Workload, events};
use testkit::events::{Events, START_US};

const ROLES: [&str; 3] = ["ingest", "projector", "aggregator"];

/// Runs a verb that must fail; gives its exit status and what it says.
fn refused(cluster: &Cluster, args: &[&str]) -> (Option<i32>, String) {
    let output = cluster.run(args);
    assert!(!output.status.success(), "{args:?}: {}", text(&output.stdout));
    (output.status.code(), text(&output.stderr))
}

#[test]
fn sql_asks_both_stores_of_a_cluster() {
    let cluster = Cluster::new(&Addresses::shared(), "");
    let workers: Vec<_> = ROLES.iter().map(|role| cluster.start(role, &[])).collect();
    let workload = Workload::mixed(400, 5);
    cluster.append(workload.records.clone());
    cluster.settle();
    let ask = |args: &[&str]| cluster.ok(&[&["sql", "--format", "csv"], args].concat());

    let spores = format!("n\n{}\n", workload.spores);
    assert_eq!(ask(&["SELECT count(*) AS n FROM spore"]), spores);
    assert_eq!(ask(&["--records", "SELECT count(*) AS n FROM records_v1_spores"]), spores);
    assert_eq!(ask(&["--tenant", "nobody", "SELECT count(*) AS n FROM spore"]), "n\n0\n");
    assert_eq!(ask(&["SELECT 1 AS a; SELECT 'x' AS b, NULL AS c"]), "a\n1\nb,c\nx,\n");
    assert_eq!(ask(&["--records", "--limit", "1", "SELECT tenant FROM records_v1_spores;"]), "tenant\nt\n");
    let tables = ask(&["--tables"]);
    for line in
        ["tie,view,postgres,", "views_v1_contact,table,postgres,", "records_v1_spores,table,scylla (--records),"]
    {
        let held = tables.lines().find_map(|held| held.strip_prefix(line));
        assert!(held.is_some_and(|sentence| sentence.len() > 10), "{line} {tables}");
    }
    for (args, sentence) in [
        (&["sql", "DELETE FROM position"][..], "sql only reads"),
        (&["sql", "COMMIT; DELETE FROM position"], ""),
        (&["sql", "SELECT * FROM nowhere"], "\"nowhere\" does not exist"),
        (&["sql", "--records", "TRUNCATE records_v1_spores"], "only a SELECT"),
        (&["sql", "--records", "SELECT * FROM nowhere"], "nowhere"),
    ] {
        let (status, said) = refused(&cluster, args);
        assert!(status == Some(1) && said.contains(sentence), "{args:?}: {said}");
    }
    assert_eq!(ask(&["SELECT count(*) AS n FROM spore"]), spores);
    drop(workers);
}

/// Only a producer that breaks the id's contract can do it: Cassandra keeps the larger cell, the fold the first event.
#[test]
fn verify_names_the_row_of_an_id_that_two_events_have() {
    let cluster = Cluster::new(&Addresses::shared(), "");
    let workers: Vec<_> = ROLES.iter().map(|role| cluster.start(role, &[])).collect();
    let spore = |content| events().spore(Events::meta(7, START_US, None), "a", content, 1.0);
    for content in ["apple", "zebra"] {
        cluster.append(vec![spore(content)]);
        cluster.settle();
    }
    assert_eq!(
        cluster.ok(&["sql", "--records", "--format", "csv", "SELECT content FROM records_v1_spores"]),
        "content\nzebra\n"
    );
    assert_eq!(cluster.ok(&["sql", "--format", "csv", "SELECT content FROM spore"]), "content\napple\n");
    let output = cluster.run(&["verify"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("00000000-0000-0000-0000-000000000008"), "{said}");
    cluster.ok(&["verify", "--projection", "views"]);
    drop(workers);
}
