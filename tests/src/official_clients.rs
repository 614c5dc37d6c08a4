//! The official Python clients, as their users run them.
//!
//! `make test` prepares a Python with the clients and names it in `TIDEMARK_PYTHON`; without it these tests say so and
//! check nothing.

use std::path::PathBuf;
use std::process::Command;

use testkit::Node;
use testkit::binary::workspace_root;

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn python(script: &str) -> Option<Command> {
    let Some(python) = std::env::var_os("TIDEMARK_PYTHON").filter(|p| PathBuf::from(p).exists()) else {
        println!("skipped: TIDEMARK_PYTHON names no Python with the official clients (`make test` does)");
        return None;
    };
    let mut command = Command::new(python);
    command.arg(workspace_root().join("tests/python").join(script));
    Some(command)
}

fn succeeds(mut command: Command) {
    let output = command.output().expect("Python runs");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}

#[test]
fn the_official_python_clients_work() {
    let Some(mut command) = python("official_clients.py") else { return };
    let node = Node::start_set_up();
    command.args([node.url(), node.token()]);
    succeeds(command);
}

#[test]
fn sql_answers_adbc_and_as_duckdb_does() {
    let Some(mut command) = python("sql.py") else { return };
    let node = Node::start_set_up();
    command.args([node.url(), node.token()]);
    succeeds(command);
}

#[test]
fn real_data_comes_back_as_it_was_written() {
    let Some(mut command) = python("demo_data.py") else { return };
    let node = Node::start_set_up();
    command.args(["--url", node.url(), "--token", node.token(), "--org", "acme", "--seconds", "3"]);
    succeeds(command);
}
