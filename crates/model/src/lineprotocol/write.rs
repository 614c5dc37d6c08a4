//! Points to line protocol, such that reading the text back gives the same points.

use std::fmt::Write as _;

use crate::batch::Batch;
use crate::series::SeriesKey;
use crate::time::Timestamp;
use crate::value::FieldValue;

/// Why a point has no text in line protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// A name or tag value holds a line break, or ends in a backslash, or is empty, or a measurement begins as a comment
    /// or a blank, or all fields' names begin with a blank: line protocol has no escape for these.
    #[error("a name or tag value cannot be written as line protocol")]
    Name,
    /// A float is infinite or not a number.
    #[error("a float is not finite")]
    Float,
    /// There is no field.
    #[error("a point needs a field")]
    NoFields,
    /// The time is outside of [`Timestamp::MIN`] to [`Timestamp::MAX`].
    #[error("the time is out of range")]
    Time,
}

/// Appends the series: measurement and tags with their escapes.
pub fn write_key(out: &mut String, key: &SeriesKey) -> Result<(), Unwritable> {
    let measurement = check(key.measurement())?;
    if measurement.starts_with(['#', '\t', '\0']) {
        return Err(Unwritable::Name);
    }
    for (name, value) in key.tags() {
        check(name)?;
        check(value)?;
    }
    write!(out, "{key}").expect("writing to a String cannot fail");
    Ok(())
}

/// Appends one line, with its line end; `time` in nanoseconds. On error `out` is as before.
pub fn write_point<'a>(
    out: &mut String,
    key: &SeriesKey,
    fields: impl IntoIterator<Item = (&'a str, FieldValue)>,
    time: Option<Timestamp>,
) -> Result<(), Unwritable> {
    let start = out.len();
    let written = write_line(out, key, fields, time);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn write_line<'a>(
    out: &mut String,
    key: &SeriesKey,
    fields: impl IntoIterator<Item = (&'a str, FieldValue)>,
    time: Option<Timestamp>,
) -> Result<(), Unwritable> {
    write_key(out, key)?;
    let mut separator = ' ';
    // Blanks before the first field are passed over, so a name that begins with one stands behind another.
    let mut later = Vec::new();
    for (name, value) in fields {
        if separator == ' ' && name.starts_with(['\t', '\0']) {
            later.push((name, value));
        } else {
            write_field(out, separator, name, &value)?;
            separator = ',';
        }
    }
    if separator == ' ' {
        return Err(if later.is_empty() { Unwritable::NoFields } else { Unwritable::Name });
    }
    for (name, value) in later {
        write_field(out, separator, name, &value)?;
    }
    if let Some(time) = time {
        if !(Timestamp::MIN..=Timestamp::MAX).contains(&time) {
            return Err(Unwritable::Time);
        }
        out.push(' ');
        out.push_str(itoa::Buffer::new().format(time.0));
    }
    out.push('\n');
    Ok(())
}

fn write_field(out: &mut String, separator: char, name: &str, value: &FieldValue) -> Result<(), Unwritable> {
    out.push(separator);
    escape(out, check(name)?, &[',', '=', ' ']);
    out.push('=');
    write_value(out, value)
}

/// Appends every point of a batch, table by table. On error `out` ends with the points before the bad one.
pub fn write_batch(out: &mut String, batch: &Batch) -> Result<(), Unwritable> {
    for table in &batch.tables {
        for (series, rows) in table.series_ranges() {
            for row in rows {
                let fields = table.fields.iter().zip(&table.columns);
                let present = fields.filter_map(|(field, column)| Some((&*field.name, column.get(row)?)));
                let time = table.times.get(row).copied().map(Timestamp);
                write_point(out, &series.key, present, time)?;
            }
        }
    }
    Ok(())
}

/// Appends a value as a field's value is written.
fn write_value(out: &mut String, value: &FieldValue) -> Result<(), Unwritable> {
    match value {
        FieldValue::Float(v) if !v.is_finite() => return Err(Unwritable::Float),
        FieldValue::Float(v) => {
            let mut buffer = ryu::Buffer::new();
            let text = buffer.format_finite(*v);
            out.push_str(text.strip_suffix(".0").unwrap_or(text));
        }
        FieldValue::Integer(v) => {
            out.push_str(itoa::Buffer::new().format(*v));
            out.push('i');
        }
        FieldValue::Unsigned(v) => {
            out.push_str(itoa::Buffer::new().format(*v));
            out.push('u');
        }
        FieldValue::String(v) => {
            out.push('"');
            escape(out, v, &['"', '\\']);
            out.push('"');
        }
        FieldValue::Boolean(v) => out.push_str(if *v { "true" } else { "false" }),
    }
    Ok(())
}

fn check(name: &str) -> Result<&str, Unwritable> {
    if name.is_empty() || name.ends_with('\\') || name.contains('\n') {
        Err(Unwritable::Name)
    } else {
        Ok(name)
    }
}

fn escape(out: &mut String, text: &str, special: &[char]) {
    for c in text.chars() {
        if special.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
}
