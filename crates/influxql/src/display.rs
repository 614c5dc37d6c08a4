//! Canonical InfluxQL. What is printed parses to the same tree again.

use std::fmt::{self, Display, Formatter};

use crate::ast::{
    Binary, Call, CardinalityOf, DropKind, Expr, Field, Fill, GlobalList, Grant, KeyTest, Measurement,
    NameOrAll, Operator, Order, PolicyOptions, Privilege, RefKind, RetentionPolicy, Select, Selection, Show,
    ShowKind, Source, Statement, SubscriptionName, Target, VarRef,
};
use crate::duration;
use crate::scanner::is_ident_char;
use crate::token::{Token, lookup};

/// An identifier, in double quotes where it needs them.
pub fn quote_ident(name: &str) -> String {
    let bare = lookup(name) == Token::Ident
        && !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(is_ident_char);
    if bare { name.to_owned() } else { quoted(name, '"') }
}

/// A string in single quotes.
pub fn quote_string(text: &str) -> String {
    quoted(text, '\'')
}

/// Identifiers joined by dots; all but the last are quoted unless empty.
pub(crate) fn quote_idents(names: &[String]) -> String {
    let last = names.len().saturating_sub(1);
    let parts = names.iter().enumerate().map(|(i, name)| match name.is_empty() {
        true if i > 0 && i < last => String::new(),
        _ if i < last => quoted(name, '"'),
        _ => quote_ident(name),
    });
    parts.collect::<Vec<_>>().join(".")
}

fn quoted(text: &str, quote: char) -> String {
    let mut out = String::from(quote);
    for ch in text.chars() {
        match ch {
            '\n' => out.push_str("\\n"),
            '\\' => out.push_str("\\\\"),
            _ if ch == quote => out.extend(['\\', ch]),
            _ => out.push(ch),
        }
    }
    out.push(quote);
    out
}

fn join(f: &mut Formatter<'_>, items: &[impl Display]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if i > 0 { ", " } else { "" })?;
    }
    Ok(())
}

fn counts(f: &mut Formatter<'_>, counts: &[(&str, u64)]) -> fmt::Result {
    for (word, n) in counts.iter().filter(|(_, n)| *n > 0) {
        write!(f, " {word} {n}")?;
    }
    Ok(())
}

fn sources(f: &mut Formatter<'_>, sources: &[Source]) -> fmt::Result {
    if sources.is_empty() {
        return Ok(());
    }
    f.write_str(" FROM ")?;
    join(f, sources)
}

fn optional(f: &mut Formatter<'_>, before: &str, item: Option<&impl Display>) -> fmt::Result {
    item.map_or(Ok(()), |item| write!(f, "{before}{item}"))
}

impl Display for RefKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float => "float",
            Self::Integer => "integer",
            Self::Unsigned => "unsigned",
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Field => "field",
            Self::Tag => "tag",
        })
    }
}

impl Display for VarRef {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&quote_ident(&self.name))?;
        optional(f, "::", self.kind.as_ref())
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // The one function that is a keyword.
        let name = if self.name == "distinct" { self.name.clone() } else { quote_ident(&self.name) };
        write!(f, "{name}(")?;
        join(f, &self.args)?;
        f.write_str(")")
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Var(var) => var.fmt(f),
            Self::Wildcard(kind) => {
                f.write_str("*")?;
                optional(f, "::", kind.as_ref())
            }
            Self::Call(call) => call.fmt(f),
            Self::Binary(binary) => binary.fmt(f),
            Self::Paren(inner) => write!(f, "({inner})"),
            Self::Distinct(name) => write!(f, "DISTINCT {}", quote_ident(name)),
            Self::String(text) => f.write_str(&quote_string(text)),
            Self::Number(value) => number(f, *value),
            Self::Integer(value) => value.fmt(f),
            Self::Unsigned(value) => value.fmt(f),
            Self::Boolean(value) => value.fmt(f),
            Self::Duration(nanos) => f.write_str(&duration::format(*nanos)),
            Self::Regex(pattern) => pattern.fmt(f),
        }
    }
}

