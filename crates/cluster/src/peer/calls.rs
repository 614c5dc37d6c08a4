//! Proposals and barriers to the leader of a group on another node.

use std::time::Duration;

use bytes::Bytes;
use catalog::Response;
use model::{GroupId, ReplicaId};
use proto::peer::{self, propose_response::Outcome, read_index::Result as Read};
use tonic::{Request, Status};

use super::links::{Class, Link, was_never_sent};
use super::route::Route;
use super::traces;
use crate::barrier::Proof;
use crate::error::ProposeError;
use crate::group::Committed;
use crate::raft::types::Applied;

/// Proposes entries to a group's member on another node; with `hand_on`, over that node to this member on a third.
pub(crate) async fn propose(
    link: &Link,
    route: Route,
    group: GroupId,
    hand_on: Option<ReplicaId>,
    entries: Vec<Bytes>,
    within: Duration,
) -> Result<Committed, ProposeError> {
    let unknown = |reason: String| ProposeError::Unknown { group, reason };
    let unavailable = |reason: String| ProposeError::Unavailable { group, reason };
    let mut request = Request::new({
        let member = |replica: ReplicaId| peer::GroupMember { group: group.number(), replica: replica.0 };
        peer::ProposeRequest { entries, hand_on: hand_on.map(member) }
    });
    route.attach(&mut request);
    let mut span = traces::asks("tidemark.peer.v1.Peer/Propose", "Propose", route.to_node);
    traces::attach(&mut request, &span);
    request.set_timeout(within);
    let answer = match link.client(Class::Request) {
        Ok(mut client) => client.propose(request).await.inspect_err(|status| span.fail(text(status))),
        Err(status) => return Err(unavailable(text(&status))),
    };
    let outcome = match answer {
        Ok(response) => response.into_inner().outcome,
        Err(status) if is_certain(&status) => return Err(not_leader(group, 0)),
        Err(status) => return Err(unknown(text(&status))),
    };
    match outcome.ok_or_else(|| unknown("the leader's answer is empty".to_owned()))? {
        Outcome::Done(done) if done.response.is_empty() => {
            Ok(Committed { index: done.index, answer: Applied::Done })
        }
        Outcome::Done(done) => {
            let response = Response::decode(&done.response).map_err(|error| unknown(error.to_string()))?;
            Ok(Committed { index: done.index, answer: Applied::Catalog(response) })
        }
        Outcome::NotLeader(leader) => Err(not_leader(group, leader.replica)),
        Outcome::Unavailable(reason) => Err(unavailable(reason)),
        Outcome::Overloaded(peer::Nothing {}) => Err(ProposeError::Overloaded { group }),
        Outcome::Unknown(reason) => Err(unknown(reason)),
    }
}

/// The message of a proposal's outcome.
pub(crate) fn propose_response(result: Result<Committed, ProposeError>) -> peer::ProposeResponse {
    let outcome = match result {
        Ok(Committed { index, answer: Applied::Done }) => {
            Outcome::Done(peer::Done { index, response: Bytes::new() })
        }
        Ok(Committed { index, answer: Applied::Catalog(response) }) => {
            Outcome::Done(peer::Done { index, response: response.encode().into() })
        }
        Err(ProposeError::NotLeader { leader, .. }) => Outcome::NotLeader(of(leader)),
        Err(ProposeError::Overloaded { .. }) => Outcome::Overloaded(peer::Nothing {}),
        Err(ProposeError::Unknown { reason, .. }) => Outcome::Unknown(reason),
        Err(ProposeError::Unavailable { reason, .. }) => Outcome::Unavailable(reason),
        Err(
            error @ (ProposeError::Behind { .. }
            | ProposeError::TooLarge { .. }
            | ProposeError::NoSuchGroup(_)),
        ) => Outcome::Unavailable(error.to_string()),
    };
    peer::ProposeResponse { outcome: Some(outcome) }
}

/// Asks another node, which leads some groups, up to where each must be applied. An answer for each group.
pub(crate) async fn read_index(
    link: &Link,
    route: Route,
    groups: &[(GroupId, ReplicaId)],
    proof: Proof,
    within: Duration,
) -> Vec<Result<u64, ProposeError>> {
    let members =
        groups.iter().map(|(group, replica)| peer::GroupMember { group: group.number(), replica: replica.0 });
    let confirmed = proof == Proof::Quorum;
    let mut request = Request::new(peer::ReadIndexRequest { groups: members.collect(), confirmed });
    route.attach(&mut request);
    request.set_timeout(within);
    let answer = async { Ok(link.client(Class::Request)?.read_index(request).await?.into_inner().reads) };
    let reads: Result<Vec<peer::ReadIndex>, Status> = answer.await;
    let mut reads = reads.map(Vec::into_iter);
    let one = |group: GroupId| {
        let unavailable = |reason: String| ProposeError::Unavailable { group, reason };
        match &mut reads {
            Err(status) if is_certain(status) => Err(not_leader(group, 0)),
            Err(status) => Err(unavailable(text(status))),
            Ok(reads) => match reads.next().and_then(|read| read.result) {
                Some(Read::Index(index)) => Ok(index),
                Some(Read::NotLeader(leader)) => Err(not_leader(group, leader.replica)),
                Some(Read::Unavailable(reason)) => Err(unavailable(reason)),
                None => Err(unavailable("the leader's answer is empty".to_owned())),
            },
        }
    };
    groups.iter().map(|(group, _)| *group).map(one).collect()
}

/// The message of a read index.
pub(crate) fn read_index_response(result: Result<u64, ProposeError>) -> peer::ReadIndex {
    let result = match result {
        Ok(index) => Read::Index(index),
        Err(ProposeError::NotLeader { leader, .. }) => Read::NotLeader(of(leader)),
        Err(error) => Read::Unavailable(error.to_string()),
    };
    peer::ReadIndex { result: Some(result) }
}

/// The message of who leads.
pub(crate) fn of(leader: Option<ReplicaId>) -> peer::Leader {
    peer::Leader { replica: leader.map_or(0, |leader| leader.0) }
}

fn not_leader(group: GroupId, leader: u64) -> ProposeError {
    ProposeError::NotLeader { group, leader: (leader != 0).then_some(ReplicaId(leader)) }
}

/// Whether nothing can have been done: the call never left, or was refused before it was read.
pub(crate) fn is_certain(status: &Status) -> bool {
    was_never_sent(status) || super::route::Refusal::of(status).is_some()
}

fn text(status: &Status) -> String {
    format!("{}: {}", status.code(), status.message())
}
