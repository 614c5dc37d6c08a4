//! The export of `shapes-hosts`: all rows of a time, as one streamed answer. The time to its first byte, the whole time, and
//! the most memory that the server's process had meanwhile, beside what it had for a tenth of the rows: an answer that
//! is streamed takes no more for ten times the rows.
//!
//! Each is asked of a server that was started anew, so that memory of the one before is in none.

use testkit::node::encode;
use testkit::tsbs::CpuOnly;

use std::time::Duration;

use crate::answers::{Answers, Digest};
use crate::client::Client;
use crate::cold_warm::milliseconds;
use crate::figures::{Measured, Metric, less, more};
use crate::ingest::{bytes, count, megabytes};
use crate::load::START_NS;
use crate::peers::{Peer, Running};
use crate::process;
use crate::say;
use crate::shapes::Extent;
use crate::sizes::Sizes;

/// No export may take longer.
const EXPORT_MAX: Duration = Duration::from_secs(3600);

/// An export's figures.
#[derive(Debug)]
pub(crate) struct Metrics {
    first_byte: Metric,
    whole: Metric,
    rate: Metric,
    size: Metric,
    peak: Metric,
    peak_of_tenth: Metric,
    /// Peak memory of all rows to that of a tenth.
    pub(crate) growth: Metric,
}

/// How rows are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// InfluxQL's JSON in chunks; VictoriaMetrics' own JSON lines, each with the values of a field of a host.
    Json,
    /// InfluxQL's CSV in chunks.
    Csv,
    SqlCsv,
    SqlJsonLines,
}

/// A form of export.
#[derive(Debug)]
pub(crate) struct Export {
    name: &'static str,
    format: Format,
    pub(crate) metrics: Metrics,
}

macro_rules! export {
    ($name:literal, $format:expr) => {
        Export {
            name: concat!("export, ", $name),
            format: $format,
            metrics: Metrics {
                first_byte: less(concat!("export, ", $name, ", first byte, ms")),
                whole: less(concat!("export, ", $name, ", whole, s")),
                rate: more(concat!("export, ", $name, ", rows per second")),
                size: less(concat!("export, ", $name, ", size, MB")),
                peak: less(concat!("export, ", $name, ", peak memory, MB")),
                peak_of_tenth: less(concat!("export, ", $name, ", the same for a tenth of the rows, MB")),
                growth: less(concat!("export, ", $name, ", peak memory to that of a tenth")),
            },
        }
    };
}

/// All of them.
pub(crate) const EXPORTS: &[Export] = &[
    export!("InfluxQL JSON", Format::Json),
    export!("InfluxQL CSV", Format::Csv),
    export!("SQL CSV", Format::SqlCsv),
    export!("SQL JSON lines", Format::SqlJsonLines),
];

/// How many rows are exported: whole steps of all hosts.
pub(crate) fn rows(extent: Extent, sizes: &Sizes) -> usize {
    let wanted = (sizes.export_rows / sizes.part).min(extent.rows);
    (wanted / extent.hosts).max(1) * extent.hosts
}

/// What streams past.
struct Tally {
    began: std::time::Instant,
    first_byte_ms: Option<f64>,
    bytes: usize,
    newlines: usize,
    brackets: usize,
    commas: usize,
    crc: flate2::Crc,
    /// Its beginning, where an answer says that it is none.
    head: Vec<u8>,
}

/// Bytes of an answer's beginning that are kept.
const HEAD: usize = 300;

