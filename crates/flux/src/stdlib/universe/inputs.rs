//! Where streams begin and end: `from`, `range`, `buckets`, `yield`, `tableFind` and what reads found tables.

use std::rc::Rc;

use model::{Column, ColumnType, FieldType, Values};

use super::super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::interpret::{Context, Function, Row, RowTable};
use crate::source::BucketRef;
use crate::table::scan::From;
use crate::table::{Data, Stream, Table, TableColumn, row_index};
use crate::value::Value;

pub(super) static STORED: Functions = Functions::new(|| {
    vec![
        Builtin::new(
            "from",
            "?bucket:string, ?bucketID:string, ?host:string, ?org:string, ?orgID:string, ?token:string => stream",
            from,
        ),
        Builtin::new("buckets", "?host:string, ?org:string, ?orgID:string, ?token:string => stream", buckets),
    ]
});

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new("range", "tables<-stream, start:timeable, ?stop:timeable => stream", range),
        Builtin::new("yield", "tables<-stream, ?name:string => stream", yield_result),
        Builtin::new("tableFind", "tables<-stream, fn:function => table", table_find),
        Builtin::new("findColumn", "tables<-stream, fn:function, column:string => array", find_column),
        Builtin::new("findRecord", "tables<-stream, fn:function, idx:int => record", find_record),
        Builtin::new("getColumn", "table<-table, column:string => array", get_column),
        Builtin::new("getRecord", "table<-table, idx:int => record", get_record),
    ]
});

fn from(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    for remote in ["host", "token"] {
        if !matches!(arguments.get(remote), Value::Null) {
            return Err(FluxError::NotImplemented(format!("from with {remote} (remote reads)")));
        }
    }
    let bucket = match (arguments.get("bucket"), arguments.get("bucketID")) {
        (Value::String(name), Value::Null) => BucketRef::Name(name.to_string()),
        (Value::Null, Value::String(id)) => BucketRef::Id(
            id.parse().map_err(|e| FluxError::Invalid(format!("invalid bucket id \"{id}\": {e}")))?,
        ),
        (Value::Null, _) => return Err(FluxError::invalid("must specify one of bucket or bucketID")),
        _ => return Err(FluxError::invalid("must specify only one of bucket or bucketID")),
    };
    Ok(Value::Stream(Stream::from(From { bucket, range: None, filters: Vec::new() })))
}

fn range(context: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let start = context.resolve_time(arguments.get("start"))?;
    let stop = match arguments.get("stop") {
        Value::Null => context.now()?,
        stop => context.resolve_time(stop)?,
    };
    if start >= stop {
        return Err(FluxError::invalid("cannot query an empty range"));
    }
    if let Some(from) = input.as_from() {
        let (start, stop) = from.range.map_or((start, stop), |(a, b)| (start.max(a), stop.min(b)));
        return Ok(Value::Stream(Stream::from(From { range: Some((start, stop)), ..from.clone() })));
    }
    let bounds = input.bounds().map_or((start, stop), |(a, b)| (start.max(a), stop.min(b)));
    let cut = input.map(move |_, table| cut(table, bounds).map(Some));
    Ok(Value::Stream(cut.with_bounds(Some(bounds))))
}

/// The rows of a table inside a time range, with `_start` and `_stop` in its key.
fn cut(table: Table, (start, stop): (i64, i64)) -> Result<Table> {
    let times = table.times("_time")?;
    let Values::Time(stamps) = &times.values else { return Ok(table) };
    let inside = |at: &usize| times.is_valid(*at) && start <= stamps[*at] && stamps[*at] < stop;
    let rows: Vec<u32> = (0..table.rows).filter(inside).map(row_index).collect();
    let mut kept = if rows.len() == table.rows { table } else { table.gather(&rows) };
    kept.set(TableColumn::key("_start", Data::time(start)));
    kept.set(TableColumn::key("_stop", Data::time(stop)));
    Ok(kept)
}

fn buckets(context: &Context<'_>, _: &Arguments) -> Result<Value> {
    let list = context.source.buckets()?;
    let org = list.first().map_or_else(String::new, |b| b.org.to_string());
    let texts = |f: &dyn Fn(&crate::BucketInfo) -> String| {
        Data::new(Column::new(Values::String(list.iter().map(f).collect())))
    };
    let retention = list.iter().map(|b| b.retention_ns).collect();
    let absent = Data::Constant(ColumnType::Field(FieldType::String), None);
    let columns = vec![
        TableColumn::new("name", texts(&|b| b.name.clone())),
        TableColumn::new("id", texts(&|b| b.id.to_string())),
        TableColumn::key("organizationID", Data::text(&org)),
        TableColumn::new("retentionPolicy", absent),
        TableColumn::new("retentionPeriod", Data::new(Column::new(Values::Integer(retention)))),
    ];
    Ok(Value::Stream(Stream::of(vec![Table { columns, rows: list.len() }])))
}

fn yield_result(context: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let stream = arguments.stream("tables")?;
    let name = arguments.text_or("name", "_result")?;
    context.add_result(&name, stream.clone())?;
    Ok(Value::Stream(stream.into_yielded()))
}

/// The first table whose key a function accepts.
fn find(context: &Context<'_>, arguments: &Arguments) -> Result<Option<Table>> {
    let function = arguments.function("fn")?;
    for table in arguments.stream("tables")?.open(context)? {
        let table = table?;
        if accepts(&function, context, &table)? {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

fn accepts(function: &Function, context: &Context<'_>, table: &Table) -> Result<bool> {
    let key = Table { columns: table.key_columns(), rows: 1 };
    let row = RowTable::new(key).row(0);
    match function.call(context, vec![(Rc::from("key"), row)])? {
        Value::Bool(b) => Ok(b),
        Value::Null => Ok(false),
        other => Err(FluxError::invalid(format!("expected bool but found {}", other.type_of().name()))),
    }
}

fn table_find(context: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    find(context, arguments)?
        .map(|table| Value::Table(Rc::new(table)))
        .ok_or_else(|| FluxError::invalid("no table found"))
}

fn column_values(table: &Table, name: &str) -> Result<Value> {
    let column = table.need(name)?;
    Ok(Value::array((0..table.rows).map(|row| column.value(row)).collect()))
}

fn record(table: &Table, row: i64) -> Option<Value> {
    let at = usize::try_from(row).ok().filter(|at| *at < table.rows)?;
    match RowTable::new(table.clone()).row(at) {
        Value::Row(row) => Some(Value::Record(Rc::new(Row::to_record(&row)))),
        other => Some(other),
    }
}

fn find_column(context: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    match find(context, arguments)? {
        Some(table) => column_values(&table, &arguments.text("column")?),
        None => Ok(Value::array(Vec::new())),
    }
}

fn find_record(context: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let row = arguments.int_or("idx", 0)?;
    let found = find(context, arguments)?.and_then(|table| record(&table, row));
    Ok(found.unwrap_or_else(|| crate::value::Record::of([])))
}

fn get_column(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    column_values(&*arguments.table("table")?, &arguments.text("column")?)
}

fn get_record(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let table = arguments.table("table")?;
    let row = arguments.int_or("idx", 0)?;
    record(&table, row)
        .ok_or_else(|| FluxError::invalid(format!("index {row} is out of range of {} rows", table.rows)))
}
