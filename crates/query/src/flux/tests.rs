//! Scripts over the test source: buckets by name and id, rights, expiry, limits.

use model::{BucketId, FieldValue, Frame, Timestamp};

use super::{FluxContext, run_flux};
use crate::error::{Error, Stopped};
use crate::limits::Limits;
use crate::testing::{MEMORY, Points, bucket_id, org};

const LIMITS: Limits = Limits {
    memory_bytes_max: 16 << 20,
    rows_max: 1_000,
    points_max: 100_000,
    series_max: 100,
    windows_max: 1_000,
    time_max: None,
};

#[derive(Debug)]
struct FixedClock(i64);

impl model::Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0)
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

fn run(script: &str, limits: Limits, readable: Option<&[BucketId]>) -> Result<Vec<Frame>, Error> {
    let mut points = Points::default();
    points.block_rows = 2;
    points.put_lines(
        bucket_id(1),
        "m,h=a v=1 0\nm,h=a v=2 3600000000000\nm,h=a v=3 7200000000000\nm,h=b v=9 7200000000000\n",
    );
    points.put_lines(bucket_id(2), "m v=5 0\nm v=7 7200000000000\n");
    let catalog = points.catalog(&[(1, "kept", None), (2, "short", Some(3_600_000_000_000))], &[]);
    let context = FluxContext {
        catalog: &catalog,
        source: &points,
        org: org(),
        now: Timestamp(8_000_000_000_000),
        clock: &FixedClock(8_000_000_000_000),
        readable,
        limits,
        memory: &MEMORY,
        cancelled: &|| false,
    };
    let mut frames = Vec::new();
    run_flux(script, &context, &mut |_, _, frame| {
        frames.push(frame);
        Ok(())
    })?;
    Ok(frames)
}

fn values(frames: &[Frame]) -> Vec<f64> {
    let cells = frames.iter().flat_map(|f| (0..f.rows).filter_map(|row| f.column("_value")?.get(row)));
    cells.map(|v| if let FieldValue::Float(v) = v { v } else { panic!("{v:?}") }).collect()
}

#[test]
fn buckets_are_found_by_name_and_by_id() {
    let by_name = run(r#"from(bucket: "kept") |> range(start: 0)"#, LIMITS, None).unwrap();
    assert_eq!(values(&by_name), [1.0, 2.0, 3.0, 9.0]);
    let by_id =
        run(r#"from(bucketID: "0000000000000001") |> range(start: 0) |> sum()"#, LIMITS, None).unwrap();
    assert_eq!(values(&by_id), [6.0, 9.0]);
}

#[test]
fn expired_points_are_invisible() {
    let frames = run(r#"from(bucket: "short") |> range(start: 0)"#, LIMITS, None).unwrap();
    assert_eq!(values(&frames), [7.0]);
}

#[test]
fn unreadable_buckets_are_not_there() {
    let error = run(r#"from(bucket: "kept") |> range(start: 0)"#, LIMITS, Some(&[bucket_id(2)])).unwrap_err();
    assert!(error.to_string().contains("could not find bucket \"kept\""), "{error}");
}

#[test]
fn limits_and_receivers_stop_a_script() {
    let script = r#"from(bucket: "kept") |> range(start: 0)"#;
    let error = run(script, Limits { rows_max: 2, ..LIMITS }, None).unwrap_err();
    assert!(error.to_string().contains("query-rows"), "{error}");
    let error = run("from(", LIMITS, None).unwrap_err();
    assert!(matches!(error, Error::Flux(_)), "{error}");
    let mut points = Points::default();
    points.put_lines(bucket_id(1), "m v=1 0\n");
    let catalog = points.catalog(&[(1, "kept", None)], &[]);
    let context = FluxContext {
        catalog: &catalog,
        source: &points,
        org: org(),
        now: Timestamp(10),
        clock: &FixedClock(10),
        readable: None,
        limits: LIMITS,
        memory: &MEMORY,
        cancelled: &|| false,
    };
    let full = memory::Account::new("queries", 10, 0);
    let busy = FluxContext { memory: &full, ..context };
    let sorted = r#"from(bucket: "kept") |> range(start: 0) |> sort()"#;
    match run_flux(sorted, &busy, &mut |_, _, _| Ok(())) {
        Err(Error::Flux(error)) => assert_eq!(error.class(), flux::Class::Busy, "{error}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(full.used(), 0);
    let context = FluxContext { memory: &MEMORY, ..busy };
    let stopped = run_flux(script, &context, &mut |_, _, _| Err(Stopped));
    assert!(matches!(stopped, Err(Error::Stopped)));
    let cancelled = FluxContext { cancelled: &|| true, ..context };
    assert!(matches!(run_flux(script, &cancelled, &mut |_, _, _| Ok(())), Err(Error::Cancelled)));
}
