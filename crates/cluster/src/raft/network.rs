//! openraft's network over the peer protocol: what a group's member sends to the other members.
//!
//! Entries go through an open stream for each group and follower, without waiting for the answers to those before; what
//! is unanswered is bounded in bytes over all groups of a node. Heartbeats and votes have a connection of their own, and
//! heartbeats of all groups go together.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use model::{GroupId, ReplicaId};
use openraft::OptionalSend;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    RaftNetworkFactory,
};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendError, StreamAppendResult, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use parking_lot::Mutex;
use prost::Message as _;
use proto::peer::{Beat, FilesRequest, HeldRequest, SnapshotPart};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, timeout};
use tonic::{Code, Request, Status};

use super::acknowledged::Acknowledged;
use super::types::{self, Member, Snapshot, SnapshotData, Types, Vote};
use super::{snapshot, wire};
use crate::peer::links::{Class, Client, Link, Links, UNANSWERED_BYTES_MAX};
use crate::peer::myself::Myself;
use crate::peer::route::{Route, Within};
use crate::throttle::Throttle;

/// How long a follower that has been sent entries may answer nothing before the stream to it is given up.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Pauses before a node that was out of reach is tried again: at first, and when it stays away.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);
const TRY_AGAIN_LATER: Duration = Duration::from_millis(500);
/// Tries after the shorter pause.
const EARLY_TRIES: usize = 20;

/// The network of one group's member.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) myself: Arc<Myself>,
    pub(crate) links: Arc<Links>,
    /// What files that are sent share.
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) group: GroupId,
    pub(crate) replica: ReplicaId,
    /// Index up to which all members have the log.
    pub(crate) all_have: Arc<AtomicU64>,
    /// Reads that wait for a heartbeat.
    pub(crate) awaited: Arc<AtomicU32>,
    /// What members have acknowledged to this one.
    pub(crate) acknowledged: Arc<Acknowledged>,
}

/// The way to one other member.
pub(crate) struct Wire {
    network: Network,
    target: ReplicaId,
    member: Member,
    class: Class,
}

impl Network {
    fn wire(&self, target: u64, member: &Member, class: Class) -> Wire {
        Wire { network: self.clone(), target: ReplicaId(target), member: member.clone(), class }
    }
}

impl Network {
    /// Asks a member for its files, in which everything up to an index must be. What is held of them is not sent again.
    pub(crate) async fn files(
        &self,
        of: ReplicaId,
        member: &Member,
        request: FilesRequest,
    ) -> Result<tonic::Streaming<SnapshotPart>, Status> {
        let wire = self.wire(of.0, member, Class::Snapshot);
        let mut client = wire.link().client(Class::Snapshot)?;
        Ok(client.files(wire.call(request)).await?.into_inner())
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Wire;

    async fn new_client(&mut self, target: u64, member: &Member) -> Wire {
        self.wire(target, member, Class::Append)
    }

    async fn new_heartbeat_client(&mut self, target: u64, member: &Member) -> Wire {
        self.wire(target, member, Class::Heartbeat)
    }

    async fn new_snapshot_client(&mut self, target: u64, member: &Member) -> Wire {
        self.wire(target, member, Class::Snapshot)
    }
}

impl Wire {
    fn link(&self) -> Arc<Link> {
        self.network.links.to(self.member.node, &self.member.address)
    }

    fn client(&self, class: Class) -> Result<Client, Failure> {
        Ok(self.link().client(class)?)
    }

    /// The route to the member's node.
    fn route(&self) -> Route {
        let identity = self.network.myself.identity();
        Route {
            // A group has other members only in a cluster.
            cluster: identity.belongs.map_or(0, |place| place.cluster_id),
            from_node: identity.node_uuid,
            to_node: self.member.node,
            within: None,
        }
    }

    /// A call with the route to the member.
    fn call<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let Network { group, replica, .. } = self.network;
        let within = Some(Within { group, from: Some(replica), to: self.target });
        Route { within, ..self.route() }.attach(&mut request);
        request
    }

    /// Sends a heartbeat.
    async fn beat(
        &self,
        request: AppendEntriesRequest<Types>,
        every: Duration,
    ) -> Result<StreamAppendResult<Types>, RPCError<Types>> {
        let term = term(&request);
        let (append, _no_entries) =
            wire::append_request(request, self.network.all_have.load(Ordering::Relaxed));
        let group = self.network.group.number();
        let beat = Beat { group, replica: self.target.0, append: Some(append) };
        let is_awaited = self.network.awaited.load(Ordering::Relaxed) > 0;
        let link = self.link();
        let answer = async {
            let answer = link.beat(self.route(), beat, every, is_awaited).await?;
            self.remembers(term, wire::read_append_response(answer)?)
        };
        let answer = answer.await.map_err(|failure| self.rpc_error(failure))?;
        link.is_fine();
        Ok(answer)
    }

