//! The set-up that the configuration asks for.

use gateway::SetupRequest;

use super::Node;
use crate::config::Config;
use crate::error::ServeError;

impl Node {
    /// The set-up that the configuration asks for, once for the whole cluster.
    pub(crate) async fn set_up_as_configured(&self, config: &Config) -> Result<(), ServeError> {
        let Some(init) = &config.init else { return Ok(()) };
        if self.cluster.catalog().read().is_set_up() {
            return Ok(());
        }
        let request = SetupRequest {
            username: init.username.clone(),
            password: Some(init.password.expose().to_owned()),
            org: init.org.clone(),
            bucket: init.bucket.clone(),
            retention_period_seconds: init.retention.map(|r| i64::try_from(r.as_secs()).unwrap_or(i64::MAX)),
            retention_period_hrs: None,
            token: init.admin_token.as_ref().map(|token| token.expose().to_owned()),
        };
        let catalog = self.catalog();
        loop {
            match gateway::setup(&catalog, request.clone(), self.clock.now()).await {
                Ok(result) => {
                    tracing::info!(user = %result.user.name, org = %result.org.name, bucket = %result.bucket.name, "set up");
                    return Ok(());
                }
                Err(error) if error.code == gateway::Code::Conflict => return Ok(()),
                // Each try has waited for the other nodes already.
                Err(error) if error.code == gateway::Code::Unavailable && !self.cluster.is_alone() => {
                    tracing::info!(reason = error.message, "not set up yet");
                }
                Err(error) => return Err(ServeError::Init(error.message)),
            }
        }
    }
}
