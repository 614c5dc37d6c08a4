//! The catalog as queries see it: read shortly, never held across a scan.

use catalog::State;

use crate::source::ScanError;

/// Gives access to the catalog. A call reads one consistent state; the next call may see a newer one.
pub trait CatalogView: Send + Sync {
    /// Calls `read` once with the state.
    fn with_state(&self, read: &mut dyn FnMut(&State));

    /// Asked before a name is said not to exist: makes the state as new as anything acknowledged before the call.
    /// Answers whether it may have been older.
    ///
    /// # Errors
    /// [`ScanError::NoCatalog`].
    fn refresh(&self) -> Result<bool, ScanError> {
        Ok(false)
    }
}

impl CatalogView for State {
    fn with_state(&self, read: &mut dyn FnMut(&State)) {
        read(self);
    }
}

impl dyn CatalogView + '_ {
    /// Reads something out of the state.
    pub fn get<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        let (mut read, mut answer) = (Some(read), None);
        self.with_state(&mut |state| {
            if let Some(read) = read.take() {
                answer = Some(read(state));
            }
        });
        answer.expect("a view calls the reader once")
    }

    /// Looks something up, again in a newer state before it is said not to exist.
    pub(crate) fn find<T>(&self, look: impl Fn(&State) -> Option<T>) -> Result<Option<T>, ScanError> {
        match self.get(&look) {
            None if self.refresh()? => Ok(self.get(&look)),
            found => Ok(found),
        }
    }
}
