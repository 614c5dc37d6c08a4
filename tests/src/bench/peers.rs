//! The servers: how each is started, brought to rest on disk, and started again. Every one has defaults, except that
//! limits which would refuse the data are lifted and that InfluxDB's cold durations are short, so that it comes to
//! rest within seconds.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Client;
use crate::process::{self, Launch, Server};

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Ours.
    Tidemark,
    /// Three nodes of ours on this machine; only in the scenario `cluster`.
    TidemarkCluster,
    /// `influxd` of Debian's package `influxdb`, index in memory.
    InfluxInmem,
    /// The same, index on disk.
    InfluxTsi1,
    /// `victoria-metrics` of Debian's package.
    VictoriaMetrics,
}

impl Peer {
    pub(crate) const ALL: [Self; 4] =
        [Self::Tidemark, Self::InfluxInmem, Self::InfluxTsi1, Self::VictoriaMetrics];

    pub(crate) fn from_name(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|peer| peer.to_string() == name);
        found.ok_or_else(|| {
            format!("no peer is called {name}; there are {:?}", Self::ALL.map(|p| p.to_string()))
        })
    }

    /// Whether it answers InfluxQL.
    pub(crate) fn speaks_influxql(self) -> bool {
        self != Self::VictoriaMetrics
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tidemark => "tidemark",
            Self::TidemarkCluster => "tidemark-cluster",
            Self::InfluxInmem => "influxdb-inmem",
            Self::InfluxTsi1 => "influxdb-tsi1",
            Self::VictoriaMetrics => "victoria-metrics",
        })
    }
}

/// How long a server may take to start, and to come to rest.
const START_MAX: Duration = Duration::from_secs(300);
const REST_MAX: Duration = Duration::from_secs(1200);
/// How long InfluxDB's files stay as they are before they count as merged: longer than its cold duration.
const MERGED_QUIET: Duration = Duration::from_secs(15);

/// A started server, its directory, and where to write. The directory goes with it.
pub(crate) struct Running {
    pub(crate) peer: Peer,
    pub(crate) server: Server,
    /// The other nodes of a cluster.
    others: Vec<Server>,
    /// Where the nodes of a cluster reach one another.
    pub(crate) peer_ports: Vec<u16>,
    pub(crate) url: String,
    /// Of all nodes, that one first.
    pub(crate) urls: Vec<String>,
    pub(crate) token: Option<String>,
    dir: tempfile::TempDir,
}

impl Running {
    /// Starts a server with an empty directory and makes its database.
    pub(crate) fn start(peer: Peer, binary: &Path) -> Result<Self, String> {
        Self::start_with(peer, binary, &[])
    }

