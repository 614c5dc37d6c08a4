//! The registry of field types: the first writer of a field fixes its type, until the measurement is forgotten.

use std::collections::{BTreeSet, HashMap, HashSet};

use model::{BucketId, FieldType};

use crate::change::Change;
use crate::command::{FieldOutcome, FieldSpec};
use crate::limits::Limits;
use crate::state::State;

/// What one registration adds to the state it was decided on.
#[derive(Default)]
struct Added<'a> {
    types: HashMap<(&'a str, &'a str), FieldType>,
    fields: HashMap<&'a str, usize>,
    measurements: HashSet<&'a str>,
}

/// Decides every field of a registration, in its order; the outcomes are parallel to `wanted`.
pub(super) fn register(
    state: &State,
    bucket: BucketId,
    wanted: &[FieldSpec],
    limits: &Limits,
) -> (Vec<Change>, Vec<FieldOutcome>) {
    if state.bucket(bucket).is_none() {
        return (Vec::new(), vec![FieldOutcome::NoBucket; wanted.len()]);
    }
    let mut added = Added::default();
    let mut changes = Vec::new();
    let mut outcomes = Vec::with_capacity(wanted.len());
    for spec in wanted {
        let key = (spec.measurement.as_str(), spec.field.as_str());
        let known = state.field_type(bucket, key.0, key.1).or_else(|| added.types.get(&key).copied());
        let outcome = match known {
            Some(field_type) => FieldOutcome::Has(field_type),
            None if !has_room(state, bucket, &added, spec, limits) => FieldOutcome::LimitReached,
            None => {
                added.types.insert(key, spec.field_type);
                *added.fields.entry(key.0).or_default() += 1;
                if !state.has_measurement(bucket, key.0) {
                    added.measurements.insert(key.0);
                }
                changes.push(Change::PutField {
                    bucket,
                    measurement: spec.measurement.clone(),
                    field: spec.field.clone(),
                    field_type: spec.field_type,
                });
                FieldOutcome::Has(spec.field_type)
            }
        };
        outcomes.push(outcome);
    }
    (changes, outcomes)
}

/// Forgets those of the measurements that are known. Doing it again is done.
pub(super) fn forget(state: &State, bucket: BucketId, measurements: &[String]) -> Vec<Change> {
    let known: BTreeSet<&String> =
        measurements.iter().filter(|measurement| state.has_measurement(bucket, measurement)).collect();
    let drop = |measurement: &String| Change::DropMeasurement { bucket, measurement: measurement.clone() };
    known.into_iter().map(drop).collect()
}

fn has_room(state: &State, bucket: BucketId, added: &Added<'_>, spec: &FieldSpec, limits: &Limits) -> bool {
    let measurement = spec.measurement.as_str();
    if measurement.len() > limits.key_bytes || spec.field.len() > limits.key_bytes {
        return false;
    }
    let is_new = !state.has_measurement(bucket, measurement) && !added.measurements.contains(measurement);
    let measurements = state.measurement_count(bucket) + added.measurements.len();
    let fields = state.field_count(bucket, measurement) + added.fields.get(measurement).copied().unwrap_or(0);
    (!is_new || measurements < limits.measurements_per_bucket) && fields < limits.fields_per_measurement
}
