//! What members of a group have acknowledged to this one while it leads. A member that later does not have it has an older
//! copy of its data, or a disk that lies; openraft would go on as if it had all.
//!
//! What must always hold: only what was acknowledged in a term counts against a member in that term, for entries of
//! earlier ones may have been overwritten since.

use std::collections::BTreeMap;

use model::ReplicaId;
use parking_lot::Mutex;

/// The end of the log that each member has acknowledged, and in which term.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged(Mutex<BTreeMap<ReplicaId, (u64, u64)>>);

impl Acknowledged {
    /// Notes that a member has all entries up to one.
    pub(crate) fn note(&self, member: ReplicaId, term: u64, index: u64) {
        let mut known = self.0.lock();
        let known = known.entry(member).or_default();
        *known = (*known).max((term, index));
    }

    /// Whether a member has acknowledged an entry in this term.
    pub(crate) fn has(&self, member: ReplicaId, term: u64, index: u64) -> bool {
        self.0.lock().get(&member).is_some_and(|(when, last)| *when == term && index <= *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_counts_in_its_term() {
        let acknowledged = Acknowledged::default();
        let has = |term, index| acknowledged.has(ReplicaId(1), term, index);
        assert!(!has(1, 0));
        for index in [7, 5] {
            acknowledged.note(ReplicaId(1), 1, index);
        }
        assert_eq!([has(1, 6), has(1, 7), has(1, 8), has(2, 6)], [true, true, false, false]);
        acknowledged.note(ReplicaId(1), 3, 4);
        acknowledged.note(ReplicaId(1), 1, 9);
        assert_eq!([has(3, 4), has(3, 5), has(1, 4)], [true, false, false]);
        assert!(!acknowledged.has(ReplicaId(2), 3, 4));
    }
}
