//! Group keys: what makes two tables the same group. Columns count by name, whatever their order.

use std::sync::Arc;

use model::{ColumnType, FieldValue};

use super::Table;

/// The names and values of a table's group key, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) Vec<(Arc<str>, KeyValue)>);

/// A value that can be compared and hashed. Order: null first, then by type, then by value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum KeyValue {
    Null,
    Boolean(bool),
    Integer(i64),
    Unsigned(u64),
    /// The bits of a float, moved so that they order as floats do.
    Float(u64),
    String(String),
    Time(i64),
}

impl KeyValue {
    pub(crate) fn of(column_type: ColumnType, value: Option<FieldValue>) -> Self {
        match value {
            None => Self::Null,
            Some(FieldValue::Boolean(v)) => Self::Boolean(v),
            Some(FieldValue::Integer(v)) if column_type == ColumnType::Time => Self::Time(v),
            Some(FieldValue::Integer(v)) => Self::Integer(v),
            Some(FieldValue::Unsigned(v)) => Self::Unsigned(v),
            Some(FieldValue::Float(v)) => {
                let bits = v.to_bits();
                Self::Float(if v.is_sign_negative() { !bits } else { bits | 1 << 63 })
            }
            Some(FieldValue::String(v)) => Self::String(v),
        }
    }
}

impl Key {
    pub(super) fn of(table: &Table) -> Self {
        let mut parts: Vec<_> = table
            .columns
            .iter()
            .filter(|c| c.group)
            .map(|c| (Arc::clone(&c.name), KeyValue::of(c.data.column_type(), c.data.get(0))))
            .collect();
        parts.sort();
        Self(parts)
    }

    /// The key of some columns of one row, and whether a column is missing from the table.
    pub(crate) fn of_row(table: &Table, columns: &[usize], row: usize) -> Self {
        let mut parts: Vec<_> = columns
            .iter()
            .filter_map(|at| table.columns.get(*at))
            .map(|c| (Arc::clone(&c.name), KeyValue::of(c.data.column_type(), c.data.get(row))))
            .collect();
        parts.sort();
        Self(parts)
    }
}
