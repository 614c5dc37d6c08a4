//! Package `dict`. Keys are looked up by value; dictionaries of scripts are small.

use std::rc::Rc;

use super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::value::{Pairs, Value};

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new("fromList", "pairs:array => dict", |_, a| from_list(a)),
        Builtin::new("get", "dict:dict, key:any, default:any", |_, a| {
            let found = pairs(a)?.iter().find(|(k, _)| k.same(a.get("key"))).map(|(_, v)| v.clone());
            Ok(found.unwrap_or_else(|| a.get("default").clone()))
        }),
        Builtin::new("insert", "dict:dict, key:any, value:any => dict", |_, a| {
            let mut all = without(a)?;
            all.push((a.get("key").clone(), a.get("value").clone()));
            Ok(Value::Dict(Rc::new(Pairs::new(all))))
        }),
        Builtin::new("remove", "dict:dict, key:any => dict", |_, a| {
            Ok(Value::Dict(Rc::new(Pairs::new(without(a)?))))
        }),
    ]
});

fn pairs(arguments: &Arguments) -> Result<Rc<Pairs>> {
    match arguments.get("dict") {
        Value::Dict(pairs) => Ok(Rc::clone(pairs)),
        other => Err(FluxError::invalid(format!("expected dict but found {}", other.type_of().name()))),
    }
}

/// The pairs with other keys than the one given.
fn without(arguments: &Arguments) -> Result<Vec<(Value, Value)>> {
    let key = arguments.get("key");
    Ok(pairs(arguments)?.iter().filter(|(k, _)| !k.same(key)).cloned().collect())
}

fn from_list(arguments: &Arguments) -> Result<Value> {
    let mut all: Vec<(Value, Value)> = Vec::new();
    for pair in arguments.array("pairs")?.iter() {
        let Value::Record(record) = pair else {
            return Err(FluxError::invalid(format!("expected record but found {}", pair.type_of().name())));
        };
        let (Some(key), Some(value)) = (record.get("key"), record.get("value")) else {
            return Err(FluxError::invalid("pairs must be records with key and value"));
        };
        all.retain(|(k, _)| !k.same(key));
        all.push((key.clone(), value.clone()));
    }
    Ok(Value::Dict(Rc::new(Pairs::new(all))))
}
