//! A node as a process in its network namespace.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use testkit::binary::tidemark_binary;

use crate::calendar;
use crate::clock::wait_until;
use crate::discovery::{Resolver, Whereabouts};
use crate::memory::MemoryGroup;
use crate::network;
use crate::processor::ProcessorGroup;
use crate::shell::{self, ShellError};

/// How long a node may take to end once it was told to.
const END: Duration = Duration::from_secs(60);

/// A process could not be handled as it must be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeError {
    /// Its file, process or signal refused.
    #[error("{doing} node {node}")]
    Process { doing: &'static str, node: usize, source: std::io::Error },
    /// It is not running.
    #[error("node {0} is down")]
    Down(usize),
    /// It did not end.
    #[error("node {0} has not ended {END:?} after SIGTERM")]
    Hangs(usize),
}

/// What a process is doing, from `/proc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Activity {
    /// State letter: `T` is stopped.
    pub(crate) state: char,
    /// Ticks of CPU that it has used.
    pub(crate) ticks: u64,
}

/// One node; its process may be down.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its place among the nodes.
    pub(crate) place: usize,
    /// `http://address:port`
    pub(crate) url: String,
    namespace: String,
    directory: PathBuf,
    /// Where other nodes find it.
    pub(crate) whereabouts: Whereabouts,
    /// How often it has come to another address.
    pub(crate) moves: usize,
    /// How it resolves names, where that is not as the machine does.
    pub(crate) resolver: Option<Resolver>,
    arguments: Vec<String>,
    /// More of its environment.
    pub(crate) environment: Vec<(String, String)>,
    child: Option<Child>,
    /// What bounds its memory. After the process, which must be gone first.
    pub(crate) memory: Option<MemoryGroup>,
    /// What bounds its time on processors; never beside the other, for in version 2 a process is in one group.
    pub(crate) processor: Option<ProcessorGroup>,
}

impl Node {
    /// A node that is down, with everything it keeps in `directory`.
    pub(crate) fn new(
        place: usize,
        namespace: String,
        directory: PathBuf,
        whereabouts: Whereabouts,
        arguments: Vec<String>,
    ) -> Self {
        Self {
            place,
            url: format!("http://{}:8086", network::address(place)),
            namespace,
            directory,
            whereabouts,
            moves: 0,
            resolver: None,
            arguments,
            environment: Vec::new(),
            child: None,
            memory: None,
            processor: None,
        }
    }

    fn error(&self, doing: &'static str) -> impl FnOnce(std::io::Error) -> NodeError {
        let node = self.place;
        move |source| NodeError::Process { doing, node, source }
    }

    /// Starts the process; what it says is appended to its log.
    pub(crate) fn start(&mut self) -> Result<(), NodeError> {
        let log = append_to(&self.log()).map_err(self.error("opening the log of"))?;
        let errors = log.try_clone().map_err(self.error("opening the log of"))?;
        // The shell becomes `nsenter`, and that the program, so that the child is the node itself. (`ip netns exec` would give
        // each node its own view of what is mounted, and a disk could not be unmounted while others run.)
        let group = self.memory.as_ref().map(MemoryGroup::members);
        let group = group.or_else(|| self.processor.as_ref().map(ProcessorGroup::members));
        let members = group.unwrap_or_else(|| PathBuf::from("/dev/null"));
        let child = Command::new("sh")
            .args(["-c", "echo $$ >\"$0\" && exec nsenter \"$@\""])
            .arg(members)
            .arg(format!("--net=/run/netns/{}", self.namespace))
            .args(self.resolver.iter().flat_map(own_names))
            .arg(tidemark_binary())
            .args(["serve", "--data-dir"])
            .arg(self.data())
            .args(&self.whereabouts.arguments)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(self.error("starting"))?;
        self.child = Some(child);
        Ok(())
    }

    /// Where its data is.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Where its clock is set, if it has one of its own.
    pub(crate) fn clock(&self) -> PathBuf {
        self.directory.with_extension("clock")
    }

