//! Applying commands: decide what changes, then change it.
//!
//! `decide` reads the state and a command and answers the changes and the response; it is pure and total, and a
//! refusal has no changes. The messages are InfluxDB's, because clients and scripts match on them.

mod access;
mod buckets;
mod checks;
mod continuous;
mod fields;
mod nodes;
mod orgs;
mod recover;
mod replicas;
#[cfg(test)]
mod tests;

use crate::change::Change;
use crate::command::{CatalogError, Command, Response};
use crate::limits::Limits;
use crate::state::State;

/// What a command leads to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decision {
    /// The changes, in order.
    pub(crate) changes: Vec<Change>,
    /// The response.
    pub(crate) response: Response,
}

/// Applies a command to a state.
pub fn apply(state: &mut State, command: &Command) -> Response {
    let decision = decide(state, command, &Limits::FORMAT);
    for change in decision.changes {
        state.make(change);
    }
    decision.response
}

/// Decides what a command does, without doing it.
pub(crate) fn decide(state: &State, command: &Command, limits: &Limits) -> Decision {
    let changes = match command {
        Command::RegisterFields { bucket, fields } => {
            let (changes, outcomes) = fields::register(state, *bucket, fields, limits);
            return Decision { changes, response: Response::Fields(outcomes) };
        }
        other => changes(state, other, limits),
    };
    match changes {
        Ok(changes) => Decision { changes, response: Response::Done },
        Err(error) => Decision { changes: Vec::new(), response: Response::Refused(error) },
    }
}

/// The changes of every command whose answer is done or refused.
fn changes(state: &State, command: &Command, limits: &Limits) -> Result<Vec<Change>, CatalogError> {
    match command {
        Command::Bootstrap { cluster_id, replication, nodes, placements } => {
            nodes::bootstrap(state, *cluster_id, *replication, nodes, placements, limits)
        }
        Command::Recover { cluster_id, next_node, next_replica, nodes, lost, placements } => {
            let next = (*next_node, *next_replica);
            recover::recover(state, *cluster_id, next, nodes, lost, placements, limits)
        }
        Command::RegisterNode { node } => nodes::register(state, node, limits),
        Command::AddReplica { group, node, replaces } => replicas::add(state, *group, *node, *replaces),
        Command::ChangeVotes { group, gain, lose } => replicas::change_votes(state, *group, gain, lose),
        Command::SetReplication { replicas } => nodes::set_replication(state, *replicas),
        Command::RaiseLevel { to } => nodes::raise_level(state, *to),
        Command::RemoveReplica { group, replica } => replicas::remove(state, *group, *replica),
        Command::PreferLeader { group, replica } => replicas::prefer(state, *group, *replica),
        Command::SetNodeState { node, state: wanted } => nodes::set_state(state, *node, *wanted),
        Command::Setup { user, org, buckets, authorization } => {
            orgs::set_up(state, user, org, buckets, authorization, limits)
        }
        Command::CreateOrg { org, buckets, owner } => orgs::create(state, org, buckets, *owner, limits),
        Command::UpdateOrg { id, name, description, at } => {
            orgs::update(state, *id, name.as_deref(), description.as_deref(), *at, limits)
        }
        Command::DeleteOrg { id } => orgs::delete(state, *id),
        Command::CreateBucket { bucket } => buckets::create(state, bucket, limits),
        Command::UpdateBucket { id, name, description, retention_ns, shard_duration_ns, at } => {
            let update = buckets::Update {
                name: name.as_deref(),
                description: description.as_deref(),
                retention_ns: *retention_ns,
                shard_duration_ns: *shard_duration_ns,
                at: *at,
            };
            buckets::update(state, *id, &update, limits)
        }
        Command::DeleteBucket { id } => buckets::delete(state, *id),
        Command::CreateUser { user } => access::create_user(state, user, limits),
        Command::SetPassword { user, hash } => access::set_password(state, *user, hash),
        Command::DeleteUser { id } => access::delete_user(state, *id),
        Command::CreateAuthorization { authorization } => {
            access::create_authorization(state, authorization, limits)
        }
        Command::UpdateAuthorization { id, status, description, at } => {
            access::update_authorization(state, *id, *status, description.as_deref(), *at, limits)
        }
        Command::ChangePermissions { id, add, remove, at } => {
            access::change_permissions(state, *id, add, remove, *at, limits)
        }
        Command::ChangeOwner { user, org, owns } => access::change_owner(state, *user, *org, *owns),
        Command::CreateContinuousQuery { query } => continuous::create(state, query, limits),
        Command::DeleteContinuousQuery { id } => continuous::delete(state, *id),
        Command::NoteContinuousRun { id, at } => Ok(continuous::note_run(state, *id, *at)),
        Command::DeleteAuthorization { id } => access::delete_authorization(state, *id),
        Command::CreateDbrp { dbrp } => buckets::create_dbrp(state, dbrp, limits),
        Command::DeleteDbrp { id } => Ok(buckets::delete_dbrp(state, *id)),
        Command::ForgetMeasurements { bucket, measurements } => {
            Ok(fields::forget(state, *bucket, measurements))
        }
        Command::RegisterFields { .. } => Ok(Vec::new()),
    }
}
