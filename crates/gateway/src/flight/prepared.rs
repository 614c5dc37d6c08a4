//! Statements as their tickets and handles: everything that is needed to run them again, anywhere.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::server::PeekableFlightDataStream;
use arrow_flight::{IpcMessage, SchemaAsIpc};
use bytes::Bytes;
use futures::TryStreamExt as _;
use prost::Message;
use serde::Deserialize;
use serde_json::{Map, Value};
use tonic::Status;

use super::unreadable;
use crate::sql::params::row;

/// A statement to run.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Statement {
    /// Its text.
    #[prost(string, tag = "1")]
    pub(crate) query: String,
    /// Its database; empty is that of the caller.
    #[prost(string, tag = "2")]
    pub(crate) database: String,
    /// One row of values for its placeholders, as Arrow's IPC stream; empty is none.
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) params: Vec<u8>,
}

/// A ticket as the clients of InfluxDB 3 write it.
#[derive(Deserialize)]
struct Asked {
    #[serde(alias = "namespace_name", alias = "bucket")]
    database: String,
    #[serde(alias = "query")]
    sql_query: String,
    #[serde(default)]
    query_type: Option<String>,
    #[serde(default)]
    params: Option<Map<String, Value>>,
}

impl Statement {
    /// Of a ticket or handle that was given out.
    pub(super) fn of_handle(handle: &[u8]) -> Result<Self, Status> {
        Self::decode(handle).map_err(|error| unreadable(&format!("not a ticket of this server: {error}")))
    }

    /// Of a ticket that is a JSON object.
    pub(super) fn of_json(ticket: &[u8], params_max: usize) -> Result<Self, Status> {
        let asked: Asked = serde_json::from_slice(ticket)
            .map_err(|error| unreadable(&format!("the ticket is no JSON that fits: {error}")))?;
        match asked.query_type.as_deref() {
            None | Some("" | "sql") => {}
            Some(other) => {
                let text = format!("queries of type {other:?} are not answered over Flight; there is sql");
                return Err(Status::unimplemented(text));
            }
        }
        let params =
            row(&asked.params.unwrap_or_default(), params_max).map_err(|error| super::status(&error))?;
        let params = params.map_or_else(|| Ok(Vec::new()), |row| written(&row))?;
        Ok(Self { query: asked.sql_query, database: asked.database, params })
    }

    /// The row of values for its placeholders.
    pub(super) fn params(&self) -> Result<Option<RecordBatch>, String> {
        if self.params.is_empty() {
            return Ok(None);
        }
        let wrong = |error: &dyn std::fmt::Display| format!("the parameters cannot be read: {error}");
        let reader = StreamReader::try_new(Cursor::new(&self.params), None).map_err(|error| wrong(&error))?;
        let mut rows = reader.collect::<Result<Vec<_>, _>>().map_err(|error| wrong(&error))?;
        Ok(rows.pop())
    }
}

fn written(row: &RecordBatch) -> Result<Vec<u8>, Status> {
    let mut out = Vec::new();
    let mut writer = StreamWriter::try_new(&mut out, &row.schema()).map_err(|error| unreadable(&error))?;
    writer.write(row).and_then(|()| writer.finish()).map_err(|error| unreadable(&error))?;
    drop(writer);
    Ok(out)
}

/// The row that a client binds, to be kept in a handle. Columns are numbered from 1; those with a name of their own keep
/// it beside.
pub(super) async fn params_of(stream: PeekableFlightDataStream, bytes_max: usize) -> Result<Vec<u8>, Status> {
    let messages = stream.map_err(|status| FlightError::Tonic(Box::new(status)));
    let mut batches = FlightRecordBatchStream::new_from_flight_data(messages);
    let mut bound: Option<RecordBatch> = None;
    while let Some(batch) = batches.try_next().await.map_err(|error| unreadable(&error))? {
        match batch.num_rows() {
            0 => {}
            1 if bound.is_none() => bound = Some(batch),
            _ => return Err(unreadable(&"one row of parameters can be bound, not several")),
        }
    }
    let Some(row) = bound else { return Ok(Vec::new()) };
    let schema = row.schema();
    let numbered = (1..).zip(row.columns()).map(|(n, column)| (n.to_string(), Arc::clone(column)));
    let named = schema.fields().iter().zip(row.columns());
    let named = named.filter(|(field, _)| field.name().parse::<u32>().is_err() && !field.name().is_empty());
    let named =
        named.map(|(field, column)| (field.name().trim_start_matches('$').to_owned(), Arc::clone(column)));
    let row = RecordBatch::try_from_iter_with_nullable(numbered.chain(named).map(|(n, c)| (n, c, true)));
    let bytes = written(&row.map_err(|error| unreadable(&error))?)?;
    if bytes.len() > bytes_max {
        let text = format!("the parameters have more than {bytes_max} bytes (max-query-size)");
        return Err(Status::resource_exhausted(text));
    }
    Ok(bytes)
}

/// What is known of placeholders, as columns.
pub(super) fn params_schema(params: &[(String, Option<DataType>)]) -> Schema {
    let field = |(name, data_type): &(String, Option<DataType>)| {
        let data_type = match data_type {
            Some(DataType::Dictionary(_, values)) => values.as_ref().clone(),
            Some(known) => known.clone(),
            None => DataType::Null,
        };
        Field::new(name, data_type, true)
    };
    Schema::new(params.iter().map(field).collect::<Vec<_>>())
}

/// Columns as a message of Arrow's IPC format.
pub(super) fn schema_bytes(schema: &Schema) -> Result<Bytes, Status> {
    let message: IpcMessage = SchemaAsIpc::new(schema, &IpcWriteOptions::default())
        .try_into()
        .map_err(|error: arrow::error::ArrowError| unreadable(&error))?;
    Ok(message.0)
}
