//! From names in FROM to tables of buckets, and the fields and tags that the tables have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalog::State;
use influxql::ast::{Measurement, RefKind, Source, VarRef};
use model::{
    BucketId, FieldType, OrgId, Predicate, SchemaQuestion, SchemaRequest, Subject, Test, TimeRange, Timestamp,
};

use super::condition::Bounds;
use super::expr::{Node, Var, VarKind};
use super::plan::{self, Input, OutColumn, Outer, Plan, Slot, cast_type};
use crate::error::Error;
use crate::source::ScanSource;
use crate::view::CatalogView;

/// A measurement of a bucket.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) bucket: BucketId,
    pub(crate) measurement: Arc<str>,
    /// Earlier points have expired.
    pub(crate) oldest: Timestamp,
}

/// A bucket as the statements see it.
#[derive(Debug, Clone)]
pub(crate) struct Readable {
    pub(crate) id: BucketId,
    pub(crate) oldest: Timestamp,
}

/// Resolves names for one request.
#[derive(Clone, Copy)]
pub(crate) struct Resolver<'a> {
    pub(crate) catalog: &'a dyn CatalogView,
    pub(crate) source: &'a dyn ScanSource,
    pub(crate) org: OrgId,
    pub(crate) database: Option<&'a str>,
    pub(crate) retention_policy: Option<&'a str>,
    pub(crate) readable: Option<&'a [BucketId]>,
    pub(crate) now: Timestamp,
}

impl std::fmt::Debug for Resolver<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver")
            .field("org", &self.org)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// What the sources of a SELECT have.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) inputs: Vec<Input>,
    pub(crate) fields: BTreeMap<String, FieldType>,
    /// Empty when nobody asked.
    pub(crate) tags: BTreeSet<String>,
    /// The tags that wildcards and patterns of GROUP BY stand for: those of stored series, and those by which a subquery
    /// itself is grouped.
    pub(crate) dimensions: BTreeSet<String>,
    /// The tags that are columns of a subquery.
    pub(crate) tag_columns: BTreeSet<String>,
    /// The columns of a subquery that are of nothing.
    pub(crate) empty_columns: BTreeSet<String>,
    /// Tags beside a ranking of a subquery, for who names them.
    ranking_tags: BTreeSet<String>,
    /// There is no subquery.
    pub(crate) stored_only: bool,
}

impl Schema {
    /// What a reference means: fields come before tags, a cast decides; but what a subquery answers goes by its name alone
    /// where a tag is asked for.
    pub(crate) fn kind(&self, var: &VarRef) -> VarKind {
        let field = self.fields.get(&var.name).copied();
        match (var.kind, field) {
            (Some(RefKind::Tag), Some(field_type)) if self.is_answered() => VarKind::Field(field_type),
            (Some(RefKind::Tag), _) if self.is_answered() && !self.may_have_tag(&var.name) => VarKind::NoTag,
            (Some(RefKind::Tag), _) => VarKind::Tag,
            (None, None) if self.may_have_tag(&var.name) => VarKind::Tag,
            (Some(RefKind::Field) | None, None) => VarKind::Nothing,
            (None | Some(RefKind::Field), Some(field_type)) => VarKind::Field(field_type),
            (kind, _) => cast_type(kind).map_or(VarKind::Tag, VarKind::Field),
        }
    }

    /// Whether a name can be a tag: stored series may have any, subqueries have those that are columns, or by which they
    /// are grouped themselves.
    fn may_have_tag(&self, name: &str) -> bool {
        let answered = [&self.dimensions, &self.tag_columns, &self.ranking_tags];
        answered.iter().any(|names| names.contains(name)) || self.has_stored()
    }

    /// Whether everything is answered by subqueries.
    fn is_answered(&self) -> bool {
        !self.stored_only && !self.has_stored()
    }

    fn has_stored(&self) -> bool {
        self.inputs.iter().any(|input| matches!(input, Input::Table(_)))
    }

    fn add_field(&mut self, name: &str, field_type: FieldType) {
        // Float before integer before unsigned before string before boolean, which is the order of the type.
        let known = self.fields.entry(name.to_owned()).or_insert(field_type);
        *known = field_type.min(*known);
    }
}

