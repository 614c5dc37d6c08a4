//! A container: the server as process 1 of a PID namespace of its own, in the pod's network namespace, with a root directory
//! that holds the image's program, the system's libraries and the pod's volumes, and nothing else.
//!
//! A shell sets all of it up as process 1 and becomes the program, as its user and without capabilities. What is mounted is
//! seen by nobody else and goes with the process.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::image::PROGRAM;
use super::volume::{Ready, VolumeError};
use crate::clock::wait_until;
use crate::memory::MemoryGroup;

/// How long the shell may take to be there.
const STARTS: Duration = Duration::from_secs(10);
/// Of the system, what a dynamic program needs.
const SYSTEM: [&str; 2] = ["/usr/lib", "/usr/lib64"];
/// The links to them, as they are on the system.
const LINKS: [&str; 2] = ["/lib", "/lib64"];
/// Devices that every container has.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// A container could not be started, or not be told something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContainerError {
    /// A file, process or signal.
    #[error("{doing} the container {container}")]
    Process { doing: &'static str, container: String, source: io::Error },
    /// A volume that it mounts.
    #[error(transparent)]
    Volume(#[from] VolumeError),
}

/// What is to run, where, as whom, with what.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) name: &'a str,
    pub(crate) host_name: &'a str,
    /// The network namespace of its pod.
    pub(crate) namespace: &'a str,
    pub(crate) words: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) program: &'a Path,
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) more_groups: Option<u32>,
    pub(crate) is_read_only: bool,
    /// Where each volume is seen, and whether it is only read.
    pub(crate) mounts: Vec<(Ready, String, String, bool)>,
    /// Files of `/etc`.
    pub(crate) etc: &'a Path,
    /// Directory of this container.
    pub(crate) home: &'a Path,
    pub(crate) log: &'a Path,
    /// What bounds its memory.
    pub(crate) memory: Option<&'a MemoryGroup>,
}

/// A container that runs, or that has ended and of which nobody has taken note.
#[derive(Debug)]
pub(crate) struct Container {
    name: String,
    /// What waits for process 1.
    child: Child,
    /// Process 1, by its number outside.
    first: Pid,
    identity: Identity,
    environment: BTreeMap<String, String>,
    log: PathBuf,
}

#[derive(Debug, Clone, Copy)]
struct Identity {
    user: u32,
    group: u32,
}

/// How to run a command in a container, also from another thread.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    first: Pid,
    identity: Identity,
    environment: BTreeMap<String, String>,
    log: PathBuf,
}

