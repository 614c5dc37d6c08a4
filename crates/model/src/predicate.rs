//! Predicates over series: conditions on the measurement, on tags and on the field's name.
//!
//! A tag that a series does not have reads as the empty string, as in InfluxQL and Flux push-down.

use crate::series::SeriesKey;

pub mod codec;
#[cfg(test)]
mod tests;

/// What a comparison looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The measurement (`_measurement`).
    Measurement,
    /// The field's name (`_field`).
    Field,
    /// The value of a tag.
    Tag(String),
}

/// How a subject's text is compared.
#[derive(Debug, Clone)]
pub enum Test {
    /// Equal.
    Eq(String),
    /// Not equal.
    NotEq(String),
    /// Matches the regular expression anywhere.
    Matches(regex::Regex),
    /// Does not match the regular expression.
    NotMatches(regex::Regex),
    /// One of a set.
    In(Vec<String>),
}

/// Regular expressions are equal when they are written the same.
impl PartialEq for Test {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Eq(a), Self::Eq(b)) | (Self::NotEq(a), Self::NotEq(b)) => a == b,
            (Self::Matches(a), Self::Matches(b)) | (Self::NotMatches(a), Self::NotMatches(b)) => {
                a.as_str() == b.as_str()
            }
            (Self::In(a), Self::In(b)) => a == b,
            _ => false,
        }
    }
}

impl Test {
    /// Whether `text` passes.
    pub fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Eq(want) => text == want,
            Self::NotEq(want) => text != want,
            Self::Matches(regex) => regex.is_match(text),
            Self::NotMatches(regex) => !regex.is_match(text),
            Self::In(set) => set.iter().any(|s| s == text),
        }
    }
}

/// A condition on (series, field) pairs.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    /// Always or never.
    Constant(bool),
    /// One comparison.
    Compare(Subject, Test),
    /// All of them; true when there are none.
    And(Vec<Predicate>),
    /// Any of them; false when there are none.
    Or(Vec<Predicate>),
    /// The opposite.
    Not(Box<Predicate>),
}

impl Predicate {
    /// Always true.
    pub const TRUE: Self = Self::Constant(true);

    /// Both conditions, without nesting `And` in `And`.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Constant(true), p) | (p, Self::Constant(true)) => p,
            (Self::And(mut a), Self::And(b)) => {
                a.extend(b);
                Self::And(a)
            }
            (Self::And(mut a), p) => {
                a.push(p);
                Self::And(a)
            }
            (a, b) => Self::And(vec![a, b]),
        }
    }

    /// Whether a field of a series satisfies the condition.
    pub fn accepts(&self, series: &SeriesKey, field: &str) -> bool {
        self.evaluate(series, Some(field)).expect("decided when the field is known")
    }

    /// Decides for all fields of a series at once; `None` when it depends on the field.
    pub fn accepts_series(&self, series: &SeriesKey) -> Option<bool> {
        self.evaluate(series, None)
    }

    fn evaluate(&self, series: &SeriesKey, field: Option<&str>) -> Option<bool> {
        match self {
            Self::Constant(b) => Some(*b),
            Self::Compare(Subject::Measurement, test) => Some(test.accepts(series.measurement())),
            Self::Compare(Subject::Tag(key), test) => Some(test.accepts(series.tag(key).unwrap_or(""))),
            Self::Compare(Subject::Field, test) => field.map(|f| test.accepts(f)),
            Self::And(all) => fold(all, series, field, false),
            Self::Or(any) => fold(any, series, field, true),
            Self::Not(inner) => inner.evaluate(series, field).map(|b| !b),
        }
    }
}

/// Three-valued and/or: `decisive` decides at once, an undecided part leaves the whole undecided.
fn fold(parts: &[Predicate], series: &SeriesKey, field: Option<&str>, decisive: bool) -> Option<bool> {
    let mut result = Some(!decisive);
    for part in parts {
        match part.evaluate(series, field) {
            Some(b) if b == decisive => return Some(decisive),
            Some(_) => {}
            None => result = None,
        }
    }
    result
}
