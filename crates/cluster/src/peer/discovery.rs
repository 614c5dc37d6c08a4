//! How a node without a cluster comes to belong to one: it founds it together with all the others of its list, or
//! joins one that is there.
//!
//! ```text
//! ask all initial peers who they are, again and again
//!   one is a member of a cluster ───────────────────────────► join it
//!   this node is first in the list, and all are new ────────► mint an id, tell all, found
//!   a founder has told this node ───────────────────────────► belong
//!   anything else ──────────────────────────────────────────► wait
//! ```
//! What must always hold: nothing is founded unless every node of the list has answered that it belongs to nothing, or
//! to this very founding; so neither an isolated node nor one that has lost its volume ever founds a second cluster.

use std::sync::Arc;
use std::time::Duration;

use catalog::NodeInfo;
use futures::future::join_all;
use model::{NodeId, ReplicaId};
use proto::peer::{self, who_are_you_response::Stage};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tonic::{Request, Status};
use xxhash_rust::xxh3::xxh3_64;

use super::links::{Client, Links, reason};
use super::myself::{Myself, VERSION};
use super::route::{id, read_id};
use crate::identity::{Belongs, IdentityError, random_id};
use crate::progress::Progress;

/// Pause between two rounds of questions.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long one question may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long a member may take to add a node.
pub(crate) const JOIN_WITHIN: Duration = Duration::from_secs(10);
/// What is waited for is said this often.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What a node of the list has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    node: u128,
    peers_hash: u64,
    zone: String,
    version: String,
    stage: Stands,
}

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Uninitialised,
    Adopted(u128),
    Member(u128),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Nothing but ask again.
    Wait(String),
    /// Join by way of this node of the list.
    Join(usize),
    /// Found a cluster of all.
    Found,
    /// The founding of this node's cluster was finished by the others.
    IsFounded,
}

/// The nodes that found a cluster, in the order of the list.
pub(crate) type Founders = Vec<NodeInfo>;

/// A hash of the list of initial peers.
pub(crate) fn hash_of(peers: &[String]) -> u64 {
    if peers.is_empty() {
        return 0;
    }
    let lengths_and_bytes =
        peers.iter().flat_map(|peer| [&(peer.len() as u64).to_be_bytes(), peer.as_bytes()].concat());
    xxh3_64(&lengths_and_bytes.collect::<Vec<u8>>())
}

