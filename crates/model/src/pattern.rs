//! Regular expressions in Go's syntax (RE2), compiled by the `regex` crate.
//!
//! Both are RE2's children, but some spellings differ: in Go `\d`, `\w`, `\s` and `\b` know ASCII only, brackets
//! and `&&` inside a class are literal, `\Q..\E` quotes, a brace that is no repetition is literal. The source is
//! kept as the user wrote it. InfluxQL and Flux both mean Go's.

use std::fmt;

use regex::{Regex, RegexBuilder};

/// Most repetitions that Go takes.
const REPEATS_MAX: u32 = 1000;
/// The most bytes that one compiled expression may take.
const COMPILED_BYTES_MAX: usize = 4 << 20;

/// A compiled regular expression with its source.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles; the error is Go's text without a position.
    ///
    /// # Errors
    /// When it is no expression, or one that compiles to more than 4 MiB.
    pub fn new(source: &str) -> Result<Self, PatternError> {
        let translated = translate(source)?;
        let regex = RegexBuilder::new(&translated).size_limit(COMPILED_BYTES_MAX).build().map_err(
            |error| match error {
                regex::Error::CompiledTooBig(_) => PatternError::new("expression too large", source),
                _ => PatternError::new(reason(&error.to_string()), source),
            },
        )?;
        Ok(Self { source: source.to_owned(), regex })
    }

    /// The source, without slashes.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The compiled expression.
    #[must_use]
    pub const fn regex(&self) -> &Regex {
        &self.regex
    }

    /// Whether it matches anywhere in `text`.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.source.replace('/', "\\/"))
    }
}

/// Why a text is not a regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {reason}: `{part}`")]
pub struct PatternError {
    reason: String,
    part: String,
}

impl PatternError {
    fn new(reason: impl Into<String>, part: impl Into<String>) -> Self {
        Self { reason: reason.into(), part: part.into() }
    }
}

/// Go's words for what the `regex` crate complains about.
fn reason(error: &str) -> &'static str {
    let table = [
        ("unclosed group", "missing closing )"),
        ("unopened group", "unexpected )"),
        ("repetition operator missing", "missing argument to repetition operator"),
        ("invalid character class range", "invalid character class range"),
        ("look-around", "invalid or unsupported Perl syntax"),
        ("unrecognized flag", "invalid or unsupported Perl syntax"),
        ("unrecognized escape", "invalid escape sequence"),
        ("backreferences", "invalid escape sequence"),
        ("property not found", "invalid character class range"),
        ("repetition quantifier", "invalid repeat count"),
    ];
    table.into_iter().find(|(theirs, _)| error.contains(theirs)).map_or("invalid syntax", |(_, go)| go)
}

/// Rewrites Go's spellings to those of the `regex` crate with the same meaning.
fn translate(source: &str) -> Result<String, PatternError> {
    let mut out = String::with_capacity(source.len() + 8);
    let mut rest = source;
    while let Some(ch) = rest.chars().next() {
        let after = &rest[ch.len_utf8()..];
        match ch {
            '\\' => rest = escape(after, &mut out, false)?,
            '[' => rest = class(rest, &mut out)?,
            '{' if !is_repetition(after)? => {
                out.push_str("\\{");
                rest = after;
            }
            _ => {
                out.push(ch);
                rest = after;
            }
        }
    }
    Ok(out)
}

/// Whether a brace begins a repetition, of a number that Go takes.
fn is_repetition(after: &str) -> Result<bool, PatternError> {
    let Some((inside, _)) = after.split_once('}') else { return Ok(false) };
    let (low, high) = inside.split_once(',').unwrap_or((inside, ""));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(low) || !(high.is_empty() || is_number(high)) {
        return Ok(false);
    }
    let is_large = |text: &str| !text.is_empty() && !text.parse().is_ok_and(|n: u32| n <= REPEATS_MAX);
    if is_large(low) || is_large(high) {
        return Err(PatternError::new("invalid repeat count", format!("{{{inside}}}")));
    }
    Ok(true)
}

