//! Packages of Debian and its kin, through `apt-get`: downloaded and unpacked into the cache, not installed, so that
//! nobody has to be root. Their integrity is apt's affair: it verifies signatures.

use super::{Package, fetch};
use crate::command::{installed, run};
use anyhow::{Context as _, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program of Debian's: the installed one, or else that of a fetched package with the folders of its libraries.
pub(crate) fn debian(package: Package, program: &str) -> Result<(PathBuf, Option<OsString>)> {
    if let Some(installed) = installed(program) {
        return Ok((installed, None));
    }
    let folder = fetch(package)?;
    let libraries = folder.join("usr/lib");
    // A package whose libraries are all installed brings none.
    let below = fs::read_dir(&libraries).into_iter().flatten();
    let all = below.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    let search = std::env::join_paths(all.chain([libraries])).context("a folder's name holds a colon")?;
    Ok((folder.join("usr/bin").join(program), Some(search)))
}

/// Unpacks a package, and those of its dependencies that are not installed.
pub(super) fn unpack(work: &Path, into: &Path, package: &str) -> Result<()> {
    let downloads = work.join("downloads");
    fs::create_dir(&downloads).context("cannot create a folder")?;
    if download(&[], &downloads, package).is_err() {
        // The machine has never updated its lists, or they are too old.
        download(&updated(work)?, &downloads, package)?;
    }
    extract(&downloads, into)
}

/// Unpacks every package of a folder.
pub(super) fn extract(downloads: &Path, into: &Path) -> Result<()> {
    for file in fs::read_dir(downloads).context("cannot list the downloads")? {
        let file = file.context("cannot list the downloads")?.path();
        run(Command::new("dpkg").arg("--extract").arg(file).arg(into))?;
    }
    Ok(())
}

fn download(options: &[String], into: &Path, package: &str) -> Result<()> {
    let packages = needed(options, &[package])?;
    run(apt(options).arg("download").args(packages).current_dir(into))?;
    Ok(())
}

/// The packages that an installation of these would bring.
pub(super) fn needed(options: &[String], packages: &[&str]) -> Result<Vec<String>> {
    let install = ["--simulate", "--no-install-recommends", "install"];
    let simulated = run(apt(options).args(install).args(packages))?;
    // A line of what would be installed: `Inst libyajl2 (2.1.0 ...)`.
    let names = simulated.lines().filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next());
    Ok(names.map(str::to_owned).collect())
}

/// Fetches package lists into a folder of our own, so that nothing of the machine changes; the options that use them.
fn updated(work: &Path) -> Result<Vec<String>> {
    update(work, Vec::new())
}

/// The same from sources that these options name.
pub(super) fn update(work: &Path, sources: Vec<String>) -> Result<Vec<String>> {
    let state = work.join("apt");
    for folder in ["lists/partial", "archives/partial"] {
        fs::create_dir_all(state.join(folder)).context("cannot create a folder")?;
    }
    let state = state.display();
    let mut options = sources;
    options.extend([format!("Dir::State::lists={state}/lists"), format!("Dir::Cache={state}")]);
    // It would tidy the machine's cache afterwards, which it may not.
    let quiet = ["Debug::NoLocking=1", "APT::Update::Post-Invoke-Success=", "APT::Update::Post-Invoke="];
    run(apt(&options).args(quiet.iter().flat_map(|option| ["-o", option])).arg("update"))?;
    Ok(options)
}

pub(super) fn apt(options: &[String]) -> Command {
    let mut apt = Command::new("apt-get");
    apt.args(["--quiet", "--quiet"]).args(options.iter().flat_map(|option| ["-o", option.as_str()]));
    // Where we are root it would drop to a user who cannot write to our folder.
    apt.args(["-o", "APT::Sandbox::User=root"]);
    apt
}
