//! A bound of a node's memory (a control group of version 1 or 2), which can be lowered while it runs, until the kernel
//! kills it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::wait_until;
use crate::network::{PREFIX, is_alive, owner};

/// Where groups are made: version 1, then version 2 as systemd mounts it alone and beside version 1.
const HIERARCHIES: [(&str, &Files); 3] =
    [("/sys/fs/cgroup/memory", &V1), ("/sys/fs/cgroup", &V2), ("/sys/fs/cgroup/unified", &V2)];

/// The files of a group.
#[derive(Debug, PartialEq, Eq)]
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

/// A group; removed when dropped, and then nothing may run in it.
#[derive(Debug)]
pub(crate) struct MemoryGroup {
    path: PathBuf,
    files: &'static Files,
}

impl MemoryGroup {
    /// A group without a limit for a node.
    ///
    /// # Errors
    /// Control groups of memory cannot be made here.
    pub(crate) fn create(node: usize) -> io::Result<Self> {
        let name = format!("{PREFIX}{}-n{node}", std::process::id());
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        for (root, files) in HIERARCHIES {
            // Of version 2, groups have a limit of memory only where the one above gives it to them.
            drop(std::fs::write(Path::new(root).join("cgroup.subtree_control"), "+memory"));
            let this = Self { path: Path::new(root).join(&name), files };
            match std::fs::create_dir(&this.path).and_then(|()| this.usage()) {
                Ok(_) => return Ok(this),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// The file that takes the id of a process that is to be in the group.
    pub(crate) fn members(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// Bytes that are used now.
    pub(crate) fn usage(&self) -> io::Result<u64> {
        let text = std::fs::read_to_string(self.path.join(self.files.usage))?;
        text.trim().parse().map_err(io::Error::other)
    }

    /// Sets the limit, if so little is possible: version 1 refuses what it cannot make room for.
    pub(crate) fn limit(&self, bytes: u64) -> io::Result<bool> {
        match std::fs::write(self.path.join(self.files.limit), bytes.to_string()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes the limit away.
    pub(crate) fn free(&self) -> io::Result<()> {
        std::fs::write(self.path.join(self.files.limit), self.files.no_limit)
    }

    /// How many processes of the group the kernel has killed for want of memory.
    pub(crate) fn kills(&self) -> io::Result<u64> {
        let text = std::fs::read_to_string(self.path.join(self.files.events))?;
        let counts = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        Ok(counts.and_then(|count| count.trim().parse().ok()).unwrap_or(0))
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // A process that was killed belongs to it for a moment more. What stays is swept later.
        drop(wait_until(Duration::from_secs(2), || std::fs::remove_dir(&self.path)));
    }
}

/// Removes the groups of runs that did not come to their end.
pub(crate) fn sweep() {
    for (root, _) in HIERARCHIES {
        for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
            let of = owner(&entry.file_name().to_string_lossy());
            if of.is_some_and(|pid| !is_alive(pid)) {
                // Empty: their processes were killed with their namespaces.
                drop(std::fs::remove_dir(entry.path()));
            }
        }
    }
}
