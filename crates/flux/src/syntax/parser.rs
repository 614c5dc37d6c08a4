//! The parser: recursive descent over statements and expressions, recovering from errors as it goes.
//!
//! Every loop takes at least one token per turn, so it ends for any input. Nesting is bounded by [`NESTING_MAX`]:
//! deeper text is an error, not a deeper recursion.

mod expression;
mod literal;
mod types;

use super::ast::{Body, Expr, ExprKind, File, Identifier, Import, Statement, StatementKind};
use super::lexer::Lexer;
use super::position::{Diagnostic, Position, Span};
use super::token::{Kind, Token};

/// How deep expressions and blocks may be nested.
pub const NESTING_MAX: u32 = 180;
/// The longest script, in bytes.
pub const SCRIPT_BYTES_MAX: usize = 8 << 20;
/// The most regular expressions of a script: each is compiled.
const REGEXES_MAX: u32 = 1_000;
/// After this many errors no more are kept.
const ERRORS_MAX: usize = 32;

/// Parses a script; the errors are in the order in which they were met.
pub fn parse(source: &str) -> (File, Vec<Diagnostic>) {
    let start = Position { line: 1, column: 1 };
    let mut parser = Parser {
        lexer: Lexer::new(source),
        buffer: None,
        errors: Vec::new(),
        depth: 0,
        regexes: 0,
        last_end: start,
    };
    if source.len() > SCRIPT_BYTES_MAX {
        let span = Span { start, end: start };
        parser.error(span, format!("script is longer than {SCRIPT_BYTES_MAX} bytes"));
        return (File { span, package: None, imports: Vec::new(), body: Vec::new() }, parser.errors);
    }
    let file = parser.file();
    (file, parser.errors)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token that was looked at, and the lexer as it was before it.
    buffer: Option<(Token<'a>, Lexer<'a>)>,
    errors: Vec<Diagnostic>,
    depth: u32,
    regexes: u32,
    last_end: Position,
}

