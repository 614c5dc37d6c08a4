//! The manifests and the image's files, without a cluster: each check of `tests/manifests` is one test.
//!
//! A check fails on what is wrong, and then also when copies that it breaks by hand pass it. `make test` prepares the tools
//! and names their folder in `TIDEMARK_MANIFEST_TOOLS`; without it these tests say so and check nothing.

use std::path::PathBuf;
use std::process::Command;

use testkit::binary::{tidemark_binary, workspace_root};

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn check(name: &str) {
    let Some(tools) = std::env::var_os("TIDEMARK_MANIFEST_TOOLS").map(PathBuf::from) else {
        println!("skipped: TIDEMARK_MANIFEST_TOOLS names no folder (`make test` does)");
        return;
    };
    let output = Command::new(tools.join("bin/python"))
        .arg(workspace_root().join("tests/manifests/check.py"))
        .arg(name)
        .env("TIDEMARK_BINARY", tidemark_binary())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("the Python of `make manifest-tools` runs");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}

/// One test for each check, so that each counts; and one that none is forgotten.
macro_rules! checks {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

        #[test]
        fn every_check_is_a_test() {
            let text = std::fs::read_to_string(workspace_root().join("tests/manifests/check.py")).expect("check.py");
            let there: Vec<&str> = text
                .split("\n@check\ndef ")
                .skip(1)
                .map(|rest| rest.split('(').next().expect("a name"))
                .collect();
            assert_eq!(there, [$(stringify!($name)),*]);
        }
    };
}

checks! {
    kustomize
    schemas
    custom_resources
    checkov
    hadolint
    dockerfiles_agree
    yamllint
    shellcheck
    no_common_labels
    selectors_match
    pods_are_scraped_once
    who_watches_is_watched
    who_is_called_is_reached
    objects_can_be_applied
    environments_are_apart
    budgets_let_one_go
    voters_are_odd_and_there
    policies_refuse_what_they_should
    ports_agree
    the_process_knows_its_settings
    the_binary_has_the_commands
    probes_are_routes_of_a_running_node
    there_is_time_to_stop
    there_is_time_to_start
    pods_have_no_rights
    nodes_are_spread
    zones_are_known
    volumes_hold_what_is_read
    settings_are_hashed
    images_are_pinned
    namespaces_are_one
    production_is_encrypted
    scripts_do_no_harm
    chaos_mesh_objects
    kind_overlay
    kind_driver
    doctor_finds_nothing
}
