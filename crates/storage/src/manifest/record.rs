//! What a manifest record says, and the state that records add up to.
//!
//! ```text
//! payload  | version | flags | [position: index, term, leader | membership] | next file number
//!          | number of added | file ... | number of added segments | segment ...
//!          | number of removed | number of the file or segment ... |
//!          | number of tombstones added | tombstone ... | number removed | sequence ... |
//! file     | number, order, level, density, bucket, shard start, shard end, bytes, rows, series,
//!            first time, last time, masked from | crc32 of the footer (4), xxh3-64 of the file (8) |
//! segment  | number, bucket, bytes, series, id after the last | xxh3-64 of the segment (8) |
//! tombstone | sequence, bucket, start, end | predicate as model::predicate::codec writes it |
//! ```
//! Integers are varints, signed ones zigzag.

use std::collections::BTreeMap;

use model::{BucketId, Deletion, LogPosition, ReplicaId, TimeRange, Timestamp, predicate, varint};

use crate::error::Damage;
use crate::tsm::format::{Density, put_i64, take_array, take_i64, take_len, take_u64};

const VERSION: u64 = 3;
const HAS_POSITION: u64 = 1;

/// A live file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileEntry {
    /// Names the file; never reused.
    pub(crate) number: u64,
    /// Order of writing among the files of a shard: of two values for one time the higher order wins.
    pub(crate) order: u64,
    /// 0 for a flush, one more than its inputs for a merge.
    pub(crate) level: u8,
    pub(crate) density: Density,
    pub(crate) bucket: BucketId,
    pub(crate) shard: TimeRange,
    pub(crate) bytes: u64,
    /// xxh3-64 of all bytes.
    pub(crate) checksum: u64,
    pub(crate) rows: u64,
    pub(crate) series: u64,
    /// First and last time, both inclusive.
    pub(crate) times: (i64, i64),
    /// Tombstones of this sequence and later hide rows of the file; earlier ones were applied when it was written.
    pub(crate) masked_from: u64,
    /// CRC32C of the footer: tells the file from another that is whole, too.
    pub(crate) footer_checksum: u32,
}

/// A delete that files are still to be rewritten for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TombstoneEntry {
    /// Index of the log entry that brought it. It hides what was written before.
    pub(crate) sequence: u64,
    pub(crate) deletion: Deletion,
}

/// A live segment of a bucket's series index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    /// Names the file; never reused, not by TSM files either.
    pub(crate) number: u64,
    pub(crate) bucket: BucketId,
    pub(crate) bytes: u64,
    /// xxh3-64 of all bytes.
    pub(crate) checksum: u64,
    pub(crate) series: u64,
    /// The id after its last: should the segment be lost, its ids are not given to others.
    pub(crate) end: u32,
}

/// A log position up to which everything is in files, with the membership of the group at that position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Durable {
    pub(crate) position: LogPosition,
    pub(crate) membership: Vec<u8>,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Edit {
    pub(crate) durable: Option<Durable>,
    pub(crate) added: Vec<FileEntry>,
    pub(crate) added_segments: Vec<IndexEntry>,
    /// Numbers of files and segments.
    pub(crate) removed: Vec<u64>,
    /// Numbers from here on were never used.
    pub(crate) next_number: u64,
    pub(crate) tombstones_added: Vec<TombstoneEntry>,
    /// Sequences of tombstones.
    pub(crate) tombstones_removed: Vec<u64>,
}

/// What the records add up to.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Live {
    pub(crate) durable: Option<Durable>,
    pub(crate) files: BTreeMap<u64, FileEntry>,
    pub(crate) segments: BTreeMap<u64, IndexEntry>,
    pub(crate) next_number: u64,
    /// By sequence.
    pub(crate) tombstones: BTreeMap<u64, TombstoneEntry>,
}

impl Live {
    pub(crate) fn apply(&mut self, edit: &Edit) {
        if let Some(durable) = &edit.durable {
            self.durable = Some(durable.clone());
        }
        for number in &edit.removed {
            self.files.remove(number);
            self.segments.remove(number);
        }
        for file in &edit.added {
            self.files.insert(file.number, file.clone());
        }
        for segment in &edit.added_segments {
            self.segments.insert(segment.number, segment.clone());
        }
        self.next_number = self.next_number.max(edit.next_number);
        for sequence in &edit.tombstones_removed {
            self.tombstones.remove(sequence);
        }
        for tombstone in &edit.tombstones_added {
            self.tombstones.insert(tombstone.sequence, tombstone.clone());
        }
    }

    pub(crate) fn to_edit(&self) -> Edit {
        Edit {
            durable: self.durable.clone(),
            added: self.files.values().cloned().collect(),
            added_segments: self.segments.values().cloned().collect(),
            removed: Vec::new(),
            next_number: self.next_number,
            tombstones_added: self.tombstones.values().cloned().collect(),
            tombstones_removed: Vec::new(),
        }
    }
}

