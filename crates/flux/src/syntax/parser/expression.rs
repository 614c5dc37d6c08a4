//! Expressions, by precedence from loosest to tightest: `if`, `or`, `and`, `not`/`exists`, comparison, sums, products,
//! powers, pipes, signs, then calls, members and indexes.

use super::super::ast::{
    BinaryOperator, Expr, ExprKind, Identifier, LogicalOperator, Parameter, ParameterDefault, Property,
    UnaryOperator,
};
use super::super::position::Position;
use super::super::token::{Kind, Token};
use super::{NESTING_MAX, Parser, starts_expression};

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Expr {
        let start = self.peek_with_regex().span;
        self.deeper(Self::expression_here)
            .unwrap_or_else(|| Expr { span: start, kind: ExprKind::Bad("nested too deep".to_owned()) })
    }

    fn expression_here(&mut self) -> Expr {
        if self.peek().kind == Kind::If { self.conditional() } else { self.logical(LogicalOperator::Or) }
    }

    fn conditional(&mut self) -> Expr {
        let start = self.consume().span.start;
        let test = self.expression();
        self.expect(Kind::Then, start);
        let consequent = self.expression();
        self.expect(Kind::Else, start);
        let alternate = self.expression();
        let kind = ExprKind::If(Box::new([test, consequent, alternate]));
        Expr { span: self.span_from(start), kind }
    }

    fn logical(&mut self, operator: LogicalOperator) -> Expr {
        let (token, operand): (_, fn(&mut Self) -> Expr) = match operator {
            LogicalOperator::Or => (Kind::Or, |p| p.logical(LogicalOperator::And)),
            LogicalOperator::And => (Kind::And, Self::unary_logical),
        };
        let first = operand(self);
        let start = first.span.start;
        let mut operands = vec![first];
        while self.take_if(token).is_some() {
            operands.push(operand(self));
        }
        if operands.len() == 1 {
            return operands.remove(0);
        }
        Expr { span: self.span_from(start), kind: ExprKind::Logical(operator, operands) }
    }

    fn unary_logical(&mut self) -> Expr {
        let token = self.peek_with_regex();
        let operator = match token.kind {
            Kind::Not => UnaryOperator::Not,
            Kind::Exists => UnaryOperator::Exists,
            _ => return self.binary(0),
        };
        self.consume();
        self.prefixed(token, operator, Self::unary_logical)
    }

    fn prefixed(
        &mut self,
        token: Token<'_>,
        operator: UnaryOperator,
        operand: fn(&mut Self) -> Expr,
    ) -> Expr {
        let argument = self
            .deeper(operand)
            .unwrap_or_else(|| Expr { span: token.span, kind: ExprKind::Bad("nested too deep".to_owned()) });
        let kind = ExprKind::Unary(operator, Box::new(argument));
        Expr { span: self.span_from(token.span.start), kind }
    }

    /// Comparison (level 0), sums (1), products (2), powers (3).
    fn binary(&mut self, level: u8) -> Expr {
        if level == 4 {
            return self.pipe();
        }
        let first = self.binary(level + 1);
        let start = first.span.start;
        let mut rest = Vec::new();
        while let Some(operator) = binary_operator(self.peek().kind, level) {
            self.consume();
            rest.push((operator, self.binary(level + 1)));
        }
        if rest.is_empty() {
            return first;
        }
        Expr { span: self.span_from(start), kind: ExprKind::Binary(Box::new(first), rest) }
    }

    fn pipe(&mut self) -> Expr {
        let first = self.sign();
        let start = first.span.start;
        let mut steps = Vec::new();
        while self.take_if(Kind::PipeForward).is_some() {
            let step = self.sign();
            if !matches!(step.kind, ExprKind::Call(..)) {
                self.error(step.span, "pipe destination must be a function call".to_owned());
            }
            steps.push(step);
        }
        if steps.is_empty() {
            return first;
        }
        Expr { span: self.span_from(start), kind: ExprKind::Pipe(Box::new(first), steps) }
    }

    fn sign(&mut self) -> Expr {
        let token = self.peek_with_regex();
        let operator = match token.kind {
            Kind::Sub => UnaryOperator::Minus,
            Kind::Add => UnaryOperator::Plus,
            _ => return self.postfix(),
        };
        self.consume();
        self.prefixed(token, operator, Self::sign)
    }

    fn postfix(&mut self) -> Expr {
        let mut expr = self.primary();
        let start = expr.span.start;
        let mut length = 0;
        loop {
            let token = self.peek();
            if !matches!(token.kind, Kind::Dot | Kind::LParen | Kind::LBrack) {
                return expr;
            }
            // On a new line a bracket begins a new statement only for Flux's users; Flux itself continues.
            length += 1;
            if self.depth + length > NESTING_MAX {
                self.error(token.span, "Program is nested too deep".to_owned());
                while self.peek().kind != Kind::Eof {
                    self.consume();
                }
                return expr;
            }
            self.consume();
            let inner = Box::new(expr);
            let kind = match token.kind {
                Kind::Dot => ExprKind::Member(inner, self.identifier(start)),
                Kind::LParen => {
                    let arguments = self.properties(Kind::RParen);
                    self.expect(Kind::RParen, start);
                    ExprKind::Call(inner, arguments)
                }
                _ => {
                    let index = self.expression();
                    self.expect(Kind::RBrack, start);
                    match index.kind {
                        ExprKind::String(name) => {
                            ExprKind::Member(inner, Identifier { span: index.span, name })
                        }
                        _ => ExprKind::Index(inner, Box::new(index)),
                    }
                }
            };
            expr = Expr { span: self.span_from(start), kind };
        }
    }

    fn primary(&mut self) -> Expr {
        let token = self.peek_with_regex();
        let start = token.span.start;
        let kind = match token.kind {
            Kind::LParen => return self.parenthesis(),
            Kind::LBrack => return self.array_or_dict(),
            Kind::LBrace => return self.record(),
            Kind::Quote => return self.interpolation(),
            Kind::If => return self.conditional(),
            Kind::Ident => {
                self.consume();
                ExprKind::Identifier(token.text.to_owned())
            }
            Kind::Int | Kind::Float | Kind::String | Kind::Regex | Kind::Time | Kind::Duration => {
                self.consume();
                self.literal(&token)
            }
            Kind::Dot => {
                self.consume();
                ExprKind::Label(self.identifier(start).name)
            }
            _ => {
                let message = format!("invalid token for primary expression: {}", token.kind.name());
                self.error(token.span, format!("invalid expression: {message}"));
                // Operators are left for the caller: `(* b)` has an operand missing, not a statement.
                if matches!(token.kind, Kind::Illegal | Kind::PipeReceive) {
                    self.consume();
                }
                if binary_operator(token.kind, 2).is_some() && self.depth > 0 {
                    self.last_end = token.span.end;
                }
                ExprKind::Bad(message)
            }
        };
        Expr { span: self.span_from(start), kind }
    }

    fn parenthesis(&mut self) -> Expr {
        let start = self.peek().span.start;
        if self.is_function() {
            return self.function();
        }
        self.consume();
        let inner = self.expression();
        let inner = self.missing_operators(inner, Kind::RParen);
        self.expect(Kind::RParen, start);
        Expr { span: self.span_from(start), kind: ExprKind::Paren(Box::new(inner)) }
    }

    /// Reports expressions that follow one another without an operator, and skips them.
    fn missing_operators(&mut self, first: Expr, end: Kind) -> Expr {
        let start = first.span.start;
        while self.peek().kind != end && starts_expression(self.peek_with_regex().kind) {
            let before = self.peek().offset;
            self.expression();
            let span = self.span_from(start);
            self.error(span, "expected an operator between two expressions".to_owned());
            if self.peek().offset == before {
                self.consume();
            }
        }
        first
    }

    /// Whether the parenthesis ahead holds parameters: its partner is followed by `=>`.
    fn is_function(&mut self) -> bool {
        self.peek();
        let mut ahead = self.lexer.clone();
        let first = ahead.next();
        match first.kind {
            Kind::RParen => return ahead.next().kind == Kind::Arrow,
            Kind::Ident => {}
            _ => return false,
        }
        match ahead.next().kind {
            Kind::Assign | Kind::Comma => true,
            Kind::RParen => ahead.next().kind == Kind::Arrow,
            _ => false,
        }
    }

    fn function(&mut self) -> Expr {
        let start = self.consume().span.start;
        let mut parameters = Vec::new();
        while !matches!(self.peek().kind, Kind::RParen | Kind::Eof) {
            let before = self.peek().offset;
            let name = self.identifier(start);
            let default = match self.take_if(Kind::Assign) {
                None => ParameterDefault::Required,
                Some(_) => match self.take_if(Kind::PipeReceive) {
                    Some(_) => ParameterDefault::Pipe,
                    None => ParameterDefault::Value(self.expression()),
                },
            };
            parameters.push(Parameter { name, default });
            self.comma(Kind::RParen, start);
            if self.peek().offset == before {
                self.consume();
            }
        }
        self.expect(Kind::RParen, start);
        self.expect(Kind::Arrow, start);
        let body = Box::new(self.body());
        Expr { span: self.span_from(start), kind: ExprKind::Function(parameters, body) }
    }

    /// The comma between the parts of a list; it may also follow the last.
    fn comma(&mut self, end: Kind, start: Position) {
        let token = self.peek();
        if token.kind == Kind::Comma {
            self.consume();
        } else if token.kind != end && token.kind != Kind::Eof {
            let span = super::Span { start, end: token.span.end };
            self.error(span, format!("expected COMMA, got {}", token.kind.name()));
        }
    }

    fn array_or_dict(&mut self) -> Expr {
        let start = self.consume().span.start;
        if self.peek().kind == Kind::Colon && self.peek_second() == Kind::RBrack {
            self.consume();
            self.consume();
            return Expr { span: self.span_from(start), kind: ExprKind::Dict(Vec::new()) };
        }
        let mut items = Vec::new();
        let mut pairs = Vec::new();
        while !matches!(self.peek().kind, Kind::RBrack | Kind::Eof) {
            let before = self.peek().offset;
            let item = self.expression();
            if self.peek().kind == Kind::Colon && items.is_empty() {
                self.consume();
                pairs.push((item, self.expression()));
            } else {
                if !pairs.is_empty() {
                    self.expect(Kind::Colon, item.span.start);
                }
                items.push(item);
            }
            self.comma(Kind::RBrack, start);
            if self.peek().offset == before {
                self.consume();
            }
        }
        self.expect(Kind::RBrack, start);
        let kind = if pairs.is_empty() { ExprKind::Array(items) } else { ExprKind::Dict(pairs) };
        Expr { span: self.span_from(start), kind }
    }

    fn record(&mut self) -> Expr {
        let start = self.consume().span.start;
        let mut base = None;
        if self.peek().kind == Kind::Ident {
            let mut ahead = self.lexer.clone();
            let second = ahead.next();
            if second.kind == Kind::Ident && second.text == "with" {
                base = Some(self.identifier(start));
                self.consume();
            }
        }
        let properties = self.properties(Kind::RBrace);
        self.expect(Kind::RBrace, start);
        Expr { span: self.span_from(start), kind: ExprKind::Record(base, properties) }
    }

    pub(super) fn properties(&mut self, end: Kind) -> Vec<Property> {
        let mut out = Vec::new();
        loop {
            let token = self.peek();
            match token.kind {
                kind if kind == end => return out,
                // A bracket that closes something further out: the caller reports it.
                Kind::Eof | Kind::RParen | Kind::RBrace | Kind::RBrack => return out,
                Kind::Ident | Kind::String => out.push(self.property()),
                Kind::Comma | Kind::Colon => {
                    self.error(token.span, "missing property key".to_owned());
                    self.consume();
                    if token.kind == Kind::Colon {
                        self.expression();
                        self.comma(end, token.span.start);
                    }
                    continue;
                }
                kind => {
                    let message =
                        format!("unexpected token for property key: {} ({})", kind.name(), token.text);
                    self.error(token.span, message);
                    self.consume();
                    continue;
                }
            }
            let token = self.peek();
            match token.kind {
                Kind::Comma => {
                    self.consume();
                }
                kind if kind == end => {}
                Kind::Eof | Kind::RParen | Kind::RBrace | Kind::RBrack => {}
                kind => {
                    let message = format!("expected comma in property list, got {}", kind.name());
                    self.error(token.span, message);
                }
            }
        }
    }

    fn property(&mut self) -> Property {
        let token = self.consume();
        let name = if token.kind == Kind::String { self.string_value(&token) } else { token.text.to_owned() };
        let key = Identifier { span: token.span, name };
        let value = match self.take_if(Kind::Colon) {
            None => None,
            Some(colon) => match self.peek_with_regex().kind {
                Kind::Comma | Kind::RBrace | Kind::RParen | Kind::Eof => {
                    self.error(token.span.to(colon.span), "missing property value".to_owned());
                    None
                }
                _ => Some(self.expression()),
            },
        };
        Property { span: self.span_from(token.span.start), key, value }
    }
}

const fn binary_operator(kind: Kind, level: u8) -> Option<BinaryOperator> {
    Some(match (kind, level) {
        (Kind::Eq, 0) => BinaryOperator::Equal,
        (Kind::Neq, 0) => BinaryOperator::NotEqual,
        (Kind::Lt, 0) => BinaryOperator::Less,
        (Kind::Lte, 0) => BinaryOperator::LessEqual,
        (Kind::Gt, 0) => BinaryOperator::Greater,
        (Kind::Gte, 0) => BinaryOperator::GreaterEqual,
        (Kind::RegexEq, 0) => BinaryOperator::Matches,
        (Kind::RegexNeq, 0) => BinaryOperator::NotMatches,
        (Kind::Add, 1) => BinaryOperator::Add,
        (Kind::Sub, 1) => BinaryOperator::Subtract,
        (Kind::Mul, 2) => BinaryOperator::Multiply,
        (Kind::Div, 2) => BinaryOperator::Divide,
        (Kind::Mod, 2) => BinaryOperator::Modulo,
        (Kind::Pow, 3) => BinaryOperator::Power,
        _ => return None,
    })
}
