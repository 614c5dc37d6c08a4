//! The rows of one group of a raw query: columns as they came, put in order at the end.
//!
//! A part is what one block gave: times and, for each slot of the plan, a column or one value for all rows (a tag).
//! Rows are picked from the parts by time, and only what is picked is copied.

use model::{Bitmap, Column, ColumnType, FieldType, FieldValue, StringColumn, Values};

use super::block::Block;
use super::expr::{Bound, bind};
use super::plan::{Plan, Slot};
use super::value::{self, Value, column_of};

/// The values of one slot in a part.
#[derive(Debug)]
enum Cell {
    Constant(Value),
    Column(Column),
}

impl Cell {
    fn get(&self, row: usize) -> Value {
        match self {
            Self::Constant(value) => value.clone(),
            Self::Column(column) => column.get(row),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Constant(Some(FieldValue::String(text))) => 32 + text.len(),
            Self::Constant(_) => 32,
            Self::Column(column) => 32 + column.bytes(),
        }
    }
}

#[derive(Debug)]
struct Part {
    times: Vec<i64>,
    cells: Vec<Cell>,
}

impl Part {
    fn bytes(&self) -> usize {
        self.times.len() * 8 + self.cells.iter().map(Cell::bytes).sum::<usize>()
    }
}

/// A row of a part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pick {
    pub(crate) time: i64,
    part: u32,
    row: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    parts: Vec<Part>,
    rows: usize,
    bytes: usize,
}

fn small(n: usize) -> u32 {
    u32::try_from(n).expect("the limit on memory keeps rows below 2^32")
}

impl Rows {
    /// Bytes that the rows take.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the rows of a block that hold a value and pass `mask`.
    pub(crate) fn take(&mut self, plan: &Plan, block: &Block, mask: Option<&Bitmap>) {
        let bound: Vec<Bound<'_>> = plan
            .slots
            .iter()
            .map(|slot| match slot {
                Slot::Var(var) => bind(var, block),
                Slot::Call(_) => Bound::Constant(None),
            })
            .collect();
        let columns = || {
            bound.iter().filter_map(|b| if let Bound::Column(column) = b { Some(&**column) } else { None })
        };
        let most = match plan.limit {
            0 => usize::MAX,
            limit => usize::try_from(limit.saturating_add(plan.offset)).unwrap_or(usize::MAX),
        };
        let len = block.times.len();
        // A subquery's row is a row, whatever is taken from it.
        let dense = !block.is_stored() || columns().any(|c| c.valid.is_none());
        if dense && mask.is_none() && len <= most {
            let cell = |b| match b {
                Bound::Constant(value) => Cell::Constant(value),
                Bound::Column(column) => Cell::Column(column.into_owned()),
            };
            self.push(Part { times: block.times.clone(), cells: bound.into_iter().map(cell).collect() });
        } else {
            let wanted = |row: &usize| {
                mask.is_none_or(|m| m.get(*row)) && (dense || columns().any(|c| c.is_valid(*row)))
            };
            if !dense && columns().next().is_none() {
                return;
            }
            let mut indices: Vec<u32> = if plan.ascending {
                (0..len).filter(wanted).take(most).map(small).collect()
            } else {
                (0..len).rev().filter(wanted).take(most).map(small).collect()
            };
            if indices.is_empty() {
                return;
            }
            indices.sort_unstable();
            let cell = |b| match b {
                Bound::Constant(value) => Cell::Constant(value),
                Bound::Column(column) => Cell::Column(column.gather(&indices)),
            };
            let times = indices.iter().map(|&i| block.times[i as usize]).collect();
            self.push(Part { times, cells: bound.into_iter().map(cell).collect() });
        }
        // What LIMIT can no longer reach is let go, at the latest when it is twice what is needed.
        if most != usize::MAX && self.rows > most.saturating_mul(2).max(1024) {
            self.keep(plan, most);
        }
    }

    fn push(&mut self, part: Part) {
        self.rows += part.times.len();
        self.bytes += part.bytes();
        self.parts.push(part);
    }

    /// Keeps the `most` rows that come first in the answer.
    fn keep(&mut self, plan: &Plan, most: usize) {
        let mut picks = self.in_order(plan.ascending);
        picks.truncate(most);
        if !plan.ascending {
            picks.reverse();
        }
        let cell = |slot: usize| {
            Cell::Column(self.column(
                slot,
                plan.slots.get(slot).map_or(FieldType::Float, Slot::field_type),
                &picks,
            ))
        };
        let cells = (0..plan.slots.len()).map(cell).collect();
        let part = Part { times: picks.iter().map(|p| p.time).collect(), cells };
        *self = Self::default();
        self.push(part);
    }

