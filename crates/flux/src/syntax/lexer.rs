//! Text to tokens, on demand.
//!
//! Two things in Flux need the parser's help: a `/` starts a regular expression only where an expression may begin
//! ([`Lexer::next_with_regex`]), and the parts of an interpolated string are read one by one
//! ([`Lexer::string_part`]). The lexer never fails: what it does not know is an `Illegal` token of one character.

use super::position::{Position, Span};
use super::token::{Kind, Token, keyword};

/// Reads tokens from a script.
#[derive(Debug, Clone)]
pub(crate) struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: u32,
    line_start: usize,
    /// No slash before this place begins a regular expression: a scan from an earlier one met the end of the line.
    no_regex_before: usize,
}

/// A part of an interpolated string.
#[derive(Debug)]
pub(crate) enum StringPart<'a> {
    /// Raw text, escapes not yet resolved.
    Text(&'a str, Span),
    /// `${`: an expression follows, then `}`.
    Expression,
    /// The closing quote.
    Close(Span),
    /// The script ended inside the string.
    Unterminated,
}

impl<'a> Lexer<'a> {
    pub(crate) const fn new(source: &'a str) -> Self {
        Self { source, at: 0, line: 1, line_start: 0, no_regex_before: 0 }
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.source.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or("")
    }

    pub(crate) fn position(&self) -> Position {
        let column = u32::try_from(self.at - self.line_start).unwrap_or(u32::MAX - 1) + 1;
        Position { line: self.line, column }
    }

    /// Moves over `len` bytes, keeping count of lines.
    fn advance(&mut self, len: usize) {
        let end = (self.at + len).min(self.source.len());
        for (i, byte) in self.source.as_bytes().iter().enumerate().take(end).skip(self.at) {
            if *byte == b'\n' {
                self.line += 1;
                self.line_start = i + 1;
            }
        }
        self.at = end;
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let space = rest.len() - rest.trim_start().len();
            if space > 0 {
                self.advance(space);
            } else if rest.starts_with("//") {
                let len = rest.find('\n').unwrap_or(rest.len());
                self.advance(len);
            } else {
                return;
            }
        }
    }

    fn take(&mut self, kind: Kind, len: usize) -> Token<'a> {
        let (start, offset) = (self.position(), self.at);
        self.advance(len);
        let text = self.source.get(offset..self.at).unwrap_or("");
        Token { kind, span: Span { start, end: self.position() }, text, offset }
    }

    /// The next token where an operator may stand.
    pub(crate) fn next(&mut self) -> Token<'a> {
        self.skip_space();
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return self.take(Kind::Eof, 0) };
        if first.is_alphabetic() || first == '_' {
            let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            return self.take(rest.get(..len).map_or(Kind::Ident, keyword), len);
        }
        if first.is_ascii_digit() || (first == '.' && self.byte(1).is_ascii_digit()) {
            let (kind, len) = number(rest);
            return self.take(kind, len);
        }
        if first == '"' {
            return match simple_string(rest) {
                Some(len) => self.take(Kind::String, len),
                None => self.take(Kind::Quote, 1),
            };
        }
        if first == '@' && (self.byte(1).is_ascii_alphabetic() || self.byte(1) == b'_') {
            let len = rest.get(1..).and_then(|r| r.find(|c: char| !c.is_alphanumeric() && c != '_'));
            return self.take(Kind::Attribute, len.map_or(rest.len(), |l| l + 1));
        }
        let (kind, len) = match (rest.as_bytes().first().copied().unwrap_or(0), self.byte(1)) {
            (b'|', b'>') => (Kind::PipeForward, 2),
            (b'<', b'-') => (Kind::PipeReceive, 2),
            (b'<', b'=') => (Kind::Lte, 2),
            (b'>', b'=') => (Kind::Gte, 2),
            (b'=', b'=') => (Kind::Eq, 2),
            (b'=', b'>') => (Kind::Arrow, 2),
            (b'=', b'~') => (Kind::RegexEq, 2),
            (b'!', b'=') => (Kind::Neq, 2),
            (b'!', b'~') => (Kind::RegexNeq, 2),
            (b'<', _) => (Kind::Lt, 1),
            (b'>', _) => (Kind::Gt, 1),
            (b'=', _) => (Kind::Assign, 1),
            (b'+', _) => (Kind::Add, 1),
            (b'-', _) => (Kind::Sub, 1),
            (b'*', _) => (Kind::Mul, 1),
            (b'/', _) => (Kind::Div, 1),
            (b'%', _) => (Kind::Mod, 1),
            (b'^', _) => (Kind::Pow, 1),
            (b'(', _) => (Kind::LParen, 1),
            (b')', _) => (Kind::RParen, 1),
            (b'[', _) => (Kind::LBrack, 1),
            (b']', _) => (Kind::RBrack, 1),
            (b'{', _) => (Kind::LBrace, 1),
            (b'}', _) => (Kind::RBrace, 1),
            (b',', _) => (Kind::Comma, 1),
            (b'.', _) => (Kind::Dot, 1),
            (b':', _) => (Kind::Colon, 1),
            (b'?', _) => (Kind::QuestionMark, 1),
            _ => (Kind::Illegal, first.len_utf8()),
        };
        self.take(kind, len)
    }

    /// The next token where an expression may begin.
    pub(crate) fn next_with_regex(&mut self) -> Token<'a> {
        self.skip_space();
        if self.byte(0) != b'/' || self.at < self.no_regex_before {
            return self.next();
        }
        match regex_len(self.rest()) {
            Ok(len) => self.take(Kind::Regex, len),
            Err(scanned) => {
                // All slashes in between are escaped, so a scan from one of them goes the same way.
                self.no_regex_before = self.at + scanned;
                self.next()
            }
        }
    }

    /// The next part of an interpolated string, after its quote or after an expression's `}`.
    pub(crate) fn string_part(&mut self) -> StringPart<'a> {
        let rest = self.rest();
        if rest.is_empty() {
            return StringPart::Unterminated;
        }
        if rest.starts_with('"') {
            return StringPart::Close(self.take(Kind::Quote, 1).span);
        }
        if rest.starts_with("${") {
            self.advance(2);
            return StringPart::Expression;
        }
        let bytes = rest.as_bytes();
        let mut len = 0;
        while let Some(&byte) = bytes.get(len) {
            match byte {
                b'"' => break,
                b'$' if bytes.get(len + 1) == Some(&b'{') => break,
                b'\\' => len += 2,
                _ => len += 1,
            }
        }
        let mut len = len.min(rest.len());
        while !rest.is_char_boundary(len) {
            len += 1;
        }
        let token = self.take(Kind::String, len);
        StringPart::Text(token.text, token.span)
    }
}

