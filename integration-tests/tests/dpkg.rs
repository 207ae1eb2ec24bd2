//! dpkg's changelog since 1995 as spores, with real texts, authors and times.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails, fails the test")]

use integration_tests::data::{fetched, mapping};
use integration_tests::{Sporelog, text};

#[test]
fn a_changelog_becomes_spores_with_their_texts_authors_and_times() {
    let file = fetched("dpkg-changelog/fetch.sh");
    let lines = i64::try_from(std::fs::read_to_string(&file).unwrap().lines().count()).unwrap();
    let folder = Sporelog::new();
    let output = folder.run(&["import", &file.display().to_string(), "--mapping", &mapping("dpkg.toml")]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    folder.settle(&[]);

    let spores = folder.number("SELECT count(*) FROM spores");
    assert_eq!(spores, lines);
    assert!(spores > 420, "{spores} spores");
    assert_eq!(folder.number("SELECT count(*) FROM spore"), spores);
    assert_eq!(folder.number("SELECT count(*) FROM spores WHERE content IS NULL OR length(content) < 10"), 0);
    let authors = folder.number("SELECT count(DISTINCT origin_agent) FROM spores");
    assert_eq!(folder.number("SELECT count(*) FROM agent"), authors);
    assert!(authors > 10, "{authors} authors");
    let span = &folder.sql("SELECT time_text(min(created_at)), time_text(max(created_at)) FROM spores")[0];
    integration_tests::say!("{spores} spores by {authors} authors, from {} to {}", span[0], span[1]);
    assert!(span[0].starts_with("199") && span[1].as_str() > "2020", "{span:?}");
    let who = "SELECT count(*) FROM spores WHERE origin_agent LIKE 'Guillem Jover%' AND content LIKE '%dpkg-deb%'";
    assert!(folder.number(who) > 10, "who wrote what is kept");

    assert_eq!(folder.gaps(), 0);
    assert!(folder.dead_letters().is_empty());
    assert!(!folder.digests().is_empty());
}
