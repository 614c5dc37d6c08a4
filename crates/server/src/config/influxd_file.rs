//! The configuration of influxd that `INFLUXD_CONFIG_PATH` names: YAML, JSON or TOML, or a directory with one.

use std::io;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::file::line_at;

/// A key of an influxd configuration and its value as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) text: String,
    pub(super) line: usize,
}

/// A file that was found, and its entries.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) entries: Vec<Entry>,
}

pub(super) const NAMED_BY: &str = "INFLUXD_CONFIG_PATH";

/// Reads the configuration that a path names, as influxd finds it: a path with one of the endings is the file
/// itself, any other is a directory. `None` when there is no such file.
pub(super) fn read(
    named: &Path,
    read_file: &impl Fn(&Path) -> io::Result<String>,
) -> Result<Option<Found>, ConfigError> {
    let candidates = match format_of(named) {
        Some(_) => vec![named.to_owned()],
        None if is_file(named, read_file) => {
            return Err(ConfigError::InfluxdFormat { path: named.to_owned() });
        }
        None => ["config.json", "config.toml", "config.yaml", "config.yml"].map(|f| named.join(f)).to_vec(),
    };
    for path in candidates {
        match read_file(&path) {
            Ok(text) => return parse(&path, &text).map(|entries| Some(Found { path, entries })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(ConfigError::Read { path, by: NAMED_BY.to_owned(), source }),
        }
    }
    Ok(None)
}

/// Whether a path is a file rather than a directory or nothing.
fn is_file(path: &Path, read_file: &impl Fn(&Path) -> io::Result<String>) -> bool {
    match read_file(path) {
        Ok(_) => true,
        // A file, though no text.
        Err(error) => error.kind() == io::ErrorKind::InvalidData,
    }
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Json,
    Toml,
    Yaml,
}

fn format_of(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "json" => Some(Format::Json),
        "toml" => Some(Format::Toml),
        "yaml" | "yml" => Some(Format::Yaml),
        _ => None,
    }
}

fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, ConfigError> {
    let syntax = |line: usize, message: String| ConfigError::Syntax { path: path.to_owned(), line, message };
    let value: serde_json::Value = match format_of(path).unwrap_or(Format::Yaml) {
        Format::Json => serde_json::from_str(text).map_err(|e| syntax(e.line(), e.to_string()))?,
        Format::Toml => {
            toml::from_str(text).map_err(|e| syntax(line_at(text, e.span()), e.message().to_owned()))?
        }
        Format::Yaml => serde_norway::from_str(text).map_err(|e| {
            let line = e.location().map_or(1, |at| at.line());
            syntax(line, e.to_string())
        })?,
    };
    let members = match value {
        serde_json::Value::Object(members) => members,
        serde_json::Value::Null => return Ok(Vec::new()),
        _ => return Err(syntax(1, "expected keys and values".to_owned())),
    };
    let entry = |(key, value): (String, serde_json::Value)| {
        let line = line_of(text, &key);
        // influxd's reader knows no difference between upper and lower case.
        Entry { key: key.to_ascii_lowercase(), text: value_text(value), line }
    };
    Ok(members.into_iter().map(entry).collect())
}

fn value_text(value: serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The first line that begins with a key, from 1; 0 when none does.
fn line_of(text: &str, key: &str) -> usize {
    let begins = |line: &str| {
        let line = line.trim_start().trim_start_matches(['{', '"', '\'', ' ']);
        let rest = line.strip_prefix(key).map(|rest| rest.trim_start_matches(['"', '\'', ' ']));
        rest.is_some_and(|rest| rest.starts_with([':', '=']))
    };
    text.lines().position(begins).map_or(0, |at| at + 1)
}
