//! `topics` against a live cluster: the exit status says what there is to do, and the wrong cluster is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails, fails the test")]

use integration_tests::cluster::{Addresses, Cluster};
use integration_tests::text;

fn status(cluster: &Cluster, args: &[&str]) -> (Option<i32>, String) {
    let output = cluster.run(args);
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_plan_says_what_there_is_to_do_and_the_wrong_cluster_is_refused() {
    let cluster = Cluster::bare(&Addresses::shared(), "");
    assert_eq!(status(&cluster, &["topics", "check"]).0, Some(1));
    let (code, said) = status(&cluster, &["topics", "plan"]);
    assert_eq!((code, said.contains("create spore.created")), (Some(2), true), "{said}");
    cluster.ok(&["topics", "apply"]);
    for verb in ["check", "plan", "apply"] {
        let (code, said) = status(&cluster, &["topics", verb]);
        assert_eq!((code, said.contains("as wanted")), (Some(0), true), "{verb}: {said}");
    }
    let file = cluster.dir().join("topics.yaml");
    let changed = std::fs::read_to_string(&file).unwrap().replacen("days: 7", "days: 8", 1);
    std::fs::write(&file, &changed).unwrap();
    let (code, said) = status(&cluster, &["topics", "plan"]);
    assert_eq!((code, said.contains("set retention.ms of agent.presence")), (Some(2), true), "{said}");
    cluster.ok(&["topics", "apply"]);
    assert_eq!(status(&cluster, &["topics", "plan"]).0, Some(0));

    std::fs::write(&file, changed.replace("partitions_divisor: 25", "partitions_divisor: 20")).unwrap();
    for verb in ["plan", "apply"] {
        let (code, said) = status(&cluster, &["topics", verb]);
        assert_eq!((code, said.contains("growth in place breaks the order of keys")), (Some(1), true), "{said}");
    }
    std::fs::write(&file, changed.replace("partitions_divisor: 25", "partitions_divisor: 25\n    cluster_id: other"))
        .unwrap();
    for verb in ["check", "plan", "apply"] {
        let (code, said) = status(&cluster, &["topics", verb]);
        assert_eq!((code, said.contains("the profile names `other`")), (Some(1), true), "{verb}: {said}");
    }
}
