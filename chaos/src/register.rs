//! Registers: series of one point, whose value clients overwrite and read through all nodes. Each write has a value of
//! its own, so that each read tells which write it saw, and whether the history of a register is linearizable can be
//! decided at once (Gibbons and Korach, "Testing Shared Memories", 1997):
//!
//! The operations on one value, its write and the reads that saw it, must follow one another without any other write
//! between them. From the first end to the last start among them the register must have had that value, where the end
//! comes first; else the value may have been there for a moment only, somewhere between the last start and the first
//! end. No two of the long stretches may overlap, and no moment may lie wholly within a long stretch.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Registers of a run; each is one key.
pub(crate) const KEYS: usize = 4;

/// One operation on a register. Times are from the start of the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operation {
    /// What was done.
    pub(crate) what: What,
    /// When it was sent.
    pub(crate) start: Duration,
    /// When it was known to be done; `None` for a write of which nobody knows whether it was.
    pub(crate) end: Option<Duration>,
}

/// What was done to a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// It was given this value, which no other write has.
    Write(u64),
    /// It had this value, or none yet.
    Read(Option<u64>),
}

/// The histories of all registers.
#[derive(Debug, Default)]
pub(crate) struct Registers {
    histories: [Mutex<Vec<Operation>>; KEYS],
    values: AtomicU64,
}

/// What the operations on one value say of when the register had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    value: Option<u64>,
    first_end: Duration,
    last_start: Duration,
}

impl Stretch {
    /// Whether the register had the value from the first end to the last start.
    fn is_long(&self) -> bool {
        self.first_end < self.last_start
    }
}

impl Registers {
    /// A value that no write has had.
    pub(crate) fn fresh(&self) -> u64 {
        self.values.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes an operation.
    pub(crate) fn note(&self, key: usize, operation: Operation) {
        self.histories[key].lock().expect("no holder panics").push(operation);
    }

    /// How many operations there were.
    pub(crate) fn operations(&self) -> usize {
        self.histories.iter().map(|history| history.lock().expect("no holder panics").len()).sum()
    }

    /// Why a history is not linearizable, for each register of which it is not.
    pub(crate) fn violations(&self) -> Vec<String> {
        let check = |(key, history): (usize, &Mutex<Vec<Operation>>)| {
            let history = history.lock().expect("no holder panics");
            check(&history).err().map(|why| format!("register {key} is not linearizable: {why}"))
        };
        self.histories.iter().enumerate().filter_map(check).collect()
    }
}

/// Whether a history of a register, which had no value at first, is linearizable.
fn check(history: &[Operation]) -> Result<(), String> {
    // Nothing was written before the start; whoever sees nothing sees that.
    let nothing = Operation { what: What::Write(0), start: Duration::ZERO, end: Some(Duration::ZERO) };
    let mut by_value: BTreeMap<Option<u64>, Vec<Operation>> = BTreeMap::from([(None, vec![nothing])]);
    let mut writes: BTreeMap<u64, Operation> = BTreeMap::new();
    for operation in history {
        match operation.what {
            What::Write(value) => {
                writes.insert(value, *operation);
                by_value.entry(Some(value)).or_default().push(*operation);
            }
            What::Read(value) => by_value.entry(value).or_default().push(*operation),
        }
    }
    let mut long: Vec<Stretch> = Vec::new();
    let mut short: Vec<Stretch> = Vec::new();
    for (value, operations) in by_value {
        if let Some(value) = value {
            let write = writes.get(&value).ok_or_else(|| format!("{value} was read and never written"))?;
            let early = operations.iter().find(|one| one.end.is_some_and(|end| end < write.start));
            if let Some(early) = early {
                return Err(format!("{early:?} ended before {write:?} began"));
            }
        }
        // A write that nobody has seen, and that may not have been done, says nothing.
        let Some(first_end) = operations.iter().filter_map(|one| one.end).min() else { continue };
        let last_start = operations.iter().map(|one| one.start).max().unwrap_or_default();
        let stretch = Stretch { value, first_end, last_start };
        if stretch.is_long() { long.push(stretch) } else { short.push(stretch) }
    }
    long.sort_by_key(|stretch| stretch.first_end);
    if let Some(pair) = long.windows(2).find(|pair| pair[1].first_end < pair[0].last_start) {
        return Err(format!("it had two values at once: {:?} and {:?}", pair[0], pair[1]));
    }
    for moment in &short {
        let holder = long.partition_point(|stretch| stretch.first_end < moment.last_start).checked_sub(1);
        let holder = holder.map(|at| long[at]).filter(|holder| moment.first_end < holder.last_start);
        if let Some(holder) = holder {
            return Err(format!("{moment:?} has no place but within {holder:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
