//! Tables as the interpreter sees them: columns of equal length, some of them the group key, and lazy streams of tables.
//!
//! Invariant: a column of the group key is a constant. Constants cost nothing per row, and columns are shared, so most
//! transformations copy only what they change.

pub(crate) mod aggregate;
pub(crate) mod build;
pub(crate) mod compare;
mod key;
mod pushdown;
pub(crate) mod scan;
pub(crate) mod select;
mod stream;
pub(crate) mod summary;
pub(crate) mod window;

use std::rc::Rc;
use std::sync::Arc;

use model::{Column, ColumnType, FieldType, FieldValue, Frame, FrameColumn, FrameValues, Values};

pub(crate) use key::Key;
pub(crate) use pushdown::whole as pushed_predicate;
pub(crate) use stream::{Made, Stream, Tables};

use crate::error::{FluxError, Result};
use crate::value::Value;

/// A table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) columns: Vec<TableColumn>,
    pub(crate) rows: usize,
}

/// A column of a table.
#[derive(Debug, Clone)]
pub(crate) struct TableColumn {
    pub(crate) name: Arc<str>,
    /// Part of the group key; then `data` is a constant.
    pub(crate) group: bool,
    pub(crate) data: Data,
}

/// The values of a column.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    Constant(ColumnType, Option<FieldValue>),
    Values(Rc<Column>),
}

impl Data {
    pub(crate) fn new(column: Column) -> Self {
        Self::Values(Rc::new(column))
    }

    pub(crate) const fn time(time: i64) -> Self {
        Self::Constant(ColumnType::Time, Some(FieldValue::Integer(time)))
    }

    pub(crate) fn text(text: &str) -> Self {
        Self::Constant(ColumnType::Field(FieldType::String), Some(FieldValue::String(text.to_owned())))
    }

    pub(crate) fn column_type(&self) -> ColumnType {
        match self {
            Self::Constant(column_type, _) => *column_type,
            Self::Values(column) => column.column_type(),
        }
    }

    /// The rows at `indices`.
    pub(crate) fn gather(&self, indices: &[u32]) -> Self {
        match self {
            Self::Constant(..) => self.clone(),
            Self::Values(column) => Self::new(column.gather(indices)),
        }
    }

    /// The rows `from..to`.
    pub(crate) fn slice(&self, from: usize, to: usize) -> Self {
        match self {
            Self::Constant(..) => self.clone(),
            Self::Values(column) => {
                let mut part = Column::empty(column.column_type());
                part.extend_from(column, from, to);
                Self::new(part)
            }
        }
    }

    /// As a column of `rows` rows.
    pub(crate) fn column(&self, rows: usize) -> Rc<Column> {
        match self {
            Self::Values(column) => Rc::clone(column),
            Self::Constant(column_type, value) => {
                let mut column = Column::empty(*column_type);
                for _ in 0..rows {
                    match value {
                        Some(value) => column.push(value),
                        None => column.push_null(),
                    }
                }
                Rc::new(column)
            }
        }
    }

    pub(crate) fn get(&self, row: usize) -> Option<FieldValue> {
        match self {
            Self::Constant(_, value) => value.clone(),
            Self::Values(column) => column.get(row),
        }
    }

    /// Bytes that the values take, roughly.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Constant(..) => 0,
            Self::Values(column) => match &column.values {
                Values::String(strings) => strings.data_bytes() + 4 * strings.len(),
                Values::Boolean(bits) => bits.len() / 8,
                other => 8 * other.len(),
            },
        }
    }
}

impl TableColumn {
    pub(crate) fn new(name: &str, data: Data) -> Self {
        Self { name: Arc::from(name), group: false, data }
    }

    pub(crate) fn key(name: &str, data: Data) -> Self {
        Self { name: Arc::from(name), group: true, data }
    }

