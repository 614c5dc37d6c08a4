//! What is sent arrives as it was, and what makes no sense does not arrive.

use bytes::Bytes;
use model::{BucketId, PartitionOp, ReplicaId, Timestamp};
use openraft::EntryPayload;

use super::*;
use crate::raft::types::Entry;

fn at(index: u64) -> LogId {
    types::log_id(LogPosition { index, term: 3, leader: ReplicaId(9) })
}

fn vote() -> types::Vote {
    types::vote(log::Vote { term: 3, replica: 9, committed: true })
}

fn drop_bucket() -> Bytes {
    proto::encode_op(&PartitionOp::DropBucket { bucket: BucketId::new(1).unwrap() }, Timestamp(5))
}

fn entry(index: u64, payload: EntryPayload<crate::entry::Proposal, u64, types::Member>) -> Entry {
    Entry { log_id: at(index), payload }
}

fn request() -> AppendEntriesRequest<Types> {
    let members = types::membership(&log::Membership {
        voter_sets: vec![log::VoterSet { replicas: vec![1, 9] }],
        members: vec![
            log::Member { replica: 1, node: vec![1; 16].into(), address: "a:1".to_owned() },
            log::Member { replica: 9, node: vec![9; 16].into(), address: "b:2".to_owned() },
        ],
    });
    AppendEntriesRequest {
        vote: vote(),
        prev_log_id: Some(at(6)),
        entries: vec![
            entry(7, EntryPayload::Blank),
            entry(8, EntryPayload::Membership(members)),
            entry(9, EntryPayload::Normal(crate::entry::Proposal::stored(drop_bucket()))),
        ],
        leader_commit: Some(at(5)),
    }
}

#[test]
fn requests_arrive_as_they_were_sent() {
    let (message, bytes) = append_request(request(), 4);
    assert_eq!(message.all_have, 4);
    assert!(bytes > drop_bucket().len());
    let read = read_append_request(message).unwrap();
    let sent = request();
    assert_eq!(
        (read.vote, read.prev_log_id, read.leader_commit),
        (sent.vote, sent.prev_log_id, sent.leader_commit)
    );
    for (read, sent) in read.entries.iter().zip(&sent.entries) {
        assert_eq!(read.log_id, sent.log_id);
        match (&read.payload, &sent.payload) {
            (EntryPayload::Blank, EntryPayload::Blank) => {}
            (EntryPayload::Membership(read), EntryPayload::Membership(sent)) => assert_eq!(read, sent),
            (EntryPayload::Normal(read), EntryPayload::Normal(sent)) => {
                assert_eq!(read.encoded(), sent.encoded());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(read.entries.len(), 3);
    let first =
        AppendEntriesRequest { vote: vote(), prev_log_id: None, entries: vec![], leader_commit: None };
    assert_eq!(read_append_request(append_request(first, 0).0).unwrap().prev_log_id, None);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let message = || append_request(request(), 0).0;
    let refused = |change: &dyn Fn(&mut peer::AppendRequest)| {
        let mut message = message();
        change(&mut message);
        read_append_request(message).unwrap_err()
    };
    assert!(matches!(refused(&|m| m.vote = None), WireError::Missing("vote")));
    assert!(matches!(refused(&|m| m.entries[1].id = None), WireError::Missing(_)));
    assert!(matches!(refused(&|m| drop(m.entries.remove(1))), WireError::Gap { wanted: 8, found: 9 }));
    assert!(matches!(refused(&|m| m.previous = None), WireError::Gap { wanted: 0, found: 7 }));
    let damaged = refused(&|m| m.entries[2].entry = Bytes::from_static(b"\xff\xff"));
    assert!(matches!(damaged, WireError::Entry { index: 9, .. }), "{damaged}");
}

#[test]
fn answers_arrive_as_they_were_sent() {
    for answer in [
        Ok(None),
        Ok(Some(at(4))),
        Err(StreamAppendError::Conflict(at(3))),
        Err(StreamAppendError::HigherVote(vote())),
    ] {
        assert_eq!(read_append_response(append_response(&answer)).unwrap(), answer);
    }
    assert!(read_append_response(peer::AppendResponse { result: None }).is_err());
    let mut request = VoteRequest::new(vote(), Some(at(4)));
    request.leadership_transfer = true;
    assert_eq!(read_vote_request(vote_request(&request, true)).unwrap(), request);
    let response = VoteResponse::new(vote(), None, true);
    assert_eq!(read_vote_response(vote_response(&response)).unwrap(), response);
    let transfer = TransferLeaderRequest::new(vote(), 4, Some(at(2)));
    assert_eq!(read_transfer_request(transfer_request(&transfer)).unwrap(), transfer);
}
