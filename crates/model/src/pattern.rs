//! Regular expressions in Go's syntax (RE2), compiled by the `regex` crate.
//!
//! Both are RE2's children, but some spellings differ: in Go `\d`, `\w`, `\s` and `\b` know ASCII only, brackets
//! and `&&` inside a class are literal, `\Q..\E` quotes, a brace that is no repetition is literal. The source is
//! kept as the user wrote it. InfluxQL and Flux both mean Go's.

use std::fmt;

use regex::{Regex, RegexBuilder};

mod translate;

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
        Self::within(source, COMPILED_BYTES_MAX)
    }

    /// As [`Pattern::new`], where no more than so many bytes may be compiled to: of many, each must be small.
    ///
    /// # Errors
    /// When it is no expression, or a larger one.
    pub fn within(source: &str, compiled_bytes_max: usize) -> Result<Self, PatternError> {
        let translated = translate::translate(source)?;
        let regex = RegexBuilder::new(&translated)
            .size_limit(compiled_bytes_max.min(COMPILED_BYTES_MAX))
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => {
                    PatternError::new("expression too large (max-regex-size)", source)
                }
                _ => PatternError::new(reason(&error.to_string()), source),
            })?;
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

/// Between slashes, so that no character of the source ends it.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        let mut chars = self.source.chars();
        while let Some(ch) = chars.next() {
            match ch {
                '/' => f.write_str("\\/")?,
                '\n' => f.write_str("\\n")?,
                '\\' => match chars.next() {
                    Some('\n') => f.write_str("\\n")?,
                    Some(escaped) => write!(f, "\\{escaped}")?,
                    None => f.write_str("\\")?,
                },
                _ => write!(f, "{ch}")?,
            }
        }
        f.write_str("/")
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

/// Go's words for what only the `regex` crate complains about.
fn reason(error: &str) -> &'static str {
    let table = [
        ("repetition operator missing", "missing argument to repetition operator"),
        ("nest limit", "expression nests too deeply"),
        ("nested parentheses", "expression nests too deeply"),
    ];
    table.into_iter().find(|(theirs, _)| error.contains(theirs)).map_or("invalid syntax", |(_, go)| go)
}

#[cfg(test)]
mod tests;
