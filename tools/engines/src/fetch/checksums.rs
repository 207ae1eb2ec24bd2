//! The committed checksums: what was fetched is what it was when this version was chosen.

use super::Package;
use crate::command;
use anyhow::{Context as _, Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const ALL: &str = include_str!("../../checksums.sha256");

/// The checksum and the file name of everything in a package.
fn entries(package: Package) -> impl Iterator<Item = (&'static str, &'static str)> {
    ALL.lines().filter_map(move |line| {
        let (sum, path) = line.split_once("  ")?;
        let (folder, file) = path.split_once('/')?;
        (folder == package.name()).then_some((sum, file))
    })
}

/// The checksums of a package, any of which is right.
pub(super) fn of(package: Package) -> Vec<&'static str> {
    entries(package).map(|(sum, _)| sum).collect()
}

/// Compares a folder with the checksums: the same files, each with the same bytes.
pub(super) fn verify(package: Package, folder: &Path) -> Result<()> {
    let expected: BTreeSet<String> = entries(package).map(|(_, file)| file.to_owned()).collect();
    let found: BTreeSet<String> = fs::read_dir(folder)
        .and_then(|files| files.map(|file| Ok(file?.file_name().to_string_lossy().into_owned())).collect())
        .with_context(|| format!("cannot list {}", folder.display()))?;
    ensure!(
        expected == found,
        "other files than in tools/engines/checksums.sha256: missing {:?}, unknown {:?}",
        &expected - &found,
        &found - &expected
    );
    let list: String = entries(package).map(|(sum, file)| format!("{sum}  {file}\n")).collect();
    let mut command = Command::new("sha256sum");
    command.args(["--check", "--strict", "--quiet"]).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let shown = command::show(&command);
    let mut child = command.spawn().map_err(|error| command::not_started(&shown, &command, error))?;
    // Dropped behind the write, which ends its input.
    child.stdin.take().context("no input")?.write_all(list.as_bytes()).context("cannot write to sha256sum")?;
    command::finished(&shown, child.wait_with_output().context("cannot wait for sha256sum")?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_that_is_verified_here_has_checksums() {
        for (package, least) in [(Package::Kafka, 50), (Package::Cassandra, 50), (Package::Registry, 1)] {
            assert!(entries(package).count() >= least, "{}", package.name());
        }
        // A wheel per processor.
        assert_eq!(of(Package::Postgres).len(), 2);
        assert!(entries(Package::Kafka).all(|(sum, file)| sum.len() == 64 && !file.contains('/')));
    }

    #[test]
    fn other_files_and_other_bytes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (_, file) = entries(Package::Registry).next().unwrap();
        let refused = || verify(Package::Registry, folder.path()).unwrap_err().to_string();
        assert!(refused().contains("missing {\"apicurio"), "{}", refused());
        fs::write(folder.path().join(file), "other bytes").unwrap();
        assert!(refused().contains(&format!("{file}: FAILED")), "{}", refused());
        fs::write(folder.path().join("more.jar"), "").unwrap();
        assert!(refused().contains("unknown {\"more.jar\"}"), "{}", refused());
    }
}
