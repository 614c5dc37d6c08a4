//! Statements without their passwords, for logs and lists.

use std::borrow::Cow;

use crate::ast::Statement;
use crate::params::Param;
use crate::parser::parse;

/// What stands in the place of what nobody may read.
const REDACTED: &str = "[REDACTED]";
const KEYWORD: &str = "password";

/// A text that tells no password: as it is where it has none, as InfluxDB prints its statements where it has, and up to the
/// word `PASSWORD` where it does not parse.
pub fn redact<'a>(text: &'a str, params: &[(String, Param)]) -> Cow<'a, str> {
    let bytes = text.as_bytes();
    let found = bytes.windows(KEYWORD.len()).position(|word| word.eq_ignore_ascii_case(KEYWORD.as_bytes()));
    let Some(at) = found else { return Cow::Borrowed(text) };
    let has_password =
        |s: &Statement| matches!(s, Statement::CreateUser { .. } | Statement::SetPassword { .. });
    match parse(text, params) {
        Ok(statements) if statements.iter().any(has_password) => {
            let printed: Vec<String> = statements.iter().map(ToString::to_string).collect();
            Cow::Owned(printed.join("; "))
        }
        Ok(_) => Cow::Borrowed(text),
        Err(_) => {
            // The word is ASCII, so the text may be cut behind it.
            let (before, _) = text.split_at(at + KEYWORD.len());
            Cow::Owned(format!("{before} {REDACTED}"))
        }
    }
}

#[cfg(test)]
mod tests;
