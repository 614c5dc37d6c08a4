//! Standard output for data, standard error for talk; tables, JSON and CSV from the same rows.

mod watch;

use std::io::{IsTerminal as _, Read, Write as _};

use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde_json::Value;

use crate::error::CliError;

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for people.
    Table,
    /// One JSON array of objects.
    Json,
    /// CSV (for Flux: annotated, as the server sends it).
    Csv,
}

impl Format {
    /// A table on a terminal, else CSV.
    pub(crate) fn or_default(chosen: Option<Self>) -> Self {
        chosen.unwrap_or_else(|| if std::io::stdout().is_terminal() { Self::Table } else { Self::Csv })
    }
}

/// Prints one line of data.
pub(crate) fn print_line(line: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Copies the CSV of a query's answer as it comes. An error that the server has put into it is left out, and is an
/// error here too.
pub(crate) fn copy_answer(mut from: impl Read) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    let mut watch = watch::Watch::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CliError::Answer(format!("the answer broke off: {error}"))),
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        watch.see(bytes);
        out.write_all(&watch.take())?;
    }
    let message = watch.finish();
    out.write_all(&watch.take())?;
    out.flush()?;
    match message {
        None => Ok(()),
        Some(message) => Err(CliError::Refused { status: 400, message }),
    }
}

/// Says something to the person.
#[expect(clippy::print_stderr, reason = "talk of a command-line program goes to standard error")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// Says what went wrong.
pub(crate) fn complain(error: &CliError) {
    say(&format!("error: {error}"));
}

/// Rows under the same columns.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// A title over the table, for example the series of a result.
    pub(crate) title: String,
    /// What all rows have in common; the first keys of each JSON object.
    pub(crate) common: Vec<(String, Value)>,
    /// Column names.
    pub(crate) columns: Vec<String>,
    /// Cells.
    pub(crate) rows: Vec<Vec<Value>>,
}

/// Prints rows as aligned columns.
pub(crate) fn print_tables(sections: &[Rows]) -> Result<(), CliError> {
    for section in sections {
        if !section.title.is_empty() {
            print_line(&section.title)?;
        }
        let mut table = comfy_table::Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header(&section.columns);
        for row in &section.rows {
            table.add_row(row.iter().map(plain));
        }
        print_line(&table.to_string())?;
    }
    Ok(())
}

/// Prints rows in a format.
pub(crate) fn print(format: Format, rows: Rows) -> Result<(), CliError> {
    match format {
        Format::Table => print_tables(&[rows]),
        Format::Json => print_json(&[rows]),
        Format::Csv => print_csv(&rows),
    }
}

/// Prints rows as one JSON array of objects. Columns win over what rows have in common.
pub(crate) fn print_json(sections: &[Rows]) -> Result<(), CliError> {
    let objects: Vec<Value> = sections
        .iter()
        .flat_map(|section| {
            section.rows.iter().map(|row| {
                let cells = section.columns.iter().cloned().zip(row.iter().cloned());
                Value::Object(section.common.iter().cloned().chain(cells).collect())
            })
        })
        .collect();
    print_line(&Value::Array(objects).to_string())
}

/// A cell as text: strings bare, null empty.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Prints rows as CSV with a header.
pub(crate) fn print_csv(rows: &Rows) -> Result<(), CliError> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let written = csv
        .write_record(&rows.columns)
        .and_then(|()| rows.rows.iter().try_for_each(|row| csv.write_record(row.iter().map(plain))));
    written.map_err(|e| CliError::Answer(e.to_string()))?;
    let bytes = csv.into_inner().map_err(|e| CliError::Answer(e.to_string()))?;
    let mut out = std::io::stdout().lock();
    out.write_all(&bytes)?;
    Ok(out.flush()?)
}
