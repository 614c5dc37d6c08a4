//! Unlinking files that are out of the manifest, once no reader holds them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Inner, guarded};
use crate::jobs::JobClass;

impl Inner {
    /// Queues a removal if there is something to remove and none waits already.
    pub(super) fn submit_removal(this: &Arc<Self>) {
        if this.is_closing() || !this.state.read().has_dead_files() {
            return;
        }
        if this.removal_submitted.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::clone(this);
        let job = move || {
            inner.removal_submitted.store(false, Ordering::Release);
            guarded(&inner, "removal", || inner.remove_dead_files());
        };
        this.jobs.submit(JobClass::Removal, Box::new(job));
    }

    /// Removes the dead files that nobody reads; the others wait for the next time.
    fn remove_dead_files(&self) {
        let (dead, dead_paths) = {
            let mut state = self.state.write();
            let all = std::mem::take(&mut state.dead);
            // Nobody can begin to use a dead file, so a count of one stays one.
            let (unused, used) = all.into_iter().partition(|file| Arc::strong_count(file) == 1);
            state.dead = used;
            let unused: Vec<_> = unused;
            (unused, std::mem::take(&mut state.dead_paths))
        };
        self.commons.cache().forget(&dead.iter().map(|file| file.id).collect::<Vec<_>>());
        // Opening the engine removes what no manifest record names, should it fail.
        dead.iter().map(|file| &file.path).chain(&dead_paths).for_each(|path| self.discard(path));
    }
}
