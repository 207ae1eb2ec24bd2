//! Packages of a release of Debian that this machine does not run, from the archive that it uses:
//! only the name of the release is replaced in its own sources. The programs bring the libraries of
//! their release, down to the C library, and are told by patchelf to use those, so that no chroot
//! is needed.

use super::{Package, debian};
use crate::command::run;
use anyhow::{Context as _, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first release that has TimescaleDB.
pub(super) const RELEASE: &str = "trixie";

/// Where the programs lie in the packages.
pub(crate) const PROGRAMS: &str = "usr/lib/postgresql/17/bin";

/// Whether this machine uses Debian's archive: its kin has none of Debian's releases.
pub(crate) fn is_debian() -> bool {
    fs::read_to_string("/etc/os-release").is_ok_and(|text| value(&text, "ID") == Some("debian"))
}

/// A value of `/etc/os-release`.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let of = |line: &'a str| line.strip_prefix(name)?.strip_prefix('=');
    text.lines().find_map(of).map(|value| value.trim_matches('"'))
}

/// Puts PostgreSQL with TimescaleDB together, to be run from `place`.
pub(super) fn timescale(work: &Path, content: &Path, place: &Path) -> Result<()> {
    ensure!(is_debian(), "this machine does not use Debian's archive: give SPORELOG_TEST_TIMESCALE, a server's URL");
    let options = lists_of_release(work)?;
    let wanted = ["postgresql-17-timescaledb", "postgresql-17-pgvector"];
    let packages: Vec<String> = debian::needed(&options, &wanted)?.into_iter().filter(|name| is_used(name)).collect();
    let downloads = work.join("downloads");
    fs::create_dir(&downloads).context("cannot create a folder")?;
    run(debian::apt(&options).arg("download").args(&packages).current_dir(&downloads))?;
    debian::extract(&downloads, content)?;
    let (patchelf, libraries) = super::debian(Package::Patchelf, "patchelf")?;
    let loader = loader(content)?;
    for program in ["initdb", "postgres", "psql", "pg_isready"] {
        let mut patch = Command::new(&patchelf);
        patch.envs(libraries.iter().map(|libraries| ("LD_LIBRARY_PATH", libraries)));
        patch.arg("--set-interpreter").arg(place.join(&loader)).arg("--force-rpath").arg("--set-rpath");
        patch.arg(place.join(libraries_of(content)?)).arg(content.join(PROGRAMS).join(program));
        run(&mut patch)?;
    }
    Ok(())
}

/// Whether a package holds what the server runs with. It compiles no queries (LLVM), and Perl is
/// for Debian's wrappers.
fn is_used(package: &str) -> bool {
    const LEFT_OUT: [&str; 5] = ["libllvm", "libz3", "libperl", "libjson-perl", "postgresql-common"];
    let is_library = package.starts_with("lib") || ["zlib1g", "tzdata"].contains(&package);
    let is_wanted = is_library || package.starts_with("postgresql-");
    is_wanted && !LEFT_OUT.iter().any(|name| package.starts_with(name))
}

/// The loader of the C library, relative to the packages' root.
fn loader(root: &Path) -> Result<PathBuf> {
    let is_loader = |name: &str| name.starts_with("ld-linux");
    for folder in ["usr/lib64", "usr/lib"] {
        if let Some(name) = list(&root.join(folder)).into_iter().find(|name| is_loader(name)) {
            return Ok(Path::new(folder).join(name));
        }
    }
    bail!("the packages hold no loader of programs")
}

/// The folder of the libraries, relative to the packages' root: it is named by the processor.
fn libraries_of(root: &Path) -> Result<PathBuf> {
    let found = list(&root.join("usr/lib")).into_iter().find(|name| name.ends_with("-linux-gnu"));
    found.map(|name| Path::new("usr/lib").join(name)).context("the packages hold no libraries")
}

