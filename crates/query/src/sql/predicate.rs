//! Conditions of SQL as what a scan can do by itself: a range of time, and a predicate on tags.
//!
//! In SQL a tag that a series does not have is NULL, and a comparison with NULL is not true. In a [`Predicate`] it reads
//! as the empty text, which no series has as a value: so each comparison also says that the tag is there. What is
//! translated is exact: the engine above does not look again.

use std::collections::BTreeSet;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{InList, Like};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use model::{Predicate, Subject, Test, TimeRange, Timestamp};
use regex::RegexBuilder;

/// Most bytes of a compiled regular expression (`regex-size`, the size of InfluxQL's and Flux's).
const REGEX_BYTES_MAX: usize = 1 << 20;

/// What a condition asks of a scan.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) range: TimeRange,
    pub(super) predicate: Predicate,
}

impl Wanted {
    const ALL: Self = Self {
        range: TimeRange { start: Timestamp(i64::MIN), end: Timestamp(i64::MAX) },
        predicate: Predicate::TRUE,
    };

    /// Both.
    fn and(self, other: Self) -> Self {
        Self { range: intersection(self.range, other.range), predicate: self.predicate.and(other.predicate) }
    }
}

/// What two ranges have in common.
pub(super) fn intersection(a: TimeRange, b: TimeRange) -> TimeRange {
    TimeRange::new(a.start.max(b.start), a.end.min(b.end))
}

/// All of several conditions, of which those that a scan cannot do are left out.
pub(super) fn wanted<'e>(conditions: impl IntoIterator<Item = &'e Expr>, tags: &BTreeSet<String>) -> Wanted {
    let all = conditions.into_iter().filter_map(|condition| translate(condition, tags));
    all.fold(Wanted::ALL, Wanted::and)
}

/// What a condition asks of a scan, if a scan can do all of it. `tags` are the columns that are tags.
pub(super) fn translate(condition: &Expr, tags: &BTreeSet<String>) -> Option<Wanted> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            Some(translate(left, tags)?.and(translate(right, tags)?))
        }
        other => match on_time(other, "time") {
            Some(range) => Some(Wanted { range, ..Wanted::ALL }),
            None => Some(Wanted { predicate: on_tags(other, tags)?, ..Wanted::ALL }),
        },
    }
}

/// The range that conditions say of a column of times.
pub(super) fn time_range<'e>(conditions: impl IntoIterator<Item = &'e Expr>, column: &str) -> TimeRange {
    let all = conditions.into_iter().filter_map(|condition| on_time(condition, column));
    all.fold(Wanted::ALL.range, intersection)
}

/// The length of an interval that is always the same; `None` for one of months, or one of no length.
pub(super) fn nanoseconds(interval: &Expr) -> Option<i64> {
    const MILLISECOND: i64 = 1_000_000;
    const DAY: i64 = 24 * 3_600 * 1_000 * MILLISECOND;
    let Expr::Literal(value, _) = interval else { return None };
    let length = match value {
        ScalarValue::IntervalMonthDayNano(Some(interval)) if interval.months == 0 => {
            i64::from(interval.days).checked_mul(DAY)?.checked_add(interval.nanoseconds)?
        }
        ScalarValue::IntervalDayTime(Some(interval)) => {
            let days = i64::from(interval.days).checked_mul(DAY)?;
            days.checked_add(i64::from(interval.milliseconds).checked_mul(MILLISECOND)?)?
        }
        _ => return None,
    };
    (length > 0).then_some(length)
}

fn is_column(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::Column(column) if column.name == name)
}

/// What a condition says of a column of times, if it is about that and nothing else.
fn on_time(condition: &Expr, column: &str) -> Option<TimeRange> {
    match condition {
        Expr::Between(between) if !between.negated && is_column(&between.expr, column) => {
            let (low, high) = (time(&between.low)?, time(&between.high)?);
            Some(TimeRange::new(Timestamp(low), after(high)))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_column(left, column) => {
            in_time(*op, time(right)?)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_column(right, column) => {
            in_time(op.swap()?, time(left)?)
        }
        _ => None,
    }
}

fn time(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::TimestampNanosecond(time, _), _) => *time,
        _ => None,
    }
}

/// The time after the last that counts.
const fn after(last: i64) -> Timestamp {
    Timestamp(last.saturating_add(1))
}

