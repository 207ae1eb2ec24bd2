//! Packages of Java, through `mvn`.

use crate::command::run;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Group, artifact and version.
pub(super) type Coordinates = (&'static str, &'static str, &'static str);

const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// Copies packages and all that they need at run time.
pub(super) fn jars(work: &Path, into: &Path, packages: &[Coordinates]) -> Result<()> {
    copy(work, into, &packages.iter().map(|package| dependency(*package, "")).collect::<String>())
}

/// Copies one `.tar.gz` alone.
pub(super) fn archive(work: &Path, into: &Path, package: Coordinates, classifier: &str) -> Result<()> {
    let alone = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>";
    let more = format!("<type>tar.gz</type><classifier>{classifier}</classifier>{alone}");
    copy(work, into, &dependency(package, &more))
}

fn dependency((group, artifact, version): Coordinates, more: &str) -> String {
    format!(
        "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>{more}\
         </dependency>"
    )
}

fn copy(work: &Path, into: &Path, dependencies: &str) -> Result<()> {
    let pom = work.join("pom.xml");
    let text = format!(
        "<project><modelVersion>4.0.0</modelVersion>\
         <groupId>fetch</groupId><artifactId>fetch</artifactId><version>1</version><packaging>pom</packaging>\
         <dependencies>{dependencies}</dependencies></project>"
    );
    fs::write(&pom, text).with_context(|| format!("cannot write {}", pom.display()))?;
    let mut mvn = Command::new("mvn");
    mvn.args(["--quiet", "--batch-mode", "-Dstyle.color=never", "--file"]).arg(&pom).arg(COPY);
    mvn.arg("-DincludeScope=runtime").arg(format!("-DoutputDirectory={}", into.display()));
    run(&mut mvn)?;
    Ok(())
}