impl Display for Binary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.lhs, self.op.text())?;
        match &self.rhs {
            // A sign before a name binds tighter than `*`, which its product would not.
            Expr::Binary(signed)
                if signed.op == Operator::Mul && signed.op.precedence() <= self.op.precedence() =>
            {
                match signed.lhs {
                    Expr::Integer(1) => f.write_str("+").and_then(|()| unsigned(f, &signed.rhs)),
                    Expr::Integer(-1) => f.write_str("-").and_then(|()| unsigned(f, &signed.rhs)),
                    _ => signed.fmt(f),
                }
            }
            rhs => rhs.fmt(f),
        }
    }
}

/// What may stand behind a sign: no keyword, so that one function is a quoted name.
fn unsigned(f: &mut Formatter<'_>, expr: &Expr) -> fmt::Result {
    match expr {
        Expr::Call(call) if call.name == "distinct" => {
            write!(f, "\"distinct\"(")?;
            join(f, &call.args)?;
            f.write_str(")")
        }
        other => other.fmt(f),
    }
}

/// At least three decimals, as InfluxDB prints number literals.
fn number(f: &mut Formatter<'_>, value: f64) -> fmt::Result {
    let shortest = format!("{value}");
    let decimals = shortest.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    if decimals >= 3 { f.write_str(&shortest) } else { write!(f, "{value:.3}") }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)?;
        optional(f, " AS ", self.alias.as_deref().map(quote_ident).as_ref())
    }
}

/// The database and the retention policy before a measurement, with their dots.
fn place(f: &mut Formatter<'_>, measurement: &Measurement) -> fmt::Result {
    if let Some(database) = &measurement.database {
        write!(f, "{}.", quote_ident(database))?;
    }
    if let Some(policy) = &measurement.retention_policy {
        f.write_str(&quote_ident(policy))?;
    }
    let is_placed = measurement.database.is_some() || measurement.retention_policy.is_some();
    f.write_str(if is_placed { "." } else { "" })
}

impl Display for Measurement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        place(f, self)?;
        match &self.pattern {
            Some(pattern) => pattern.fmt(f),
            None => f.write_str(&quote_ident(&self.name)),
        }
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Measurement { database, retention_policy, name, .. } = &self.measurement;
        place(f, &self.measurement)?;
        let sources_own = name.is_empty() && (database.is_some() || retention_policy.is_some());
        f.write_str(&if sources_own { ":MEASUREMENT".to_owned() } else { quote_ident(name) })
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measurement(measurement) => measurement.fmt(f),
            Self::Subquery(select) => write!(f, "({select})"),
        }
    }
}

impl Display for Order {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(field) = &self.field {
            write!(f, "{} ", quote_ident(field))?;
        }
        f.write_str(if self.ascending { "ASC" } else { "DESC" })
    }
}

impl Display for Select {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("SELECT ")?;
        join(f, &self.fields)?;
        optional(f, " INTO ", self.target.as_ref())?;
        sources(f, &self.sources)?;
        optional(f, " WHERE ", self.condition.as_ref())?;
        if !self.dimensions.is_empty() {
            f.write_str(" GROUP BY ")?;
            join(f, &self.dimensions)?;
        }
        match self.fill {
            Fill::Null => {}
            Fill::None => f.write_str(" fill(none)")?,
            Fill::Previous => f.write_str(" fill(previous)")?,
            Fill::Linear => f.write_str(" fill(linear)")?,
            Fill::Number(value) => write!(f, " fill({})", Expr::Number(value))?,
            Fill::Integer(value) => write!(f, " fill({value})")?,
        }
        optional(f, " ORDER BY ", self.order.as_ref())?;
        counts(
            f,
            &[
                ("LIMIT", self.limit),
                ("OFFSET", self.offset),
                ("SLIMIT", self.slimit),
                ("SOFFSET", self.soffset),
            ],
        )?;
        self.timezone.as_ref().map_or(Ok(()), |zone| write!(f, " TZ({})", quote_string(zone)))
    }
}

impl Display for KeyTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eq(key) => write!(f, "= {}", quote_ident(key)),
            Self::NotEq(key) => write!(f, "!= {}", quote_ident(key)),
            Self::Matches(pattern) => write!(f, "=~ {pattern}"),
            Self::NotMatches(pattern) => write!(f, "!~ {pattern}"),
            Self::In(keys) => {
                f.write_str("IN (")?;
                join(f, &keys.iter().map(|k| quote_ident(k)).collect::<Vec<_>>())?;
                f.write_str(")")
            }
        }
    }
}

