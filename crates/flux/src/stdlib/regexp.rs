//! Package `regexp`.

use std::rc::Rc;

use model::Pattern;

use super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::value::Value;

const MATCH: &str = "r:regexp, v:string";

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new("compile", "v:string => regexp", |_, a| {
            let compiled = Pattern::new(&a.text("v")?);
            compiled
                .map(|pattern| Value::Regex(Rc::new(pattern)))
                .map_err(|e| FluxError::invalid(e.to_string()))
        }),
        Builtin::new("quoteMeta", "v:string => string", |_, a| {
            Ok(Value::string(regex::escape(&a.text("v")?)))
        }),
        Builtin::new("getString", "r:regexp => string", |_, a| Ok(Value::string(pattern(a)?.source()))),
        Builtin::new("matchRegexpString", MATCH, |_, a| Ok(Value::Bool(pattern(a)?.is_match(&a.text("v")?)))),
        Builtin::new("findString", MATCH, |_, a| {
            let text = a.text("v")?;
            Ok(Value::string(pattern(a)?.regex().find(&text).map_or("", |m| m.as_str())))
        }),
        Builtin::new("findStringIndex", MATCH, |_, a| {
            let text = a.text("v")?;
            let place = |at: usize| Value::Int(i64::try_from(at).unwrap_or(i64::MAX));
            let found = pattern(a)?.regex().find(&text).map(|m| vec![place(m.start()), place(m.end())]);
            Ok(Value::array(found.unwrap_or_default()))
        }),
        Builtin::new("replaceAllString", "r:regexp, v:string, t:string => string", |_, a| {
            Ok(Value::string(pattern(a)?.regex().replace_all(&a.text("v")?, &*a.text("t")?)))
        }),
        Builtin::new("splitRegexp", "r:regexp, v:string, i:int => array", |_, a| {
            let count = usize::try_from(a.int_or("i", -1)?).unwrap_or(usize::MAX);
            let text = a.text("v")?;
            Ok(Value::array(pattern(a)?.regex().splitn(&text, count).map(Value::string).collect()))
        }),
    ]
});

fn pattern(arguments: &Arguments) -> Result<Rc<Pattern>> {
    match arguments.get("r") {
        Value::Regex(pattern) => Ok(Rc::clone(pattern)),
        other => Err(FluxError::invalid(format!("expected regexp but found {}", other.type_of().name()))),
    }
}
