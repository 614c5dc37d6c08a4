//! Records of the store: what key a record has, and what bytes.
//!
//! ```text
//! 'c'                                         the cluster
//! 'n'   id (8, BE)                            a node
//! 'p'   number (8, BE)                        the places of a group
//! 'o' | 'b' | 'u' | 't' | 'd'   id (8, BE)     organization, bucket, user, authorization, mapping
//! 'q'   id (8, BE)                            a continuous query
//! 'f' bucket (8, BE) length of measurement (4, BE) measurement field      type of a field
//! 'A'                                         position of the last applied log entry
//! 'M'                                         membership of the meta group, opaque
//! 'V'                                         format of the store
//! ```

use model::{BucketId, LogPosition, ReplicaId};

use super::messages as m;
use super::{DecodeError, convert, open, seal};
use crate::change::Change;

/// The key of the position of the last applied entry.
pub(crate) const POSITION_KEY: &[u8] = b"A";
/// The key of the membership.
pub(crate) const MEMBERSHIP_KEY: &[u8] = b"M";
/// The key of the store's format.
pub(crate) const FORMAT_KEY: &[u8] = b"V";

/// What a change does to the store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// This key gets this value.
    Put(Vec<u8>, Vec<u8>),
    /// This key goes.
    Remove(Vec<u8>),
    /// This key goes, and every key with this prefix.
    RemoveAll(Vec<u8>, Vec<u8>),
    /// Every key with this prefix goes.
    RemovePrefix(Vec<u8>),
}

/// The record of a change.
pub(crate) fn encode_change(change: &Change) -> Record {
    match change {
        Change::PutCluster(cluster) => Record::Put(b"c".to_vec(), seal(&m::Cluster::from(cluster))),
        Change::PutNode(node) => Record::Put(key(b'n', node.id.get()), seal(&m::ClusterNode::from(node))),
        Change::PutPlacement(placement) => {
            let key = key(b'p', placement.group.number().into());
            Record::Put(key, seal(&m::Placement::from(placement)))
        }
        Change::PutOrg(org) => Record::Put(key(b'o', org.id.get()), seal(&m::Org::from(org))),
        Change::DropOrg(id) => Record::Remove(key(b'o', id.get())),
        Change::PutBucket(b) => Record::Put(key(b'b', b.id.get()), seal(&m::Bucket::from(b))),
        Change::DropBucket(id) => Record::RemoveAll(key(b'b', id.get()), key(b'f', id.get())),
        Change::PutUser(user) => Record::Put(key(b'u', user.id.get()), seal(&m::User::from(user))),
        Change::DropUser(id) => Record::Remove(key(b'u', id.get())),
        Change::PutAuthorization(a) => Record::Put(key(b't', a.id.get()), seal(&m::Authorization::from(a))),
        Change::DropAuthorization(id) => Record::Remove(key(b't', id.get())),
        Change::PutDbrp(dbrp) => Record::Put(key(b'd', dbrp.id.get()), seal(&m::Dbrp::from(dbrp))),
        Change::DropDbrp(id) => Record::Remove(key(b'd', id.get())),
        Change::PutContinuousQuery(query) => {
            Record::Put(key(b'q', query.id.get()), seal(&m::ContinuousQuery::from(query)))
        }
        Change::DropContinuousQuery(id) => Record::Remove(key(b'q', id.get())),
        // The length before the measurement keeps others out that begin with the same letters.
        Change::DropMeasurement { bucket, measurement } => {
            Record::RemovePrefix(field_key(*bucket, measurement, ""))
        }
        Change::PutField { bucket, measurement, field, field_type } => {
            let value = m::Field { field_type: field_type.code().into() };
            Record::Put(field_key(*bucket, measurement, field), seal(&value))
        }
    }
}

/// The change that a record stands for.
pub(crate) fn decode_record(key: &[u8], value: &[u8]) -> Result<Change, DecodeError> {
    let (kind, rest) = key.split_first().ok_or(DecodeError::Key)?;
    let change = match *kind {
        b'c' => Change::PutCluster(open::<m::Cluster>("cluster", value)?.try_into()?),
        b'n' => Change::PutNode(open::<m::ClusterNode>("node", value)?.try_into()?),
        b'p' => Change::PutPlacement(open::<m::Placement>("placement", value)?.try_into()?),
        b'o' => Change::PutOrg(open::<m::Org>("organization", value)?.try_into()?),
        b'b' => Change::PutBucket(open::<m::Bucket>("bucket", value)?.try_into()?),
        b'u' => Change::PutUser(open::<m::User>("user", value)?.try_into()?),
        b't' => Change::PutAuthorization(open::<m::Authorization>("authorization", value)?.try_into()?),
        b'd' => Change::PutDbrp(open::<m::Dbrp>("DBRP mapping", value)?.try_into()?),
        b'q' => {
            let query = open::<m::ContinuousQuery>("continuous query", value)?;
            Change::PutContinuousQuery(query.try_into()?)
        }
        b'f' => {
            let (bucket, measurement, field) = split_field_key(rest).ok_or(DecodeError::Key)?;
            let field_type = convert::field_type(open::<m::Field>("field", value)?.field_type)?;
            Change::PutField {
                bucket: convert::bucket_id(bucket)?,
                measurement: measurement.to_owned(),
                field: field.to_owned(),
                field_type,
            }
        }
        _ => return Err(DecodeError::Key),
    };
    // The record must stand under its own key: a copy under another would outlive its deletion.
    match encode_change(&change) {
        Record::Put(own, _) if own == key => Ok(change),
        _ => Err(DecodeError::Key),
    }
}

fn key(kind: u8, id: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(9);
    out.push(kind);
    out.extend_from_slice(&id.to_be_bytes());
    out
}

fn field_key(bucket: BucketId, measurement: &str, field: &str) -> Vec<u8> {
    let mut out = key(b'f', bucket.get());
    let length = u32::try_from(measurement.len()).expect("apply limits the length of measurements");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(measurement.as_bytes());
    out.extend_from_slice(field.as_bytes());
    out
}

fn split_field_key(key: &[u8]) -> Option<(u64, &str, &str)> {
    let (bucket, rest) = key.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (measurement, field) = rest.split_at_checked(length)?;
    let text = std::str::from_utf8;
    Some((u64::from_be_bytes(*bucket), text(measurement).ok()?, text(field).ok()?))
}

/// The bytes of a position.
pub(crate) fn encode_position(position: LogPosition) -> Vec<u8> {
    seal(&m::Position { index: position.index, term: position.term, leader: position.leader.0 })
}

/// Reads what [`encode_position`] wrote.
pub(crate) fn decode_position(bytes: &[u8]) -> Result<LogPosition, DecodeError> {
    let position: m::Position = open("position", bytes)?;
    Ok(LogPosition { index: position.index, term: position.term, leader: ReplicaId(position.leader) })
}