impl Display for NameOrAll {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(&quote_ident(name)),
            Self::All => f.write_str("*"),
        }
    }
}

impl Display for Show {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("SHOW ")?;
        match &self.kind {
            ShowKind::Measurements { .. } => f.write_str("MEASUREMENTS")?,
            ShowKind::Series => f.write_str("SERIES")?,
            ShowKind::TagKeys { .. } => f.write_str("TAG KEYS")?,
            ShowKind::TagValues { .. } => f.write_str("TAG VALUES")?,
            ShowKind::FieldKeys => f.write_str("FIELD KEYS")?,
            ShowKind::RetentionPolicies => f.write_str("RETENTION POLICIES")?,
            ShowKind::Cardinality { of, exact, .. } => {
                f.write_str(match of {
                    CardinalityOf::Series => "SERIES ",
                    CardinalityOf::Measurement => "MEASUREMENT ",
                    CardinalityOf::TagKey => "TAG KEY ",
                    CardinalityOf::TagValues => "TAG VALUES ",
                    CardinalityOf::FieldKey => "FIELD KEY ",
                })?;
                f.write_str(if *exact { "EXACT CARDINALITY" } else { "CARDINALITY" })?;
            }
        }
        optional(f, " ON ", self.database.as_ref())?;
        optional(f, ".", self.retention_policy.as_ref())?;
        if let ShowKind::Measurements { with: Some(source) } = &self.kind {
            let pattern = matches!(source, Source::Measurement(m) if m.pattern.is_some());
            write!(f, " WITH MEASUREMENT {} {source}", if pattern { "=~" } else { "=" })?;
        }
        sources(f, &self.sources)?;
        match &self.kind {
            ShowKind::TagKeys { with: Some(with) }
            | ShowKind::TagValues { with }
            | ShowKind::Cardinality { with: Some(with), .. } => write!(f, " WITH KEY {with}")?,
            _ => {}
        }
        optional(f, " WHERE ", self.condition.as_ref())?;
        if !self.dimensions.is_empty() {
            f.write_str(" GROUP BY ")?;
            join(f, &self.dimensions)?;
        }
        optional(f, " ORDER BY ", self.order.as_ref())?;
        counts(
            f,
            &[
                ("LIMIT", self.limit),
                ("OFFSET", self.offset),
                ("SLIMIT", self.slimit),
                ("SOFFSET", self.soffset),
            ],
        )
    }
}

impl Display for GlobalList {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Databases => "DATABASES",
            Self::ContinuousQueries => "CONTINUOUS QUERIES",
            Self::Subscriptions => "SUBSCRIPTIONS",
            Self::Shards => "SHARDS",
            Self::ShardGroups => "SHARD GROUPS",
            Self::Users => "USERS",
            Self::Queries => "QUERIES",
        })
    }
}

impl Display for Selection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        sources(f, &self.sources)?;
        optional(f, " WHERE ", self.condition.as_ref())
    }
}

impl Display for SubscriptionName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, database, retention_policy } = self;
        let policy = quote_ident(retention_policy);
        write!(f, "{} ON {}.{policy}", quote_ident(name), quote_ident(database))
    }
}

fn duration_or_inf(nanos: i64) -> String {
    if nanos == 0 { "INF".to_owned() } else { duration::format(nanos) }
}

fn policy_options(f: &mut Formatter<'_>, options: &PolicyOptions) -> fmt::Result {
    optional(f, " DURATION ", options.duration.map(duration_or_inf).as_ref())?;
    optional(f, " REPLICATION ", options.replication.as_ref())?;
    optional(f, " SHARD DURATION ", options.shard_duration.map(duration::format).as_ref())?;
    optional(f, " NAME ", options.name.as_deref().map(quote_ident).as_ref())
}

impl Display for RetentionPolicy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ON {}", quote_ident(&self.name), quote_ident(&self.database))?;
        let options = PolicyOptions {
            duration: self.duration,
            replication: self.replication,
            shard_duration: self.shard_duration,
            name: None,
        };
        policy_options(f, &options)?;
        f.write_str(if self.default { " DEFAULT" } else { "" })
    }
}

