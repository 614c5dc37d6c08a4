//! Who asks, and what they may do. Decided from headers and URL alone, before the body is read.
//!
//! Invariant: nobody is refused, as unknown, as inactive or for a write, but after a barrier of the catalog, because clients
//! drop data on 401's relatives, and a token made or switched on a moment ago on another node must work here.

pub(crate) mod credentials;
pub(crate) mod grants;
pub(crate) mod passwords;
pub(crate) mod sessions;

use std::future::Future;

use catalog::{Action, Authorization, Bucket, Command, Org, ResourceType, State, Status, User};
use http::HeaderMap;
use model::{OrgId, Timestamp, UserId};

use crate::error::{ApiError, Code};
use crate::gateway::Shared;
use crate::params::Params;
use crate::random;
use crate::v2::setup::system_buckets;

use credentials::Credentials;
use grants::Grants;

/// The name of the organization that the open 1.x routes make for themselves.
const OPEN_ORG: &str = "default";

/// Someone who was let in.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The user; `None` when authorization is off.
    pub(crate) user: Option<UserId>,
    /// The organization that 1.x routes mean.
    pub(crate) org: Option<OrgId>,
    /// The rights.
    pub(crate) grants: Grants,
}

/// Why credentials do not let in.
enum Refused {
    /// Nobody has them.
    Unknown,
    /// The user is known and must not come in.
    Inactive,
}

/// Authenticates a request to `/api/v2`: `Token`, `Bearer`, or the session cookie.
pub(crate) async fn v2(app: &Shared, headers: &HeaderMap) -> Result<Identity, ApiError> {
    let found = match Credentials::v2(headers) {
        Credentials::Token(token) => by_token(app, &token).await?,
        Credentials::Session(key) => match app.sessions.touch(&key, app.ports.clock.monotonic()) {
            Some(user) => {
                let identity = |state: &State| state.user(user).map(|u| of_user(state, u));
                find_or_refuse(app, identity).await?
            }
            None => Err(Refused::Unknown),
        },
        Credentials::Password { .. } | Credentials::None => return Err(ApiError::unauthorized()),
    };
    found.map_err(|refused| refuse(app, &refused, "unauthorized access"))
}

/// Authenticates a request to the 1.x routes.
pub(crate) async fn v1(app: &Shared, headers: &HeaderMap, params: &Params) -> Result<Identity, ApiError> {
    if !app.options.auth_enabled {
        return everyone(app).await;
    }
    let found = match Credentials::v1(headers, params) {
        Credentials::Token(token) => by_token(app, &token).await?,
        Credentials::Password { user, password } => by_password_or_token(app, &user, &password).await?,
        Credentials::Session(_) | Credentials::None => {
            return Err(ApiError::new(Code::Unauthorized, "unable to parse authentication credentials"));
        }
    };
    found.map_err(|refused| refuse(app, &refused, "authorization failed"))
}

fn refuse(app: &Shared, refused: &Refused, unknown: &str) -> ApiError {
    app.metrics.logins_refused.inc();
    match refused {
        Refused::Unknown => ApiError::new(Code::Unauthorized, unknown),
        Refused::Inactive => ApiError::forbidden("User is inactive"),
    }
}

/// The caller of an open 1.x route: full rights in the first organization, which is made where there is none, since
/// InfluxDB 1.x knows neither set-up nor organizations.
async fn everyone(app: &Shared) -> Result<Identity, ApiError> {
    let first = |state: &State| state.orgs().min_by_key(|o| (o.created_at, o.id)).map(|o| o.id);
    let org = match app.find(first).await? {
        Some(org) => org,
        None => {
            let made = app.change(first_org(app.ports.clock.now())).await;
            // Another request may have been faster.
            match (app.find(first).await?, made) {
                (Some(org), _) => org,
                (None, Err(error)) => return Err(error),
                (None, Ok(())) => {
                    return Err(ApiError::internal(&"the first organization is not in the catalog"));
                }
            }
        }
    };
    Ok(Identity { user: None, org: Some(org), grants: Grants::owner(org) })
}

/// The organization of a node that nobody has set up.
fn first_org(now: Timestamp) -> Command {
    let id = random::id(OrgId::new);
    let org = Org {
        id,
        name: OPEN_ORG.to_owned(),
        description: "Made for the open 1.x routes".to_owned(),
        created_at: now,
        updated_at: now,
    };
    Command::CreateOrg { org, buckets: system_buckets(id, now), owner: None }
}

