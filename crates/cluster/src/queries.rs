//! The queries that run in a cluster: whoever is asked asks the nodes.
//!
//! A query's number says where it runs, so that it can be ended from anywhere:
//! ```text
//!  13 bits: the node's id (0 at a gateway, which nobody can ask)    40 bits: counted there
//! ```
//! Clients read numbers as floats, which hold 53 bits.

use std::time::Duration;

use futures::future::join_all;
use model::{NodeId, OrgId};
use proto::peer;
use tokio::time::timeout;
use tonic::Request;

use crate::cluster::Cluster;
use crate::courier::Courier;
use crate::peer::links::{Class, Link};
use crate::peer::route::Route;

/// How long a node may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Bits of a number that are counted at a node.
const COUNTED_BITS: u32 = 40;
/// Node ids below this tell nodes apart.
const NODES: u64 = 1 << 13;

/// A query that runs somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningQuery {
    /// Its number.
    pub id: u64,
    /// Whose it is.
    pub org: OrgId,
    /// Its text.
    pub text: String,
    /// The database that it is asked of; empty where it names its own.
    pub database: String,
    /// For how long it has run.
    pub took: Duration,
    /// Whether it was told to end.
    pub is_killed: bool,
}

/// The queries of one process.
pub trait Queries: Send + Sync + 'static {
    /// Those that run: of an organization, or of all.
    fn running(&self, org: Option<OrgId>) -> Vec<RunningQuery>;
    /// Ends one, of an organization or of any; false when there is none of this number.
    fn kill(&self, org: Option<OrgId>, id: u64) -> bool;
}

/// The queries of a cluster, as far as its nodes have answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllQueries {
    /// By number.
    pub queries: Vec<RunningQuery>,
    /// The nodes that have not answered.
    pub silent: Vec<NodeId>,
}

/// Why a query was not ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KillError {
    /// There is none of this number.
    #[error("no such query id: {0}")]
    Unknown(u64),
    /// The node that its number names does not answer.
    #[error("node {0}, where the query runs, does not answer")]
    Silent(NodeId),
}

/// The number of the query that is counted as `count` at a node; a gateway is none.
#[must_use]
pub fn query_id(node: Option<NodeId>, count: u64) -> u64 {
    let counted = count & ((1 << COUNTED_BITS) - 1);
    place_of(node) << COUNTED_BITS | counted
}

fn place_of(node: Option<NodeId>) -> u64 {
    node.map_or(0, |node| node.get() % NODES)
}

/// Whether a query of this number would run at a node.
#[must_use]
pub fn is_at(node: NodeId, id: u64) -> bool {
    id >> COUNTED_BITS == place_of(Some(node))
}

impl Cluster {
    /// The queries that run, of an organization or of all.
    pub async fn running_queries(&self, org: Option<OrgId>) -> AllQueries {
        let mut all = AllQueries::default();
        if let Some(own) = self.queries() {
            all.queries.extend(own.running(org));
        }
        let courier = self.courier();
        let asked = courier
            .nodes_to_ask()
            .into_iter()
            .map(|(id, uuid, address)| async move { (id, ask(courier, (uuid, &address), org, None).await) });
        for (id, answer) in join_all(asked).await {
            match answer {
                Some(answer) => all.queries.extend(answer.queries.into_iter().filter_map(read)),
                None => all.silent.push(id),
            }
        }
        all.queries.sort_unstable_by_key(|query| query.id);
        all
    }

    /// Ends a query, of an organization or of any, wherever it runs.
    ///
    /// # Errors
    /// See [`KillError`].
    pub async fn kill_query(&self, org: Option<OrgId>, id: u64) -> Result<(), KillError> {
        if self.queries().is_some_and(|own| own.kill(org, id)) {
            return Ok(());
        }
        let courier = self.courier();
        let other = courier.nodes_to_ask().into_iter().find(|(node, ..)| is_at(*node, id));
        let Some((node, uuid, address)) = other else { return Err(KillError::Unknown(id)) };
        match ask(courier, (uuid, &address), org, Some(id)).await {
            Some(answer) if answer.killed => Ok(()),
            Some(_) => Err(KillError::Unknown(id)),
            None => Err(KillError::Silent(node)),
        }
    }
}

async fn ask(
    courier: &Courier,
    (uuid, address): (u128, &str),
    org: Option<OrgId>,
    kill: Option<u64>,
) -> Option<peer::QueriesResponse> {
    let link = courier.links.to(uuid, address);
    let asked = send(&link, courier.route(uuid, None), org, kill);
    timeout(ANSWER_WITHIN, asked).await.ok().flatten()
}

async fn send(
    link: &Link,
    route: Route,
    org: Option<OrgId>,
    kill: Option<u64>,
) -> Option<peer::QueriesResponse> {
    let mut request = Request::new(peer::QueriesRequest { org: org.map_or(0, OrgId::get), kill });
    route.attach(&mut request);
    request.set_timeout(ANSWER_WITHIN);
    Some(link.client(Class::Request).ok()?.queries(request).await.ok()?.into_inner())
}

/// What a node answers that was asked.
pub(crate) fn answer(queries: &dyn Queries, asked: &peer::QueriesRequest) -> peer::QueriesResponse {
    let org = OrgId::new(asked.org);
    match asked.kill {
        Some(id) => peer::QueriesResponse { queries: Vec::new(), killed: queries.kill(org, id) },
        None => {
            let queries = queries.running(org).into_iter().map(message).collect();
            peer::QueriesResponse { queries, killed: false }
        }
    }
}

fn message(query: RunningQuery) -> peer::RunningQuery {
    let RunningQuery { id, org, text, database, took, is_killed } = query;
    let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    peer::RunningQuery { id, org: org.get(), text, database, took_ns, killed: is_killed }
}

fn read(query: peer::RunningQuery) -> Option<RunningQuery> {
    let peer::RunningQuery { id, org, text, database, took_ns, killed } = query;
    let took = Duration::from_nanos(took_ns);
    Some(RunningQuery { id, org: OrgId::new(org)?, text, database, took, is_killed: killed })
}

#[cfg(test)]
mod tests;
