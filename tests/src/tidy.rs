//! The laws of the house that a compiler cannot check: who may depend on whom, where features are declared, that
//! every module says what it is for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};
use testkit::binary::workspace_root;

/// A crate, which of our crates it may depend on, and what it must never reach, even through others.
struct Rule {
    name: &'static str,
    ours: &'static [&'static str],
    never: &'static [&'static str],
}

/// The crate table of ARCHITECTURE.md.
const RULES: &[Rule] = &[
    Rule { name: "model", ours: &[], never: &["tokio", "serde", "arrow", "tonic"] },
    Rule {
        name: "trace",
        ours: &["model"],
        never: &["tokio", "tonic", "opentelemetry", "opentelemetry-proto"],
    },
    Rule { name: "metrics", ours: &["model"], never: &["tokio"] },
    Rule { name: "memory", ours: &[], never: &["tokio"] },
    Rule { name: "disk", ours: &[], never: &["tokio"] },
    Rule {
        name: "storage",
        ours: &["model", "memory", "disk"],
        never: &["tokio", "datafusion", "openraft", "tonic"],
    },
    Rule { name: "host", ours: &[], never: &["storage", "cluster"] },
    Rule { name: "catalog", ours: &["model"], never: &["tokio", "openraft"] },
    Rule { name: "proto", ours: &["model"], never: &["storage", "cluster", "query"] },
    Rule {
        name: "cluster",
        ours: &["model", "trace", "metrics", "host", "disk", "catalog", "proto"],
        never: &["storage", "query"],
    },
    Rule { name: "influxql", ours: &["model"], never: &["tokio", "datafusion", "flux"] },
    Rule { name: "flux", ours: &["model", "trace", "memory"], never: &["tokio", "datafusion", "influxql"] },
    Rule {
        name: "query",
        ours: &["model", "trace", "memory", "catalog", "influxql", "flux"],
        never: &["storage", "cluster", "tonic", "axum"],
    },
    Rule {
        name: "gateway",
        ours: &["model", "trace", "metrics", "memory", "host", "catalog", "proto"],
        never: &["query", "storage", "cluster"],
    },
    Rule {
        name: "server",
        ours: &[
            "model", "trace", "metrics", "memory", "host", "disk", "storage", "catalog", "proto", "cluster",
            "influxql", "flux", "query", "gateway",
        ],
        never: &["cli"],
    },
    Rule {
        name: "sim",
        ours: &["model", "host", "disk", "storage", "catalog", "proto", "cluster", "gateway", "server"],
        never: &["cli"],
    },
    Rule { name: "cli", ours: &["model", "server"], never: &[] },
    Rule { name: "testkit", ours: &["model", "disk"], never: &["server"] },
    Rule { name: "tests", ours: &["model", "testkit"], never: &["server"] },
    Rule { name: "chaos", ours: &["testkit"], never: &["server"] },
];

/// Crates of others that one crate alone may name.
const OWNED: &[(&str, &[&str])] = &[
    ("openraft", &["cluster"]),
    ("datafusion", &["query"]),
    ("arrow-flight", &["gateway"]),
    ("parquet", &["gateway"]),
    ("tonic", &["proto", "cluster", "gateway", "server", "testkit"]),
    ("rocksdb", &["catalog", "cluster"]),
    ("axum", &["gateway"]),
    ("clap", &["cli", "sim", "chaos"]),
    ("opentelemetry-proto", &["server", "testkit"]),
];

fn metadata() -> cargo_metadata::Metadata {
    MetadataCommand::new().current_dir(workspace_root()).exec().expect("cargo metadata")
}

