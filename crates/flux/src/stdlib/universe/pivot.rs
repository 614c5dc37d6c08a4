//! `pivot`: values of a column become columns.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use model::{Column, ColumnType};

use super::super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::interpret::Context;
use crate::table::{Data, Key, Made, Table, TableColumn};
use crate::value::{Value, convert};

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![Builtin::new(
        "pivot",
        "tables<-stream, rowKey:array, columnKey:array, valueColumn:string => stream",
        pivot,
    )]
});

fn pivot(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let row_key = arguments.texts("rowKey")?.unwrap_or_default();
    let column_key = arguments.texts("columnKey")?.unwrap_or_default();
    let value = arguments.text("valueColumn")?;
    if row_key.iter().any(|r| column_key.contains(r)) {
        return Err(FluxError::invalid("column name found in both rowKey and columnKey"));
    }
    Ok(Value::Stream(pivoted(&input, row_key, column_key, value)))
}

/// Pivots a stream.
pub(in crate::stdlib) fn pivoted(
    input: &crate::table::Stream,
    row_key: Vec<Rc<str>>,
    column_key: Vec<Rc<str>>,
    value: Rc<str>,
) -> crate::table::Stream {
    input.gather(move |context, tables| {
        // The new key: the old one without what becomes columns or values.
        let mut groups: BTreeMap<Key, Vec<Table>> = BTreeMap::new();
        for mut table in tables {
            for column in &mut table.columns {
                let gone = column_key.contains(&Rc::from(&*column.name)) || *column.name == *value;
                column.group = column.group && !gone;
            }
            groups.entry(table.key()).or_default().push(table);
        }
        groups
            .values()
            .map(|parts| Made::new(context, pivot_group(context, parts, &row_key, &column_key, &value)?))
            .collect()
    })
}

/// Where each output row's value stands: table and row.
type Places = Vec<Option<(usize, usize)>>;

fn pivot_group(
    context: &Context<'_>,
    parts: &[Table],
    row_key: &[Rc<str>],
    column_key: &[Rc<str>],
    value: &str,
) -> Result<Table> {
    let mut rows: BTreeMap<Key, usize> = BTreeMap::new();
    // For each output row, the table and row where its row key stands.
    let mut origins: Vec<(usize, u32)> = Vec::new();
    // For each output column, the row it came from by output row.
    let mut cells: Vec<(String, ColumnType, Places)> = Vec::new();
    let mut labels: HashMap<String, usize> = HashMap::new();
    let mut reserved = 0;
    for (number, table) in parts.iter().enumerate() {
        let places = |names: &[Rc<str>]| {
            let missing =
                |n: &str| FluxError::invalid(format!("specified column does not exist in table: {n}"));
            names.iter().map(|n| table.index(n).ok_or_else(|| missing(n))).collect::<Result<Vec<_>>>()
        };
        let (row_at, column_at) = (places(row_key)?, places(column_key)?);
        let value_type = table.need(value)?.data.column_type();
        for row in 0..table.rows {
            let next = origins.len();
            let at = *rows.entry(Key::of_row(table, &row_at, row)).or_insert(next);
            if at == next {
                origins.push((number, crate::table::row_index(row)));
            }
            let label = column_at
                .iter()
                .map(|c| match table.columns[*c].value(row) {
                    Value::Null => "null".to_owned(),
                    other => convert::display(&other),
                })
                .collect::<Vec<_>>()
                .join("_");
            let cell = match labels.get(&label) {
                Some(cell) => *cell,
                None => {
                    labels.insert(label.clone(), cells.len());
                    cells.push((label.clone(), value_type, Vec::new()));
                    cells.len() - 1
                }
            };
            let (_, ty, places) = &mut cells[cell];
            if *ty != value_type {
                return Err(FluxError::invalid(format!("value columns of \"{label}\" have different types")));
            }
            if places.len() <= at {
                reserved += (at + 1 - places.len()) * size_of::<Option<(usize, usize)>>();
                places.resize(at + 1, None);
            }
            if row.is_multiple_of(256) {
                context.check_cancelled()?;
                context.room(reserved)?;
            }
            places[at] = Some((number, row));
        }
    }
    // Rows in the order of their key.
    let order: Vec<usize> = rows.into_values().collect();
    let mut columns = parts.first().map(Table::key_columns).unwrap_or_default();
    for name in row_key {
        if columns.iter().any(|c| *c.name == **name) {
            continue;
        }
        let ty =
            parts.first().map_or(Ok(ColumnType::Time), |t| t.need(name).map(|c| c.data.column_type()))?;
        let places = order.iter().map(|at| origins.get(*at).map(|(t, r)| (*t, *r as usize)));
        columns.push(TableColumn::new(name, gather(parts, name, ty, places)));
    }
    for (label, ty, places) in &cells {
        let places = order.iter().map(|at| places.get(*at).copied().flatten());
        columns.push(TableColumn {
            name: Arc::from(label.as_str()),
            group: false,
            data: gather(parts, value, *ty, places),
        });
    }
    Ok(Table { columns, rows: order.len() })
}

fn gather(
    parts: &[Table],
    name: &str,
    column_type: ColumnType,
    places: impl Iterator<Item = Option<(usize, usize)>>,
) -> Data {
    let mut column = Column::empty(column_type);
    for place in places {
        let found = place.and_then(|(table, row)| parts.get(table)?.column(name)?.data.get(row));
        match found {
            Some(value) => column.push(&value),
            None => column.push_null(),
        }
    }
    Data::new(column)
}
