//! The names that dashboards and alerts of InfluxDB 2.x ask for (`storage`, `tsdb/engine`, `prometheus` of `influxd`), for the
//! figures that mean the same here. The gateway has those of requests and queries.

use ::metrics::Page;

use super::{Sums, one};
use crate::ports::{StatusAdapter, get};

pub(super) fn show(page: &mut Page, status: &StatusAdapter, sums: &Sums) {
    let info = vec![
        ("version", gateway::COMPATIBLE_VERSION.to_owned()),
        ("commit", concat!("tidemark-", env!("CARGO_PKG_VERSION")).to_owned()),
        ("build_date", String::new()),
        ("os", std::env::consts::OS.to_owned()),
        ("arch", std::env::consts::ARCH.to_owned()),
        ("cpus", super::process::cores().to_string()),
    ];
    page.gauges("influxdb_info", "The InfluxDB whose interface this server has.", [(info, true)]);
    let (buckets, orgs, tokens, users) = {
        let state = status.cluster.catalog().read();
        (state.buckets().count(), state.orgs().count(), state.authorizations().count(), state.users().count())
    };
    page.counter("influxdb_buckets_total", "Buckets.", buckets);
    page.counter("influxdb_organizations_total", "Organizations.", orgs);
    page.counter("influxdb_tokens_total", "Tokens.", tokens);
    page.counter("influxdb_users_total", "Users.", users);
    let wal = get(&status.cluster.log_metrics().disk_bytes);
    page.gauge("storage_wal_size", "Bytes of the log on disk.", wal);
    page.gauge("storage_shard_disk_size", "Bytes of live TSM files.", sums.file_bytes);
    page.gauge("storage_shard_series", "Series, over all buckets.", sums.series);
    let series = sums.buckets.iter().map(|(name, series)| (one("bucket", name), *series));
    page.gauges("storage_bucket_series_num", "Series of the largest buckets.", series);
    let written = status.router.metrics();
    let requests = written.commit_durations.len();
    let dropped = get(&written.points_beyond_retention)
        + get(&written.points_refused_fields)
        + get(&status.admission.metrics.series_points_refused);
    page.sum("storage_writer_req_points", "Points of write requests.", get(&written.points), requests);
    page.sum("storage_writer_dropped_points", "Points of them that were dropped.", dropped, requests);
}
