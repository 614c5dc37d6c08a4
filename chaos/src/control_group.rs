//! Control groups, of version 1 or 2: whatever the kernel can be told of the processes of a node, and tells of them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::wait_until;
use crate::network::{PREFIX, is_alive, owner};

/// How long a process that was killed may belong to its group.
const GOES: Duration = Duration::from_secs(2);
/// Where version 2 is mounted: alone by systemd, and beside version 1.
const V2_ROOTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// What a group can be made to control; `F` names the files of it, which differ from version to version.
#[derive(Debug)]
pub(crate) struct Controller<F: 'static> {
    /// Its name in version 2.
    pub(crate) name: &'static str,
    /// Where version 1 of it is mounted.
    pub(crate) root: &'static str,
    pub(crate) v1: &'static F,
    pub(crate) v2: &'static F,
}

/// A group for one controller; removed when dropped, and then nothing may run in it.
#[derive(Debug)]
pub(crate) struct ControlGroup<F: 'static> {
    path: PathBuf,
    pub(crate) files: &'static F,
}

impl<F> ControlGroup<F> {
    /// A group for a node, which is there when `probe`, one of its files, can be read.
    ///
    /// # Errors
    /// The controller is not there, or groups cannot be made.
    pub(crate) fn create(
        controller: &Controller<F>,
        node: usize,
        probe: fn(&F) -> &'static str,
    ) -> io::Result<Self> {
        let name = format!("{PREFIX}{}-n{node}-{}", std::process::id(), controller.name);
        let v2 = V2_ROOTS.map(|root| (root, controller.v2));
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        for (root, files) in std::iter::once((controller.root, controller.v1)).chain(v2) {
            let root = Path::new(root);
            // Of version 2, groups have what the one above gives to them.
            drop(std::fs::write(root.join("cgroup.subtree_control"), format!("+{}", controller.name)));
            let this = Self { path: root.join(&name), files };
            match std::fs::create_dir(&this.path).and_then(|()| this.read(probe(files))) {
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

    /// What a file of the group says.
    pub(crate) fn read(&self, file: &str) -> io::Result<String> {
        std::fs::read_to_string(self.path.join(file))
    }

    /// Tells the group something.
    pub(crate) fn write(&self, file: &str, text: &str) -> io::Result<()> {
        std::fs::write(self.path.join(file), text)
    }

    /// The number after a name in a file of such lines; 0 where it is not named.
    pub(crate) fn count(&self, file: &str, name: &str) -> io::Result<u64> {
        let text = self.read(file)?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.and_then(|value| value.trim().parse().ok()).unwrap_or(0))
    }
}

impl<F> Drop for ControlGroup<F> {
    fn drop(&mut self) {
        // A process that was killed belongs to it for a moment more. What stays is swept later.
        drop(wait_until(GOES, || std::fs::remove_dir(&self.path)));
    }
}

/// Removes the groups below these mounts, and version 2's, of runs that did not come to their end.
pub(crate) fn sweep(roots: &[&str]) {
    for root in roots.iter().chain(&V2_ROOTS) {
        for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
            let of = owner(&entry.file_name().to_string_lossy());
            if of.is_some_and(|pid| !is_alive(pid)) {
                // Empty: their processes were killed with their namespaces.
                drop(std::fs::remove_dir(entry.path()));
            }
        }
    }
}