    /// What it has said.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.with_extension("log")
    }

    /// All that it has said.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log()).unwrap_or_default()).into_owned()
    }

    /// The last error that it has logged.
    pub(crate) fn last_error(&self) -> String {
        let said = self.said();
        let line = said.lines().rfind(|line| line.contains("ERROR") || line.contains("error"));
        line.unwrap_or("no word of it").chars().take(200).collect()
    }

    /// Whether it was ever started.
    pub(crate) fn was_started(&self) -> bool {
        self.log().exists()
    }

    /// Gives it an order by the program's own commands.
    pub(crate) fn command(&self, words: &str, token: &str) -> Result<(), ShellError> {
        let (program, url) = (tidemark_binary().display(), &self.url);
        shell::run(&format!("{program} {words} --host {url} --token {token}")).map(drop)
    }

    /// Whether it was started and has not been told to end.
    pub(crate) fn is_up(&self) -> bool {
        self.child.is_some()
    }

    /// Takes note of its end.
    fn bury(&mut self) {
        if let Some(child) = self.child.take() {
            calendar::forget(child.id());
        }
    }

    fn child(&mut self) -> Result<&mut Child, NodeError> {
        self.child.as_mut().ok_or(NodeError::Down(self.place))
    }

    /// How it ended, although nobody told it to.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// Sends a signal.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<(), NodeError> {
        let pid = i32::try_from(self.child()?.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(NodeError::Down(self.place))?;
        kill_process(pid, signal).map_err(|errno| self.error("signalling")(errno.into()))
    }

    /// Kills the process; answers whether it was SIGKILL that ended it.
    pub(crate) fn kill(&mut self) -> Result<bool, NodeError> {
        let child = self.child()?;
        let killed = child.kill().and_then(|()| child.wait());
        self.bury();
        Ok(killed.map_err(self.error("killing"))?.signal() == Some(Signal::KILL.as_raw()))
    }

    /// Tells the process to end in order; answers how it ended.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus, NodeError> {
        self.signal(Signal::TERM)?;
        if let Some(status) = self.wait_for_end(END)? {
            return Ok(status);
        }
        self.kill()?;
        Err(NodeError::Hangs(self.place))
    }

    /// Waits until the process ends by itself; answers how it ended, if it did.
    pub(crate) fn wait_for_end(&mut self, limit: Duration) -> Result<Option<ExitStatus>, NodeError> {
        let child = self.child()?;
        let ended = wait_until(limit, || child.try_wait().ok().flatten().ok_or(())).ok();
        if ended.is_some() {
            self.bury();
        }
        Ok(ended)
    }

    /// What the process is doing.
    pub(crate) fn activity(&mut self) -> Result<Activity, NodeError> {
        let path = format!("/proc/{}/stat", self.child()?.id());
        let text = std::fs::read_to_string(path).map_err(self.error("looking at"))?;
        Ok(Activity::read(&text))
    }

    /// The state letters of its threads.
    pub(crate) fn threads(&mut self) -> Result<Vec<char>, NodeError> {
        let tasks = format!("/proc/{}/task", self.child()?.id());
        let tasks = std::fs::read_dir(tasks).map_err(self.error("looking at"))?;
        // One that has ended meanwhile has no state.
        let stats = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
        Ok(stats.map(|text| Activity::read(&text).state).collect())
    }
}

impl Activity {
    /// From a `stat` of `/proc`.
    fn read(text: &str) -> Self {
        // The name in parentheses may hold anything; the state is the third field, utime and stime are 14 and 15.
        let fields: Vec<&str> =
            text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let state = fields.first().and_then(|text| text.chars().next()).unwrap_or('?');
        Self { state, ticks: number(11) + number(12) }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.is_up() {
            // A process that cannot be killed has ended.
            drop(self.kill());
        }
    }
}

/// What a program is started by so that it resolves names by these files. Of what is mounted it sees the same as others, also
/// what is unmounted later.
fn own_names(resolver: &Resolver) -> Vec<OsString> {
    let mount = "mount --bind \"$0\" /etc/resolv.conf && mount --bind \"$1\" /etc/nsswitch.conf && shift && exec \"$@\"";
    let words = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", mount];
    let files = [&resolver.resolv, &resolver.nsswitch];
    words.iter().map(OsString::from).chain(files.into_iter().map(OsString::from)).collect()
}

#[expect(clippy::disallowed_methods, reason = "a log of what a node says; no data of a node")]
fn append_to(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
