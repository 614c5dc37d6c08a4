//! Removes processes, namespaces, mounts and control groups also when this program is killed: another process waits for its end, at
//! which a pipe closes, whatever it dies of. It cannot be interrupted from a terminal.

use std::error::Error;
use std::io;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::{calendar, control_group, disk, memory, network, processor};

/// The argument of the process that removes what is left.
pub(crate) const SWEEP: &str = "--sweep";
/// Waits until its input ends, then becomes this program.
const WAIT: &str = "trap '' INT TERM HUP; cat >/dev/null; exec \"$0\" --sweep";

/// The process that waits. It is let go when this is dropped.
#[derive(Debug)]
pub(crate) struct Guard {
    waits: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// Starts the process.
    pub(crate) fn set() -> io::Result<Self> {
        let mut waits = Command::new("sh")
            .args(["-c", WAIT])
            .arg(std::env::current_exe()?)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = waits.stdin.take();
        Ok(Self { waits, pipe })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.pipe = None;
        // Whether it ended well or not, nothing of it is left.
        drop(self.waits.wait());
    }
}

/// Removes what programs have left that have ended: processes and namespaces first, for others cannot go before them.
///
/// # Errors
/// Namespaces or mounts could not be listed.
pub(crate) fn sweep() -> Result<(), Box<dyn Error>> {
    network::sweep()?;
    disk::sweep()?;
    control_group::sweep(&[memory::ROOT, processor::ROOT]);
    calendar::sweep();
    Ok(())
}
