//! What this node does for its peers.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use catalog::NodeState;
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::{BoxStream, FuturesUnordered, unfold};
use model::{GroupId, OrgId, ReplicaId};
use parking_lot::Mutex;
use proto::peer::peer_server::Peer;
use proto::peer::{self, beat_answer::Result as BeatResult, who_are_you_response::Stage};
use proto::scan::Place;
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};
use trace::{Span, TraceId, Traced as _};

use super::calls;
use super::discovery::{self, JOIN_WITHIN, read_level};
use super::myself::{Myself, VERSION};
use super::route::{self, Refusal, Route, read_id};
use super::status;
use super::traces;
use super::watch::{self, Watchers};
use crate::barrier::Proof;
use crate::courier::{Courier, HAND_OVER_WITHIN};
use crate::entry::read_op;
use crate::epochs::{IsOlder, Told};
use crate::error::ProposeError;
use crate::group::{Committed, Group};
use crate::identity::Belongs;
use crate::queries::{self, Queries};
use crate::raft::inbound;
use crate::raft::machine::with_causes;
use crate::reads::{self, Reader};
use crate::replicas::Replicas;
use crate::shards;
use crate::summaries;

/// Pause between two words about the same refusal.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Groups that one barrier may ask about: all there can be.
const GROUPS_MAX: usize = 1 + 4096;

/// The peer service of a node.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) myself: Arc<Myself>,
    pub(crate) replicas: Arc<Replicas>,
    /// Set when the node has taken up its part in a cluster.
    pub(crate) courier: Arc<OnceLock<Arc<Courier>>>,
    /// The gateways that follow the catalog through this node.
    pub(crate) watchers: Arc<Watchers>,
    /// Set when the node reads for others.
    pub(crate) reader: Arc<OnceLock<Arc<dyn Reader>>>,
    /// Set when the node runs queries.
    pub(crate) queries: Arc<OnceLock<Arc<dyn Queries>>>,
    /// The last refusal that was told, and when.
    pub(crate) told: Arc<Mutex<Option<(Refusal, Instant)>>>,
}

type Answer<T> = Result<Response<T>, Status>;

fn malformed(error: proto::scan::ScanError) -> Status {
    Status::invalid_argument(with_causes(&error))
}

impl Service {
    /// Checks that a call is for this node.
    fn admit<T>(&self, request: &Request<T>) -> Result<Route, Refusal> {
        let checked = Route::of(request.metadata()).and_then(|route| {
            let state_of = |node| self.courier.get().and_then(|courier| courier.state_of(node));
            route.check(&self.myself, state_of).map(|()| route)
        });
        checked.inspect_err(|refusal| self.note(*refusal))
    }

    /// The span of what is done for a call, where somebody wants to see it.
    fn answers<T>(&self, request: &Request<T>, name: &'static str, method: &'static str) -> Span {
        traces::answers(&self.myself.tracer, request, name, method)
    }

    /// The member that a call is for.
    fn group<T>(&self, request: &Request<T>) -> Result<Arc<Group>, Refusal> {
        let route = self.admit(request)?;
        route.group(&self.replicas).inspect_err(|refusal| self.note(*refusal))
    }

    fn note(&self, refusal: Refusal) {
        match refusal {
            // A group that is not open yet: at every start.
            Refusal::NoReplica | Refusal::NoCluster => {
                tracing::debug!(refusal = refusal.name(), "a peer's call was refused");
            }
            // Whoever does not belong here may call many times a second.
            _ => {
                let mut told = self.told.lock();
                if told.is_none_or(|(last, at)| last != refusal || at.elapsed() >= TELL_EVERY) {
                    tracing::warn!(refusal = refusal.name(), "a peer's call was refused");
                    *told = Some((refusal, Instant::now()));
                }
            }
        }
    }

