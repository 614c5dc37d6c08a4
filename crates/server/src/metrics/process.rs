//! The process as the kernel sees it, under the names that every Prometheus client has for it, and what it may use.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ::metrics::Page;
use model::Timestamp;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use crate::machine;

/// Shows what can be found out; what cannot is left out.
pub(super) fn show(page: &mut Page) {
    let text = |path: &str| fs::read_to_string(path).ok();
    if let Some(stat) = text("/proc/self/stat").as_deref().and_then(Stat::read) {
        let seconds = |ticks: u64| Duration::from_millis(ticks * 1000 / clock_ticks_per_second().max(1));
        page.counter("process_cpu_seconds_total", "Time on processors.", seconds(stat.cpu_ticks));
        page.gauge("process_virtual_memory_bytes", "Virtual memory.", stat.virtual_bytes);
        let resident = stat.resident_pages * page_size() as u64;
        page.gauge("process_resident_memory_bytes", "Memory that is in use.", resident);
        page.gauge("process_threads", "Threads.", stat.threads);
        if let Some(booted) = text("/proc/stat").as_deref().and_then(booted) {
            let started = booted + seconds(stat.started_ticks);
            page.gauge("process_start_time_seconds", "When it started, since the Unix epoch.", started);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is open to count the others.
        page.gauge("process_open_fds", "Open file descriptors.", open.count().saturating_sub(1));
    }
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    page.gauge("process_max_fds", "File descriptors that may be open.", most);
    page.gauge("tidemark_cpu_cores", "Processors that may be used.", cores());
    let read = |path: &Path| fs::read_to_string(path).ok();
    if let Some(memory) = machine::memory(read) {
        page.gauge("tidemark_memory_system_bytes", "Memory that may be used.", memory);
    }
}

/// The resident memory in bytes and the threads of the process, where they can be found out.
pub(crate) fn memory_and_threads() -> Option<(u64, u64)> {
    let stat = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::read)?;
    Some((stat.resident_pages * page_size() as u64, stat.threads))
}

/// When the process started, where that can be found out.
pub(crate) fn started() -> Option<Timestamp> {
    let stat = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::read)?;
    let booted = booted(&fs::read_to_string("/proc/stat").ok()?)?;
    let started = booted + Duration::from_millis(stat.started_ticks * 1000 / clock_ticks_per_second().max(1));
    Some(Timestamp(i64::try_from(started.as_nanos()).ok()?))
}

/// When the machine was started, since the epoch, of `/proc/stat`.
fn booted(stat: &str) -> Option<Duration> {
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
    seconds.map(Duration::from_secs)
}

/// Processors that may be used, as the control group says.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// `/proc/self/stat`, see proc_pid_stat(5).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    started_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The second field is the name in parentheses, and may hold anything.
        let (_name, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |n: usize| fields.get(n - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: number(14)? + number(15)?,
            threads: number(20)?,
            started_ticks: number(22)?,
            virtual_bytes: number(23)?,
            resident_pages: number(24)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let text =
            "7 (a) b (c)) S 1 7 7 0 -1 4194560 900 0 0 0 11 22 0 0 20 0 5 0 777 4096000 250 1844 1 1 0 0";
        let stat = Stat {
            cpu_ticks: 33,
            threads: 5,
            started_ticks: 777,
            virtual_bytes: 4_096_000,
            resident_pages: 250,
        };
        assert_eq!(Stat::read(text), Some(stat));
        assert_eq!(Stat::read("7 (a"), None);
        assert!(fs::read_to_string("/proc/self/stat").is_ok_and(|text| Stat::read(&text).is_some()));
    }
}
