//! InfluxQL beside the real InfluxDB: points and statements of a seeded generator, given to both and answered alike.
//!
//! `make test` installs Debian's `influxdb` and names a Python in `TIDEMARK_PYTHON`; without either this test says so and
//! checks nothing. The seed is the commit's, so that a commit is always asked the same and each is asked something new;
//! `TIDEMARK_SEED` is another.
//! Every difference is printed, and fails the test unless the list of accepted ones has its reason.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use testkit::binary::workspace_root;
use testkit::{Node, NodeOptions};

/// A running InfluxDB 1.x without authorization. Killed when dropped.
struct Influxdb {
    child: Child,
    url: String,
    /// Its files.
    _dir: tempfile::TempDir,
}

impl Influxdb {
    /// Starts it; `None` where it is not installed.
    fn start() -> Option<Self> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| dir.path().join(name).display().to_string();
        let config = format!(
            "reporting-disabled = true\nbind-address = \"127.0.0.1:0\"\n[meta]\ndir = \"{}\"\n[data]\ndir = \"{}\"\n\
             wal-dir = \"{}\"\n[monitor]\nstore-enabled = false\n[http]\nbind-address = \"127.0.0.1:0\"\nlog-enabled = false\n",
            path("meta"),
            path("data"),
            path("wal")
        );
        std::fs::write(dir.path().join("influxdb.conf"), config).expect("a temporary file");
        let mut command = Command::new("influxd");
        command.arg("-config").arg(dir.path().join("influxdb.conf"));
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = match started {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            started => started.expect("influxd starts"),
        };
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let listening = lines.find(|line| line.contains("\"Listening on HTTP\""));
        let listening = listening.expect("influxd listens before it ends");
        let address = listening.split_whitespace().find_map(|word| word.strip_prefix("addr="));
        let url = format!("http://{}", address.expect("influxd says where"));
        // It must not wait for somebody to read what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, url, _dir: dir })
    }
}

impl Drop for Influxdb {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// What this run's statements are made of.
fn seed() -> String {
    std::env::var("TIDEMARK_SEED").unwrap_or_else(|_unset| {
        let commit = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(workspace_root()).output();
        let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        commit.ok().filter(|commit| !commit.is_empty()).unwrap_or_else(|| "no commit".to_owned())
    })
}

#[test]
fn influxql_is_answered_as_influxdb_answers_it() {
    let Some(python) = std::env::var_os("TIDEMARK_PYTHON").filter(|p| PathBuf::from(p).exists()) else {
        println!("skipped: TIDEMARK_PYTHON names no Python (`make test` does)");
        return;
    };
    let Some(influxdb) = Influxdb::start() else {
        println!("skipped: there is no influxd (`make test` installs Debian's `influxdb`)");
        return;
    };
    let node = Node::start(NodeOptions {
        args: vec!["--http-auth-enabled=false".to_owned()],
        ..NodeOptions::default()
    });
    let mut command = Command::new(python);
    command.arg(workspace_root().join("tests/python/differential.py")).args([&influxdb.url, node.url()]);
    command.args(["--seed", &seed(), "--count", "1000", "--seconds", "90"]);
    let output = command.output().expect("Python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "TIDEMARK_SEED={} gives\n{text}{errors}", seed());
}
