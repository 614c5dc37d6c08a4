//! The values of the language.

pub(crate) mod calendar;
pub(crate) mod convert;
pub(crate) mod release;
pub(crate) mod types;

use std::fmt;
use std::rc::Rc;

pub(crate) use release::{List, Pairs};
pub(crate) use types::Type;

use crate::interpret::{Closure, Row};
use crate::stdlib::Builtin;
use crate::table::Stream;

/// A length of time: calendar months and nanoseconds, kept apart because a month has no fixed length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    /// Months.
    pub months: i64,
    /// Nanoseconds.
    pub nanos: i64,
}

impl Duration {
    /// No time.
    pub const ZERO: Self = Self { months: 0, nanos: 0 };
    /// Longer than all time: `inf`.
    pub const INFINITE: Self = Self { months: 0, nanos: i64::MAX };

    /// A number of nanoseconds.
    pub const fn nanos(nanos: i64) -> Self {
        Self { months: 0, nanos }
    }

    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.months == 0 && self.nanos == 0
    }

    /// Whether it points backwards.
    pub const fn is_negative(self) -> bool {
        self.months < 0 || self.nanos < 0
    }

    /// The sum; `None` when it does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Some(Self {
            months: self.months.checked_add(other.months)?,
            nanos: self.nanos.checked_add(other.nanos)?,
        })
    }

    /// The product; `None` when it does not fit.
    pub fn checked_mul(self, factor: i64) -> Option<Self> {
        Some(Self { months: self.months.checked_mul(factor)?, nanos: self.nanos.checked_mul(factor)? })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0ns");
        }
        if self.is_negative() {
            f.write_str("-")?;
        }
        let mut months = self.months.unsigned_abs();
        let mut nanos = self.nanos.unsigned_abs();
        for (unit, size) in [("y", 12), ("mo", 1)] {
            if months >= size {
                write!(f, "{}{unit}", months / size)?;
                months %= size;
            }
        }
        const UNITS: [(&str, u64); 8] = [
            ("w", 604_800_000_000_000),
            ("d", 86_400_000_000_000),
            ("h", 3_600_000_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
            ("ns", 1),
        ];
        for (unit, size) in UNITS {
            if nanos >= size {
                write!(f, "{}{unit}", nanos / size)?;
                nanos %= size;
            }
        }
        Ok(())
    }
}

/// A value. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    String(Rc<str>),
    /// Nanoseconds since the epoch.
    Time(i64),
    Duration(Duration),
    Regex(Rc<model::Pattern>),
    Bytes(Rc<[u8]>),
    Array(Rc<List>),
    Record(Rc<Record>),
    /// A row of a table that is being processed; reads like a record.
    Row(Row),
    Dict(Rc<Pairs>),
    Builtin(&'static Builtin),
    Closure(Rc<Closure>),
    Stream(Stream),
    /// One table of a stream, as `tableFind` gives it.
    Table(Rc<crate::table::Table>),
}

/// Named values, in the order in which they were written; names are distinct.
#[derive(Clone, Default)]
pub(crate) struct Record {
    pub(crate) fields: Vec<(Rc<str>, Value)>,
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.fields.iter().any(|(_, value)| value.is_container()) {
            release::release(std::mem::take(&mut self.fields));
        }
    }
}

/// How many values [`Value::same`] compares; shared parts count each time they are met.
const COMPARED_MAX: usize = 10_000_000;
/// How deep [`Value::same`] goes.
const COMPARED_DEPTH_MAX: usize = 200;

impl Record {
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(n, _)| &**n == name).map(|(_, v)| v)
    }

    /// Sets a field, in its old place if it exists.
    pub(crate) fn set(&mut self, name: Rc<str>, value: Value) {
        match self.fields.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => *old = value,
            None => self.fields.push((name, value)),
        }
    }

    pub(crate) fn of<const N: usize>(fields: [(&str, Value); N]) -> Value {
        let fields = fields.into_iter().map(|(n, v)| (Rc::from(n), v)).collect();
        Value::Record(Rc::new(Self { fields }))
    }
}

impl Value {
    pub(crate) fn string(text: impl AsRef<str>) -> Self {
        Self::String(Rc::from(text.as_ref()))
    }

    /// The record that it is, or the row as one.
    pub(crate) fn to_record(&self) -> Option<Rc<Record>> {
        match self {
            Self::Record(record) => Some(Rc::clone(record)),
            Self::Row(row) => Some(Rc::new(row.to_record())),
            _ => None,
        }
    }

    pub(crate) fn array(items: Vec<Self>) -> Self {
        Self::Array(Rc::new(List::new(items)))
    }

    /// The type, as far as the value itself tells.
    pub(crate) const fn type_of(&self) -> Type {
        match self {
            Self::Null => Type::Any,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Uint(_) => Type::Uint,
            Self::Float(_) => Type::Float,
            Self::String(_) => Type::String,
            Self::Time(_) => Type::Time,
            Self::Duration(_) => Type::Duration,
            Self::Regex(_) => Type::Regexp,
            Self::Bytes(_) => Type::Bytes,
            Self::Array(_) => Type::Array,
            Self::Record(_) | Self::Row(_) => Type::Record,
            Self::Dict(_) => Type::Dict,
            Self::Builtin(_) | Self::Closure(_) => Type::Function,
            Self::Stream(_) => Type::Stream,
            Self::Table(_) => Type::Table,
        }
    }

    /// Whether two values are equal: same type, same content. Nulls equal nulls here (dictionaries, sets). Values
    /// that are nested too deeply or too large to compare count as different.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.same_within(other, COMPARED_DEPTH_MAX, &mut 0)
    }

    fn same_within(&self, other: &Self, depth: usize, compared: &mut usize) -> bool {
        *compared += 1;
        if depth == 0 || *compared > COMPARED_MAX {
            return false;
        }
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) | (Self::Time(a), Self::Time(b)) => a == b,
            (Self::Uint(a), Self::Uint(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Regex(a), Self::Regex(b)) => a.source() == b.source(),
            (Self::Array(a), Self::Array(b)) => {
                a.len() == b.len()
                    && a.iter().zip(b.iter()).all(|(x, y)| x.same_within(y, depth - 1, compared))
            }
            (Self::Record(a), Self::Record(b)) => {
                a.fields.len() == b.fields.len()
                    && a.fields
                        .iter()
                        .all(|(n, v)| b.get(n).is_some_and(|other| v.same_within(other, depth - 1, compared)))
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", convert::display(self), self.type_of().name())
    }
}
