//! What test scripts compare with: `testing`, `testing/expect`, and `diff` of `experimental`.
//!
//! A difference is tables of the rows that differ: those that are wanted and not there have `-` in the first column,
//! `_diff`, and those that are there and not wanted `+`. Tables are paired by their group keys, and their rows by number.
//! Floats are equal within 10^-6, NaN equals NaN, and a column that one side does not have is null there.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{ColumnType, FieldType};

use super::{Arguments, Builtin, Functions};
use crate::error::{Class, FluxError, Result};
use crate::interpret::Context;
use crate::table::build::{Builder, concat_group, from_records};
use crate::table::{Data, Key, Made, Stream, Table, TableColumn, type_name};
use crate::value::{Record, Value};

/// How far apart floats may be.
const EPSILON: f64 = 1e-6;
/// The result that test runners look at: a test passes where it has no tables.
const ERROR_OUTPUT: &str = "errorOutput";

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        // The last three are taken and, as in Flux, mean nothing.
        Builtin::new(
            "diff",
            "got<-stream, want:stream, ?verbose:bool, ?epsilon:float, ?nansEqual:bool => stream",
            |_, a| Ok(Value::Stream(difference(a.stream("got")?, a.stream("want")?))),
        ),
        Builtin::new("assertEquals", "got<-stream, name:string, want:stream => stream", assert_equals),
        Builtin::new("assertEmpty", "tables<-stream => stream", assert_empty),
        Builtin::new("assertEqualValues", "got:any, want:any => stream", |context, a| {
            assert_equal(context, a.get("got"), a.get("want"))
        }),
        Builtin::new("shouldError", "fn:function, want:regexp => stream", should_error),
        Builtin::new("load", "tables<-stream => stream", |_, a| Ok(a.get("tables").clone())),
    ]
});

/// What a test expects of the planner of another program means nothing here.
pub(super) static EXPECT: Functions =
    Functions::new(|| vec![Builtin::new("planner", "rules:any => record", |_, _| Ok(Record::of([])))]);

/// `diff` as `experimental` has it.
pub(super) fn experimental_diff() -> Builtin {
    Builtin::new("diff", "tables<-stream, want:stream => stream", |_, a| {
        Ok(Value::Stream(difference(a.stream("tables")?, a.stream("want")?)))
    })
}

/// See the module.
fn difference(got: Stream, want: Stream) -> Stream {
    Stream::new(None, move |context| {
        let (wanted, want_held) = want.collect(context)?;
        let (there, got_held) = got.collect(context)?;
        let mut pairs: BTreeMap<Key, [Vec<Table>; 2]> = BTreeMap::new();
        for (side, tables) in [wanted, there].into_iter().enumerate() {
            for table in tables {
                pairs.entry(table.key()).or_default()[side].push(table);
            }
        }
        let mut made = Vec::new();
        for [wanted, there] in pairs.into_values() {
            let sides = [concat_group(context, &wanted)?, concat_group(context, &there)?];
            if let Some(table) = differing(context, &sides)? {
                made.push(Made::new(context, table)?);
            }
        }
        drop((want_held, got_held));
        Ok(Box::new(made.into_iter().map(|made| Ok(made.table))))
    })
}

/// A column of both sides, either of which may not have it.
struct Pair<'a> {
    name: Arc<str>,
    group: bool,
    column_type: ColumnType,
    sides: [Option<&'a TableColumn>; 2],
}

impl Pair<'_> {
    fn value(&self, side: usize, row: usize) -> Value {
        self.sides[side].map_or(Value::Null, |column| column.value(row))
    }
}

/// The rows of two tables that differ; `None` when none do.
fn differing(context: &Context<'_>, sides: &[Table; 2]) -> Result<Option<Table>> {
    let pairs = pairs(sides)?;
    context.room(sides.iter().map(Table::bytes).sum())?;
    let mut signs = Builder::typed(ColumnType::Field(FieldType::String));
    let mut columns: Vec<Builder> = pairs.iter().map(|pair| Builder::typed(pair.column_type)).collect();
    let [wanted, there] = sides;
    for row in 0..wanted.rows.max(there.rows) {
        if row.is_multiple_of(256) {
            context.check_cancelled()?;
        }
        let are_both = row < wanted.rows && row < there.rows;
        if are_both && pairs.iter().all(|pair| are_equal(&pair.value(0, row), &pair.value(1, row))) {
            continue;
        }
        for (side, sign) in ["-", "+"].into_iter().enumerate().filter(|(side, _)| row < sides[*side].rows) {
            context.count_rows(1)?;
            signs.push(&Value::string(sign))?;
            for (pair, column) in pairs.iter().zip(&mut columns) {
                column.push(&pair.value(side, row))?;
            }
        }
    }
    let rows = signs.len();
    if rows == 0 {
        return Ok(None);
    }
    let text = ColumnType::Field(FieldType::String);
    let mut made = vec![TableColumn::new("_diff", Data::new(signs.finish(text)))];
    for (pair, column) in pairs.into_iter().zip(columns) {
        let data = match pair.sides.into_iter().flatten().next().filter(|_| pair.group) {
            Some(key) => key.data.clone(),
            None => Data::new(column.finish(pair.column_type)),
        };
        made.push(TableColumn { name: pair.name, group: pair.group, data });
    }
    Ok(Some(Table { columns: made, rows }))
}

