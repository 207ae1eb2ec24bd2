//! `services -> adapters, codec, runtime -> pipeline -> domain`, and never another way.

use crate::{assert_none, root};
use serde_json::Value;
use std::process::Command;

/// What the domain may stand on: hashes, hash tables, a search for bytes, derives, and ids. No I/O, no async runtime, no
/// clock.
const DOMAIN_MAY: [&str; 8] =
    ["blake3", "hashbrown", "memchr", "serde", "serde_json", "thiserror", "uuid", "xxhash-rust"];

/// A workspace member and what it depends on.
struct Package {
    /// The folder, from the root: `crates/domain`.
    dir: String,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    dev: bool,
}

/// The layers, from the outside in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Layer {
    Domain,
    Codec,
    Pipeline,
    Adapter,
    Runtime,
    Testkit,
    Service,
    Binary,
    Tests,
}

fn layer(dir: &str) -> Option<Layer> {
    let name = dir.rsplit('/').next().unwrap_or(dir);
    Some(match (dir.split('/').next()?, name) {
        (_, "integration-tests") => Layer::Tests,
        ("services", "sporelog") => Layer::Binary,
        ("services", _) => Layer::Service,
        (_, "domain") => Layer::Domain,
        (_, "codec") => Layer::Codec,
        (_, "pipeline") => Layer::Pipeline,
        (_, "runtime") => Layer::Runtime,
        (_, "testkit" | "engines") => Layer::Testkit,
        (_, "embedded" | "cache" | "registry") => Layer::Adapter,
        _ if name.starts_with("store-") || name.starts_with("log-") => Layer::Adapter,
        _ => return None,
    })
}

/// Whether a package of the layer `from` may name one of the layer `to`.
fn may(from: Layer, to: Layer, dev: bool) -> bool {
    use Layer::{Adapter, Binary, Codec, Domain, Pipeline, Runtime, Service, Testkit, Tests};
    match (from, to) {
        (Tests, _) => true,
        (_, Testkit) => dev,
        (_, Tests | Binary) | (Domain, _) => false,
        (Codec, to) => to == Domain,
        (Pipeline, to) => matches!(to, Domain | Codec),
        (Adapter | Runtime | Testkit, to) => matches!(to, Domain | Codec | Pipeline),
        (Service, to) => matches!(to, Domain | Codec | Pipeline | Runtime),
        (Binary, to) => matches!(to, Domain | Codec | Pipeline | Adapter | Runtime | Service),
    }
}

fn complaints(packages: &[Package]) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in packages {
        let file = format!("{}/Cargo.toml", package.dir);
        let Some(from) = layer(&package.dir) else {
            complaints.push(format!("{file}: give the package a layer in the tidy test, and in ARCHITECTURE.md"));
            continue;
        };
        for Dependency { name, dev } in &package.dependencies {
            let member = packages.iter().find(|other| other.dir.rsplit('/').next() == Some(name));
            match member.and_then(|member| layer(&member.dir)) {
                Some(to) if !may(from, to, *dev) => {
                    complaints.push(format!(
                        "{file}: {from:?} must not depend on {name} ({to:?}): direction of dependencies"
                    ));
                }
                None if from == Layer::Domain && !dev && !DOMAIN_MAY.contains(&name.as_str()) => {
                    complaints
                        .push(format!("{file}: the domain must not depend on {name}: no I/O, no async, no clock"));
                }
                _ => {}
            }
        }
    }
    complaints
}

fn packages() -> Vec<Package> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(root());
    let output = command.output().unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let workspace = metadata["workspace_root"].as_str().unwrap();
    let package = |package: &Value| {
        let manifest = package["manifest_path"].as_str().unwrap();
        let dir = manifest.trim_start_matches(workspace).trim_start_matches('/').trim_end_matches("/Cargo.toml");
        let dependency = |dependency: &Value| Dependency {
            name: dependency["name"].as_str().unwrap().to_owned(),
            dev: dependency["kind"] == "dev",
        };
        let dependencies = package["dependencies"].as_array().unwrap().iter().map(dependency).collect();
        Package { dir: dir.to_owned(), dependencies }
    };
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

#[test]
fn dependencies_point_inwards() {
    let packages = packages();
    assert!(packages.iter().any(|package| package.dir == "crates/domain"), "the domain is not among the packages");
    assert_none(&complaints(&packages));
}

#[test]
fn a_dependency_the_wrong_way_is_found() {
    let package = |dir: &str, on: &[(&str, bool)]| {
        let dependency = |(name, dev): &(&str, bool)| Dependency { name: (*name).to_owned(), dev: *dev };
        Package { dir: dir.to_owned(), dependencies: on.iter().map(dependency).collect() }
    };
    let found = complaints(&[
        package("crates/domain", &[("tokio", false), ("proptest", true), ("codec", false), ("uuid", false)]),
        package("crates/codec", &[("domain", false), ("pipeline", false)]),
        package("crates/pipeline", &[("embedded", true), ("testkit", true), ("tokio", false)]),
        package("crates/embedded", &[("store-postgres", false), ("pipeline", false)]),
        package("crates/store-postgres", &[("testkit", false)]),
        package("crates/testkit", &[("pipeline", false)]),
        package("services/ingest", &[("embedded", true), ("pipeline", false)]),
        package("services/sporelog", &[("embedded", false), ("ingest", false)]),
        package("integration-tests", &[("sporelog", false), ("testkit", false)]),
        package("crates/what-is-this", &[]),
    ]);
    let wanted = [
        ("crates/domain", "tokio"),
        ("crates/domain", "codec"),
        ("crates/codec", "pipeline"),
        ("crates/pipeline", "embedded"),
        ("crates/embedded", "store-postgres"),
        ("crates/store-postgres", "testkit"),
        ("services/ingest", "embedded"),
        ("crates/what-is-this", "layer"),
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for ((file, what), complaint) in wanted.iter().zip(&found) {
        assert!(complaint.starts_with(file) && complaint.contains(what), "{complaint}");
    }
}
