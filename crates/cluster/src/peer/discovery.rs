//! How a node without a cluster comes to belong to one: it founds it together with all the others of its list, or
//! joins one that is there.
//!
//! ```text
//! ask all initial peers who they are, again and again
//!   one is a member of a cluster ───────────────────────────► join it
//!   this node is the first, and all are there and new ──────► mint an id, tell all, found
//!   a founder has told this node ───────────────────────────► belong
//!   anything else ──────────────────────────────────────────► wait
//! ```
//! The initial peers are a list, or what a name stands for at that moment; then they are ordered by the addresses that
//! they advertise, and must be as many as are expected.
//!
//! What must always hold: nothing is founded unless every initial peer has answered that it belongs to nothing, or to
//! this very founding; so neither an isolated node nor one that has lost its volume ever founds a second cluster.

use std::sync::Arc;
use std::time::Duration;

use catalog::{Level, NodeInfo};
use futures::future::join_all;
use model::{NodeId, ReplicaId};
use proto::peer::{self, who_are_you_response::Stage};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tonic::{Request, Status};
use xxhash_rust::xxh3::xxh3_64;

use self::directory::Directory;
use super::links::{Client, Links, reason};
use super::myself::{Myself, Says, VERSION};
use super::route::{Refusal, id, read_id};
use crate::error::OpenError;
use crate::identity::{Belongs, random_id};
use crate::options::InitialPeers;
use crate::progress::Progress;

pub(crate) mod directory;

/// Pause between two rounds of questions.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long one question may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long a member may take to add a node.
pub(crate) const JOIN_WITHIN: Duration = Duration::from_secs(10);
/// What is waited for is said this often.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// A node that was asked.
#[derive(Debug, Clone)]
struct Asked {
    /// Where.
    address: String,
    client: Option<Client>,
    /// What it has answered, or why not.
    answer: Result<Answer, String>,
}

impl Asked {
    /// Where it wants to be reached.
    fn reached_at(&self) -> &str {
        self.answer.as_ref().ok().and_then(|answer| answer.advertised.as_deref()).unwrap_or(&self.address)
    }

    fn stands(&self) -> Option<Stands> {
        self.answer.as_ref().ok().map(|answer| answer.stage)
    }
}

/// What a node has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    node: u128,
    peers_hash: u64,
    zone: String,
    version: String,
    level: Level,
    advertised: Option<String>,
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
    /// Join by way of this node.
    Join(usize),
    /// Found a cluster of all.
    Found,
    /// The founding of this node's cluster was finished by the others.
    IsFounded,
}

/// The nodes that found a cluster, in their order.
pub(crate) type Founders = Vec<NodeInfo>;

/// A hash of how the initial peers are found.
pub(crate) fn hash_of(peers: &InitialPeers) -> u64 {
    let mut bytes = Vec::new();
    let mut push = |text: &str| {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    };
    match peers {
        InitialPeers::List(peers) => peers.iter().for_each(|peer| push(peer)),
        InitialPeers::Name { host, port, expect } => {
            push(host);
            push(&format!("{expect} at {port}"));
        }
    }
    xxh3_64(&bytes)
}