/// The columns of both sides: those that are wanted first. One that has nothing but nulls has the other's type.
fn pairs(sides: &[Table; 2]) -> Result<Vec<Pair<'_>>> {
    let mut pairs: Vec<Pair<'_>> = Vec::new();
    for (side, table) in sides.iter().enumerate() {
        for column in &table.columns {
            let column_type = column.data.column_type();
            let Some(pair) = pairs.iter_mut().find(|pair| pair.name == column.name) else {
                let mut sides = [None, None];
                sides[side] = Some(column);
                pairs.push(Pair { name: Arc::clone(&column.name), group: column.group, column_type, sides });
                continue;
            };
            let is_nothing = |column: &TableColumn, rows| (0..rows).all(|row| column.data.get(row).is_none());
            if pair.column_type != column_type && !is_nothing(column, table.rows) {
                if pair.sides[0].is_none_or(|other| !is_nothing(other, sides[0].rows)) {
                    let (want, got) = (type_name(pair.column_type), type_name(column_type));
                    let name = &column.name;
                    return Err(FluxError::Invalid(format!(
                        "schema collision detected: column \"{name}\" is both of type {want} and {got}"
                    )));
                }
                pair.column_type = column_type;
            }
            pair.sides[side] = Some(column);
        }
    }
    Ok(pairs)
}

fn are_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Float(one), Value::Float(other)) => {
            one == other || one.is_nan() && other.is_nan() || (one - other).abs() <= EPSILON
        }
        (one, other) => one.same(other),
    }
}

/// Passes a stream on as it is, if it is the one that is wanted.
fn assert_equals(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let (name, got) = (arguments.text("name")?, arguments.stream("got")?);
    let difference = difference(got.clone(), arguments.stream("want")?);
    checked(got, difference, format!("test {name}: the tables are not equal"))
}

fn assert_empty(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let tables = arguments.stream("tables")?;
    checked(tables.clone(), tables, "found tables where none were expected".to_owned())
}

/// A stream that fails where another has a row.
fn checked(passed: Stream, empty: Stream, reason: String) -> Result<Value> {
    Ok(Value::Stream(Stream::new(passed.bounds(), move |context| {
        for table in empty.open(context)? {
            if table?.rows > 0 {
                return Err(FluxError::Invalid(reason.clone()));
            }
        }
        passed.open(context)
    })))
}

/// The difference of two values, as the result that test runners look at.
fn assert_equal(context: &Context<'_>, got: &Value, want: &Value) -> Result<Value> {
    let table = |value: &Value| {
        let row = Record::of([("v", value.clone())]);
        from_records(&[row]).map(|table| Stream::of(vec![table]))
    };
    let difference = difference(table(got)?, table(want)?);
    context.add_result(ERROR_OUTPUT, difference.clone())?;
    Ok(Value::Stream(difference.into_yielded()))
}

/// Compares what a function fails with with a pattern.
fn should_error(context: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let Value::Regex(want) = arguments.get("want") else {
        return Err(FluxError::invalid("expected regexp (argument want)"));
    };
    let said = match arguments.function("fn")?.call(context, Vec::new()) {
        Ok(_) => return Err(FluxError::invalid("shouldError expected an error")),
        Err(error) if error.class() == Class::Cancelled => return Err(error),
        Err(error) => error.to_string(),
    };
    let row = |is_match: bool| {
        let row = Record::of([("match", Value::Bool(is_match)), ("v", Value::string(&said))]);
        from_records(&[row]).map(|table| Stream::of(vec![table]))
    };
    let difference = difference(row(want.is_match(&said))?, row(true)?);
    context.add_result(ERROR_OUTPUT, difference.clone())?;
    Ok(Value::Stream(difference.into_yielded()))
}

/// What a function answers, or why it fails: `experimental.catch`.
pub(super) fn catch(context: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let (value, code, said) = match arguments.function("fn")?.call(context, Vec::new()) {
        Ok(value) => (value, Value::Null, Value::Null),
        Err(error) => {
            let code = match error.class() {
                Class::Cancelled => return Err(error),
                Class::Invalid => 3,
                Class::NotFound => 5,
                Class::LimitReached => 8,
                Class::Internal => 13,
                Class::Busy => 14,
            };
            (Value::Null, Value::Uint(code), Value::string(error.to_string()))
        }
    };
    Ok(Record::of([("value", value), ("code", code), ("msg", said)]))
}
