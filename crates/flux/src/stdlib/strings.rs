//! Package `strings`. Lengths and indexes count characters.

use super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::interpret::check_text;
use crate::value::Value;

const ONE: &str = "v:string => string";
const TEST: &str = "v:string => bool";
const CUT: &str = "v:string, cutset:string => string";
const FIND: &str = "v:string, substr:string => int";

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new("toUpper", ONE, |_, a| text(a.text("v")?.to_uppercase())),
        Builtin::new("toLower", ONE, |_, a| text(a.text("v")?.to_lowercase())),
        Builtin::new("toTitle", ONE, |_, a| text(a.text("v")?.to_uppercase())),
        Builtin::new("title", ONE, |_, a| text(title(&a.text("v")?))),
        Builtin::new("trimSpace", ONE, |_, a| text(a.text("v")?.trim())),
        Builtin::new("trim", CUT, |_, a| {
            with(a, "cutset", |v, cut| v.trim_matches(|c| cut.contains(c)).to_owned())
        }),
        Builtin::new("trimLeft", CUT, |_, a| {
            with(a, "cutset", |v, cut| v.trim_start_matches(|c| cut.contains(c)).to_owned())
        }),
        Builtin::new("trimRight", CUT, |_, a| {
            with(a, "cutset", |v, cut| v.trim_end_matches(|c| cut.contains(c)).to_owned())
        }),
        Builtin::new("trimPrefix", "v:string, prefix:string => string", |_, a| {
            with(a, "prefix", |v, p| v.strip_prefix(p).unwrap_or(v).to_owned())
        }),
        Builtin::new("trimSuffix", "v:string, suffix:string => string", |_, a| {
            with(a, "suffix", |v, s| v.strip_suffix(s).unwrap_or(v).to_owned())
        }),
        Builtin::new("hasPrefix", "v:string, prefix:string => bool", |_, a| {
            Ok(Value::Bool(a.text("v")?.starts_with(&*a.text("prefix")?)))
        }),
        Builtin::new("hasSuffix", "v:string, suffix:string => bool", |_, a| {
            Ok(Value::Bool(a.text("v")?.ends_with(&*a.text("suffix")?)))
        }),
        Builtin::new("containsStr", "v:string, substr:string => bool", |_, a| {
            Ok(Value::Bool(a.text("v")?.contains(&*a.text("substr")?)))
        }),
        Builtin::new("containsAny", "v:string, chars:string => bool", |_, a| {
            let chars = a.text("chars")?;
            Ok(Value::Bool(a.text("v")?.contains(|c| chars.contains(c))))
        }),
        Builtin::new("equalFold", "v:string, t:string => bool", |_, a| {
            Ok(Value::Bool(a.text("v")?.to_lowercase() == a.text("t")?.to_lowercase()))
        }),
        Builtin::new("compare", "v:string, t:string => int", |_, a| {
            Ok(Value::Int(a.text("v")?.cmp(&a.text("t")?) as i64))
        }),
        Builtin::new("countStr", FIND, |_, a| {
            let (v, part) = (a.text("v")?, a.text("substr")?);
            int(if part.is_empty() { v.chars().count() + 1 } else { v.matches(&*part).count() })
        }),
        Builtin::new("index", FIND, |_, a| Ok(place(a.text("v")?.find(&*a.text("substr")?)))),
        Builtin::new("lastIndex", FIND, |_, a| Ok(place(a.text("v")?.rfind(&*a.text("substr")?)))),
        Builtin::new("strlen", "v:string => int", |_, a| int(a.text("v")?.chars().count())),
        Builtin::new("substring", "v:string, start:int, end:int => string", substring),
        Builtin::new("repeat", "v:string, i:int => string", repeat),
        Builtin::new("replace", "v:string, t:string, u:string, i:int => string", |_, a| {
            let count = usize::try_from(a.int_or("i", -1)?).unwrap_or(usize::MAX);
            replace(a, count)
        }),
        Builtin::new("replaceAll", "v:string, t:string, u:string => string", |_, a| replace(a, usize::MAX)),
        Builtin::new("split", "v:string, t:string => array", |_, a| split(a, usize::MAX)),
        Builtin::new("splitN", "v:string, t:string, i:int => array", |_, a| {
            split(a, usize::try_from(a.int_or("i", -1)?).unwrap_or(usize::MAX))
        }),
        Builtin::new("joinStr", "arr:array, v:string => string", |_, a| {
            let (parts, separator) = (a.texts("arr")?.unwrap_or_default(), a.text("v")?);
            let bytes = parts.iter().map(|part| part.len() + separator.len()).sum();
            check_text(bytes)?;
            text(parts.join(&*separator))
        }),
        Builtin::new("isDigit", TEST, |_, a| one_char(a, |c| c.is_ascii_digit())),
        Builtin::new("isLetter", TEST, |_, a| one_char(a, char::is_alphabetic)),
        Builtin::new("isLower", TEST, |_, a| one_char(a, char::is_lowercase)),
        Builtin::new("isUpper", TEST, |_, a| one_char(a, char::is_uppercase)),
    ]
});

