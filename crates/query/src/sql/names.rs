//! From the names in a statement to tables: databases to buckets, measurements to their tags and fields.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::State;
use datafusion::common::TableReference;
use model::{BucketId, FieldType, SchemaQuestion, SchemaRequest, TimeRange, Timestamp};

use super::SqlContext;
use super::reader::Reader;
use super::session::{CATALOG, SCHEMA, Session};
use super::table::{Measurement, Place};
use crate::error::Error;
use crate::influxql::measurement_is;

/// Makes the tables known that a statement names; all of the database where it asks what there is. A name without a
/// table is left to the planner, which tells where it stands.
pub(super) fn register(
    tables: &[TableReference],
    context: &SqlContext<'_>,
    reader: &Arc<Reader>,
    session: &Session,
) -> Result<(), Error> {
    let own = bucket(context, context.database)?;
    let own = own.ok_or_else(|| Error::NotFound(format!("database not found: {}", context.database)))?;
    let mut known: BTreeSet<(String, String)> = BTreeSet::new();
    let mut add = |schema: &str, bucket: &Bucket, name: &str| {
        if !known.insert((schema.to_owned(), name.to_owned())) {
            return Ok(());
        }
        let Some(table) = measurement(context, bucket, name, reader)? else { return Ok(()) };
        session.register(schema, name, Arc::new(table)).map_err(|error| Error::Internal(error.to_string()))
    };
    for table in tables {
        if table.catalog().is_some_and(|catalog| catalog != CATALOG) {
            continue;
        }
        match table.schema() {
            None | Some(SCHEMA) => add(SCHEMA, &own, table.table())?,
            Some("information_schema") => {
                let names: Vec<String> = context
                    .catalog
                    .get(|state| state.measurements(own.id).map(ToString::to_string).collect());
                names.iter().try_for_each(|name| add(SCHEMA, &own, name))?;
            }
            Some(other) => {
                if let Some(bucket) = bucket(context, other)? {
                    add(other, &bucket, table.table())?;
                }
            }
        }
    }
    Ok(())
}

/// A bucket that may be read, and what of it has not expired.
struct Bucket {
    id: BucketId,
    alive: TimeRange,
}

/// The bucket with a name, or that a database of this name is mapped to, if it may be read.
fn bucket(context: &SqlContext<'_>, name: &str) -> Result<Option<Bucket>, Error> {
    let look = |state: &State| {
        let named = state.bucket_by_name(context.org, name);
        let mapped = || state.bucket(state.resolve_dbrp(context.org, name, None)?);
        let bucket = named.or_else(mapped)?;
        let oldest = bucket.retention_ns.map_or(i64::MIN, |ns| context.now.0.saturating_sub(ns));
        Some((bucket.id, TimeRange::new(Timestamp(oldest), Timestamp(i64::MAX))))
    };
    let found = context.catalog.find(look)?;
    let may_read = |id: &BucketId| context.readable.is_none_or(|list| list.contains(id));
    Ok(found.filter(|(id, _)| may_read(id)).map(|(id, alive)| Bucket { id, alive }))
}

/// The table of a measurement, if there is one.
fn measurement(
    context: &SqlContext<'_>,
    bucket: &Bucket,
    name: &str,
    reader: &Arc<Reader>,
) -> Result<Option<Measurement>, Error> {
    let look = |state: &State| {
        state.has_measurement(bucket.id, name).then(|| {
            let fields = state.fields_of(bucket.id, name);
            let fields = fields
                .map(|(name, field_type)| (name.to_owned(), field_type))
                .collect::<Vec<(String, FieldType)>>();
            (fields, state.level())
        })
    };
    let Some((fields, level)) = context.catalog.find(look)? else { return Ok(None) };
    let question = SchemaRequest {
        bucket: bucket.id,
        range: bucket.alive,
        predicate: measurement_is(name),
        question: SchemaQuestion::TagKeys,
    };
    let tags = context.source.schema(&question)?;
    let place = Place { bucket: bucket.id, name: name.to_owned(), alive: bucket.alive, level };
    Ok(Some(Measurement::new(place, tags, fields, Arc::clone(reader))))
}
