//! A server under measurement: watched through /proc, ended by its own pid, started again on the same directory.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program and its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Takes the program's output.
    pub(crate) log: PathBuf,
}

/// A child process, killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    launch: Launch,
    /// Of the processes before a restart.
    peak_rss_before: u64,
}

impl Server {
    /// Starts a program.
    pub(crate) fn start(launch: Launch) -> Result<Self, String> {
        Ok(Self { child: spawn(&launch)?, launch, peak_rss_before: 0 })
    }

    /// Kills the process as a power cut of it would, and starts another in its place.
    pub(crate) fn kill_and_start(&mut self) -> Result<(), String> {
        // One that was killed already has no figures any more.
        self.peak_rss_before = self.peak_rss_bytes().unwrap_or(self.peak_rss_before);
        self.kill()?;
        self.child = spawn(&self.launch)?;
        Ok(())
    }

    /// Kills the process as a power cut of it would.
    pub(crate) fn kill(&mut self) -> Result<(), String> {
        self.child.kill().map_err(|e| e.to_string())?;
        self.child.wait().map(drop).map_err(|e| e.to_string())
    }

    /// Ends the process in order, so that it can be started again.
    pub(crate) fn terminate(&mut self) -> Result<(), String> {
        let pid = self.child.id().to_string();
        Command::new("kill").arg(pid).status().map_err(|e| e.to_string())?;
        self.child.wait().map(drop).map_err(|e| e.to_string())
    }

    /// Starts a process that was ended.
    pub(crate) fn start_again(&mut self) -> Result<(), String> {
        self.child = spawn(&self.launch)?;
        Ok(())
    }

    /// CPU seconds used so far by the running process, user and system.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, String> {
        let stat = self.proc("stat")?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks =
            |i: usize| fields.get(i).and_then(|f| f.parse::<u32>().ok()).ok_or("unreadable /proc/stat");
        // utime and stime are fields 14 and 15; the clock of /proc ticks at 100 Hz on Linux.
        Ok(f64::from(ticks(11)? + ticks(12)?) / 100.0)
    }

    /// Memory resident now, in bytes.
    pub(crate) fn rss_bytes(&self) -> Result<u64, String> {
        self.status_bytes("VmRSS:")
    }

    /// The most memory resident so far, in bytes, restarts included.
    pub(crate) fn peak_rss_bytes(&self) -> Result<u64, String> {
        Ok(self.status_bytes("VmHWM:")?.max(self.peak_rss_before))
    }

    /// Lets the peak begin anew at what is resident now.
    pub(crate) fn reset_peak_rss(&self) -> Result<(), String> {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        std::fs::write(&path, "5").map_err(|e| format!("{path}: {e}"))
    }

    fn status_bytes(&self, name: &str) -> Result<u64, String> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| format!("no {name} in /proc"))
    }

    fn proc(&self, file: &str) -> Result<String, String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))
    }

    /// Whether the process still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// SIGTERM, then waits for the end.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        self.terminate()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.runs() && self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a log of the benchmark is no data of the database")]
fn spawn(launch: &Launch) -> Result<Child, String> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(&launch.log);
    let log = log.map_err(|e| format!("{}: {e}", launch.log.display()))?;
    let errors = log.try_clone().map_err(|e| e.to_string())?;
    let mut command = Command::new(&launch.program);
    command.args(&launch.arguments).stdin(Stdio::null()).stdout(log).stderr(errors);
    command.spawn().map_err(|e| format!("{}: {e}", launch.program.display()))
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

/// Drops what the page cache holds of the files below a directory. No process may have them mapped.
#[expect(clippy::disallowed_methods, reason = "files of servers, of which nothing is read")]
pub(crate) fn forget_pages(dir: &Path) -> Result<(), String> {
    let error = |path: &Path, e: std::io::Error| format!("{}: {e}", path.display());
    for entry in std::fs::read_dir(dir).map_err(|e| error(dir, e))? {
        let path = entry.map_err(|e| error(dir, e))?.path();
        if path.is_dir() {
            forget_pages(&path)?;
            continue;
        }
        let file = std::fs::File::open(&path).map_err(|e| error(&path, e))?;
        // Only what is on disk can be dropped.
        file.sync_all().map_err(|e| error(&path, e))?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
            .map_err(|e| error(&path, e.into()))?;
    }
    Ok(())
}

/// Asks every hundredth of a second until the answer is yes.
pub(crate) fn wait_until(
    what: &str,
    limit: Duration,
    mut done: impl FnMut() -> bool,
) -> Result<Duration, String> {
    let started = now();
    while started.elapsed() < limit {
        if done() {
            return Ok(started.elapsed());
        }
        pause(Duration::from_millis(10));
    }
    Err(format!("{what}: not after {} s", limit.as_secs()))
}

/// Waits until a figure stays the same for three seconds.
pub(crate) fn settle<T: PartialEq>(
    what: &str,
    limit: Duration,
    figure: impl FnMut() -> T,
) -> Result<(), String> {
    settle_for(Duration::from_secs(3), what, limit, figure)
}

/// Waits until a figure stays the same for so long.
pub(crate) fn settle_for<T: PartialEq>(
    quiet: Duration,
    what: &str,
    limit: Duration,
    mut figure: impl FnMut() -> T,
) -> Result<(), String> {
    let (mut last, mut since) = (figure(), now());
    wait_until(what, limit, || {
        pause(Duration::from_millis(200));
        let current = figure();
        if current != last {
            (last, since) = (current, now());
        }
        since.elapsed() >= quiet
    })
    .map(drop)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark waits for real processes")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// A port of loopback that is free now.
pub(crate) fn free_port() -> Result<u16, String> {
    free_ports(1).map(|ports| ports[0])
}

/// Ports of loopback that are free now.
pub(crate) fn free_ports(count: usize) -> Result<Vec<u16>, String> {
    let listen = |_| std::net::TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string());
    let listeners = (0..count).map(listen).collect::<Result<Vec<_>, _>>()?;
    let port = |listener: &std::net::TcpListener| listener.local_addr().map(|address| address.port());
    listeners.iter().map(port).collect::<Result<_, _>>().map_err(|e| e.to_string())
}
