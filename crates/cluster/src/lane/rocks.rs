//! The other back-end: a RocksDB instance of its own. One write batch per flush, made durable by one sync of its
//! write-ahead log; compression off, large memtables, because most entries die before they are ever compacted.
//!
//! ```text
//! log    group u32 BE | index u64 BE  ->  tidemark.log.v1.Append
//! meta   group u32 BE                 ->  tidemark.log.v1.GroupState
//! ```
//! Entries up to the purge position may still stand in `log`; readers begin after it. They are deleted in steps,
//! because every range tombstone costs later reads.

use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use disk::Vfs;
use hashbrown::HashMap;
use model::LogPosition;
use prost::Message as _;
use proto::log;
use rocksdb::{ColumnFamily, ColumnFamilyDescriptor, DB, DBRecoveryMode, IteratorMode, Options, WriteBatch};

use super::{LaneOpenError, LaneReader, Location, LogLane, Record, RecordBody, Recovered, WriteError};

const LOG: &str = "log";
const META: &str = "meta";
/// Bytes appended to a group between deletions of what it purged.
const DELETE_STEP_BYTES: u64 = 32 << 20;

/// A lane in RocksDB.
#[derive(Debug)]
pub(crate) struct RocksLane {
    db: Arc<DB>,
    states: HashMap<u32, State>,
}

/// What the lane must know of a group.
#[derive(Debug, Default)]
struct State {
    stored: log::GroupState,
    /// One past the last index written.
    next: u64,
    appended_since_delete: u64,
}

impl RocksLane {
    pub(crate) fn open(vfs: &dyn Vfs, dir: &Path) -> Result<(Self, Recovered), LaneOpenError> {
        vfs.create_dir_all(dir).map_err(LaneOpenError::Directory)?;
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_max_total_wal_size(1 << 30);
        options.set_keep_log_file_num(4);
        // A cut record at the very end is a torn write; anything else is damage and must be refused.
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        let families = [LOG, META].map(|name| {
            let mut family = Options::default();
            family.set_compression_type(rocksdb::DBCompressionType::None);
            family.set_write_buffer_size(if name == LOG { 256 << 20 } else { 4 << 20 });
            family.set_max_write_buffer_number(6);
            family.set_level_zero_file_num_compaction_trigger(8);
            family.set_level_zero_slowdown_writes_trigger(40);
            family.set_level_zero_stop_writes_trigger(60);
            ColumnFamilyDescriptor::new(name, family)
        });
        let db = Arc::new(DB::open_cf_descriptors(&options, dir, families)?);
        let (recovered, states) = recover(&db)?;
        Ok((Self { db, states }, recovered))
    }

    /// Puts one record into a batch.
    fn put(&mut self, batch: &mut WriteBatch, record: &Record) -> io::Result<Location> {
        let (entries, meta) = (family(&self.db, LOG), family(&self.db, META));
        let state = self.states.entry(record.group).or_default();
        match &record.body {
            RecordBody::Append { position, entry } => {
                let append = log::Append { id: Some((*position).into()), entry: entry.clone() };
                let value = append.encode_to_vec();
                let len = u32::try_from(value.len()).map_err(io::Error::other)?;
                batch.put_cf(entries, entry_key(record.group, position.index), &value);
                state.next = position.index + 1;
                state.appended_since_delete += u64::from(len);
                return Ok(Location { segment: 0, offset: 0, len });
            }
            RecordBody::Truncate { after } => {
                let from = after.map_or(0, |p| p.index + 1);
                for index in from..state.next {
                    batch.delete_cf(entries, entry_key(record.group, index));
                }
                state.next = state.next.min(from);
                return Ok(Location { segment: 0, offset: 0, len: 0 });
            }
            RecordBody::Purge(upto) => {
                state.stored.purged = Some((*upto).into());
                state.next = state.next.max(upto.index + 1);
                if state.appended_since_delete >= DELETE_STEP_BYTES {
                    state.appended_since_delete = 0;
                    let (from, to) = (entry_key(record.group, 0), entry_key(record.group, upto.index + 1));
                    batch.delete_range_cf(entries, from, to);
                }
            }
            RecordBody::Vote(vote) => state.stored.vote = Some(*vote),
            RecordBody::Committed(position) => state.stored.committed = Some((*position).into()),
            RecordBody::State(all) => state.stored = *all,
            RecordBody::Reset(replica) => {
                let (from, to) = (entry_key(record.group, 0), entry_key(record.group, state.next));
                batch.delete_range_cf(entries, from, to);
                let stored = log::GroupState { replica: replica.0, ..log::GroupState::default() };
                *state = State { stored, ..State::default() };
            }
        }
        batch.put_cf(meta, record.group.to_be_bytes(), state.stored.encode_to_vec());
        Ok(Location { segment: 0, offset: 0, len: 0 })
    }
}

