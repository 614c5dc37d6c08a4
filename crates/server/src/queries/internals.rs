//! SHOW STATS and SHOW DIAGNOSTICS: what this node counts, under InfluxDB's names where it counts the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cluster::Reader as _;
use model::{FieldValue, OrgId};
use query::influxql::{Internals, shard_id};

use super::QueryAdapter;
use crate::metrics::process;
use crate::source::LocalReader;

fn integer(value: u64) -> FieldValue {
    FieldValue::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn read(counter: &AtomicU64) -> FieldValue {
    integer(counter.load(Ordering::Relaxed))
}

fn of(module: &'static str, values: Vec<(&'static str, FieldValue)>) -> Internals {
    Internals { module, tags: Vec::new(), values }
}

impl QueryAdapter {
    pub(super) fn stats(&self, org: OrgId) -> Vec<Internals> {
        let mut all = Vec::new();
        if let Some((resident, threads)) = process::memory_and_threads() {
            all.push(of("runtime", vec![("Sys", integer(resident)), ("NumThreads", integer(threads))]));
        }
        let counted = self.running.counted();
        let took_ns = u64::try_from(counted.took.as_nanos()).unwrap_or(u64::MAX);
        all.push(of(
            "queryExecutor",
            vec![
                ("queriesActive", integer(counted.active)),
                ("queriesExecuted", integer(counted.begun)),
                ("queriesFinished", integer(counted.begun.saturating_sub(counted.active))),
                ("queryDurationNs", integer(took_ns)),
            ],
        ));
        all.extend(self.databases(org));
        all.extend(self.shards_here(org));
        let written = self.writes.router.metrics();
        all.push(of("write", vec![("pointReq", read(&written.points))]));
        let (ok, failed) = (&self.counters.continuous_ok, &self.counters.continuous_failed);
        all.push(of("cq", vec![("queryFail", read(failed)), ("queryOk", read(ok))]));
        all
    }

    fn databases(&self, org: OrgId) -> Vec<Internals> {
        let state = self.cluster.catalog().read();
        let one = |(database, buckets): (&str, Vec<_>)| {
            let measurements: usize = buckets.iter().map(|bucket| state.measurement_count(*bucket)).sum();
            Internals {
                module: "database",
                tags: vec![("database".to_owned(), database.to_owned())],
                values: vec![("numMeasurements", integer(measurements as u64))],
            }
        };
        state.databases(org).into_iter().map(one).collect()
    }

    /// What this node has of the shards of an organization.
    fn shards_here(&self, org: OrgId) -> Vec<Internals> {
        let reader = LocalReader {
            partitions: Arc::clone(&self.deletes.partitions),
            memory: Arc::clone(&self.memory.queries),
        };
        let held = reader.shards();
        let state = self.cluster.catalog().read();
        let one = |shard: cluster::HeldShard| {
            let bucket = state.bucket(shard.bucket).filter(|bucket| bucket.org == org)?;
            let (database, policy) = bucket.database_and_policy();
            let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
            Some(Internals {
                module: "shard",
                tags: vec![
                    tag("database", database),
                    tag("id", &shard_id(shard.bucket, shard.range.start).to_string()),
                    tag("retentionPolicy", policy),
                ],
                values: vec![("diskBytes", integer(shard.bytes)), ("numFiles", integer(shard.files))],
            })
        };
        held.into_iter().filter_map(one).collect()
    }

    pub(super) fn diagnostics(&self) -> Vec<Internals> {
        let text = |text: &str| FieldValue::String(text.to_owned());
        let arch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let mut all = vec![
            of("build", vec![("Version", text(env!("CARGO_PKG_VERSION")))]),
            of(
                "runtime",
                vec![
                    ("GOARCH", text(arch)),
                    ("GOMAXPROCS", integer(process::cores() as u64)),
                    ("GOOS", text(std::env::consts::OS)),
                ],
            ),
        ];
        if let Ok(name) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
            all.push(of("network", vec![("hostname", text(name.trim()))]));
        }
        let now = self.clock.now();
        let mut system =
            vec![("PID", integer(std::process::id().into())), ("currentTime", text(&now.to_rfc3339()))];
        if let Some(started) = process::started() {
            let up = now.0.saturating_sub(started.0).max(0);
            system.push(("started", text(&started.to_rfc3339())));
            system.push(("uptime", FieldValue::String(influxql::duration::format_go(up))));
        }
        all.push(of("system", system));
        all
    }
}