    /// Fails where a member says that it does not have what it has acknowledged in this term.
    fn remembers(
        &self,
        term: u64,
        answer: StreamAppendResult<Types>,
    ) -> Result<StreamAppendResult<Types>, Failure> {
        let Network { group, acknowledged, myself, .. } = &self.network;
        match &answer {
            Ok(Some(last)) => acknowledged.note(self.target, term, last.index),
            Err(StreamAppendError::Conflict(at)) if acknowledged.has(self.target, term, at.index) => {
                let replica = self.target;
                tracing::error!(%group, %replica, index = at.index, "a member has lost what it had acknowledged");
                myself.counters.members_expelled.inc();
                myself.epochs.has_forgotten(self.member.node);
                return Err(Failure::Forgotten);
            }
            _ => {}
        }
        Ok(answer)
    }

    async fn call_vote(
        &self,
        request: VoteRequest<Types>,
        is_pre_vote: bool,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let mut call = self.call(wire::vote_request(&request, is_pre_vote));
        call.set_timeout(option.soft_ttl());
        let answer = async {
            let response = self.client(Class::Heartbeat)?.vote(call).await?.into_inner();
            Ok(wire::read_vote_response(response)?)
        };
        answer.await.map_err(|failure| self.rpc_error(failure))
    }

    fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: Snapshot,
    ) -> BoxFuture<'_, Result<SnapshotResponse<Types>, Failure>> {
        Box::pin(async move {
            let held = match &snapshot.snapshot {
                SnapshotData::Files(_) => {
                    let mut asked = self.call(HeldRequest {});
                    asked.set_timeout(ANSWER_WITHIN);
                    self.client(Class::Snapshot)?.held(asked).await?.into_inner().files
                }
                SnapshotData::Catalog(_) | SnapshotData::Noted => Vec::new(),
            };
            let throttle = Arc::clone(&self.network.throttle);
            let parts: BoxStream<'static, SnapshotPart> =
                snapshot::parts(vote, snapshot, held, throttle).await?;
            let bytes = self.network.myself.counters.sent.bytes.clone();
            let parts = parts.inspect(move |part| bytes.add(part.encoded_len())).boxed();
            // A type of our own: the compiler cannot follow the lifetime of a boxed stream through the call.
            let call = self.call(Parts(parts));
            let response = self.client(Class::Snapshot)?.snapshot(call).await?.into_inner();
            Ok(SnapshotResponse::new(wire::read_vote(response.vote)?))
        })
    }

    fn rpc_error(&self, failure: Failure) -> RPCError<Types> {
        match &failure {
            Failure::Status(status) => {
                self.link().has_failed(status);
                match status.code() {
                    // These may go away as fast as they came; everything else is worth a pause.
                    Code::Cancelled | Code::DeadlineExceeded => NetworkError::from_string(&failure).into(),
                    _ => Unreachable::from_string(&failure).into(),
                }
            }
            Failure::Forgotten => Unreachable::from_string(&failure).into(),
            Failure::Wire(error) => {
                let (group, replica) = (self.network.group, self.target);
                tracing::error!(%group, %replica, %error, "a member's answer cannot be read");
                Unreachable::from_string(&failure).into()
            }
        }
    }
}

/// The term in which a member leads that sends this.
fn term(request: &AppendEntriesRequest<Types>) -> u64 {
    types::stored_vote(&request.vote).term
}

