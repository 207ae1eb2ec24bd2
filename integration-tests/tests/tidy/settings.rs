//! What a message tells an operator to set can be set: every `section.key` in a text is in `docs/configuration.md`.

use crate::{Source, assert_none, root, sources};
use std::collections::BTreeSet;
use std::fs;

const PAGE: &str = "docs/configuration.md";
/// A file and a table whose names look like settings.
const OTHERS: [&str; 2] = ["log.db", "log.topic"];

/// The keys that the page lists: ``| `kafka.bootstrap` | unset | ...``.
fn keys(page: &str) -> BTreeSet<&str> {
    page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

/// The texts of a source, without its comments: what stands between quotes.
fn texts(code: &str) -> Vec<&str> {
    let (mut texts, mut rest) = (Vec::new(), code);
    while let Some(at) = rest.find(['"', '/']) {
        let (before, found) = rest.split_at(at);
        let end = if found.starts_with("//") {
            found.find('\n')
        } else if found.starts_with('/') || before.ends_with('\'') {
            Some(1)
        } else if before.ends_with('#') {
            let length = found.find("\"#");
            texts.extend(length.map(|length| &found[1..length]));
            length.map(|length| length + 2)
        } else {
            let mut escaped = false;
            let ends = |c: char| {
                let plain = !escaped;
                escaped = plain && c == '\\';
                plain && c == '"'
            };
            let length = found[1..].find(ends);
            texts.extend(length.map(|length| &found[1..=length]));
            length.map(|length| length + 2)
        };
        let Some(end) = end else { break };
        rest = &found[end..];
    }
    texts
}

/// The settings that a source's texts name and that cannot be set.
fn unknown(source: &Source, keys: &BTreeSet<&str>) -> Vec<String> {
    let sections: BTreeSet<&str> = keys.iter().filter_map(|key| key.split('.').next()).collect();
    let setting = |word: &&str| {
        let (section, key) = word.split_once('.').unwrap_or_default();
        sections.contains(section) && !key.is_empty() && !key.contains('.') && !OTHERS.contains(word)
    };
    let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
    let in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    let words = texts(code).into_iter().flat_map(|text| text.split(|c| !in_word(c)));
    let words = words.map(|word| word.trim_end_matches('.')).filter(setting).filter(|word| !keys.contains(word));
    words.map(|word| format!("{}: names {word}, which is no setting of {PAGE}", source.path)).collect()
}

/// Whether the source is compiled into the binary.
fn ships(source: &Source) -> bool {
    let among = ["crates/", "services/"].iter().any(|folder| source.path.starts_with(folder));
    among && !["/tests/", "/tests.rs", "/benches/"].iter().any(|part| source.path.contains(part))
}

#[test]
fn every_setting_that_a_message_names_exists() {
    let page = fs::read_to_string(root().join(PAGE)).unwrap_or_else(|error| panic!("{PAGE}: {error}"));
    let keys = keys(&page);
    assert!(keys.contains("kafka.bootstrap") && keys.len() > 25, "{PAGE} is not read as it is written: {keys:?}");
    let complaints: Vec<_> =
        sources().iter().filter(|source| ships(source)).flat_map(|source| unknown(source, &keys)).collect();
    assert_none(&complaints);
}

#[test]
fn a_setting_that_does_not_exist_is_found() {
    let keys = keys("| key | default |\n| `kafka.bootstrap` | unset |\n| `log.queue_bytes` | `1` |\n");
    let text = r#"
        // Not "kafka.nothing", it's a comment.
        const QUOTE: char = '"';
        fn f() { kafka.nothing(a / b, "set kafka.bootstrap: \"kafka.none\", or log.queue_byte. See kafka.topics.md"); }
        #[cfg(test)]
        const WRONG: &str = "kafka.wrong";
    "#;
    let found = unknown(&Source { path: "crates/made/up.rs".to_owned(), text: text.to_owned() }, &keys);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("names kafka.none,") && found[1].contains("names log.queue_byte,"), "{found:#?}");
}
