//! The syntax tree. A statement is what the user wrote: nothing is resolved, expanded or checked against data.

use model::Pattern;

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// `SELECT ...`
    Select(Box<Select>),
    /// `EXPLAIN [ANALYZE] SELECT ...`
    Explain {
        /// Whether the query runs too.
        analyze: bool,
        /// The query.
        select: Box<Select>,
    },
    /// `DELETE [FROM ...] [WHERE ...]`
    Delete(Selection),
    /// `DROP SERIES [FROM ...] [WHERE ...]`
    DropSeries(Selection),
    /// `SHOW ...` of something in a database
    Show(Box<Show>),
    /// `SHOW ...` without clauses
    ShowGlobal(GlobalList),
    /// `SHOW GRANTS FOR user`
    ShowGrants {
        /// Whose.
        user: String,
    },
    /// `SHOW STATS [FOR 'module']` or `SHOW DIAGNOSTICS [FOR 'module']`
    ShowInternals {
        /// Diagnostics rather than stats.
        diagnostics: bool,
        /// One module only.
        module: Option<String>,
    },
    /// `CREATE DATABASE name [WITH ...]`
    CreateDatabase(CreateDatabase),
    /// `CREATE RETENTION POLICY ...`
    CreateRetentionPolicy(RetentionPolicy),
    /// `ALTER RETENTION POLICY ...`
    AlterRetentionPolicy(RetentionPolicy),
    /// `CREATE CONTINUOUS QUERY ...`
    CreateContinuousQuery(Box<ContinuousQuery>),
    /// `CREATE SUBSCRIPTION name ON db.rp DESTINATIONS ALL|ANY 'url', ...`
    CreateSubscription {
        /// Which.
        name: SubscriptionName,
        /// Every destination gets every point, rather than any one.
        all: bool,
        /// URLs.
        destinations: Vec<String>,
    },
    /// `DROP SUBSCRIPTION name ON db.rp`
    DropSubscription(SubscriptionName),
    /// `CREATE USER name WITH PASSWORD '...' [WITH ALL PRIVILEGES]`
    CreateUser {
        /// Name.
        name: String,
        /// Password.
        password: String,
        /// Whether it is an administrator.
        admin: bool,
    },
    /// `SET PASSWORD FOR name = '...'`
    SetPassword {
        /// Whose.
        name: String,
        /// The new one.
        password: String,
    },
    /// `GRANT` or `REVOKE`
    Grant(Grant),
    /// `DROP DATABASE | MEASUREMENT | USER name`, and the same of things in a database
    Drop {
        /// What kind of thing.
        kind: DropKind,
        /// Its name.
        name: String,
        /// Its database, for those kinds that have one.
        database: Option<String>,
    },
    /// `DROP SHARD id`
    DropShard(u64),
    /// `KILL QUERY id [ON host]`
    KillQuery {
        /// Which.
        id: u64,
        /// On which node.
        host: Option<String>,
    },
}

/// What DELETE and DROP SERIES apply to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Selection {
    /// Measurements; none is all.
    pub sources: Vec<Source>,
    /// The condition.
    pub condition: Option<Expr>,
}

/// A SELECT statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// What to compute; never empty.
    pub fields: Vec<Field>,
    /// `INTO`
    pub target: Option<Target>,
    /// `FROM`; never empty.
    pub sources: Vec<Source>,
    /// `WHERE`
    pub condition: Option<Expr>,
    /// `GROUP BY`: tags, patterns, `*`, `time(...)`.
    pub dimensions: Vec<Expr>,
    /// `fill(...)`
    pub fill: Fill,
    /// `ORDER BY`
    pub order: Option<Order>,
    /// `LIMIT`; 0 is none.
    pub limit: u64,
    /// `OFFSET`
    pub offset: u64,
    /// `SLIMIT`; 0 is none.
    pub slimit: u64,
    /// `SOFFSET`
    pub soffset: u64,
    /// `tz(...)`: an IANA name that is known to exist.
    pub timezone: Option<String>,
}

/// A field of a SELECT.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The expression.
    pub expr: Expr,
    /// `AS`
    pub alias: Option<String>,
}

/// Where SELECT INTO writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The measurement; an empty name is the source's own (`:MEASUREMENT`).
    pub measurement: Measurement,
}

/// Where a statement reads.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// One or several measurements.
    Measurement(Measurement),
    /// `(SELECT ...)`
    Subquery(Box<Select>),
}

/// A measurement by name or pattern.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Measurement {
    /// Its database, if named.
    pub database: Option<String>,
    /// Its retention policy, if named.
    pub retention_policy: Option<String>,
    /// Its name; empty when there is a pattern.
    pub name: String,
    /// The pattern.
    pub pattern: Option<Pattern>,
}

