//! openraft's requests and answers as messages between nodes, and back. Nothing that comes in is trusted: entries must
//! follow one another, and their envelopes must be readable, before openraft sees them.

use model::LogPosition;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderRequest, VoteRequest,
    VoteResponse,
};
use proto::peer::append_response::Result as Answer;
use proto::{EntryError, log, peer};
use trace::{Context, SpanId, TraceId};

use super::types::{self, LogId, Types};
use crate::entry::LogEntry;
use crate::peer::route;

/// Why a message is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// A field that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Entries do not follow one another.
    #[error("entry {found} where {wanted} was expected")]
    Gap {
        /// The index that should be there.
        wanted: u64,
        /// The index that is.
        found: u64,
    },
    /// An entry cannot be read.
    #[error("entry {index} cannot be read")]
    Entry {
        /// Its index.
        index: u64,
        /// Why.
        source: EntryError,
    },
}

pub(crate) fn log_id(id: &LogId) -> log::LogId {
    types::position(id).into()
}

pub(crate) fn read_log_id(id: log::LogId) -> LogId {
    types::log_id(id.into())
}

/// The message, and the bytes of its entries.
pub(crate) fn append_request(
    request: AppendEntriesRequest<Types>,
    all_have: u64,
) -> (peer::AppendRequest, usize) {
    let mut bytes = 0;
    let mut traces = Vec::new();
    let entries = (0..).zip(request.entries).map(|(at, entry)| {
        let entry = types::from_openraft(entry);
        bytes += entry.bytes();
        traces.extend(entry.traced().map(|context| entry_trace(at, context)));
        log::Append { id: Some(entry.position.into()), entry: entry.encoded() }
    });
    let entries = entries.collect();
    let message = peer::AppendRequest {
        entries,
        traces,
        vote: Some(types::stored_vote(&request.vote)),
        previous: request.prev_log_id.as_ref().map(log_id),
        committed: request.leader_commit.as_ref().map(log_id),
        all_have,
    };
    (message, bytes)
}

fn entry_trace(entry: u32, context: Context) -> peer::EntryTrace {
    peer::EntryTrace {
        entry,
        trace: route::id(context.trace.get()),
        span: context.span.get(),
        sampled: context.is_sampled,
        kept: context.is_kept,
    }
}

/// The entry and the span that has proposed it; nothing of what is no span.
fn read_entry_trace(message: &peer::EntryTrace) -> Option<(usize, Context)> {
    let context = Context {
        trace: route::read_id(&message.trace).and_then(TraceId::new)?,
        span: SpanId::new(message.span)?,
        is_sampled: message.sampled,
        is_kept: message.kept,
    };
    Some((usize::try_from(message.entry).ok()?, context))
}

pub(crate) fn read_append_request(
    message: peer::AppendRequest,
) -> Result<AppendEntriesRequest<Types>, WireError> {
    let mut wanted = message.previous.map_or(0, |id| id.index.saturating_add(1));
    let mut traces = message.traces.iter().filter_map(read_entry_trace).peekable();
    let mut entries = Vec::with_capacity(message.entries.len());
    for (at, log::Append { id, entry }) in message.entries.into_iter().enumerate() {
        let position = LogPosition::from(id.ok_or(WireError::Missing("entry's position"))?);
        if position.index != wanted {
            return Err(WireError::Gap { wanted, found: position.index });
        }
        wanted = wanted.saturating_add(1);
        let mut entry = LogEntry::stored(position, entry)
            .map_err(|source| WireError::Entry { index: position.index, source })?;
        // They come in the order of the entries.
        if let Some((_, context)) = traces.next_if(|(traced, _)| *traced == at) {
            entry.trace(context);
        }
        entries.push(types::to_openraft(entry));
    }
    Ok(AppendEntriesRequest {
        vote: read_vote(message.vote)?,
        prev_log_id: message.previous.map(read_log_id),
        entries,
        leader_commit: message.committed.map(read_log_id),
    })
}

pub(crate) fn read_vote(vote: Option<log::Vote>) -> Result<types::Vote, WireError> {
    vote.map(types::vote).ok_or(WireError::Missing("vote"))
}

pub(crate) fn append_response(result: &StreamAppendResult<Types>) -> peer::AppendResponse {
    let answer = match result {
        Ok(last) => Answer::Matched(peer::Matched { last: last.as_ref().map(log_id) }),
        Err(StreamAppendError::Conflict(id)) => Answer::Conflict(log_id(id)),
        Err(StreamAppendError::HigherVote(vote)) => Answer::HigherVote(types::stored_vote(vote)),
    };
    peer::AppendResponse { result: Some(answer) }
}

pub(crate) fn read_append_response(
    message: peer::AppendResponse,
) -> Result<StreamAppendResult<Types>, WireError> {
    Ok(match message.result.ok_or(WireError::Missing("answer"))? {
        Answer::Matched(matched) => Ok(matched.last.map(read_log_id)),
        Answer::Conflict(id) => Err(StreamAppendError::Conflict(read_log_id(id))),
        Answer::HigherVote(vote) => Err(StreamAppendError::HigherVote(types::vote(vote))),
    })
}

pub(crate) fn vote_request(request: &VoteRequest<Types>, is_pre_vote: bool) -> peer::VoteRequest {
    peer::VoteRequest {
        vote: Some(types::stored_vote(&request.vote)),
        last: request.last_log_id.as_ref().map(log_id),
        is_pre_vote,
        is_transfer: request.leadership_transfer,
    }
}

pub(crate) fn read_vote_request(message: peer::VoteRequest) -> Result<VoteRequest<Types>, WireError> {
    let mut request = VoteRequest::new(read_vote(message.vote)?, message.last.map(read_log_id));
    request.leadership_transfer = message.is_transfer;
    Ok(request)
}

pub(crate) fn vote_response(response: &VoteResponse<Types>) -> peer::VoteResponse {
    peer::VoteResponse {
        vote: Some(types::stored_vote(&response.vote)),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(log_id),
    }
}

pub(crate) fn read_vote_response(message: peer::VoteResponse) -> Result<VoteResponse<Types>, WireError> {
    let vote = read_vote(message.vote)?;
    Ok(VoteResponse::new(vote, message.last.map(read_log_id), message.granted))
}

pub(crate) fn transfer_request(request: &TransferLeaderRequest<Types>) -> peer::TransferLeaderRequest {
    peer::TransferLeaderRequest {
        from: Some(types::stored_vote(request.from_leader())),
        to_replica: *request.to_node_id(),
        last: request.last_log_id().map(log_id),
    }
}

pub(crate) fn read_transfer_request(
    message: peer::TransferLeaderRequest,
) -> Result<TransferLeaderRequest<Types>, WireError> {
    let from = read_vote(message.from)?;
    Ok(TransferLeaderRequest::new(from, message.to_replica, message.last.map(read_log_id)))
}

#[cfg(test)]
mod tests;
