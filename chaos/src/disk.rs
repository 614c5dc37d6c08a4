//! A disk of a node's own: in memory, which can be filled and given room again, or an image behind a loop device, whose
//! power can be cut, and which can be taken away or made one that is only read.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::network::is_alive;
use crate::scenario::DiskKind;
use crate::shell::{self, ShellError};

/// What the directory of a run is called; the process id follows.
pub(crate) const HOME: &str = "tidemark-chaos-";
const FILLER: &str = "filler";
/// Never one that was there before: ext4 writes out what replaces a file.
const UNSYNCED: &str = "unsynced-";
/// Room for a few segments of the log, a catalog and files.
const MIB: usize = 512;

/// A disk that is mounted; unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Disk {
    at: PathBuf,
    kind: DiskKind,
    /// How often its power was cut.
    cuts: usize,
}

impl Disk {
    /// Mounts an empty disk.
    pub(crate) fn mount(at: &Path, kind: DiskKind) -> Result<Self, ShellError> {
        let this = Self { at: at.to_owned(), kind, cuts: 0 };
        match kind {
            DiskKind::Small => shell::run(&format!("mount -t tmpfs -o size={MIB}m tmpfs {}", at.display()))?,
            DiskKind::Powered => {
                shell::run(&format!("truncate -s {}m {}", 2 * MIB, this.image().display()))?;
                shell::run(&format!("mkfs.ext4 -q -F {}", this.image().display()))?;
                this.mount_image()?
            }
        };
        Ok(this)
    }

    fn image(&self) -> PathBuf {
        self.at.with_extension("image")
    }

    fn mount_image(&self) -> Result<String, ShellError> {
        shell::run(&format!("mount -o loop {} {}", self.image().display(), self.at.display()))
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

    /// Cuts the power: what was not synced is lost, and nothing can be written until [`Disk::restore`]. Leaves a file that
    /// is not synced, to show that.
    pub(crate) fn cut_power(&mut self) -> Result<(), ShellError> {
        self.cuts += 1;
        let path = self.unsynced();
        std::fs::write(&path, [1; 4096])
            .map_err(|source| ShellError::Start { command: format!("write {}", path.display()), source })?;
        self.shut_down()
    }

    /// Takes it away from whoever uses it: nothing can be read from it or written to it until [`Disk::restore`].
    pub(crate) fn shut_down(&self) -> Result<(), ShellError> {
        // Of xfsprogs, and right for ext4 too: it does not write the journal out.
        shell::run(&format!("xfs_io -x -c shutdown {}", self.at.display())).map(drop)
    }

    /// Makes it one that is only read, until [`Disk::restore`]: what ext4 does of itself when it finds something wrong.
    pub(crate) fn protect(&self) -> Result<(), ShellError> {
        shell::run(&format!("mount -o remount,errors=remount-ro {}", self.at.display()))?;
        let device = shell::run(&format!("findmnt -n -o SOURCE {}", self.at.display()))?;
        let name = device.trim().rsplit('/').next().unwrap_or_default();
        let trigger = format!("/sys/fs/ext4/{name}/trigger_fs_error");
        std::fs::write(&trigger, "of a scenario")
            .map_err(|source| ShellError::Start { command: format!("write {trigger}"), source })
    }

    fn unsynced(&self) -> PathBuf {
        self.at.join(format!("{UNSYNCED}{}", self.cuts))
    }

    /// Whether nothing can be written to it.
    pub(crate) fn is_dead(&self) -> bool {
        std::fs::write(self.at.join("alive"), [2]).is_err()
    }

    /// Makes it a disk again. Answers whether what was not synced is gone.
    pub(crate) fn restore(&self) -> Result<bool, ShellError> {
        shell::run(&format!("umount {}", self.at.display()))?;
        self.mount_image()?;
        Ok(std::fs::metadata(self.unsynced()).map_or(true, |kept| kept.len() == 0))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a node that is being killed may still have a file open. Its loop device goes with it.
        drop(shell::run(&format!("umount -l {}", self.at.display())));
        if self.kind == DiskKind::Powered {
            drop(std::fs::remove_file(self.image()));
        }
    }
}

/// Unmounts the disks of runs that did not come to their end.
pub(crate) fn sweep() -> std::io::Result<()> {
    for line in std::fs::read_to_string("/proc/self/mounts")?.lines() {
        let Some(at) = line.split(' ').nth(1) else { continue };
        let owner = at.split('/').find_map(|part| part.strip_prefix(HOME)?.parse().ok());
        if owner.is_some_and(|pid| !is_alive(pid)) {
            drop(shell::run(&format!("umount -l {at}")));
        }
    }
    Ok(())
}