/// Waits until this node belongs to a cluster, and for the founder until all others know; a founder is answered who
/// they are, as long as the founding is not over. Ends only so, or when the identity cannot be written.
pub(crate) async fn settle(
    myself: &Arc<Myself>,
    links: &Links,
    peers: &[String],
    advertised: &str,
    progress: &Progress,
) -> Result<Option<Founders>, IdentityError> {
    progress.set("asking the nodes of initial-peers who they are");
    let clients: Vec<Option<Client>> = peers.iter().map(|address| links.dial(address).ok()).collect();
    let mut rounds = interval(ASK_EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: Option<(String, Instant)> = None;
    loop {
        rounds.tick().await;
        let identity = myself.identity();
        if identity.belongs.is_some_and(|place| !place.founder) {
            return Ok(None);
        }
        let answers = join_all(clients.iter().map(|client| who_are_you(myself, client.clone()))).await;
        let own = identity.belongs.map(|place| place.cluster_id);
        let reason = match step(identity.node_uuid, own, myself.peers_hash, &answers) {
            Step::Wait(reason) => reason,
            Step::IsFounded => return Ok(None),
            Step::Join(at) => {
                let position =
                    answers.iter().position(|a| a.as_ref().is_ok_and(|a| a.node == identity.node_uuid));
                let address = position.map_or(advertised, |at| peers[at].as_str());
                match join(myself, clients[at].clone(), address).await {
                    Ok(place) => {
                        let place = myself.belong(place)?;
                        tracing::info!(node = %place.node_id, "joined the cluster");
                        return Ok(None);
                    }
                    Err(status) => format!("{} did not add this node: {}", peers[at], status.message()),
                }
            }
            Step::Found => {
                let cluster_id = match own {
                    Some(cluster_id) => cluster_id,
                    None => random_id()?,
                };
                myself.belong(Belongs::founding(cluster_id, 0))?;
                let answers: Vec<Answer> = answers.into_iter().filter_map(Result::ok).collect();
                match tell_all(myself, cluster_id, &clients, &answers).await {
                    Ok(()) => {
                        let founders = answers.into_iter().zip(peers).map(|(answer, address)| NodeInfo {
                            uuid: answer.node,
                            address: address.clone(),
                            zone: answer.zone,
                            version: answer.version,
                        });
                        return Ok(Some(founders.collect()));
                    }
                    Err(status) => format!("a peer was not told of the cluster: {}", status.message()),
                }
            }
        };
        progress.set(format!("this node belongs to no cluster yet: {reason}"));
        if told.as_ref().is_none_or(|(last, at)| *last != reason || at.elapsed() >= TELL_EVERY) {
            tracing::info!(reason, "this node belongs to no cluster yet");
            told = Some((reason, Instant::now()));
        }
    }
}

/// Decides from what all nodes of the list have answered. `own` is the cluster that this node is about to found.
fn step(node: u128, own: Option<u128>, peers_hash: u64, answers: &[Result<Answer, String>]) -> Step {
    let there = || answers.iter().filter_map(|answer| answer.as_ref().ok());
    if own.is_none()
        && let Some(at) =
            answers.iter().position(|a| a.as_ref().is_ok_and(|a| matches!(a.stage, Stands::Member(_))))
    {
        return Step::Join(at);
    }
    if own.is_some_and(|own| there().any(|answer| answer.stage == Stands::Member(own))) {
        return Step::IsFounded;
    }
    let wait = |reason: &str| Step::Wait(reason.to_owned());
    let Some(position) = answers.iter().position(|a| a.as_ref().is_ok_and(|a| a.node == node)) else {
        return wait("no node of initial-peers is this one, and none is a member of a cluster");
    };
    if position != 0 {
        return wait("the first node of initial-peers founds the cluster when all of them are there");
    }
    for (at, answer) in answers.iter().enumerate() {
        let answer = match answer {
            Ok(answer) => answer,
            Err(reason) => return Step::Wait(format!("node {} of initial-peers: {reason}", at + 1)),
        };
        let mut others = there().filter(|other| other.node == answer.node);
        if others.nth(1).is_some() {
            return Step::Wait(format!("node {} is in initial-peers twice", at + 1));
        }
        if answer.peers_hash != peers_hash {
            return Step::Wait(format!("node {} has another list of initial-peers", at + 1));
        }
        let is_ours = match answer.stage {
            Stands::Uninitialised => true,
            Stands::Adopted(cluster) => own == Some(cluster),
            Stands::Member(_) => false,
        };
        if !is_ours {
            return Step::Wait(format!(
                "node {} belongs to a cluster that was being founded by another: its directory must be emptied, or that \
                 of the other brought back",
                at + 1
            ));
        }
    }
    Step::Found
}

async fn who_are_you(myself: &Myself, client: Option<Client>) -> Result<Answer, String> {
    let request =
        peer::WhoAreYouRequest { node: id(myself.identity().node_uuid), peers_hash: myself.peers_hash };
    let mut client = client.ok_or("its address makes no sense")?;
    let answer = timeout(ANSWER_WITHIN, client.who_are_you(Request::new(request))).await;
    let answer = answer.map_err(|_elapsed| "no answer")?.map_err(|status| reason(&status))?;
    read_answer(answer.into_inner()).ok_or_else(|| "its answer makes no sense".to_owned())
}

fn read_answer(answer: peer::WhoAreYouResponse) -> Option<Answer> {
    let peer::WhoAreYouResponse { node, peers_hash, zone, version, stage } = answer;
    let stage = match stage? {
        Stage::Uninitialised(peer::Nothing {}) => Stands::Uninitialised,
        Stage::Adopted(cluster) => Stands::Adopted(read_id(&cluster)?),
        Stage::Member(cluster) => Stands::Member(read_id(&cluster)?),
    };
    Some(Answer { node: read_id(&node)?, peers_hash, zone, version, stage })
}

/// Tells every other node that it is a founding member, and returns when all have noted it.
async fn tell_all(
    myself: &Myself,
    cluster: u128,
    clients: &[Option<Client>],
    answers: &[Answer],
) -> Result<(), Status> {
    let others = clients.iter().zip(answers).zip(1_u64..).skip(1).map(|((client, answer), meta_replica)| {
        let found = peer::FoundRequest {
            cluster: id(cluster),
            from_node: id(myself.identity().node_uuid),
            to_node: id(answer.node),
            peers_hash: myself.peers_hash,
            meta_replica,
        };
        let client = client.clone();
        async move {
            let mut client = client.ok_or_else(|| Status::unavailable("its address makes no sense"))?;
            let told = timeout(ANSWER_WITHIN, client.found(Request::new(found))).await;
            told.map_err(|_elapsed| Status::deadline_exceeded("no answer"))?.map(drop)
        }
    });
    join_all(others).await.into_iter().collect()
}

async fn join(myself: &Myself, client: Option<Client>, address: &str) -> Result<Belongs, Status> {
    let request = peer::JoinRequest {
        node: id(myself.identity().node_uuid),
        address: address.to_owned(),
        zone: myself.zone.clone(),
        version: VERSION.to_owned(),
    };
    let mut client = client.ok_or_else(|| Status::unavailable("its address makes no sense"))?;
    let joined = timeout(JOIN_WITHIN, client.join(Request::new(request))).await;
    let joined = joined.map_err(|_elapsed| Status::deadline_exceeded("no answer"))??.into_inner();
    let place = || {
        Some(Belongs {
            cluster_id: read_id(&joined.cluster)?,
            node_id: NodeId::new(joined.node_id)?,
            meta_replica: ReplicaId(joined.meta_replica),
            founder: false,
        })
    };
    place().ok_or_else(|| Status::internal("its answer makes no sense"))
}

#[cfg(test)]
mod tests;
