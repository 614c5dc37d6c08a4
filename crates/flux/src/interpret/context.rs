//! What a running script shares: options, results, limits, the source.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use memory::Allowance;

use super::{Environment, Function};
use crate::error::{FluxError, Result};
use crate::source::Source;
use crate::table::Stream;
use crate::value::Value;
use crate::value::calendar::Location;

/// How deep evaluation may go.
const DEPTH_MAX: u32 = 500;
/// Cancellation is looked at once in so many steps.
const STEPS_PER_CHECK: u64 = 1024;
/// Values of fewer bytes are not charged to the query's memory.
const LARGE_VALUE_BYTES: usize = 16 << 10;
/// The longest text that an operator may make.
pub(crate) const TEXT_BYTES_MAX: usize = 64 << 20;

/// What a running script shares.
pub(crate) struct Context<'a> {
    environment: &'a Environment<'a>,
    pub(crate) source: &'a dyn Source,
    now: RefCell<Option<Value>>,
    location: RefCell<Location>,
    results: RefCell<Vec<(Rc<str>, Stream)>>,
    steps: Cell<u64>,
    depth: Cell<u32>,
    rows: Cell<u64>,
    held: RefCell<Allowance>,
}

/// Bytes charged to a query; given back when dropped.
pub(crate) struct Held<'a> {
    held: &'a RefCell<Allowance>,
    bytes: usize,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut held = self.held.borrow_mut();
        let less = held.held().saturating_sub(self.bytes);
        held.hold(less).expect("less than before is always there");
    }
}

impl<'a> Context<'a> {
    pub(crate) fn new(environment: &'a Environment<'a>, source: &'a dyn Source) -> Self {
        Self {
            environment,
            source,
            now: RefCell::new(None),
            location: RefCell::new(Location::utc()),
            results: RefCell::default(),
            steps: Cell::new(0),
            depth: Cell::new(0),
            rows: Cell::new(0),
            held: RefCell::new(Allowance::new(environment.memory)),
        }
    }

    pub(crate) fn check_cancelled(&self) -> Result<()> {
        if (self.environment.cancel)() { Err(FluxError::Cancelled) } else { Ok(()) }
    }

    /// Counts a call.
    pub(crate) fn step(&self) -> Result<()> {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        let limit = self.environment.limits.steps_max;
        if steps > limit {
            return Err(FluxError::Limit { name: "flux-steps", limit });
        }
        if steps.is_multiple_of(STEPS_PER_CHECK) { self.check_cancelled() } else { Ok(()) }
    }

    /// Runs `f` one level deeper.
    pub(crate) fn deeper<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let depth = self.depth.get();
        if depth >= DEPTH_MAX {
            return Err(FluxError::Limit { name: "flux-recursion-depth", limit: u64::from(DEPTH_MAX) });
        }
        self.depth.set(depth + 1);
        let result = f();
        self.depth.set(depth);
        result
    }

    /// Counts rows read or made.
    pub(crate) fn count_rows(&self, rows: usize) -> Result<()> {
        let total = self.rows.get().saturating_add(rows as u64);
        self.rows.set(total);
        let limit = self.environment.limits.rows_max;
        if total > limit { Err(FluxError::Limit { name: "flux-rows", limit }) } else { Ok(()) }
    }

    /// Charges memory until the guard is dropped.
    pub(crate) fn hold(&self, bytes: usize) -> Result<Held<'_>> {
        let mut held = self.held.borrow_mut();
        let total = held.held().saturating_add(bytes);
        let limit = self.environment.limits.memory_bytes_max;
        if total as u64 > limit {
            return Err(FluxError::Limit { name: "query-memory-bytes", limit });
        }
        held.hold(total)?;
        Ok(Held { held: &self.held, bytes })
    }

    /// Checks that so many bytes more could be held, for work that needs them for a moment.
    pub(crate) fn room(&self, bytes: usize) -> Result<()> {
        self.hold(bytes).map(drop)
    }

    /// Charges a value that a script made, for good: nobody knows how long the script keeps it. Small ones are free.
    pub(crate) fn keep(&self, value: &Value) -> Result<()> {
        let bytes = match value {
            Value::String(text) => text.len(),
            Value::Array(items) => size_of::<Value>() * items.len(),
            Value::Dict(pairs) => 2 * size_of::<Value>() * pairs.len(),
            Value::Record(record) => 2 * size_of::<Value>() * record.fields.len(),
            _ => 0,
        };
        if bytes >= LARGE_VALUE_BYTES {
            // Never given back, so the guard is not dropped.
            std::mem::forget(self.hold(bytes)?);
        }
        Ok(())
    }

    pub(crate) fn set_option(&self, name: &str, value: Value) -> Result<()> {
        match name {
            "now" => *self.now.borrow_mut() = Some(value),
            "location" => {
                let location = location_of(&value)?;
                *self.location.borrow_mut() = location;
            }
            _ => {}
        }
        Ok(())
    }

    /// What `now()` gives.
    pub(crate) fn now(&self) -> Result<i64> {
        let option = self.now.borrow().clone();
        let Some(option) = option else { return Ok(self.environment.now.0) };
        let function =
            Function::of(&option).ok_or_else(|| FluxError::invalid("option now is not a function"))?;
        match function.call(self, vec![])? {
            Value::Time(now) => Ok(now),
            other => {
                Err(FluxError::invalid(format!("option now gave {}, not a time", other.type_of().name())))
            }
        }
    }

    pub(crate) fn location(&self) -> Location {
        self.location.borrow().clone()
    }

    /// A time as it is, or a duration (or integer seconds) relative to now.
    pub(crate) fn resolve_time(&self, value: &Value) -> Result<i64> {
        let outside = || FluxError::invalid("time is out of range");
        match value {
            Value::Time(time) => Ok(*time),
            Value::Int(seconds) => seconds.checked_mul(model::time::SECOND_NS).ok_or_else(outside),
            Value::Duration(duration) => {
                crate::value::calendar::add(self.now()?, *duration).ok_or_else(outside)
            }
            other => {
                Err(FluxError::invalid(format!("expected time or duration, got {}", other.type_of().name())))
            }
        }
    }

    pub(crate) fn add_result(&self, name: &str, stream: Stream) -> Result<()> {
        let mut results = self.results.borrow_mut();
        if results.iter().any(|(n, _)| &**n == name) {
            let message = format!("tried to produce more than one result with the name \"{name}\"");
            return Err(FluxError::Invalid(message));
        }
        results.push((Rc::from(name), stream));
        Ok(())
    }

    pub(crate) fn take_results(&self) -> Vec<(Rc<str>, Stream)> {
        self.results.take()
    }
}

/// The location that a record `{zone, offset}` names.
pub(crate) fn location_of(value: &Value) -> Result<Location> {
    let wrong = || FluxError::invalid("location must be a record with zone and offset");
    let Value::Record(record) = value else { return Err(wrong()) };
    let (Some(Value::String(zone)), Some(Value::Duration(offset))) =
        (record.get("zone"), record.get("offset"))
    else {
        return Err(wrong());
    };
    Location::named(zone, offset.nanos).ok_or_else(|| FluxError::invalid(format!("unknown time zone {zone}")))
}
