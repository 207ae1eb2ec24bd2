//! What every source file keeps to: module docs, lengths, and nothing left undone.
//!
//! Functions are measured over formatted sources: one begins at a line with `fn` and ends at the first line that is
//! its closing brace at the same indentation. What a macro generates, and functions on one line, are not measured.

use crate::{Source, assert_none, sources};

const FILE_LINES: usize = 500;
const MEDIAN_LINES: usize = 150;
const FUNCTION_LINES: usize = 70;

fn undocumented(source: &Source) -> Option<String> {
    let documented = source.text.trim_start().starts_with("//!");
    (!documented).then(|| format!("{}: begins without `//!`: every module says what it is for", source.path))
}

fn too_long(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    (lines > FILE_LINES).then(|| format!("{}: {lines} lines, at most {FILE_LINES}: split it", source.path))
}

fn median(mut lengths: Vec<usize>) -> usize {
    lengths.sort_unstable();
    lengths.get(lengths.len() / 2).copied().unwrap_or(0)
}

/// The name of the function that the line begins, if it begins one.
fn function(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ").filter(|(before, _)| before.is_empty() || before.ends_with(' '))?;
    let modifier =
        |word: &str| matches!(word, "async" | "const" | "unsafe" | "extern" | "\"C\"") || word.starts_with("pub");
    let modifiers = before.replace("(in ", "(in_").replace(", ", ",");
    modifiers.split_whitespace().all(modifier).then(|| after.split(['(', '<']).next().unwrap_or(after))
}

fn long_functions(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut complaints = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let Some(name) = function(line.trim_start()) else { continue };
        let indentation = line.len() - line.trim_start().len();
        let ends = |line: &&str| {
            line.len() > indentation && line[indentation..].trim_end() == "}" && line[..indentation].trim().is_empty()
        };
        let declared = |line: &str| line.ends_with(';') || line.ends_with('}');
        if declared(line) {
            continue;
        }
        // A signature without a body ends before any brace opens.
        let opens = lines[first..].iter().position(|line| line.ends_with('{') || line.ends_with(';'));
        if opens.is_some_and(|opens| lines[first + opens].ends_with(';')) {
            continue;
        }
        let Some(length) = lines[first..].iter().position(ends).map(|last| last + 1) else { continue };
        if length > FUNCTION_LINES {
            complaints.push(format!(
                "{}:{}: {name} has {length} lines, at most {FUNCTION_LINES}: take a part out",
                source.path,
                first + 1
            ));
        }
    }
    complaints
}

/// What must not be committed. Put together, so that this file does not hold it.
fn undone() -> [String; 3] {
    [["todo", "!("].concat(), ["unimplemented", "!("].concat(), ["#[", "ignore"].concat()]
}

fn left_undone(source: &Source) -> Vec<String> {
    let code = |line: &&str| !line.trim_start().starts_with("//");
    let found = |needle: &String| source.text.lines().filter(code).any(|line| line.contains(needle.as_str()));
    let complaint =
        |needle: String| format!("{}: holds `{needle}`: nothing is left undone, no test is skipped", source.path);
    undone().into_iter().filter(found).map(complaint).collect()
}

#[test]
fn every_module_says_what_it_is_for() {
    assert_none(&sources().iter().filter_map(undocumented).collect::<Vec<_>>());
}

#[test]
fn files_are_short() {
    let sources = sources();
    let mut complaints: Vec<_> = sources.iter().filter_map(too_long).collect();
    let median = median(sources.iter().map(|source| source.text.lines().count()).collect());
    if median > MEDIAN_LINES {
        complaints.push(format!("crates, services: the median file has {median} lines, at most {MEDIAN_LINES}"));
    }
    assert_none(&complaints);
}

#[test]
fn functions_are_short() {
    assert_none(&sources().iter().flat_map(long_functions).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_undone() {
    assert_none(&sources().iter().flat_map(left_undone).collect::<Vec<_>>());
}

fn made_up(text: &str) -> Source {
    Source { path: "crates/made/up.rs".to_owned(), text: text.to_owned() }
}

#[test]
fn a_module_without_docs_is_found() {
    let complaint = undocumented(&made_up("// a comment\nfn f() {}\n")).unwrap();
    assert!(complaint.contains("crates/made/up.rs") && complaint.contains("//!"), "{complaint}");
    assert!(undocumented(&made_up("//! Docs.\n")).is_none());
}

#[test]
fn a_long_file_is_found() {
    assert!(too_long(&made_up(&"\n".repeat(FILE_LINES + 1))).unwrap().contains("501 lines"));
    assert!(too_long(&made_up(&"\n".repeat(FILE_LINES))).is_none());
    assert_eq!(median(vec![9, 1, 151, 152, 3]), 9);
    assert_eq!(median(Vec::new()), 0);
}

#[test]
fn a_long_function_is_found() {
    let body = |lines: usize| "        work();\n".repeat(lines);
    let method = |head: &str, lines| format!("impl Made {{\n    {head} {{\n{}    }}\n}}\n", body(lines));
    for head in ["pub(crate) async fn up<T>(self)", "fn up(&self)", "const fn up(self)", "pub(in crate::a) fn up(self)"]
    {
        let found = long_functions(&made_up(&method(head, FUNCTION_LINES - 1)));
        assert_eq!(found, ["crates/made/up.rs:2: up has 71 lines, at most 70: take a part out"], "{head}");
        assert!(long_functions(&made_up(&method(head, FUNCTION_LINES - 2))).is_empty());
    }
    let declared = format!("trait Made {{\n    fn up(\n        self,\n    );\n{}}}\n", "    // docs\n".repeat(99));
    assert!(long_functions(&made_up(&declared)).is_empty());
}

#[test]
fn what_is_left_undone_is_found() {
    for needle in undone() {
        assert_eq!(left_undone(&made_up(&format!("fn f() {{\n    {needle}\n}}\n"))).len(), 1, "{needle}");
        assert!(left_undone(&made_up(&format!("// {needle}\n"))).is_empty(), "{needle}");
    }
}
