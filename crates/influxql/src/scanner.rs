//! Text to tokens. Two layers: characters with positions and one step back, and tokens with three steps back.
//!
//! The positions are InfluxDB's own, oddities included, because clients and tests compare them: the end of the
//! text counts once as a character when a word or blanks ran into it, and strings and regular expressions carry
//! the position of the character before them.

use crate::error::Position;
use crate::token::{Token, lookup};

/// A token with its place and its text (empty for punctuation and keywords' own texts).
#[derive(Debug, Clone)]
pub(crate) struct Lexeme {
    pub(crate) token: Token,
    pub(crate) position: Position,
    pub(crate) text: String,
}

impl Lexeme {
    /// What an error message calls the token.
    pub(crate) fn found(&self) -> String {
        if self.text.is_empty() { self.token.text().to_owned() } else { self.text.clone() }
    }
}

#[derive(Debug, Clone, Copy)]
struct Read {
    ch: Option<char>,
    position: Position,
}

/// Characters with positions. Remembers three reads; more are never taken back.
#[derive(Debug)]
struct Chars<'a> {
    rest: std::str::Chars<'a>,
    next: Position,
    at_end: bool,
    history: [Read; 3],
    newest: usize,
    unread: usize,
}

impl Chars<'_> {
    fn read(&mut self) -> Read {
        if self.unread > 0 {
            self.unread -= 1;
            return self.current();
        }
        let mut ch = self.rest.next();
        if ch == Some('\r') {
            let mut ahead = self.rest.clone();
            if ahead.next() == Some('\n') {
                self.rest = ahead;
            }
            ch = Some('\n');
        }
        self.newest = (self.newest + 1) % 3;
        self.history[self.newest] = Read { ch, position: self.next };
        if ch == Some('\n') {
            self.next = Position { line: self.next.line + 1, character: 0 };
        } else if !self.at_end {
            self.next.character += 1;
        }
        self.at_end |= ch.is_none();
        self.current()
    }

    fn unread(&mut self) {
        self.unread += 1;
    }

    fn current(&self) -> Read {
        self.history[(self.newest + 3 - self.unread) % 3]
    }

    /// The next character without taking it. As in InfluxDB, the end of the text is not put back.
    fn peek(&mut self) -> Option<char> {
        let ch = self.read().ch;
        if ch.is_some() {
            self.unread();
        }
        ch
    }
}

