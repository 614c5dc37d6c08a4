//! SHOW STATS and SHOW DIAGNOSTICS: a series of one row for each module.

use model::{FieldType, FieldValue, Frame};

use super::execute::{Series, SeriesSink};
use super::show::column;
use crate::error::Error;

/// What a module counts, or says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Internals {
    /// The module.
    pub module: &'static str,
    /// Of which of several things.
    pub tags: Vec<(String, String)>,
    /// Names and values.
    pub values: Vec<(&'static str, FieldValue)>,
}

pub(super) fn show(
    all: Vec<Internals>,
    module: Option<&str>,
    sink: &mut SeriesSink<'_>,
) -> Result<(), Error> {
    for Internals { module: name, tags, mut values } in all {
        if module.is_some_and(|wanted| wanted != name) {
            continue;
        }
        values.sort_by_key(|(name, _)| *name);
        let one = |(name, value): &(&'static str, FieldValue)| {
            let of_type = match value {
                FieldValue::Float(_) => FieldType::Float,
                FieldValue::Integer(_) => FieldType::Integer,
                FieldValue::Unsigned(_) => FieldType::Unsigned,
                FieldValue::String(_) => FieldType::String,
                FieldValue::Boolean(_) => FieldType::Boolean,
            };
            column(name, of_type, std::slice::from_ref(value))
        };
        let columns = values.iter().map(one).collect();
        let mut series = Series::new(name, Frame { columns, rows: 1 });
        series.tags = tags;
        sink(series)?;
    }
    Ok(())
}