fn in_time(op: Operator, time: i64) -> Option<TimeRange> {
    let all = Wanted::ALL.range;
    Some(match op {
        Operator::Eq => TimeRange::new(Timestamp(time), after(time)),
        Operator::Gt => TimeRange::new(after(time), all.end),
        Operator::GtEq => TimeRange::new(Timestamp(time), all.end),
        Operator::Lt => TimeRange::new(all.start, Timestamp(time)),
        Operator::LtEq => TimeRange::new(all.start, after(time)),
        _ => return None,
    })
}

fn on_tags(condition: &Expr, tags: &BTreeSet<String>) -> Option<Predicate> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            Some(on_tags(left, tags)?.and(on_tags(right, tags)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(Predicate::Or(vec![on_tags(left, tags)?, on_tags(right, tags)?]))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (tag, op, value) = match (tag(left, tags), tag(right, tags)) {
                (Some(tag), None) => (tag, *op, text(right)?),
                (None, Some(tag)) => (tag, op.swap()?, text(left)?),
                _ => return None,
            };
            compared(tag, op, value)
        }
        Expr::IsNull(inner) => Some(missing(tag(inner, tags)?)),
        Expr::IsNotNull(inner) => Some(present(tag(inner, tags)?)),
        Expr::InList(InList { expr, list, negated }) => {
            let tag = tag(expr, tags)?;
            let values: Vec<String> = list.iter().map(text).collect::<Option<_>>()?;
            let among = Predicate::Compare(Subject::Tag(tag.to_owned()), Test::In(values));
            let among = if *negated { Predicate::Not(Box::new(among)) } else { among };
            Some(among.and(present(tag)))
        }
        Expr::Like(Like { negated, expr, pattern, escape_char: None, case_insensitive }) => {
            let tag = tag(expr, tags)?;
            let pattern = like(&text(pattern)?, *case_insensitive)?;
            let test = if *negated { Test::NotMatches(pattern) } else { Test::Matches(pattern) };
            Some(Predicate::Compare(Subject::Tag(tag.to_owned()), test).and(present(tag)))
        }
        _ => None,
    }
}

fn compared(tag: &str, op: Operator, value: String) -> Option<Predicate> {
    let pattern = |insensitive| compiled(&value, insensitive);
    let test = match op {
        Operator::Eq => Test::Eq(value),
        Operator::NotEq => Test::NotEq(value),
        Operator::RegexMatch => Test::Matches(pattern(false)?),
        Operator::RegexIMatch => Test::Matches(pattern(true)?),
        Operator::RegexNotMatch => Test::NotMatches(pattern(false)?),
        Operator::RegexNotIMatch => Test::NotMatches(pattern(true)?),
        _ => return None,
    };
    Some(Predicate::Compare(Subject::Tag(tag.to_owned()), test).and(present(tag)))
}

/// A pattern goes to other nodes as its text, which so must say everything.
fn compiled(pattern: &str, insensitive: bool) -> Option<regex::Regex> {
    let pattern = if insensitive { format!("(?i){pattern}") } else { pattern.to_owned() };
    RegexBuilder::new(&pattern).size_limit(REGEX_BYTES_MAX).build().ok()
}

/// The regular expression of a LIKE pattern.
fn like(pattern: &str, insensitive: bool) -> Option<regex::Regex> {
    let mut out = String::from("(?s)^");
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            // What a lone backslash at the end means is left to the engine.
            '\\' => out.push_str(&regex::escape(&chars.next()?.to_string())),
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    out.push('$');
    compiled(&out, insensitive)
}

fn missing(tag: &str) -> Predicate {
    Predicate::Compare(Subject::Tag(tag.to_owned()), Test::Eq(String::new()))
}

fn present(tag: &str) -> Predicate {
    Predicate::Compare(Subject::Tag(tag.to_owned()), Test::NotEq(String::new()))
}

/// The tag that an expression stands for, whatever type of text it is made.
fn tag<'e>(expr: &'e Expr, tags: &BTreeSet<String>) -> Option<&'e str> {
    match expr {
        Expr::Column(column) => tags.contains(&column.name).then_some(column.name.as_str()),
        Expr::Cast(cast) if cast.field.data_type().is_string() => tag(&cast.expr, tags),
        _ => None,
    }
}

/// A literal text.
fn text(expr: &Expr) -> Option<String> {
    fn of(value: &ScalarValue) -> Option<String> {
        match value {
            ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => {
                text.clone()
            }
            ScalarValue::Dictionary(_, value) => of(value),
            _ => None,
        }
    }
    match expr {
        Expr::Literal(value, _) => of(value),
        _ => None,
    }
}