impl Display for Grant {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (verb, preposition) = if self.revoke { ("REVOKE", "FROM") } else { ("GRANT", "TO") };
        let privilege = match self.privilege {
            Privilege::Read => "READ",
            Privilege::Write => "WRITE",
            Privilege::All => "ALL PRIVILEGES",
        };
        write!(f, "{verb} {privilege}")?;
        optional(f, " ON ", self.database.as_deref().map(quote_ident).as_ref())?;
        write!(f, " {preposition} {}", quote_ident(&self.user))
    }
}

impl Display for Statement {
    /// Canonical text; passwords are replaced by `[REDACTED]`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Select(select) => select.fmt(f),
            Self::Explain { analyze, select } => {
                write!(f, "EXPLAIN {}{select}", if *analyze { "ANALYZE " } else { "" })
            }
            Self::Delete(selection) => write!(f, "DELETE{selection}"),
            Self::DropSeries(selection) => write!(f, "DROP SERIES{selection}"),
            Self::Show(show) => show.fmt(f),
            Self::ShowGlobal(list) => write!(f, "SHOW {list}"),
            Self::ShowGrants { user } => write!(f, "SHOW GRANTS FOR {}", quote_ident(user)),
            Self::ShowInternals { diagnostics, module } => {
                write!(f, "SHOW {}", if *diagnostics { "DIAGNOSTICS" } else { "STATS" })?;
                optional(f, " FOR ", module.as_deref().map(quote_string).as_ref())
            }
            Self::CreateDatabase(create) => {
                write!(f, "CREATE DATABASE {}", quote_ident(&create.name))?;
                match &create.policy {
                    None => Ok(()),
                    Some(options) => {
                        f.write_str(" WITH")?;
                        policy_options(f, options)
                    }
                }
            }
            Self::CreateRetentionPolicy(policy) => write!(f, "CREATE RETENTION POLICY {policy}"),
            Self::AlterRetentionPolicy(policy) => write!(f, "ALTER RETENTION POLICY {policy}"),
            Self::CreateContinuousQuery(query) => {
                let (name, database) = (quote_ident(&query.name), quote_ident(&query.database));
                write!(f, "CREATE CONTINUOUS QUERY {name} ON {database}")?;
                if query.every.is_some() || query.resample_for.is_some() {
                    f.write_str(" RESAMPLE")?;
                    optional(f, " EVERY ", query.every.map(duration::format).as_ref())?;
                    optional(f, " FOR ", query.resample_for.map(duration::format).as_ref())?;
                }
                write!(f, " BEGIN {} END", query.select)
            }
            Self::CreateSubscription { name, all, destinations } => {
                let mode = if *all { "ALL" } else { "ANY" };
                write!(f, "CREATE SUBSCRIPTION {name} DESTINATIONS {mode} ")?;
                join(f, &destinations.iter().map(|d| quote_string(d)).collect::<Vec<_>>())
            }
            Self::DropSubscription(name) => write!(f, "DROP SUBSCRIPTION {name}"),
            Self::CreateUser { name, admin, .. } => {
                let admin = if *admin { " WITH ALL PRIVILEGES" } else { "" };
                write!(f, "CREATE USER {} WITH PASSWORD [REDACTED]{admin}", quote_ident(name))
            }
            Self::SetPassword { name, .. } => {
                write!(f, "SET PASSWORD FOR {} = [REDACTED]", quote_ident(name))
            }
            Self::Grant(grant) => grant.fmt(f),
            Self::Drop { kind, name, database } => {
                let kind = match kind {
                    DropKind::Database => "DATABASE",
                    DropKind::Measurement => "MEASUREMENT",
                    DropKind::User => "USER",
                    DropKind::RetentionPolicy => "RETENTION POLICY",
                    DropKind::ContinuousQuery => "CONTINUOUS QUERY",
                };
                write!(f, "DROP {kind} {}", quote_ident(name))?;
                optional(f, " ON ", database.as_deref().map(quote_ident).as_ref())
            }
            Self::DropShard(id) => write!(f, "DROP SHARD {id}"),
            Self::KillQuery { id, host } => {
                write!(f, "KILL QUERY {id}")?;
                optional(f, " ON ", host.as_deref().map(quote_ident).as_ref())
            }
        }
    }
}
