//! SHOW DATABASES, RETENTION POLICIES, MEASUREMENTS, SERIES, TAG KEYS, TAG VALUES, FIELD KEYS.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use catalog::{Bucket, BucketKind, State};
use influxql::ast::{
    Expr, KeyTest, Measurement, NameOrAll, Operator, RefKind, Show, ShowKind, Source, VarRef,
};
use model::time::SECOND_NS;
use model::{
    BucketId, FieldType, FieldValue, Frame, FrameColumn, FrameValues, OrgId, Predicate, SchemaQuestion,
    SchemaRequest,
};

use super::cardinality::{self, Cardinality};
use super::condition::{self, Bounds, TimeContext};
use super::execute::{Series, SeriesSink, text_frame};
use super::expr::VarKind;
use super::schema::{Resolver, Table, measurement_is, range};
use super::validate;
use super::value::column_of;
use super::{RunningQuery, measurements};
use crate::error::Error;
use crate::limits::Budget;

/// The policies of every database of an organization that may be read: database → (policy, bucket, default).
pub(super) fn databases(resolver: &Resolver<'_>) -> BTreeMap<String, Vec<(String, Bucket, bool)>> {
    resolver.catalog.get(|state| databases_of(state, resolver.org, resolver.readable))
}

fn databases_of(
    state: &State,
    org: OrgId,
    readable: Option<&[BucketId]>,
) -> BTreeMap<String, Vec<(String, Bucket, bool)>> {
    let may = |id: BucketId| readable.is_none_or(|list| list.contains(&id));
    let mut out: BTreeMap<String, Vec<(String, Bucket, bool)>> = BTreeMap::new();
    for mapping in state.dbrps(org).filter(|d| may(d.bucket)) {
        if let Some(bucket) = state.bucket(mapping.bucket) {
            let policies = out.entry(mapping.database.clone()).or_default();
            policies.push((mapping.retention_policy.clone(), bucket.clone(), mapping.default));
        }
    }
    for bucket in state.buckets_of(org).filter(|b| b.kind == BucketKind::User && may(b.id)) {
        let (database, policy) = bucket.database_and_policy();
        let policies = out.entry(database.to_owned()).or_default();
        if policies.iter().all(|(name, ..)| name != policy) {
            policies.push((policy.to_owned(), bucket.clone(), false));
        }
    }
    for (database, policies) in &mut out {
        if policies.iter().all(|(.., default)| !default) {
            let default = state.resolve_dbrp(org, database, None);
            policies.iter_mut().for_each(|(_, bucket, is)| *is = Some(bucket.id) == default);
        }
    }
    out
}

/// The buckets of a database: of one retention policy, or of all.
pub(super) fn buckets_of(
    resolver: &Resolver<'_>,
    database: &str,
    policy: Option<&str>,
) -> Result<BTreeSet<BucketId>, Error> {
    // Whoever may not read may still delete.
    let found = resolver.catalog.find(|state| databases_of(state, resolver.org, None).remove(database))?;
    let policies = found.ok_or_else(|| Error::NotFound(format!("database not found: {database}")))?;
    let wanted = |name: &str| policy.is_none_or(|policy| policy == name);
    let buckets: BTreeSet<BucketId> =
        policies.iter().filter(|(name, ..)| wanted(name)).map(|(_, bucket, _)| bucket.id).collect();
    match policy {
        Some(policy) if buckets.is_empty() => {
            Err(Error::NotFound(format!("retention policy not found: {policy}")))
        }
        _ => Ok(buckets),
    }
}

/// The retention policy that a database means where none is named.
pub(super) fn default_policy(resolver: &Resolver<'_>, database: &str) -> Result<String, Error> {
    let found = resolver.catalog.find(|state| databases_of(state, resolver.org, None).remove(database))?;
    let policies = found.ok_or_else(|| Error::NotFound(format!("database not found: {database}")))?;
    let default = policies.into_iter().find(|(.., is_default)| *is_default).map(|(name, ..)| name);
    default.ok_or_else(|| Error::NotFound("default retention policy not set".to_owned()))
}