fn text(value: impl AsRef<str>) -> Result<Value> {
    Ok(Value::string(value))
}

fn int(value: usize) -> Result<Value> {
    Ok(Value::Int(i64::try_from(value).unwrap_or(i64::MAX)))
}

/// A byte offset, -1 for none, as Go counts.
fn place(found: Option<usize>) -> Value {
    Value::Int(found.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1))
}

fn with(arguments: &Arguments, name: &str, f: fn(&str, &str) -> String) -> Result<Value> {
    text(f(&arguments.text("v")?, &arguments.text(name)?))
}

fn title(value: &str) -> String {
    let mut start = true;
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if start {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        start = c.is_whitespace();
    }
    out
}

fn substring(_: &crate::interpret::Context<'_>, arguments: &Arguments) -> Result<Value> {
    let v = arguments.text("v")?;
    let from = usize::try_from(arguments.int_or("start", 0)?).unwrap_or(0);
    let to = usize::try_from(arguments.int_or("end", 0)?).unwrap_or(0);
    text(v.chars().skip(from).take(to.saturating_sub(from)).collect::<String>())
}

/// The longest text that `repeat` makes.
const REPEAT_BYTES_MAX: usize = 1 << 20;

fn repeat(_: &crate::interpret::Context<'_>, arguments: &Arguments) -> Result<Value> {
    let (v, count) = (arguments.text("v")?, arguments.count_or("i", 0)?);
    if v.len().saturating_mul(count) > REPEAT_BYTES_MAX {
        return Err(FluxError::invalid(format!(
            "repeat would make a string longer than {REPEAT_BYTES_MAX} bytes"
        )));
    }
    text(v.repeat(count))
}

fn replace(arguments: &Arguments, count: usize) -> Result<Value> {
    let (v, from, to) = (arguments.text("v")?, arguments.text("t")?, arguments.text("u")?);
    let times = if from.is_empty() { v.chars().count() + 1 } else { v.matches(&*from).count() };
    check_text(v.len().saturating_add(times.min(count).saturating_mul(to.len())))?;
    text(v.replacen(&*from, &to, count))
}

fn split(arguments: &Arguments, count: usize) -> Result<Value> {
    let (v, separator) = (arguments.text("v")?, arguments.text("t")?);
    let parts = if separator.is_empty() {
        v.chars().take(count).map(|c| Value::string(c.to_string())).collect()
    } else {
        v.splitn(count, &*separator).map(Value::string).collect()
    };
    Ok(Value::array(parts))
}

fn one_char(arguments: &Arguments, test: fn(char) -> bool) -> Result<Value> {
    let v = arguments.text("v")?;
    let mut chars = v.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(Value::Bool(test(c))),
        _ => Err(FluxError::invalid("string must be a single character")),
    }
}
