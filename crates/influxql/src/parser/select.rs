//! SELECT, its clauses, and EXPLAIN.

use jiff::tz::TimeZone;

use super::{Parser, Result, clause, unexpected};
use crate::ast::{Expr, Field, Fill, Measurement, Order, Select, Source, Statement, Target, VarRef};
use crate::error::{ParseError, Position};
use crate::token::{Keyword, Token};

/// Whether a SELECT must or may have INTO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Into {
    Required,
    Allowed,
}

impl Parser<'_> {
    /// `SELECT` is taken.
    pub(super) fn select(&mut self, into: Into) -> Result<Select> {
        self.nested(|parser| parser.select_inner(into))
    }

    fn select_inner(&mut self, into: Into) -> Result<Select> {
        let fields = self.fields()?;
        let target = self.target(into)?;
        self.expect_keyword(Keyword::From)?;
        let sources = self.sources(true)?;
        let condition = self.condition()?;
        let dimensions = self.dimensions()?;
        let fill = self.fill()?;
        let order = self.order_by()?;
        let limit = self.optional_count(Keyword::Limit)?;
        let offset = self.optional_count(Keyword::Offset)?;
        let slimit = self.optional_count(Keyword::Slimit)?;
        let soffset = self.optional_count(Keyword::Soffset)?;
        let timezone = self.timezone()?;
        Ok(Select {
            fields,
            target,
            sources,
            condition,
            dimensions,
            fill,
            order,
            limit,
            offset,
            slimit,
            soffset,
            timezone,
        })
    }

    pub(super) fn explain(&mut self) -> Result<Statement> {
        let analyze = self.take_keyword(Keyword::Analyze);
        self.expect_keyword(Keyword::Select)?;
        Ok(Statement::Explain { analyze, select: Box::new(self.select(Into::Allowed)?) })
    }

    fn fields(&mut self) -> Result<Vec<Field>> {
        let mut fields = Vec::new();
        loop {
            fields.push(self.field()?);
            if self.scan().token != Token::Comma {
                self.unscan();
                return Ok(fields);
            }
        }
    }

    fn field(&mut self) -> Result<Field> {
        let expr = match self.regex()? {
            Some(pattern) => Expr::Regex(pattern),
            None => {
                let position = self.next().position;
                self.unscan();
                let expr = self.expr()?;
                refuse_condition(&expr, position)?;
                expr
            }
        };
        let alias = if self.take_keyword(Keyword::As) { Some(self.ident()?) } else { None };
        self.skip_whitespace();
        Ok(Field { expr, alias })
    }

    fn target(&mut self, into: Into) -> Result<Option<Target>> {
        let lexeme = self.next();
        if lexeme.token != Token::Keyword(Keyword::Into) {
            if into == Into::Required {
                return Err(unexpected(&lexeme, &["INTO"]));
            }
            self.unscan();
            return Ok(None);
        }
        let mut names = self.segments()?;
        if names.len() < 3 && self.scanner.peek_char() == Some(':') {
            self.expect(Token::Colon)?;
            self.expect_keyword(Keyword::Measurement)?;
            names.push(String::new());
        }
        Ok(Some(Target { measurement: measurement(names) }))
    }

    pub(super) fn sources(&mut self, subqueries: bool) -> Result<Vec<Source>> {
        self.list(|parser| parser.source(subqueries))
    }

    pub(super) fn source(&mut self, subqueries: bool) -> Result<Source> {
        if let Some(pattern) = self.regex()? {
            return Ok(Source::Measurement(Measurement { pattern: Some(pattern), ..Measurement::default() }));
        }
        if subqueries && self.take(Token::LeftParen) {
            self.expect_keyword(Keyword::Select)?;
            let select = self.select(Into::Allowed)?;
            self.expect(Token::RightParen)?;
            return Ok(Source::Subquery(Box::new(select)));
        }
        let mut names = self.segments()?;
        if names.len() == 3 {
            return Ok(Source::Measurement(measurement(names)));
        }
        let Some(pattern) = self.regex()? else { return Ok(Source::Measurement(measurement(names))) };
        names.push(String::new());
        Ok(Source::Measurement(Measurement { pattern: Some(pattern), ..measurement(names) }))
    }

    pub(super) fn condition(&mut self) -> Result<Option<Expr>> {
        if self.take_keyword(Keyword::Where) { self.expr().map(Some) } else { Ok(None) }
    }

    pub(super) fn dimensions(&mut self) -> Result<Vec<Expr>> {
        if !self.take_keyword(Keyword::Group) {
            return Ok(Vec::new());
        }
        self.expect_keyword(Keyword::By)?;
        let mut dimensions = Vec::new();
        loop {
            dimensions.push(match self.regex()? {
                Some(pattern) => Expr::Regex(pattern),
                None => {
                    let expr = self.expr()?;
                    self.skip_whitespace();
                    expr
                }
            });
            if self.scan().token != Token::Comma {
                self.unscan();
                return Ok(dimensions);
            }
        }
    }

    /// The call `name(...)` when an identifier of that name comes next.
    fn named_call(&mut self, name: &str) -> Result<Option<Expr>> {
        let lexeme = self.next();
        self.unscan();
        if lexeme.token == Token::Ident && lexeme.text.eq_ignore_ascii_case(name) {
            self.expr().map(Some)
        } else {
            Ok(None)
        }
    }

    fn fill(&mut self) -> Result<Fill> {
        let Some(expr) = self.named_call("fill")? else { return Ok(Fill::Null) };
        let Expr::Call(call) = expr else { return Err(clause("fill must be a function call")) };
        let [argument] = &call.args[..] else {
            return Err(clause("fill requires an argument, e.g.: 0, null, none, previous, linear"));
        };
        match argument {
            Expr::Var(VarRef { name, kind: None }) if name == "null" => Ok(Fill::Null),
            Expr::Var(VarRef { name, kind: None }) if name == "none" => Ok(Fill::None),
            Expr::Var(VarRef { name, kind: None }) if name == "previous" => Ok(Fill::Previous),
            Expr::Var(VarRef { name, kind: None }) if name == "linear" => Ok(Fill::Linear),
            Expr::Integer(value) => Ok(Fill::Integer(*value)),
            Expr::Number(value) => Ok(Fill::Number(*value)),
            _ => Err(clause("expected number argument in fill()")),
        }
    }

    fn timezone(&mut self) -> Result<Option<String>> {
        let Some(expr) = self.named_call("tz")? else { return Ok(None) };
        let Expr::Call(call) = expr else { return Err(clause("tz must be a function call")) };
        let [argument] = &call.args[..] else { return Err(clause("tz requires exactly one argument")) };
        let Expr::String(name) = argument else { return Err(clause("expected string argument in tz()")) };
        match TimeZone::get(name) {
            Ok(_) => Ok(Some(name.clone())),
            Err(_) => Err(ParseError::Clause(format!("unable to find time zone {name}"))),
        }
    }

    pub(super) fn order_by(&mut self) -> Result<Option<Order>> {
        if !self.take_keyword(Keyword::Order) {
            return Ok(None);
        }
        self.expect_keyword(Keyword::By)?;
        let lexeme = self.next();
        let order = match lexeme.token {
            Token::Keyword(Keyword::Asc) => Order { field: None, ascending: true },
            Token::Keyword(Keyword::Desc) => Order { field: None, ascending: false },
            Token::Ident => {
                let ascending = self.ascending();
                if lexeme.text != "time" {
                    return Err(clause("only ORDER BY time supported at this time"));
                }
                Order { field: Some(lexeme.text), ascending }
            }
            _ => return Err(unexpected(&lexeme, &["identifier", "ASC", "DESC"])),
        };
        if self.take(Token::Comma) {
            self.ident()?;
            return Err(clause("only ORDER BY time supported at this time"));
        }
        Ok(Some(order))
    }

    fn ascending(&mut self) -> bool {
        if self.take_keyword(Keyword::Desc) {
            return false;
        }
        self.take_keyword(Keyword::Asc);
        true
    }
}

/// One to three names: measurement, then retention policy, then database before it.
fn measurement(mut names: Vec<String>) -> Measurement {
    let name = names.pop().unwrap_or_default();
    let given = |name: Option<String>| name.filter(|n| !n.is_empty());
    let retention_policy = given(names.pop());
    let database = given(names.pop());
    Measurement { database, retention_policy, name, pattern: None }
}

fn refuse_condition(expr: &Expr, position: Position) -> Result<()> {
    let mut bad = None;
    expr.walk(&mut |inner| {
        if let Expr::Binary(binary) = inner
            && binary.op.is_condition()
        {
            bad.get_or_insert(binary.op);
        }
    });
    match bad {
        None => Ok(()),
        Some(op) => Err(ParseError::Clause(format!(
            "invalid operator {} in SELECT clause at {position}; operator is intended for WHERE clause",
            op.text()
        ))),
    }
}