    /// The same with more arguments for the server.
    pub(crate) fn start_with(peer: Peer, binary: &Path, more: &[&str]) -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let port = process::free_port()?;
        let (mut others, mut ports) = (Vec::new(), vec![port]);
        let peer_ports = if peer == Peer::TidemarkCluster { process::free_ports(3)? } else { Vec::new() };
        for at in 1..peer_ports.len() {
            ports.push(process::free_port()?);
            let arguments = node(ports[at], dir.path(), &peer_ports, at);
            let log = dir.path().join(format!("log-{at}"));
            others.push(Server::start(Launch { program: binary.to_owned(), arguments, log })?);
        }
        let (program, mut arguments) = match peer {
            Peer::TidemarkCluster => (binary.to_owned(), node(port, dir.path(), &peer_ports, 0)),
            Peer::Tidemark => (binary.to_owned(), tidemark(port, dir.path())?),
            Peer::InfluxInmem => (PathBuf::from("influxd"), influxdb(port, dir.path(), "inmem")?),
            Peer::InfluxTsi1 => (PathBuf::from("influxd"), influxdb(port, dir.path(), "tsi1")?),
            Peer::VictoriaMetrics => (PathBuf::from("victoria-metrics"), victoria_metrics(port, dir.path())),
        };
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        let server = Server::start(Launch { program, arguments, log: dir.path().join("log") })?;
        let urls: Vec<String> = ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        let url = urls[0].clone();
        let mut running = Self { peer, server, others, peer_ports, url, urls, token: None, dir };
        running.wait_until_ready()?;
        running.make_database()?;
        Ok(running)
    }

    /// A connection of its own to the server.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.url, self.token.as_deref())
    }

    /// Where lines are posted.
    pub(crate) fn write_path(&self) -> &'static str {
        match self.peer {
            Peer::Tidemark | Peer::TidemarkCluster => "/api/v2/write?org=bench&bucket=bench",
            Peer::InfluxInmem | Peer::InfluxTsi1 => "/write?db=bench",
            Peer::VictoriaMetrics => "/write",
        }
    }

    /// CPU seconds used so far, of all nodes.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, String> {
        self.all().map(Server::cpu_seconds).sum()
    }

    /// Memory resident now, of all nodes, in bytes.
    pub(crate) fn rss_bytes(&self) -> Result<u64, String> {
        self.all().map(Server::rss_bytes).sum()
    }

    fn all(&self) -> impl Iterator<Item = &Server> {
        std::iter::once(&self.server).chain(&self.others)
    }

    /// Kills one node and starts it again.
    pub(crate) fn kill_and_start(&mut self, node: usize) -> Result<(), String> {
        match node.checked_sub(1) {
            None => self.server.kill_and_start(),
            Some(other) => self.others[other].kill_and_start(),
        }
    }

    /// Kills all nodes and starts them again.
    pub(crate) fn kill_and_start_all(&mut self) -> Result<(), String> {
        std::iter::once(&mut self.server).chain(&mut self.others).try_for_each(Server::kill)?;
        std::iter::once(&mut self.server).chain(&mut self.others).try_for_each(Server::kill_and_start)
    }

    /// Ends the only node in order, drops what the page cache holds of its files, and starts it again. The connection that
    /// is handed back stands.
    pub(crate) fn restart_cold(&mut self) -> Result<Client, String> {
        self.server.terminate()?;
        process::forget_pages(&self.dir.path().join("data"))?;
        self.server.start_again()?;
        self.wait_until_ready()?;
        let client = self.client();
        client.get(self.ready_path())?;
        Ok(client)
    }

    /// Ends all nodes in order.
    pub(crate) fn stop(self) -> Result<(), String> {
        std::iter::once(self.server).chain(self.others).try_for_each(Server::stop)
    }

    /// Waits until the server answers.
    pub(crate) fn wait_until_ready(&mut self) -> Result<(), String> {
        let path = self.ready_path();
        let (client, what) = (self.client(), format!("{} to be ready", self.peer));
        let waited =
            process::wait_until(&what, START_MAX, || client.get(path).is_ok() || !self.server.runs());
        waited?;
        client.get(path).map(drop).map_err(|e| format!("{e}; its log: {}", self.log()))
    }

    fn ready_path(&self) -> &'static str {
        match self.peer {
            Peer::TidemarkCluster | Peer::Tidemark => "/ready",
            Peer::InfluxInmem | Peer::InfluxTsi1 => "/ping",
            Peer::VictoriaMetrics => "/health",
        }
    }

    fn make_database(&mut self) -> Result<(), String> {
        let client = self.client();
        match self.peer {
            Peer::Tidemark | Peer::TidemarkCluster => {
                let setup = json!({
                    "username": "bench", "password": "bench-bench", "org": "bench", "bucket": "bench",
                });
                let answer = client.post_json("/api/v2/setup", &setup)?;
                let answer: Value = serde_json::from_str(&answer).map_err(|e| e.to_string())?;
                self.token = Some(answer["auth"]["token"].as_str().ok_or("no token")?.to_owned());
            }
            Peer::InfluxInmem | Peer::InfluxTsi1 => {
                process::wait_until("influxdb's database", START_MAX, || {
                    client.influxql("CREATE DATABASE bench").is_ok()
                        && client.influxql("SHOW DATABASES").is_ok_and(|list| list.contains("\"bench\""))
                })?;
            }
            Peer::VictoriaMetrics => {}
        }
        Ok(())
    }

    /// Brings what was written to its final place on disk and waits until nothing changes any more.
    pub(crate) fn come_to_rest(&self) -> Result<(), String> {
        let client = self.client();
        match self.peer {
            Peer::Tidemark | Peer::TidemarkCluster => {
                drop(client.post("/api/v1/storage/flush?compact=true", "")?);
            }
            Peer::InfluxInmem | Peer::InfluxTsi1 => {
                // The snapshot of the cache comes five seconds after the last write: until then the WAL holds data.
                let wal = self.dir.path().join("data/wal");
                process::wait_until("influxdb's snapshot", REST_MAX, || {
                    process::disk_bytes(&wal).is_ok_and(|(_, length)| length < 1 << 16)
                })?;
            }
            Peer::VictoriaMetrics => {
                client.get("/internal/force_flush")?;
                client.get("/internal/force_merge")?;
            }
        }
        process::settle("the files at rest", REST_MAX, || self.data_bytes().unwrap_or_default())
    }

    /// Waits at rest until InfluxDB has also merged what it calls cold, ten seconds after the last write; the others merged
    /// when they were told to.
    pub(crate) fn wait_until_merged(&self) -> Result<(), String> {
        match self.peer {
            Peer::InfluxInmem | Peer::InfluxTsi1 => {
                let files = || self.data_bytes().unwrap_or_default();
                process::settle_for(MERGED_QUIET, "influxdb's merged files", REST_MAX, files)
            }
            Peer::Tidemark | Peer::TidemarkCluster | Peer::VictoriaMetrics => Ok(()),
        }
    }

    /// Bytes of the points' files, as the file system counts them.
    pub(crate) fn data_bytes(&self) -> Result<u64, String> {
        let data = match self.peer {
            Peer::Tidemark | Peer::TidemarkCluster => "data/partitions",
            Peer::InfluxInmem | Peer::InfluxTsi1 | Peer::VictoriaMetrics => "data/data",
        };
        Ok(process::disk_bytes(&self.dir.path().join(data))?.0)
    }

    /// Bytes of our log.
    pub(crate) fn log_bytes(&self) -> Result<u64, String> {
        Ok(process::disk_bytes(&self.dir.path().join("data/raft"))?.0)
    }

    /// Bytes of everything in the data directory.
    pub(crate) fn all_bytes(&self) -> Result<u64, String> {
        Ok(process::disk_bytes(&self.dir.path().join("data"))?.0)
    }

    /// The end of what the server said.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read(self.dir.path().join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

