//! Names to slots, literals to constants, calls to checked calls.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::check::{self, Argument};
use super::ir::{Call, Ir, Lambda, LambdaDefault, Piece, Program, Step};
use crate::stdlib::{self, Signature, SignatureParameter};
use crate::syntax::ast::{
    Body, Expr, ExprKind, File, LogicalOperator, Parameter, ParameterDefault, Property, Statement,
    StatementKind, StringPiece, UnaryOperator,
};
use crate::syntax::{Diagnostic, Span};
use crate::value::{Type, Value};

/// Resolves a script, or returns what is wrong with it.
pub(crate) fn resolve(file: &File) -> Result<Program, Vec<Diagnostic>> {
    let mut resolver = Resolver { functions: vec![FunctionScope::default()], errors: Vec::new(), pipes: 0 };
    for import in &file.imports {
        let name = import.alias.as_ref().map_or_else(
            || import.path.rsplit('/').next().unwrap_or_default().to_owned(),
            |alias| alias.name.clone(),
        );
        match stdlib::package(&import.path) {
            stdlib::Package::Present => {
                resolver.define(&name, Known::Package(Rc::from(import.path.as_str())))
            }
            stdlib::Package::NotYet => {
                resolver.error(import.span, format!("package {} is not implemented yet", import.path));
                0
            }
            stdlib::Package::Unknown => {
                resolver.error(import.span, format!("invalid import path {}", import.path));
                0
            }
        };
    }
    let steps = resolver.statements(&file.body, false);
    let slots = resolver.functions.first().map_or(0, |f| f.slots);
    if resolver.errors.is_empty() { Ok(Program { steps, slots }) } else { Err(resolver.errors) }
}

/// What is known of a name.
#[derive(Debug, Clone)]
enum Known {
    Type(Type, Option<Rc<Signature>>),
    Package(Rc<str>),
}

#[derive(Debug, Default)]
struct FunctionScope {
    names: HashMap<String, (usize, Known)>,
    slots: usize,
}

/// An expression with what is known of its type.
pub(super) struct Typed {
    ir: Ir,
    pub(super) ty: Type,
    signature: Option<Rc<Signature>>,
}

impl Typed {
    const fn new(ir: Ir, ty: Type) -> Self {
        Self { ir, ty, signature: None }
    }

    fn constant(value: Value) -> Self {
        let ty = value.type_of();
        let signature = match &value {
            Value::Builtin(builtin) => Some(Rc::new(builtin.signature().clone())),
            _ => None,
        };
        Self { ir: Ir::Const(value), ty, signature }
    }
}

/// How many steps the pipes around an expression may have together.
const PIPES_MAX: usize = 400;

struct Resolver {
    functions: Vec<FunctionScope>,
    errors: Vec<Diagnostic>,
    /// Steps of the pipes around the expression at hand: each is one level of what is evaluated.
    pipes: usize,
}

impl Resolver {
    fn error(&mut self, span: Span, message: String) {
        self.errors.push(Diagnostic { span, message });
    }

    fn define(&mut self, name: &str, known: Known) -> usize {
        let scope = self.functions.last_mut().expect("the top scope stays");
        let slot = scope.slots;
        scope.slots += 1;
        scope.names.insert(name.to_owned(), (slot, known));
        slot
    }

    fn lookup(&self, name: &str) -> Option<(usize, usize, &Known)> {
        self.functions
            .iter()
            .rev()
            .enumerate()
            .find_map(|(hops, scope)| scope.names.get(name).map(|(slot, known)| (hops, *slot, known)))
    }

    fn statements(&mut self, statements: &[Statement], in_function: bool) -> Vec<Step> {
        statements.iter().filter_map(|s| self.statement(s, in_function)).collect()
    }