    fn stage(&self) -> Stage {
        let identity = self.myself.identity();
        match identity.belongs {
            None => Stage::Uninitialised(peer::Nothing {}),
            Some(place) if self.courier.get().is_some_and(|courier| courier.is_founded()) => {
                Stage::Member(route::id(place.cluster_id))
            }
            Some(place) => Stage::Adopted(route::id(place.cluster_id)),
        }
    }

    /// Makes partitions, all of which must be here, as new as is demanded.
    async fn ready_to_read(&self, place: &Place) -> Result<Arc<dyn Reader>, Status> {
        let groups = place.partitions.iter().map(|partition| self.replicas.get(GroupId::Data(*partition)));
        let groups: Vec<_> = groups.collect::<Option<_>>().ok_or(Refusal::NoReplica)?;
        let count = groups.len();
        let (Some(courier), Some(reader)) = (self.courier.get(), self.reader.get()) else {
            return Err(Refusal::NoCluster.into());
        };
        let ready = courier.ready(groups, &place.reading).await;
        if ready.map_err(|error| Status::unavailable(error.to_string()))?.len() < count {
            return Err(Status::unavailable("this node is behind"));
        }
        Ok(Arc::clone(reader))
    }

    /// Proposes what another node has sent.
    async fn propose_here(
        &self,
        group: &Group,
        entries: Vec<bytes::Bytes>,
    ) -> Result<Committed, ProposeError> {
        let unreadable = |reason: String| ProposeError::Unavailable { group: group.id(), reason };
        // What cannot be read must not get into the log: no replica could apply it.
        let ops = entries.into_iter().map(|entry| {
            let op = read_op(group.id(), &entry).map_err(|error| unreadable(with_causes(&error)))?;
            Ok((entry, op))
        });
        group.propose(ops.collect::<Result<_, _>>()?).await
    }
}

#[tonic::async_trait]
impl Peer for Service {
    async fn who_are_you(&self, request: Request<peer::WhoAreYouRequest>) -> Answer<peer::WhoAreYouResponse> {
        let asked = request.into_inner();
        if asked.peers_hash != self.myself.says.peers_hash && read_id(&asked.node).is_some() {
            tracing::debug!("a node with another list of initial peers asks who this is");
        }
        Ok(Response::new(peer::WhoAreYouResponse {
            node: route::id(self.myself.identity().node_uuid),
            peers_hash: self.myself.says.peers_hash,
            zone: self.myself.says.zone.clone(),
            version: VERSION.to_owned(),
            level: self.myself.says.level.get().into(),
            advertised: self.myself.says.advertised.clone().unwrap_or_default(),
            stage: Some(self.stage()),
        }))
    }

    async fn found(&self, request: Request<peer::FoundRequest>) -> Answer<peer::FoundResponse> {
        let found = request.into_inner();
        let malformed = || Status::invalid_argument("a founder says what it is not");
        let cluster = read_id(&found.cluster).ok_or_else(malformed)?;
        let position = found.meta_replica.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        let position = position.filter(|at| *at > 0).ok_or_else(malformed)?;
        if read_id(&found.to_node) != Some(self.myself.identity().node_uuid) {
            return Err(Refusal::OtherNode.into());
        }
        if found.peers_hash != self.myself.says.peers_hash {
            return Err(Status::failed_precondition("the lists of initial peers differ"));
        }
        let wanted = Belongs::founding(cluster, position);
        let place = self.myself.belong(wanted).map_err(|error| Status::internal(with_causes(&error)))?;
        if place != wanted {
            return Err(Refusal::OtherCluster.into());
        }
        Ok(Response::new(peer::FoundResponse {}))
    }