    /// All rows by time; rows of one time in order of arrival, or against it when descending.
    pub(crate) fn in_order(&self, ascending: bool) -> Vec<Pick> {
        let mut picks = Vec::with_capacity(self.rows);
        for (part, rows) in self.parts.iter().enumerate() {
            let part = small(part);
            picks.extend(rows.times.iter().zip(0..).map(|(&time, row)| Pick { time, part, row }));
        }
        picks.sort_by_key(|pick| pick.time);
        if !ascending {
            picks.reverse();
        }
        picks
    }

    /// The value of a slot in a row.
    pub(crate) fn get(&self, slot: usize, pick: Pick) -> Value {
        self.cell(slot, pick).and_then(|cell| cell.get(pick.row as usize))
    }

    fn cell(&self, slot: usize, pick: Pick) -> Option<&Cell> {
        self.parts.get(pick.part as usize)?.cells.get(slot)
    }

    /// A slot of some rows as a column.
    pub(crate) fn column(&self, slot: usize, field_type: FieldType, picks: &[Pick]) -> Column {
        /// The values of one type, with nulls marked; `None` when a column is of another type.
        macro_rules! gather {
            ($variant:ident, $zero:expr) => {{
                let mut values = Vec::with_capacity(picks.len());
                let mut valid = Bitmap::new();
                for pick in picks {
                    let value = match self.cell(slot, *pick) {
                        Some(Cell::Column(Column { values: Values::$variant(from), valid })) => {
                            let row = pick.row as usize;
                            valid.as_ref().is_none_or(|v| v.get(row)).then(|| from[row])
                        }
                        Some(Cell::Constant(Some(FieldValue::$variant(value)))) => Some(*value),
                        Some(Cell::Constant(None)) | None => None,
                        Some(_) => return self.converted(slot, field_type, picks),
                    };
                    valid.push(value.is_some());
                    values.push(value.unwrap_or($zero));
                }
                (Values::$variant(values), valid)
            }};
        }
        let (values, valid) = match field_type {
            FieldType::Float => gather!(Float, 0.0),
            FieldType::Integer => gather!(Integer, 0),
            FieldType::Unsigned => gather!(Unsigned, 0),
            FieldType::String => {
                let (mut texts, mut valid) = (StringColumn::new(), Bitmap::new());
                for pick in picks {
                    let text = match self.cell(slot, *pick) {
                        Some(Cell::Column(Column { values: Values::String(from), valid })) => {
                            let row = pick.row as usize;
                            valid.as_ref().is_none_or(|v| v.get(row)).then(|| from.get(row))
                        }
                        Some(Cell::Constant(Some(FieldValue::String(text)))) => Some(text.as_str()),
                        Some(Cell::Constant(None)) | None => None,
                        Some(_) => return self.converted(slot, field_type, picks),
                    };
                    valid.push(text.is_some());
                    texts.push(text.unwrap_or(""));
                }
                (Values::String(texts), valid)
            }
            FieldType::Boolean => return self.converted(slot, field_type, picks),
        };
        Column { values, valid: (!valid.all()).then_some(valid) }
    }

    fn converted(&self, slot: usize, field_type: FieldType, picks: &[Pick]) -> Column {
        let mut column = Column::empty(ColumnType::Field(field_type));
        picks.iter().for_each(|pick| value::push(&mut column, self.get(slot, *pick).as_ref()));
        column
    }
}

/// The slots of some rows.
pub(crate) trait Slots {
    fn get(&self, slot: usize, row: usize) -> Value;
    fn column(&self, slot: usize, field_type: FieldType) -> Column;
}

/// Rows of a raw query.
pub(crate) struct Raw<'a>(pub(crate) &'a Rows, pub(crate) &'a [Pick]);

impl Slots for Raw<'_> {
    fn get(&self, slot: usize, row: usize) -> Value {
        self.1.get(row).and_then(|pick| self.0.get(slot, *pick))
    }

    fn column(&self, slot: usize, field_type: FieldType) -> Column {
        self.0.column(slot, field_type, self.1)
    }
}

/// Rows of calls.
pub(crate) struct Called<'a>(pub(crate) &'a [(i64, Vec<Value>)]);

impl Slots for Called<'_> {
    fn get(&self, slot: usize, row: usize) -> Value {
        self.0.get(row).and_then(|(_, slots)| slots.get(slot).cloned().flatten())
    }

    fn column(&self, slot: usize, field_type: FieldType) -> Column {
        let values = self.0.iter().map(|(_, slots)| slots.get(slot).and_then(Option::as_ref));
        column_of(field_type, values)
    }
}