impl Tally {
    fn new() -> Self {
        Self {
            began: process::now(),
            first_byte_ms: None,
            bytes: 0,
            newlines: 0,
            brackets: 0,
            commas: 0,
            crc: flate2::Crc::new(),
            head: Vec::with_capacity(HEAD),
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.first_byte_ms.get_or_insert_with(|| milliseconds(self.began));
        let of = |wanted: u8| bytes.iter().filter(|byte| **byte == wanted).count();
        self.newlines += of(b'\n');
        self.brackets += of(b'[');
        self.commas += of(b',');
        self.bytes += bytes.len();
        self.head.extend(bytes.iter().take(HEAD - self.head.len()));
        self.crc.update(bytes);
    }

    /// Rows by what stands around them.
    fn rows(&self, peer: Peer, format: Format) -> usize {
        match (peer, format) {
            // {"metric":{eleven labels},"values":[..],"timestamps":[..]}: twelve commas, and two for each value but one.
            (Peer::VictoriaMetrics, _) => {
                (self.commas.saturating_sub(12 * self.newlines) / 2 + self.newlines) / CpuOnly::FIELDS
            }
            // A row is an array; each chunk is a line with those of results, series, columns and values.
            (_, Format::Json) => self.brackets.saturating_sub(4 * self.newlines),
            (_, Format::Csv | Format::SqlCsv) => self.newlines.saturating_sub(1),
            (_, Format::SqlJsonLines) => self.newlines,
        }
    }
}

/// Path and `Accept` of what a server is asked, if it has such an export.
fn request(peer: Peer, format: Format, steps: usize) -> Option<(String, &'static str)> {
    let from_s = START_NS / 1_000_000_000;
    let to_s = from_s + i64::try_from(steps).unwrap_or_default() * CpuOnly::INTERVAL_NS / 1_000_000_000;
    let influxql = || {
        let statement = format!("SELECT * FROM cpu WHERE time >= {from_s}s AND time < {to_s}s");
        format!("/query?db=bench&epoch=ms&chunked=true&q={}", encode(&statement))
    };
    let sql = |format: &str| {
        let (from, to) = (format!("to_timestamp({from_s})"), format!("to_timestamp({to_s})"));
        let statement = format!("SELECT * FROM cpu WHERE time >= {from} AND time < {to}");
        format!("/api/v3/query_sql?db=bench&format={format}&q={}", encode(&statement))
    };
    match (peer, format) {
        (Peer::VictoriaMetrics, Format::Json) => {
            let all = encode("{__name__=~\"cpu_.*\"}");
            // Here the end is part of the time.
            Some((format!("/api/v1/export?match[]={all}&start={from_s}&end={}", to_s - 1), "*/*"))
        }
        (Peer::VictoriaMetrics, _) => None,
        (_, Format::Json) => Some((influxql(), "application/json")),
        (_, Format::Csv) => Some((influxql(), "application/csv")),
        (Peer::Tidemark | Peer::TidemarkCluster, Format::SqlCsv) => Some((sql("csv"), "text/csv")),
        (Peer::Tidemark | Peer::TidemarkCluster, Format::SqlJsonLines) => Some((sql("jsonl"), "*/*")),
        (Peer::InfluxInmem | Peer::InfluxTsi1, _) => None,
    }
}

/// Asks for all exports of a server.
pub(crate) fn measure(
    running: &mut Running,
    extent: Extent,
    sizes: &Sizes,
    answers: &mut Answers,
    measured: &mut Measured,
) -> Result<(), String> {
    let peer = running.peer;
    let steps = rows(extent, sizes) / extent.hosts;
    for export in EXPORTS {
        let metrics = &export.metrics;
        if request(peer, export.format, steps).is_none() {
            measured.without(metrics.first_byte, "has none");
            continue;
        }
        let few = ask(running, export, steps.div_ceil(10), extent.hosts);
        let all = few.and_then(|few| Ok((few, ask(running, export, steps, extent.hosts)?)));
        let ((_, _, peak_of_tenth), (tally, whole_s, peak)) = match all {
            Ok(both) => both,
            Err(error) => {
                say(&format!("  {peer}: {}: {error}", export.name));
                measured.fail(&[metrics.first_byte, metrics.growth], export.name, &error);
                continue;
            }
        };
        say(&format!("  {peer}: {}: {whole_s:.1} s", export.name));
        let rows = tally.rows(peer, export.format);
        if peer.speaks_influxql() {
            let digest = Digest::of_stream(rows, tally.bytes, tally.crc.sum());
            answers.compare((export.name, 0), peer, digest, export.name)?;
        }
        measured.add(metrics.first_byte, tally.first_byte_ms.unwrap_or_default());
        measured.add(metrics.whole, whole_s);
        measured.add(metrics.rate, count(rows) / whole_s);
        measured.add(metrics.size, count(tally.bytes) / 1e6);
        measured.add(metrics.peak, megabytes(peak));
        measured.add(metrics.peak_of_tenth, megabytes(peak_of_tenth));
        measured.add(metrics.growth, bytes(peak) / bytes(peak_of_tenth));
    }
    Ok(())
}

/// Starts the server anew and asks for the rows of so many steps: what came, the seconds it took, the bytes of memory.
fn ask(
    running: &mut Running,
    export: &Export,
    steps: usize,
    hosts: usize,
) -> Result<(Tally, f64, u64), String> {
    let (path, accept) = request(running.peer, export.format, steps).ok_or("no such export")?;
    drop(running.restart_cold()?);
    let client = Client::with_limit(&running.url, running.token.as_deref(), EXPORT_MAX);
    running.server.reset_peak_rss()?;
    let mut tally = Tally::new();
    client.stream(&path, accept, |bytes| tally.take(bytes))?;
    let whole_s = tally.began.elapsed().as_secs_f64();
    let (rows, expected) = (tally.rows(running.peer, export.format), steps * hosts);
    if rows != expected {
        let head = String::from_utf8_lossy(&tally.head);
        return Err(format!("{rows} rows of {expected}, in {} bytes that begin with {head}", tally.bytes));
    }
    Ok((tally, whole_s, running.server.peak_rss_bytes()?))
}