    async fn join(&self, request: Request<peer::JoinRequest>) -> Answer<peer::JoinResponse> {
        let asked = request.into_inner();
        let courier = self.courier.get().filter(|courier| courier.is_founded());
        let courier = courier.ok_or(Refusal::NoCluster)?;
        let uuid = read_id(&asked.node).ok_or_else(|| Status::invalid_argument("a node without an id"))?;
        let level = read_level(asked.level)
            .ok_or_else(|| Status::invalid_argument("a node that understands no feature level"))?;
        let peer::JoinRequest { address, zone, version, node: _, level: _ } = asked;
        // Who takes the address of another is believed to have come in its place.
        discovery::meet(&self.myself, &courier.links, uuid, &address).await?;
        let node = catalog::NodeInfo { uuid, address, zone, version, level };
        let place = tokio::time::timeout(JOIN_WITHIN, courier.register(node)).await;
        let place = place.map_err(|_elapsed| Status::deadline_exceeded("the catalog is out of reach"))?;
        let place = place.map_err(|reason| match courier.state_of(uuid) {
            Some(NodeState::Lost) => Refusal::SenderLost.into(),
            Some(NodeState::Decommissioned) => Refusal::SenderDecommissioned.into(),
            _ => Status::unavailable(reason),
        })?;
        Ok(Response::new(peer::JoinResponse {
            cluster: route::id(place.cluster_id),
            node_id: place.node_id.get(),
            meta_replica: place.meta_replica.0,
        }))
    }

    type AppendStream = BoxStream<'static, Result<peer::AppendResponse, Status>>;

    async fn append(&self, request: Request<Streaming<peer::AppendRequest>>) -> Answer<Self::AppendStream> {
        let group = self.group(&request)?;
        Ok(Response::new(inbound::append(&group, request.into_inner())))
    }

    type HeartbeatStream = BoxStream<'static, Result<peer::HeartbeatResponse, Status>>;

    async fn heartbeat(&self, request: Request<peer::HeartbeatRequest>) -> Answer<Self::HeartbeatStream> {
        self.admit(&request)?;
        let answers = FuturesUnordered::new();
        for (at, beat) in (0..).zip(request.into_inner().beats) {
            let group = GroupId::from_number(beat.group).ok_or(Refusal::NoReplica);
            let group = group.and_then(|group| route::member(&self.replicas, group, ReplicaId(beat.replica)));
            let group = group.inspect_err(|refusal| self.note(*refusal));
            answers.push(async move {
                let result = match group {
                    Err(refusal) => BeatResult::Refused(refusal.name().to_owned()),
                    Ok(group) => match inbound::beat(&group, beat.append.unwrap_or_default()).await {
                        Ok(answer) => BeatResult::Answer(answer),
                        Err(status) => BeatResult::Failed(status.message().to_owned()),
                    },
                };
                peer::BeatAnswer { beat: at, result: Some(result) }
            });
        }
        let all = answers.len().max(1);
        let answers = answers.ready_chunks(all).map(|answers| Ok(peer::HeartbeatResponse { answers }));
        Ok(Response::new(answers.boxed()))
    }

    async fn vote(&self, request: Request<peer::VoteRequest>) -> Answer<peer::VoteResponse> {
        let candidate = self.admit(&request)?.from_node;
        let group = self.group(&request)?;
        // One that the catalog does not know yet is not asked; all that knew this node before are.
        let is_known = || self.courier.get().is_some_and(|courier| courier.state_of(candidate).is_some());
        if !self.myself.epochs.is_compared(candidate) && is_known() {
            return Err(Status::unavailable(
                "this node has not heard yet whether its data are an older copy",
            ));
        }
        inbound::vote(&group, request.into_inner()).await.map(Response::new)
    }

    async fn transfer_leader(
        &self,
        request: Request<peer::TransferLeaderRequest>,
    ) -> Answer<peer::TransferLeaderResponse> {
        let group = self.group(&request)?;
        inbound::transfer_leader(&group, request.into_inner()).await.map(Response::new)
    }

    async fn held(&self, request: Request<peer::HeldRequest>) -> Answer<peer::HeldResponse> {
        let files = self.group(&request)?.incoming().held();
        Ok(Response::new(peer::HeldResponse { files }))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<peer::SnapshotPart>>,
    ) -> Answer<peer::SnapshotResponse> {
        let group = self.group(&request)?;
        inbound::install(&group, request.into_inner()).await.map(Response::new)
    }

