//! The `extern` of a query: a Flux file as a syntax tree, by which clients pass parameters (`option params = …`,
//! `option v = …`). It becomes text that stands before the script's first statement.
//!
//! Understood are assignments and options whose values are literals, durations, times, signs, arrays, records and
//! calls without arguments (`now()`); anything else is refused by name.

use std::fmt::Write as _;

use serde_json::Value;

use crate::csv::push_float;
use crate::error::ApiError;

const DEPTH_MAX: usize = 32;

/// The statements of an extern as Flux text on one line.
pub(crate) fn prelude(file: &Value) -> Result<String, ApiError> {
    let mut out = String::new();
    if file["imports"].as_array().is_some_and(|imports| !imports.is_empty()) {
        return Err(refuse("imports"));
    }
    for statement in file["body"].as_array().map(Vec::as_slice).unwrap_or_default() {
        match kind(statement) {
            "OptionStatement" => {
                out.push_str("option ");
                assignment(&mut out, &statement["assignment"])?;
            }
            _ => assignment(&mut out, statement)?,
        }
        out.push(' ');
    }
    Ok(out)
}

/// Puts a prelude before the first statement of a script, behind its package clause and imports, on the line
/// where that statement stands, so that line numbers in errors stay right.
pub(crate) fn insert(prelude: &str, script: &str) -> String {
    let at = header_end(script);
    let (header, rest) = script.split_at(at);
    let gap = match rest {
        _ if header.is_empty() || header.ends_with('\n') => "",
        "" => "\n", // the header may end with a comment
        _ if header.ends_with(char::is_whitespace) => "",
        _ => " ",
    };
    format!("{header}{gap}{prelude}{rest}")
}

fn kind(node: &Value) -> &str {
    node["type"].as_str().unwrap_or("something without a type")
}

fn refuse(what: &str) -> ApiError {
    ApiError::invalid(format!("the query's extern holds {what}, which this server does not take there"))
}

fn assignment(out: &mut String, node: &Value) -> Result<(), ApiError> {
    match kind(node) {
        "VariableAssignment" => identifier(out, &node["id"])?,
        "MemberAssignment" => {
            identifier(out, &node["member"]["object"])?;
            out.push('.');
            identifier(out, &node["member"]["property"])?;
        }
        other => return Err(refuse(other)),
    }
    out.push_str(" = ");
    expression(out, &node["init"], 0)
}

fn identifier(out: &mut String, node: &Value) -> Result<(), ApiError> {
    let name = node["name"].as_str().unwrap_or_default();
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|c| c == '_' || c.is_alphabetic());
    if !first || !characters.all(|c| c == '_' || c.is_alphanumeric()) {
        return Err(refuse(&format!("the name {name:?}")));
    }
    out.push_str(name);
    Ok(())
}

fn expression(out: &mut String, node: &Value, depth: usize) -> Result<(), ApiError> {
    if depth > DEPTH_MAX {
        return Err(refuse("a value that is nested too deeply"));
    }
    match kind(node) {
        "StringLiteral" => string(out, node["value"].as_str().unwrap_or_default()),
        "IntegerLiteral" | "UnsignedIntegerLiteral" => integer(out, &node["value"])?,
        "FloatLiteral" => float(out, &node["value"])?,
        "BooleanLiteral" => {
            out.push_str(if node["value"] == Value::Bool(true) { "true" } else { "false" });
        }
        "DateTimeLiteral" => time(out, &node["value"])?,
        "DurationLiteral" => duration(out, &node["values"])?,
        "Identifier" => identifier(out, node)?,
        "UnaryExpression" if node["operator"] == "-" => {
            out.push('-');
            expression(out, &node["argument"], depth + 1)?;
        }
        "ParenExpression" => {
            out.push('(');
            expression(out, &node["expression"], depth + 1)?;
            out.push(')');
        }
        "ArrayExpression" => {
            out.push('[');
            list(out, &node["elements"], |out, element| expression(out, element, depth + 1))?;
            out.push(']');
        }
        "ObjectExpression" => {
            out.push('{');
            list(out, &node["properties"], |out, property| {
                match kind(&property["key"]) {
                    "StringLiteral" => string(out, property["key"]["value"].as_str().unwrap_or_default()),
                    _ => identifier(out, &property["key"])?,
                }
                out.push_str(": ");
                expression(out, &property["value"], depth + 1)
            })?;
            out.push('}');
        }
        "CallExpression" if node["arguments"].as_array().is_none_or(Vec::is_empty) => {
            identifier(out, &node["callee"])?;
            out.push_str("()");
        }
        other => return Err(refuse(other)),
    }
    Ok(())
}

