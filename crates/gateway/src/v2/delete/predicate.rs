//! The predicate of a delete: InfluxDB 2.x's grammar, and a little more.
//!
//! ```text
//! any        comparison | '(' any ')', joined by AND, or all of them by OR
//! comparison key ('=' | '!=') value
//! key        a bare or "quoted" name; _measurement and _field are what they say, all others are tags
//! value      a bare word, a number, "quoted" or 'quoted'
//! ```
//! 2.x has neither `!=` nor OR. AND and OR at one level are refused without parentheses: nobody should have to know
//! which binds tighter before he deletes. Positions count characters from 0, as 2.x counts them.

use std::fmt;

use model::predicate::codec::{self, BYTES_MAX};
use model::{Predicate, Subject, Test};

#[cfg(test)]
mod tests;

/// Most parentheses inside one another.
const DEPTH_MAX: usize = 16;
/// At most what AND, OR and parentheses add in the log for each comparison.
const JOINING_BYTES: usize = 4;

/// Why a text is no predicate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PredicateError {
    Logical(usize),
    Key(usize),
    Operator(String, usize),
    Unsupported(String, usize),
    Value(String, usize),
    Special(String, usize),
    Mixed(usize),
    Open,
    Close,
    Deep(usize),
    Long(usize),
}

impl fmt::Display for PredicateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Logical(at) => write!(f, "bad logical expression, at position {at}"),
            Self::Key(at) => write!(f, "bad tag key, at position {at}"),
            Self::Operator(text, at) => write!(f, "invalid operator {text:?} at position: {at}"),
            Self::Unsupported(text, at) => {
                write!(f, "operator: {text:?} at position: {at} is not supported yet")
            }
            Self::Value(text, at) => write!(f, "bad tag value: {text:?}, at position {at}"),
            Self::Special(key, at) => {
                write!(f, "{key} cannot be compared in a delete predicate, at position {at}")
            }
            Self::Mixed(at) => {
                write!(f, "AND and OR side by side need parentheses, at position {at}")
            }
            Self::Open => f.write_str("extra ( seen"),
            Self::Close => f.write_str("extra ) seen"),
            Self::Deep(at) => {
                write!(f, "more than {DEPTH_MAX} parentheses inside one another, at position {at}")
            }
            Self::Long(at) => write!(f, "more than {BYTES_MAX} bytes of comparisons, at position {at}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A name or a number, as it stands.
    Word(String),
    /// In double quotes: a name, or a value.
    Quoted(String),
    /// In single quotes: a value.
    Text(String),
    /// `=`, `!=`, `=~`, `!~`, or what else stands where an operator should.
    Operator(String),
    Open,
    Close,
    And,
    Or,
    End,
}

