//! Result frames: named columns of equal length. A Flux table is a frame whose group-key columns are marked.

use std::sync::Arc;

use crate::column::{Column, ColumnType};
use crate::value::FieldValue;

/// Named columns of equal length.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Frame {
    /// The columns.
    pub columns: Vec<FrameColumn>,
    /// Number of rows.
    pub rows: usize,
}

/// One column of a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameColumn {
    /// The name.
    pub name: Arc<str>,
    /// Whether the column is part of the group key (Flux). Such a column is constant.
    pub group: bool,
    /// The values.
    pub values: FrameValues,
}

/// The values of a frame's column.
#[derive(Debug, Clone, PartialEq)]
pub enum FrameValues {
    /// A value per row.
    Column(Column),
    /// The same value in every row (`None` is null). A time is an integer with [`ColumnType::Time`].
    Constant(ColumnType, Option<FieldValue>),
}

impl FrameColumn {
    /// The type.
    pub const fn column_type(&self) -> ColumnType {
        match &self.values {
            FrameValues::Column(column) => column.column_type(),
            FrameValues::Constant(column_type, _) => *column_type,
        }
    }

    /// The value of a row; `None` for null.
    pub fn get(&self, row: usize) -> Option<FieldValue> {
        match &self.values {
            FrameValues::Column(column) => column.get(row),
            FrameValues::Constant(_, value) => value.clone(),
        }
    }
}

impl Frame {
    /// The column with a name.
    pub fn column(&self, name: &str) -> Option<&FrameColumn> {
        self.columns.iter().find(|c| &*c.name == name)
    }
}
