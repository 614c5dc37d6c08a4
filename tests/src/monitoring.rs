//! Alerts, dashboards, runbooks and the catalogue of metrics: they belong together, each alert fires when it should and
//! is silent when it should not, and what they ask for is what a node exports.
//!
//! The checks are Python (`tests/monitoring`) and Prometheus's and Alertmanager's own tools; `make test` installs them.
//! Without the Python that it names in `TIDEMARK_PYTHON` these tests say so and check nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::Node;
use testkit::binary::{tidemark_binary, workspace_root};

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn python(script: &str) -> Option<Command> {
    let Some(python) = std::env::var_os("TIDEMARK_PYTHON").filter(|p| PathBuf::from(p).exists()) else {
        println!("skipped: TIDEMARK_PYTHON names no Python (`make test` does)");
        return None;
    };
    let mut command = Command::new(python);
    command.arg(workspace_root().join("tests/monitoring").join(script));
    Some(command)
}

fn succeeds(mut command: Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}

#[test]
fn rules_dashboards_runbooks_and_catalogue_belong_together() {
    let Some(command) = python("check.py") else { return };
    succeeds(command);
}

#[test]
fn runbooks_name_commands_that_there_are() {
    let Some(mut command) = python("check.py") else { return };
    command.arg("--tidemark").arg(tidemark_binary());
    succeeds(command);
}

/// First that each alert's own tests pass, then that one of them fails when any of its numbers is changed.
#[test]
fn every_alert_fires_when_it_should_and_a_test_notices_each_change_of_it() {
    let Some(command) = python("mutate.py") else { return };
    succeeds(command);
}

#[test]
fn recorded_metrics_are_computed_right() {
    if python("check.py").is_none() {
        return;
    }
    let mut command = Command::new("promtool");
    command.args(["test", "rules"]).arg(workspace_root().join("tests/monitoring/recording-1m.test.yaml"));
    succeeds(command);
}

#[test]
fn the_sample_of_alertmanager_is_valid() {
    if python("check.py").is_none() {
        return;
    }
    let sample = Path::new("k8s/base/monitoring/alertmanager/alertmanager.yaml");
    let mut command = Command::new("amtool");
    command.arg("check-config").arg(workspace_root().join(sample));
    succeeds(command);
}

#[test]
fn a_node_exports_what_the_catalogue_says_and_nothing_else() {
    let Some(mut command) = python("check.py") else { return };
    let node = Node::start_set_up();
    node.write("metrics", "weather,city=Oslo temp=21.5").expect_status(204);
    node.flux(r#"from(bucket: "metrics") |> range(start: -1h)"#).expect_status(200);
    node.influxql("metrics", "SELECT temp FROM weather").expect_status(200);
    command.arg("--metrics-url").arg(format!("{}/metrics", node.url()));
    succeeds(command);
}
