//! Names for the counters that the parts keep: Prometheus text. Labels are bounded; groups and partitions are summed.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use cluster::{Cluster, Router};
use memory::Memory;

use crate::admission::Admission;
use crate::partitions::Partitions;
use crate::ports::get;

/// Appends what is known of a node that has not taken up its part yet.
pub(crate) fn write_starting(out: &mut String, zone: &str) {
    this_node(out, "", zone, true);
}

/// What this process is called among those of the cluster.
pub(crate) fn name_of(cluster: &Cluster) -> String {
    cluster.node_id().map_or_else(|| "gateway".to_owned(), |node| node.to_string())
}

fn this_node(out: &mut String, node: &str, zone: &str, is_starting: bool) {
    let labels = format!(
        "{{version=\"{}\",node=\"{node}\",zone=\"{}\"}}",
        env!("CARGO_PKG_VERSION"),
        zone.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
    );
    one(out, "tidemark_build_info", "gauge", "Version and place of this node.", &labels, 1);
    let help = "Whether this node cannot serve yet: it opens its data, or waits for other nodes.";
    one(out, "tidemark_starting", "gauge", help, "", u8::from(is_starting));
}

/// Appends the metrics of everything behind the gateway.
pub(crate) fn write(
    out: &mut String,
    cluster: &Cluster,
    partitions: &Partitions,
    router: &Arc<Router>,
    admission: &Admission,
    accounts: &Memory,
    zone: &str,
) {
    this_node(out, &name_of(cluster), zone, false);

    let groups = cluster.status();
    let leading = groups.iter().filter(|g| g.leading).count();
    one(out, "tidemark_raft_groups", "gauge", "Raft groups with a member on this node.", "", groups.len());
    one(out, "tidemark_raft_is_leader", "gauge", "Raft groups that this node leads.", "", leading);
    let ready = groups.iter().filter(|g| g.ready()).count();
    one(out, "tidemark_raft_ready", "gauge", "Raft groups with a reachable leader.", "", ready);
    let sum = |index: fn(&cluster::GroupStatus) -> Option<u64>| groups.iter().filter_map(index).sum::<u64>();
    one(out, "tidemark_raft_commit_index", "gauge", "Sum of commit indexes.", "", sum(|g| g.committed));
    one(out, "tidemark_raft_applied_index", "gauge", "Sum of applied indexes.", "", sum(|g| g.applied));
    let in_flight: u64 = groups.iter().map(|g| g.in_flight_bytes).sum();
    one(out, "tidemark_raft_in_flight_bytes", "gauge", "Bytes proposed and not yet applied.", "", in_flight);

    let log = cluster.log_metrics();
    one(out, "tidemark_raft_log_appends_total", "counter", "Entries appended.", "", get(&log.appends));
    one(
        out,
        "tidemark_raft_log_append_bytes_total",
        "counter",
        "Bytes appended.",
        "",
        get(&log.append_bytes),
    );
    one(out, "tidemark_raft_log_syncs_total", "counter", "Syncs of the log.", "", get(&log.syncs));
    let seconds = |ns: u64| std::time::Duration::from_nanos(ns).as_secs_f64();
    let name = "tidemark_raft_log_sync_seconds_total";
    one(out, name, "counter", "Time spent in writing and syncing the log.", "", seconds(get(&log.sync_ns)));
    let name = "tidemark_raft_log_sync_seconds_max";
    one(out, name, "gauge", "Longest write and sync of the log.", "", seconds(get(&log.sync_ns_max)));
    one(out, "tidemark_raft_log_disk_bytes", "gauge", "Bytes of the log on disk.", "", get(&log.disk_bytes));

    let written = router.metrics();
    one(out, "tidemark_write_points_total", "counter", "Points written.", "", get(&written.points));
    let name = "tidemark_write_refused_points_total";
    head(out, name, "counter", "Points refused.");
    sample(out, name, "{reason=\"retention\"}", get(&written.points_beyond_retention));
    sample(out, name, "{reason=\"field\"}", get(&written.points_refused_fields));
    sample(out, name, "{reason=\"series\"}", get(&admission.metrics.series_points_refused));
    let name = "tidemark_field_registrations_total";
    one(out, name, "counter", "Registrations of new fields.", "", get(&written.registrations));

    memory(out, accounts, admission);

    let name = "tidemark_storage_free_bytes";
    one(out, name, "gauge", "Bytes free in the file system of the data.", "", partitions.free_bytes());
    let read_only = u8::from(partitions.no_room().is_some());
    one(out, "tidemark_storage_read_only", "gauge", "Whether the disk takes no points.", "", read_only);
    let stats: Vec<_> = partitions.engines().into_iter().map(|(_, engine)| engine.stats()).collect();
    let sum = |figure: fn(&storage::Stats) -> u64| stats.iter().map(figure).sum::<u64>();
    one(out, "tidemark_storage_rows_total", "counter", "Rows applied.", "", sum(|s| s.rows_applied));
    one(
        out,
        "tidemark_storage_memtable_bytes",
        "gauge",
        "Memory of points not yet in files.",
        "",
        sum(|s| s.memtable_bytes as u64),
    );
    one(out, "tidemark_storage_series", "gauge", "Series, over all buckets.", "", sum(|s| s.series));
    let name = "tidemark_storage_tombstones";
    one(
        out,
        name,
        "gauge",
        "Deletes whose rows still wait to be left out of files.",
        "",
        sum(|s| s.tombstones as u64),
    );
    one(out, "tidemark_storage_shards", "gauge", "Shards.", "", sum(|s| s.shards as u64));
    one(out, "tidemark_storage_files", "gauge", "Live TSM files.", "", sum(|s| s.files as u64));
    one(out, "tidemark_storage_file_bytes", "gauge", "Bytes of live TSM files.", "", sum(|s| s.file_bytes));
    one(out, "tidemark_storage_flushes_total", "counter", "Flushes.", "", sum(|s| s.flushes));
    let name = "tidemark_storage_flushes_failed_total";
    one(out, name, "counter", "Flushes for which there was no room.", "", sum(|s| s.flushes_failed));
    one(out, "tidemark_storage_flush_bytes_total", "counter", "Bytes flushed.", "", sum(|s| s.flush_bytes));
    one(out, "tidemark_storage_compactions_total", "counter", "Compactions.", "", sum(|s| s.compactions));
    let name = "tidemark_storage_compactions_failed_total";
    one(out, name, "counter", "Compactions that failed.", "", sum(|s| s.compactions_failed));
    let name = "tidemark_storage_compaction_rests_total";
    one(
        out,
        name,
        "counter",
        "Rests of compactions for the sake of queries.",
        "",
        sum(|s| s.compaction_rests),
    );
    let name = "tidemark_storage_compactions_put_off_total";
    one(
        out,
        name,
        "counter",
        "Compactions put off for want of space or memory.",
        "",
        sum(|s| s.compactions_put_off),
    );
    let name = "tidemark_storage_compaction_bytes_total";
    one(out, name, "counter", "Bytes written by compactions.", "", sum(|s| s.compaction_bytes));
    let name = "tidemark_storage_scrubs_total";
    one(out, name, "counter", "Passes of the search for damage over a partition.", "", sum(|s| s.scrubs));
    let name = "tidemark_storage_scrub_bytes_total";
    one(out, name, "counter", "Bytes read by the search for damage.", "", sum(|s| s.scrub_bytes));
    let name = "tidemark_storage_damaged_places";
    one(out, name, "gauge", "Places of live files that are damaged.", "", sum(|s| s.damaged as u64));
}