/// Tokens, of which the last three can be put back.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    chars: Chars<'a>,
    history: [Lexeme; 3],
    newest: usize,
    unread: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let none = Lexeme { token: Token::Eof, position: Position::default(), text: String::new() };
        let start = Read { ch: None, position: Position::default() };
        Self {
            chars: Chars {
                rest: text.chars(),
                next: Position::default(),
                at_end: false,
                history: [start; 3],
                newest: 0,
                unread: 0,
            },
            history: [none.clone(), none.clone(), none],
            newest: 0,
            unread: 0,
        }
    }

    /// The next token.
    pub(crate) fn scan(&mut self) -> Lexeme {
        self.buffered(Scanner::scan_token)
    }

    /// The next token, where a slash begins a regular expression.
    pub(crate) fn scan_regex(&mut self) -> Lexeme {
        self.buffered(Scanner::scan_regex_token)
    }

    /// Puts the last token back.
    pub(crate) fn unscan(&mut self) {
        self.unread += 1;
        debug_assert!(self.unread <= 3, "only three tokens are remembered");
    }

    /// The character behind the last token that was ever scanned (put back or not).
    pub(crate) fn peek_char(&mut self) -> Option<char> {
        self.chars.peek()
    }

    fn buffered(&mut self, read: fn(&mut Self) -> Lexeme) -> Lexeme {
        if self.unread > 0 {
            self.unread -= 1;
        } else {
            let lexeme = read(self);
            self.newest = (self.newest + 1) % 3;
            self.history[self.newest] = lexeme;
        }
        self.history[(self.newest + 3 - self.unread) % 3].clone()
    }

    fn scan_token(&mut self) -> Lexeme {
        let Read { ch, position } = self.chars.read();
        let plain = |token| Lexeme { token, position, text: String::new() };
        let Some(ch) = ch else { return plain(Token::Eof) };
        match ch {
            ' ' | '\t' | '\n' => self.scan_whitespace(ch, position),
            'a'..='z' | 'A'..='Z' | '_' | '"' => {
                self.chars.unread();
                let mut lexeme = self.scan_ident(position);
                if !matches!(lexeme.token, Token::Ident | Token::BadString | Token::BadEscape) {
                    lexeme.text.clear();
                }
                lexeme
            }
            '0'..='9' => {
                self.chars.unread();
                self.scan_number(position)
            }
            '\'' => self.scan_string(),
            '.' => match self.chars.read().ch {
                Some('0'..='9') => {
                    self.chars.unread();
                    self.chars.unread();
                    self.scan_number(position)
                }
                _ => self.back(plain(Token::Dot)),
            },
            '$' => {
                let next = self.chars.read();
                self.chars.unread();
                if !matches!(next.ch, Some('a'..='z' | 'A'..='Z' | '_' | '"')) {
                    return Lexeme { token: Token::BoundParam, position, text: "$".to_owned() };
                }
                let name = self.scan_ident(position);
                let token = match name.token {
                    Token::BadString | Token::BadEscape => name.token,
                    _ => Token::BoundParam,
                };
                Lexeme { token, position, text: format!("${}", name.text) }
            }
            '+' => plain(Token::Add),
            '-' => match self.chars.read().ch {
                Some('-') => {
                    while !matches!(self.chars.read().ch, None | Some('\n')) {}
                    plain(Token::Comment)
                }
                _ => self.back(plain(Token::Sub)),
            },
            '*' => plain(Token::Mul),
            '/' => match self.chars.read().ch {
                Some('*') => plain(if self.skip_block_comment() { Token::Comment } else { Token::Illegal }),
                _ => self.back(plain(Token::Div)),
            },
            '%' => plain(Token::Mod),
            '&' => plain(Token::BitAnd),
            '|' => plain(Token::BitOr),
            '^' => plain(Token::BitXor),
            '=' => match self.chars.read().ch {
                Some('~') => plain(Token::EqRegex),
                _ => self.back(plain(Token::Eq)),
            },
            '!' => match self.chars.read().ch {
                Some('=') => plain(Token::NotEq),
                Some('~') => plain(Token::NotEqRegex),
                _ => self.back(Lexeme { token: Token::Illegal, position, text: "!".to_owned() }),
            },
            '>' => match self.chars.read().ch {
                Some('=') => plain(Token::GreaterEq),
                _ => self.back(plain(Token::Greater)),
            },
            '<' => match self.chars.read().ch {
                Some('=') => plain(Token::LessEq),
                Some('>') => plain(Token::NotEq),
                _ => self.back(plain(Token::Less)),
            },
            '(' => plain(Token::LeftParen),
            ')' => plain(Token::RightParen),
            ',' => plain(Token::Comma),
            ';' => plain(Token::Semicolon),
            ':' => match self.chars.read().ch {
                Some(':') => plain(Token::DoubleColon),
                _ => self.back(plain(Token::Colon)),
            },
            other => Lexeme { token: Token::Illegal, position, text: other.to_string() },
        }
    }

    /// Puts the last character back and answers the token.
    fn back(&mut self, lexeme: Lexeme) -> Lexeme {
        self.chars.unread();
        lexeme
    }

    fn scan_whitespace(&mut self, first: char, position: Position) -> Lexeme {
        let mut text = String::from(first);
        while let Some(ch) = self.chars.read().ch {
            if !is_whitespace(ch) {
                self.chars.unread();
                break;
            }
            text.push(ch);
        }
        Lexeme { token: Token::Whitespace, position, text }
    }

    fn skip_block_comment(&mut self) -> bool {
        let mut star = false;
        loop {
            match self.chars.read().ch {
                None => return false,
                Some('/') if star => return true,
                Some(ch) => star = ch == '*',
            }
        }
    }

    /// An identifier or keyword with its text as written; the first character is still to be read.
    fn scan_ident(&mut self, position: Position) -> Lexeme {
        if self.chars.peek() == Some('"') {
            // As in InfluxDB, one without an end stands where the blank before it does.
            let before = self.chars.current().position;
            self.chars.read();
            let mut lexeme = self.scan_quoted('"', position);
            if lexeme.token == Token::BadString {
                lexeme.position = before;
            }
            if lexeme.token == Token::String {
                lexeme.token = Token::Ident;
            }
            return lexeme;
        }
        let mut text = String::new();
        loop {
            let before = self.chars.current().position;
            let Some(ch) = self.chars.read().ch else { break };
            if ch == '"' {
                // As in InfluxDB, what stands before a quote is passed over.
                let quoted = self.scan_quoted('"', position);
                return match quoted.token {
                    Token::String => Lexeme { token: Token::Ident, ..quoted },
                    _ => Lexeme { position: before, ..quoted },
                };
            }
            if !is_ident_char(ch) {
                self.chars.unread();
                break;
            }
            text.push(ch);
        }
        Lexeme { token: lookup(&text), position, text }
    }

    fn scan_string(&mut self) -> Lexeme {
        self.chars.unread();
        let position = self.chars.current().position;
        self.chars.read();
        self.scan_quoted('\'', position)
    }

    /// The rest of a quoted text, after its opening quote.
    fn scan_quoted(&mut self, quote: char, position: Position) -> Lexeme {
        let mut text = String::new();
        loop {
            match self.chars.read().ch {
                Some(ch) if ch == quote => return Lexeme { token: Token::String, position, text },
                None | Some('\n') => return Lexeme { token: Token::BadString, position, text },
                Some('\\') => {
                    let escaped = self.chars.read();
                    match escaped.ch {
                        Some('n') => text.push('\n'),
                        Some(ch @ ('\\' | '"' | '\'')) => text.push(ch),
                        other => {
                            let text = other.map_or_else(|| "\\".to_owned(), |ch| format!("\\{ch}"));
                            return Lexeme { token: Token::BadEscape, position: escaped.position, text };
                        }
                    }
                }
                Some(ch) => text.push(ch),
            }
        }
    }

    fn scan_digits(&mut self, text: &mut String) {
        while let Some(ch) = self.read_if(|ch| ch.is_ascii_digit()) {
            text.push(ch);
        }
    }

    /// Reads a character when it passes; what does not is put back, the end of the text too.
    fn read_if(&mut self, test: impl Fn(char) -> bool) -> Option<char> {
        let ch = self.chars.read().ch;
        let taken = ch.filter(|&ch| test(ch));
        if taken.is_none() {
            self.chars.unread();
        }
        taken
    }

    fn scan_number(&mut self, position: Position) -> Lexeme {
        let mut text = String::new();
        self.scan_digits(&mut text);
        let mut fraction = false;
        if self.read_if(|ch| ch == '.').is_some() {
            fraction = true;
            text.push('.');
            self.scan_digits(&mut text);
        }
        let unit = |ch: char| ch.is_ascii_alphabetic() || ch == 'µ';
        if fraction {
            return Lexeme { token: Token::Number, position, text };
        }
        let Some(first) = self.read_if(unit) else {
            return Lexeme { token: Token::Integer, position, text };
        };
        text.push(first);
        while let Some(ch) = self.read_if(|ch| unit(ch) || ch.is_ascii_digit()) {
            text.push(ch);
        }
        Lexeme { token: Token::Duration, position, text }
    }

    fn scan_regex_token(&mut self) -> Lexeme {
        let position = self.chars.current().position;
        if self.chars.read().ch != Some('/') {
            self.chars.unread();
            return self.scan_token();
        }
        let bad = |position| Lexeme { token: Token::BadRegex, position, text: String::new() };
        let mut text = String::new();
        loop {
            match self.chars.read().ch {
                Some('/') => return Lexeme { token: Token::Regex, position, text },
                None | Some('\n') => return bad(position),
                Some('\\') => match self.chars.read().ch {
                    Some('/') => text.push('/'),
                    Some('\n') | None => return bad(position),
                    Some(ch) => text.extend(['\\', ch]),
                },
                Some(ch) => text.push(ch),
            }
        }
    }
}

/// Blanks between tokens.
pub(crate) const fn is_whitespace(ch: char) -> bool {
    matches!(ch, ' ' | '\t' | '\n')
}

/// Characters that continue a bare identifier.
pub(crate) const fn is_ident_char(ch: char) -> bool {
    ch.is_ascii_alphanumeric() || ch == '_'
}