/// SHOW DATABASES: those that may be read, and those of `writable`.
pub(crate) fn show_databases(
    resolver: &Resolver<'_>,
    writable: Option<&[BucketId]>,
    sink: &mut SeriesSink<'_>,
) -> Result<(), Error> {
    let mut names: BTreeSet<String> = databases(resolver).into_keys().collect();
    if resolver.readable.is_some() {
        let to_write = resolver.catalog.get(|state| databases_of(state, resolver.org, writable));
        names.extend(to_write.into_keys());
    }
    let rows: Vec<_> = names.into_iter().map(|name| vec![name]).collect();
    sink(Series { is_whole: true, ..Series::new("databases", text_frame(&["name"], &rows)) })
}

pub(super) fn column(name: &str, field_type: FieldType, values: &[FieldValue]) -> FrameColumn {
    let values = FrameValues::Column(column_of(field_type, values.iter().map(Some)));
    FrameColumn { name: Arc::from(name), group: false, values }
}

/// SHOW QUERIES. As InfluxDB does it, how long a query runs is told in whole seconds, milliseconds or microseconds.
pub(crate) fn show_queries(queries: &[RunningQuery], sink: &mut SeriesSink<'_>) -> Result<(), Error> {
    let shown = |took: Duration| {
        let ns = i64::try_from(took.as_nanos()).unwrap_or(i64::MAX);
        let unit = [SECOND_NS, 1_000_000, 1_000].into_iter().find(|unit| ns >= *unit).unwrap_or(1);
        influxql::duration::format_go(ns - ns % unit)
    };
    let texts = |of: &dyn Fn(&RunningQuery) -> String| {
        queries.iter().map(|q| FieldValue::String(of(q))).collect::<Vec<_>>()
    };
    let ids: Vec<FieldValue> =
        queries.iter().map(|query| FieldValue::Integer(query.id.cast_signed())).collect();
    let status = |q: &RunningQuery| if q.is_killed { "killed" } else { "running" }.to_owned();
    let columns = vec![
        column("qid", FieldType::Integer, &ids),
        column("query", FieldType::String, &texts(&|q| q.text.clone())),
        column("database", FieldType::String, &texts(&|q| q.database.clone())),
        column("duration", FieldType::String, &texts(&|q| shown(q.took))),
        column("status", FieldType::String, &texts(&status)),
    ];
    sink(Series { is_whole: true, ..Series::new("", Frame { columns, rows: queries.len() }) })
}

/// Runs a SHOW statement with clauses.
pub(crate) fn show(
    show: &Show,
    resolver: &Resolver<'_>,
    budget: &Budget<'_>,
    sink: &mut SeriesSink<'_>,
) -> Result<(), Error> {
    let database = match &show.database {
        Some(NameOrAll::Name(name)) => Some(name.as_str()),
        Some(NameOrAll::All) if !matches!(show.kind, ShowKind::Measurements { .. }) => {
            return Error::invalid("database name required");
        }
        Some(NameOrAll::All) | None => None,
    };
    let resolver = match database {
        Some(name) => Resolver { database: Some(name), retention_policy: None, ..*resolver },
        None => *resolver,
    };
    // Lists of tags want the database of ON to exist, whatever FROM names.
    let named = || database.map_or(Ok(()), |name| resolver.bucket(Some(name), None).map(drop));
    match &show.kind {
        ShowKind::RetentionPolicies => retention_policies(&resolver, sink),
        ShowKind::Measurements { with } => show_measurements(show, with.as_ref(), &resolver, sink),
        ShowKind::FieldKeys => field_keys(show, &resolver, sink),
        ShowKind::Series => series(show, &resolver, budget, sink),
        ShowKind::TagKeys { with } => {
            named()?;
            tag_keys(show, with.as_ref(), &resolver, sink)
        }
        ShowKind::TagValues { with } => {
            named()?;
            tag_values(show, with, &resolver, budget, sink)
        }
        ShowKind::Cardinality { of, exact, with } => {
            Cardinality { of: *of, exact: *exact, with: with.as_ref() }.run(show, &resolver, budget, sink)
        }
    }
}