/// The messages of a snapshot.
struct Parts(BoxStream<'static, SnapshotPart>);

impl Stream for Parts {
    type Item = SnapshotPart;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<SnapshotPart>> {
        self.0.as_mut().poll_next(context)
    }
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{}: {}", .0.code(), .0.message())]
    Status(#[from] Status),
    #[error("the answer cannot be read: {0}")]
    Wire(#[from] wire::WireError),
    #[error("the member has lost what it had acknowledged")]
    Forgotten,
}

/// The requests of one stream that are not answered, oldest first.
#[derive(Default)]
struct Unanswered(Mutex<VecDeque<(Instant, OwnedSemaphorePermit)>>);

impl Unanswered {
    fn since(&self) -> Option<Instant> {
        self.0.lock().front().map(|(sent, _)| *sent)
    }
}

impl NetStreamAppend<Types> for Wire {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            // openraft pauses after an error while it makes the next request, so that comes before the connection.
            let mut input = input;
            let Some(first) = input.next().await else {
                let nothing: BoxStream<'s, _> = Box::pin(futures::stream::empty());
                return Ok(nothing);
            };
            if self.class == Class::Heartbeat {
                let answer = self.beat(first, option.hard_ttl()).await;
                let answer: BoxStream<'s, _> = Box::pin(futures::stream::iter([answer]));
                return Ok(answer);
            }
            let term = term(&first);
            let unanswered = Arc::new(Unanswered::default());
            let link = self.link();
            let returns = link.returns();
            let budget = Arc::clone(&link.unanswered);
            let sent = Arc::clone(&unanswered);
            let all_have = Arc::clone(&self.network.all_have);
            let input = futures::stream::once(async move { first }).chain(input);
            // What is sent over one call and the next comes from one place. A call whose answers nobody waits for any more
            // must take nothing from there: the connection would go on asking it for requests.
            let (open, closed) = oneshot::channel::<()>();
            let input = input.take_until(closed);
            // The budget is never closed, so that the stream ends with its input.
            let requests = input.filter_map(move |request| {
                let (message, bytes) = wire::append_request(request, all_have.load(Ordering::Relaxed));
                let (budget, sent) = (Arc::clone(&budget), Arc::clone(&sent));
                let bytes = u32::try_from(bytes.min(UNANSWERED_BYTES_MAX)).unwrap_or(u32::MAX);
                async move {
                    let permit = budget.acquire_many_owned(bytes).await.ok()?;
                    sent.0.lock().push_back((Instant::now(), permit));
                    Some(message)
                }
            });
            let call = self.call(requests);
            let opening = async { Ok(self.client(self.class)?.append(call).await?.into_inner()) };
            let answers = match timeout(ANSWER_WITHIN, opening).await {
                Ok(opened) => opened.map_err(|failure| self.rpc_error(failure))?,
                Err(_elapsed) => return Err(self.rpc_error(silent())),
            };
            let this: &'s Self = self;
            let stream = futures::stream::unfold(Some((answers, returns, open)), move |state| {
                let (unanswered, link) = (Arc::clone(&unanswered), Arc::clone(&link));
                async move {
                    let (mut answers, mut returns, open) = state?;
                    let answer = tokio::select! {
                        biased;
                        answer = next_answer(&mut answers, &unanswered) => answer?,
                        Ok(()) = returns.changed() => Err(silent()),
                    };
                    unanswered.0.lock().pop_front();
                    let answer = answer.and_then(|message| Ok(wire::read_append_response(message)?));
                    let answer = answer.and_then(|answer| this.remembers(term, answer));
                    Some(match answer {
                        Ok(result) => {
                            link.is_fine();
                            (Ok(result), Some((answers, returns, open)))
                        }
                        Err(failure) => (Err(this.rpc_error(failure)), None),
                    })
                }
            });
            let stream: BoxStream<'s, _> = Box::pin(stream);
            Ok(stream)
        })
    }
}

/// The next answer; a failure when a request has waited for too long; `None` at the end.
async fn next_answer(
    answers: &mut tonic::Streaming<proto::peer::AppendResponse>,
    unanswered: &Unanswered,
) -> Option<Result<proto::peer::AppendResponse, Failure>> {
    loop {
        match timeout(ANSWER_WITHIN, answers.message()).await {
            Ok(Ok(message)) => return message.map(Ok),
            Ok(Err(status)) => return Some(Err(status.into())),
            Err(_elapsed) => {
                if unanswered.since().is_some_and(|sent| sent.elapsed() >= ANSWER_WITHIN) {
                    return Some(Err(silent()));
                }
            }
        }
    }
}

fn silent() -> Failure {
    Failure::Status(Status::deadline_exceeded("the member does not answer"))
}

impl NetVote<Types> for Wire {
    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.call_vote(request, false, option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.call_vote(request, true, option).await
    }
}

impl NetTransferLeader<Types> for Wire {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let mut call = self.call(wire::transfer_request(&request));
        call.set_timeout(option.soft_ttl());
        let answer =
            async { Ok(self.client(Class::Heartbeat)?.transfer_leader(call).await?.into_inner().refusal) };
        match answer.await {
            Ok(refusal) if refusal.is_empty() => Ok(Ok(())),
            Ok(refusal) => {
                tracing::info!(group = %self.network.group, replica = %self.target, refusal, "does not stand");
                let expected = request.last_log_id().copied();
                Ok(Err(TransferLeaderError::LogNotFlushed { expected, actual: None }))
            }
            Err(failure) => Err(self.rpc_error(failure)),
        }
    }
}

impl NetSnapshot<Types> for Wire {
    type SnapshotData = SnapshotData;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let sent = tokio::select! {
            sent = self.send_snapshot(vote, snapshot) => sent.map_err(|failure| self.rpc_error(failure).into()),
            closed = cancel => Err(closed.into()),
        };
        self.network.myself.counters.sent.note(sent.is_ok());
        sent
    }
}

impl NetBackoff<Types> for Wire {
    fn backoff(&self) -> Option<Backoff> {
        let early = std::iter::repeat_n(TRY_AGAIN_AFTER, EARLY_TRIES);
        Some(Backoff::new(early.chain(std::iter::repeat(TRY_AGAIN_LATER))))
    }
}