    fn statement(&mut self, statement: &Statement, in_function: bool) -> Option<Step> {
        match &statement.kind {
            StatementKind::Variable(name, value) => {
                let value = self.expr(value);
                let slot = self.define(&name.name, Known::Type(value.ty, value.signature));
                Some(Step::Let(slot, value.ir))
            }
            StatementKind::Option(name, value) => {
                let value = self.expr(value);
                if let Some(expected) = option_type(&name.name)
                    && !expected.takes(value.ty)
                {
                    let message = format!("expected {} but found {}", expected.name(), value.ty.name());
                    self.error(statement.span, message);
                }
                let slot = self.define(&name.name, Known::Type(value.ty, value.signature));
                Some(Step::Option(Rc::from(name.name.as_str()), slot, value.ir))
            }
            StatementKind::MemberOption(target, value) => {
                let value = self.expr(value);
                let ExprKind::Member(object, property) = &target.kind else { return None };
                let ExprKind::Identifier(package) = &object.kind else { return None };
                match self.lookup(package) {
                    Some((_, _, Known::Package(path))) if stdlib::has_option(path, &property.name) => {
                        // No other name has a dot in it.
                        let name = format!("{package}.{}", property.name);
                        let slot = self.define(&name, Known::Type(value.ty, value.signature));
                        Some(Step::Let(slot, value.ir))
                    }
                    Some((_, _, Known::Package(path))) => {
                        let message = format!("package {path} has no option {}", property.name);
                        self.error(statement.span, message);
                        None
                    }
                    _ => {
                        self.error(object.span, format!("{package} is not a package"));
                        None
                    }
                }
            }
            StatementKind::Return(value) => {
                if !in_function {
                    self.error(statement.span, "return not inside of a function".to_owned());
                }
                Some(Step::Return(self.expr(value).ir))
            }
            StatementKind::Expression(value) => Some(Step::Eval(self.expr(value).ir)),
            StatementKind::Builtin(name, _) => {
                if stdlib::universe(&name.name).is_none() {
                    self.error(name.span, format!("undefined builtin {}", name.name));
                }
                None
            }
            // Test cases run only under a test runner.
            StatementKind::TestCase(..) => None,
            StatementKind::Bad(text) => {
                self.error(statement.span, format!("invalid statement: {text}"));
                None
            }
        }
    }

    fn boxed(&mut self, expr: &Expr) -> Box<Ir> {
        Box::new(self.expr(expr).ir)
    }

    fn expr(&mut self, expr: &Expr) -> Typed {
        let constant = Typed::constant;
        match &expr.kind {
            ExprKind::Identifier(name) => self.identifier(name, expr.span),
            ExprKind::Integer(v) => constant(Value::Int(*v)),
            ExprKind::Float(v) => constant(Value::Float(*v)),
            ExprKind::String(v) | ExprKind::Label(v) => constant(Value::string(v)),
            ExprKind::Time(v) => constant(Value::Time(*v)),
            ExprKind::Duration(v) => constant(Value::Duration(*v)),
            ExprKind::Regex(pattern) => match model::Pattern::new(pattern) {
                Ok(pattern) => constant(Value::Regex(Rc::new(pattern))),
                Err(error) => {
                    self.error(expr.span, format!("invalid regular expression: {error}"));
                    constant(Value::Null)
                }
            },
            ExprKind::Interpolation(pieces) => Typed::new(self.interpolation(pieces), Type::String),
            ExprKind::Paren(inner) => self.expr(inner),
            ExprKind::Array(items) => {
                Typed::new(Ir::Array(items.iter().map(|i| self.expr(i).ir).collect()), Type::Array)
            }
            ExprKind::Dict(pairs) => {
                let pairs = pairs.iter().map(|(k, v)| (self.expr(k).ir, self.expr(v).ir)).collect();
                Typed::new(Ir::Dict(pairs), Type::Dict)
            }
            ExprKind::Record(base, properties) => {
                let base = base.as_ref().map(|b| Box::new(self.identifier(&b.name, b.span).ir));
                let fields = properties.iter().map(|p| self.property(p)).map(|(n, t, _)| (n, t.ir)).collect();
                Typed::new(Ir::Record(base, fields), Type::Record)
            }
            ExprKind::Function(parameters, body) => self.function(parameters, body),
            ExprKind::If(parts) => self.conditional(parts),
            ExprKind::Member(object, property) => self.member(object, &property.name, expr.span),
            ExprKind::Index(object, index) => {
                Typed::new(Ir::Index(self.boxed(object), self.boxed(index)), Type::Any)
            }
            ExprKind::Call(callee, arguments) => self.call(callee, arguments, None, expr.span),
            ExprKind::Pipe(first, steps) => self.pipe(first, steps),
            ExprKind::Unary(operator, operand) => self.unary(*operator, operand),
            ExprKind::Binary(first, rest) => self.binary(first, rest),
            ExprKind::Logical(operator, operands) => {
                let parts = operands.iter().map(|o| self.boolean(o)).collect();
                let ir = match operator {
                    LogicalOperator::And => Ir::And(parts),
                    LogicalOperator::Or => Ir::Or(parts),
                };
                Typed::new(ir, Type::Bool)
            }
            ExprKind::Bad(text) => {
                self.error(expr.span, format!("invalid expression: {text}"));
                constant(Value::Null)
            }
        }
    }

    fn boolean(&mut self, expr: &Expr) -> Ir {
        let typed = self.expr(expr);
        if !Type::Bool.takes(typed.ty) {
            self.error(expr.span, format!("expected bool but found {}", typed.ty.name()));
        }
        typed.ir
    }

