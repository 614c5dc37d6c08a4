//! Every field of a batch gets the one type that the catalog knows for it; points that want another are refused.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use catalog::{Command, FieldOutcome, FieldSpec, Response};
use model::{Batch, Bitmap, FieldType, Table};

use super::{Refused, RouteError, RouterMetrics, nothing_written};
use crate::cluster::Cluster;

/// Fields of one registration; more go into further ones.
const REGISTRATION_FIELDS_MAX: usize = 10_000;

/// What a batch's column may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It has the field's type.
    Right,
    /// The field has this type instead.
    Conflict(FieldType),
    /// There is no room for another field.
    NoRoom,
    /// Nobody knows yet.
    Unknown,
}

/// Resolves the types of all fields, registering those that are new. Points that conflict are taken out.
pub(super) async fn resolve(
    cluster: &Cluster,
    metrics: &RouterMetrics,
    batch: &mut Batch,
) -> Result<Refused, RouteError> {
    let mut refused = Refused::default();
    let mut verdicts = judge(cluster, batch);
    if verdicts.iter().flatten().any(|verdict| matches!(verdict, Verdict::Conflict(_))) {
        // A refusal is final for clients, so it is decided on the newest state.
        cluster.read_barrier_meta().await.map_err(nothing_written)?;
        if cluster.catalog().read().bucket(batch.bucket).is_none() {
            return Err(RouteError::BucketNotFound);
        }
        verdicts = judge(cluster, batch);
        enforce(batch, &verdicts, &mut refused);
        verdicts = judge(cluster, batch);
    }
    if verdicts.iter().flatten().any(|verdict| *verdict == Verdict::Unknown) {
        let verdicts = register(cluster, metrics, batch).await?;
        enforce(batch, &verdicts, &mut refused);
    }
    Ok(refused)
}

/// What the local catalog says about each column of each table.
fn judge(cluster: &Cluster, batch: &Batch) -> Vec<Vec<Verdict>> {
    let state = cluster.catalog().read();
    let table = |table: &Table| {
        let fields = table.fields.iter().map(|field| {
            match state.field_type(batch.bucket, &table.measurement, &field.name) {
                None => Verdict::Unknown,
                Some(known) if known == field.field_type => Verdict::Right,
                Some(known) => Verdict::Conflict(known),
            }
        });
        fields.collect()
    };
    batch.tables.iter().map(table).collect()
}

/// Registers all fields whose type is unknown; the first column of a name speaks for it.
async fn register(
    cluster: &Cluster,
    metrics: &RouterMetrics,
    batch: &Batch,
) -> Result<Vec<Vec<Verdict>>, RouteError> {
    let mut wanted: Vec<FieldSpec> = Vec::new();
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    for (table, verdicts) in batch.tables.iter().zip(judge(cluster, batch)) {
        for (field, verdict) in table.fields.iter().zip(verdicts) {
            if verdict == Verdict::Unknown {
                places.entry((&table.measurement, &field.name)).or_insert_with(|| {
                    wanted.push(FieldSpec {
                        measurement: table.measurement.as_ref().to_owned(),
                        field: field.name.as_ref().to_owned(),
                        field_type: field.field_type,
                    });
                    wanted.len() - 1
                });
            }
        }
    }
    let mut outcomes = Vec::with_capacity(wanted.len());
    for fields in wanted.chunks(REGISTRATION_FIELDS_MAX) {
        metrics.registrations.fetch_add(1, Ordering::Relaxed);
        let command = Command::RegisterFields { bucket: batch.bucket, fields: fields.to_vec() };
        match cluster.propose_catalog(command).await.map_err(nothing_written)? {
            Response::Fields(some) => outcomes.extend(some),
            Response::Refused(error) => return Err(error.into()),
            Response::Done => {}
        }
    }
    if outcomes.contains(&FieldOutcome::NoBucket) {
        return Err(RouteError::BucketNotFound);
    }
    let mut verdicts = judge(cluster, batch);
    for (table, verdicts) in batch.tables.iter().zip(&mut verdicts) {
        for (field, verdict) in table.fields.iter().zip(verdicts) {
            let place = places.get(&(table.measurement.as_ref(), field.name.as_ref()));
            match place.and_then(|place| outcomes.get(*place)) {
                Some(FieldOutcome::Has(known)) if *known == field.field_type => *verdict = Verdict::Right,
                Some(FieldOutcome::Has(known)) => *verdict = Verdict::Conflict(*known),
                Some(FieldOutcome::LimitReached | FieldOutcome::NoBucket) => *verdict = Verdict::NoRoom,
                None => {}
            }
        }
    }
    Ok(verdicts)
}

/// Takes the points out that have a value in a column that may not be.
fn enforce(batch: &mut Batch, verdicts: &[Vec<Verdict>], refused: &mut Refused) {
    for (table, verdicts) in batch.tables.iter_mut().zip(verdicts) {
        if verdicts.iter().all(|verdict| matches!(verdict, Verdict::Right | Verdict::Unknown)) {
            continue;
        }
        let mut keep = Bitmap::filled(true, table.times.len());
        for ((field, column), verdict) in table.fields.iter().zip(&table.columns).zip(verdicts) {
            let (name, measurement) = (&field.name, &table.measurement);
            let message = match verdict {
                Verdict::Right | Verdict::Unknown => continue,
                Verdict::Conflict(known) => format!(
                    "field type conflict: input field \"{name}\" on measurement \"{measurement}\" is type {}, \
                     already exists as type {known}",
                    field.field_type
                ),
                Verdict::NoRoom => format!(
                    "limit of fields reached: input field \"{name}\" on measurement \"{measurement}\" \
                     was not added"
                ),
            };
            for row in (0..column.len()).filter(|row| column.is_valid(*row)) {
                keep.set(row, false);
            }
            refused.message.get_or_insert(message);
        }
        refused.points += table.retain_rows(&keep);
    }
    batch.remove_empty_tables();
}
