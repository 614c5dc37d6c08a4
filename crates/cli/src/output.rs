//! Standard output for data, standard error for talk; tables, JSON and CSV from the same rows.

mod stream;
#[cfg(test)]
mod tests;
mod watch;

use std::io::{IsTerminal as _, Read, Write as _};

use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde_json::Value;

use crate::error::CliError;

pub(crate) use stream::Stream;

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
    print_text(&format!("{line}\n"))
}

fn print_text(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
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
pub(crate) fn say(line: &str) {
    // Where nobody can be told, there is nobody to tell.
    let _unheard: std::io::Result<()> = writeln!(std::io::stderr(), "{line}");
}

/// Says what went wrong.
pub(crate) fn complain(error: &CliError) {
    say(&format!("error: {error}"));
}

/// A number of findings.
pub(crate) fn findings(number: u64) -> String {
    if number == 1 { "1 finding".to_owned() } else { format!("{number} findings") }
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
            print_line(&harmless(section.title.clone()))?;
        }
        let mut table = comfy_table::Table::new();
        let header = section.columns.iter().cloned().map(harmless);
        table.load_style(UTF8_FULL_CONDENSED).set_header(header);
        for row in &section.rows {
            table.add_row(row.iter().map(plain).map(harmless));
        }
        print_line(&table.to_string())?;
    }
    Ok(())
}

/// A text for a terminal: data must not steer it, so control characters are escaped, all but the end of a line.
pub(crate) fn harmless(text: String) -> String {
    let steers = |c: char| c.is_control() && c != '\n';
    if !text.contains(steers) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if steers(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Prints rows in a format.
pub(crate) fn print(format: Format, rows: Rows) -> Result<(), CliError> {
    print_all(format, &[rows])
}

/// Prints the rows of several sections in a format.
pub(crate) fn print_all(format: Format, sections: &[Rows]) -> Result<(), CliError> {
    match format {
        Format::Table => print_tables(sections),
        Format::Json => print_json(sections),
        Format::Csv => sections.iter().try_for_each(print_csv),
    }
}

/// Prints over what was printed before, where that is a table on a terminal; else below it.
pub(crate) fn print_anew(format: Format, sections: &[Rows]) -> Result<(), CliError> {
    if format == Format::Table && std::io::stdout().is_terminal() {
        print_text("\u{1b}[H\u{1b}[2J")?;
    }
    print_all(format, sections)
}

/// Prints rows as one JSON array of objects. Columns win over what rows have in common.
pub(crate) fn print_json(sections: &[Rows]) -> Result<(), CliError> {
    let objects: Vec<Value> = sections.iter().flat_map(objects).collect();
    print_line(&Value::Array(objects).to_string())
}

/// Each row as an object.
fn objects(rows: &Rows) -> impl Iterator<Item = Value> {
    rows.rows.iter().map(|row| {
        let cells = rows.columns.iter().cloned().zip(row.iter().cloned());
        Value::Object(rows.common.iter().cloned().chain(cells).collect())
    })
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
    print_csv_part(rows, true)
}

fn print_csv_part(rows: &Rows, with_header: bool) -> Result<(), CliError> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let header = if with_header { csv.write_record(&rows.columns) } else { Ok(()) };
    let written =
        header.and_then(|()| rows.rows.iter().try_for_each(|row| csv.write_record(row.iter().map(plain))));
    written.map_err(|e| CliError::Answer(e.to_string()))?;
    let bytes = csv.into_inner().map_err(|e| CliError::Answer(e.to_string()))?;
    let mut out = std::io::stdout().lock();
    out.write_all(&bytes)?;
    Ok(out.flush()?)
}
