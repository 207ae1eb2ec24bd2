//! `docs/invariants.md`: every invariant names a test file that cites it, or the page says that it is not built yet.
//! The functions that the page names are in the files that it names them in.

use crate::{assert_none, root};
use std::fs;

const PAGE: &str = "docs/invariants.md";
const INVARIANTS: usize = 12;
/// What the page says of an invariant that nothing stands behind yet.
const NOT_YET: &str = "not built yet";
/// Where the paths of the page begin.
const FOLDERS: [&str; 3] = ["", "crates/", "services/"];

/// The number of the invariant that a line begins to speak of: `## I3 One row ...`, `| **I3** | ...`, `- I3: ...`.
fn begins(line: &str) -> Option<usize> {
    let digits = line.trim_start_matches(['#', '*', '|', '-', '_', '`', '[', ' ']).strip_prefix('I')?;
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    digits[..length].parse().ok().filter(|number| (1..=INVARIANTS).contains(number))
}

/// Whether a text names invariant `number` as a word.
fn cites(text: &str, number: usize) -> bool {
    let word = format!("I{number}");
    text.match_indices(&word).any(|(at, _)| {
        let letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let before = at.checked_sub(1).and_then(|at| text.as_bytes().get(at));
        !letter(before) && !letter(text.as_bytes().get(at + word.len()))
    })
}

/// The functions that a line names, with their file: "`a_test`, `another` in `crate/tests/file.rs`".
fn functions(line: &str) -> Vec<(&str, &str)> {
    let is_name = |code: &str| code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let (mut named, mut functions, mut prose) = (Vec::new(), Vec::new(), "");
    for (ix, part) in line.split('`').enumerate() {
        if ix % 2 == 0 {
            prose = part;
            if part.contains([';', '|']) {
                named.clear();
            }
        } else if is_name(part) {
            named.push(part);
        } else if part.ends_with(".rs") {
            let of_file = prose.split_whitespace().next_back() == Some("in");
            functions.extend(named.drain(..).filter(|_| of_file).map(|name| (name, part)));
        }
    }
    functions
}

fn is_test(text: &str) -> bool {
    ["#[test]", "proptest!", "::test]", "#[test_"].iter().any(|mark| text.contains(mark))
}

/// What is wrong with the page; `read` gives the text of a file of the repository.
fn complaints(page: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut held = [false; INVARIANTS + 1];
    let mut current = None;
    for line in page.lines() {
        current = begins(line).or(current.filter(|_| !line.starts_with("## ")));
        let Some(number) = current else { continue };
        held[number] |= line.contains(NOT_YET);
        let read = |path: &str| FOLDERS.iter().find_map(|folder| read(&format!("{folder}{path}")));
        for (name, path) in functions(line) {
            if read(path).is_some_and(|text| !text.contains(&format!("fn {name}("))) {
                complaints.push(format!("{PAGE}: I{number} names {name} in {path}, which has no `fn {name}`"));
            }
        }
        let in_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
        for path in line.split(|c| !in_path(c)).filter(|word| word.ends_with(".rs") && word.contains('/')) {
            let path = path.trim_start_matches("../");
            match read(path) {
                None => complaints.push(format!("{PAGE}: I{number} names {path}, which is not there")),
                Some(text) => held[number] |= is_test(&text) && cites(&text, number),
            }
        }
    }
    for (number, _) in held.iter().enumerate().skip(1).filter(|(_, held)| !**held) {
        complaints
            .push(format!("{PAGE}: I{number} names no test file that cites I{number}: every invariant has a test"));
    }
    complaints
}

#[test]
fn every_invariant_names_a_test_that_cites_it() {
    let page = fs::read_to_string(root().join(PAGE)).unwrap_or_else(|error| panic!("{PAGE}: {error}"));
    assert_none(&complaints(&page, |path| fs::read_to_string(root().join(path)).ok()));
}

#[test]
fn an_invariant_without_a_test_is_found() {
    let read = |path: &str| match path {
        "tests/all.rs" => Some((1..=INVARIANTS).map(|number| format!("// I{number}.\n#[test]\n")).collect()),
        "tests/silent.rs" => Some("#[test]\nfn i3_and_i33() { I33 }".to_owned()),
        "src/lib.rs" => Some("// I4 but no test".to_owned()),
        _ => None,
    };
    let page = |third: &str, fourth: &str| {
        let line = |number| match number {
            3 => format!("| **I3** | {third} |\n"),
            4 => format!("## I4 Convergence\n\nSee `{fourth}`.\n"),
            number => format!("- I{number}: [all](../tests/all.rs)\n"),
        };
        (1..=INVARIANTS).map(line).collect::<String>()
    };
    assert_none(&complaints(&page("tests/all.rs", "tests/all.rs"), read));
    let found = complaints(&page("tests/silent.rs", "src/lib.rs"), read);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("I3 names no test") && found[1].contains("I4 names no test"), "{found:#?}");
    assert_none(&complaints(&page("declared; not built yet", "tests/all.rs"), read));
    assert!(complaints(&page("tests/gone.rs", "tests/all.rs"), read)[0].contains("tests/gone.rs, which is not there"));
}

#[test]
fn a_function_that_is_not_in_its_file_is_found() {
    let line = "| **I3** | `a_metric` | `first`, and `the_second` in `tests/a.rs`, as `one_more` does; `tests/b.rs` |";
    assert_eq!(functions(line), [("first", "tests/a.rs"), ("the_second", "tests/a.rs")]);
    let read = |path: &str| {
        let text: String =
            (1..=INVARIANTS).map(|number| format!("// I{number}.\n#[test]\nfn i{number}() {{}}\n")).collect();
        path.starts_with("tests/").then_some(text)
    };
    let page: String = (1..=INVARIANTS).map(|number| format!("- I{number}: `i{number}` in `tests/a.rs`\n")).collect();
    assert_none(&complaints(&page, read));
    let found = complaints(&page.replace("`i3`", "`i33`"), read);
    assert!(found.len() == 1 && found[0].contains("I3 names i33 in tests/a.rs"), "{found:#?}");
}