fn retention_policies(resolver: &Resolver<'_>, sink: &mut SeriesSink<'_>) -> Result<(), Error> {
    let Some(database) = resolver.database.filter(|d| !d.is_empty()) else {
        return Error::invalid("database name required");
    };
    let found =
        resolver.catalog.find(|state| databases_of(state, resolver.org, resolver.readable).remove(database));
    let Some(mut policies) = found? else {
        return Err(Error::NotFound(format!("database not found: {database}")));
    };
    // As they were made.
    policies.sort_by(|a, b| (a.1.created_at, &a.0).cmp(&(b.1.created_at, &b.0)));
    let texts: Vec<Vec<String>> = policies
        .iter()
        .map(|(name, bucket, _)| {
            let duration = influxql::duration::format_go(bucket.retention_ns.unwrap_or(0));
            vec![name.clone(), duration, influxql::duration::format_go(bucket.shard_duration_ns)]
        })
        .collect();
    let mut frame = text_frame(&["name", "duration", "shardGroupDuration"], &texts);
    let replicas: Vec<FieldValue> = policies.iter().map(|_| FieldValue::Integer(1)).collect();
    let defaults: Vec<FieldValue> =
        policies.iter().map(|(.., default)| FieldValue::Boolean(*default)).collect();
    frame.columns.push(column("replicaN", FieldType::Integer, &replicas));
    frame.columns.push(column("default", FieldType::Boolean, &defaults));
    sink(Series { is_whole: true, ..Series::new("", frame) })
}

/// What a condition is about, which says how it is to be understood where it is no plain test of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// Names: what is said about fields holds for all series.
    Names,
    /// How many there are: what is said about fields holds for no series.
    Counts,
    /// How many values tags have: nothing holds of a tag either that a series does not have.
    CountsOfValues,
}

/// The condition of a SHOW without its time.
pub(super) struct Where<'a> {
    pub(super) bounds: Bounds,
    pub(super) tags: Option<Expr>,
    pub(super) about: About,
    /// The fields of all tables of the statement, where counts are asked for.
    pub(super) fields: BTreeMap<String, FieldType>,
    pub(super) resolver: &'a Resolver<'a>,
}

impl<'a> Where<'a> {
    /// Everything.
    pub(super) const fn all(about: About, resolver: &'a Resolver<'a>) -> Self {
        Self { bounds: Bounds::ALL, tags: None, about, fields: BTreeMap::new(), resolver }
    }
}

pub(super) fn condition_of<'a>(
    show: &Show,
    resolver: &'a Resolver<'a>,
    about: About,
) -> Result<Where<'a>, Error> {
    let time = TimeContext { now: resolver.now, zone: None };
    let (tags, bounds) = match &show.condition {
        Some(expr) => condition::split_time(expr, &time)?,
        None => (None, Bounds::ALL),
    };
    if let Some(tags) = tags.as_ref().filter(|_| about == About::Names) {
        validate::tags_only(tags)?;
    }
    let mut fields = BTreeMap::new();
    if about != About::Names && tags.is_some() {
        for table in tables(show, resolver)? {
            resolver.catalog.get(|state| {
                let known = state.fields_of(table.bucket, &table.measurement);
                fields.extend(known.map(|(name, field_type)| (name.to_owned(), field_type)));
            });
        }
    }
    Ok(Where { bounds, tags, about, fields, resolver })
}

impl Where<'_> {
    /// The predicate for a table.
    fn predicate(&self, table: &Table) -> Predicate {
        let Some(expr) = &self.tags else { return Predicate::TRUE };
        let kind = |var: &VarRef| {
            let own =
                self.resolver.catalog.get(|s| s.field_type(table.bucket, &table.measurement, &var.name));
            // A name that is a field anywhere is one wherever is counted.
            match own.or_else(|| self.fields.get(&var.name).copied()) {
                Some(field_type) if var.kind != Some(RefKind::Tag) => VarKind::Field(field_type),
                _ => VarKind::Tag,
            }
        };
        match self.about {
            About::Names => lenient(expr, &kind),
            About::Counts | About::CountsOfValues => cardinality::strict(expr, self.about, &kind),
        }
    }
}