impl Edit {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        varint::put(out, VERSION);
        match &self.durable {
            None => varint::put(out, 0),
            Some(durable) => {
                varint::put(out, HAS_POSITION);
                let position = durable.position;
                for n in [position.index, position.term, position.leader.0] {
                    varint::put(out, n);
                }
                varint::put_bytes(out, &durable.membership);
            }
        }
        varint::put(out, self.next_number);
        varint::put(out, self.added.len() as u64);
        self.added.iter().for_each(|file| file.encode(out));
        varint::put(out, self.added_segments.len() as u64);
        self.added_segments.iter().for_each(|segment| segment.encode(out));
        varint::put(out, self.removed.len() as u64);
        self.removed.iter().for_each(|number| varint::put(out, *number));
        varint::put(out, self.tombstones_added.len() as u64);
        self.tombstones_added.iter().for_each(|tombstone| tombstone.encode(out));
        varint::put(out, self.tombstones_removed.len() as u64);
        self.tombstones_removed.iter().for_each(|sequence| varint::put(out, *sequence));
    }

    pub(crate) fn decode(mut input: &[u8]) -> Result<Self, Damage> {
        let input = &mut input;
        let version = take_u64(input)?;
        if version != VERSION {
            return Err(Damage::Version(u16::try_from(version).unwrap_or(u16::MAX)));
        }
        let durable = match take_u64(input)? {
            0 => None,
            HAS_POSITION => Some(Durable {
                position: LogPosition {
                    index: take_u64(input)?,
                    term: take_u64(input)?,
                    leader: ReplicaId(take_u64(input)?),
                },
                membership: varint::take_bytes(input).ok_or(Damage::Truncated)?.to_vec(),
            }),
            _ => return Err(Damage::Malformed("manifest record")),
        };
        let next_number = take_u64(input)?;
        let mut added = Vec::new();
        for _ in 0..take_len(input)? {
            added.push(FileEntry::decode(input)?);
        }
        let mut added_segments = Vec::new();
        for _ in 0..take_len(input)? {
            added_segments.push(IndexEntry::decode(input)?);
        }
        let mut removed = Vec::new();
        for _ in 0..take_len(input)? {
            removed.push(take_u64(input)?);
        }
        let mut tombstones_added = Vec::new();
        for _ in 0..take_len(input)? {
            tombstones_added.push(TombstoneEntry::decode(input)?);
        }
        let mut tombstones_removed = Vec::new();
        for _ in 0..take_len(input)? {
            tombstones_removed.push(take_u64(input)?);
        }
        if input.is_empty() {
            Ok(Self {
                durable,
                added,
                added_segments,
                removed,
                next_number,
                tombstones_added,
                tombstones_removed,
            })
        } else {
            Err(Damage::Malformed("manifest record"))
        }
    }
}

impl TombstoneEntry {
    fn encode(&self, out: &mut Vec<u8>) {
        let Deletion { bucket, range, predicate } = &self.deletion;
        varint::put(out, self.sequence);
        varint::put(out, bucket.get());
        put_i64(out, range.start.0);
        put_i64(out, range.end.0);
        let predicate = predicate::codec::encode(predicate);
        varint::put_bytes(out, &predicate.expect("a logged predicate is within its bounds"));
    }

    fn decode(input: &mut &[u8]) -> Result<Self, Damage> {
        let sequence = take_u64(input)?;
        let bucket = BucketId::new(take_u64(input)?).ok_or(Damage::Malformed("bucket"))?;
        let range = TimeRange::new(Timestamp(take_i64(input)?), Timestamp(take_i64(input)?));
        let predicate = varint::take_bytes(input).ok_or(Damage::Truncated)?;
        let predicate = predicate::codec::decode(predicate).map_err(|_why| Damage::Malformed("tombstone"))?;
        Ok(Self { sequence, deletion: Deletion { bucket, range, predicate } })
    }
}

impl FileEntry {
    fn encode(&self, out: &mut Vec<u8>) {
        let (level, density) = (u64::from(self.level), u64::from(self.density.code()));
        for n in [self.number, self.order, level, density, self.bucket.get()] {
            varint::put(out, n);
        }
        put_i64(out, self.shard.start.0);
        put_i64(out, self.shard.end.0);
        for n in [self.bytes, self.rows, self.series] {
            varint::put(out, n);
        }
        put_i64(out, self.times.0);
        put_i64(out, self.times.1);
        varint::put(out, self.masked_from);
        out.extend(self.footer_checksum.to_le_bytes());
        out.extend(self.checksum.to_le_bytes());
    }

    fn decode(input: &mut &[u8]) -> Result<Self, Damage> {
        let number = take_u64(input)?;
        let order = take_u64(input)?;
        let level = u8::try_from(take_u64(input)?).map_err(|_large| Damage::Malformed("level"))?;
        let density = u8::try_from(take_u64(input)?).ok().and_then(Density::from_code);
        let bucket = BucketId::new(take_u64(input)?).ok_or(Damage::Malformed("bucket"))?;
        Ok(Self {
            number,
            order,
            level,
            density: density.ok_or(Damage::Malformed("density"))?,
            bucket,
            shard: TimeRange::new(Timestamp(take_i64(input)?), Timestamp(take_i64(input)?)),
            bytes: take_u64(input)?,
            rows: take_u64(input)?,
            series: take_u64(input)?,
            times: (take_i64(input)?, take_i64(input)?),
            masked_from: take_u64(input)?,
            footer_checksum: u32::from_le_bytes(take_array(input)?),
            checksum: u64::from_le_bytes(take_array(input)?),
        })
    }
}

impl IndexEntry {
    fn encode(&self, out: &mut Vec<u8>) {
        for n in [self.number, self.bucket.get(), self.bytes, self.series, u64::from(self.end)] {
            varint::put(out, n);
        }
        out.extend(self.checksum.to_le_bytes());
    }

    fn decode(input: &mut &[u8]) -> Result<Self, Damage> {
        Ok(Self {
            number: take_u64(input)?,
            bucket: BucketId::new(take_u64(input)?).ok_or(Damage::Malformed("bucket"))?,
            bytes: take_u64(input)?,
            series: take_u64(input)?,
            end: u32::try_from(take_u64(input)?).map_err(|_large| Damage::Malformed("ids"))?,
            checksum: u64::from_le_bytes(take_array(input)?),
        })
    }
}
