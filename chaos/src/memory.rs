//! A bound of a node's memory, which can be lowered while it runs, until the kernel kills it.

use std::io;
use std::path::PathBuf;

use crate::control_group::{ControlGroup, Controller};

/// Memory, where it can be bounded.
const MEMORY: Controller<Files> =
    Controller { name: "memory", root: "/sys/fs/cgroup/memory", v1: &V1, v2: &V2 };

/// Where version 1 has its groups.
pub(crate) const ROOT: &str = MEMORY.root;

/// The files of a group.
#[derive(Debug)]
struct Files {
    usage: &'static str,
    limit: &'static str,
    no_limit: &'static str,
    /// Has a line `oom_kill N`.
    events: &'static str,
}

const V1: Files = Files {
    usage: "memory.usage_in_bytes",
    limit: "memory.limit_in_bytes",
    no_limit: "-1",
    events: "memory.oom_control",
};
const V2: Files =
    Files { usage: "memory.current", limit: "memory.max", no_limit: "max", events: "memory.events" };

/// A group with a limit of memory.
#[derive(Debug)]
pub(crate) struct MemoryGroup(ControlGroup<Files>);

impl MemoryGroup {
    /// A group without a limit for a node.
    ///
    /// # Errors
    /// Control groups of memory cannot be made here.
    pub(crate) fn create(node: usize) -> io::Result<Self> {
        ControlGroup::create(&MEMORY, node, |files| files.usage).map(Self)
    }

    /// The file that takes the id of a process that is to be in the group.
    pub(crate) fn members(&self) -> PathBuf {
        self.0.members()
    }

    /// Bytes that are used now.
    pub(crate) fn usage(&self) -> io::Result<u64> {
        self.0.read(self.0.files.usage)?.trim().parse().map_err(io::Error::other)
    }

    /// Sets the limit, if so little is possible: version 1 refuses what it cannot make room for.
    pub(crate) fn limit(&self, bytes: u64) -> io::Result<bool> {
        match self.0.write(self.0.files.limit, &bytes.to_string()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes the limit away.
    pub(crate) fn free(&self) -> io::Result<()> {
        self.0.write(self.0.files.limit, self.0.files.no_limit)
    }

    /// How many processes of the group the kernel has killed for want of memory.
    pub(crate) fn kills(&self) -> io::Result<u64> {
        self.0.count(self.0.files.events, "oom_kill")
    }
}