fn list(
    out: &mut String,
    items: &Value,
    mut each: impl FnMut(&mut String, &Value) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    for (i, item) in items.as_array().map(Vec::as_slice).unwrap_or_default().iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        each(out, item)?;
    }
    Ok(())
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' => out.push_str("\\x24"), // "${" would begin an interpolation
            other => out.push(other),
        }
    }
    out.push('"');
}

fn integer(out: &mut String, value: &Value) -> Result<(), ApiError> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.parse::<i128>().is_err() {
        return Err(refuse(&format!("the integer {text}")));
    }
    out.push_str(&text);
    Ok(())
}

fn float(out: &mut String, value: &Value) -> Result<(), ApiError> {
    let number = value.as_f64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    let number = number.filter(|n| n.is_finite()).ok_or_else(|| refuse("a float that is none"))?;
    let start = out.len();
    push_float(out, number);
    if !out[start..].contains('.') {
        out.push_str(".0");
    }
    Ok(())
}

fn time(out: &mut String, value: &Value) -> Result<(), ApiError> {
    let text = value.as_str().unwrap_or_default();
    let time = model::Timestamp::parse_rfc3339(text).ok_or_else(|| refuse(&format!("the time {text:?}")))?;
    time.write_rfc3339(out);
    Ok(())
}

fn duration(out: &mut String, values: &Value) -> Result<(), ApiError> {
    for part in values.as_array().map(Vec::as_slice).unwrap_or_default() {
        let unit = part["unit"].as_str().unwrap_or_default();
        let known = ["y", "mo", "w", "d", "h", "m", "s", "ms", "us", "µs", "ns"].contains(&unit);
        match part["magnitude"].as_i64() {
            Some(magnitude) if known => {
                write!(out, "{magnitude}{unit}").expect("writing to a String cannot fail");
            }
            _ => return Err(refuse("a duration that is none")),
        }
    }
    Ok(())
}

/// Where the package clause and the imports of a script end.
fn header_end(script: &str) -> usize {
    let mut rest = Scan { text: script, at: 0 };
    loop {
        rest.space();
        let begin = rest.at;
        let word = rest.word();
        let done = match word {
            "package" => {
                rest.space();
                !rest.word().is_empty()
            }
            "import" => {
                rest.space();
                if !rest.at_quote() {
                    rest.word();
                    rest.space();
                }
                rest.quoted()
            }
            _ => false,
        };
        if !done {
            return begin;
        }
    }
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn left(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Skips white space and comments.
    fn space(&mut self) {
        loop {
            let left = self.left();
            let trimmed = left.trim_start();
            self.at += left.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn word(&mut self) -> &'a str {
        let left = self.left();
        let end = left.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(left.len());
        self.at += end;
        left.get(..end).unwrap_or_default()
    }

    fn at_quote(&self) -> bool {
        self.left().starts_with('"')
    }

    fn quoted(&mut self) -> bool {
        let Some(inner) = self.left().strip_prefix('"') else { return false };
        let Some(close) = inner.find('"') else { return false };
        self.at += close + 2;
        true
    }
}

#[cfg(test)]
mod tests;