/// The accounts of the memory, and the writes that had to wait for one.
fn memory(out: &mut String, accounts: &Memory, admission: &Admission) {
    let accounts = accounts.accounts().map(|account| account.figures());
    let mut each = |name: &str, kind: &str, help: &str, figure: fn(&memory::Figures) -> u64| {
        head(out, name, kind, help);
        for account in &accounts {
            sample(out, name, &format!("{{account=\"{}\"}}", account.name), figure(account));
        }
    };
    each("tidemark_memory_bytes", "gauge", "Memory held by each account.", |a| a.used as u64);
    each("tidemark_memory_limit_bytes", "gauge", "Share of each account.", |a| a.limit as u64);
    each("tidemark_memory_peak_bytes", "gauge", "Most memory each account held.", |a| a.peak as u64);
    each("tidemark_memory_refused_total", "counter", "Reservations refused.", |a| a.refused);
    let cache = admission.commons.as_ref().map(|commons| commons.cache_stats()).unwrap_or_default();
    one(out, "tidemark_cache_blocks", "gauge", "Blocks in the block cache.", "", cache.blocks);
    one(out, "tidemark_cache_bytes", "gauge", "Bytes in the block cache.", "", cache.bytes);
    one(out, "tidemark_cache_hits_total", "counter", "Blocks found in the cache.", "", cache.hits);
    one(out, "tidemark_cache_misses_total", "counter", "Blocks not found in the cache.", "", cache.misses);
    one(out, "tidemark_cache_evictions_total", "counter", "Blocks that made way.", "", cache.evictions);
    let of = &admission.metrics;
    one(out, "tidemark_write_stalls_total", "counter", "Writes that waited for memory.", "", get(&of.stalls));
    let stalled = std::time::Duration::from_nanos(get(&of.stall_ns)).as_secs_f64();
    one(out, "tidemark_write_stall_seconds_total", "counter", "Time that they waited.", "", stalled);
    let name = "tidemark_write_stalls_refused_total";
    one(out, name, "counter", "Writes that waited for memory in vain.", "", get(&of.refused));
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("writing to a String cannot fail");
}

fn sample(out: &mut String, name: &str, labels: &str, value: impl Display) {
    writeln!(out, "{name}{labels} {value}").expect("writing to a String cannot fail");
}

fn one(out: &mut String, name: &str, kind: &str, help: &str, labels: &str, value: impl Display) {
    head(out, name, kind, help);
    sample(out, name, labels, value);
}
