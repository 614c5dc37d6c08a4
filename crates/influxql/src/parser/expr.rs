//! Expressions, by operator precedence.

use super::{OPERATIONS_MAX, Parser, Result, at, clause, unexpected};
use crate::ast::{Binary, Call, Expr, Operator, RefKind, VarRef};
use crate::display::quote_idents;
use crate::duration;
use crate::error::{ParseError, Position};
use crate::token::{Keyword, Token};

impl Parser<'_> {
    /// An expression with all its operators.
    pub(super) fn expr(&mut self) -> Result<Expr> {
        self.nested(Self::expr_inner)
    }

    fn expr_inner(&mut self) -> Result<Expr> {
        let mut root = self.unary()?;
        // What is inside the operands hangs below the operations, so both count: dropping a tree is recursion.
        let (mut operations, mut tallest) = (0, self.height);
        loop {
            let Some(op) = operator(self.next().token) else {
                self.unscan();
                self.height = tallest + operations;
                return Ok(root);
            };
            operations += 1;
            if tallest + operations > OPERATIONS_MAX {
                return Err(ParseError::TooDeep {
                    name: "max-influxql-operations",
                    what: "operations in one expression",
                    limit: OPERATIONS_MAX,
                });
            }
            let rhs = if matches!(op, Operator::EqRegex | Operator::NotEqRegex) {
                match self.regex()? {
                    Some(pattern) => Expr::Regex(pattern),
                    None => return Err(unexpected(&self.next(), &["regex"])),
                }
            } else {
                let rhs = self.unary()?;
                tallest = tallest.max(self.height);
                rhs
            };
            attach(&mut root, op, rhs);
        }
    }

    fn unary(&mut self) -> Result<Expr> {
        self.height = 0;
        let lexeme = self.next();
        match lexeme.token {
            Token::LeftParen => {
                let inner = self.expr()?;
                let close = self.next();
                if close.token != Token::RightParen {
                    return Err(unexpected(&close, &[")"]));
                }
                Ok(Expr::Paren(Box::new(inner)))
            }
            Token::Ident => {
                if self.scan().token == Token::LeftParen {
                    return self.call(&lexeme.text);
                }
                self.unscan();
                self.unscan();
                self.var_ref().map(Expr::Var)
            }
            Token::Keyword(Keyword::Distinct) => self.distinct(),
            Token::String => Ok(Expr::String(lexeme.text)),
            Token::Number => match lexeme.text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Expr::Number(value)),
                _ => Err(at(lexeme.position, "unable to parse number")),
            },
            Token::Integer => {
                integer(&lexeme.text).ok_or_else(|| at(lexeme.position, "unable to parse integer"))
            }
            Token::True => Ok(Expr::Boolean(true)),
            Token::False => Ok(Expr::Boolean(false)),
            Token::Duration => {
                duration::parse(&lexeme.text).map(Expr::Duration).map_err(|e| clause(&e.to_string()))
            }
            Token::Mul => self.wildcard(),
            Token::Regex => self.pattern(&lexeme).map(Expr::Regex),
            Token::BoundParam => Err(match lexeme.text.strip_prefix('$') {
                Some("") => clause("empty bound parameter"),
                Some(missing) => ParseError::Clause(format!("missing parameter: {missing}")),
                // A parameter whose value cannot be one: the text is the reason.
                None => ParseError::Clause(format!("missing parameter: {}", lexeme.text)),
            }),
            Token::Add => self.signed(false),
            Token::Sub => self.signed(true),
            _ => Err(unexpected(&lexeme, &["identifier", "string", "number", "bool"])),
        }
    }

    fn signed(&mut self, negative: bool) -> Result<Expr> {
        let lexeme = self.next();
        if !matches!(
            lexeme.token,
            Token::Number | Token::Integer | Token::Duration | Token::LeftParen | Token::Ident
        ) {
            return Err(unexpected(&lexeme, &["identifier", "number", "duration", "("]));
        }
        self.unscan();
        let sign = if negative { -1 } else { 1 };
        Ok(match self.unary()? {
            Expr::Number(value) => Expr::Number(if negative { -value } else { value }),
            // A parameter may be the one integer that has no opposite.
            Expr::Integer(value) => match value.checked_mul(sign) {
                Some(value) => Expr::Integer(value),
                None => Expr::Unsigned(value.unsigned_abs()),
            },
            Expr::Duration(value) => Expr::Duration(value * sign),
            Expr::Unsigned(value) if negative => match 0_i64.checked_sub_unsigned(value) {
                Some(value) => Expr::Integer(value),
                None => return Err(ParseError::Clause(format!("constant -{value} underflows int64"))),
            },
            literal @ Expr::Unsigned(_) => literal,
            other => {
                Expr::Binary(Box::new(Binary { op: Operator::Mul, lhs: Expr::Integer(sign), rhs: other }))
            }
        })
    }

    fn distinct(&mut self) -> Result<Expr> {
        let next = self.scan();
        match next.token {
            Token::LeftParen => self.call("distinct"),
            Token::Whitespace => Ok(Expr::Distinct(self.ident()?)),
            _ => Err(unexpected(&next, &["(", "identifier"])),
        }
    }

    fn wildcard(&mut self) -> Result<Expr> {
        if self.scan().token != Token::DoubleColon {
            self.unscan();
            return Ok(Expr::Wildcard(None));
        }
        let kind = self.scan();
        match kind.token {
            Token::Keyword(Keyword::Field) => Ok(Expr::Wildcard(Some(RefKind::Field))),
            Token::Keyword(Keyword::Tag) => Ok(Expr::Wildcard(Some(RefKind::Tag))),
            _ => Err(unexpected(&kind, &["field", "tag"])),
        }
    }

    /// The arguments of a call whose name and parenthesis are taken.
    fn call(&mut self, name: &str) -> Result<Expr> {
        let name = name.to_lowercase();
        let mut args = Vec::new();
        let mut tallest = 0;
        match self.regex()? {
            Some(pattern) => args.push(Expr::Regex(pattern)),
            None => {
                if self.scan().token == Token::RightParen {
                    return Ok(Expr::Call(Call { name, args }));
                }
                self.unscan();
                args.push(self.expr()?);
                tallest = self.height;
            }
        }
        while self.take(Token::Comma) {
            args.push(match self.regex()? {
                Some(pattern) => Expr::Regex(pattern),
                None => {
                    let arg = self.expr()?;
                    tallest = tallest.max(self.height);
                    arg
                }
            });
        }
        self.height = tallest;
        let close = self.scan();
        if close.token == Token::RightParen {
            Ok(Expr::Call(Call { name, args }))
        } else {
            Err(unexpected(&close, &[")"]))
        }
    }

    pub(super) fn var_ref(&mut self) -> Result<VarRef> {
        let name = self.segments()?.join(".");
        if self.scan().token != Token::DoubleColon {
            self.unscan();
            return Ok(VarRef { name, kind: None });
        }
        let lexeme = self.scan();
        let kind = match lexeme.token {
            Token::Keyword(Keyword::Field) => RefKind::Field,
            Token::Keyword(Keyword::Tag) => RefKind::Tag,
            Token::Ident => match lexeme.text.to_lowercase().as_str() {
                "float" => RefKind::Float,
                "integer" => RefKind::Integer,
                "unsigned" => RefKind::Unsigned,
                "string" => RefKind::String,
                "boolean" => RefKind::Boolean,
                _ => {
                    let all = ["float", "integer", "unsigned", "string", "boolean", "field", "tag"];
                    return Err(unexpected(&lexeme, &all));
                }
            },
            _ => {
                let some = ["float", "integer", "string", "boolean", "field", "tag"];
                return Err(unexpected(&lexeme, &some));
            }
        };
        Ok(VarRef { name, kind: Some(kind) })
    }

    /// Identifiers joined by dots; an empty one stands between two dots.
    pub(super) fn segments(&mut self) -> Result<Vec<String>> {
        let mut segments = vec![self.ident()?];
        loop {
            if self.scan().token != Token::Dot {
                self.unscan();
                break;
            }
            match self.scanner.peek_char() {
                Some('/' | ':') => break,
                Some('.') => segments.push(String::new()),
                _ => segments.push(self.ident()?),
            }
        }
        if segments.len() > 3 {
            let message = format!("too many segments in {}", quote_idents(&segments));
            return Err(at(Position::default(), message));
        }
        Ok(segments)
    }
}

