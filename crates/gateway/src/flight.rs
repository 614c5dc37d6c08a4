//! Arrow Flight SQL, on the same port as HTTP: for ADBC, JDBC, Grafana's SQL mode and the clients of InfluxDB 3.
//!
//! ```text
//! GetFlightInfo(statement) -> plan -> columns, one endpoint, ticket      DoGet(ticket) -> plan, run -> record batches
//! ```
//! Nothing is kept between calls: tickets and handles of prepared statements hold the statement itself, its database and
//! its parameters, so that any node answers any of them. Tags, dictionaries in the engine, leave as plain texts: not every
//! client reads dictionaries.

mod answers;
mod caller;
mod face;
mod prepared;

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo,
    CommandGetTableTypes, CommandGetTables, CommandPreparedStatementQuery, CommandStatementQuery,
    DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{
    Action, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse,
    Ticket,
};
use futures::{Stream, TryStreamExt as _, stream};
use host::offload;
use prost::Message as _;
use tonic::{Request, Response, Status, Streaming};

use crate::error::{ApiError, Code};
use crate::gateway::App;
use crate::metrics::Language;
use crate::ports::{QueryError, SqlDescription, SqlRequest};
use crate::stream::{self as answer, Outlet, Writer};
use caller::Caller;
use prepared::Statement;

/// Room for what is around a statement in a message.
const MESSAGE_BYTES_EXTRA: usize = 64 * 1024;

/// Answers to DoGet.
type Batches = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

