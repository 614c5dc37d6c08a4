//! The catalog as queries see it: read shortly, never held across a scan.

use catalog::State;

/// Gives access to the catalog. A call reads one consistent state; the next call may see a newer one.
pub trait CatalogView: Send + Sync {
    /// Calls `read` once with the state.
    fn with_state(&self, read: &mut dyn FnMut(&State));
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
}
