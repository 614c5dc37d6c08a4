//! The servers: how each is started, fed, asked how much it holds, and brought to rest on disk.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::load::{self, Workload};
use crate::process::{self, Server};

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Ours.
    Tidemark,
    /// `influxd` of Debian's package `influxdb`.
    Influxdb,
    /// `victoria-metrics` of Debian's package.
    VictoriaMetrics,
}

impl Peer {
    pub(crate) fn from_name(name: &str) -> Result<Self, String> {
        [Self::Tidemark, Self::Influxdb, Self::VictoriaMetrics]
            .into_iter()
            .find(|peer| peer.to_string() == name)
            .ok_or_else(|| format!("no peer is called {name}"))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tidemark => "tidemark",
            Self::Influxdb => "influxdb",
            Self::VictoriaMetrics => "victoria-metrics",
        })
    }
}

/// The figures of one run.
#[derive(Debug)]
pub(crate) struct Figures {
    /// From the first request to the last answer.
    pub(crate) wall: Duration,
    /// CPU of the server over the ingest, in seconds.
    pub(crate) cpu_seconds: f64,
    /// CPU of the server until it had come to rest on disk.
    pub(crate) cpu_seconds_at_rest: f64,
    /// Most memory resident.
    pub(crate) peak_rss_bytes: u64,
    /// Bytes of the points' files at rest, as the file system counts them.
    pub(crate) data_bytes: u64,
    /// Bytes of everything in the data directory.
    pub(crate) all_bytes: u64,
}

/// A started server and where to find things.
struct Started {
    server: Server,
    url: String,
    write_path: String,
    token: Option<String>,
    /// Where the points are at rest, below the data directory.
    data: &'static str,
}

/// Runs the workload against one server.
pub(crate) fn measure(
    peer: Peer,
    binary: &Path,
    workload: &Workload,
    bodies: &[String],
) -> Result<Figures, String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let root = dir.path();
    let started = match peer {
        Peer::Tidemark => tidemark(binary, root)?,
        Peer::Influxdb => influxdb(root)?,
        Peer::VictoriaMetrics => victoria_metrics(root)?,
    };
    let before = started.server.cpu_seconds()?;
    let write_url = format!("{}{}", started.url, started.write_path);
    let wall = load::send(&write_url, started.token.as_deref(), workload, bodies)?;
    let cpu_seconds = started.server.cpu_seconds()? - before;
    come_to_rest(peer, &started, root)?;
    let held = points_held(peer, &started)?;
    if held != workload.values() {
        return Err(format!("{peer} holds {held} values of {}", workload.values()));
    }
    let figures = Figures {
        wall,
        cpu_seconds,
        cpu_seconds_at_rest: started.server.cpu_seconds()? - before,
        peak_rss_bytes: started.server.peak_rss_bytes()?,
        data_bytes: process::disk_bytes(&root.join(started.data))?.0,
        all_bytes: process::disk_bytes(&root.join("data"))?.0,
    };
    started.server.stop()?;
    Ok(figures)
}

fn tidemark(binary: &Path, root: &Path) -> Result<Started, String> {
    let url = format!("http://127.0.0.1:{}", process::free_port()?);
    let mut command = Command::new(binary);
    command
        .args(["serve", "--http-bind-address", url.trim_start_matches("http://"), "--peer-bind-address"])
        .arg(format!("127.0.0.1:{}", process::free_port()?))
        .arg("--data-dir")
        .arg(root.join("data"));
    let server = Server::start(&mut command, &root.join("log"))?;
    process::wait_until("tidemark to be ready", || get(&format!("{url}/ready"), None).is_ok())?;
    let setup = json!({"username": "bench", "password": "bench-bench", "org": "bench", "bucket": "bench"});
    let answer = ureq::post(format!("{url}/api/v2/setup")).send_json(&setup).map_err(|e| e.to_string())?;
    let answer: Value = answer.into_body().read_json().map_err(|e| e.to_string())?;
    let token = answer["auth"]["token"].as_str().ok_or("no token")?.to_owned();
    let write_path = "/api/v2/write?org=bench&bucket=bench".to_owned();
    Ok(Started { server, url, write_path, token: Some(token), data: "data/partitions" })
}