    type FilesStream = BoxStream<'static, Result<peer::SnapshotPart, Status>>;

    async fn files(&self, request: Request<peer::FilesRequest>) -> Answer<Self::FilesStream> {
        let group = self.group(&request)?;
        inbound::files(&group, request.into_inner()).await.map(Response::new)
    }

    async fn propose(&self, request: Request<peer::ProposeRequest>) -> Answer<peer::ProposeResponse> {
        let route = self.admit(&request)?;
        let mut span = self.answers(&request, "tidemark.peer.v1.Peer/Propose", "Propose");
        let peer::ProposeRequest { entries, hand_on } = request.into_inner();
        let proposed = async {
            let result = match hand_on {
                None => {
                    let group = route.group(&self.replicas).inspect_err(|refusal| self.note(*refusal))?;
                    self.propose_here(&group, entries).await
                }
                Some(member) => {
                    let courier = self.courier.get().ok_or(Refusal::NoCluster)?;
                    let group = GroupId::from_number(member.group);
                    let group = group.ok_or_else(|| Status::invalid_argument("no such group"))?;
                    let replica = ReplicaId(member.replica);
                    match route::member(&self.replicas, group, replica) {
                        Ok(local) => self.propose_here(&local, entries).await,
                        Err(_not_here) => courier.hand_on(group, replica, entries).await,
                    }
                }
            };
            Ok::<_, Status>(result)
        };
        let result = proposed.in_span(&span).await?;
        span.note(&result);
        Ok(Response::new(calls::propose_response(result)))
    }

    async fn read_index(&self, request: Request<peer::ReadIndexRequest>) -> Answer<peer::ReadIndexResponse> {
        self.admit(&request)?;
        let peer::ReadIndexRequest { groups, confirmed } = request.into_inner();
        let proof = if confirmed { Proof::Quorum } else { Proof::Lease };
        if groups.len() > GROUPS_MAX {
            return Err(Status::invalid_argument("a barrier for more groups than there can be"));
        }
        let read = |asked: peer::GroupMember| async move {
            let id = GroupId::from_number(asked.group);
            let id = id.ok_or_else(|| Status::invalid_argument("no such group"))?;
            let not_here = ProposeError::NotLeader { group: id, leader: None };
            let group = route::member(&self.replicas, id, ReplicaId(asked.replica));
            let index = match group {
                Ok(group) => group.read_index(proof).await,
                Err(_refusal) => Err(not_here),
            };
            Ok::<_, Status>(calls::read_index_response(index))
        };
        let reads = join_all(groups.into_iter().map(read)).await.into_iter().collect::<Result<_, _>>()?;
        Ok(Response::new(peer::ReadIndexResponse { reads }))
    }

    async fn hand_over(&self, request: Request<peer::HandOverRequest>) -> Answer<peer::HandOverResponse> {
        let group = self.group(&request)?;
        let to = ReplicaId(request.into_inner().replica);
        let result = group.hand_over_to(to, HAND_OVER_WITHIN).await;
        Ok(Response::new(status::hand_over_response(result)))
    }

    async fn beacon(&self, request: Request<peer::BeaconRequest>) -> Answer<peer::BeaconResponse> {
        let sender = self.admit(&request)?.from_node;
        let epochs = &self.myself.epochs;
        let peer::BeaconRequest { epoch, process, padding: _ } = request.into_inner();
        let compared = epochs.hear(sender, Told { epoch, process });
        compared.map_err(|IsOlder| Refusal::SenderOlder).inspect_err(|refusal| self.note(*refusal))?;
        let courier = self.courier.get().ok_or(Refusal::NoCluster)?;
        let answer = courier.reach.answer(courier.is_short(), courier.is_leaving(), courier.slowness());
        let Told { epoch, process } = epochs.told();
        let now_ms = u64::try_from(courier.clock.now().0 / 1_000_000).unwrap_or(0);
        Ok(Response::new(peer::BeaconResponse { epoch, process, now_ms, ..answer }))
    }

