//! A store that keeps nothing, for a copy of the catalog that is fetched anew from a node after each start.

use super::{EachRecord, Op, Store, StoreError};

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

impl Store for Nowhere {
    fn load_all(&self, _each: EachRecord<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    fn commit(&self, _batch: &[Op]) -> Result<(), StoreError> {
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
