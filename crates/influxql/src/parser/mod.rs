//! Recursive descent over the scanner's tokens. The order of the expectations in an error is InfluxDB's.

mod expr;
mod manage;
mod select;
mod show;

use std::collections::HashMap;

use model::Pattern;

use crate::ast::{Expr, Statement};
use crate::duration;
use crate::error::{ParseError, Position};
use crate::params::Param;
use crate::scanner::{Lexeme, Scanner, is_whitespace};
use crate::token::{Keyword, Token};

/// How deep parentheses, calls and subqueries may nest.
const DEPTH_MAX: usize = 100;
/// How many operations one expression may chain, those inside its operands included where they hang deepest.
const OPERATIONS_MAX: usize = 2_000;
/// How many bytes the values of parameters may take together where they are used.
const PARAMS_BYTES_MAX: usize = 16 << 20;

/// Parses statements separated by semicolons. `params` are the values for `$name`.
pub fn parse(text: &str, params: &[(String, Param)]) -> Result<Vec<Statement>, ParseError> {
    let mut parser = Parser::new(text, params);
    let mut statements = Vec::new();
    let mut separated = true;
    loop {
        let lexeme = parser.next();
        match lexeme.token {
            Token::Eof => return Ok(statements),
            Token::Semicolon => separated = true,
            _ if !separated => return Err(unexpected(&lexeme, &[";"])),
            _ => {
                parser.unscan();
                statements.push(parser.statement()?);
                separated = false;
            }
        }
    }
}

/// Parses one expression and nothing after it.
pub fn parse_expression(text: &str, params: &[(String, Param)]) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text, params);
    let expr = parser.expr()?;
    let rest = parser.next();
    if rest.token == Token::Eof { Ok(expr) } else { Err(unexpected(&rest, &["EOF"])) }
}

/// How many regular expressions one text may have.
const PATTERNS_MAX: usize = 1_000;
/// How many of them may be large.
const PATTERNS_LARGE_MAX: usize = 64;
/// What the others may compile to.
const PATTERN_BYTES_MAX: usize = 256 << 10;

type Result<T, E = ParseError> = std::result::Result<T, E>;

