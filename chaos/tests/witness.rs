//! The oracle beside a node that somebody else runs: a good node passes, and one that loses points is found out.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use testkit::{Node, wait_for};

/// An oracle that runs, ended with the test.
struct Oracle {
    process: Child,
    home: tempfile::TempDir,
}

impl Oracle {
    fn start(node: &Node) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let token = home.path().join("token");
        std::fs::write(&token, format!("{}\n", node.token())).expect("a file");
        let process = chaos()
            .args(["oracle", "run", "--limit", "5m", "--org", "acme", "--promises", r#"{"heal-ms":30000}"#])
            .args(["--urls", node.url(), "--socket"])
            .arg(socket(&home))
            .arg("--token-file")
            .arg(token)
            .stdout(Stdio::null())
            .spawn()
            .expect("chaos starts");
        Self { process, home }
    }

    fn call(&self, verb: &str, words: &[&str]) -> Output {
        let mut command = chaos();
        command.args(["oracle", verb, "--socket"]).arg(socket(&self.home)).args(words);
        command.output().expect("chaos starts")
    }

    /// Waits for writes and reads.
    fn wait_ready(&self) {
        wait_for("the oracle to be ready", || {
            let output = self.call("ready", &[]);
            if output.status.success() { Ok(()) } else { Err(said(&output)) }
        });
    }

    fn done(&self, verb: &str, words: &[&str]) {
        let output = self.call(verb, words);
        assert!(output.status.success(), "{verb}: {}", said(&output));
    }

    fn finish(&self) -> serde_json::Value {
        let output = self.call("finish", &[]);
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).expect("findings")
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn chaos() -> Command {
    Command::new(env!("CARGO_BIN_EXE_chaos"))
}

fn socket(home: &tempfile::TempDir) -> PathBuf {
    home.path().join("oracle.sock")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn node() -> Node {
    let node = Node::start_set_up();
    let made = node.influxql("", "CREATE DATABASE chaos");
    assert_eq!(made.status, 200, "{}", made.text());
    node
}

#[test]
fn a_good_node_passes_and_calls_out_of_order_are_refused() {
    let node = node();
    let oracle = Oracle::start(&node);
    oracle.wait_ready();
    let refused = |verb: &str, words: &[&str], why: &str| {
        let output = oracle.call(verb, words);
        assert_eq!(output.status.code(), Some(1), "{verb}");
        assert!(said(&output).contains(why), "{verb}: {}", said(&output));
    };
    refused("end", &[], "nothing has begun");
    refused("begin", &["--label", "a fault", "--nodes", "0,1"], "there is no node 1");
    oracle.done("begin", &["--label", "a fault", "--nodes", "0"]);
    refused("begin", &["--label", "another", "--nodes", ""], "a fault has begun and not ended");
    oracle.done("end", &[]);
    // As many operations and points as a run must have that shows anything.
    wait_for("clients to have done something", || {
        // Values that registers get are numbered.
        let newest = node.influxql("chaos", "SELECT max(n) FROM register").json();
        match newest["results"][0]["series"][0]["values"][0][1].as_u64() {
            Some(operations) if operations > 150 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let findings = oracle.finish();
    assert_eq!(findings["verdict"], "pass", "{findings}");
    assert_eq!(oracle.finish(), findings);
    refused("begin", &["--label", "late"], "it is over");
}

#[test]
fn a_node_that_loses_points_is_found_out() {
    let node = node();
    let oracle = Oracle::start(&node);
    oracle.wait_ready();
    oracle.done("begin", &["--label", "a loss"]);
    let lost = node.influxql("chaos", "DELETE FROM chaos WHERE writer = '0'");
    assert_eq!(lost.status, 200, "{}", lost.text());
    let findings = oracle.finish();
    assert_eq!(findings["verdict"], "fail", "{findings}");
    let told = findings["violations"].to_string();
    assert!(told.contains("points are not there"), "{told}");
    assert!(findings["doubts"].to_string().contains("a loss was not seen to its end"), "{findings}");
}
