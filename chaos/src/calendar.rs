//! A clock of a process's own (by `libfaketime`), which can be moved while it runs. It is the clock of the calendar alone; the
//! one that timers use goes on as it is.

use std::io;
use std::path::{Path, PathBuf};

use crate::network::is_alive;

/// Where the library keeps what its processes share; their ids follow.
const SHARED: [&str; 2] = ["/dev/shm/faketime_shm_", "/dev/shm/sem.faketime_sem_"];

/// The library, if it is installed.
pub(crate) fn preload() -> Option<PathBuf> {
    let of = |entry: std::fs::DirEntry| entry.path().join("faketime/libfaketimeMT.so.1");
    std::fs::read_dir("/usr/lib").ok()?.flatten().map(of).find(|path| path.exists())
}

/// The environment of a process whose clock is set in a file.
pub(crate) fn environment(library: &Path, clock: &Path) -> Vec<(String, String)> {
    let one = |name: &str, value: String| (name.to_owned(), value);
    vec![
        one("LD_PRELOAD", library.display().to_string()),
        one("FAKETIME_TIMESTAMP_FILE", clock.display().to_string()),
        one("FAKETIME_NO_CACHE", "1".to_owned()),
        one("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        one("NO_FAKE_STAT", "1".to_owned()),
    ]
}

/// Sets a clock so many milliseconds ahead of the machine's.
///
/// # Errors
/// Its file cannot be written.
pub(crate) fn set(clock: &Path, ahead_ms: i64) -> io::Result<()> {
    let (sign, ahead) = (if ahead_ms < 0 { '-' } else { '+' }, ahead_ms.unsigned_abs());
    // Whole, whenever it is read.
    let new = clock.with_extension("clock-new");
    std::fs::write(&new, format!("{sign}{}.{:03}\n", ahead / 1000, ahead % 1000))?;
    Ok(rustix::fs::rename(&new, clock)?)
}

/// Removes what the library keeps for a process that has ended.
pub(crate) fn forget(pid: u32) {
    for shared in SHARED {
        // Most have none.
        drop(std::fs::remove_file(format!("{shared}{pid}")));
    }
}

/// Removes what the library keeps for processes that have ended.
pub(crate) fn sweep() {
    for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        let path = entry.path().to_string_lossy().into_owned();
        let of = SHARED.iter().find_map(|shared| path.strip_prefix(shared)?.parse().ok());
        if let Some(pid) = of.filter(|pid| !is_alive(*pid)) {
            forget(pid);
        }
    }
}
