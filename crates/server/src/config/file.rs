//! Our own file: TOML with one key per setting.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::settings::{Setting, setting, settings};
use super::suggest;

/// A setting's value in a file.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) setting: &'static Setting,
    pub(super) text: String,
    pub(super) line: usize,
}

/// Reads the settings of a file. `by` says who named the file.
pub(super) fn read(
    path: &Path,
    by: &str,
    read_file: &impl Fn(&Path) -> io::Result<String>,
) -> Result<Vec<Entry>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), by: by.to_owned(), source };
    parse(path, &read_file(path).map_err(failed)?)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, ConfigError> {
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        line: line_at(text, error.span()),
        message: error.message().to_owned(),
    })?;
    let mut entries = Vec::new();
    for (key, value) in table.get_ref() {
        let line = line_at(text, Some(key.span()));
        let path = || -> PathBuf { path.to_owned() };
        let name = key.get_ref().as_ref();
        let Some(setting) = setting(name).filter(|s| s.key != "config") else {
            let suggestion = suggest::nearest(name, settings().iter().map(|s| s.key).filter(|k| *k != name));
            return Err(ConfigError::UnknownKey { path: path(), line, key: name.to_owned(), suggestion });
        };
        let text = value_text(value.get_ref()).ok_or_else(|| {
            let kind = value.get_ref().type_str();
            let message = format!("`{name}` cannot be a {kind}: write a text, a number, true or false");
            ConfigError::Syntax { path: path(), line, message }
        })?;
        entries.push(Entry { setting, text, line });
    }
    Ok(entries)
}

/// A value as the text that a flag would have; a list is joined with commas.
fn value_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.as_ref().to_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(on) => Some(on.to_string()),
        DeValue::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
            texts.map(|texts| texts.join(","))
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

/// The line, from 1, where a span of a text begins.
pub(super) fn line_at(text: &str, span: Option<Range<usize>>) -> usize {
    let before = span.and_then(|span| text.as_bytes().get(..span.start));
    1 + before.map_or(0, |bytes| bytes.iter().filter(|b| **b == b'\n').count())
}