    fn conditional(&mut self, parts: &[Expr; 3]) -> Typed {
        let [test, consequent, alternate] = parts;
        let test = self.boolean(test);
        let (yes, no) = (self.expr(consequent), self.expr(alternate));
        if !yes.ty.takes(no.ty) {
            self.error(alternate.span, format!("expected {} but found {}", yes.ty.name(), no.ty.name()));
        }
        let ty = if yes.ty == Type::Any { no.ty } else { yes.ty };
        Typed::new(Ir::If(Box::new([test, yes.ir, no.ir])), ty)
    }

    fn identifier(&mut self, name: &str, span: Span) -> Typed {
        if let Some((hops, slot, known)) = self.lookup(name) {
            return match known.clone() {
                Known::Type(ty, signature) => Typed { ir: Ir::Var { hops, slot }, ty, signature },
                Known::Package(_) => Typed::constant(crate::value::Record::of([])),
            };
        }
        if let Some(value) = stdlib::universe(name) {
            return Typed::constant(value);
        }
        if !name.is_empty() {
            self.error(span, format!("undefined identifier {name}"));
        }
        Typed::new(Ir::Const(Value::Null), Type::Any)
    }

    fn interpolation(&mut self, pieces: &[StringPiece]) -> Ir {
        let mut out = Vec::with_capacity(pieces.len());
        for piece in pieces {
            out.push(match piece {
                StringPiece::Text(text) => Piece::Text(Rc::from(text.as_str())),
                StringPiece::Expression(expr) => {
                    let typed = self.expr(expr);
                    if matches!(typed.ty, Type::Record | Type::Array | Type::Function | Type::Stream) {
                        self.error(expr.span, format!("{} is not Stringable", typed.ty.name()));
                    }
                    Piece::Value(typed.ir)
                }
            });
        }
        Ir::Text(out)
    }

    /// A property's name, value and the value's place. Without a value it is the variable of that name.
    fn property(&mut self, property: &Property) -> (Rc<str>, Typed, Span) {
        let name = Rc::from(property.key.name.as_str());
        match &property.value {
            Some(value) => (name, self.expr(value), value.span),
            None => (name, self.identifier(&property.key.name, property.key.span), property.key.span),
        }
    }

    fn member(&mut self, object: &Expr, name: &str, span: Span) -> Typed {
        if let ExprKind::Identifier(package) = &object.kind
            && let Some((_, _, Known::Package(path))) = self.lookup(package)
        {
            let path = Rc::clone(path);
            if let Some((hops, slot, Known::Type(ty, signature))) = self.lookup(&format!("{package}.{name}"))
            {
                return Typed { ir: Ir::Var { hops, slot }, ty: *ty, signature: signature.clone() };
            }
            return stdlib::member(&path, name).map_or_else(
                || {
                    self.error(span, format!("package {path} has no member {name}"));
                    Typed::new(Ir::Const(Value::Null), Type::Any)
                },
                Typed::constant,
            );
        }
        let typed = self.expr(object);
        if !matches!(typed.ty, Type::Any | Type::Record) {
            self.error(object.span, format!("expected record but found {}", typed.ty.name()));
        }
        Typed::new(Ir::Member(Box::new(typed.ir), Rc::from(name), Cell::new(0)), Type::Any)
    }

    fn unary(&mut self, operator: UnaryOperator, operand: &Expr) -> Typed {
        match operator {
            UnaryOperator::Not => Typed::new(Ir::Not(Box::new(self.boolean(operand))), Type::Bool),
            UnaryOperator::Exists => Typed::new(Ir::Exists(self.boxed(operand)), Type::Bool),
            UnaryOperator::Minus | UnaryOperator::Plus => {
                let typed = self.expr(operand);
                if !matches!(typed.ty, Type::Any | Type::Int | Type::Float | Type::Duration) {
                    self.error(operand.span, format!("{} is not Negatable", typed.ty.name()));
                }
                match (operator, typed.ir) {
                    (UnaryOperator::Minus, ir) => Typed::new(Ir::Minus(Box::new(ir)), typed.ty),
                    (_, ir) => Typed::new(ir, typed.ty),
                }
            }
        }
    }

    fn binary(&mut self, first: &Expr, rest: &[(crate::syntax::ast::BinaryOperator, Expr)]) -> Typed {
        let mut left = self.expr(first);
        let mut chain = Vec::with_capacity(rest.len());
        for (operator, operand) in rest {
            let right = self.expr(operand);
            match check::binary(*operator, &left, &right) {
                Ok(ty) => left.ty = ty,
                Err(message) => {
                    self.error(operand.span, message);
                    left.ty = Type::Any;
                }
            }
            chain.push((*operator, right.ir));
        }
        Typed::new(Ir::Binary(Box::new(left.ir), chain), left.ty)
    }