/// Whether a bucket of the organization may be read, and from when.
fn readable_bucket(resolver: &Resolver<'_>, id: BucketId) -> Option<Readable> {
    if resolver.readable.is_some_and(|list| !list.contains(&id)) {
        return None;
    }
    let retention = resolver.catalog.get(|state| state.bucket(id).map(|b| b.retention_ns))?;
    let oldest = retention.map_or(Timestamp(i64::MIN), |ns| Timestamp(resolver.now.0.saturating_sub(ns)));
    Some(Readable { id, oldest })
}

impl Resolver<'_> {
    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    /// A bucket of the organization, if it may be read.
    pub(crate) fn readable(&self, id: BucketId) -> Option<Readable> {
        readable_bucket(self, id)
    }

    /// The bucket behind a database and retention policy, either named or the request's defaults, if it may be read.
    pub(crate) fn bucket(&self, database: Option<&str>, policy: Option<&str>) -> Result<Readable, Error> {
        let (id, database) = self.find(database, policy)?;
        readable_bucket(self, id).ok_or_else(|| Error::NotFound(format!("database not found: {database}")))
    }

    /// The bucket that a SELECT writes to, whether it may or not.
    pub(crate) fn target(&self, measurement: &Measurement) -> Result<BucketId, Error> {
        let Measurement { database, retention_policy, .. } = measurement;
        self.find(database.as_deref(), retention_policy.as_deref()).map(|(id, _)| id)
    }

    /// The bucket behind a database and retention policy, with the database's name.
    fn find<'n>(
        &'n self,
        database: Option<&'n str>,
        policy: Option<&str>,
    ) -> Result<(BucketId, &'n str), Error> {
        let own = database.is_none();
        let Some(database) = database.or(self.database).filter(|d| !d.is_empty()) else {
            return Err(Error::Invalid("database name required".to_owned()));
        };
        let policy = policy.or(if own { self.retention_policy } else { None }).filter(|p| !p.is_empty());
        let look = |state: &State| {
            let exists = state.resolve_dbrp(self.org, database, None).is_some()
                || state.dbrps(self.org).any(|d| d.database == database);
            state.resolve_dbrp(self.org, database, policy).ok_or(exists)
        };
        let found = match self.catalog.get(look) {
            Err(_) if self.catalog.refresh()? => self.catalog.get(look),
            found => found,
        };
        match (found, policy) {
            (Ok(id), _) => Ok((id, database)),
            (Err(true), Some(policy)) => {
                Err(Error::NotFound(format!("retention policy not found: {policy}")))
            }
            (Err(_), _) => Err(Error::NotFound(format!("database not found: {database}"))),
        }
    }

    /// The tables that a measurement's name or pattern stands for.
    pub(crate) fn tables(&self, measurement: &Measurement) -> Result<Vec<Table>, Error> {
        let bucket = self.bucket(measurement.database.as_deref(), measurement.retention_policy.as_deref())?;
        let names: Vec<Arc<str>> = self.catalog.get(|state| match &measurement.pattern {
            None if state.has_measurement(bucket.id, &measurement.name) => {
                vec![measurement.name.as_str().into()]
            }
            None => Vec::new(),
            Some(pattern) => {
                state.measurements(bucket.id).filter(|m| pattern.is_match(m)).map(Arc::from).collect()
            }
        });
        let table = |measurement| Table { bucket: bucket.id, measurement, oldest: bucket.oldest };
        Ok(names.into_iter().map(table).collect())
    }

    /// Whether the databases of some sources exist: asked before a statement is looked at closer.
    pub(crate) fn check_databases(&self, sources: &[Source]) -> Result<(), Error> {
        for source in sources {
            if let Source::Measurement(measurement) = source {
                self.bucket(measurement.database.as_deref(), measurement.retention_policy.as_deref())?;
            }
        }
        Ok(())
    }

    /// What the sources of a SELECT have; subqueries are compiled with what they take from `outer`.
    pub(crate) fn schema(
        &self,
        sources: &[Source],
        bounds: Bounds,
        outer: &Outer,
        tags: bool,
    ) -> Result<Schema, Error> {
        let mut schema = Schema {
            inputs: Vec::new(),
            fields: BTreeMap::new(),
            tags: BTreeSet::new(),
            dimensions: BTreeSet::new(),
            tag_columns: BTreeSet::new(),
            empty_columns: BTreeSet::new(),
            ranking_tags: BTreeSet::new(),
            stored_only: true,
        };
        for source in sources {
            match source {
                Source::Measurement(measurement) => {
                    for table in self.tables(measurement)? {
                        let fields: Vec<_> = self.catalog.get(|state| {
                            let fields = state.fields_of(table.bucket, &table.measurement);
                            fields.map(|(name, field_type)| (name.to_owned(), field_type)).collect()
                        });
                        fields.iter().for_each(|(name, field_type)| schema.add_field(name, *field_type));
                        if tags {
                            schema.dimensions.extend(self.tag_keys(&table, bounds)?);
                        }
                        schema.inputs.push(Input::Table(table));
                    }
                }
                Source::Subquery(select) => {
                    schema.stored_only = false;
                    let inner = plan::compile(select, self, Some(outer))?;
                    for (at, column) in inner.columns.iter().enumerate() {
                        if inner.point_tags.contains(&at) {
                            schema.ranking_tags.insert(column.name.to_string());
                        } else if inner.is_tag(column) {
                            schema.tag_columns.insert(column.name.to_string());
                        } else if let Some(field_type) = inner.declared_type(column) {
                            schema.add_field(&column.name, field_type);
                        } else {
                            schema.empty_columns.insert(column.name.to_string());
                        }
                    }
                    schema.dimensions.extend(inner.own_dimensions.iter().cloned());
                    schema.tags.extend(inner.dimensions.iter().cloned());
                    schema.inputs.push(Input::Subquery(Box::new(inner)));
                }
            }
        }
        let answered = schema.dimensions.iter().chain(&schema.tag_columns).chain(&schema.ranking_tags);
        schema.tags.extend(answered.cloned());
        Ok(schema)
    }

    /// Whether a name is a tag of what a SELECT reads.
    pub(crate) fn has_tag(&self, schema: &Schema, name: &str, bounds: Bounds) -> Result<bool, Error> {
        if schema.tags.contains(name) {
            return Ok(true);
        }
        for input in &schema.inputs {
            if let Input::Table(table) = input
                && self.tag_keys(table, bounds)?.iter().any(|key| key == name)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn tag_keys(&self, table: &Table, bounds: Bounds) -> Result<Vec<String>, Error> {
        let request = SchemaRequest {
            bucket: table.bucket,
            range: range(bounds, table.oldest),
            predicate: measurement_is(&table.measurement),
            question: SchemaQuestion::TagKeys,
        };
        Ok(self.source.schema(&request)?)
    }
}

/// The predicate of one measurement.
pub(crate) fn measurement_is(name: &str) -> Predicate {
    Predicate::Compare(Subject::Measurement, Test::Eq(name.to_owned()))
}

/// Bounds as a half-open range, without what has expired.
pub(crate) fn range(bounds: Bounds, oldest: Timestamp) -> TimeRange {
    TimeRange::new(Timestamp(bounds.min).max(oldest), Timestamp(bounds.max.saturating_add(1)))
}

impl Plan {
    /// Whether a column of the answer is a tag as it is.
    fn is_tag(&self, column: &OutColumn) -> bool {
        let Node::Slot(slot) = column.node else { return false };
        matches!(self.slots.get(slot), Some(Slot::Var(Var { kind: VarKind::Tag | VarKind::NoTag, .. })))
    }

    /// The type that a column of a subquery has for the query around it; none where it is a column of nothing.
    fn declared_type(&self, column: &OutColumn) -> Option<FieldType> {
        column.node.declared_type(&|i| match self.slots.get(i)? {
            Slot::Var(Var { kind: VarKind::Nothing | VarKind::Filler(_), .. }) => None,
            Slot::Call(call) if call.has_no_type() => None,
            slot => Some(slot.field_type()),
        })
    }

    /// The names of the fields that the plan reads, in columns and in its condition.
    pub(crate) fn field_names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = Vec::new();
        let from_slots = self.slots.iter().map(|slot| match slot {
            Slot::Var(var) => var,
            Slot::Call(call) => &call.input,
        });
        for var in from_slots.chain(&self.filter.vars) {
            if matches!(var.kind, VarKind::Field(_)) && !names.contains(&var.name) {
                names.push(Arc::clone(&var.name));
            }
        }
        names
    }
}
