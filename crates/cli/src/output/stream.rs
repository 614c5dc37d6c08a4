//! Rows that are printed as they come: there may be any number of them, and a part of them is held at a time.

use serde_json::Value;

use super::{Format, Rows, objects, print_csv_part, print_tables};
use crate::error::CliError;

/// Most rows that are held; also those of one table.
const ROWS_HELD: usize = 1000;
/// Text of held rows, about.
const BYTES_HELD: usize = 1 << 20;

/// See the module. Tables follow one another, each as wide as its own rows need.
#[derive(Debug)]
pub(crate) struct Stream {
    format: Format,
    held: Rows,
    held_bytes: usize,
    has_begun: bool,
}

impl Stream {
    pub(crate) fn new(format: Format, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Self { format, held: Rows { columns, ..Rows::default() }, held_bytes: 0, has_begun: false }
    }

    /// Takes a row, and prints what is held when that is much.
    pub(crate) fn push(&mut self, row: Vec<Value>) -> Result<(), CliError> {
        self.held_bytes += row.iter().filter_map(Value::as_str).map(str::len).sum::<usize>();
        self.held.rows.push(row);
        if self.held.rows.len() < ROWS_HELD && self.held_bytes < BYTES_HELD {
            return Ok(());
        }
        self.print_held()
    }

    /// Prints the rest.
    pub(crate) fn finish(mut self) -> Result<(), CliError> {
        if !self.held.rows.is_empty() || !self.has_begun {
            self.print_held()?;
        }
        if self.format == Format::Json { super::print_line("]") } else { Ok(()) }
    }

    fn print_held(&mut self) -> Result<(), CliError> {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        match self.format {
            Format::Table => print_tables(std::slice::from_ref(&self.held))?,
            Format::Csv => print_csv_part(&self.held, is_first)?,
            Format::Json => {
                let objects: Vec<String> = objects(&self.held).map(|object| object.to_string()).collect();
                let before = if is_first { "[" } else { "," };
                super::print_text(&format!("{before}{}", objects.join(",")))?;
            }
        }
        self.held.rows.clear();
        self.held_bytes = 0;
        Ok(())
    }
}
