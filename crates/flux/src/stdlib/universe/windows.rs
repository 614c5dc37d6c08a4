//! `window` and `aggregateWindow`.

use std::collections::HashMap;
use std::rc::Rc;

use model::{Column, Values};

use super::super::{Arguments, Builtin, Functions};
use super::aggregates::input_column;
use crate::error::{FluxError, Result};
use crate::interpret::{Context, Function, invoke};
use crate::table::aggregate::{self, Aggregate};
use crate::table::build::concat_group;
use crate::table::select::Selector;
use crate::table::window::{Rows, Window, Windows};
use crate::table::{Data, Key, Made, Stream, Table, TableColumn, summary};
use crate::value::calendar::Location;
use crate::value::{Duration, Value};

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new(
            "window",
            "tables<-stream, ?every:duration, ?period:duration, ?offset:duration, ?location:record, ?timeColumn:string, \
         ?startColumn:string, ?stopColumn:string, ?createEmpty:bool => stream",
            window,
        ),
        Builtin::new(
            "aggregateWindow",
            "tables<-stream, every:duration, fn:function, ?period:duration, ?offset:duration, ?location:record, \
         ?column:string, ?timeSrc:string, ?timeDst:string, ?createEmpty:bool => stream",
            aggregate_window,
        ),
    ]
});

fn windows_of(context: &Context<'_>, arguments: &Arguments) -> Result<Windows> {
    let period = arguments.duration_or("period", Duration::ZERO)?;
    let every = arguments.duration_or("every", period)?;
    let offset = arguments.duration_or("offset", Duration::ZERO)?;
    let location: Location = match arguments.get("location") {
        Value::Null => context.location(),
        // The universe's `location` is what the option says.
        given => match crate::interpret::location_of(given)? {
            utc if utc == Location::utc() => context.location(),
            other => other,
        },
    };
    Windows::new(every, period, offset, location)
}

/// The bounds of a stream, without which there are no windows.
fn bounds(input: &Stream) -> Result<(i64, i64)> {
    input
        .bounds()
        .ok_or_else(|| FluxError::invalid("nil bounds passed to window; use range to set the window range"))
}

fn window(context: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let windows = windows_of(context, arguments)?;
    let time = arguments.text_or("timeColumn", "_time")?;
    let start = arguments.text_or("startColumn", "_start")?;
    let stop = arguments.text_or("stopColumn", "_stop")?;
    let empty = arguments.bool_or("createEmpty", false)?;
    let range = bounds(&input)?;
    let stored = input.as_from().is_some();
    let split = split(&input, windows, range, [time, start, stop], empty);
    // Tables of one series are alone with their key; windows of windows may meet again.
    Ok(Value::Stream(if stored { split } else { super::columns::merge(&split) }))
}

/// Splits each table into its windows.
fn split(input: &Stream, windows: Windows, range: (i64, i64), names: [Rc<str>; 3], empty: bool) -> Stream {
    input.expand(move |context, table| {
        let [time, start, stop] = &names;
        let times = table.times(time)?;
        let mut out = Vec::new();
        for window in windows.split(&times, range, empty, context)? {
            let mut part = match &window.rows {
                Rows::Range(from, to) => table.slice(*from, *to),
                Rows::Indices(indices) => table.gather(indices),
            };
            part.set(TableColumn::key(start, Data::time(window.start)));
            part.set(TableColumn::key(stop, Data::time(window.stop)));
            if out.len().is_multiple_of(1024) {
                context.check_cancelled()?;
                context.room(out.len() * size_of::<TableColumn>() * part.columns.len())?;
            }
            out.push(part);
        }
        Ok(out)
    })
}

/// What `aggregateWindow` was asked for.
#[derive(Clone)]
struct Plan {
    windows: Windows,
    range: (i64, i64),
    column: Rc<str>,
    time_source: Rc<str>,
    time_target: Rc<str>,
    empty: bool,
    /// The input is a plain scan: columns stand as InfluxDB's storage puts them, and selectors fill empty windows.
    stored: bool,
}

fn aggregate_window(context: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let function = arguments.function("fn")?;
    let plan = Plan {
        windows: windows_of(context, arguments)?,
        range: bounds(&input)?,
        column: arguments.text_or("column", "_value")?,
        time_source: arguments.text_or("timeSrc", "_stop")?,
        time_target: arguments.text_or("timeDst", "_time")?,
        empty: arguments.bool_or("createEmpty", true)?,
        stored: input.as_from().is_some(),
    };
    let source_is_bound = matches!(&*plan.time_source, "_start" | "_stop");
    if source_is_bound
        && &*plan.time_target == "_time"
        && let Function::Builtin(builtin) = &function
    {
        let summary = plan.windows.regular().filter(|_| &*plan.column == "_value");
        if let Some(aggregate) = Aggregate::named(builtin.name) {
            let of_rows = plan.clone();
            let rows = input.map(move |context, table| of_rows.aggregate(context, &table, aggregate));
            let Some(windows) = summary else { return Ok(Value::Stream(rows)) };
            let cells = move |context: &Context<'_>, table| plan.aggregated(context, &table, aggregate);
            let function = summary::Function::Aggregate(aggregate);
            return Ok(Value::Stream(input.summarized(function, Some(windows), cells, rows)));
        }
        if let Some(selector) = Selector::named(builtin.name) {
            let select = move |context: &Context<'_>, table| plan.select(context, &table, selector);
            let rows = input.map(select.clone());
            let Some(windows) = summary else { return Ok(Value::Stream(rows)) };
            let function = summary::Function::Selector(selector);
            return Ok(Value::Stream(input.summarized(function, Some(windows), select, rows)));
        }
    }
    general(context, &input, &function, plan)
}

