//! A small disk of a node's own (tmpfs), which can be filled and given room again.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::network::is_alive;
use crate::shell::{self, ShellError};

const MOUNT: &str = "tmchaos-";
const FILLER: &str = "filler";
/// Room for a few segments of the log, a catalog and files.
const MIB: usize = 512;

/// A disk that is mounted; unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Mounts an empty disk.
    pub(crate) fn mount(at: &Path) -> Result<Self, ShellError> {
        let source = format!("{MOUNT}{}", std::process::id());
        shell::run(&format!("mount -t tmpfs -o size={MIB}m {source} {}", at.display()))?;
        Ok(Self { at: at.to_owned() })
    }

    /// Takes all room that is left. Answers how many bytes those were.
    #[expect(clippy::disallowed_methods, reason = "fills a disk on purpose; no data of a node")]
    pub(crate) fn fill(&self) -> std::io::Result<u64> {
        let mut filler = std::fs::OpenOptions::new().create(true).append(true).open(self.at.join(FILLER))?;
        let before = filler.metadata()?.len();
        // Large pieces first, then small ones into what is left.
        for size in [1 << 20, 4096, 1] {
            let piece = vec![0xA5_u8; size];
            loop {
                match filler.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(filler.metadata()?.len() - before)
    }

    /// Bytes that can still be written.
    pub(crate) fn room(&self) -> std::io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.at)?;
        Ok(stat.f_bavail * stat.f_frsize)
    }

    /// Gives back what [`Disk::fill`] took.
    pub(crate) fn free(&self) -> std::io::Result<()> {
        std::fs::remove_file(self.at.join(FILLER))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a node that is being killed may still have a file open.
        drop(shell::run(&format!("umount -l {}", self.at.display())));
    }
}

/// Unmounts the disks of runs that did not come to their end.
pub(crate) fn sweep() -> std::io::Result<()> {
    for line in std::fs::read_to_string("/proc/self/mounts")?.lines() {
        let mut words = line.split(' ');
        let owner = words.next().and_then(|source| source.strip_prefix(MOUNT));
        let owner = owner.and_then(|pid| pid.parse().ok());
        let Some((pid, at)) = owner.zip(words.next()) else { continue };
        if !is_alive(pid) {
            drop(shell::run(&format!("umount -l {at}")));
        }
    }
    Ok(())
}