/// What stands in windows without points.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Fill {
    /// Null.
    #[default]
    Null,
    /// The window is left out.
    None,
    /// The value of the window before.
    Previous,
    /// On the line between its neighbours.
    Linear,
    /// A float.
    Number(f64),
    /// An integer.
    Integer(i64),
}

/// `ORDER BY time`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The field as written; `None` for a bare `ORDER BY ASC`.
    pub field: Option<String>,
    /// Oldest first.
    pub ascending: bool,
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A field, a tag or `time`.
    Var(VarRef),
    /// `*`
    Wildcard(Option<RefKind>),
    /// `name(args)`, the name in lower case.
    Call(Call),
    /// `lhs op rhs`
    Binary(Box<Binary>),
    /// `( ... )`
    Paren(Box<Expr>),
    /// `distinct name`
    Distinct(String),
    /// A string.
    String(String),
    /// A float.
    Number(f64),
    /// An integer.
    Integer(i64),
    /// An integer above the signed range.
    Unsigned(u64),
    /// true or false.
    Boolean(bool),
    /// Nanoseconds.
    Duration(i64),
    /// `/ ... /`
    Regex(Pattern),
}

/// A reference to a field or a tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VarRef {
    /// Its name.
    pub name: String,
    /// `::kind`
    pub kind: Option<RefKind>,
}

/// What a reference is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are InfluxQL's own words")]
pub enum RefKind {
    Float,
    Integer,
    Unsigned,
    String,
    Boolean,
    Field,
    Tag,
}

/// A function call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The function, in lower case.
    pub name: String,
    /// Its arguments.
    pub args: Vec<Expr>,
}

/// An operation on two expressions.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// The operation.
    pub op: Operator,
    /// Left.
    pub lhs: Expr,
    /// Right.
    pub rhs: Expr,
}

/// The operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    BitAnd,
    BitOr,
    BitXor,
    And,
    Or,
    Eq,
    NotEq,
    EqRegex,
    NotEqRegex,
    Less,
    LessEq,
    Greater,
    GreaterEq,
}

impl Operator {
    /// Higher binds tighter.
    pub const fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Eq
            | Self::NotEq
            | Self::EqRegex
            | Self::NotEqRegex
            | Self::Less
            | Self::LessEq
            | Self::Greater
            | Self::GreaterEq => 3,
            Self::Add | Self::Sub | Self::BitOr | Self::BitXor => 4,
            Self::Mul | Self::Div | Self::Mod | Self::BitAnd => 5,
        }
    }

    /// Whether the result is a truth value.
    pub const fn is_condition(self) -> bool {
        self.precedence() <= 3
    }

    /// As written.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::BitAnd => "&",
            Self::BitOr => "|",
            Self::BitXor => "^",
            Self::And => "AND",
            Self::Or => "OR",
            Self::Eq => "=",
            Self::NotEq => "!=",
            Self::EqRegex => "=~",
            Self::NotEqRegex => "!~",
            Self::Less => "<",
            Self::LessEq => "<=",
            Self::Greater => ">",
            Self::GreaterEq => ">=",
        }
    }
}

/// What SHOW lists.
#[derive(Debug, Clone, PartialEq)]
pub enum ShowKind {
    /// `SHOW MEASUREMENTS [WITH MEASUREMENT = m]`
    Measurements {
        /// The name or pattern.
        with: Option<Source>,
    },
    /// `SHOW SERIES`
    Series,
    /// `SHOW TAG KEYS [WITH KEY ...]`
    TagKeys {
        /// Which keys.
        with: Option<KeyTest>,
    },
    /// `SHOW TAG VALUES WITH KEY ...`
    TagValues {
        /// Which keys.
        with: KeyTest,
    },
    /// `SHOW FIELD KEYS`
    FieldKeys,
    /// `SHOW RETENTION POLICIES`
    RetentionPolicies,
    /// `SHOW ... [EXACT] CARDINALITY`
    Cardinality {
        /// Of what.
        of: CardinalityOf,
        /// Counted rather than estimated.
        exact: bool,
        /// For tag values.
        with: Option<KeyTest>,
    },
}

/// What SHOW CARDINALITY counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are InfluxQL's own words")]
pub enum CardinalityOf {
    Series,
    Measurement,
    TagKey,
    TagValues,
    FieldKey,
}

/// `WITH KEY` test.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyTest {
    /// `= key`
    Eq(String),
    /// `!= key`
    NotEq(String),
    /// `=~ /pattern/`
    Matches(Pattern),
    /// `!~ /pattern/`
    NotMatches(Pattern),
    /// `IN (key, ...)`
    In(Vec<String>),
}