fn tidemark(port: u16, root: &Path) -> Result<Vec<String>, String> {
    let data = root.join("data").display().to_string();
    let http = format!("127.0.0.1:{port}");
    let peer = format!("127.0.0.1:{}", process::free_port()?);
    let words = ["serve", "--http-bind-address", &http, "--peer-bind-address", &peer, "--data-dir", &data];
    Ok(words.map(str::to_owned).to_vec())
}

/// A node of a cluster, whose directory is `data` for the first.
fn node(port: u16, root: &Path, peer_ports: &[u16], at: usize) -> Vec<String> {
    let dir = if at == 0 { "data".to_owned() } else { format!("data-{at}") };
    let data = root.join(dir).display().to_string();
    let peers: Vec<String> = peer_ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let (http, zone) = (format!("127.0.0.1:{port}"), format!("zone-{at}"));
    let own = ["serve", "--http-bind-address", &http, "--data-dir", &data, "--zone", &zone];
    let others = ["--peer-bind-address", &peers[at], "--initial-peers", &peers.join(",")];
    own.into_iter().chain(others).map(str::to_owned).collect()
}

fn influxdb(port: u16, root: &Path, index: &str) -> Result<Vec<String>, String> {
    let config = format!(
        "reporting-disabled = true\nbind-address = \"127.0.0.1:{rpc}\"\n\
         [meta]\ndir = \"{dir}/meta\"\n\
         [data]\ndir = \"{dir}/data\"\nwal-dir = \"{dir}/wal\"\nindex-version = \"{index}\"\n\
         query-log-enabled = false\nmax-series-per-database = 0\nmax-values-per-tag = 0\n\
         cache-snapshot-write-cold-duration = \"5s\"\ncompact-full-write-cold-duration = \"10s\"\n\
         [http]\nbind-address = \"127.0.0.1:{port}\"\nlog-enabled = false\n\
         [monitor]\nstore-enabled = false\n[logging]\nlevel = \"error\"\n",
        rpc = process::free_port()?,
        dir = root.join("data").display(),
    );
    let file = root.join("influxdb.conf");
    std::fs::write(&file, config).map_err(|e| e.to_string())?;
    Ok(vec!["-config".to_owned(), file.display().to_string()])
}

fn victoria_metrics(port: u16, root: &Path) -> Vec<String> {
    vec![
        format!("-storageDataPath={}", root.join("data").display()),
        format!("-httpListenAddr=127.0.0.1:{port}"),
        "-retentionPeriod=100y".to_owned(),
        "-loggerLevel=ERROR".to_owned(),
        "-search.maxPointsPerTimeseries=1000000".to_owned(),
        "-search.maxUniqueTimeseries=100000000".to_owned(),
        "-search.maxQueryDuration=10m".to_owned(),
    ]
}