    async fn node_status(
        &self,
        request: Request<peer::NodeStatusRequest>,
    ) -> Answer<peer::NodeStatusResponse> {
        self.admit(&request)?;
        let courier = self.courier.get().ok_or(Refusal::NoCluster)?;
        Ok(Response::new(status::message(&courier.own_report())))
    }

    type WatchCatalogStream = BoxStream<'static, Result<peer::CatalogPart, Status>>;

    async fn watch_catalog(
        &self,
        request: Request<peer::WatchCatalogRequest>,
    ) -> Answer<Self::WatchCatalogStream> {
        self.admit(&request)?;
        let courier = self.courier.get().filter(|courier| courier.is_founded()).ok_or(Refusal::NoCluster)?;
        let meta = self.replicas.get(GroupId::Meta).ok_or(Refusal::NoReplica)?;
        watch::watch(courier, meta, &self.watchers, request.into_inner()).map(Response::new)
    }

    type ScanStream = BoxStream<'static, Result<peer::SeriesBlocks, Status>>;

    async fn scan(&self, request: Request<peer::ScanRequest>) -> Answer<Self::ScanStream> {
        self.admit(&request)?;
        let span = self.answers(&request, "exec.fragment", "Scan");
        let asked = proto::scan::read_request(request.into_inner()).map_err(malformed)?;
        let reader = self.ready_to_read(&asked.0).in_span(&span).await?;
        let messages = reads::scan_for_peer(reader, asked, span);
        let messages = unfold(messages, |mut messages| async move {
            let message = messages.recv().await?;
            Some((message, messages))
        });
        Ok(Response::new(messages.boxed()))
    }

    type SummarizeStream = BoxStream<'static, Result<peer::SummaryPart, Status>>;

    async fn summarize(&self, request: Request<peer::SummaryRequest>) -> Answer<Self::SummarizeStream> {
        self.admit(&request)?;
        let span = self.answers(&request, "exec.fragment", "Summarize");
        let (place, asked) = proto::summary::read_request(request.into_inner()).map_err(malformed)?;
        let reader = self.ready_to_read(&place).in_span(&span).await?;
        Ok(Response::new(summaries::for_peer(reader, place.partitions, asked, span)))
    }

    async fn schema(&self, request: Request<peer::SchemaRequest>) -> Answer<peer::SchemaResponse> {
        self.admit(&request)?;
        let span = self.answers(&request, "exec.fragment", "Schema");
        let (place, asked) = proto::scan::read_schema_request(request.into_inner()).map_err(malformed)?;
        let reader = self.ready_to_read(&place).in_span(&span).await?;
        let names = reads::schema_for_peer(reader, place.partitions, asked).in_span(&span).await?;
        Ok(Response::new(peer::SchemaResponse { names }))
    }

    async fn collect_trace(
        &self,
        request: Request<peer::CollectTraceRequest>,
    ) -> Answer<peer::CollectTraceResponse> {
        self.admit(&request)?;
        let trace = read_id(&request.into_inner().trace).and_then(TraceId::new);
        let trace = trace.ok_or_else(|| Status::invalid_argument("no id of a trace"))?;
        let trace::Collected { owner, spans } = self.myself.tracer.collected(trace).unwrap_or_default();
        Ok(Response::new(peer::CollectTraceResponse { owner: owner.map_or(0, OrgId::get), spans }))
    }
    async fn queries(&self, request: Request<peer::QueriesRequest>) -> Answer<peer::QueriesResponse> {
        self.admit(&request)?;
        let asked = request.into_inner();
        // One that runs none yet has none to tell.
        let own = self.queries.get();
        Ok(Response::new(own.map_or_else(Default::default, |own| queries::answer(&**own, &asked))))
    }
    async fn shards(&self, request: Request<peer::ShardsRequest>) -> Answer<peer::ShardsResponse> {
        self.admit(&request)?;
        let shards = self.reader.get().map(|reader| reader.shards()).unwrap_or_default();
        Ok(Response::new(shards::answer(shards)))
    }
}