/// Waits until this node belongs to a cluster, and for the founder until all others know; a founder is answered who
/// they are, as long as the founding is not over. Ends only so, or when the identity cannot be written, or the cluster
/// that is joined says that this node is out of it.
pub(crate) async fn settle(
    myself: &Arc<Myself>,
    links: &Links,
    peers: &InitialPeers,
    progress: &Progress,
) -> Result<Option<Founders>, OpenError> {
    progress.wait("asking the other nodes who they are");
    let mut directory = Directory::new(peers);
    let mut rounds = interval(ASK_EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: Option<(String, Instant)> = None;
    let mut joins = 0;
    loop {
        rounds.tick().await;
        let identity = myself.identity();
        if identity.belongs.is_some_and(|place| !place.founder) {
            return Ok(None);
        }
        let own = identity.belongs.map(|place| place.cluster_id);
        let reason = match directory.ask(myself, links).await {
            Err(reason) => reason,
            Ok(asked) => {
                match step((identity.node_uuid, own), myself.says.peers_hash, peers, &asked, joins) {
                    Step::Wait(reason) => reason,
                    Step::IsFounded => return Ok(None),
                    Step::Join(at) => match join(myself, &asked, at).await {
                        Ok(place) => {
                            let place = myself.belong(place)?;
                            tracing::info!(node = %place.node_id, "joined the cluster");
                            return Ok(None);
                        }
                        Err(status) => match Refusal::out_of(&status) {
                            Some(state) => return Err(OpenError::OutBefore(state)),
                            None => {
                                // Another may reach this node.
                                joins += 1;
                                format!("{} did not add this node: {}", asked[at].address, status.message())
                            }
                        },
                    },
                    Step::Found => {
                        let cluster_id = match own {
                            Some(cluster_id) => cluster_id,
                            None => random_id()?,
                        };
                        myself.belong(Belongs::founding(cluster_id, 0))?;
                        match tell_all(myself, cluster_id, &asked).await {
                            Ok(()) => return Ok(Some(founders(&asked))),
                            Err(status) => {
                                format!("a peer was not told of the cluster: {}", status.message())
                            }
                        }
                    }
                }
            }
        };
        progress.wait(format!("this node belongs to no cluster yet: {reason}"));
        if told.as_ref().is_none_or(|(last, at)| *last != reason || at.elapsed() >= TELL_EVERY) {
            tracing::info!(reason, "this node belongs to no cluster yet");
            told = Some((reason, Instant::now()));
        }
    }
}

/// An initial peer that is a member of a cluster.
pub(crate) struct Found {
    pub(crate) node: u128,
    /// Where it is reached.
    pub(crate) address: String,
    pub(crate) cluster: u128,
}

/// The initial peers that are members of a cluster, at least one; else why there is none.
pub(crate) async fn members(
    directory: &mut Directory<'_>,
    myself: &Myself,
    links: &Links,
) -> Result<Vec<Found>, String> {
    let asked = directory.ask(myself, links).await?;
    let member = |asked: &Asked| match asked.answer.as_ref().ok()? {
        Answer { node, stage: Stands::Member(cluster), .. } => {
            Some(Found { node: *node, address: asked.reached_at().to_owned(), cluster: *cluster })
        }
        _ => None,
    };
    let found: Vec<Found> = asked.iter().filter_map(member).collect();
    if found.is_empty() {
        let silent = asked.iter().find_map(|asked| Some((asked, asked.answer.as_ref().err()?)));
        return Err(match silent {
            Some((asked, reason)) => format!("node {}: {reason}", asked.address),
            None => "no initial peer is a member of a cluster yet".to_owned(),
        });
    }
    Ok(found)
}

/// The nodes that were asked, as founding members.
fn founders(asked: &[Asked]) -> Founders {
    let info = |asked: &Asked| {
        let answer = asked.answer.as_ref().ok()?;
        Some(NodeInfo {
            uuid: answer.node,
            address: asked.reached_at().to_owned(),
            zone: answer.zone.clone(),
            version: answer.version.clone(),
            level: answer.level,
        })
    };
    asked.iter().filter_map(info).collect()
}

/// Decides from what all initial peers have answered, in their order. `own` is the cluster that this node is about to
/// found; members take turns to be asked to add it.
fn step(
    (node, own): (u128, Option<u128>),
    peers_hash: u64,
    peers: &InitialPeers,
    asked: &[Asked],
    joins: usize,
) -> Step {
    let is_this = |asked: &Asked| asked.answer.as_ref().is_ok_and(|answer| answer.node == node);
    let is_member = |asked: &Asked| matches!(asked.stands(), Some(Stands::Member(_)));
    if own.is_none() {
        let members: Vec<usize> = (0..asked.len()).filter(|at| is_member(&asked[*at])).collect();
        if !members.is_empty() {
            return Step::Join(members[joins % members.len()]);
        }
    }
    if own.is_some_and(|own| asked.iter().any(|asked| asked.stands() == Some(Stands::Member(own)))) {
        return Step::IsFounded;
    }
    let wait = |reason: &str| Step::Wait(reason.to_owned());
    if let InitialPeers::Name { host, expect, .. } = peers
        && asked.len() != *expect
    {
        let there = asked.len();
        return Step::Wait(format!(
            "{host} stands for {there} nodes, and {expect} found a cluster (bootstrap-expect)"
        ));
    }
    let Some(position) = asked.iter().position(is_this) else {
        return wait("no initial peer is this node, and none is a member of a cluster");
    };
    for (at, Asked { address, answer, .. }) in asked.iter().enumerate() {
        let answer = match answer {
            Ok(answer) => answer,
            Err(reason) => return Step::Wait(format!("node {address}: {reason}")),
        };
        let is_same = |other: &Asked| other.answer.as_ref().is_ok_and(|other| other.node == answer.node);
        if asked[at + 1..].iter().any(is_same) {
            return Step::Wait(format!("node {address} is among the initial peers twice"));
        }
        if asked[at + 1..].iter().any(|other| other.reached_at() == asked[at].reached_at()) {
            return Step::Wait(format!("two nodes say that they are reached at {}", asked[at].reached_at()));
        }
        if answer.peers_hash != peers_hash {
            return Step::Wait(format!("node {address} has other initial peers"));
        }
        if position != 0 {
            continue;
        }
        let is_ours = match answer.stage {
            Stands::Uninitialised => true,
            Stands::Adopted(cluster) => own == Some(cluster),
            Stands::Member(_) => false,
        };
        if !is_ours {
            return Step::Wait(format!(
                "node {address} belongs to a cluster that was being founded by another: its directory must be emptied, \
                 or that of the other brought back"
            ));
        }
    }
    if position == 0 {
        Step::Found
    } else {
        wait("the first of the initial peers founds the cluster with all of them")
    }
}

async fn who_are_you(myself: &Myself, client: Option<Client>) -> Result<Answer, String> {
    let request =
        peer::WhoAreYouRequest { node: id(myself.identity().node_uuid), peers_hash: myself.says.peers_hash };
    let mut client = client.ok_or("its address makes no sense")?;
    let answer = timeout(ANSWER_WITHIN, client.who_are_you(Request::new(request))).await;
    let answer = answer.map_err(|_elapsed| "no answer")?.map_err(|status| reason(&status))?;
    read_answer(answer.into_inner()).ok_or_else(|| "its answer makes no sense".to_owned())
}

/// Makes sure that a node answers where it says that others reach it.
pub(crate) async fn meet(myself: &Myself, links: &Links, node: u128, address: &str) -> Result<(), Status> {
    let refused =
        |why: &str| Status::failed_precondition(format!("at {address}, where it says it is reached, {why}"));
    match who_are_you(myself, links.dial(address, None).ok()).await {
        Ok(answer) if answer.node == node => Ok(()),
        Ok(_other) => Err(refused("another node answers (peer-advertise-address)")),
        Err(reason) => Err(refused(&format!("it does not answer: {reason} (peer-advertise-address)"))),
    }
}

/// A level that a process says it understands.
pub(crate) fn read_level(number: u32) -> Option<Level> {
    Level::new(u16::try_from(number).ok()?)
}

fn read_answer(answer: peer::WhoAreYouResponse) -> Option<Answer> {
    let peer::WhoAreYouResponse { node, peers_hash, zone, version, advertised, level, stage } = answer;
    let level = read_level(level)?;
    let stage = match stage? {
        Stage::Uninitialised(peer::Nothing {}) => Stands::Uninitialised,
        Stage::Adopted(cluster) => Stands::Adopted(read_id(&cluster)?),
        Stage::Member(cluster) => Stands::Member(read_id(&cluster)?),
    };
    let advertised = (!advertised.is_empty()).then_some(advertised);
    Some(Answer { node: read_id(&node)?, peers_hash, zone, version, level, advertised, stage })
}

/// Tells every other node that it is a founding member, and returns when all have noted it.
async fn tell_all(myself: &Myself, cluster: u128, asked: &[Asked]) -> Result<(), Status> {
    let others = asked.iter().zip(1_u64..).skip(1).map(|(asked, meta_replica)| {
        let found = asked.answer.as_ref().ok().map(|answer| peer::FoundRequest {
            cluster: id(cluster),
            from_node: id(myself.identity().node_uuid),
            to_node: id(answer.node),
            peers_hash: myself.says.peers_hash,
            meta_replica,
        });
        let there = asked.client.clone().zip(found);
        async move {
            let (mut client, found) =
                there.ok_or_else(|| Status::unavailable("its address makes no sense"))?;
            let told = timeout(ANSWER_WITHIN, client.found(Request::new(found))).await;
            told.map_err(|_elapsed| Status::deadline_exceeded("no answer"))?.map(drop)
        }
    });
    join_all(others).await.into_iter().collect()
}

/// Joins by way of a member.
async fn join(myself: &Myself, asked: &[Asked], at: usize) -> Result<Belongs, Status> {
    let node = myself.identity().node_uuid;
    let own = asked.iter().find(|asked| asked.answer.as_ref().is_ok_and(|answer| answer.node == node));
    let Says { advertised, bound, .. } = &myself.says;
    let address = advertised.as_deref().or_else(|| own.map(Asked::reached_at)).or(bound.as_deref());
    let address = address.ok_or_else(|| {
        Status::failed_precondition("it must say where others reach it, which is not among the initial peers (peer-advertise-address)")
    })?;
    let request = peer::JoinRequest {
        node: id(node),
        address: address.to_owned(),
        zone: myself.says.zone.clone(),
        version: VERSION.to_owned(),
        level: myself.says.level.get().into(),
    };
    let mut client =
        asked[at].client.clone().ok_or_else(|| Status::unavailable("its address makes no sense"))?;
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
