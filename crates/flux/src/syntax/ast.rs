//! The syntax tree. Every node knows its place.
//!
//! Chains are flat (`a |> b() |> c()`, `a or b or c`, `a + b - c` are one node each), so that long chains do not make
//! deep trees: depth is bounded by [`super::NESTING_MAX`], and walking the tree by recursion is safe.

use super::position::Span;
use crate::value::Duration;

/// A script.
#[derive(Debug, Clone)]
pub struct File {
    /// All of it.
    pub span: Span,
    /// `package name`.
    pub package: Option<Identifier>,
    /// `import "path"` lines.
    pub imports: Vec<Import>,
    /// The statements.
    pub body: Vec<Statement>,
}

/// A name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    /// Where.
    pub span: Span,
    /// The name.
    pub name: String,
}

/// `import name "path"`.
#[derive(Debug, Clone)]
pub struct Import {
    /// Where.
    pub span: Span,
    /// The name given to the package, if any.
    pub alias: Option<Identifier>,
    /// The package's path.
    pub path: String,
}

/// A statement.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Where.
    pub span: Span,
    /// What it does.
    pub kind: StatementKind,
}

/// What a statement does.
#[derive(Debug, Clone)]
pub enum StatementKind {
    /// `name = value`
    Variable(Identifier, Expr),
    /// `option name = value`
    Option(Identifier, Expr),
    /// `option package.name = value`
    MemberOption(Expr, Expr),
    /// `return value`
    Return(Expr),
    /// A bare expression.
    Expression(Expr),
    /// `builtin name : type`
    Builtin(Identifier, TypeExpr),
    /// `testcase name extends "..." { ... }`
    TestCase(Identifier, Option<String>, Vec<Statement>),
    /// Text that is no statement.
    Bad(String),
}

/// An expression.
#[derive(Debug, Clone)]
pub struct Expr {
    /// Where.
    pub span: Span,
    /// What it is.
    pub kind: ExprKind,
}

/// What an expression is.
#[derive(Debug, Clone)]
pub enum ExprKind {
    /// A name.
    Identifier(String),
    /// `1`
    Integer(i64),
    /// `1.0`
    Float(f64),
    /// `"text"`
    String(String),
    /// `/re/`, the pattern.
    Regex(String),
    /// `2021-01-01T00:00:00Z`, nanoseconds.
    Time(i64),
    /// `1h30m`
    Duration(Duration),
    /// `.name`
    Label(String),
    /// `"a ${b} c"`
    Interpolation(Vec<StringPiece>),
    /// `(a)`
    Paren(Box<Expr>),
    /// `[a, b]`
    Array(Vec<Expr>),
    /// `[k: v]`
    Dict(Vec<(Expr, Expr)>),
    /// `{r with a: b}`
    Record(Option<Identifier>, Vec<Property>),
    /// `(a, b=1, t=<-) => body`
    Function(Vec<Parameter>, Box<Body>),
    /// `if a then b else c`
    If(Box<[Expr; 3]>),
    /// `a.b` and `a["b"]`
    Member(Box<Expr>, Identifier),
    /// `a[b]`
    Index(Box<Expr>, Box<Expr>),
    /// `f(a: b)`
    Call(Box<Expr>, Vec<Property>),
    /// `a |> f() |> g()`; each step is a call.
    Pipe(Box<Expr>, Vec<Expr>),
    /// `-a`, `+a`, `not a`, `exists a`
    Unary(UnaryOperator, Box<Expr>),
    /// `a + b - c`: the first operand, then operators of one precedence with their operands, left to right.
    Binary(Box<Expr>, Vec<(BinaryOperator, Expr)>),
    /// `a and b and c`, `a or b or c`
    Logical(LogicalOperator, Vec<Expr>),
    /// Text that is no expression.
    Bad(String),
}

/// A part of an interpolated string.
#[derive(Debug, Clone)]
pub enum StringPiece {
    /// Text.
    Text(String),
    /// `${expression}`
    Expression(Expr),
}

/// `key: value` in records and calls; the value may be left out (`{a}`, `f(a)`).
#[derive(Debug, Clone)]
pub struct Property {
    /// Where.
    pub span: Span,
    /// The key, written as a name or a string.
    pub key: Identifier,
    /// The value.
    pub value: Option<Expr>,
}

/// A parameter of a function.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// The name.
    pub name: Identifier,
    /// What it is when no argument is given.
    pub default: ParameterDefault,
}

/// What a parameter is when no argument is given.
#[derive(Debug, Clone)]
pub enum ParameterDefault {
    /// It must be given.
    Required,
    /// `=<-`: what is piped in.
    Pipe,
    /// `=value`
    Value(Expr),
}

/// A function's body.
#[derive(Debug, Clone)]
pub enum Body {
    /// One expression.
    Expression(Expr),
    /// `{ statements }`
    Block(Span, Vec<Statement>),
}

/// Operators with one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOperator {
    Minus,
    Plus,
    Not,
    Exists,
}

/// Operators with two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOperator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Matches,
    NotMatches,
}

impl BinaryOperator {
    /// The operator as written.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Power => "^",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Matches => "=~",
            Self::NotMatches => "!~",
        }
    }
}

/// `and`, `or`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogicalOperator {
    And,
    Or,
}

/// A type, as written after `builtin name :`.
#[derive(Debug, Clone)]
pub struct TypeExpr {
    /// The type.
    pub monotype: Monotype,
    /// `where A: Comparable + Equatable`
    pub constraints: Vec<(String, Vec<String>)>,
}

/// A type without constraints.
#[derive(Debug, Clone)]
pub enum Monotype {
    /// `int`, `A`
    Name(String),
    /// `[T]`
    Array(Box<Monotype>),
    /// `[K: V]`
    Dict(Box<[Monotype; 2]>),
    /// `stream[T]`, `vector[T]`
    Generic(String, Box<Monotype>),
    /// `{R with a: T}`
    Record(Option<String>, Vec<(String, Monotype)>),
    /// `(a: T, ?b: T, <-c: T) => T`; the prefix is `""`, `"?"` or `"<-"`.
    Function(Vec<(&'static str, String, Monotype)>, Box<Monotype>),
}
