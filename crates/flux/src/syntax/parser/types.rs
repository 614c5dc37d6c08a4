//! Type expressions, as they follow `builtin name :`.

use super::super::ast::{Monotype, TypeExpr};
use super::super::token::Kind;
use super::Parser;

impl Parser<'_> {
    pub(super) fn type_expression(&mut self) -> TypeExpr {
        let monotype = self.monotype();
        let mut constraints = Vec::new();
        let token = self.peek();
        if token.kind == Kind::Ident && token.text == "where" {
            self.consume();
            loop {
                let start = self.peek().span.start;
                let name = self.identifier(start).name;
                self.expect(Kind::Colon, start);
                let mut kinds = vec![self.identifier(start).name];
                while self.take_if(Kind::Add).is_some() {
                    kinds.push(self.identifier(start).name);
                }
                constraints.push((name, kinds));
                if self.take_if(Kind::Comma).is_none() {
                    break;
                }
            }
        }
        TypeExpr { monotype, constraints }
    }

    fn monotype(&mut self) -> Monotype {
        self.deeper(Self::monotype_here).unwrap_or(Monotype::Name(String::new()))
    }

    fn monotype_here(&mut self) -> Monotype {
        let token = self.peek();
        let start = token.span.start;
        match token.kind {
            Kind::LBrack => {
                self.consume();
                let first = self.monotype();
                let result = match self.take_if(Kind::Colon) {
                    Some(_) => Monotype::Dict(Box::new([first, self.monotype()])),
                    None => Monotype::Array(Box::new(first)),
                };
                self.expect(Kind::RBrack, start);
                result
            }
            Kind::LBrace => self.record_type(),
            Kind::LParen => self.function_type(),
            _ => {
                let name = self.identifier(start).name;
                if matches!(name.as_str(), "stream" | "vector") && self.take_if(Kind::LBrack).is_some() {
                    let inner = self.monotype();
                    self.expect(Kind::RBrack, start);
                    return Monotype::Generic(name, Box::new(inner));
                }
                Monotype::Name(name)
            }
        }
    }

    fn record_type(&mut self) -> Monotype {
        let start = self.consume().span.start;
        let mut base = None;
        let mut fields = Vec::new();
        while !matches!(self.peek().kind, Kind::RBrace | Kind::Eof) {
            let key = match self.take_if(Kind::String) {
                Some(token) => self.string_value(&token),
                None => self.identifier(start).name,
            };
            let next = self.peek();
            if base.is_none() && fields.is_empty() && next.kind == Kind::Ident && next.text == "with" {
                self.consume();
                base = Some(key);
                continue;
            }
            if self.expect(Kind::Colon, start).is_none() {
                break;
            }
            fields.push((key, self.monotype()));
            if self.take_if(Kind::Comma).is_none() {
                break;
            }
        }
        self.expect(Kind::RBrace, start);
        Monotype::Record(base, fields)
    }

    fn function_type(&mut self) -> Monotype {
        let start = self.consume().span.start;
        let mut parameters = Vec::new();
        while !matches!(self.peek().kind, Kind::RParen | Kind::Eof) {
            let prefix = if self.take_if(Kind::QuestionMark).is_some() {
                "?"
            } else if self.take_if(Kind::PipeReceive).is_some() {
                "<-"
            } else {
                ""
            };
            let name = if prefix == "<-" && self.peek().kind == Kind::Colon {
                String::new()
            } else {
                self.identifier(start).name
            };
            if self.expect(Kind::Colon, start).is_none() {
                break;
            }
            parameters.push((prefix, name, self.monotype()));
            if self.take_if(Kind::Comma).is_none() {
                break;
            }
        }
        self.expect(Kind::RParen, start);
        self.expect(Kind::Arrow, start);
        Monotype::Function(parameters, Box::new(self.monotype()))
    }
}