impl Container {
    /// Starts it.
    pub(crate) fn start(order: &Order<'_>) -> Result<Self, ContainerError> {
        let error =
            |doing| move |source| ContainerError::Process { doing, container: order.name.to_owned(), source };
        let root = order.home.join("root");
        std::fs::create_dir_all(&root).map_err(error("making the directory of"))?;
        let script = order.home.join("start.sh");
        std::fs::write(&script, order.script(&root)).map_err(error("writing the beginning of"))?;
        let log = append_to(order.log).map_err(error("opening the log of"))?;
        let errors = log.try_clone().map_err(error("opening the log of"))?;
        let members = order.memory.map_or_else(|| PathBuf::from("/dev/null"), MemoryGroup::members);
        let mut child = Command::new("sh")
            .args(["-c", "echo $$ >\"$0\" && exec nsenter \"$@\""])
            .arg(members)
            .arg(format!("--net=/run/netns/{}", order.namespace))
            .args(["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "sh"])
            .arg(&script)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(error("starting"))?;
        let waits = child.id();
        let first = wait_until(STARTS, || match child.try_wait() {
            Ok(None) => first_child(waits).map(Ok).ok_or(()),
            Ok(Some(status)) => Ok(Err(io::Error::other(format!("it has ended: {status}")))),
            Err(failed) => Ok(Err(failed)),
        });
        let first = first.unwrap_or_else(|()| Err(io::ErrorKind::TimedOut.into()));
        let first = match first {
            Ok(first) => first,
            Err(source) => {
                // Nothing of it stays, also when it comes late.
                drop(child.kill());
                drop(child.wait());
                return Err(error("starting")(source));
            }
        };
        Ok(Self {
            name: order.name.to_owned(),
            child,
            first,
            identity: Identity { user: order.user, group: order.group },
            environment: order.environment.clone(),
            log: order.log.to_owned(),
        })
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends process 1 a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), ContainerError> {
        kill_process(self.first, signal).map_err(|errno| ContainerError::Process {
            doing: "signalling",
            container: self.name.clone(),
            source: errno.into(),
        })
    }

    /// How to run a command in it.
    pub(crate) fn entry(&self) -> Entry {
        Entry {
            first: self.first,
            identity: self.identity,
            environment: self.environment.clone(),
            log: self.log.clone(),
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // With process 1 all others of its namespace end.
        kill_process(self.first, Signal::KILL).ok();
        drop(self.child.wait());
    }
}

impl Entry {
    /// Runs a command in the container; answers whether it succeeded in time, and how it ended.
    pub(crate) fn run(&self, words: &[String], limit: Duration) -> (bool, String) {
        let output = append_to(&self.log).and_then(|log| Ok((log.try_clone()?, log)));
        let Ok((log, errors)) = output else { return (false, "its log cannot be written".to_owned()) };
        let child = Command::new("nsenter")
            .args(["--target", &self.first.as_raw_nonzero().to_string()])
            .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"])
            .args(["--setuid", &self.identity.user.to_string(), "--setgid", &self.identity.group.to_string()])
            .args(words)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) => return (false, error.to_string()),
        };
        let ended = wait_until(limit, || child.try_wait().ok().flatten().ok_or(()));
        match ended {
            Ok(status) => (status.success(), status.to_string()),
            Err(()) => {
                kill_children(child.id());
                drop(child.kill());
                drop(child.wait());
                (false, format!("nothing after {limit:?}"))
            }
        }
    }
}

impl Order<'_> {
    /// What process 1 does until it is the program.
    fn script(&self, root: &Path) -> String {
        let mut script = "set -e\nmount --make-rprivate /\n".to_owned();
        let root_text = quote(&root.display().to_string());
        let mut line = |text: String| writeln!(script, "{text}").expect("to memory");
        line(format!("R={root_text}"));
        line("mount -t tmpfs -o mode=755 tmpfs \"$R\"".to_owned());
        line("mkdir -p \"$R/usr/local/bin\" \"$R/proc\" \"$R/sys\" \"$R/dev/shm\" \"$R/etc/ssl\" \"$R/tmp\" \"$R/var/lib\" \"$R/run\"".to_owned());
        line("chmod 1777 \"$R/tmp\"".to_owned());
        for system in SYSTEM {
            line(format!(
                "if [ -d {system} ]; then mkdir -p \"$R{system}\"; mount --bind {system} \"$R{system}\"; mount -o remount,bind,ro \"$R{system}\"; fi"
            ));
        }
        for link in LINKS {
            // A directory where it is no link.
            line(format!(
                "if [ -L {link} ]; then cp -P {link} \"$R{link}\"; elif [ -d {link} ]; then mkdir \"$R{link}\"; mount --bind {link} \"$R{link}\"; fi"
            ));
        }
        line("if [ -d /etc/ssl ]; then mount --bind /etc/ssl \"$R/etc/ssl\"; fi".to_owned());
        let program = quote(&self.program.display().to_string());
        line(format!("touch \"$R{PROGRAM}\"; mount --bind {program} \"$R{PROGRAM}\""));
        line("mount -t proc proc \"$R/proc\"; mount --rbind /sys \"$R/sys\"; mount -t tmpfs tmpfs \"$R/dev/shm\"".to_owned());
        for device in DEVICES {
            line(format!("touch \"$R/dev/{device}\"; mount --bind /dev/{device} \"$R/dev/{device}\""));
        }
        line(format!("cp {}/* \"$R/etc/\"", quote(&self.etc.display().to_string())));
        for (volume, at, sub, is_read_only) in &self.mounts {
            let from = if sub.is_empty() { volume.path.clone() } else { volume.path.join(sub) };
            let (from, at) = (quote(&from.display().to_string()), quote(at));
            line(format!(
                "if [ -d {from} ]; then mkdir -p \"$R\"{at}; else mkdir -p \"$(dirname \"$R\"{at})\"; touch \"$R\"{at}; fi; mount --bind {from} \"$R\"{at}"
            ));
            if *is_read_only || volume.is_read_only {
                line(format!("mount -o remount,bind,ro \"$R\"{at}"));
            }
        }
        if self.is_read_only {
            line("mount -o remount,ro \"$R\"".to_owned());
        }
        line(format!("hostname {}", quote(self.host_name)));
        line("cd /".to_owned());
        let variables: Vec<String> =
            self.environment.iter().map(|(name, value)| quote(&format!("{name}={value}"))).collect();
        let words: Vec<String> = self.words.iter().map(|word| quote(word)).collect();
        // Another user has no capabilities, and can get none.
        let groups = self.more_groups.map_or_else(String::new, |group| format!("--groups={group} "));
        line(format!(
            "exec env -i {} /usr/bin/setpriv --no-new-privs --inh-caps=-all /usr/sbin/chroot --userspec={}:{} {groups}\"$R\" {}",
            variables.join(" "),
            self.user,
            self.group,
            words.join(" ")
        ));
        script
    }
}

/// A word of a shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The first process that another has started.
fn first_child(of: u32) -> Option<Pid> {
    let children = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).ok()?;
    let first = children.split_whitespace().next()?.parse().ok()?;
    Pid::from_raw(first)
}

/// Ends what another has started.
fn kill_children(of: u32) {
    if let Some(child) = first_child(of) {
        // It may have ended meanwhile.
        kill_process(child, Signal::KILL).ok();
    }
}

#[expect(clippy::disallowed_methods, reason = "a log of what a container says; no data of a node")]
fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
