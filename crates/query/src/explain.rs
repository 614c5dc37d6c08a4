//! How plans show what was pushed down into a scan.

use std::fmt::{self, Formatter};

use model::{Predicate, Subject, Test, TimeRange, Timestamp};

/// A range of time, in nanoseconds where it is bounded.
pub(crate) fn range(f: &mut Formatter<'_>, range: TimeRange) -> fmt::Result {
    f.write_str("time=[")?;
    if range.start > Timestamp::MIN {
        write!(f, "{}", range.start.0)?;
    }
    f.write_str(", ")?;
    if range.end < Timestamp::MAX {
        write!(f, "{}", range.end.0)?;
    }
    f.write_str(")")
}

/// A predicate, without the measurement.
pub(crate) fn predicate(f: &mut Formatter<'_>, predicate: &Predicate) -> fmt::Result {
    let parts: &[Predicate] = match predicate {
        Predicate::And(parts) => parts,
        one => std::slice::from_ref(one),
    };
    let rest: Vec<String> = parts.iter().filter(|part| !is_measurement(part)).map(text).collect();
    if rest.is_empty() { Ok(()) } else { write!(f, ", predicate={}", rest.join(" AND ")) }
}

const fn is_measurement(predicate: &Predicate) -> bool {
    matches!(predicate, Predicate::Compare(Subject::Measurement, _))
}

fn text(predicate: &Predicate) -> String {
    let all = |parts: &[Predicate], word: &str| {
        format!("({})", parts.iter().map(text).collect::<Vec<_>>().join(word))
    };
    match predicate {
        Predicate::Constant(value) => value.to_string(),
        Predicate::And(parts) => all(parts, " AND "),
        Predicate::Or(parts) => all(parts, " OR "),
        Predicate::Not(inner) => format!("NOT {}", text(inner)),
        Predicate::Compare(subject, test) => {
            let subject = match subject {
                Subject::Measurement => "_measurement",
                Subject::Field => "_field",
                Subject::Tag(tag) => tag,
            };
            match test {
                Test::Eq(value) => format!("{subject}={value:?}"),
                Test::NotEq(value) => format!("{subject}!={value:?}"),
                Test::Matches(pattern) => format!("{subject}=~/{}/", pattern.as_str()),
                Test::NotMatches(pattern) => format!("{subject}!~/{}/", pattern.as_str()),
                Test::In(values) => format!("{subject} IN {values:?}"),
            }
        }
    }
}