impl LogLane for RocksLane {
    fn write(&mut self, records: &[Record]) -> Result<Vec<Location>, WriteError> {
        let mut batch = WriteBatch::default();
        let locations: io::Result<Vec<_>> =
            records.iter().map(|record| self.put(&mut batch, record)).collect();
        let locations = locations.map_err(WriteError::Broken)?;
        // RocksDB does not say whether a failed write left anything, so even a full disk closes the lane.
        self.db.write(batch).map_err(|error| WriteError::Broken(io::Error::other(error)))?;
        Ok(locations)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.db.flush_wal(true).map_err(io::Error::other)
    }

    fn batch_bytes_max(&self) -> u64 {
        64 << 20
    }

    fn needs_mark(&self) -> bool {
        false
    }

    fn mark_idle(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reader(&self) -> Arc<dyn LaneReader> {
        Arc::new(RocksReader(Arc::downgrade(&self.db)))
    }

    fn bytes(&self) -> u64 {
        let family = family(&self.db, LOG);
        let property = |name| self.db.property_int_value_cf(family, name).ok().flatten().unwrap_or(0);
        property("rocksdb.total-sst-files-size") + property("rocksdb.size-all-mem-tables")
    }

    fn segments(&self) -> (u64, u64) {
        (0, 0)
    }

    fn start_small(&mut self) -> Result<(), WriteError> {
        Ok(())
    }

    fn remove_before(&mut self, _segment: u64) -> io::Result<()> {
        Ok(())
    }
}

/// Does not keep the database open: when the lane is closed, its directory is free for another.
#[derive(Debug)]
struct RocksReader(Weak<DB>);

impl LaneReader for RocksReader {
    fn read(&self, group: u32, index: u64, _location: Location) -> io::Result<Bytes> {
        let db = self.0.upgrade().ok_or_else(|| io::Error::other("the log is closed"))?;
        let value = db.get_cf(family(&db, LOG), entry_key(group, index)).map_err(io::Error::other)?;
        let missing = || io::Error::new(io::ErrorKind::NotFound, "the entry is not in the log");
        let append = log::Append::decode(Bytes::from(value.ok_or_else(missing)?))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(append.entry)
    }
}

fn family<'a>(db: &'a DB, name: &str) -> &'a ColumnFamily {
    db.cf_handle(name).expect("the column families were opened with the database")
}

fn entry_key(group: u32, index: u64) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&group.to_be_bytes());
    key[4..].copy_from_slice(&index.to_be_bytes());
    key
}

/// Reads the state of all groups.
fn recover(db: &DB) -> Result<(Recovered, HashMap<u32, State>), LaneOpenError> {
    let mut recovered = Recovered::new();
    let mut states = HashMap::<u32, State>::new();
    let damaged = |group, reason: String| LaneOpenError::Damaged { group, reason };
    for item in db.iterator_cf(family(db, META), IteratorMode::Start) {
        let (key, value) = item?;
        let group = <[u8; 4]>::try_from(&*key).map(u32::from_be_bytes);
        let group = group.map_err(|_wrong| damaged(u32::MAX, "a state under a foreign key".to_owned()))?;
        let stored = log::GroupState::decode(&*value).map_err(|error| damaged(group, error.to_string()))?;
        let location = Location { segment: 0, offset: 0, len: 0 };
        let replayed = recovered.entry(group).or_default().replay(&RecordBody::State(stored), location);
        replayed.map_err(|gap| damaged(group, gap.to_string()))?;
        let next = stored.purged.map_or(0, |purged| purged.index + 1);
        states.insert(group, State { stored, next, appended_since_delete: 0 });
    }
    let mut group_seen = None;
    let mut items = db.raw_iterator_cf(family(db, LOG));
    items.seek_to_first();
    while let (Some(key), Some(value)) = (items.key(), items.value()) {
        let foreign = || damaged(u32::MAX, "an entry under a foreign key".to_owned());
        let (group, index) = key.split_at_checked(4).ok_or_else(foreign)?;
        let group = u32::from_be_bytes(group.try_into().map_err(|_wrong| foreign())?);
        let index = u64::from_be_bytes(index.try_into().map_err(|_wrong| foreign())?);
        let state = states.entry(group).or_default();
        if group_seen != Some(group) {
            group_seen = Some(group);
            // Straight to the first entry that is not purged: what is below may be many tombstones.
            let first = state.next;
            if index < first {
                items.seek(entry_key(group, first));
                continue;
            }
        }
        let append = log::Append::decode(value).map_err(|error| damaged(group, error.to_string()))?;
        let id = append.id.filter(|id| id.index == index);
        let id = id.ok_or_else(|| damaged(group, format!("entry {index} is another")))?;
        let body = RecordBody::Append { position: LogPosition::from(id), entry: Bytes::new() };
        let len = u32::try_from(value.len()).map_err(|error| damaged(group, error.to_string()))?;
        let location = Location { segment: 0, offset: 0, len };
        let replayed = recovered.entry(group).or_default().replay(&body, location);
        replayed.map_err(|gap| damaged(group, gap.to_string()))?;
        state.next = index + 1;
        state.appended_since_delete += u64::from(len);
        items.next();
    }
    items.status()?;
    Ok((recovered, states))
}