fn lenient(expr: &Expr, kind: &dyn Fn(&VarRef) -> VarKind) -> Predicate {
    match expr {
        Expr::Paren(inner) => lenient(inner, kind),
        Expr::Binary(binary) if binary.op == Operator::And => {
            lenient(&binary.lhs, kind).and(lenient(&binary.rhs, kind))
        }
        Expr::Binary(binary) if binary.op == Operator::Or => {
            Predicate::Or(vec![lenient(&binary.lhs, kind), lenient(&binary.rhs, kind)])
        }
        other => condition::tag_predicate(other, kind).unwrap_or(Predicate::TRUE),
    }
}

/// The measurements of FROM, or the one that stands for all.
fn measurements_of(show: &Show) -> Vec<Measurement> {
    let all = || Measurement {
        pattern: Some(model::Pattern::new("").expect("the empty pattern compiles")),
        ..Measurement::default()
    };
    let named = show.sources.iter().filter_map(|source| match source {
        Source::Measurement(measurement) => Some(measurement.clone()),
        Source::Subquery(_) => None,
    });
    if show.sources.is_empty() { vec![all()] } else { named.collect() }
}

/// The tables of a statement: those of FROM, or all of the default bucket.
pub(super) fn tables(show: &Show, resolver: &Resolver<'_>) -> Result<Vec<Table>, Error> {
    let mut tables = Vec::new();
    for measurement in measurements_of(show) {
        tables.extend(resolver.tables(&measurement)?);
    }
    tables.sort_by(|a, b| a.measurement.cmp(&b.measurement));
    tables.dedup_by(|a, b| a.measurement == b.measurement && a.bucket == b.bucket);
    Ok(tables)
}

/// The tables of a list of measurements or tags, by measurement: where no retention policy is named, of all that the
/// database has, as in InfluxDB 1.x.
fn tables_by_name(show: &Show, resolver: &Resolver<'_>) -> Result<BTreeMap<Arc<str>, Vec<Table>>, Error> {
    let mut tables: Vec<Table> = Vec::new();
    for measurement in measurements_of(show) {
        let is_named = measurement.retention_policy.is_some()
            || resolver.retention_policy.is_some_and(|p| !p.is_empty());
        let database = measurement.database.as_deref().or(resolver.database).unwrap_or_default();
        match databases(resolver).remove(database).filter(|_| !is_named) {
            Some(policies) => {
                for (policy, ..) in policies {
                    let database = Some(database.to_owned());
                    let retention_policy = Some(policy);
                    let one = Measurement { database, retention_policy, ..measurement.clone() };
                    tables.extend(resolver.tables(&one)?);
                }
            }
            None => tables.extend(resolver.tables(&measurement)?),
        }
    }
    let mut by_name: BTreeMap<Arc<str>, Vec<Table>> = BTreeMap::new();
    for table in tables {
        let known = by_name.entry(Arc::clone(&table.measurement)).or_default();
        if known.iter().all(|other| other.bucket != table.bucket) {
            known.push(table);
        }
    }
    Ok(by_name)
}

/// What any of some tables answers, in order.
fn ask_all(
    resolver: &Resolver<'_>,
    tables: &[Table],
    condition: &Where<'_>,
    question: &SchemaQuestion,
) -> Result<Vec<String>, Error> {
    let mut names = BTreeSet::new();
    for table in tables {
        names.extend(ask(resolver, table, condition, question.clone())?);
    }
    Ok(names.into_iter().collect())
}

pub(super) fn ask(
    resolver: &Resolver<'_>,
    table: &Table,
    condition: &Where<'_>,
    question: SchemaQuestion,
) -> Result<Vec<String>, Error> {
    let request = SchemaRequest {
        bucket: table.bucket,
        range: range(condition.bounds, table.oldest),
        predicate: measurement_is(&table.measurement).and(condition.predicate(table)),
        question,
    };
    Ok(resolver.source.schema(&request)?)
}

/// OFFSET and LIMIT of a list.
fn limited<T>(items: Vec<T>, limit: u64, offset: u64) -> Vec<T> {
    let most = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
    items.into_iter().skip(usize::try_from(offset).unwrap_or(usize::MAX)).take(most).collect()
}

