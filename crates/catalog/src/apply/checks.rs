//! Checks that several commands share, and the refusals in InfluxDB's words.

use crate::command::{CatalogError, ErrorCode};
use crate::limits::Limits;
use crate::resources::{Bucket, BucketKind};

/// The result of a check.
pub(super) type Checked<T = ()> = Result<T, CatalogError>;

pub(super) fn conflict(message: impl Into<String>) -> CatalogError {
    CatalogError { code: ErrorCode::Conflict, message: message.into() }
}

pub(super) fn not_found(message: impl Into<String>) -> CatalogError {
    CatalogError { code: ErrorCode::NotFound, message: message.into() }
}

pub(super) fn invalid(message: impl Into<String>) -> CatalogError {
    CatalogError { code: ErrorCode::Invalid, message: message.into() }
}

pub(super) fn unprocessable(message: impl Into<String>) -> CatalogError {
    CatalogError { code: ErrorCode::UnprocessableEntity, message: message.into() }
}

/// The id of a new record is taken: ids are random, so this is a proposer's bug or one chance in 2^64.
pub(super) fn id_taken() -> CatalogError {
    conflict("ID already exists")
}

pub(super) fn name(name: &str, limits: &Limits) -> Checked {
    if name.trim().is_empty() {
        return Err(invalid("name is empty"));
    }
    if name.len() > limits.name_bytes {
        return Err(invalid(format!("name is longer than {} bytes", limits.name_bytes)));
    }
    Ok(())
}

pub(super) fn description(text: &str, limits: &Limits) -> Checked {
    if text.len() > limits.description_bytes {
        return Err(invalid(format!("description is longer than {} bytes", limits.description_bytes)));
    }
    Ok(())
}

pub(super) fn bucket_name(text: &str, kind: BucketKind, limits: &Limits) -> Checked {
    name(text, limits)?;
    if text.starts_with('_') && kind == BucketKind::User {
        return Err(invalid(format!("bucket name {text} is invalid. Buckets may not start with underscore")));
    }
    if text.contains('"') {
        return Err(invalid(format!(
            "bucket name {text} is invalid. Bucket names may not include quotation marks"
        )));
    }
    Ok(())
}

/// Retention and shard length of a bucket as they will be stored: a length of 0 becomes the default of the
/// retention, one below the minimum is raised to it, as InfluxDB does.
pub(super) fn durations(
    retention_ns: Option<i64>,
    shard_duration_ns: i64,
    limits: &Limits,
) -> Checked<(Option<i64>, i64)> {
    let retention_ns = retention_ns.filter(|ns| *ns != 0);
    if retention_ns.is_some_and(|ns| ns < limits.shard_duration_ns_min) {
        return Err(unprocessable("retention policy duration must be at least 1h0m0s"));
    }
    if shard_duration_ns < 0 {
        return Err(unprocessable("shard-group duration must not be negative"));
    }
    let shard_duration_ns = match shard_duration_ns {
        0 => Bucket::default_shard_duration_ns(retention_ns),
        given => given.max(limits.shard_duration_ns_min),
    };
    if shard_duration_ns > limits.shard_duration_ns_max {
        let hours = limits.shard_duration_ns_max / model::time::HOUR_NS;
        return Err(unprocessable(format!("shard-group duration must be at most {hours}h0m0s")));
    }
    Ok((retention_ns, shard_duration_ns))
}