fn influxdb(root: &Path) -> Result<Started, String> {
    let port = process::free_port()?;
    let data = root.join("data");
    let config = format!(
        "reporting-disabled = true\nbind-address = \"127.0.0.1:{rpc}\"\n\
         [meta]\ndir = \"{dir}/meta\"\n\
         [data]\ndir = \"{dir}/data\"\nwal-dir = \"{dir}/wal\"\nindex-version = \"tsi1\"\nquery-log-enabled = false\n\
         cache-snapshot-write-cold-duration = \"5s\"\ncompact-full-write-cold-duration = \"10s\"\n\
         [http]\nbind-address = \"127.0.0.1:{port}\"\nlog-enabled = false\n\
         [monitor]\nstore-enabled = false\n[logging]\nlevel = \"error\"\n",
        rpc = process::free_port()?,
        dir = data.display(),
    );
    let file = root.join("influxdb.conf");
    std::fs::write(&file, config).map_err(|e| e.to_string())?;
    let server = Server::start(Command::new("influxd").arg("-config").arg(&file), &root.join("log"))?;
    let url = format!("http://127.0.0.1:{port}");
    process::wait_until("influxdb to be ready", || get(&format!("{url}/ping"), None).is_ok())?;
    let create = format!("{url}/query?q={}", testkit::node::encode("CREATE DATABASE bench"));
    process::wait_until("influxdb's database", || {
        ureq::post(&create).send_empty().is_ok()
            && get(&format!("{url}/query?q=SHOW%20DATABASES"), None)
                .is_ok_and(|list| list.contains("\"bench\""))
    })?;
    Ok(Started { server, url, write_path: "/write?db=bench".to_owned(), token: None, data: "data/data" })
}

fn victoria_metrics(root: &Path) -> Result<Started, String> {
    let address = format!("127.0.0.1:{}", process::free_port()?);
    let mut command = Command::new("victoria-metrics");
    command
        .arg(format!("-storageDataPath={}", root.join("data").display()))
        .arg(format!("-httpListenAddr={address}"))
        .args(["-retentionPeriod=100y", "-loggerLevel=ERROR", "-search.maxPointsPerTimeseries=1000000"]);
    let server = Server::start(&mut command, &root.join("log"))?;
    let url = format!("http://{address}");
    process::wait_until("victoria-metrics to be ready", || get(&format!("{url}/health"), None).is_ok())?;
    Ok(Started { server, url, write_path: "/write".to_owned(), token: None, data: "data/data" })
}

/// Brings what was written to its final place on disk and waits until nothing changes any more.
fn come_to_rest(peer: Peer, started: &Started, root: &Path) -> Result<(), String> {
    match peer {
        Peer::Tidemark => {
            let flush = format!("{}/api/v1/storage/flush?compact=true", started.url);
            let token = started.token.as_deref().unwrap_or_default();
            let sent = ureq::post(flush).header("authorization", format!("Token {token}")).send_empty();
            sent.map_err(|e| format!("flush: {e}"))?;
        }
        Peer::Influxdb => {
            // The snapshot of the cache comes five seconds after the last write: until then the WAL holds data.
            process::wait_until("influxdb's snapshot", || {
                process::disk_bytes(&root.join("data/wal")).is_ok_and(|(_, length)| length < 1 << 16)
            })?;
        }
        Peer::VictoriaMetrics => {
            get(&format!("{}/internal/force_flush", started.url), None)?;
            get(&format!("{}/internal/force_merge", started.url), None)?;
        }
    }
    process::settle("the files at rest", || process::disk_bytes(&root.join(started.data)).unwrap_or_default())
}

/// How many values a server says it holds.
fn points_held(peer: Peer, started: &Started) -> Result<usize, String> {
    let count = match peer {
        Peer::Tidemark | Peer::Influxdb => {
            let query = "SELECT count(*) FROM cpu";
            let url = format!("{}/query?db=bench&q={}", started.url, testkit::node::encode(query));
            let answer = get(&url, started.token.as_deref())?;
            let answer: Value = serde_json::from_str(&answer).map_err(|e| format!("{e}: {answer}"))?;
            let row = answer["results"][0]["series"][0]["values"][0].as_array().cloned().unwrap_or_default();
            row.iter().skip(1).filter_map(Value::as_u64).sum::<u64>()
        }
        Peer::VictoriaMetrics => {
            let query = "sum(count_over_time({__name__=~\"cpu_.*\"}[30d]))";
            let url = format!(
                "{}/api/v1/query?time=1453000000&nocache=1&query={}",
                started.url,
                testkit::node::encode(query)
            );
            let answer = get(&url, None)?;
            let answer: Value = serde_json::from_str(&answer).map_err(|e| format!("{e}: {answer}"))?;
            let text = answer["data"]["result"][0]["value"][1].as_str().unwrap_or("0").to_owned();
            text.parse::<u64>().map_err(|e| format!("{e}: {text}"))?
        }
    };
    usize::try_from(count).map_err(|e| e.to_string())
}

fn get(url: &str, token: Option<&str>) -> Result<String, String> {
    let mut request = ureq::get(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Token {token}"));
    }
    let mut response = request.call().map_err(|e| format!("{url}: {e}"))?;
    response.body_mut().read_to_string().map_err(|e| e.to_string())
}
