//! Who calls, and the database that the call is about: from the metadata of a call, as from the headers of a request.

use model::OrgId;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::prepared::Statement;
use super::status;
use crate::auth::{self, Identity};
use crate::error::ApiError;
use crate::gateway::App;
use crate::params::Params;
use crate::ports::{CancelToken, SqlRequest};

/// The names under which clients send the database.
const DATABASE: [&str; 4] = ["database", "bucket-name", "iox-namespace-name", "bucket"];

/// Someone who was let in.
pub(super) struct Caller {
    pub(super) who: Identity,
    pub(super) org: OrgId,
    pub(super) database: Option<String>,
    headers: http::HeaderMap,
}

impl Caller {
    pub(super) async fn of(app: &App, metadata: &MetadataMap) -> Result<Self, Status> {
        let headers = metadata.clone().into_headers();
        let who = auth::v1(app, &headers, &Params::default()).await.map_err(|error| status(&error))?;
        let none = || Status::permission_denied("the user belongs to no organization");
        let org = who.org.ok_or_else(none)?;
        trace::own(org);
        let named = DATABASE.iter().filter_map(|name| headers.get(*name)).find_map(|v| v.to_str().ok());
        let database = named.filter(|name| !name.is_empty()).map(str::to_owned);
        Ok(Self { who, org, database, headers })
    }

    /// A statement with its database: the one it was made for, or the caller's.
    pub(super) fn complete(&self, mut statement: Statement) -> Result<Statement, Status> {
        if statement.database.is_empty() {
            let missing =
                || Status::invalid_argument("no database: send its name as the metadata \"database\"");
            statement.database = self.database.clone().ok_or_else(missing)?;
        }
        Ok(statement)
    }

    /// What the caller asks to be run.
    pub(super) fn request(&self, app: &App, statement: Statement) -> Result<SqlRequest, Status> {
        let statement = self.complete(statement)?;
        let limit = app.options.limits.query_bytes_max;
        if statement.query.len() > limit {
            let text = format!("the statement has more than {limit} bytes (max-query-size)");
            return Err(Status::resource_exhausted(text));
        }
        let reading = app.reading(&self.headers, &Params::default());
        let reading = reading.map_err(|error| status(&error))?;
        let params = statement.params().map_err(|error| status(&ApiError::invalid(error)))?;
        Ok(SqlRequest {
            org: self.org,
            params,
            query: statement.query,
            database: statement.database,
            reading,
            readable: app.look(|state| self.who.grants.readable(state, self.org)),
            cancel: CancelToken::default(),
        })
    }
}
