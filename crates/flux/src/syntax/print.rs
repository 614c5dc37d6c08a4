//! A syntax tree as one line per node, indented, each with its place: what tests compare.

use std::fmt::Write as _;

use super::ast::{
    Body, Expr, ExprKind, File, ParameterDefault, Property, Statement, StatementKind, StringPiece,
};

impl File {
    /// One line per node, indented by depth, each with its place.
    pub fn dump(&self) -> String {
        let mut out = Dump { text: String::new(), depth: 0 };
        out.line(&format!("file {}", self.span));
        if let Some(package) = &self.package {
            out.line(&format!("package {} {}", package.name, package.span));
        }
        for import in &self.imports {
            let alias = import.alias.as_ref().map_or(String::new(), |a| format!("{} ", a.name));
            out.line(&format!("import {alias}{:?} {}", import.path, import.span));
        }
        out.statements(&self.body);
        out.text
    }
}

struct Dump {
    text: String,
    depth: usize,
}

impl Dump {
    fn line(&mut self, text: &str) {
        let indent = "  ".repeat(self.depth);
        writeln!(self.text, "{indent}{text}").expect("writing to a String cannot fail");
    }

    fn nested(&mut self, f: impl FnOnce(&mut Self)) {
        self.depth += 1;
        f(self);
        self.depth -= 1;
    }

    fn statements(&mut self, statements: &[Statement]) {
        statements.iter().for_each(|s| self.statement(s));
    }

    fn statement(&mut self, statement: &Statement) {
        let span = statement.span;
        match &statement.kind {
            StatementKind::Variable(name, value) => {
                self.line(&format!("{} = {span}", name.name));
                self.nested(|d| d.expr(value));
            }
            StatementKind::Option(name, value) => {
                self.line(&format!("option {} = {span}", name.name));
                self.nested(|d| d.expr(value));
            }
            StatementKind::MemberOption(target, value) => {
                self.line(&format!("option {span}"));
                self.nested(|d| {
                    d.expr(target);
                    d.expr(value);
                });
            }
            StatementKind::Return(value) => {
                self.line(&format!("return {span}"));
                self.nested(|d| d.expr(value));
            }
            StatementKind::Expression(value) => self.expr(value),
            StatementKind::Builtin(name, ty) => self.line(&format!("builtin {} {span} {ty:?}", name.name)),
            StatementKind::TestCase(name, extends, body) => {
                self.line(&format!("testcase {} {extends:?} {span}", name.name));
                self.nested(|d| d.statements(body));
            }
            StatementKind::Bad(text) => self.line(&format!("bad {text:?} {span}")),
        }
    }

    fn properties(&mut self, properties: &[Property]) {
        for property in properties {
            self.line(&format!("{}: {}", property.key.name, property.span));
            if let Some(value) = &property.value {
                self.nested(|d| d.expr(value));
            }
        }
    }

    fn group(&mut self, title: &str, parts: &[&Expr]) {
        self.line(title);
        self.nested(|d| parts.iter().for_each(|p| d.expr(p)));
    }

    fn expr(&mut self, expr: &Expr) {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Identifier(name) => self.line(&format!("{name} {span}")),
            ExprKind::Integer(value) => self.line(&format!("int {value} {span}")),
            ExprKind::Float(value) => self.line(&format!("float {value:?} {span}")),
            ExprKind::String(value) => self.line(&format!("{value:?} {span}")),
            ExprKind::Regex(pattern) => self.line(&format!("regex {pattern} {span}")),
            ExprKind::Time(value) => {
                self.line(&format!("time {} {span}", model::Timestamp(*value).to_rfc3339()));
            }
            ExprKind::Duration(value) => self.line(&format!("duration {value} {span}")),
            ExprKind::Label(name) => self.line(&format!("label {name} {span}")),
            ExprKind::Interpolation(pieces) => {
                self.line(&format!("interpolation {span}"));
                self.nested(|d| {
                    for piece in pieces {
                        match piece {
                            StringPiece::Text(text) => d.line(&format!("{text:?}")),
                            StringPiece::Expression(inner) => d.expr(inner),
                        }
                    }
                });
            }
            ExprKind::Paren(inner) => self.group(&format!("paren {span}"), &[inner]),
            ExprKind::Array(items) => self.group(&format!("array {span}"), &items.iter().collect::<Vec<_>>()),
            ExprKind::Dict(pairs) => {
                let parts: Vec<_> = pairs.iter().flat_map(|(k, v)| [k, v]).collect();
                self.group(&format!("dict {span}"), &parts);
            }
            ExprKind::Record(base, properties) => {
                let base = base.as_ref().map_or(String::new(), |b| format!("{} with ", b.name));
                self.line(&format!("record {base}{span}"));
                self.nested(|d| d.properties(properties));
            }
            ExprKind::Function(parameters, body) => {
                self.line(&format!("function {span}"));
                self.nested(|d| {
                    for parameter in parameters {
                        match &parameter.default {
                            ParameterDefault::Required => {
                                d.line(&format!("parameter {}", parameter.name.name));
                            }
                            ParameterDefault::Pipe => {
                                d.line(&format!("parameter {}=<-", parameter.name.name));
                            }
                            ParameterDefault::Value(value) => {
                                d.group(&format!("parameter {}=", parameter.name.name), &[value]);
                            }
                        }
                    }
                    match &**body {
                        Body::Expression(value) => d.expr(value),
                        Body::Block(span, statements) => {
                            d.line(&format!("block {span}"));
                            d.nested(|d| d.statements(statements));
                        }
                    }
                });
            }
            ExprKind::If(parts) => self.group(&format!("if {span}"), &parts.iter().collect::<Vec<_>>()),
            ExprKind::Member(object, property) => {
                self.group(&format!("member {} {span}", property.name), &[object]);
            }
            ExprKind::Index(object, index) => self.group(&format!("index {span}"), &[object, index]),
            ExprKind::Call(callee, arguments) => {
                self.group(&format!("call {span}"), &[callee]);
                self.nested(|d| d.properties(arguments));
            }
            ExprKind::Pipe(first, steps) => {
                let parts: Vec<_> = std::iter::once(&**first).chain(steps).collect();
                self.group(&format!("pipe {span}"), &parts);
            }
            ExprKind::Unary(operator, inner) => {
                self.group(&format!("{} {span}", format!("{operator:?}").to_lowercase()), &[inner]);
            }
            ExprKind::Binary(first, rest) => {
                self.group(&format!("binary {span}"), &[first]);
                self.nested(|d| {
                    for (operator, operand) in rest {
                        d.group(operator.symbol(), &[operand]);
                    }
                });
            }
            ExprKind::Logical(operator, operands) => {
                let title = format!("{} {span}", format!("{operator:?}").to_lowercase());
                self.group(&title, &operands.iter().collect::<Vec<_>>());
            }
            ExprKind::Bad(text) => self.line(&format!("bad {text:?} {span}")),
        }
    }
}