fn send(sink: &mut SeriesSink<'_>, name: &str, columns: &[&str], rows: &[Vec<String>]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    sink(Series::new(name, text_frame(columns, rows)))
}

/// As `send`, in one piece.
fn send_whole(
    sink: &mut SeriesSink<'_>,
    name: &str,
    columns: &[&str],
    rows: &[Vec<String>],
) -> Result<(), Error> {
    send(&mut |series| sink(Series { is_whole: true, ..series }), name, columns, rows)
}

/// Whether the statements after this one run although it fails: as in InfluxDB, they do after a condition that makes no
/// sense in a list of names.
pub(super) fn lets_go_on(show: &Show, resolver: &Resolver<'_>) -> bool {
    let (ShowKind::Measurements { .. } | ShowKind::TagKeys { .. } | ShowKind::TagValues { .. }) = &show.kind
    else {
        return false;
    };
    let Some(condition) = &show.condition else { return false };
    let time = TimeContext { now: resolver.now, zone: None };
    match (&show.kind, condition::split_time(condition, &time)) {
        (ShowKind::Measurements { .. }, _) => measurements::check_part(condition).is_err(),
        (_, Ok((Some(tags), _))) => validate::tags_only(&tags).is_err(),
        _ => false,
    }
}

fn show_measurements(
    show: &Show,
    with: Option<&Source>,
    resolver: &Resolver<'_>,
    sink: &mut SeriesSink<'_>,
) -> Result<(), Error> {
    show.condition.as_ref().map_or(Ok(()), measurements::check)?;
    let mut names = BTreeSet::new();
    let mut left = Left::default();
    let mut collect = |resolver: &Resolver<'_>| -> Result<(), Error> {
        let tables = match tables_by_name(show, resolver) {
            // As in InfluxDB, a database that does not exist has no measurements.
            Err(Error::NotFound(_)) => return Ok(()),
            tables => tables?,
        };
        let all = Where::all(About::Names, resolver);
        for (name, tables) in tables {
            let wanted = match with {
                Some(Source::Measurement(Measurement { pattern: Some(pattern), .. })) => {
                    pattern.is_match(&name)
                }
                Some(Source::Measurement(m)) => m.name == *name,
                _ => true,
            };
            let values =
                |tag: &str| ask_all(resolver, &tables, &all, &SchemaQuestion::TagValues(tag.to_owned()));
            let holds = || match &show.condition {
                Some(condition) => measurements::holds(condition, &name, &values),
                None => Ok(true),
            };
            if !wanted || !holds()? {
                continue;
            }
            for table in &tables {
                if left.has(table, resolver)? {
                    names.insert(name.to_string());
                    break;
                }
            }
        }
        Ok(())
    };
    match (&show.database, &show.retention_policy) {
        (Some(NameOrAll::All), _) | (_, Some(NameOrAll::All)) => {
            for (database, policies) in databases(resolver) {
                let asked = match &show.database {
                    Some(NameOrAll::Name(name)) => *name == database,
                    _ => true,
                };
                for (policy, ..) in policies.iter().filter(|_| asked) {
                    let wanted = match &show.retention_policy {
                        Some(NameOrAll::Name(name)) => name == policy,
                        _ => true,
                    };
                    if wanted {
                        collect(&Resolver {
                            database: Some(&database),
                            retention_policy: Some(policy),
                            ..*resolver
                        })?;
                    }
                }
            }
        }
        (_, Some(NameOrAll::Name(policy))) => {
            collect(&Resolver { retention_policy: Some(policy), ..*resolver })?;
        }
        _ => collect(resolver)?,
    }
    let rows: Vec<_> = limited(names.into_iter().collect(), show.limit, show.offset)
        .into_iter()
        .map(|name| vec![name])
        .collect();
    send_whole(sink, "measurements", &["name"], &rows)
}

/// Of which measurements something is left: points expire and are deleted, and the catalog does not see to it.
#[derive(Default)]
struct Left(BTreeMap<BucketId, BTreeSet<String>>);