impl Plan {
    fn split(&self, context: &Context<'_>, table: &Table) -> Result<Vec<Window>> {
        self.windows.split(&*table.times("_time")?, self.range, self.empty, context)
    }

    fn times<'a>(&self, windows: impl Iterator<Item = &'a Window>) -> Data {
        let of_start = &*self.time_source == "_start";
        let stamps = windows.map(|w| if of_start { w.start } else { w.stop }).collect();
        Data::new(Column::new(Values::Time(stamps)))
    }

    /// The key, with `_start` and `_stop` back at the whole range.
    fn key(&self, table: &Table) -> Table {
        let mut key = Table { columns: table.key_columns(), rows: 0 };
        key.set(TableColumn::key("_start", Data::time(self.range.0)));
        key.set(TableColumn::key("_stop", Data::time(self.range.1)));
        key
    }

    /// One row per window, computed straight from the column.
    fn aggregate(&self, context: &Context<'_>, table: &Table, aggregate: Aggregate) -> Result<Option<Table>> {
        let values = input_column(table, &self.column)?;
        let result_type = aggregate.result_type(values.column_type())?;
        let windows = self.split(context, table)?;
        let results = windows.iter().map(|w| aggregate.of(&values, &w.rows));
        let results = Data::Values(aggregate::column(result_type, results));
        Ok(self.assemble(table, &windows, results))
    }

    /// The same from a summary, whose rows are windows already.
    fn aggregated(
        &self,
        context: &Context<'_>,
        table: &Table,
        aggregate: Aggregate,
    ) -> Result<Option<Table>> {
        let values = input_column(table, &self.column)?;
        let windows = self.split(context, table)?;
        let results = windows.iter().map(|w| match w.rows {
            Rows::Range(from, to) if from < to => values.get(from),
            _ => aggregate.of(&values, &w.rows),
        });
        let results = Data::Values(aggregate::column(values.column_type(), results));
        Ok(self.assemble(table, &windows, results))
    }

    fn assemble(&self, table: &Table, windows: &[Window], results: Data) -> Option<Table> {
        if windows.is_empty() {
            return None;
        }
        let mut made = self.key(table);
        made.rows = windows.len();
        let (time, value) =
            (TableColumn::new("_time", self.times(windows.iter())), TableColumn::new(&self.column, results));
        if self.stored {
            let place = made.index("_stop").map_or(0, |at| at + 1);
            made.columns.splice(place..place, [time, value]);
        } else {
            made.columns.extend([value, time]);
        }
        Some(made)
    }

    /// The selected row of each window, its time replaced by the window's.
    fn select(&self, context: &Context<'_>, table: &Table, selector: Selector) -> Result<Option<Table>> {
        let values = table.need(&self.column)?.data.column(table.rows);
        selector.check(&values)?;
        let windows = self.split(context, table)?;
        if self.stored && self.empty {
            let chosen = windows.iter().map(|w| selector.of(&values, &w.rows).and_then(|at| values.get(at)));
            let results = Data::Values(aggregate::column(values.column_type(), chosen));
            return Ok(self.assemble(table, &windows, results));
        }
        let chosen: Vec<(&Window, usize)> =
            windows.iter().filter_map(|w| selector.of(&values, &w.rows).map(|at| (w, at))).collect();
        if chosen.is_empty() {
            return Ok(None);
        }
        let rows: Vec<u32> = chosen.iter().map(|(_, at)| crate::table::row_index(*at)).collect();
        let mut made = table.gather(&rows);
        made.set(TableColumn::new("_time", self.times(chosen.iter().map(|(w, _)| *w))));
        for column in self.key(table).columns {
            made.set(column);
        }
        Ok(Some(made))
    }
}

/// Any function: window, call, copy the time, and put the windows together again.
fn general(context: &Context<'_>, input: &Stream, function: &Function, plan: Plan) -> Result<Value> {
    let names = ["_time", "_start", "_stop"].map(Rc::from);
    let windowed = split(input, plan.windows.clone(), plan.range, names, plan.empty);
    let arguments = vec![(Rc::from("column"), Value::String(Rc::clone(&plan.column)))];
    let called = invoke(function, context, arguments, Some(Value::Stream(windowed)))?;
    let Value::Stream(called) = called else {
        let name = called.type_of().name();
        return Err(FluxError::invalid(format!("expected stream but found {name} (argument fn)")));
    };
    Ok(Value::Stream(called.gather(move |context, tables| {
        let mut groups: Vec<Vec<Table>> = Vec::new();
        let mut places: HashMap<Key, usize> = HashMap::new();
        for mut table in tables {
            let mut time = table.need(&plan.time_source)?.clone();
            time.name = std::sync::Arc::from(&*plan.time_target);
            time.group = false;
            table.set(time);
            table.set(TableColumn::key("_start", Data::time(plan.range.0)));
            table.set(TableColumn::key("_stop", Data::time(plan.range.1)));
            let at = *places.entry(table.key()).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[at].push(table);
        }
        let whole = groups.iter().map(|tables| concat_group(context, tables));
        let filled = whole.filter(|table| table.as_ref().map_or(true, |t| t.rows > 0));
        filled.map(|table| Made::new(context, table?)).collect()
    })))
}
