//! Continuous queries.

use model::{ContinuousQueryId, Timestamp};

use super::checks::{self, Checked, conflict, id_taken, invalid, not_found, unprocessable};
use crate::change::Change;
use crate::limits::Limits;
use crate::resources::ContinuousQuery;
use crate::state::State;

pub(super) fn create(state: &State, query: &ContinuousQuery, limits: &Limits) -> Checked<Vec<Change>> {
    checks::name(&query.name, limits)?;
    checks::name(&query.database, limits)?;
    if query.text.len() > limits.description_bytes {
        let most = limits.description_bytes;
        return Err(invalid(format!("a continuous query is at most {most} bytes long")));
    }
    if state.org(query.org).is_none() {
        return Err(not_found("organization not found"));
    }
    if let Some(existing) = state.continuous_query_by_name(query.org, &query.database, &query.name) {
        return match existing.text == query.text {
            true => Ok(Vec::new()),
            false => Err(conflict("continuous query already exists")),
        };
    }
    if state.continuous_queries().count() >= limits.continuous_queries {
        let most = limits.continuous_queries;
        return Err(unprocessable(format!("there are at most {most} continuous queries")));
    }
    if state.continuous_query(query.id).is_some() {
        return Err(id_taken());
    }
    Ok(vec![Change::PutContinuousQuery(query.clone())])
}

pub(super) fn delete(state: &State, id: ContinuousQueryId) -> Checked<Vec<Change>> {
    match state.continuous_query(id) {
        Some(_) => Ok(vec![Change::DropContinuousQuery(id)]),
        None => Err(not_found("continuous query not found")),
    }
}

pub(super) fn note_run(state: &State, id: ContinuousQueryId, at: Timestamp) -> Vec<Change> {
    let Some(query) = state.continuous_query(id) else { return Vec::new() };
    if query.last_run.is_some_and(|last| last >= at) {
        return Vec::new();
    }
    vec![Change::PutContinuousQuery(ContinuousQuery { last_run: Some(at), ..query.clone() })]
}

#[cfg(test)]
mod tests;
