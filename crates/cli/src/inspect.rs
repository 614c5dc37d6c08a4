//! `tidemark inspect` and `tidemark verify`: looks at files on this machine, without a server.

use std::path::PathBuf;

use model::Timestamp;
use serde_json::Value;

use crate::error::CliError;
use crate::output::{self, Format, Rows, Stream};

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
    let format = Format::or_default(arguments.output);
    if arguments.pages {
        pages(&file, format)
    } else if arguments.series {
        series(&file, format)
    } else {
        output::print(format, summary(&file))
    }
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
    output::say(&format!("{} in {pages} pages", output::findings(findings)));
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

fn series(file: &server::Inspection, format: Format) -> Result<(), CliError> {
    let columns = ["id", "series", "unit", "sharing", "first time", "last time", "rows", "bytes of the unit"];
    let mut out = Stream::new(format, &columns);
    let mut printed = Ok(());
    let read = file.series(|series| {
        if printed.is_err() {
            return;
        }
        let times = series.extent.map(|extent| extent.times);
        printed = out.push(vec![
            series.id.into(),
            series.key.to_string().into(),
            series.unit.into(),
            series.sharing.into(),
            times.map_or(Value::Null, |times| time(times.0)),
            times.map_or(Value::Null, |times| time(times.1)),
            series.extent.map(|extent| extent.rows).into(),
            series.page_bytes.into(),
        ]);
    });
    printed.and_then(|()| out.finish())?;
    read.map_err(damaged)
}

fn pages(file: &server::Inspection, format: Format) -> Result<(), CliError> {
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
    let mut out = Stream::new(format, &columns);
    let (mut printed, mut failure) = (Ok(()), None);
    file.pages(|page| match page {
        Ok(page) if printed.is_ok() => {
            printed = out.push(vec![
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
            ]);
        }
        Ok(_unprinted) => {}
        Err(error) => failure = failure.take().or(Some(error)),
    });
    printed.and_then(|()| out.finish())?;
    failure.map_or(Ok(()), |error| Err(damaged(error)))
}

fn time(nanoseconds: i64) -> Value {
    Timestamp(nanoseconds).to_rfc3339().into()
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> CliError {
    CliError::Unreadable(Box::new(error))
}
