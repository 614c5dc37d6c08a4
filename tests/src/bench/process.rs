//! A server under measurement: started with an empty directory, watched through /proc, ended by pid.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A child process, killed when dropped.
#[derive(Debug)]
pub(crate) struct Server(Child);

impl Server {
    /// Starts a program; its output goes to a file beside its data.
    #[expect(clippy::disallowed_methods, reason = "a log of the benchmark is no data of the database")]
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self, String> {
        let file = std::fs::File::create(log).map_err(|e| format!("{}: {e}", log.display()))?;
        let errors = file.try_clone().map_err(|e| e.to_string())?;
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn();
        child.map(Self).map_err(|e| format!("{program}: {e}"))
    }

    /// CPU seconds used so far, user and system.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, String> {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).map_err(|e| e.to_string())?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks =
            |i: usize| fields.get(i).and_then(|f| f.parse::<u32>().ok()).ok_or("unreadable /proc/stat");
        // utime and stime are fields 14 and 15; the clock of /proc ticks at 100 Hz on Linux.
        Ok(f64::from(ticks(11)? + ticks(12)?) / 100.0)
    }

    /// The most memory resident so far, in bytes.
    pub(crate) fn peak_rss_bytes(&self) -> Result<u64, String> {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).map_err(|e| e.to_string())?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().map_err(|_bad| "unreadable VmHWM")?;
        Ok(kib * 1024)
    }

    /// SIGTERM, then waits for the end.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        let pid = self.0.id().to_string();
        Command::new("kill").arg(pid).status().map_err(|e| e.to_string())?;
        self.0.wait().map(drop).map_err(|e| e.to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|ended| ended.is_none()) && self.0.kill().is_ok() {
            drop(self.0.wait());
        }
    }
}

/// Bytes that the files below a directory occupy, and the sum of their lengths.
pub(crate) fn disk_bytes(dir: &Path) -> Result<(u64, u64), String> {
    use std::os::unix::fs::MetadataExt as _;
    let mut sum = (0, 0);
    for entry in std::fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))? {
        let entry = entry.map_err(|e| e.to_string())?;
        // A file may go while we look: compaction removes its inputs.
        let Ok(metadata) = entry.metadata() else { continue };
        let (allocated, length) = if metadata.is_dir() {
            disk_bytes(&entry.path()).unwrap_or_default()
        } else {
            (metadata.blocks() * 512, metadata.len())
        };
        sum = (sum.0 + allocated, sum.1 + length);
    }
    Ok(sum)
}

/// Asks until the answer is yes, at most two minutes.
#[expect(clippy::disallowed_methods, reason = "a benchmark waits for real processes")]
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) -> Result<(), String> {
    for _ in 0..1200 {
        if done() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(format!("{what}: not after two minutes"))
}

/// Waits until a figure stays the same for three seconds.
pub(crate) fn settle<T: PartialEq>(what: &str, mut figure: impl FnMut() -> T) -> Result<(), String> {
    let (mut last, mut same) = (figure(), 0);
    wait_until(what, || {
        let now = figure();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        same >= 30
    })
}

/// A port of loopback that is free now.
pub(crate) fn free_port() -> Result<u16, String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    Ok(listener.local_addr().map_err(|e| e.to_string())?.port())
}
