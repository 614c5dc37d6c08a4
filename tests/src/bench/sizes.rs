//! The flags: which scenarios, which servers, how large.

use std::path::PathBuf;

use crate::peers::Peer;

/// How a run's results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// Tables.
    Markdown,
    /// A line of JSON for each figure.
    Json,
}

/// What to measure, and how large.
#[derive(Debug, Clone)]
pub(crate) struct Sizes {
    /// Names of scenarios.
    pub(crate) scenarios: Vec<String>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) binary: PathBuf,
    pub(crate) output: Output,
    /// Hosts and rows of a day of `cpu-only`.
    pub(crate) hosts: usize,
    pub(crate) rows: usize,
    /// Rows in a request.
    pub(crate) batch: usize,
    /// Connections that send at the same time.
    pub(crate) connections: usize,
    /// How often the ingest of a day is measured.
    pub(crate) rounds: usize,
    /// Series of the scenario `series`, and of `many-series`.
    pub(crate) series: usize,
    pub(crate) many_series: usize,
    /// Seconds until a delete counts as not finished; 0 leaves deletes out.
    pub(crate) delete_seconds: usize,
    /// Minutes, hosts, percentage of late rows, and rows per second (0: as many as are taken) of `sustained`.
    pub(crate) minutes: usize,
    pub(crate) sustained_hosts: usize,
    pub(crate) late_percent: usize,
    pub(crate) rate: usize,
    /// Seconds from one kill to the next.
    pub(crate) kill_seconds: usize,
    /// MiB of the log of `restart`.
    pub(crate) log_mib: usize,
    /// Random windows for each shape of query, and rounds over them of which the first is dropped.
    pub(crate) windows: usize,
    pub(crate) query_rounds: usize,
    /// Of `shapes`: one in so many hosts and rows; instances of each shape, seconds after which no further one is asked
    /// cold, rows of an export.
    pub(crate) part: usize,
    pub(crate) instances: usize,
    pub(crate) shape_seconds: usize,
    pub(crate) export_rows: usize,
}

const USAGE: &str = "usage: bench SCENARIO... [flags]
scenarios: integers decimals doubles series queries sustained cluster, together `all`;
  shapes-days shapes-hosts, together `shapes`; many-series kills restart
flags: --peers tidemark,influxdb-inmem,influxdb-tsi1,victoria-metrics  --binary PATH  -o markdown|json
  integers, decimals, doubles, queries, cluster:  --hosts 100 --rows 864000 --batch 5000 --connections 4 --rounds 1
  series:       --series 1000000 --delete-seconds 60 (0: no delete)
  many-series:  --many-series 10000000, only Tidemark
  sustained:    --minutes 20 --sustained-hosts 4000 --late-percent 10 --rate 0 (rows per second, 0: no limit)
  queries:      --windows 5 --query-rounds 6
  shapes:       --instances 40 --shape-seconds 60 --export-rows 10000000; --part 1 (20: a twentieth of hosts and rows)
  cluster:      one node and three, only Tidemark; needs ss (iproute2)
  kills:        three nodes that are killed while they are sent --rows: --kill-seconds 10, and those of sustained
  restart:      one node, --log-mib 1024
The binary is TIDEMARK_BINARY, else the one that lies beside this program.";

impl Sizes {
    /// Reads the command line.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let beside = std::env::current_exe().map_err(|e| e.to_string())?.with_file_name("tidemark");
        let mut sizes = Self {
            scenarios: Vec::new(),
            peers: Peer::ALL.to_vec(),
            binary: std::env::var_os("TIDEMARK_BINARY").map_or(beside, PathBuf::from),
            output: Output::Markdown,
            hosts: 100,
            rows: 864_000,
            batch: 5000,
            connections: 4,
            rounds: 1,
            series: 1_000_000,
            many_series: 10_000_000,
            delete_seconds: 60,
            minutes: 20,
            sustained_hosts: 4000,
            late_percent: 10,
            rate: 0,
            kill_seconds: 10,
            log_mib: 1024,
            windows: 5,
            query_rounds: 6,
            part: 1,
            instances: 40,
            shape_seconds: 60,
            export_rows: 10_000_000,
        };
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            if !word.starts_with('-') {
                sizes.scenarios.push(word);
                continue;
            }
            let value = words.next().ok_or(USAGE)?;
            sizes.set(&word, &value)?;
        }
        if sizes.scenarios.is_empty() { Err(USAGE.to_owned()) } else { Ok(sizes) }
    }

    fn set(&mut self, flag: &str, value: &str) -> Result<(), String> {
        let any = || value.parse::<usize>().map_err(|_bad| format!("{flag} {value}: not a number"));
        let positive =
            || any().and_then(|n| if n > 0 { Ok(n) } else { Err(format!("{flag} must not be 0")) });
        match flag {
            "--peers" => self.peers = value.split(',').map(Peer::from_name).collect::<Result<_, _>>()?,
            "--binary" => self.binary = PathBuf::from(value),
            "-o" => {
                self.output = match value {
                    "markdown" => Output::Markdown,
                    "json" => Output::Json,
                    _ => return Err(USAGE.to_owned()),
                }
            }
            "--hosts" => self.hosts = positive()?,
            "--rows" => self.rows = positive()?,
            "--batch" => self.batch = positive()?,
            "--connections" => self.connections = positive()?,
            "--rounds" => self.rounds = positive()?,
            "--series" => self.series = positive()?,
            "--many-series" => self.many_series = positive()?,
            "--delete-seconds" => self.delete_seconds = any()?,
            "--minutes" => self.minutes = positive()?,
            "--sustained-hosts" => self.sustained_hosts = positive()?,
            "--late-percent" => self.late_percent = any()?.min(100),
            "--rate" => self.rate = any()?,
            "--kill-seconds" => self.kill_seconds = positive()?,
            "--log-mib" => self.log_mib = positive()?,
            "--windows" => self.windows = positive()?,
            "--part" => self.part = positive()?,
            "--instances" => self.instances = positive()?,
            "--shape-seconds" => self.shape_seconds = positive()?,
            "--export-rows" => self.export_rows = positive()?,
            "--query-rounds" => self.query_rounds = positive()?.max(2),
            _ => return Err(USAGE.to_owned()),
        }
        Ok(())
    }
}