/// The service, for the router.
pub(crate) fn service(app: App) -> FlightServiceServer<face::Face> {
    let message_max = app.options.limits.query_bytes_max.saturating_add(MESSAGE_BYTES_EXTRA);
    FlightServiceServer::new(face::Face(Flight { app })).max_decoding_message_size(message_max)
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Flight {
    app: App,
}

/// Batches on their way to a client.
struct BatchWriter(Outlet<RecordBatch>);

impl Writer for BatchWriter {
    type Item = RecordBatch;

    fn outlet(&mut self) -> &mut Outlet<RecordBatch> {
        &mut self.0
    }

    fn end(self) {}
}

/// An error in the words of gRPC.
fn status(error: &ApiError) -> Status {
    let text = error.message.clone();
    match error.code {
        Code::Internal => Status::internal(text),
        Code::NotImplemented | Code::MethodNotAllowed | Code::UnsupportedMediaType => {
            Status::unimplemented(text)
        }
        Code::NotFound => Status::not_found(text),
        Code::Conflict => Status::already_exists(text),
        Code::Invalid | Code::EmptyValue | Code::Unprocessable => Status::invalid_argument(text),
        Code::Unavailable => Status::unavailable(text),
        Code::Forbidden => Status::permission_denied(text),
        Code::TooManyRequests | Code::TooLarge => Status::resource_exhausted(text),
        Code::Unauthorized => Status::unauthenticated(text),
        Code::Timeout => Status::deadline_exceeded(text),
    }
}

fn refused(error: QueryError) -> Status {
    let exhausted = matches!(error, QueryError::LimitReached(_));
    let error = ApiError::from(error);
    if exhausted { Status::resource_exhausted(error.message) } else { status(&error) }
}

fn unreadable(error: &dyn std::fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}

/// Columns as they leave: without dictionaries.
fn plain(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Dictionary(_, values) => {
            Arc::new(Field::new(field.name(), values.as_ref().clone(), field.is_nullable()))
        }
        _ => Arc::clone(field),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

impl Flight {
    /// Plans a statement, in its turn.
    async fn describe(&self, request: SqlRequest) -> Result<SqlDescription, Status> {
        let turn = self.app.query_slots.acquire(&self.app.metrics.queries_refused).await;
        let _turn = turn.map_err(|error| status(&error))?;
        let query = Arc::clone(&self.app.ports.query);
        let described = offload(move || query.describe_sql(request)).await;
        described.map_err(|error| status(&ApiError::internal(&error)))?.map_err(refused)
    }

    /// Runs a statement and sends its rows.
    async fn run(&self, request: SqlRequest) -> Result<Response<Batches>, Status> {
        let query = Arc::clone(&self.app.ports.query);
        let rows = answer::run(&self.app, Language::Sql, BatchWriter, move |job| {
            let request = SqlRequest { cancel: job.cancel.clone(), ..request };
            let outlet = &mut job.writer.0;
            let result = query.sql(request, &mut |batch| outlet.send(batch));
            result.map_err(|error| job.reason(error))
        })
        .await
        .map_err(|error| status(&error))?;
        Ok(Response::new(encoded(rows.map_err(|error| FlightError::Tonic(Box::new(refused(error)))))))
    }

    /// Rows that are at hand.
    fn at_hand(batch: Result<RecordBatch, arrow::error::ArrowError>) -> Result<Response<Batches>, Status> {
        let batch = batch.map_err(|error| unreadable(&error))?;
        Ok(Response::new(encoded(stream::iter([Ok(batch)]))))
    }

    /// Where the rows of a command are: here, for who shows it again.
    fn info(
        schema: &Schema,
        command: &impl ProstMessageExt,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let ticket = Ticket::new(command.as_any().encode_to_vec());
        let info = FlightInfo::new().try_with_schema(&plain(schema)).map_err(|error| unreadable(&error))?;
        let info = info.with_endpoint(FlightEndpoint::new().with_ticket(ticket));
        Ok(Response::new(info.with_descriptor(request.into_inner())))
    }

    /// The rows of a ticket of InfluxDB 3's clients, which is a JSON object.
    pub(crate) async fn do_get_json(&self, request: Request<Ticket>) -> Result<Response<Batches>, Status> {
        let caller = Caller::of(&self.app, request.metadata()).await?;
        let statement = Statement::of_json(&request.get_ref().ticket, self.app.options.limits.params_max)?;
        self.run(caller.request(&self.app, statement)?).await
    }
}

fn encoded(rows: impl Stream<Item = Result<RecordBatch, FlightError>> + Send + 'static) -> Batches {
    Box::pin(FlightDataEncoderBuilder::new().build(rows).map_err(|error| match error {
        FlightError::Tonic(status) => *status,
        other => Status::internal(other.to_string()),
    }))
}

#[tonic::async_trait]
impl FlightSqlService for Flight {
    type FlightService = Self;

    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>>, Status> {
        Caller::of(&self.app, request.metadata()).await?;
        // Nothing is kept between calls: who came with a password comes with it again.
        let credentials = request.metadata().get("authorization").cloned();
        let payload = credentials.as_ref().map(|value| value.as_bytes().to_vec()).unwrap_or_default();
        let answer = HandshakeResponse { protocol_version: 0, payload: payload.into() };
        let mut response: Response<Pin<Box<dyn Stream<Item = _> + Send>>> =
            Response::new(Box::pin(stream::iter([Ok(answer)])));
        if let Some(credentials) = credentials {
            response.metadata_mut().insert("authorization", credentials);
        }
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = Caller::of(&self.app, request.metadata()).await?;
        let statement = Statement { query: query.query, database: String::new(), params: Vec::new() };
        let statement = caller.complete(statement)?;
        let described = self.describe(caller.request(&self.app, statement.clone())?).await?;
        let ticket = TicketStatementQuery { statement_handle: statement.encode_to_vec().into() };
        Self::info(&described.schema, &ticket, request)
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let caller = Caller::of(&self.app, request.metadata()).await?;
        let statement = Statement::of_handle(&ticket.statement_handle)?;
        self.run(caller.request(&self.app, statement)?).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let caller = Caller::of(&self.app, request.metadata()).await?;
        let statement = Statement { query: query.query, database: String::new(), params: Vec::new() };
        let statement = caller.complete(statement)?;
        let described = self.describe(caller.request(&self.app, statement.clone())?).await?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: statement.encode_to_vec().into(),
            dataset_schema: prepared::schema_bytes(&plain(&described.schema))?,
            parameter_schema: prepared::schema_bytes(&prepared::params_schema(&described.params))?,
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        _query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        // Nothing is kept for it.
        Caller::of(&self.app, request.metadata()).await.map(drop)
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        Caller::of(&self.app, request.metadata()).await?;
        let mut statement = Statement::of_handle(&query.prepared_statement_handle)?;
        let limit = self.app.options.limits.query_bytes_max;
        statement.params = prepared::params_of(request.into_inner(), limit).await?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(statement.encode_to_vec().into()) })
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = Caller::of(&self.app, request.metadata()).await?;
        let statement = Statement::of_handle(&query.prepared_statement_handle)?;
        let described = self.describe(caller.request(&self.app, statement)?).await?;
        Self::info(&described.schema, &query, request)
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let caller = Caller::of(&self.app, request.metadata()).await?;
        let statement = Statement::of_handle(&query.prepared_statement_handle)?;
        self.run(caller.request(&self.app, statement)?).await
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        Caller::of(&self.app, request.metadata()).await?;
        Self::info(&query.into_builder().schema(), &query, request)
    }

    async fn do_get_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        Caller::of(&self.app, request.metadata()).await?;
        Self::at_hand(answers::catalogs(query))
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        Caller::of(&self.app, request.metadata()).await?;
        Self::info(&query.clone().into_builder().schema(), &query, request)
    }

    async fn do_get_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        Caller::of(&self.app, request.metadata()).await?;
        Self::at_hand(answers::schemas(query))
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        Caller::of(&self.app, request.metadata()).await?;
        Self::info(&query.clone().into_builder().schema(), &query, request)
    }

    async fn do_get_tables(
        &self,
        query: CommandGetTables,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let caller = Caller::of(&self.app, request.metadata()).await?;
        Self::at_hand(self.tables(&caller, query).await?)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        Caller::of(&self.app, request.metadata()).await?;
        Self::info(&query.into_builder().schema(), &query, request)
    }

    async fn do_get_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        Caller::of(&self.app, request.metadata()).await?;
        Self::at_hand(answers::table_types(query))
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        Caller::of(&self.app, request.metadata()).await?;
        Self::info(&answers::sql_info_schema(), &query, request)
    }

    async fn do_get_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        Caller::of(&self.app, request.metadata()).await?;
        Self::at_hand(answers::sql_info(query))
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}
