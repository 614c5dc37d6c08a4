//! Tables from rows: values of the language to columns, tables below one another.

use std::rc::Rc;
use std::sync::Arc;

use model::{Column, ColumnType, FieldType, FieldValue, Values};

use super::{Data, Table, TableColumn, type_name};
use crate::error::{FluxError, Result};
use crate::interpret::Context;
use crate::value::Value;

/// The column type of a value; `None` when no column can hold it.
pub(crate) const fn column_type(value: &Value) -> Option<ColumnType> {
    Some(match value {
        Value::Bool(_) => ColumnType::Field(FieldType::Boolean),
        Value::Int(_) => ColumnType::Field(FieldType::Integer),
        Value::Uint(_) => ColumnType::Field(FieldType::Unsigned),
        Value::Float(_) => ColumnType::Field(FieldType::Float),
        Value::String(_) => ColumnType::Field(FieldType::String),
        Value::Time(_) => ColumnType::Time,
        _ => return None,
    })
}

/// A value as a column holds it; `None` for null, and where no column can hold it.
pub(crate) fn column_value(value: &Value) -> Option<FieldValue> {
    Some(match value {
        Value::Bool(v) => FieldValue::Boolean(*v),
        Value::Int(v) | Value::Time(v) => FieldValue::Integer(*v),
        Value::Uint(v) => FieldValue::Unsigned(*v),
        Value::Float(v) => FieldValue::Float(*v),
        Value::String(v) => FieldValue::String(v.to_string()),
        _ => return None,
    })
}

/// A column that takes its type from the first value that is not null.
#[derive(Debug)]
pub(crate) struct Builder {
    column: Option<Column>,
    /// Nulls before the first value.
    nulls: usize,
}

impl Builder {
    pub(crate) const fn new() -> Self {
        Self { column: None, nulls: 0 }
    }

    pub(crate) fn typed(column_type: ColumnType) -> Self {
        Self { column: Some(Column::empty(column_type)), nulls: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.column.as_ref().map_or(self.nulls, Column::len)
    }

    /// Appends a value; the error names the types when it does not fit.
    pub(crate) fn push(&mut self, value: &Value) -> Result<()> {
        let Some(wanted) = column_type(value) else {
            if !matches!(value, Value::Null) {
                let name = value.type_of().name();
                return Err(FluxError::invalid(format!("a column cannot hold a value of type {name}")));
            }
            match &mut self.column {
                Some(column) => column.push_null(),
                None => self.nulls += 1,
            }
            return Ok(());
        };
        let nulls = self.nulls;
        let column = self.column.get_or_insert_with(|| Column::nulls(wanted, nulls));
        match (&mut column.values, value) {
            (Values::Float(v), Value::Float(x)) => v.push(*x),
            (Values::Integer(v), Value::Int(x)) | (Values::Time(v), Value::Time(x)) => v.push(*x),
            (Values::Unsigned(v), Value::Uint(x)) => v.push(*x),
            (Values::String(v), Value::String(x)) => v.push(x),
            (Values::Boolean(v), Value::Bool(x)) => v.push(*x),
            (values, _) => {
                let (have, given) = (type_name(values.column_type()), type_name(wanted));
                return Err(FluxError::invalid(format!("column type changed from {have} to {given}")));
            }
        }
        if let Some(valid) = &mut column.valid {
            valid.push(true);
        }
        Ok(())
    }

    /// The column; one of nothing but nulls gets the type `otherwise`.
    pub(crate) fn finish(self, otherwise: ColumnType) -> Column {
        let nulls = self.nulls;
        self.column.unwrap_or_else(|| Column::nulls(otherwise, nulls))
    }
}

/// Rows of records as one table; columns in the order in which they first appear.
pub(crate) fn from_records(rows: &[Value]) -> Result<Table> {
    let mut columns: Vec<(Rc<str>, Builder)> = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let wrong = || FluxError::invalid(format!("expected record but found {}", row.type_of().name()));
        let record = row.to_record().ok_or_else(wrong)?;
        for (name, value) in &record.fields {
            let at = columns.iter().position(|(n, _)| n == name).unwrap_or_else(|| {
                columns.push((Rc::clone(name), Builder::new()));
                columns.len() - 1
            });
            let builder = &mut columns[at].1;
            while builder.len() < number {
                builder.push(&Value::Null)?;
            }
            builder.push(value)?;
        }
    }
    let mut out = Vec::with_capacity(columns.len());
    for (name, mut builder) in columns {
        while builder.len() < rows.len() {
            builder.push(&Value::Null)?;
        }
        out.push(TableColumn::new(&name, Data::new(builder.finish(ColumnType::Field(FieldType::String)))));
    }
    Ok(Table { columns: out, rows: rows.len() })
}

