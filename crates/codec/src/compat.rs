//! FULL_TRANSITIVE compatibility: every version of an event reads what every other one wrote.
//!
//! The walk compares the newest schema with each frozen version and says which field breaks which reader, and what to
//! do instead. `apache_avro`'s own resolution check runs after it, so that what the walk does not know is not let through.
//!
//! | change | newest reads old | old reads newest |
//! |---|---|---|
//! | add a field with a default | yes | yes |
//! | add a field without | no | yes |
//! | remove a field that has a default | yes | yes |
//! | remove a field that has none | yes | no |
//! | widen a type (int to long), add a symbol or a union's type | yes | no |

mod dir;
mod types;
mod walk;

use std::fmt;

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use serde_json::Value as Json;

pub use dir::{Report, check_dir};

/// One reason why a schema cannot replace a frozen version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incompatibility {
    /// The event's name.
    pub event: String,
    /// The frozen version it breaks; none where the newest schema is at fault by itself.
    pub version: Option<u32>,
    /// Path of the field, such as `meta.trace_id`; empty for the schema itself.
    pub field: String,
    /// What breaks.
    pub problem: String,
    /// What to do instead.
    pub remedy: String,
}

impl fmt::Display for Incompatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.event)?;
        if !self.field.is_empty() {
            write!(f, ".{}", self.field)?;
        }
        match self.version {
            Some(version) => write!(f, " against version {version}: {}; {}", self.problem, self.remedy),
            None => write!(f, ": {}; {}", self.problem, self.remedy),
        }
    }
}

/// Holds the newest schema of the event `name` against every frozen version. Empty where all is well.
#[must_use]
pub fn check(name: &str, newest: &str, frozen: &[(u32, &str)]) -> Vec<Incompatibility> {
    let fault = |version, problem: String, remedy: &str| Incompatibility {
        event: name.to_owned(),
        version,
        field: String::new(),
        problem,
        remedy: remedy.to_owned(),
    };
    let mut found = Vec::new();
    let Some((new_json, new_schema)) = parse(newest).map_err(|error| found.push(fault(None, error, "correct it"))).ok()
    else {
        return found;
    };
    for finding in types::defaults(&new_json) {
        found.push(finding.at(name, None));
    }
    for (version, text) in frozen {
        let version = Some(*version);
        match parse(text) {
            Err(error) => found.push(fault(version, error, "restore the frozen file: it never changes")),
            Ok((old_json, old_schema)) => {
                let findings = walk::compare(&new_json, &old_json);
                if findings.is_empty()
                    && let Some(problem) = unresolvable(&new_schema, &old_schema)
                {
                    found.push(fault(version, problem, "keep the type and add a new field instead"));
                }
                found.extend(findings.into_iter().map(|finding| finding.at(name, version)));
            }
        }
    }
    found
}

fn parse(text: &str) -> Result<(Json, Schema), String> {
    let json = serde_json::from_str(text).map_err(|error| format!("is no JSON ({error})"))?;
    let schema = Schema::parse_str(text).map_err(|error| format!("is no Avro schema ({error})"))?;
    Ok((json, schema))
}

/// The verdict of the reference library, both ways.
fn unresolvable(newest: &Schema, frozen: &Schema) -> Option<String> {
    match SchemaCompatibility::mutual_read(newest, frozen) {
        Ok(Compatibility::Full) => None,
        Ok(Compatibility::Partial) => Some("can be read in part only".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// What the walk found, before it is known against which version.
#[derive(Debug)]
struct Finding {
    field: String,
    problem: String,
    remedy: String,
}

impl Finding {
    fn at(self, event: &str, version: Option<u32>) -> Incompatibility {
        Incompatibility {
            event: event.to_owned(),
            version,
            field: self.field,
            problem: self.problem,
            remedy: self.remedy,
        }
    }
}

#[cfg(test)]
mod tests;
