//! What other members of a group ask of this one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::future::ready;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use model::{LogPosition, ReplicaId};
use parking_lot::Mutex;
use prost::Message as _;
use proto::peer;
use tonic::Status;

use super::machine::with_causes;
use super::types::{Files, Member, SnapshotData};
use super::wire::WireError;
use super::{snapshot, types, wire};
use crate::group::Group;

fn malformed(error: WireError) -> Status {
    Status::invalid_argument(with_causes(&error))
}

fn stopped(error: impl std::error::Error) -> Status {
    Status::unavailable(with_causes(&error))
}

/// Takes entries as they come, and answers each request when its entries are durable, in order. While the disk has no
/// room for them only what has none is taken: that the leader is there.
pub(crate) fn append(
    group: &Arc<Group>,
    requests: impl Stream<Item = Result<peer::AppendRequest, Status>> + Send + 'static,
) -> BoxStream<'static, Result<peer::AppendResponse, Status>> {
    // A request that cannot be read ends the stream, after the answers to those before.
    let failure: Arc<Mutex<Option<Status>>> = Arc::default();
    let failed = Arc::clone(&failure);
    let all_have = group.all_have();
    let taker = Arc::clone(group);
    let requests = requests.scan((), move |(), request| {
        let read = request.and_then(|message| {
            if !message.entries.is_empty() && !taker.takes_entries() {
                return Err(Status::resource_exhausted("the disk is nearly full"));
            }
            all_have.fetch_max(message.all_have, Ordering::Relaxed);
            wire::read_append_request(message).map_err(malformed)
        });
        ready(read.map_err(|status| *failed.lock() = Some(status)).ok())
    });
    let answers = group.raft().stream_append(requests).map(|answer| match answer {
        Ok(result) => Ok(wire::append_response(&result)),
        Err(fatal) => Err(stopped(fatal)),
    });
    let end = stream::once(async move { failure.lock().take() });
    answers.chain(end.filter_map(|failure| async { failure.map(Err) })).boxed()
}

/// Takes a heartbeat.
pub(crate) async fn beat(
    group: &Group,
    message: peer::AppendRequest,
) -> Result<peer::AppendResponse, Status> {
    if !message.entries.is_empty() {
        return Err(Status::invalid_argument("a heartbeat with entries"));
    }
    group.all_have().fetch_max(message.all_have, Ordering::Relaxed);
    let request = wire::read_append_request(message).map_err(malformed)?;
    let previous = request.prev_log_id;
    let answer = group.raft().append_entries(request).await.map_err(stopped)?;
    if previous.is_none() && answer.is_conflict() {
        return Err(Status::internal("nothing cannot be in conflict"));
    }
    Ok(wire::append_response(&answer.into_stream_result(previous, None)))
}

/// Answers a candidate, or who would be one.
pub(crate) async fn vote(group: &Group, message: peer::VoteRequest) -> Result<peer::VoteResponse, Status> {
    let is_pre_vote = message.is_pre_vote;
    let request = wire::read_vote_request(message).map_err(malformed)?;
    let raft = group.raft();
    let answer = if is_pre_vote { raft.pre_vote(request).await } else { raft.vote(request).await };
    answer.map(|response| wire::vote_response(&response)).map_err(stopped)
}

/// Stands for election because the leader asks for it.
pub(crate) async fn transfer_leader(
    group: &Group,
    message: peer::TransferLeaderRequest,
) -> Result<peer::TransferLeaderResponse, Status> {
    let request = wire::read_transfer_request(message).map_err(malformed)?;
    let answer = group.raft().handle_transfer_leader(request).await.map_err(stopped)?;
    let refusal = answer.err().map(|refusal| refusal.to_string());
    Ok(peer::TransferLeaderResponse { refusal: refusal.unwrap_or_default() })
}

/// Takes a snapshot.
pub(crate) async fn install(
    group: &Group,
    parts: impl Stream<Item = Result<peer::SnapshotPart, Status>> + Unpin,
) -> Result<peer::SnapshotResponse, Status> {
    let received = &group.counters().received;
    let installed = async {
        let parts = parts.inspect_ok(|part| received.bytes.add(part.encoded_len()));
        let (vote, snapshot) =
            snapshot::receive(group.target(), group.vfs(), group.incoming(), parts).await?;
        group.raft().install_full_snapshot(vote, snapshot).await.map_err(stopped)
    };
    let installed = installed.await;
    received.note(installed.is_ok());
    Ok(peer::SnapshotResponse { vote: Some(types::stored_vote(&installed?.vote)) })
}

/// Sends what is in files here.
pub(crate) async fn files(
    group: &Group,
    asked: peer::FilesRequest,
) -> Result<BoxStream<'static, Result<peer::SnapshotPart, Status>>, Status> {
    let (vote, throttle) = (types::vote(group.vote()), Arc::clone(&group.network().throttle));
    let parts = snapshot::of_files(group.target(), group.vfs(), vote, asked, throttle).await?;
    Ok(parts.map(Ok).boxed())
}

/// Asks another member for its files, checks them, and says up to where they reach.
pub(crate) async fn take_files(
    group: &Group,
    of: ReplicaId,
    member: &Member,
) -> Result<(Arc<Files>, LogPosition), Status> {
    let asked = peer::FilesRequest { from: group.purged().unwrap_or(0), held: group.incoming().held() };
    let parts = group.network().files(of, member, asked).await?;
    let (_vote, snapshot) = snapshot::receive(group.target(), group.vfs(), group.incoming(), parts).await?;
    match (snapshot.snapshot, snapshot.meta.last_log_id) {
        (SnapshotData::Files(files), Some(last)) => Ok((files, types::position(&last))),
        _ => Err(Status::unavailable("nothing is in files there")),
    }
}
