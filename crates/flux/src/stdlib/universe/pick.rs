//! Rows by position: `limit`, `tail`.

use super::super::{Arguments, Builtin, Functions};
use crate::error::Result;
use crate::value::Value;

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new("limit", "tables<-stream, n:int, ?offset:int => stream", |_, a| pick(a, false)),
        Builtin::new("tail", "tables<-stream, n:int, ?offset:int => stream", |_, a| pick(a, true)),
    ]
});

fn pick(arguments: &Arguments, from_end: bool) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let (n, offset) = (arguments.count_or("n", 0)?, arguments.count_or("offset", 0)?);
    Ok(Value::Stream(input.map(move |_, table| {
        let rows = table.rows;
        let (from, to) = if from_end {
            let to = rows.saturating_sub(offset);
            (to.saturating_sub(n), to)
        } else {
            let from = offset.min(rows);
            (from, from.saturating_add(n).min(rows))
        };
        Ok(Some(if (from, to) == (0, rows) { table } else { table.slice(from, to) }))
    })))
}