/// Puts tables below one another. Columns that a table lacks are null in its rows; equal constants stay constants.
pub(crate) fn concat(context: &Context<'_>, tables: &[Table]) -> Result<Table> {
    if let [only] = tables {
        return Ok(only.clone());
    }
    let rows = tables.iter().map(|t| t.rows).sum();
    let mut names: Vec<(Arc<str>, ColumnType)> = Vec::new();
    for column in tables.iter().flat_map(|t| &t.columns) {
        match names.iter().find(|(n, _)| *n == column.name) {
            None => names.push((Arc::clone(&column.name), column.data.column_type())),
            Some((name, have)) if *have != column.data.column_type() => {
                let (have, given) = (type_name(*have), type_name(column.data.column_type()));
                let message = format!(
                    "schema collision detected: column \"{name}\" is both of type {given} and {have}"
                );
                return Err(FluxError::Invalid(message));
            }
            Some(_) => {}
        }
    }
    let mut made = 0;
    let columns = names.into_iter().map(|(name, column_type)| {
        let parts: Vec<_> = tables.iter().map(|t| (t.column(&name).map(|c| &c.data), t.rows)).collect();
        let first = parts.first().and_then(|(d, _)| *d);
        let constant = parts.iter().all(|(d, _)| match (d, first) {
            (Some(Data::Constant(_, a)), Some(Data::Constant(_, b))) => a == b,
            _ => false,
        });
        let data = match first {
            Some(first) if constant => first.clone(),
            _ => {
                room_for(context, &mut made, &parts)?;
                let mut column = Column::empty(column_type);
                for (data, rows) in parts {
                    match data {
                        Some(data) => column.extend_from(&data.column(rows), 0, rows),
                        None => (0..rows).for_each(|_| column.push_null()),
                    }
                }
                Data::new(column)
            }
        };
        Ok(TableColumn { name, group: false, data })
    });
    Ok(Table { columns: columns.collect::<Result<_>>()?, rows })
}

/// Checks that a column of these parts still fits; `made` is what the columns before it take.
fn room_for(context: &Context<'_>, made: &mut usize, parts: &[(Option<&Data>, usize)]) -> Result<()> {
    let bytes = |(data, rows): &(Option<&Data>, usize)| match data {
        Some(Data::Constant(_, Some(FieldValue::String(text)))) => (text.len() + 4).saturating_mul(*rows),
        Some(Data::Constant(..)) | None => 8 * rows,
        Some(data @ Data::Values(_)) => data.bytes(),
    };
    *made = parts.iter().map(bytes).fold(*made, usize::saturating_add);
    context.room(*made)
}

/// Puts the tables of one group below one another, and marks the key again.
pub(crate) fn concat_group(context: &Context<'_>, tables: &[Table]) -> Result<Table> {
    let mut table = concat(context, tables)?;
    if let Some(first) = tables.first() {
        for column in &mut table.columns {
            if let Some(key) = first.column(&column.name).filter(|c| c.group) {
                *column = key.clone();
            }
        }
    }
    Ok(table)
}