    /// The value of a row as the language sees it.
    pub(crate) fn value(&self, row: usize) -> Value {
        match &self.data {
            Data::Constant(column_type, value) => {
                value.as_ref().map_or(Value::Null, |v| field_value(*column_type, v))
            }
            Data::Values(column) if !column.is_valid(row) => Value::Null,
            Data::Values(column) => match &column.values {
                Values::Float(v) => Value::Float(v[row]),
                Values::Integer(v) => Value::Int(v[row]),
                Values::Time(v) => Value::Time(v[row]),
                Values::Unsigned(v) => Value::Uint(v[row]),
                Values::String(v) => Value::string(v.get(row)),
                Values::Boolean(v) => Value::Bool(v.get(row)),
            },
        }
    }
}

/// A field value of a column type as a value of the language.
pub(crate) fn field_value(column_type: ColumnType, value: &FieldValue) -> Value {
    match value {
        FieldValue::Float(v) => Value::Float(*v),
        FieldValue::Integer(v) if column_type == ColumnType::Time => Value::Time(*v),
        FieldValue::Integer(v) => Value::Int(*v),
        FieldValue::Unsigned(v) => Value::Uint(*v),
        FieldValue::String(v) => Value::string(v),
        FieldValue::Boolean(v) => Value::Bool(*v),
    }
}

impl Table {
    pub(crate) fn index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| &*c.name == name)
    }

    pub(crate) fn column(&self, name: &str) -> Option<&TableColumn> {
        self.columns.iter().find(|c| &*c.name == name)
    }

    /// The column with a name, or Flux's error that there is none.
    pub(crate) fn need(&self, name: &str) -> Result<&TableColumn> {
        self.column(name).ok_or_else(|| FluxError::invalid(format!("column \"{name}\" does not exist")))
    }

    /// The column with a name as times.
    pub(crate) fn times(&self, name: &str) -> Result<Rc<Column>> {
        let column = self.need(name)?;
        if column.data.column_type() != ColumnType::Time {
            return Err(FluxError::invalid(format!("column \"{name}\" is not of type time")));
        }
        Ok(column.data.column(self.rows))
    }

    pub(crate) fn key(&self) -> Key {
        Key::of(self)
    }

    /// The columns of the group key.
    pub(crate) fn key_columns(&self) -> Vec<TableColumn> {
        self.columns.iter().filter(|c| c.group).cloned().collect()
    }

    /// Sets a column, in its old place if it exists.
    pub(crate) fn set(&mut self, column: TableColumn) {
        match self.columns.iter_mut().find(|c| c.name == column.name) {
            Some(old) => *old = column,
            None => self.columns.push(column),
        }
    }

    /// The rows at `indices`.
    pub(crate) fn gather(&self, indices: &[u32]) -> Self {
        let columns = self.columns.iter().map(|c| TableColumn { data: c.data.gather(indices), ..c.clone() });
        Self { columns: columns.collect(), rows: indices.len() }
    }

    /// The rows `from..to`.
    pub(crate) fn slice(&self, from: usize, to: usize) -> Self {
        let columns = self.columns.iter().map(|c| TableColumn { data: c.data.slice(from, to), ..c.clone() });
        Self { columns: columns.collect(), rows: to - from }
    }

    /// Bytes that the table takes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.columns.iter().map(|c| 64 + c.data.bytes()).sum()
    }

    pub(crate) fn into_frame(self) -> Frame {
        let columns = self.columns.into_iter().map(|column| FrameColumn {
            name: column.name,
            group: column.group,
            values: match column.data {
                Data::Constant(column_type, value) => FrameValues::Constant(column_type, value),
                Data::Values(values) => {
                    FrameValues::Column(Rc::try_unwrap(values).unwrap_or_else(|shared| (*shared).clone()))
                }
            },
        });
        Frame { columns: columns.collect(), rows: self.rows }
    }
}

/// Flux's name of a column type.
pub(crate) const fn type_name(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Time => "time",
        ColumnType::Field(FieldType::Float) => "float",
        ColumnType::Field(FieldType::Integer) => "int",
        ColumnType::Field(FieldType::Unsigned) => "uint",
        ColumnType::Field(FieldType::String) => "string",
        ColumnType::Field(FieldType::Boolean) => "bool",
    }
}

/// A row number as an index for gathering. Tables stay far below 2^32 rows.
pub(crate) fn row_index(row: usize) -> u32 {
    u32::try_from(row).expect("the limit on rows keeps tables below 2^32 rows")
}
