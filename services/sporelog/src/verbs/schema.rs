//! `sporelog schema check`: whether every version of every event reads what every other one wrote.

use crate::render::{Answer, Format, Value};
use anyhow::{Context as _, Result};
use codec::compat::{Incompatibility, Report};
use runtime::config::Config;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  sporelog schema check                     the schemas/ folder here
  sporelog schema check --format json path/to/schemas

Exit status: 0 where all is well, 1 where a schema breaks a frozen version or lacks something.";

/// What `schema` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Hold every schema against every frozen version (FULL_TRANSITIVE).
    #[command(after_help = AFTER_HELP)]
    Check {
        /// The folder of schemas.
        #[arg(default_value = "schemas")]
        dir: PathBuf,
        /// The form of the list of faults.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// Checks and prints what is wrong.
pub async fn run(args: Args, _config: Config) -> Result<ExitCode> {
    let Verb::Check { dir, format } = args.verb;
    let report = codec::compat::check_dir(&dir)
        .with_context(|| format!("cannot read the schemas in {}: name their folder", dir.display()))?;
    let mut out = std::io::stdout().lock();
    print(&report, format, &mut out)?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(report: &Report, format: Format, out: &mut impl Write) -> Result<()> {
    let faults = &report.incompatibilities;
    if format != Format::Table || !faults.is_empty() {
        let names = ["event", "version", "field", "problem", "remedy"].map(str::to_owned).to_vec();
        let mut answer = Answer::new(format, names, &mut *out)?;
        faults.iter().try_for_each(|fault| answer.row(&row(fault)))?;
        answer.finish()?;
    }
    // With CSV and JSON, standard output holds the list alone.
    let mut note = |text: String| {
        if format == Format::Table { writeln!(out, "{text}") } else { writeln!(std::io::stderr(), "{text}") }
    };
    for complaint in &report.complaints {
        note(complaint.clone())?;
    }
    let found = match (faults.len(), report.complaints.len()) {
        (0, 0) => "compatible".to_owned(),
        (faults, others) => format!("{faults} incompatible changes, {others} other faults"),
    };
    note(format!("{} events, {} frozen versions: {found}", report.events, report.versions))?;
    Ok(())
}

fn row(fault: &Incompatibility) -> [Value; 5] {
    [
        Value::Text(fault.event.clone()),
        fault.version.map_or(Value::Null, |version| Value::Int(version.into())),
        Value::Text(fault.field.clone()),
        Value::Text(fault.problem.clone()),
        Value::Text(fault.remedy.clone()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_shows_event_version_field_problem_and_remedy() {
        let fault = Incompatibility {
            event: "Blessed".to_owned(),
            version: Some(1),
            field: "weight".to_owned(),
            problem: "double became string".to_owned(),
            remedy: "add a field instead".to_owned(),
        };
        let report =
            Report { events: 1, versions: 1, incompatibilities: vec![fault], complaints: vec!["no doc".to_owned()] };
        let mut out = Vec::new();
        print(&report, Format::Table, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in ["Blessed", "weight", "double became string", "add a field instead", "no doc", "1 incompatible"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn the_schemas_of_this_version_are_compatible() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas");
        let report = codec::compat::check_dir(dir.as_ref()).unwrap();
        assert!(report.is_clean(), "{report:?}");
    }
}