/// Length of a string literal without interpolation, quotes included.
fn simple_string(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let mut i = 1;
    loop {
        match bytes.get(i)? {
            b'"' => return Some(i + 1),
            b'$' if bytes.get(i + 1) == Some(&b'{') => return None,
            b'\\' => i += 2,
            _ => i += 1,
        }
    }
}

/// Length of a regular expression literal, slashes included; where there is none on this line, the length that shows it.
fn regex_len(rest: &str) -> Result<usize, usize> {
    let bytes = rest.as_bytes();
    if bytes.get(1) == Some(&b'/') {
        return Err(1);
    }
    let mut i = 1;
    loop {
        match bytes.get(i) {
            Some(b'/') => return Ok(i + 1),
            None | Some(b'\n') => return Err(i.min(bytes.len())),
            Some(b'\\') => i += 2,
            Some(_) => i += 1,
        }
    }
}

/// Kind and length of the literal that starts with a digit: time, duration, float or integer.
fn number(rest: &str) -> (Kind, usize) {
    if let Some(len) = time_len(rest) {
        return (Kind::Time, len);
    }
    if let Some(len) = duration_len(rest) {
        return (Kind::Duration, len);
    }
    let digits = |from: usize| {
        rest.as_bytes().get(from..).map_or(0, |b| b.iter().take_while(|c| c.is_ascii_digit()).count())
    };
    let mut len = digits(0);
    let mut kind = Kind::Int;
    if rest.as_bytes().get(len) == Some(&b'.') {
        kind = Kind::Float;
        len += 1 + digits(len + 1);
    }
    if matches!(rest.as_bytes().get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.as_bytes().get(len + 1), Some(b'+' | b'-')));
        let exponent = digits(len + 1 + sign);
        if exponent > 0 {
            kind = Kind::Float;
            len += 1 + sign + exponent;
        }
    }
    (kind, len)
}

/// Whether `bytes` starts with the shape: `d` is a digit, anything else itself.
fn shape(bytes: &[u8], pattern: &str) -> bool {
    bytes.len() >= pattern.len()
        && pattern.bytes().zip(bytes).all(|(p, b)| if p == b'd' { b.is_ascii_digit() } else { p == *b })
}

fn time_len(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    if !shape(bytes, "dddd-dd-dd") {
        return None;
    }
    let tail = bytes.get(10..)?;
    if !shape(tail, "Tdd:dd:dd") {
        return Some(10);
    }
    let mut len = 19;
    if bytes.get(len) == Some(&b'.') {
        let digits = bytes.get(len + 1..)?.iter().take_while(|c| c.is_ascii_digit()).count();
        len += if digits > 0 { 1 + digits } else { 0 };
    }
    match bytes.get(len) {
        Some(b'Z') => Some(len + 1),
        Some(b'+' | b'-') if shape(bytes.get(len + 1..)?, "dd:dd") => Some(len + 6),
        _ => Some(len),
    }
}

/// The units of durations, longest spelling first where one begins another.
pub(crate) const UNITS: [&str; 12] = ["mo", "ms", "us", "µs", "μs", "ns", "y", "w", "d", "h", "m", "s"];

fn duration_len(rest: &str) -> Option<usize> {
    let mut len = 0;
    loop {
        let tail = rest.get(len..)?;
        let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
        let unit = tail.get(digits..).and_then(|t| UNITS.iter().find(|u| t.starts_with(**u)));
        match unit {
            Some(unit) if digits > 0 => len += digits + unit.len(),
            _ => return (len > 0).then_some(len),
        }
    }
}
