//! A node as a real process on loopback, ended with the test.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use crate::binary::tidemark_binary;
use crate::http::{Reply, Request};
use crate::wait::wait_for;

/// How to start a node.
#[derive(Debug, Clone, Default)]
pub struct NodeOptions {
    /// Data directory; a temporary one when absent.
    pub data_dir: Option<PathBuf>,
    /// Address of the peer port; any free port of loopback when absent.
    pub peer_bind_address: Option<String>,
    /// More arguments of `tidemark serve`.
    pub args: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Whether it is a gateway, which runs in an empty directory in the place of one for its data.
    pub is_gateway: bool,
    /// The program, where it is another build than the one under test.
    pub binary: Option<PathBuf>,
    /// What the node sees as `/etc/hosts`. Only root can have it so; see [`may_change_hosts`].
    pub hosts: Option<PathBuf>,
}

/// Whether a process can be given an `/etc/hosts` of its own here.
#[must_use]
pub fn may_change_hosts() -> bool {
    let tried =
        Command::new("unshare").args(["--mount", "mount", "--bind", "/etc/hosts", "/etc/hosts"]).output();
    tried.is_ok_and(|done| done.status.success())
}

/// The command that starts a program, in a mount namespace of its own where it sees other hosts.
fn program(path: &Path, hosts: Option<&Path>) -> Command {
    let Some(hosts) = hosts else { return Command::new(path) };
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""])
        .arg(hosts)
        .arg(path);
    command
}

/// A running node. Killed (SIGKILL) when dropped.
#[derive(Debug)]
pub struct Node {
    child: Child,
    url: String,
    data_dir: PathBuf,
    /// Keeps a temporary data directory alive as long as some node uses it.
    temporary: Option<Arc<tempfile::TempDir>>,
    options: NodeOptions,
    stdout: Arc<Mutex<Vec<String>>>,
    log: Arc<Mutex<Vec<String>>>,
    token: Option<String>,
}

impl Node {
    /// Starts a node and waits until it is ready for requests.
    pub fn start(options: NodeOptions) -> Self {
        let (data_dir, temporary) = data_dir(&options);
        Self::start_in(options, data_dir, temporary, None)
    }

    /// Starts a node with default options that is set up with user `admin`, organization `acme`, bucket `metrics`.
    pub fn start_set_up() -> Self {
        let mut node = Self::start(NodeOptions::default());
        node.set_up();
        node
    }

    /// Starts a process that listens at this HTTP address, and does not wait for it.
    pub fn launch(options: NodeOptions, http_address: &str) -> Self {
        let (data_dir, temporary) = data_dir(&options);
        let mut node = Self::spawn(options, http_address, data_dir, temporary);
        node.url = format!("http://{http_address}");
        node
    }

    fn start_in(
        options: NodeOptions,
        data_dir: PathBuf,
        temporary: Option<Arc<tempfile::TempDir>>,
        token: Option<String>,
    ) -> Self {
        let mut node = Self::spawn(options, "127.0.0.1:0", data_dir, temporary);
        node.token = token;
        if let Some(status) = node.wait_ready() {
            panic!("the node ended with {status}: {}", node.log());
        }
        node
    }

    /// Waits until the node is ready, or has ended.
    fn wait_ready(&mut self) -> Option<ExitStatus> {
        wait_for("the node to be ready", || {
            let ended = self.ended();
            let lines = self.stdout.lock().expect("no holder panics").clone();
            if let Some(url) = lines.iter().find_map(|line| line.strip_prefix("listening on ")) {
                self.url = url.trim().to_owned();
            } else {
                return ended.map(Some).ok_or_else(|| self.log());
            }
            match self.get("/ready").try_send() {
                Ok(reply) if reply.status == 200 => Ok(None),
                Ok(reply) => Err(reply.text()),
                Err(error) => ended.map(Some).ok_or_else(|| format!("{error}: {}", self.log())),
            }
        })
    }

