//! The forms of a SQL answer. Rows are written as they come; only a drawn table waits for all of them, since its columns
//! are as wide as their widest value.

use arrow::array::RecordBatch;
use arrow::csv;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json;
use arrow::util::pretty::pretty_format_batches;
use http::HeaderMap;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::accept;
use crate::error::ApiError;
use crate::ports::QueryError;

/// Most rows of a drawn table.
const PRETTY_ROWS_MAX: usize = 100_000;
/// Rows of a row group of Parquet, which is held in memory until it is written.
const ROW_GROUP_ROWS: usize = 128 * 1024;

/// How an answer is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One array of objects.
    Json,
    /// An object per line.
    JsonLines,
    /// Comma-separated values, with a line of names.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// A table drawn with lines.
    Pretty,
}

impl Format {
    /// The format that a request names, or that its `Accept` prefers; JSON where both are silent.
    pub(crate) fn of(name: Option<&str>, headers: &HeaderMap) -> Result<Self, ApiError> {
        if let Some(name) = name {
            return match name {
                "json" => Ok(Self::Json),
                "jsonl" | "json_lines" => Ok(Self::JsonLines),
                "csv" => Ok(Self::Csv),
                "parquet" => Ok(Self::Parquet),
                "pretty" => Ok(Self::Pretty),
                other => Err(ApiError::invalid(format!(
                    "unknown format {other:?}; there are json, jsonl, csv, parquet and pretty"
                ))),
            };
        }
        let accepted = accept::media_types(headers).find_map(|item| match item {
            "application/json" | "*/*" => Some(Self::Json),
            "application/jsonl" | "application/x-ndjson" | "application/json-lines" => Some(Self::JsonLines),
            "text/csv" | "application/csv" => Some(Self::Csv),
            "application/vnd.apache.parquet" => Some(Self::Parquet),
            "text/plain" => Some(Self::Pretty),
            _ => None,
        });
        Ok(accepted.unwrap_or(Self::Json))
    }

    /// Its media type.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::JsonLines => "application/jsonl",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Pretty => "text/plain; charset=utf-8",
        }
    }
}

/// Writes batches down. The first one tells the columns and may have no rows.
pub(crate) struct Encoder {
    format: Format,
    state: State,
}

enum State {
    Nothing,
    Json(json::ArrayWriter<Vec<u8>>),
    JsonLines,
    /// Whether the line of names is to be written yet.
    Csv(bool),
    Parquet(Box<ArrowWriter<Vec<u8>>>),
    Pretty(Vec<RecordBatch>, usize),
}

fn failed(error: &dyn std::fmt::Display) -> QueryError {
    QueryError::Invalid(format!("the answer cannot be written in this format: {error}"))
}

impl Encoder {
    pub(crate) const fn new(format: Format) -> Self {
        Self { format, state: State::Nothing }
    }

    fn begin(&mut self, schema: SchemaRef) -> Result<(), QueryError> {
        self.state = match self.format {
            Format::Json => State::Json(json::ArrayWriter::new(Vec::new())),
            Format::JsonLines => State::JsonLines,
            Format::Csv => State::Csv(true),
            Format::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
                    .set_created_by("tidemark".to_owned())
                    .build();
                let writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties));
                State::Parquet(Box::new(writer.map_err(|error| failed(&error))?))
            }
            Format::Pretty => State::Pretty(Vec::new(), 0),
        };
        Ok(())
    }

    /// Appends what can be sent of a batch.
    pub(crate) fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), QueryError> {
        if matches!(self.state, State::Nothing) {
            self.begin(batch.schema())?;
        }
        let text = |result: Result<(), ArrowError>| result.map_err(|error| failed(&error));
        match &mut self.state {
            State::Nothing => {}
            State::Json(writer) => {
                text(writer.write(batch))?;
                out.append(writer.get_mut());
            }
            State::JsonLines => text(json::LineDelimitedWriter::new(out).write(batch))?,
            State::Csv(names) => {
                let header = std::mem::take(names);
                text(csv::WriterBuilder::new().with_header(header).build(out).write(batch))?;
            }
            State::Parquet(writer) => {
                writer.write(batch).map_err(|error| failed(&error))?;
                // Bytes before those that the writer still has are told by their number alone.
                out.append(writer.inner_mut());
            }
            State::Pretty(batches, rows) => {
                *rows += batch.num_rows();
                if *rows > PRETTY_ROWS_MAX {
                    let text = format!(
                        "more than {PRETTY_ROWS_MAX} rows are not drawn (max-pretty-rows); ask for another format"
                    );
                    return Err(QueryError::LimitReached(text));
                }
                batches.push(batch.clone());
            }
        }
        Ok(())
    }

    /// Appends the end.
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> Result<(), QueryError> {
        match self.state {
            State::Nothing | State::JsonLines | State::Csv(_) => {}
            State::Json(mut writer) => {
                writer.finish().map_err(|error| failed(&error))?;
                out.append(writer.get_mut());
            }
            State::Parquet(writer) => {
                out.append(&mut writer.into_inner().map_err(|error| failed(&error))?);
            }
            State::Pretty(batches, _) => {
                let drawn = pretty_format_batches(&batches).map_err(|error| failed(&error))?;
                out.extend_from_slice(drawn.to_string().as_bytes());
                out.push(b'\n');
            }
        }
        Ok(())
    }
}
