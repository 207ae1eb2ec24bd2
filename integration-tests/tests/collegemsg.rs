//! CollegeMsg, 59,835 real messages between 1,899 people: imported through the example's mapping and asked in SQL.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails, fails the test")]

use integration_tests::data::{fetched, mapping};
use integration_tests::{Sporelog, text};
use std::process::Output;

/// 2004-05-27T00:00:00Z, and a day.
const DAY_US: (i64, i64) = (1_085_616_000_000_000, 86_400_000_000);
const MESSAGES: i64 = 59_835;

fn import(folder: &Sporelog, more: &[&str]) -> Output {
    let file = fetched("fetch-collegemsg.sh").display().to_string();
    let mapping = mapping("collegemsg.toml");
    let output = folder.run(&[&["import", &file, "--mapping", &mapping], more].concat());
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    output
}

/// The answers that the data set is known by.
fn check(folder: &Sporelog) {
    let day = format!("interaction_time >= {} AND interaction_time < {}", DAY_US.0, DAY_US.0 + DAY_US.1);
    let day_rate = format!("FROM interaction_rate_agent_1d WHERE window_start = {}", DAY_US.0);
    // Rows of the file that say the same as an earlier one: they are real messages too.
    let repeats = "SELECT sum(n - 1) FROM (SELECT count(*) AS n FROM interactions WHERE direction = 'out' \
                   GROUP BY agent_id, peer_id, interaction_time)";
    let expected = [
        ("SELECT count(DISTINCT interaction_id) FROM interactions".to_owned(), MESSAGES),
        ("SELECT count(*) FROM interactions".to_owned(), 2 * MESSAGES),
        ("SELECT count(*) FROM agent".to_owned(), 1_899),
        ("SELECT count(*) FROM contact".to_owned(), 20_296),
        ("SELECT count(*) FROM tie".to_owned(), 27_676),
        ("SELECT sum(interactions) FROM contact".to_owned(), MESSAGES),
        ("SELECT sent FROM tie WHERE agent_id = '1624' AND peer_id = '1168'".to_owned(), 95),
        ("SELECT sum(sent) FROM tie WHERE agent_id = '9'".to_owned(), 1_091),
        ("SELECT sum(received) FROM tie WHERE agent_id = '9'".to_owned(), 198),
        (format!("SELECT sum(interactions) {day_rate}"), 2_678),
        (format!("SELECT count(DISTINCT agent_id) {day_rate}"), 386),
        (format!("SELECT count(DISTINCT agent_id) FROM interactions WHERE {day}"), 548),
        (repeats.to_owned(), 1_235),
    ];
    for (question, answer) in expected {
        assert_eq!(folder.number(&question), answer, "{question}");
        integration_tests::say!("{answer:>7}  {question}");
    }
    assert_eq!(folder.gaps(), 0);
    assert!(folder.dead_letters().is_empty());
}

#[test]
fn imported_once_it_answers_and_imported_again_nothing_is_added() {
    let folder = Sporelog::new();
    let first = import(&folder, &[]);
    folder.settle(&[]);
    check(&folder);
    let digests = folder.digests();

    let second = import(&folder, &[]);
    folder.settle(&[]);
    assert_eq!(folder.digests(), digests);
    integration_tests::say!("first import:  {}second import: {}", text(&first.stderr), text(&second.stderr));
    assert!(text(&second.stderr).contains(" published 0 events"), "{}", text(&second.stderr));

    // Sent once more in full, each record is in the log twice and counts once.
    import(&folder, &["--again"]);
    folder.settle(&[]);
    assert_eq!(folder.digests(), digests);
    let duplicates = folder
        .sql("SELECT projection, sum(duplicate) FROM freshness WHERE topic = 'sacred.messages' GROUP BY 1 ORDER BY 1");
    let of = |projection: &str| vec![projection.to_owned(), MESSAGES.to_string()];
    assert_eq!(duplicates, [of("series"), of("views")]);
    assert_eq!(folder.gaps(), 0);
}

#[test]
fn imported_into_a_running_process_it_is_the_same() {
    let folder = Sporelog::new();
    let running = folder.up_ready(&[]);
    import(&folder, &[]);
    running.interrupt();
    assert!(running.wait().success());
    folder.settle(&[]);
    check(&folder);
    assert!(!folder.digests().is_empty());
}