    fn pipe(&mut self, first: &Expr, steps: &[Expr]) -> Typed {
        let around = self.pipes;
        self.pipes += steps.len();
        if self.pipes > PIPES_MAX {
            self.error(first.span, format!("Program is nested too deep: more than {PIPES_MAX} pipes"));
            self.pipes = around;
            return Typed::constant(Value::Null);
        }
        let mut piped = self.expr(first);
        for step in steps {
            if let ExprKind::Call(callee, arguments) = &step.kind {
                piped = self.call(callee, arguments, Some((piped, first.span)), step.span);
            }
        }
        self.pipes = around;
        piped
    }

    fn call(
        &mut self,
        callee: &Expr,
        properties: &[Property],
        piped: Option<(Typed, Span)>,
        span: Span,
    ) -> Typed {
        let name = call_name(callee);
        let function = self.expr(callee);
        if !Type::Function.takes(function.ty) {
            self.error(callee.span, format!("expected function but found {}", function.ty.name()));
        }
        let mut arguments = Vec::with_capacity(properties.len());
        let mut written = Vec::with_capacity(properties.len());
        for property in properties {
            let (name, typed, span) = self.property(property);
            if written.iter().any(|a: &Argument| a.name == name) {
                self.error(property.span, format!("duplicate argument {name}"));
            }
            written.push(Argument { name: Rc::clone(&name), span, ty: typed.ty });
            arguments.push((name, typed.ir));
        }
        let mut result = Type::Any;
        if let Some(signature) = &function.signature {
            let from = piped.as_ref().map(|(typed, span)| (*span, typed.ty));
            for (span, message) in check::call(signature, &written, from, span) {
                self.error(span, message);
            }
            result = signature.result;
        }
        let piped = piped.map(|(typed, _)| typed.ir);
        Typed::new(Ir::Call(Box::new(Call { callee: function.ir, name, span, arguments, piped })), result)
    }

    fn function(&mut self, parameters: &[Parameter], body: &Body) -> Typed {
        // Defaults see the scope outside, not the other parameters.
        let mut resolved = Vec::with_capacity(parameters.len());
        let mut known = Vec::with_capacity(parameters.len());
        for parameter in parameters {
            let name: Rc<str> = Rc::from(parameter.name.name.as_str());
            let (default, required, pipe) = match &parameter.default {
                ParameterDefault::Required => (LambdaDefault::Required, true, false),
                ParameterDefault::Pipe => (LambdaDefault::Pipe, false, true),
                ParameterDefault::Value(value) => (LambdaDefault::Value(self.expr(value).ir), false, false),
            };
            if known.iter().any(|p: &SignatureParameter| *p.name == *name) {
                self.error(parameter.name.span, format!("duplicate parameter {name}"));
            }
            known.push(SignatureParameter { name: Arc::from(&*name), ty: Type::Any, required, pipe });
            resolved.push((name, default));
        }
        self.functions.push(FunctionScope::default());
        for (name, _) in &resolved {
            self.define(name, Known::Type(Type::Any, None));
        }
        let body = match body {
            Body::Expression(value) => vec![Step::Return(self.expr(value).ir)],
            Body::Block(span, statements) => {
                if !matches!(statements.last().map(|s| &s.kind), Some(StatementKind::Return(_))) {
                    self.error(*span, "missing return statement in block".to_owned());
                }
                self.statements(statements, true)
            }
        };
        let scope = self.functions.pop().expect("pushed above");
        let lambda = Lambda { parameters: resolved, slots: scope.slots, body };
        let signature = Signature { parameters: known, result: Type::Any, open: false };
        Typed { ir: Ir::Function(Rc::new(lambda)), ty: Type::Function, signature: Some(Rc::new(signature)) }
    }
}

/// The function as the script names it.
fn call_name(callee: &Expr) -> String {
    match &callee.kind {
        ExprKind::Identifier(name) => name.clone(),
        ExprKind::Member(object, property) => match &object.kind {
            ExprKind::Identifier(package) => format!("{package}.{}", property.name),
            _ => property.name.clone(),
        },
        _ => "function".to_owned(),
    }
}

/// The type that a built-in option has.
fn option_type(name: &str) -> Option<Type> {
    match name {
        "now" => Some(Type::Function),
        "location" | "task" => Some(Type::Record),
        _ => None,
    }
}
