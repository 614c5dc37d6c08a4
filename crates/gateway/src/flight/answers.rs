//! What clients ask about the server and its tables.

use std::sync::LazyLock;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    SqlInfo, SqlSupportedTransaction,
};
use catalog::State;
use tonic::Status;

use super::caller::Caller;
use super::prepared::Statement;
use super::{Flight, plain};

/// The one catalog.
const CATALOG: &str = "public";
/// The schema of a database's tables, as in InfluxDB 3.
const SCHEMA: &str = "iox";
/// The kind of all tables.
const TABLE: &str = "BASE TABLE";

static SQL_INFO: LazyLock<Result<SqlInfoData, String>> = LazyLock::new(|| {
    let mut info = SqlInfoDataBuilder::new();
    info.append(SqlInfo::FlightSqlServerName, "Tidemark");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    info.append(SqlInfo::FlightSqlServerReadOnly, true);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    info.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    info.append(SqlInfo::FlightSqlServerCancel, false);
    info.append(SqlInfo::SqlDdlCatalog, false);
    info.append(SqlInfo::SqlDdlSchema, false);
    info.append(SqlInfo::SqlDdlTable, false);
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    info.append(SqlInfo::SqlQuotedIdentifierCase, 3_i32);
    info.build().map_err(|error| error.to_string())
});

fn info() -> Result<&'static SqlInfoData, ArrowError> {
    SQL_INFO.as_ref().map_err(|error| ArrowError::ComputeError(error.clone()))
}

pub(super) fn sql_info_schema() -> SchemaRef {
    info().map_or_else(|_none| Schema::empty().into(), SqlInfoData::schema)
}

pub(super) fn sql_info(query: CommandGetSqlInfo) -> Result<RecordBatch, ArrowError> {
    info()?.record_batch(query.info).map_err(|error| ArrowError::ExternalError(Box::new(error)))
}

pub(super) fn catalogs(query: CommandGetCatalogs) -> Result<RecordBatch, ArrowError> {
    let mut rows = query.into_builder();
    rows.append(CATALOG);
    rows.build().map_err(|error| ArrowError::ExternalError(Box::new(error)))
}

pub(super) fn schemas(query: CommandGetDbSchemas) -> Result<RecordBatch, ArrowError> {
    let mut rows = query.into_builder();
    rows.append(CATALOG, "information_schema");
    rows.append(CATALOG, SCHEMA);
    rows.build().map_err(|error| ArrowError::ExternalError(Box::new(error)))
}

pub(super) fn table_types(query: CommandGetTableTypes) -> Result<RecordBatch, ArrowError> {
    let mut rows = query.into_builder();
    rows.append(TABLE);
    rows.build().map_err(|error| ArrowError::ExternalError(Box::new(error)))
}

impl Flight {
    /// The measurements of the caller's database.
    pub(super) async fn tables(
        &self,
        caller: &Caller,
        query: CommandGetTables,
    ) -> Result<Result<RecordBatch, ArrowError>, Status> {
        let statement = |query: String| Statement { query, database: String::new(), params: Vec::new() };
        // Also asks whether the database is there, and may be read.
        self.describe(caller.request(&self.app, statement("SELECT 1".to_owned()))?).await?;
        let database = caller.database.clone().unwrap_or_default();
        let names: Vec<String> = self.app.look(|state: &State| {
            let named = state.bucket_by_name(caller.org, &database).map(|bucket| bucket.id);
            let bucket = named.or_else(|| state.resolve_dbrp(caller.org, &database, None));
            bucket.map(|id| state.measurements(id).map(ToString::to_string).collect()).unwrap_or_default()
        });
        let with_schema = query.include_schema;
        let mut rows = query.into_builder();
        for name in names {
            let schema = if with_schema {
                let text = format!("SELECT * FROM \"{}\"", name.replace('"', "\"\""));
                plain(&self.describe(caller.request(&self.app, statement(text))?).await?.schema)
            } else {
                Schema::empty().into()
            };
            let added = rows.append(CATALOG, SCHEMA, &name, TABLE, &schema);
            added.map_err(|error| Status::internal(error.to_string()))?;
        }
        Ok(rows.build().map_err(|error| ArrowError::ExternalError(Box::new(error))))
    }
}
