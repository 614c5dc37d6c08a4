//! `tidemark inspect` and `tidemark verify`: looks at files on this machine, without a server.

use std::path::PathBuf;

use model::Timestamp;
use serde_json::Value;

use crate::error::CliError;
use crate::output::{self, Format, Rows};

/// Verbs of `tidemark inspect`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Print what a TSM file holds.
    Tsm(TsmArguments),
}

/// Arguments of `tidemark inspect tsm`.
#[derive(Debug, clap::Args)]
pub(crate) struct TsmArguments {
    /// The file.
    file: PathBuf,
    /// Print its pages.
    #[arg(long, group = "what")]
    pages: bool,
    /// Print its series.
    #[arg(long, group = "what")]
    series: bool,
    /// Decode every page and compare checksums, statistics and counts; exit code 1 when something is damaged.
    #[arg(long, group = "what")]
    verify: bool,
    /// How rows are printed.
    #[arg(long, short = 'o', value_enum)]
    output: Option<Format>,
}

/// Arguments of `tidemark verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArguments {
    /// Data directory of a node that does not run.
    #[arg(long, value_name = "DIR", default_value = "./tidemark-data", env = "TIDEMARK_DATA_DIR")]
    data_dir: PathBuf,
}

pub(crate) fn run(verb: Verb) -> Result<(), CliError> {
    let Verb::Tsm(arguments) = verb;
    let file = server::inspect_tsm(&arguments.file).map_err(damaged)?;
    if arguments.verify {
        return verify_file(&file, &arguments);
    }
    let rows = if arguments.pages {
        pages(&file)?
    } else if arguments.series {
        series(&file)?
    } else {
        summary(&file)
    };
    output::print(Format::or_default(arguments.output), rows)
}

/// `tidemark verify`: findings to standard output, one a line; the summary to standard error.
pub(crate) fn verify(arguments: &VerifyArguments) -> Result<(), CliError> {
    let mut failure = None;
    let verified = server::verify(&arguments.data_dir, &mut |finding| {
        if failure.is_none() {
            failure = output::print_line(finding).err();
        }
    })?;
    failure.map_or(Ok(()), Err)?;
    output::say(&verified.to_string());
    if verified.findings == 0 { Ok(()) } else { Err(CliError::Damaged(verified.findings)) }
}

fn verify_file(file: &server::Inspection, arguments: &TsmArguments) -> Result<(), CliError> {
    let (mut findings, mut failure) = (0, None);
    let pages = file.verify(|offset, damage| {
        findings += 1;
        if failure.is_none() {
            let line = format!("{} at byte {offset}: {damage}", arguments.file.display());
            failure = output::print_line(&line).err();
        }
    });
    failure.map_or(Ok(()), Err)?;
    let pages = pages.map_err(damaged)?;
    output::say(&format!("{findings} findings in {pages} pages"));
    if findings == 0 { Ok(()) } else { Err(CliError::Damaged(findings)) }
}

fn summary(file: &server::Inspection) -> Rows {
    let summary = file.summary();
    let fields: Vec<String> =
        summary.fields.iter().map(|field| format!("{} {}", field.name, field.field_type)).collect();
    let rows: Vec<(&str, Value)> = vec![
        ("format version", summary.version.into()),
        ("bucket", summary.bucket.to_string().into()),
        ("shard start", summary.shard.start.to_rfc3339().into()),
        ("shard end", summary.shard.end.to_rfc3339().into()),
        ("first time", time(summary.times.0)),
        ("last time", time(summary.times.1)),
        ("written by", if summary.is_merged { "merge" } else { "flush" }.into()),
        ("rows", summary.rows.into()),
        ("series", summary.series.into()),
        ("units", summary.units.into()),
        ("fields", fields.join(", ").into()),
        ("bytes", summary.bytes.into()),
        ("bytes of pages", summary.page_bytes.into()),
        ("bytes of directories", summary.directory_bytes.into()),
        ("bytes of the table", summary.table_bytes.into()),
        ("bytes of the set of series", summary.presence_bytes.into()),
        ("bytes of keys", summary.key_bytes.into()),
    ];
    Rows {
        columns: ["what", "value"].map(String::from).to_vec(),
        rows: rows.into_iter().map(|(what, value)| vec![what.into(), value]).collect(),
        ..Rows::default()
    }
}

fn series(file: &server::Inspection) -> Result<Rows, CliError> {
    let columns = ["id", "series", "offset", "sharing", "first time", "last time", "rows", "page bytes"];
    let mut rows = Vec::new();
    let read = file.series(|series| {
        rows.push(vec![
            series.id.into(),
            series.key.to_string().into(),
            series.offset.into(),
            series.sharing.into(),
            time(series.times.0),
            time(series.times.1),
            series.rows.into(),
            series.page_bytes.into(),
        ]);
    });
    read.map_err(damaged)?;
    Ok(Rows { columns: columns.map(String::from).to_vec(), rows, ..Rows::default() })
}

fn pages(file: &server::Inspection) -> Result<Rows, CliError> {
    let columns = [
        "offset",
        "bytes",
        "unit",
        "chunk",
        "field",
        "codec",
        "rows",
        "values",
        "first time",
        "last time",
        "statistics",
    ];
    let (mut rows, mut failure) = (Vec::new(), None);
    file.pages(|page| match page {
        Ok(page) => rows.push(vec![
            page.offset.into(),
            page.bytes.into(),
            page.unit.into(),
            page.chunk.into(),
            page.field.map_or_else(|| "time".into(), |field| field.name.to_string().into()),
            page.codec.unwrap_or("unknown").into(),
            page.rows.into(),
            page.values.into(),
            time(page.times.0),
            time(page.times.1),
            page.statistics.into(),
        ]),
        Err(error) => failure = failure.take().or(Some(error)),
    });
    match failure {
        None => Ok(Rows { columns: columns.map(String::from).to_vec(), rows, ..Rows::default() }),
        Some(error) => Err(damaged(error)),
    }
}

fn time(nanoseconds: i64) -> Value {
    Timestamp(nanoseconds).to_rfc3339().into()
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> CliError {
    CliError::Unreadable(Box::new(error))
}