/// Translates what follows a backslash; answers what is left.
fn escape<'a>(after: &'a str, out: &mut String, in_class: bool) -> Result<&'a str, PatternError> {
    let Some(ch) = after.chars().next() else {
        return Err(PatternError::new("trailing backslash at end of expression", ""));
    };
    let rest = &after[ch.len_utf8()..];
    if matches!(ch, 'p' | 'P' | 'x')
        && let Some(inside) = rest.strip_prefix('{')
    {
        return braced(ch, inside, out);
    }
    let set = match ch {
        'd' => Some("0-9"),
        'w' => Some("0-9A-Za-z_"),
        's' => Some("\\t\\n\\x0c\\r "),
        _ => None,
    };
    match (ch, set) {
        (_, Some(set)) if in_class => out.push_str(set),
        (_, Some(set)) => out.extend(["[", set, "]"]),
        ('D', _) => out.push_str("[^0-9]"),
        ('W', _) => out.push_str("[^0-9A-Za-z_]"),
        ('S', _) => out.push_str("[^\\t\\n\\x0c\\r ]"),
        ('b', _) if !in_class => out.push_str("(?-u:\\b)"),
        ('B', _) if !in_class => out.push_str("\\B"),
        ('Q', _) if !in_class => {
            let (quoted, rest) = rest.split_once("\\E").unwrap_or((rest, ""));
            out.push_str(&regex::escape(quoted));
            return Ok(rest);
        }
        ('1'..='9', _) => {
            return Err(PatternError::new("invalid escape sequence", format!("\\{ch}")));
        }
        ('<' | '>' | '"' | '\'' | '=' | ':' | ',' | ';' | '!' | '@' | '`' | '%' | '_' | '/', _) => {
            out.push_str(&regex::escape(&ch.to_string()));
        }
        _ => out.extend(['\\', ch]),
    }
    Ok(rest)
}

/// Translates the braces after `\p`, `\P` or `\x`; answers what is left. Go also denies inside the braces.
fn braced<'a>(escape: char, inside: &'a str, out: &mut String) -> Result<&'a str, PatternError> {
    let Some((name, rest)) = inside.split_once('}') else {
        let reason = if escape == 'x' { "invalid escape sequence" } else { "invalid character class range" };
        return Err(PatternError::new(reason, format!("\\{escape}{{{inside}")));
    };
    let (escape, name) = match (escape, name.strip_prefix('^')) {
        ('p', Some(denied)) => ('P', denied),
        ('P', Some(denied)) => ('p', denied),
        _ => (escape, name),
    };
    out.extend(['\\', escape, '{']);
    out.push_str(name);
    out.push('}');
    Ok(rest)
}

/// Translates a bracketed class; answers what is left.
fn class<'a>(source: &'a str, out: &mut String) -> Result<&'a str, PatternError> {
    let mut rest = &source[1..];
    out.push('[');
    if let Some(tail) = rest.strip_prefix('^') {
        out.push('^');
        rest = tail;
    }
    let mut first = true;
    while let Some(ch) = rest.chars().next() {
        let after = &rest[ch.len_utf8()..];
        match ch {
            ']' if !first => {
                out.push(']');
                return Ok(after);
            }
            '[' if after.starts_with(':') && after.contains(":]") => {
                let end = after.find(":]").map_or(0, |at| at + 2);
                out.push('[');
                out.push_str(&after[..end]);
                rest = &after[end..];
            }
            '\\' => rest = escape(after, out, true)?,
            '[' | ']' | '&' | '~' => {
                out.extend(['\\', ch]);
                rest = after;
            }
            '-' if first || after.starts_with(']') || after.starts_with('-') => {
                out.push_str("\\-");
                rest = after;
            }
            _ => {
                out.push(ch);
                rest = after;
            }
        }
        first = false;
    }
    Err(PatternError::new("missing closing ]", source))
}

#[cfg(test)]
mod tests;