impl KeyTest {
    /// Whether a key passes.
    pub fn accepts(&self, key: &str) -> bool {
        match self {
            Self::Eq(want) => key == want,
            Self::NotEq(want) => key != want,
            Self::Matches(pattern) => pattern.is_match(key),
            Self::NotMatches(pattern) => !pattern.is_match(key),
            Self::In(keys) => keys.iter().any(|k| k == key),
        }
    }
}

/// A name, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameOrAll {
    /// One.
    Name(String),
    /// `*`
    All,
}

/// A SHOW statement with its clauses; those that a kind does not know are empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Show {
    /// What is listed.
    pub kind: ShowKind,
    /// `ON db`
    pub database: Option<NameOrAll>,
    /// `ON db.rp`, measurements only.
    pub retention_policy: Option<NameOrAll>,
    /// `FROM`
    pub sources: Vec<Source>,
    /// `WHERE`
    pub condition: Option<Expr>,
    /// `GROUP BY` of the cardinalities.
    pub dimensions: Vec<Expr>,
    /// `ORDER BY`
    pub order: Option<Order>,
    /// `LIMIT`; 0 is none.
    pub limit: u64,
    /// `OFFSET`
    pub offset: u64,
    /// `SLIMIT` of tag keys; 0 is none.
    pub slimit: u64,
    /// `SOFFSET` of tag keys.
    pub soffset: u64,
}

/// SHOW statements without clauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are InfluxQL's own words")]
pub enum GlobalList {
    Databases,
    ContinuousQueries,
    Subscriptions,
    Shards,
    ShardGroups,
    Users,
    Queries,
}

/// `CREATE DATABASE`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CreateDatabase {
    /// Its name.
    pub name: String,
    /// `WITH`: its first retention policy.
    pub policy: Option<PolicyOptions>,
}

/// The settings of a database's first retention policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyOptions {
    /// `DURATION`, nanoseconds; 0 is for ever.
    pub duration: Option<i64>,
    /// `REPLICATION`
    pub replication: Option<u64>,
    /// `SHARD DURATION`, nanoseconds.
    pub shard_duration: Option<i64>,
    /// `NAME`
    pub name: Option<String>,
}

/// `CREATE` or `ALTER RETENTION POLICY`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Its name.
    pub name: String,
    /// Its database.
    pub database: String,
    /// `DURATION`, nanoseconds; 0 is for ever. Always given by CREATE.
    pub duration: Option<i64>,
    /// `REPLICATION`. Always given by CREATE.
    pub replication: Option<u64>,
    /// `SHARD DURATION`, nanoseconds.
    pub shard_duration: Option<i64>,
    /// `DEFAULT`
    pub default: bool,
}

/// `CREATE CONTINUOUS QUERY name ON db [RESAMPLE ...] BEGIN SELECT ... END`
#[derive(Debug, Clone, PartialEq)]
pub struct ContinuousQuery {
    /// Its name.
    pub name: String,
    /// Its database.
    pub database: String,
    /// `RESAMPLE EVERY`, nanoseconds.
    pub every: Option<i64>,
    /// `RESAMPLE FOR`, nanoseconds.
    pub resample_for: Option<i64>,
    /// The query.
    pub select: Select,
}

/// A subscription in a retention policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionName {
    /// Its name.
    pub name: String,
    /// Its database.
    pub database: String,
    /// Its retention policy.
    pub retention_policy: String,
}

/// A right given or taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Taken rather than given.
    pub revoke: bool,
    /// Which right.
    pub privilege: Privilege,
    /// On which database; `None` makes an administrator (all rights only).
    pub database: Option<String>,
    /// Whose.
    pub user: String,
}

/// Rights on a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are InfluxQL's own words")]
pub enum Privilege {
    Read,
    Write,
    All,
}

/// Things that DROP names by an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are InfluxQL's own words")]
pub enum DropKind {
    Database,
    Measurement,
    User,
    RetentionPolicy,
    ContinuousQuery,
}

impl Expr {
    /// Calls `visit` on this expression and all inside it, outermost first.
    pub fn walk(&self, visit: &mut dyn FnMut(&Self)) {
        visit(self);
        match self {
            Self::Call(call) => call.args.iter().for_each(|arg| arg.walk(visit)),
            Self::Binary(binary) => {
                binary.lhs.walk(visit);
                binary.rhs.walk(visit);
            }
            Self::Paren(inner) => inner.walk(visit),
            _ => {}
        }
    }
}

impl Statement {
    /// Whether the statement changes anything, so that a GET should not carry it.
    pub fn writes(&self) -> bool {
        match self {
            Self::Select(select) => select.target.is_some(),
            Self::Explain { .. }
            | Self::Show(_)
            | Self::ShowGlobal(_)
            | Self::ShowGrants { .. }
            | Self::ShowInternals { .. } => false,
            _ => true,
        }
    }
}