fn unexpected(lexeme: &Lexeme, expected: &[&'static str]) -> ParseError {
    ParseError::Unexpected { found: lexeme.found(), expected: expected.to_vec(), position: lexeme.position }
}

fn at(position: Position, message: impl Into<String>) -> ParseError {
    ParseError::At { message: message.into(), position }
}

fn clause(message: &str) -> ParseError {
    ParseError::Clause(message.to_owned())
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    params: HashMap<&'a str, &'a Param>,
    params_bytes: usize,
    patterns: usize,
    depth: usize,
    /// How many operations hang below one another in the operand or expression that was read last.
    height: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, params: &'a [(String, Param)]) -> Self {
        // The first of one name counts.
        let params = params.iter().rev().map(|(name, value)| (name.as_str(), value)).collect();
        Self { scanner: Scanner::new(text), params, params_bytes: 0, patterns: 0, depth: 0, height: 0 }
    }

    fn substitute(&mut self, mut lexeme: Lexeme) -> Lexeme {
        if lexeme.token == Token::BoundParam
            && let Some(value) = lexeme.text.strip_prefix('$').and_then(|name| self.params.get(name))
        {
            (lexeme.token, lexeme.text) = value.token();
            // A short text may name a long value again and again.
            self.params_bytes = self.params_bytes.saturating_add(lexeme.text.len());
            if self.params_bytes > PARAMS_BYTES_MAX {
                let reason = format!(
                    "values take more than {PARAMS_BYTES_MAX} bytes where they are used (max-influxql-params)"
                );
                (lexeme.token, lexeme.text) = (Token::BoundParam, reason);
            }
        }
        lexeme
    }

    /// The next token, blanks and comments included.
    fn scan(&mut self) -> Lexeme {
        let lexeme = self.scanner.scan();
        self.substitute(lexeme)
    }

    /// The next token that is neither blank nor comment.
    fn next(&mut self) -> Lexeme {
        loop {
            let lexeme = self.scan();
            if !matches!(lexeme.token, Token::Whitespace | Token::Comment) {
                return lexeme;
            }
        }
    }

    fn unscan(&mut self) {
        self.scanner.unscan();
    }

    /// Takes the next token when it is the given one.
    fn take(&mut self, token: Token) -> bool {
        let found = self.next().token == token;
        if !found {
            self.unscan();
        }
        found
    }

    fn take_keyword(&mut self, keyword: Keyword) -> bool {
        self.take(Token::Keyword(keyword))
    }

    fn expect(&mut self, token: Token) -> Result<()> {
        let lexeme = self.next();
        if lexeme.token == token { Ok(()) } else { Err(unexpected(&lexeme, &[token.text()])) }
    }

    fn expect_keyword(&mut self, keyword: Keyword) -> Result<()> {
        self.expect(Token::Keyword(keyword))
    }

    fn skip_whitespace(&mut self) {
        if self.scan().token != Token::Whitespace {
            self.unscan();
        }
    }

    /// Runs a rule one level deeper.
    fn nested<T>(&mut self, rule: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_MAX {
            return Err(ParseError::TooDeep { name: "max-influxql-depth", what: "levels", limit: DEPTH_MAX });
        }
        self.depth += 1;
        let result = rule(self);
        self.depth -= 1;
        result
    }

    fn ident(&mut self) -> Result<String> {
        self.text_of(Token::Ident, "identifier")
    }

    fn string(&mut self) -> Result<String> {
        self.text_of(Token::String, "string")
    }

    fn text_of(&mut self, token: Token, expected: &'static str) -> Result<String> {
        let lexeme = self.next();
        if lexeme.token == token { Ok(lexeme.text) } else { Err(unexpected(&lexeme, &[expected])) }
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.take(Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// An integer from 1 that InfluxDB keeps in 32 bits.
    fn positive(&mut self) -> Result<u64> {
        let lexeme = self.next();
        if lexeme.token != Token::Integer {
            return Err(unexpected(&lexeme, &["integer"]));
        }
        let value: i64 = lexeme.text.parse().map_err(|_digits| {
            at(lexeme.position, format!("strconv.Atoi: parsing \"{}\": value out of range", lexeme.text))
        })?;
        u64::try_from(value).ok().filter(|n| (1..=2_147_483_647).contains(n)).ok_or_else(|| {
            at(lexeme.position, format!("invalid value {value}: must be 1 <= n <= 2147483647"))
        })
    }

    fn number_u64(&mut self) -> Result<u64> {
        let lexeme = self.next();
        if lexeme.token != Token::Integer {
            return Err(unexpected(&lexeme, &["integer"]));
        }
        lexeme.text.parse().map_err(|_digits| {
            at(lexeme.position, format!("strconv.ParseUint: parsing \"{}\": value out of range", lexeme.text))
        })
    }

    /// A duration in nanoseconds; INF is 0.
    fn duration(&mut self) -> Result<i64> {
        let lexeme = self.next();
        match lexeme.token {
            Token::Keyword(Keyword::Inf) => Ok(0),
            Token::Duration => {
                duration::parse(&lexeme.text).map_err(|error| at(lexeme.position, error.to_string()))
            }
            _ => Err(unexpected(&lexeme, &["duration"])),
        }
    }

    /// `keyword n`, 0 when it is not there.
    fn optional_count(&mut self, keyword: Keyword) -> Result<u64> {
        if !self.take_keyword(keyword) {
            return Ok(0);
        }
        let lexeme = self.next();
        if lexeme.token != Token::Integer {
            return Err(unexpected(&lexeme, &["integer"]));
        }
        let most = i64::MAX.unsigned_abs();
        Ok(lexeme.text.parse::<u64>().map_or(most, |n| n.min(most)))
    }

    /// A regular expression, when one comes next.
    fn regex(&mut self) -> Result<Option<Pattern>> {
        if self.scanner.peek_char().is_some_and(is_whitespace) {
            self.skip_whitespace();
        }
        match self.scanner.peek_char() {
            Some('$') => {
                let lexeme = self.scan();
                self.unscan();
                if lexeme.token != Token::Regex {
                    return Ok(None);
                }
            }
            Some('/') => {}
            _ => return Ok(None),
        }
        let lexeme = self.scanner.scan_regex();
        let lexeme = self.substitute(lexeme);
        match lexeme.token {
            Token::Regex => self.pattern(&lexeme).map(Some),
            Token::BadRegex => Err(at(lexeme.position, format!("bad regex: {}", lexeme.text))),
            Token::BadEscape => Err(at(lexeme.position, format!("bad escape: {}", lexeme.text))),
            _ => Err(unexpected(&lexeme, &["regex"])),
        }
    }

    fn pattern(&mut self, lexeme: &Lexeme) -> Result<Pattern> {
        self.patterns += 1;
        if self.patterns > PATTERNS_MAX {
            return Err(ParseError::TooDeep {
                name: "max-influxql-regexes",
                what: "regular expressions",
                limit: PATTERNS_MAX,
            });
        }
        let bytes = if self.patterns > PATTERNS_LARGE_MAX { PATTERN_BYTES_MAX } else { usize::MAX };
        Pattern::within(&lexeme.text, bytes).map_err(|error| at(lexeme.position, error.to_string()))
    }

    fn statement(&mut self) -> Result<Statement> {
        let first = self.next();
        let expected = &[
            "SELECT", "DELETE", "SHOW", "CREATE", "DROP", "EXPLAIN", "GRANT", "REVOKE", "ALTER", "SET",
            "KILL",
        ];
        let Token::Keyword(keyword) = first.token else { return Err(unexpected(&first, expected)) };
        match keyword {
            Keyword::Select => Ok(Statement::Select(Box::new(self.select(select::Into::Allowed)?))),
            Keyword::Delete => self.delete(),
            Keyword::Show => self.show(),
            Keyword::Create => self.create(),
            Keyword::Drop => self.drop_statement(),
            Keyword::Explain => self.explain(),
            Keyword::Grant => self.grant(),
            Keyword::Revoke => self.revoke(),
            Keyword::Alter => {
                self.expect_keyword(Keyword::Retention)?;
                self.expect_keyword(Keyword::Policy)?;
                self.alter_retention_policy()
            }
            Keyword::Set => {
                self.expect_keyword(Keyword::Password)?;
                self.expect_keyword(Keyword::For)?;
                self.set_password()
            }
            Keyword::Kill => {
                self.expect_keyword(Keyword::Query)?;
                self.kill_query()
            }
            _ => Err(unexpected(&first, expected)),
        }
    }
}