impl<'a> Parser<'a> {
    fn error(&mut self, span: Span, message: String) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(Diagnostic { span, message });
        }
    }

    fn peek(&mut self) -> Token<'a> {
        if let Some((token, _)) = &self.buffer {
            return *token;
        }
        let before = self.lexer.clone();
        let token = self.lexer.next();
        self.buffer = Some((token, before));
        token
    }

    /// The next token where an expression may begin: a `/` starts a regular expression.
    fn peek_with_regex(&mut self) -> Token<'a> {
        if let Some((token, before)) = &self.buffer
            && token.kind == Kind::Div
        {
            self.lexer = before.clone();
            self.buffer = None;
        }
        if self.buffer.is_none() {
            let before = self.lexer.clone();
            let token = self.lexer.next_with_regex();
            self.buffer = Some((token, before));
        }
        self.peek()
    }

    /// The kind of the token after the next one.
    fn peek_second(&mut self) -> Kind {
        self.peek();
        self.lexer.clone().next().kind
    }

    fn consume(&mut self) -> Token<'a> {
        let token = self.peek();
        self.buffer = None;
        self.last_end = token.span.end;
        token
    }

    fn take_if(&mut self, kind: Kind) -> Option<Token<'a>> {
        (self.peek().kind == kind).then(|| self.consume())
    }

    /// Takes a token of the kind; otherwise reports it, as seen from `start`, and takes nothing.
    fn expect(&mut self, kind: Kind, start: Position) -> Option<Token<'a>> {
        let token = self.peek();
        if token.kind == kind {
            return Some(self.consume());
        }
        let span = Span { start, end: token.span.end };
        self.error(span, format!("expected {}, got {}", kind.name(), token.kind.name()));
        None
    }

    /// From `start` to the end of what was taken last; empty when nothing was taken since.
    fn span_from(&self, start: Position) -> Span {
        Span { start, end: self.last_end.max(start) }
    }

    /// Runs `f` one level deeper, or reports that this is too deep and skips to the end of the text.
    fn deeper<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.depth >= NESTING_MAX {
            let span = self.peek().span;
            self.error(span, "Program is nested too deep".to_owned());
            while self.peek().kind != Kind::Eof {
                self.consume();
            }
            return None;
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        Some(result)
    }

    fn file(&mut self) -> File {
        let start = self.peek().span.start;
        self.attributes();
        let package = self.take_if(Kind::Package).map(|token| self.identifier(token.span.start));
        let mut imports = Vec::new();
        self.attributes();
        while let Some(token) = self.take_if(Kind::Import) {
            imports.push(self.import(token.span.start));
            self.attributes();
        }
        let body = self.statements(Kind::Eof);
        File { span: self.span_from(start), package, imports, body }
    }

    /// Skips `@name(arguments)`: attributes carry no meaning here.
    fn attributes(&mut self) {
        while self.take_if(Kind::Attribute).is_some() {
            if let Some(open) = self.take_if(Kind::LParen) {
                while !matches!(self.peek().kind, Kind::RParen | Kind::Eof) {
                    self.consume();
                }
                self.expect(Kind::RParen, open.span.start);
            }
        }
    }

    fn identifier(&mut self, start: Position) -> Identifier {
        match self.expect(Kind::Ident, start) {
            Some(token) => Identifier { span: token.span, name: token.text.to_owned() },
            None => Identifier { span: self.peek().span, name: String::new() },
        }
    }

    fn import(&mut self, start: Position) -> Import {
        let alias = self.take_if(Kind::Ident).map(|t| Identifier { span: t.span, name: t.text.to_owned() });
        let path = match self.expect(Kind::String, start) {
            Some(token) => self.string_value(&token),
            None => String::new(),
        };
        Import { span: self.span_from(start), alias, path }
    }

    fn statements(&mut self, end: Kind) -> Vec<Statement> {
        let mut out = Vec::new();
        loop {
            self.attributes();
            let token = self.peek();
            // A bracket that closes something further out ends this list as well.
            if token.kind == end
                || token.kind == Kind::Eof
                || (end == Kind::RBrace && matches!(token.kind, Kind::RParen | Kind::RBrack))
            {
                return out;
            }
            match self.deeper(Self::statement) {
                Some(statement) => out.push(statement),
                None => return out,
            }
        }
    }

    fn statement(&mut self) -> Statement {
        let token = self.peek_with_regex();
        let start = token.span.start;
        let kind = match token.kind {
            Kind::Return => {
                self.consume();
                StatementKind::Return(self.expression())
            }
            Kind::Option => {
                self.consume();
                self.option_statement(start)
            }
            Kind::Builtin => {
                self.consume();
                let name = self.identifier(start);
                self.expect(Kind::Colon, start);
                StatementKind::Builtin(name, self.type_expression())
            }
            Kind::TestCase => {
                self.consume();
                self.testcase(start)
            }
            Kind::Ident if self.peek_second() == Kind::Assign => {
                let name = self.identifier(start);
                self.consume();
                StatementKind::Variable(name, self.expression())
            }
            kind if starts_expression(kind) => StatementKind::Expression(self.expression()),
            _ => {
                self.consume();
                self.error(token.span, format!("invalid statement: {}", token.text));
                StatementKind::Bad(token.text.to_owned())
            }
        };
        Statement { span: self.span_from(start), kind }
    }

    fn option_statement(&mut self, start: Position) -> StatementKind {
        let name = self.identifier(start);
        let Some(_) = self.take_if(Kind::Dot) else {
            self.expect(Kind::Assign, start);
            return StatementKind::Option(name, self.expression());
        };
        let object = Box::new(Expr { span: name.span, kind: ExprKind::Identifier(name.name) });
        let property = self.identifier(start);
        let target = Expr { span: object.span.to(property.span), kind: ExprKind::Member(object, property) };
        self.expect(Kind::Assign, start);
        StatementKind::MemberOption(target, self.expression())
    }

    fn testcase(&mut self, start: Position) -> StatementKind {
        let name = self.identifier(start);
        let extends = match self.peek() {
            Token { kind: Kind::Ident, text: "extends", .. } => {
                self.consume();
                self.expect(Kind::String, start).map(|token| self.string_value(&token))
            }
            _ => None,
        };
        let (_, body) = self.block();
        StatementKind::TestCase(name, extends, body)
    }

    fn block(&mut self) -> (Span, Vec<Statement>) {
        let start = self.peek().span.start;
        if self.expect(Kind::LBrace, start).is_none() {
            return (self.span_from(start), Vec::new());
        }
        let body = self.statements(Kind::RBrace);
        self.expect(Kind::RBrace, start);
        (self.span_from(start), body)
    }

    fn body(&mut self) -> Body {
        if self.peek().kind == Kind::LBrace {
            let (span, statements) = self.block();
            return Body::Block(span, statements);
        }
        Body::Expression(self.expression())
    }
}

/// Whether an expression may begin with the token.
const fn starts_expression(kind: Kind) -> bool {
    use Kind::{
        Add, Dot, Duration, Exists, Float, Ident, If, Int, LBrace, LBrack, LParen, Mul, Not, PipeReceive,
        Quote, Regex, Sub, Time,
    };
    matches!(
        kind,
        Ident
            | Int
            | Float
            | Kind::String
            | Quote
            | Regex
            | Time
            | Duration
            | LParen
            | LBrack
            | LBrace
            | Dot
            | Add
            | Sub
            | Not
            | If
            | Exists
            | PipeReceive
            | Kind::Div
            | Mul
    )
}
