//! First set-up from the configuration: what the official container image of InfluxDB takes from its environment.

use std::time::Duration;

use super::error::{ConfigError, Expected};
use super::secret::Secret;

/// The settings without which nothing is set up.
pub(super) const NEEDED: &str = "init-username, init-password, init-org and init-bucket";

/// The user, organization and bucket to make at the first start. Nothing is done when the cluster is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// Name of the first user.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// Name of the first organization.
    pub org: String,
    /// Name of the first bucket.
    pub bucket: String,
    /// How long the bucket keeps points; `None` is for ever.
    pub retention: Option<Duration>,
    /// The operator's token; `None` makes one up.
    pub admin_token: Option<Secret>,
}

/// What was given of [`Init`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) mode: bool,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) org: Option<String>,
    pub(super) bucket: Option<String>,
    pub(super) retention: Option<Duration>,
    pub(super) admin_token: Option<Secret>,
}

impl Given {
    /// All of it, nothing of it, or an error that names what is missing.
    pub(super) fn complete(self) -> Result<Option<Init>, ConfigError> {
        let anything = self.mode
            || self.username.is_some()
            || self.password.is_some()
            || self.org.is_some()
            || self.bucket.is_some()
            || self.retention.is_some()
            || self.admin_token.is_some();
        match (self.username, self.password, self.org, self.bucket) {
            (Some(username), Some(password), Some(org), Some(bucket)) => {
                let (retention, admin_token) = (self.retention, self.admin_token);
                Ok(Some(Init { username, password, org, bucket, retention, admin_token }))
            }
            _ if !anything => Ok(None),
            (username, password, org, bucket) => {
                let missing: Vec<&str> = [
                    ("init-username", username.is_none()),
                    ("init-password", password.is_none()),
                    ("init-org", org.is_none()),
                    ("init-bucket", bucket.is_none()),
                ]
                .into_iter()
                .filter_map(|(name, missing)| missing.then_some(name))
                .collect();
                Err(ConfigError::InitIncomplete { missing: missing.join(", ") })
            }
        }
    }
}

/// `setup`, or nothing. InfluxDB's image also knows `upgrade`.
pub(super) fn mode(text: &str) -> Result<bool, Expected> {
    match text {
        "" => Ok(false),
        "setup" => Ok(true),
        _ => Err(Expected("setup (data of InfluxDB 1.x is not upgraded in place)")),
    }
}

/// A password that may be set.
pub(super) fn password(text: &str) -> Result<Option<Secret>, Expected> {
    if text.is_empty() {
        return Ok(None);
    }
    let checked = catalog::auth::check_password(text);
    checked.map_err(|_length| Expected("a password of 8 to 72 characters"))?;
    Ok(Some(Secret::new(text.to_owned())))
}

/// A retention: nothing, `0` or `inf` is for ever, else at least an hour.
pub(super) fn retention(text: &str) -> Result<Option<Duration>, Expected> {
    if matches!(text, "" | "inf" | "INF") {
        return Ok(None);
    }
    let given = super::units::duration(text)?;
    if given.is_zero() {
        return Ok(None);
    }
    let is_long_enough = given >= Duration::from_secs(3600);
    is_long_enough.then_some(Some(given)).ok_or(Expected("0 (for ever) or a duration of at least 1h"))
}

/// A text that is there.
pub(super) fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
