//! Packages `influxdata/influxdb/schema` and `v1`: which names exist, answered by the source's schema index.

use std::rc::Rc;

use model::{Column, Predicate, SchemaQuestion, SchemaRequest, Subject, Test, TimeRange, Timestamp, Values};

use super::universe::pivoted;
use super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::interpret::{Context, Function};
use crate::source::BucketRef;
use crate::table::scan::From;
use crate::table::{Data, Stream, Table, TableColumn, pushed_predicate};
use crate::value::{Duration, Value};

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new("measurements", "bucket:string, ?start:timeable, ?stop:timeable => stream", |c, a| {
            answer(c, a, SchemaQuestion::Measurements)
        }),
        Builtin::new(
            "tagKeys",
            "bucket:string, ?predicate:function, ?start:timeable, ?stop:timeable => stream",
            |c, a| answer(c, a, SchemaQuestion::TagKeys),
        ),
        Builtin::new(
            "tagValues",
            "bucket:string, tag:string, ?predicate:function, ?start:timeable, ?stop:timeable => stream",
            tag_values,
        ),
        Builtin::new(
            "fieldKeys",
            "bucket:string, ?predicate:function, ?start:timeable, ?stop:timeable => stream",
            |c, a| answer(c, a, SchemaQuestion::FieldKeys),
        ),
        Builtin::new(
            "measurementTagKeys",
            "bucket:string, measurement:string, ?start:timeable, ?stop:timeable => stream",
            |c, a| answer(c, a, SchemaQuestion::TagKeys),
        ),
        Builtin::new(
            "measurementTagValues",
            "bucket:string, measurement:string, tag:string, ?start:timeable, ?stop:timeable => stream",
            tag_values,
        ),
        Builtin::new(
            "measurementFieldKeys",
            "bucket:string, measurement:string, ?start:timeable, ?stop:timeable => stream",
            |c, a| answer(c, a, SchemaQuestion::FieldKeys),
        ),
        Builtin::new("fieldsAsCols", "tables<-stream => stream", |_, a| {
            let names = |name: &str| vec![Rc::from(name)];
            let input = a.stream("tables")?;
            Ok(Value::Stream(pivoted(&input, names("_time"), names("_field"), Rc::from("_value"))))
        }),
    ]
});

/// Columns of every stored table besides its tags; `tagKeys` lists them too, as in InfluxDB.
const BUILT_IN_KEYS: [&str; 4] = ["_field", "_measurement", "_start", "_stop"];

fn tag_values(context: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let question = match &*arguments.text("tag")? {
        "_measurement" => SchemaQuestion::Measurements,
        "_field" => SchemaQuestion::FieldKeys,
        tag => SchemaQuestion::TagValues(tag.to_owned()),
    };
    answer(context, arguments, question)
}

/// Asks now what the stream will give: one table with a column `_value`.
fn answer(context: &Context<'_>, arguments: &Arguments, question: SchemaQuestion) -> Result<Value> {
    const DAYS_30: i64 = -30 * model::time::DAY_NS;
    let time = |name: &str, otherwise: Duration| match arguments.get(name) {
        Value::Null => context.resolve_time(&Value::Duration(otherwise)),
        given => context.resolve_time(given),
    };
    let (start, stop) = (time("start", Duration::nanos(DAYS_30))?, time("stop", Duration::ZERO)?);
    let mut predicate = match Function::of(arguments.get("predicate")) {
        None => Predicate::TRUE,
        Some(function) => pushed_predicate(&function, context)?.ok_or_else(|| {
            FluxError::invalid("predicate may only test the measurement, the field and tags")
        })?,
    };
    if let Value::String(measurement) = arguments.get("measurement") {
        let only = Predicate::Compare(Subject::Measurement, Test::Eq(measurement.to_string()));
        predicate = predicate.and(only);
    }
    let bucket = BucketRef::Name(arguments.text("bucket")?.to_string());
    let bucket = From { bucket, range: None, filters: Vec::new() }.bucket_id(context)?;
    let range = TimeRange::new(Timestamp(start), Timestamp(stop));
    let with_built_in = question == SchemaQuestion::TagKeys;
    let mut found = context.source.schema(&SchemaRequest { bucket, range, predicate, question })?;
    if with_built_in && !found.is_empty() {
        found.splice(0..0, BUILT_IN_KEYS.map(str::to_owned));
    }
    context.count_rows(found.len())?;
    let rows = found.len();
    let values = Data::new(Column::new(Values::String(found.into_iter().collect())));
    Ok(Value::Stream(Stream::of(vec![Table { columns: vec![TableColumn::new("_value", values)], rows }])))
}
