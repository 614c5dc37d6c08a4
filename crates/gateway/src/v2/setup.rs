//! First set-up: the first user, organization, bucket and operator token, all in one command of the catalog.

use axum::extract::{Request, State};
use axum::response::Response;
use catalog::{Authorization, Bucket, BucketKind, Command, Org, Status, User};
use http::StatusCode;
use model::time::SECOND_NS;
use model::{AuthorizationId, BucketId, OrgId, Timestamp, UserId};
use serde::Deserialize;
use serde_json::json;

use super::shape;
use crate::error::{self, ApiError, Code};
use crate::gateway::{App, propose};
use crate::ports::CatalogPort;
use crate::random;

/// What first set-up is asked to make.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SetupRequest {
    /// Name of the first user.
    pub username: String,
    /// Its password, 8 to 72 characters; without one the user can only use tokens.
    pub password: Option<String>,
    /// Name of the first organization.
    pub org: String,
    /// Name of the first bucket.
    pub bucket: String,
    /// Retention of the bucket in seconds; 0 keeps points for ever.
    pub retention_period_seconds: Option<i64>,
    /// Retention of the bucket in nanoseconds, despite its name (as InfluxDB 2.0 had it).
    pub retention_period_hrs: Option<i64>,
    /// The operator's token; made up when absent.
    pub token: Option<String>,
}

impl std::fmt::Debug for SetupRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetupRequest")
            .field("username", &self.username)
            .field("org", &self.org)
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

/// What first set-up made.
#[derive(Clone)]
pub struct SetupResult {
    /// The first user.
    pub user: User,
    /// The first organization.
    pub org: Org,
    /// The first bucket.
    pub bucket: Bucket,
    /// The operator's authorization.
    pub authorization: Authorization,
    /// The operator's token: shown now and never again.
    pub token: String,
}

impl std::fmt::Debug for SetupResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetupResult")
            .field("user", &self.user.name)
            .field("org", &self.org)
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

/// Sets the cluster up. Refused with [`Code::Conflict`] when that was done before.
pub async fn setup(
    catalog: &dyn CatalogPort,
    request: SetupRequest,
    now: Timestamp,
) -> Result<SetupResult, ApiError> {
    let retention_ns = check(&request)?;
    if catalog.read().is_set_up() {
        return Err(already_done());
    }
    let password_hash = match request.password.clone() {
        Some(password) => Some(hash_password(password).await?),
        None => None,
    };
    let new_org = Org {
        id: random::id(OrgId::new),
        name: request.org,
        description: String::new(),
        created_at: now,
        updated_at: now,
    };
    // The open 1.x routes may have made the organization, and buckets in it, before anybody set the node up.
    let (org, there) = {
        let state = catalog.read();
        let org = state.org_by_name(&new_org.name).cloned().unwrap_or(new_org);
        let there: Vec<Bucket> = state.buckets_of(org.id).cloned().collect();
        (org, there)
    };
    let org_id = org.id;
    let user = User {
        id: random::id(UserId::new),
        name: request.username.clone(),
        password_hash,
        status: Status::Active,
        owner_of: vec![org_id],
        created_at: now,
    };
    let bucket_id =
        there.iter().find(|b| b.name == request.bucket).map_or_else(|| random::id(BucketId::new), |b| b.id);
    let mut buckets = vec![Bucket {
        id: bucket_id,
        org: org_id,
        name: request.bucket,
        description: String::new(),
        kind: BucketKind::User,
        retention_ns,
        shard_duration_ns: Bucket::default_shard_duration_ns(retention_ns),
        created_at: now,
        updated_at: now,
    }];
    buckets.extend(system_buckets(org_id, now));
    buckets.retain(|bucket| there.iter().all(|b| b.name != bucket.name));
    let token = request.token.filter(|t| !t.is_empty()).unwrap_or_else(random::token);
    let authorization = Authorization {
        id: random::id(AuthorizationId::new),
        token_hash: catalog::auth::hash_token(&token),
        org: org_id,
        user: user.id,
        description: format!("{}'s Token", request.username),
        status: Status::Active,
        permissions: catalog::auth::operator(),
        created_at: now,
        updated_at: now,
    };
    let command = Command::Setup {
        user: user.clone(),
        org: org.clone(),
        buckets,
        authorization: authorization.clone(),
    };
    propose(catalog, command).await?;
    let bucket = catalog.read().bucket(bucket_id).cloned();
    let bucket = bucket.ok_or_else(|| ApiError::internal(&"the first bucket is not in the catalog"))?;
    Ok(SetupResult { user, org, bucket, authorization, token })
}

/// The two buckets that every organization has.
pub(crate) fn system_buckets(org: OrgId, now: Timestamp) -> Vec<Bucket> {
    Bucket::system_buckets(org, now, random::id(BucketId::new), random::id(BucketId::new))
}

/// Hashes a password on a thread that may block: it is slow by design.
pub(crate) async fn hash_password(password: String) -> Result<String, ApiError> {
    let hash = move || catalog::auth::hash_password(&password, &mut catalog::auth::os_random);
    let hashed = host::offload(hash).await.map_err(|failure| ApiError::internal(&failure))?;
    hashed.map_err(|unfit| ApiError::invalid(unfit.to_string()))
}

fn check(request: &SetupRequest) -> Result<Option<i64>, ApiError> {
    if request.username.is_empty() || request.org.is_empty() || request.bucket.is_empty() {
        return Err(ApiError::new(Code::EmptyValue, "onboard failed, missing value"));
    }
    if let Some(password) = &request.password {
        catalog::auth::check_password(password).map_err(|unfit| ApiError::invalid(unfit.to_string()))?;
    }
    let nanos = match (request.retention_period_seconds, request.retention_period_hrs) {
        (Some(seconds), _) => seconds.checked_mul(SECOND_NS),
        (None, nanos) => Some(nanos.unwrap_or(0)),
    };
    match nanos {
        Some(nanos) if nanos >= 0 => Ok(Some(nanos).filter(|n| *n > 0)),
        _ => Err(ApiError::invalid("the retention period is negative or too long")),
    }
}

fn already_done() -> ApiError {
    ApiError::new(Code::Conflict, "onboarding has already been completed")
}

/// `GET /api/v2/setup`
pub(crate) async fn get(State(app): State<App>) -> Response {
    let allowed = app.options.setup_allowed && !app.look(catalog::State::is_set_up);
    error::json(StatusCode::OK, &json!({ "allowed": allowed }))
}

/// `POST /api/v2/setup`
pub(crate) async fn post(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    if app.look(catalog::State::is_set_up) {
        return Err(already_done());
    }
    if !app.options.setup_allowed {
        return Err(ApiError::forbidden(
            "set-up over the network is off because the server is not bound to loopback: start it with \
             DOCKER_INFLUXDB_INIT_* (or the init-* settings), or bound to loopback for the set-up",
        ));
    }
    let (parts, body) = request.into_parts();
    let wanted: SetupRequest = super::json_body(&app, &parts.headers, body).await?;
    let made = setup(&*app.ports.catalog, wanted, app.ports.clock.now()).await?;
    let auth = app.look(|state| shape::authorization(state, &made.authorization, Some(&made.token)));
    let answer = json!({
        "user": shape::user(&made.user),
        "bucket": shape::bucket(&made.bucket),
        "org": shape::org(&made.org),
        "auth": auth,
    });
    Ok(error::json(StatusCode::CREATED, &answer))
}