fn integer(text: &str) -> Option<Expr> {
    text.parse().map(Expr::Integer).or_else(|_large| text.parse().map(Expr::Unsigned)).ok()
}

/// Hangs an operation into the tree, below operators that bind less.
fn attach(root: &mut Expr, op: Operator, rhs: Expr) {
    let mut node = root;
    while matches!(node, Expr::Binary(binary) if binary.op.precedence() < op.precedence()) {
        let Expr::Binary(binary) = node else { unreachable!("the condition above") };
        node = &mut binary.rhs;
    }
    let lhs = std::mem::replace(node, Expr::Wildcard(None));
    *node = Expr::Binary(Box::new(Binary { op, lhs, rhs }));
}

const fn operator(token: Token) -> Option<Operator> {
    Some(match token {
        Token::Add => Operator::Add,
        Token::Sub => Operator::Sub,
        Token::Mul => Operator::Mul,
        Token::Div => Operator::Div,
        Token::Mod => Operator::Mod,
        Token::BitAnd => Operator::BitAnd,
        Token::BitOr => Operator::BitOr,
        Token::BitXor => Operator::BitXor,
        Token::And => Operator::And,
        Token::Or => Operator::Or,
        Token::Eq => Operator::Eq,
        Token::NotEq => Operator::NotEq,
        Token::EqRegex => Operator::EqRegex,
        Token::NotEqRegex => Operator::NotEqRegex,
        Token::Less => Operator::Less,
        Token::LessEq => Operator::LessEq,
        Token::Greater => Operator::Greater,
        Token::GreaterEq => Operator::GreaterEq,
        _ => return None,
    })
}