fn list(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Fetches the lists of the release; the options that use them and nothing of what this machine has
/// installed.
fn lists_of_release(work: &Path) -> Result<Vec<String>> {
    let system = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    let own = value(&system, "VERSION_CODENAME").context("/etc/os-release names no release")?;
    let (sources, status) = (work.join("sources"), work.join("status"));
    fs::create_dir(&sources).context("cannot create a folder")?;
    fs::write(&status, "").context("cannot write a file")?;
    let all = list(Path::new("/etc/apt/sources.list.d")).into_iter().map(|name| format!("sources.list.d/{name}"));
    let mut found = 0;
    for name in all.chain(["sources.list".to_owned()]) {
        let text = fs::read_to_string(Path::new("/etc/apt").join(&name)).unwrap_or_default();
        let file = name.replace('/', "-");
        let moved = match file.rsplit_once('.').map(|(_, kind)| kind) {
            Some("sources") => stanzas_of_release(&text, own),
            Some("list") => lines_of_release(&text, own),
            _ => continue,
        };
        if !moved.is_empty() {
            found += 1;
            fs::write(sources.join(file), moved).context("cannot write a file")?;
        }
    }
    ensure!(found > 0, "no source of {own} in /etc/apt, whose archive would have {RELEASE}");
    let options = [
        format!("Dir::Etc::sourceparts={}", sources.display()),
        "Dir::Etc::sourcelist=/dev/null".to_owned(),
        format!("Dir::State::status={}", status.display()),
        "Acquire::Languages=none".to_owned(),
        // It may be older than the machine's.
        "Acquire::AllowReleaseInfoChange=true".to_owned(),
    ];
    debian::update(work, options.into())
}

/// The stanzas of deb822 that name the machine's release, with the other in its place.
fn stanzas_of_release(text: &str, own: &str) -> String {
    let code: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut moved = String::new();
    for stanza in code.join("\n").split("\n\n") {
        let suites = stanza.lines().find_map(|line| line.strip_prefix("Suites:"));
        if suites.is_some_and(|suites| suites.split_whitespace().any(|suite| suite == own)) {
            for line in stanza.lines().filter(|line| !line.trim().is_empty()) {
                let line = if line.starts_with("Suites:") { &format!("Suites: {RELEASE}") } else { line };
                moved.push_str(line);
                moved.push('\n');
            }
            moved.push('\n');
        }
    }
    moved
}

/// The same of the older form: `deb [options] URI release component ...`.
fn lines_of_release(text: &str, own: &str) -> String {
    let moved = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == own)?;
        (words[0] == "deb").then(|| {
            let replaced = words.iter().enumerate().map(|(ix, word)| if ix == at { RELEASE } else { word });
            replaced.collect::<Vec<_>>().join(" ") + "\n"
        })
    };
    text.lines().filter_map(moved).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_release_is_replaced_in_the_machine_s_sources() {
        let text = "Types: deb\n# a comment\nURIs: http://a/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\n\
                    Types: deb\nURIs: http://a/security\nSuites: bookworm-security\nComponents: main\n";
        let moved = "Types: deb\nURIs: http://a/debian\nSuites: trixie\nComponents: main\n\n";
        assert_eq!(stanzas_of_release(text, "bookworm"), moved);
        let text = "# deb http://b bookworm main\ndeb [signed-by=/k] http://a bookworm main contrib\n\
                    deb-src http://a bookworm main\ndeb http://a bookworm-updates main\n\n";
        assert_eq!(lines_of_release(text, "bookworm"), "deb [signed-by=/k] http://a trixie main contrib\n");
        assert_eq!(value("NAME=\"x\"\nID=debian\n", "ID"), Some("debian"));
    }

    #[test]
    fn what_the_server_does_not_run_with_is_left_out() {
        for used in ["libc6", "libpq5", "postgresql-17", "postgresql-client-17", "zlib1g", "tzdata"] {
            assert!(is_used(used), "{used}");
        }
        for unused in ["perl", "libperl5.40", "libllvm19", "adduser", "postgresql-common", "openssl"] {
            assert!(!is_used(unused), "{unused}");
        }
    }
}