#[test]
fn crates_depend_on_whom_the_table_allows() {
    let metadata = metadata();
    let ours: Vec<_> = metadata.workspace_packages().iter().map(|p| p.name.to_string()).collect();
    for package in metadata.workspace_packages() {
        let rule = RULES
            .iter()
            .find(|rule| rule.name == package.name.as_str())
            .unwrap_or_else(|| panic!("crate {} is not in the table", package.name));
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
            assert!(
                !ours.contains(&dependency.name) || rule.ours.contains(&dependency.name.as_str()),
                "{} must not depend on {}",
                package.name,
                dependency.name
            );
            if let Some((_, owners)) = OWNED.iter().find(|(name, _)| *name == dependency.name) {
                assert!(
                    owners.contains(&package.name.as_str()),
                    "only {owners:?} may name {}, not {}",
                    dependency.name,
                    package.name
                );
            }
        }
    }
}

#[test]
fn crates_never_reach_what_the_table_forbids() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().expect("a resolved graph");
    let normal: BTreeMap<_, Vec<_>> = resolve
        .nodes
        .iter()
        .map(|node| {
            let next = node
                .deps
                .iter()
                .filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal))
                .map(|dep| &dep.pkg);
            (&node.id, next.collect())
        })
        .collect();
    for package in metadata.workspace_packages() {
        let rule = RULES.iter().find(|rule| rule.name == package.name.as_str()).expect("in the table");
        let (mut reached, mut stack) = (vec![&package.id], vec![&package.id]);
        while let Some(id) = stack.pop() {
            for next in &normal[id] {
                if !reached.contains(next) {
                    reached.push(next);
                    stack.push(next);
                }
            }
        }
        for id in reached.iter().skip(1) {
            let name = metadata[id].name.as_str();
            assert!(!rule.never.contains(&name), "{} reaches {name}", package.name);
        }
    }
}

#[test]
fn features_of_dependencies_are_declared_in_the_root_manifest_alone() {
    for manifest in members_manifests() {
        let text = std::fs::read_to_string(&manifest).expect("a manifest");
        let manifest_toml: toml::Table = text.parse().expect("TOML");
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = manifest_toml.get(section).and_then(|s| s.as_table()) else { continue };
            for (name, value) in dependencies {
                let table = value.as_table().unwrap_or_else(|| panic!("{}: {name}", manifest.display()));
                // A feature of a crate of our own rebuilds nothing of others.
                let ours = RULES.iter().any(|rule| rule.name == name);
                let allowed =
                    |key: &str| ["workspace", "optional"].contains(&key) || ours && key == "features";
                assert!(
                    table.get("workspace").and_then(toml::Value::as_bool) == Some(true)
                        && table.keys().all(|key| allowed(key)),
                    "{}: {name} must be `{name}.workspace = true`",
                    manifest.display()
                );
            }
        }
        assert!(
            manifest_toml["lints"]["workspace"].as_bool() == Some(true),
            "{}: lints come from the workspace",
            manifest.display()
        );
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    for file in rust_files() {
        let text = std::fs::read_to_string(&file).expect("a source file");
        let is_test = file.file_name().is_some_and(|name| name == "tests.rs")
            || file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "benches")
                && !file.starts_with(workspace_root().join("tests"));
        let build_script = file.file_name().is_some_and(|name| name == "build.rs");
        assert!(
            is_test || build_script || text.starts_with("//!"),
            "{} does not begin with //! on what it is for",
            file.display()
        );
    }
}

#[test]
fn files_stay_small_enough_to_hold() {
    for file in rust_files() {
        let lines = std::fs::read_to_string(&file).expect("a source file").lines().count();
        assert!(lines <= 900, "{} has {lines} lines", file.display());
    }
}

#[test]
fn the_crate_table_stands_in_the_architecture_document() {
    let text = std::fs::read_to_string(workspace_root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    for rule in RULES {
        assert!(text.contains(&format!("`{}`", rule.name)), "ARCHITECTURE.md does not name `{}`", rule.name);
    }
}

fn members_manifests() -> Vec<PathBuf> {
    metadata().workspace_packages().iter().map(|p| p.manifest_path.clone().into_std_path_buf()).collect()
}

fn rust_files() -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&workspace_root().join("crates"), &mut found);
    walk(&workspace_root().join("tests"), &mut found);
    walk(&workspace_root().join("chaos"), &mut found);
    assert!(found.len() > 50, "only {} source files found", found.len());
    found
}
