//! What one query may use, and the account of what it uses. Every refusal names its limit. What it holds in memory
//! counts against its own limit and against what all queries together may hold.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use memory::{Account, Allowance};
use model::{Clock, TooLarge};

use crate::error::Error;

/// The limits of one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of state that the query may hold (an estimate).
    pub memory_bytes_max: usize,
    /// Rows that the query may answer.
    pub rows_max: u64,
    /// Points that the query may read.
    pub points_max: u64,
    /// Series (groups) that the query may answer or keep state for.
    pub series_max: usize,
    /// Windows of `GROUP BY time` in one statement, over all groups.
    pub windows_max: usize,
    /// How long the query may run; `None` is for ever.
    pub time_max: Option<Duration>,
}

/// The account of a running query.
pub struct Budget<'a> {
    limits: Limits,
    clock: &'a dyn Clock,
    started: Duration,
    cancelled: &'a (dyn Fn() -> bool + Sync),
    memory: RefCell<Allowance>,
    rows: Cell<u64>,
    points: Cell<u64>,
    windows: Cell<usize>,
}

impl std::fmt::Debug for Budget<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget")
            .field("limits", &self.limits)
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

impl<'a> Budget<'a> {
    /// Opens an account; its time runs from now on. `memory` is that of all queries.
    pub fn new(
        limits: Limits,
        memory: &Arc<Account>,
        clock: &'a dyn Clock,
        cancelled: &'a (dyn Fn() -> bool + Sync),
    ) -> Self {
        Self {
            limits,
            clock,
            started: clock.monotonic(),
            cancelled,
            memory: RefCell::new(Allowance::new(memory)),
            rows: Cell::new(0),
            points: Cell::new(0),
            windows: Cell::new(0),
        }
    }

    /// Whether the query should go on: not cancelled and not out of time. Asked once per block.
    pub fn check(&self) -> Result<(), Error> {
        if (self.cancelled)() {
            return Err(Error::Cancelled);
        }
        match self.limits.time_max {
            Some(max) if self.clock.monotonic().saturating_sub(self.started) > max => {
                Err(Error::limit("query-timeout", format!("{max:?}")))
            }
            _ => Ok(()),
        }
    }

    /// Whether to stop, for other threads; why is told by [`Self::check`].
    pub fn stop(&self) -> impl Fn() -> bool + Sync + use<'a> {
        let (cancelled, clock, started, time_max) =
            (self.cancelled, self.clock, self.started, self.limits.time_max);
        move || cancelled() || time_max.is_some_and(|max| clock.monotonic().saturating_sub(started) > max)
    }

    /// Bytes of state that the query may hold.
    pub const fn memory_bytes_max(&self) -> usize {
        self.limits.memory_bytes_max
    }

    /// How many windows of `bytes` each there is room for.
    pub fn windows_left(&self, bytes: usize) -> usize {
        let windows = self.limits.windows_max.saturating_sub(self.windows.get());
        windows.min(self.limits.memory_bytes_max.saturating_sub(self.held()) / bytes.max(1))
    }

    /// How many points may still be read.
    pub fn points_left(&self) -> u64 {
        self.limits.points_max.saturating_sub(self.points.get())
    }

    /// The limit that a refused summary has reached.
    pub fn too_large(&self, refused: TooLarge) -> Error {
        let memory = || Error::limit("query-memory-bytes", self.limits.memory_bytes_max.to_string());
        match refused {
            TooLarge::Rows(_) => Error::limit("max-select-point", self.limits.points_max.to_string()),
            TooLarge::Cells(room) => {
                let windows = self.windows.get().saturating_add(room).saturating_add(1);
                self.room_for_windows(windows).err().unwrap_or_else(memory)
            }
        }
    }

    /// Adds bytes of state.
    pub fn hold(&self, bytes: usize) -> Result<(), Error> {
        let mut memory = self.memory.borrow_mut();
        let held = memory.held().saturating_add(bytes);
        within(held <= self.limits.memory_bytes_max, "query-memory-bytes", self.limits.memory_bytes_max)?;
        Ok(memory.hold(held)?)
    }

    /// Gives back bytes of state.
    pub fn release(&self, bytes: usize) {
        self.release_to(self.held().saturating_sub(bytes));
    }

    /// The bytes held now, for [`Self::release_to`].
    pub fn held(&self) -> usize {
        self.memory.borrow().held()
    }

    /// Gives back what was held since `held` bytes were.
    pub fn release_to(&self, held: usize) {
        let mut memory = self.memory.borrow_mut();
        let less = memory.held().min(held);
        memory.hold(less).expect("less than before is always there");
    }

    /// Gives all bytes back, at the end of a statement.
    pub fn release_all(&self) {
        self.release_to(0);
        self.windows.set(0);
    }

    /// Counts points read.
    pub fn read_points(&self, points: usize) -> Result<(), Error> {
        let total = self.points.get().saturating_add(points as u64);
        self.points.set(total);
        within(total <= self.limits.points_max, "max-select-point", self.limits.points_max)
    }

    /// Counts rows answered.
    pub fn answer_rows(&self, rows: usize) -> Result<(), Error> {
        let total = self.rows.get().saturating_add(rows as u64);
        self.rows.set(total);
        within(total <= self.limits.rows_max, "query-rows", self.limits.rows_max)
    }

    /// Checks a number of series or groups.
    pub fn series(&self, series: usize) -> Result<(), Error> {
        within(series <= self.limits.series_max, "max-select-series", self.limits.series_max)
    }

    /// Counts windows.
    pub fn windows(&self, more: usize) -> Result<(), Error> {
        let total = self.windows.get().saturating_add(more);
        self.windows.set(total);
        self.room_for_windows(total)
    }

    /// Checks a number of windows that is known before they are made. The refusal has InfluxDB's words.
    pub fn room_for_windows(&self, windows: usize) -> Result<(), Error> {
        let max = self.limits.windows_max;
        if windows <= max {
            return Ok(());
        }
        Error::invalid(format!("max-select-buckets limit exceeded: ({windows}/{max})"))
    }
}

fn within(fits: bool, name: &'static str, limit: impl std::fmt::Display) -> Result<(), Error> {
    if fits { Ok(()) } else { Err(Error::limit(name, limit.to_string())) }
}
