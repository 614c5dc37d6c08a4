//! A measurement as a table: its tags, its fields and `time`, by name.
//!
//! A row is a point: a series and a time, with a value in at least one field. It is there whatever columns a query
//! names.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use catalog::Level;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use model::{BucketId, FieldSelection, FieldType, ScanRequest, TimeRange};

use super::columns;
use super::predicate::{self, Wanted};
use super::reader::Reader;
use super::scan::ScanExec;
use crate::influxql::measurement_is;

/// What a column of a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The time.
    Time,
    /// A tag.
    Tag(String),
    /// A field.
    Field(Arc<str>, FieldType),
}

/// A measurement of a bucket.
#[derive(Debug)]
pub(super) struct Measurement {
    pub(super) bucket: BucketId,
    pub(super) name: String,
    /// Without what has expired.
    pub(super) alive: TimeRange,
    /// What the columns of the schema are.
    pub(super) origins: Vec<Origin>,
    pub(super) schema: SchemaRef,
    /// The columns that are tags. A tag whose name a field has too is called otherwise, and is looked at above.
    pub(super) tags: BTreeSet<String>,
    pub(super) reader: Arc<Reader>,
    /// Whether all nodes understand [`FieldSelection::InAllRows`], and summaries with squares.
    pub(super) is_narrow: bool,
}

/// Where a measurement is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) bucket: BucketId,
    pub(super) name: String,
    pub(super) alive: TimeRange,
    /// What all nodes understand.
    pub(super) level: Level,
}

impl Measurement {
    /// A table of these tags and fields. A tag with the name of a field gets `_1` at its end, as in InfluxQL.
    pub(super) fn new(
        place: Place,
        tags: Vec<String>,
        fields: Vec<(String, FieldType)>,
        reader: Arc<Reader>,
    ) -> Self {
        let names: BTreeSet<String> = fields.iter().map(|(name, _)| name.clone()).collect();
        let mut all: Vec<(String, Origin)> = vec![("time".to_owned(), Origin::Time)];
        let mut as_named = BTreeSet::new();
        for tag in tags {
            let mut name = tag.clone();
            while names.contains(&name) || name == "time" {
                name.push_str("_1");
            }
            if name == tag {
                as_named.insert(name.clone());
            }
            all.push((name, Origin::Tag(tag)));
        }
        for (name, field_type) in fields.into_iter().filter(|(name, _)| name != "time") {
            let origin = Origin::Field(name.as_str().into(), field_type);
            all.push((name, origin));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        let column = |(name, origin): &(String, Origin)| match origin {
            Origin::Time => Field::new(name, columns::TIME, false),
            Origin::Tag(_) => Field::new(name, columns::tag_type(), true),
            Origin::Field(_, field_type) => Field::new(name, columns::field_type(*field_type), true),
        };
        let schema = Arc::new(Schema::new(all.iter().map(column).collect::<Vec<_>>()));
        let Place { bucket, name, alive, level } = place;
        let origins = all.into_iter().map(|(_, origin)| origin).collect();
        let is_narrow = level >= Level::STATEMENTS;
        Self { bucket, name, alive, origins, schema, tags: as_named, reader, is_narrow }
    }

    /// What a column is.
    pub(super) fn origin(&self, column: &str) -> Option<&Origin> {
        self.schema.index_of(column).ok().and_then(|at| self.origins.get(at))
    }

    /// The fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = &Arc<str>> {
        self.origins.iter().filter_map(|origin| match origin {
            Origin::Field(name, _) => Some(name),
            Origin::Time | Origin::Tag(_) => None,
        })
    }

    /// The scan of rows that satisfy conditions.
    pub(super) fn request(&self, conditions: &[Expr]) -> ScanRequest {
        let Wanted { range, predicate } = predicate::wanted(conditions, &self.tags);
        ScanRequest {
            bucket: self.bucket,
            range: predicate::intersection(range, self.alive),
            predicate: measurement_is(&self.name).and(predicate),
            // A row is there for the sake of any field.
            fields: FieldSelection::All,
        }
    }
}

#[async_trait]
impl TableProvider for Measurement {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let push = |filter: &&Expr| match predicate::translate(filter, &self.tags) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(push).collect())
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.origins.len()).collect();
        let projection = projection.unwrap_or(&all);
        let origins: Vec<Origin> = projection.iter().filter_map(|i| self.origins.get(*i).cloned()).collect();
        let schema = Arc::new(self.schema.project(projection)?);
        let mut request = self.request(filters);
        if self.is_narrow {
            let field = |origin: &Origin| match origin {
                Origin::Field(name, _) => Some(Arc::clone(name)),
                Origin::Time | Origin::Tag(_) => None,
            };
            request.fields = FieldSelection::InAllRows(origins.iter().filter_map(field).collect());
        }
        let reader = Arc::clone(&self.reader);
        Ok(Arc::new(ScanExec::new(request, origins, schema, limit, reader, self.name.clone())))
    }
}
