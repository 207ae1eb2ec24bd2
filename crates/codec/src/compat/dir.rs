//! Checks a directory laid out like `schemas/`: `<event>.avsc`, `frozen/<event>.v<N>.avsc`, `examples/<event>.json`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use serde_json::{Map, Value as Json};

use super::{Incompatibility, check, types};
use crate::from_json_value;

/// What a directory of schemas holds, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Number of events.
    pub events: usize,
    /// Number of frozen versions.
    pub versions: usize,
    /// Changes that break a frozen version.
    pub incompatibilities: Vec<Incompatibility>,
    /// Anything else: fields without a doc, unknown vocabularies, examples that do not fit, schemas not yet frozen.
    pub complaints: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.incompatibilities.is_empty() && self.complaints.is_empty()
    }
}

/// Checks every schema of a directory.
///
/// # Errors
/// The directory cannot be read. What is wrong with the schemas is in the report.
pub fn check_dir(path: &Path) -> io::Result<Report> {
    let mut report = Report::default();
    let vocabulary = vocabulary(path, &mut report);
    let frozen = files(&path.join("frozen"), "avsc")?;
    for (stem, file) in files(path, "avsc")? {
        report.events += 1;
        let text = fs::read_to_string(&file)?;
        let name = event_name(&text).unwrap_or_else(|| stem.clone());
        let mut versions = Vec::new();
        for (frozen_stem, file) in &frozen {
            if let Some(version) = frozen_stem.strip_prefix(&format!("{stem}.v")).and_then(|v| v.parse().ok()) {
                versions.push((version, fs::read_to_string(file)?));
            }
        }
        versions.sort_unstable_by_key(|(version, _): &(u32, String)| *version);
        report.versions += versions.len();
        let borrowed: Vec<_> = versions.iter().map(|(version, text)| (*version, text.as_str())).collect();
        report.incompatibilities.extend(check(&name, &text, &borrowed));
        if !borrowed.last().is_some_and(|(_, frozen)| same_schema(frozen, &text)) {
            let next = borrowed.last().map_or(1, |(version, _)| version + 1);
            report.complaints.push(format!("{name}: not frozen; copy it to frozen/{stem}.v{next}.avsc"));
        }
        fields(&name, &text, &vocabulary, &mut report);
        if let Err(problem) = example(&text, &path.join("examples").join(format!("{stem}.json"))) {
            report.complaints.push(format!("{name}: examples/{stem}.json: {problem}"));
        }
    }
    Ok(report)
}

fn files(dir: &Path, extension: &str) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension)
            && let Some(stem) = path.file_stem().and_then(|stem| stem.to_str())
        {
            files.push((stem.to_owned(), path));
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn event_name(text: &str) -> Option<String> {
    let json: Json = serde_json::from_str(text).ok()?;
    json.get("name")?.as_str().map(str::to_owned)
}

/// The same parsing canonical form; docs may differ.
fn same_schema(a: &str, b: &str) -> bool {
    let form = |text| Schema::parse_str(text).map(|schema| schema.canonical_form());
    matches!((form(a), form(b)), (Ok(a), Ok(b)) if a == b)
}

fn vocabulary(dir: &Path, report: &mut Report) -> Map<String, Json> {
    let parsed = fs::read_to_string(dir.join("vocabulary.json"))
        .map_err(|error| error.to_string())
        .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    match parsed {
        Ok(Json::Object(vocabulary)) => vocabulary,
        Ok(_) => Map::new(),
        Err(error) => {
            report.complaints.push(format!("vocabulary.json: {error}"));
            Map::new()
        }
    }
}

fn fields(name: &str, text: &str, vocabulary: &Map<String, Json>, report: &mut Report) {
    let Ok(schema) = serde_json::from_str::<Json>(text) else {
        return;
    };
    types::for_each_field(&schema, "", &mut |path, field| {
        let doc = field.get("doc").and_then(Json::as_str).unwrap_or_default();
        if doc.trim().is_empty() {
            report.complaints.push(format!("{name}.{path}: has no doc; give meaning, unit and range"));
        }
        if let Some(words) = field.get("vocabulary").and_then(Json::as_str)
            && !vocabulary.contains_key(words)
        {
            report.complaints.push(format!("{name}.{path}: vocabulary {words} is not in vocabulary.json"));
        }
    });
}

fn example(schema: &str, file: &Path) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let json: Json = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let schema = Schema::parse_str(schema).map_err(|error| error.to_string())?;
    let datum = from_json_value(&schema, &json).map_err(|error| error.to_string())?;
    let reader = GenericDatumReader::builder(&schema).build().map_err(|error| error.to_string())?;
    reader.read_value(&mut datum.as_slice()).map(drop).map_err(|error| error.to_string())
}