    fn spawn(
        options: NodeOptions,
        http_address: &str,
        data_dir: PathBuf,
        temporary: Option<Arc<tempfile::TempDir>>,
    ) -> Self {
        let peer_address = options.peer_bind_address.as_deref().unwrap_or("127.0.0.1:0");
        let binary = options.binary.as_deref().unwrap_or_else(|| tidemark_binary());
        let mut command = program(binary, options.hosts.as_deref());
        command.args(["serve", "--http-bind-address", http_address]);
        if options.is_gateway {
            std::fs::create_dir_all(&data_dir).expect("a temporary directory");
            command.args(["--role", "gateway"]).current_dir(&data_dir);
            command.env("HOME", &data_dir).env("TMPDIR", &data_dir);
        } else {
            command.args(["--peer-bind-address", peer_address, "--data-dir"]).arg(&data_dir);
        }
        let mut child = command
            .args(&options.args)
            .envs(options.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let (stdout, log) = (Arc::default(), Arc::default());
        collect(child.stderr.take().expect("piped"), Arc::clone(&log));
        collect(child.stdout.take().expect("piped"), Arc::clone(&stdout));
        Self { child, url: String::new(), data_dir, temporary, options, stdout, log, token: None }
    }

    /// Sets the node up (user `admin`, password `correct-horse`, organization `acme`, bucket `metrics`).
    pub fn set_up(&mut self) {
        let body = serde_json::json!({
            "username": "admin", "password": "correct-horse", "org": "acme", "bucket": "metrics",
        });
        let reply = self.post("/api/v2/setup").json(&body).send().expect_status(201).json();
        self.token = Some(reply["auth"]["token"].as_str().expect("a token").to_owned());
    }

    /// Takes over the token of a set-up that another node of the cluster has done.
    pub fn adopt_token(&mut self, token: &str) {
        self.token = Some(token.to_owned());
    }

    /// The token of the set-up.
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("the node is set up")
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the node has written to its log so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("no holder panics").join("\n")
    }

    /// A GET without authorization.
    pub fn get(&self, path: &str) -> Request {
        Request::new("GET", format!("{}{path}", self.url))
    }

    /// A POST without authorization.
    pub fn post(&self, path: &str) -> Request {
        Request::new("POST", format!("{}{path}", self.url))
    }

    /// Writes line protocol (nanoseconds) to a bucket of `acme`.
    pub fn write(&self, bucket: &str, lines: impl Into<Vec<u8>>) -> Reply {
        self.post(&format!("/api/v2/write?org=acme&bucket={bucket}")).token(self.token()).body(lines).send()
    }

    /// A figure of `/metrics`, without labels.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").send().expect_status(200).text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
    }

    /// Runs a Flux script and returns its annotated CSV without annotations.
    pub fn flux(&self, script: &str) -> Reply {
        self.post("/api/v2/query?org=acme")
            .token(self.token())
            .header("Content-Type", "application/vnd.flux")
            .body(script)
            .send()
    }

    /// Runs InfluxQL with `epoch=ns`.
    pub fn influxql(&self, database: &str, query: &str) -> Reply {
        let form = [("db", database), ("q", query), ("epoch", "ns")]
            .map(|(k, v)| format!("{k}={}", encode(v)))
            .join("&");
        self.post("/query")
            .token(self.token())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
    }

    /// Kills the process at once (SIGKILL), as a power cut of the process would.
    pub fn kill(&mut self) {
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
    }

    /// How the process has ended, when it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our child")
    }

    /// Starts another process on the same data directory, after this one has ended by itself or been killed.
    #[must_use]
    pub fn start_again(self, change: impl FnOnce(&mut NodeOptions)) -> Self {
        let mut node = self.start_or_end(change);
        if let Some(status) = node.ended() {
            panic!("the node ended with {status}: {}", node.log());
        }
        node
    }

    /// The same, where the process may end before it is ready.
    #[must_use]
    pub fn start_or_end(mut self, change: impl FnOnce(&mut NodeOptions)) -> Self {
        self.kill();
        let mut options = self.options.clone();
        change(&mut options);
        let mut node = Self::spawn(options, "127.0.0.1:0", self.data_dir.clone(), self.temporary.clone());
        node.token = self.token.take();
        let _ended = node.wait_ready();
        node
    }

    /// Kills the process and starts another on the same data directory.
    #[must_use]
    pub fn kill_and_restart(mut self) -> Self {
        self.kill();
        let token = self.token.take();
        Self::start_in(self.options.clone(), self.data_dir.clone(), self.temporary.clone(), token)
    }

    /// Waits until the process has ended by itself.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        wait_for("the node to end", || self.child.try_wait().expect("our child").ok_or(()))
    }

    /// Asks the process to stop (SIGTERM) and waits for its end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().expect("our child")
    }

    /// Stops the process where it is (SIGSTOP); its connections stay.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets a paused process go on (SIGCONT).
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Stops the process in an orderly way and starts another on the same data directory.
    #[must_use]
    pub fn restart(mut self) -> Self {
        let status = self.terminate();
        assert!(status.success(), "the node ended with {status}: {}", self.log());
        let token = self.token.take();
        Self::start_in(self.options.clone(), self.data_dir.clone(), self.temporary.clone(), token)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.kill();
        }
    }
}

fn data_dir(options: &NodeOptions) -> (PathBuf, Option<Arc<tempfile::TempDir>>) {
    match &options.data_dir {
        Some(dir) => (dir.clone(), None),
        None => {
            let dir = tempfile::tempdir().expect("a temporary directory");
            (dir.path().join("data"), Some(Arc::new(dir)))
        }
    }
}

fn collect(stream: impl std::io::Read + Send + 'static, into: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            into.lock().expect("no holder panics").push(line);
        }
    });
}

/// Percent-encodes a value of a query string or form.
pub fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    out
}