async fn by_token(app: &Shared, token: &str) -> Result<Result<Identity, Refused>, ApiError> {
    let hash = catalog::auth::hash_token(token);
    find_or_refuse(app, |state| state.authorization_by_hash(&hash).map(|a| of_token(state, a))).await
}

/// Looks somebody up in the local catalog, and refuses only after a barrier.
async fn find_or_refuse(
    app: &Shared,
    look: impl Fn(&State) -> Option<Result<Identity, Refused>>,
) -> Result<Result<Identity, Refused>, ApiError> {
    if let Some(Ok(identity)) = app.look(&look) {
        return Ok(Ok(identity));
    }
    app.barrier().await?;
    Ok(app.look(&look).unwrap_or(Err(Refused::Unknown)))
}

/// Whether somebody may write into a bucket. A no is only believed after a barrier and another look at `again`.
pub(crate) async fn may_write(
    app: &Shared,
    who: &Identity,
    again: impl Future<Output = Result<Identity, ApiError>>,
    bucket: &Bucket,
) -> Result<bool, ApiError> {
    let (id, org) = (Some(bucket.id.get()), Some(bucket.org));
    let may = |who: &Identity| who.grants.allow(Action::Write, ResourceType::Buckets, id, org);
    if may(who) {
        return Ok(true);
    }
    app.barrier().await?;
    again.await.map(|who| may(&who))
}

/// The name of the user.
pub(crate) fn name(app: &Shared, who: &Identity) -> Option<String> {
    app.look(|state| who.user.and_then(|id| state.user(id).map(|user| user.name.clone())))
}

fn of_token(state: &State, authorization: &Authorization) -> Result<Identity, Refused> {
    if authorization.status != Status::Active {
        return Err(Refused::Unknown);
    }
    if state.user(authorization.user).is_none_or(|u| u.status != Status::Active) {
        return Err(Refused::Inactive);
    }
    Ok(Identity {
        user: Some(authorization.user),
        org: Some(authorization.org),
        grants: Grants::of_token(authorization),
    })
}

/// A signed-in user has what it owns and what all of its tokens may do.
fn of_user(state: &State, user: &User) -> Result<Identity, Refused> {
    if user.status != Status::Active {
        return Err(Refused::Inactive);
    }
    let mut own = state.authorizations().filter(|a| a.user == user.id && a.status == Status::Active);
    let org = user.owner_of.first().copied().or_else(|| own.next().map(|a| a.org));
    Ok(Identity { user: Some(user.id), org, grants: Grants::of_user(state, user) })
}

async fn by_password_or_token(
    app: &Shared,
    user: &str,
    password: &str,
) -> Result<Result<Identity, Refused>, ApiError> {
    // The token first: looking one up is cheap, verifying a password is not.
    let hash = catalog::auth::hash_token(password);
    let token = |state: &State| state.authorization_by_hash(&hash).map(|a| of_token(state, a));
    if let Some(Ok(identity)) = app.look(token) {
        return Ok(Ok(identity));
    }
    if let Some(Ok(identity)) = by_password(app, user, password).await? {
        return Ok(Ok(identity));
    }
    app.barrier().await?;
    if let Some(found) = app.look(token) {
        return Ok(found);
    }
    Ok(by_password(app, user, password).await?.unwrap_or(Err(Refused::Unknown)))
}

/// Judges a password by the local catalog; `None` when the user is unknown or the password wrong.
async fn by_password(
    app: &Shared,
    user: &str,
    password: &str,
) -> Result<Option<Result<Identity, Refused>>, ApiError> {
    let stored = app.look(|s| s.user_by_name(user).and_then(|u| Some((u.id, u.password_hash.clone()?))));
    let Some((id, hash)) = stored else { return Ok(None) };
    if !app.passwords.verify(app, user, password, &hash).await? {
        return Ok(None);
    }
    Ok(app.look(|state| state.user(id).map(|u| of_user(state, u))))
}

/// Signs a user in by name and password.
pub(crate) async fn sign_in(app: &Shared, headers: &HeaderMap) -> Result<UserId, ApiError> {
    let Credentials::Password { user, password } = Credentials::basic(headers) else {
        return Err(ApiError::unauthorized());
    };
    let mut found = by_password(app, &user, &password).await?;
    if !matches!(found, Some(Ok(_))) {
        app.barrier().await?;
        found = by_password(app, &user, &password).await?;
    }
    let identity = found
        .unwrap_or(Err(Refused::Unknown))
        .map_err(|refused| refuse(app, &refused, "unauthorized access"))?;
    identity.user.ok_or_else(ApiError::unauthorized)
}
