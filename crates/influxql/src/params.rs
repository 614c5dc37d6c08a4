//! Bound parameters: values that a request gives beside the text, put in the place of `$name`.

use crate::token::Token;

/// The value of a bound parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    /// A string literal.
    String(String),
    /// A float literal.
    Float(f64),
    /// An integer literal.
    Integer(i64),
    /// A boolean literal.
    Boolean(bool),
    /// An identifier.
    Identifier(String),
    /// A regular expression.
    Regex(String),
    /// A duration, as InfluxQL writes it.
    Duration(String),
    /// No value at all; the text says why, when the parameter is used.
    Unusable(String),
}

impl Param {
    /// The token that stands in the parameter's place, with its text.
    pub(crate) fn token(&self) -> (Token, String) {
        match self {
            Self::String(text) => (Token::String, text.clone()),
            Self::Float(value) => (Token::Number, value.to_string()),
            Self::Integer(value) => (Token::Integer, value.to_string()),
            Self::Boolean(true) => (Token::True, "true".to_owned()),
            Self::Boolean(false) => (Token::False, "false".to_owned()),
            Self::Identifier(name) => (Token::Ident, name.clone()),
            Self::Regex(source) => (Token::Regex, source.clone()),
            Self::Duration(text) => (Token::Duration, text.clone()),
            Self::Unusable(reason) => (Token::BoundParam, reason.clone()),
        }
    }
}