impl Left {
    fn has(&mut self, table: &Table, resolver: &Resolver<'_>) -> Result<bool, Error> {
        let names = match self.0.entry(table.bucket) {
            Entry::Occupied(names) => names.into_mut(),
            Entry::Vacant(none) => {
                let request = SchemaRequest {
                    bucket: table.bucket,
                    range: range(Bounds::ALL, table.oldest),
                    predicate: Predicate::TRUE,
                    question: SchemaQuestion::Measurements,
                };
                none.insert(resolver.source.schema(&request)?.into_iter().collect())
            }
        };
        Ok(names.contains(&*table.measurement))
    }
}

fn field_keys(show: &Show, resolver: &Resolver<'_>, sink: &mut SeriesSink<'_>) -> Result<(), Error> {
    let mut left = Left::default();
    for table in tables(show, resolver)? {
        if !left.has(&table, resolver)? {
            continue;
        }
        let rows: Vec<Vec<String>> = resolver.catalog.get(|state| {
            let fields = state.fields_of(table.bucket, &table.measurement);
            fields.map(|(name, field_type)| vec![name.to_owned(), field_type.name().to_owned()]).collect()
        });
        let rows = limited(rows, show.limit, show.offset);
        send(sink, &table.measurement, &["fieldKey", "fieldType"], &rows)?;
    }
    Ok(())
}

fn series(
    show: &Show,
    resolver: &Resolver<'_>,
    budget: &Budget<'_>,
    sink: &mut SeriesSink<'_>,
) -> Result<(), Error> {
    let tables = tables(show, resolver)?;
    let condition = condition_of(show, resolver, About::Names)?;
    let mut keys = Vec::new();
    for table in tables {
        budget.check()?;
        keys.extend(ask(resolver, &table, &condition, SchemaQuestion::Series)?);
        budget.series(keys.len())?;
    }
    // By the names themselves, not as they are escaped.
    let unescaped = |key: &String| key.replace("\\ ", " ").replace("\\,", ",").replace("\\=", "=");
    keys.sort_by_cached_key(unescaped);
    let rows: Vec<_> = limited(keys, show.limit, show.offset).into_iter().map(|k| vec![k]).collect();
    send(sink, "", &["key"], &rows)
}

fn tag_keys(
    show: &Show,
    with: Option<&KeyTest>,
    resolver: &Resolver<'_>,
    sink: &mut SeriesSink<'_>,
) -> Result<(), Error> {
    let tables = tables_by_name(show, resolver)?;
    let condition = condition_of(show, resolver, About::Names)?;
    // SLIMIT and SOFFSET are read and, as in InfluxDB, mean nothing here.
    for (name, tables) in tables {
        let mut keys = ask_all(resolver, &tables, &condition, &SchemaQuestion::TagKeys)?;
        keys.retain(|key| with.is_none_or(|test| test.accepts(key)));
        let rows: Vec<_> = limited(keys, show.limit, show.offset).into_iter().map(|k| vec![k]).collect();
        send_whole(sink, &name, &["tagKey"], &rows)?;
    }
    Ok(())
}

fn tag_values(
    show: &Show,
    with: &KeyTest,
    resolver: &Resolver<'_>,
    budget: &Budget<'_>,
    sink: &mut SeriesSink<'_>,
) -> Result<(), Error> {
    let tables = tables_by_name(show, resolver)?;
    let condition = condition_of(show, resolver, About::Names)?;
    for (name, tables) in tables {
        budget.check()?;
        let mut rows = Vec::new();
        let mut keys = ask_all(resolver, &tables, &condition, &SchemaQuestion::TagKeys)?;
        keys.retain(|key| with.accepts(key));
        for key in keys {
            let values = ask_all(resolver, &tables, &condition, &SchemaQuestion::TagValues(key.clone()))?;
            rows.extend(values.into_iter().map(|value| vec![key.clone(), value]));
            budget.answer_rows(rows.len().min(1))?;
        }
        let rows = limited(rows, show.limit, show.offset);
        send_whole(sink, &name, &["key", "value"], &rows)?;
    }
    Ok(())
}
