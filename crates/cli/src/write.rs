//! `tidemark write`: sends line protocol in batches, from arguments, a file or standard input.

mod split;

use std::io::{IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::split::Splitter;
use crate::api::{Api, encode};
use crate::error::CliError;
use crate::output;
use crate::profile::Connection;

/// The largest batch, in bytes, whatever the number of its points.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// Arguments of `tidemark write`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A point in line protocol; `-` reads points from standard input.
    #[arg(required_unless_present = "file")]
    line: Option<String>,
    /// File of line protocol; `.gz` is decompressed.
    #[arg(long, short = 'f', value_name = "FILE", conflicts_with = "line")]
    file: Option<PathBuf>,
    /// Name or id of the bucket.
    #[arg(long, short = 'b', env = "TIDEMARK_BUCKET")]
    bucket: String,
    /// Unit of the timestamps.
    #[arg(long, short = 'p', value_parser = ["ns", "us", "ms", "s"], default_value = "ns")]
    precision: String,
    /// Points in a batch.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    batch_points: u32,
    /// How the summary is printed.
    #[arg(long, short = 'o', value_enum)]
    output: Option<output::Format>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), CliError> {
    let api = Api::new(arguments.connection.resolve()?);
    let path = format!(
        "/api/v2/write?org={}&bucket={}&precision={}",
        encode(api.org()?),
        encode(&arguments.bucket),
        arguments.precision
    );
    let mut sender = Sender { api: &api, path, sent: Sent::default() };
    let send = |batch: &[u8], points| sender.send(batch, points);
    let outcome = match (&arguments.line, &arguments.file) {
        (_, Some(file)) => {
            let (reader, bar) = open(file)?;
            let outcome = cut(reader, arguments.batch_points, send);
            bar.finish_and_clear();
            outcome
        }
        (Some(line), None) if line == "-" => cut(std::io::stdin().lock(), arguments.batch_points, send),
        (Some(line), None) => cut(line.as_bytes(), arguments.batch_points, send),
        (None, None) => Err(CliError::Usage("a point or a file is needed".to_owned())),
    };
    if outcome.is_err() && sender.sent.points > 0 {
        output::say(&format!("Before the error: {}", sender.sent.summary()));
    }
    outcome?;
    sender.sent.report(arguments.output)
}

#[derive(Debug, Default)]
struct Sent {
    batches: u64,
    points: u64,
    refused: u64,
    first_refusal: Option<String>,
}

impl Sent {
    fn summary(&self) -> String {
        let count = |n: u64, one: &str, more: &str| format!("{n} {}", if n == 1 { one } else { more });
        let batches = count(self.batches - self.refused, "batch", "batches");
        format!("{} in {batches} sent.", count(self.points, "point", "points"))
    }

    fn report(self, format: Option<output::Format>) -> Result<(), CliError> {
        let rows = output::Rows {
            columns: ["batches", "points", "refused batches"].map(String::from).to_vec(),
            rows: vec![vec![self.batches.into(), self.points.into(), self.refused.into()]],
            ..output::Rows::default()
        };
        match format {
            Some(format) => output::print(format, rows)?,
            None => output::say(&self.summary()),
        }
        match self.first_refusal {
            None => Ok(()),
            Some(first) => {
                Err(CliError::RefusedInPart { refused: self.refused, batches: self.batches, first })
            }
        }
    }
}

/// How long to wait before a batch is sent again, when the server only has too much to do; `None` to give up. A batch
/// whose outcome is unknown is not sent again: points without a time would be there twice.
fn pause_before_retry(error: &CliError, waited: Duration, patience: Duration) -> Option<Duration> {
    let CliError::Refused { status: 429 | 503, message } = error else { return None };
    if message.starts_with("outcome unknown") {
        return None;
    }
    let pause = (waited + Duration::from_millis(500)).min(Duration::from_secs(8));
    (waited + pause <= patience).then_some(pause)
}

struct Sender<'a> {
    api: &'a Api,
    path: String,
    sent: Sent,
}

impl Sender<'_> {
    /// Sends one batch. A refusal of its points is noted and the next batch goes on; a server that has too much to do
    /// is asked again; all else ends the verb.
    #[expect(
        clippy::disallowed_methods,
        reason = "a person's command waits for a server, not a clock of its own"
    )]
    fn send(&mut self, batch: &[u8], points: u64) -> Result<(), CliError> {
        if points == 0 {
            return Ok(());
        }
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(batch)?;
        let body = gzip.finish()?;
        let headers = [("content-type", "text/plain; charset=utf-8"), ("content-encoding", "gzip")];
        let mut waited = Duration::ZERO;
        loop {
            match self.api.post(&self.path, &headers, body.clone()) {
                Ok(_) => {
                    self.sent.batches += 1;
                    self.sent.points += points;
                    return Ok(());
                }
                Err(CliError::Refused { status: 400 | 422, message }) => {
                    self.sent.batches += 1;
                    self.sent.refused += 1;
                    self.sent.first_refusal.get_or_insert(message);
                    return Ok(());
                }
                Err(error) => match pause_before_retry(&error, waited, self.api.patience()) {
                    None => return Err(error),
                    Some(pause) => {
                        std::thread::sleep(pause);
                        waited += pause;
                    }
                },
            }
        }
    }
}

/// Reads points, cuts them into batches at the ends of points, and sends them. The last point may lack its newline.
fn cut(
    mut reader: impl Read,
    batch_points: u32,
    mut send: impl FnMut(&[u8], u64) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut buffer = Vec::new();
    let mut chunk = vec![0; 256 << 10];
    let mut splitter = Splitter::default();
    let (mut start, mut points) = (0, 0);
    loop {
        let read = reader.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        buffer.extend_from_slice(&chunk[..read]);
        while let Some(end) = splitter.next_end(&buffer) {
            points += 1;
            if points == u64::from(batch_points) || end - start >= BATCH_BYTES_MAX {
                send(&buffer[start..end], points)?;
                (start, points) = (end, 0);
            }
        }
        if start > 0 {
            buffer.drain(..start);
            splitter.forget(start);
            start = 0;
        }
        if buffer.len() > 2 * BATCH_BYTES_MAX {
            return Err(CliError::Usage(format!(
                "a point is longer than {BATCH_BYTES_MAX} bytes: is a quote missing?"
            )));
        }
    }
    let last = u64::from(splitter.in_point());
    send(&buffer, points + last)
}

/// Opens a file with a progress bar over its bytes: drawn on a terminal, a line every ten seconds else.
#[expect(clippy::disallowed_methods, reason = "a user's input file is no data of the database")]
fn open(path: &Path) -> Result<(Box<dyn Read>, ProgressBar), CliError> {
    let failed = |source| CliError::File { action: "reading", path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr())
    } else {
        ProgressBar::hidden()
    };
    bar.set_length(bytes);
    let template = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let counted = Counted { inner: file, bar: bar.clone(), bytes, told: Duration::ZERO };
    let reader: Box<dyn Read> = if path.extension().is_some_and(|e| e == "gz") {
        Box::new(flate2::read::MultiGzDecoder::new(counted))
    } else {
        Box::new(counted)
    };
    Ok((reader, bar))
}

struct Counted {
    inner: std::fs::File,
    bar: ProgressBar,
    bytes: u64,
    told: Duration,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bar.inc(read as u64);
        let elapsed = self.bar.elapsed();
        if self.bar.is_hidden() && elapsed >= self.told + Duration::from_secs(10) {
            self.told = elapsed;
            output::say(&format!("{} of {} bytes sent", self.bar.position(), self.bytes));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
