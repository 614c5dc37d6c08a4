//! What nodes say of themselves and of their groups, as messages.

use std::time::Duration;

use catalog::NodeState;
use disk::Space;
use model::{Digest, GroupId, OrgId, ReplicaId};
use proto::peer::{self, compared::Outcome as Comparing, hand_over_response::Outcome};
use tonic::{Request, Status};
use trace::{Collected, TraceId};

use super::calls::{is_certain, of};
use super::links::{Class, Link, reason};
use super::route::{Refusal, Route, id};
use super::watch::GatewayInfo;
use crate::comparison::{self, Compared};
use crate::error::HandOverError;
use crate::group::GroupStatus;

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReport {
    /// The groups that have a member there.
    pub groups: Vec<GroupStatus>,
    /// The file system of its data directory, where that is known.
    pub space: Option<Space>,
    /// The gateways that follow the catalog through it.
    pub gateways: Vec<GatewayInfo>,
}

/// Asks another node.
pub(crate) async fn node_status(link: &Link, route: Route, within: Duration) -> Result<NodeReport, String> {
    let mut request = Request::new(peer::NodeStatusRequest {});
    route.attach(&mut request);
    request.set_timeout(within);
    let answer = async { Ok(link.client(Class::Request)?.node_status(request).await?.into_inner()) };
    let answer: Result<peer::NodeStatusResponse, Status> = answer.await;
    read(answer.map_err(|status| reason(&status))?).ok_or_else(|| "its answer makes no sense".to_owned())
}

/// Asks another node for its part of a trace; nothing from one that does not know, or is of a version that cannot.
pub(crate) async fn collect_trace(
    link: &Link,
    route: Route,
    trace: TraceId,
    within: Duration,
) -> Option<Collected> {
    let mut request = Request::new(peer::CollectTraceRequest { trace: id(trace.get()) });
    route.attach(&mut request);
    request.set_timeout(within);
    let answer = link.client(Class::Request).ok()?.collect_trace(request).await.ok()?;
    let peer::CollectTraceResponse { owner, spans } = answer.into_inner();
    Some(Collected { owner: OrgId::new(owner), spans })
}

/// Whether another node says that this one is out of the cluster for good.
pub(crate) async fn says_out(link: &Link, route: Route, within: Duration) -> Option<NodeState> {
    let mut request = Request::new(peer::NodeStatusRequest {});
    route.attach(&mut request);
    request.set_timeout(within);
    let refused = link.client(Class::Request).ok()?.node_status(request).await.err()?;
    Refusal::out_of(&refused)
}

/// The message of what this node says.
pub(crate) fn message(report: &NodeReport) -> peer::NodeStatusResponse {
    let group = |status: &GroupStatus| peer::GroupStatus {
        group: status.group.number(),
        replica: status.replica.0,
        leader: status.leader.map_or(0, |leader| leader.0),
        term: status.term,
        last: status.last,
        committed: status.committed,
        applied: status.applied,
        purged: status.purged,
        in_flight_bytes: status.in_flight_bytes,
        running: status.running,
        files_bytes: status.files.map(|(bytes, _)| bytes),
        files_bytes_all: status.files.map_or(0, |(_, all)| all),
        voters: status.voters.iter().map(|voter| voter.0).collect(),
        compared: status.compared.as_ref().map(compared),
    };
    peer::NodeStatusResponse {
        groups: report.groups.iter().map(group).collect(),
        disk_free: report.space.map_or(0, |space| space.free_bytes),
        disk_total: report.space.map_or(0, |space| space.total_bytes),
        gateways: report.gateways.iter().map(GatewayInfo::message).collect(),
    }
}

fn compared(compared: &Compared) -> peer::Compared {
    let outcome = match &compared.outcome {
        comparison::Outcome::Computing => Comparing::Computing(peer::Nothing {}),
        comparison::Outcome::Held(Digest { sum, values }) => {
            Comparing::Digest(peer::Digest { sum: *sum, values: *values })
        }
        comparison::Outcome::Failed(reason) => Comparing::Failed(reason.clone()),
    };
    peer::Compared { index: compared.index, outcome: Some(outcome) }
}

fn read_compared(message: &peer::Compared) -> Option<Compared> {
    let outcome = match message.outcome.as_ref()? {
        Comparing::Computing(peer::Nothing {}) => comparison::Outcome::Computing,
        Comparing::Digest(peer::Digest { sum, values }) => {
            comparison::Outcome::Held(Digest { sum: *sum, values: *values })
        }
        Comparing::Failed(reason) => comparison::Outcome::Failed(reason.clone()),
    };
    Some(Compared { index: message.index, outcome })
}

fn read(message: peer::NodeStatusResponse) -> Option<NodeReport> {
    let group = |status: &peer::GroupStatus| {
        let leader = (status.leader != 0).then_some(ReplicaId(status.leader));
        Some(GroupStatus {
            group: GroupId::from_number(status.group)?,
            replica: ReplicaId(status.replica),
            leader,
            leading: leader == Some(ReplicaId(status.replica)),
            term: status.term,
            last: status.last,
            committed: status.committed,
            applied: status.applied,
            purged: status.purged,
            in_flight_bytes: status.in_flight_bytes,
            running: status.running,
            files: status.files_bytes.map(|bytes| (bytes, status.files_bytes_all)),
            voters: status.voters.iter().copied().map(ReplicaId).collect(),
            compared: status.compared.as_ref().and_then(read_compared),
        })
    };
    let space = Space { free_bytes: message.disk_free, total_bytes: message.disk_total };
    Some(NodeReport {
        groups: message.groups.iter().map(group).collect::<Option<_>>()?,
        space: (space.total_bytes > 0).then_some(space),
        gateways: message.gateways.into_iter().filter_map(GatewayInfo::read).collect(),
    })
}

/// Asks the leader of a group, on another node, to let another member lead.
pub(crate) async fn hand_over(
    link: &Link,
    route: Route,
    to: ReplicaId,
    within: Duration,
) -> Result<(), HandOverError> {
    let mut request = Request::new(peer::HandOverRequest { replica: to.0 });
    route.attach(&mut request);
    request.set_timeout(within);
    let answer = async { Ok(link.client(Class::Request)?.hand_over(request).await?.into_inner()) };
    let answer: Result<peer::HandOverResponse, Status> = answer.await;
    match answer.map(|answer| answer.outcome) {
        Ok(Some(Outcome::Done(peer::Nothing {}))) => Ok(()),
        Ok(Some(Outcome::NotLeader(leader))) => {
            Err(HandOverError::NotLeader((leader.replica != 0).then_some(ReplicaId(leader.replica))))
        }
        Ok(Some(Outcome::Failed(reason))) => Err(HandOverError::Failed(reason)),
        Ok(None) => Err(HandOverError::Failed("the leader's answer is empty".to_owned())),
        Err(status) if is_certain(&status) => Err(HandOverError::NotLeader(None)),
        Err(status) => Err(HandOverError::Failed(reason(&status))),
    }
}

/// The message of its outcome.
pub(crate) fn hand_over_response(result: Result<(), HandOverError>) -> peer::HandOverResponse {
    let outcome = match result {
        Ok(()) => Outcome::Done(peer::Nothing {}),
        Err(HandOverError::NotLeader(leader)) => Outcome::NotLeader(of(leader)),
        Err(other) => Outcome::Failed(other.to_string()),
    };
    peer::HandOverResponse { outcome: Some(outcome) }
}

#[cfg(test)]
mod tests;