/// Reads a predicate; an empty one is always true.
pub(super) fn parse(text: &str) -> Result<Predicate, PredicateError> {
    let mut parser = Parser { chars: text.chars().collect(), at: 0, bytes: 0 };
    if parser.peek().0 == Token::End {
        return Ok(Predicate::TRUE);
    }
    let predicate = parser.any(0)?;
    match parser.next() {
        (Token::End, _) => Ok(predicate),
        (Token::Close, _) => Err(PredicateError::Close),
        (_, at) => Err(PredicateError::Logical(at)),
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    /// What the comparisons so far take in the log, each with what joins it to the others.
    bytes: usize,
}

impl Parser {
    fn any(&mut self, depth: usize) -> Result<Predicate, PredicateError> {
        let mut parts = vec![self.one(depth)?];
        let mut joined: Option<Token> = None;
        loop {
            match self.peek() {
                (token @ (Token::And | Token::Or), at) => {
                    self.next();
                    if joined.as_ref().is_some_and(|before| *before != token) {
                        return Err(PredicateError::Mixed(at));
                    }
                    joined = Some(token);
                    parts.push(self.one(depth)?);
                }
                (Token::End | Token::Close, _) => break,
                (_, at) => return Err(PredicateError::Logical(at)),
            }
        }
        Ok(match joined {
            Some(Token::Or) => Predicate::Or(parts),
            _ => parts.into_iter().fold(Predicate::TRUE, Predicate::and),
        })
    }

    fn one(&mut self, depth: usize) -> Result<Predicate, PredicateError> {
        let (token, at) = self.next();
        let key = match token {
            Token::Word(key) if !key.starts_with(|c: char| c.is_ascii_digit() || c == '-') => key,
            Token::Quoted(key) => key,
            Token::Word(_) | Token::Text(_) => return Err(PredicateError::Key(at)),
            Token::Open if depth == DEPTH_MAX => return Err(PredicateError::Deep(at)),
            Token::Open => {
                if self.peek().0 == Token::End {
                    return Err(PredicateError::Open);
                }
                let inner = self.any(depth + 1)?;
                return match self.next() {
                    (Token::Close, _) => Ok(inner),
                    _ => Err(PredicateError::Open),
                };
            }
            Token::Close => return Err(PredicateError::Close),
            Token::Operator(_) | Token::And | Token::Or | Token::End => {
                return Err(PredicateError::Logical(at));
            }
        };
        let (operator, operator_at) = self.next();
        let equal = match operator {
            Token::Operator(text) if text == "=" => true,
            Token::Operator(text) if text == "!=" => false,
            Token::Operator(text) if text == "=~" || text == "!~" => {
                return Err(PredicateError::Unsupported(text, operator_at));
            }
            Token::Operator(text) => return Err(PredicateError::Operator(text, operator_at)),
            other => return Err(PredicateError::Operator(other.text(), operator_at)),
        };
        let (value, value_at) = self.next();
        let value = match value {
            Token::Word(text) | Token::Quoted(text) | Token::Text(text) => text,
            other => return Err(PredicateError::Value(other.text(), value_at)),
        };
        let subject = match key.as_str() {
            "_measurement" => Subject::Measurement,
            "_field" => Subject::Field,
            // No tag has these names, and who writes them means something else.
            "_value" | "_time" | "time" => return Err(PredicateError::Special(key, at)),
            _ => Subject::Tag(key),
        };
        let test = if equal { Test::Eq(value) } else { Test::NotEq(value) };
        let comparison = Predicate::Compare(subject, test);
        let bytes = codec::encode(&comparison).map_err(|_too_long| PredicateError::Long(at))?.len();
        self.bytes += bytes + JOINING_BYTES;
        if self.bytes > BYTES_MAX { Err(PredicateError::Long(at)) } else { Ok(comparison) }
    }

    fn peek(&mut self) -> (Token, usize) {
        let before = self.at;
        let found = self.next();
        self.at = before;
        found
    }

    fn next(&mut self) -> (Token, usize) {
        while self.chars.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
        let at = self.at;
        let Some(&first) = self.chars.get(at) else { return (Token::End, at) };
        self.at += 1;
        let token = match first {
            '(' => Token::Open,
            ')' => Token::Close,
            '"' | '\'' => match self.quoted(first) {
                Some(text) if first == '"' => Token::Quoted(text),
                Some(text) => Token::Text(text),
                None => Token::Operator(first.to_string()),
            },
            '=' | '!' | '<' | '>' => {
                let pair = self.chars.get(self.at).is_some_and(|next| match first {
                    '=' => *next == '~',
                    '!' => *next == '=' || *next == '~',
                    '<' => *next == '=' || *next == '>',
                    _ => *next == '=',
                });
                self.at += usize::from(pair);
                Token::Operator(self.between(at))
            }
            first if is_word(first) => {
                while self.chars.get(self.at).is_some_and(|c| is_word(*c)) {
                    self.at += 1;
                }
                let word = self.between(at);
                match word.to_ascii_uppercase().as_str() {
                    "AND" => Token::And,
                    "OR" => Token::Or,
                    _ => Token::Word(word),
                }
            }
            other => Token::Operator(other.to_string()),
        };
        (token, at)
    }

    fn between(&self, from: usize) -> String {
        self.chars.get(from..self.at).unwrap_or(&[]).iter().collect()
    }

    /// What stands before the closing quote; `None` when there is none, or a strange escape.
    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        loop {
            let ch = *self.chars.get(self.at)?;
            self.at += 1;
            match ch {
                '\\' => {
                    let escaped = *self.chars.get(self.at)?;
                    self.at += 1;
                    text.push(match escaped {
                        'n' => '\n',
                        '\\' | '"' | '\'' => escaped,
                        _ => return None,
                    });
                }
                '\n' => return None,
                ch if ch == quote => return Some(text),
                ch => text.push(ch),
            }
        }
    }
}

impl Token {
    /// As it may be shown in a message.
    fn text(self) -> String {
        match self {
            Self::Word(text) | Self::Quoted(text) | Self::Text(text) | Self::Operator(text) => text,
            Self::Open => "(".to_owned(),
            Self::Close => ")".to_owned(),
            Self::And => "AND".to_owned(),
            Self::Or => "OR".to_owned(),
            Self::End => "EOF".to_owned(),
        }
    }
}

/// Bare words hold what cannot be taken for anything else.
fn is_word(ch: char) -> bool {
    ch.is_alphanumeric() || matches!(ch, '_' | '-' | '.')
}
