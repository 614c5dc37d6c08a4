//! What memory the process may use: the tightest limit of its control groups, or what the machine has.
//!
//! ```text
//!  /proc/self/cgroup   0::/a/b          -> /sys/fs/cgroup/a/b/memory.max, and of each group above
//!                      4:memory:/a/b    -> /sys/fs/cgroup/memory/a/b/memory.limit_in_bytes, and above
//!  /proc/meminfo       MemTotal: .. kB
//! ```
//! Within a container its own group is often mounted as the root; a group that is not there is passed over.

use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// The least memory that a node is given to divide: below it a share does not hold one large write or query.
pub(crate) const MEMORY_BYTES_MIN: usize = 128 << 20;
/// What a node under load takes besides: code, log, connections, answers on their way, what the allocator keeps.
const BESIDE_BYTES: u64 = 384 << 20;

/// The memory to divide, and what the operator should know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) bytes: usize,
    pub(crate) warning: Option<String>,
}

/// The memory to divide: as configured, else half of what there is, or what leaves enough beside it, and never less than the
/// least.
pub(crate) fn memory_to_divide(configured: Option<usize>, read: impl Fn(&Path) -> Option<String>) -> Chosen {
    let there = memory(&read);
    let (bytes, warning) = match (configured, there) {
        (Some(bytes), Some(there)) if bytes as u64 > there / 5 * 4 => {
            (bytes, Some(format!("memory-bytes is {bytes}, and the process may use {there} bytes in all")))
        }
        (Some(bytes), _) => (bytes, None),
        (None, None) => {
            let warning = format!("cannot tell how much memory there is: memory-bytes is {MEMORY_BYTES_MIN}");
            (MEMORY_BYTES_MIN, Some(warning))
        }
        (None, Some(there)) => {
            let part = (there / 2).min(there.saturating_sub(BESIDE_BYTES));
            let part = usize::try_from(part).unwrap_or(usize::MAX);
            let warning = (part < MEMORY_BYTES_MIN).then(|| {
                format!(
                    "the process may use {there} bytes of memory; memory-bytes is {MEMORY_BYTES_MIN}, the least it can \
                     be, and the process may be killed for it"
                )
            });
            (part.max(MEMORY_BYTES_MIN), warning)
        }
    };
    Chosen { bytes, warning }
}

/// Bytes of memory that the process may use.
pub(crate) fn memory(read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| kib(&text, "MemTotal:"));
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(limit_files).filter_map(|path| read(&path)?.trim().parse().ok());
    machine.into_iter().chain(limits).min()
}

/// Bytes of memory that the process holds.
pub(crate) fn held(read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    kib(&read(Path::new("/proc/self/status"))?, "VmRSS:")
}

/// The bytes of a line such as `MemTotal:       16384 kB`.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The files that limit the memory of a line of `/proc/self/cgroup`, from the group itself up to the root.
fn limit_files(line: &str) -> Vec<PathBuf> {
    let mut parts = line.splitn(3, ':');
    let (Some(_number), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next()) else {
        return Vec::new();
    };
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        list if list.split(',').any(|name| name == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let group = Path::new(group.trim_start_matches('/'));
    group.ancestors().map(|group| Path::new(root).join(group).join(file)).collect()
}
