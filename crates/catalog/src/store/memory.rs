//! A store in memory, for tests and simulations: nothing survives the process, everything else is as on disk.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{EachRecord, Op, Store, StoreError, prefix_end};

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// A store in memory. Clones share their records, so a test can "restart" by opening a clone.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    records: Arc<Mutex<Records>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    fn load_all(&self, each: EachRecord<'_>) -> Result<(), StoreError> {
        self.records.lock().iter().try_for_each(|(key, value)| each(key, value))
    }

    fn commit(&self, batch: &[Op]) -> Result<(), StoreError> {
        let mut records = self.records.lock();
        for op in batch {
            match op {
                Op::Put(key, value) => {
                    records.insert(key.clone(), value.clone());
                }
                Op::Delete(key) => {
                    records.remove(key);
                }
                Op::DeletePrefix(prefix) => {
                    let end = prefix_end(prefix).map_or(Bound::Unbounded, Bound::Excluded);
                    let gone: Vec<Vec<u8>> = records
                        .range::<[u8], _>((
                            Bound::Included(prefix.as_slice()),
                            end.as_ref().map(Vec::as_slice),
                        ))
                        .map(|(key, _)| key.clone())
                        .collect();
                    for key in gone {
                        records.remove(&key);
                    }
                }
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
