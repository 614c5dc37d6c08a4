//! What a node shows of itself to monitors, behind the gateway: names for the figures that the parts keep. Labels are bounded:
//! groups and partitions are summed, and of buckets there are the largest.
//!
//! `k8s/base/monitoring/source/metrics.yaml` lists every name, and a test compares it with what a running node shows.

mod influxdb;
pub(crate) mod process;

use std::time::Duration;

use ::metrics::{Labels, Page};
use cluster::{Cluster, Transfers};
use memory::Memory;
use model::BucketId;

use crate::admission::Admission;
use crate::ports::{StatusAdapter, get};

/// Buckets whose series are shown one by one.
const BUCKETS_SHOWN: usize = 100;

/// Shows what is known of a node that has not taken up its part yet.
pub(crate) fn show_starting(page: &mut Page, role: &'static str, zone: &str) {
    this_node(page, "", role, zone, true);
    process::show(page);
}

/// What this process is called among those of the cluster.
pub(crate) fn name_of(cluster: &Cluster) -> String {
    cluster.node_id().map_or_else(|| "gateway".to_owned(), |node| node.to_string())
}

fn this_node(page: &mut Page, node: &str, role: &'static str, zone: &str, is_starting: bool) {
    let labels = vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("node", node.to_owned()),
        ("role", role.to_owned()),
        ("zone", zone.to_owned()),
    ];
    page.gauges("tidemark_build_info", "Version and place of this node.", [(labels, true)]);
    let help = "Whether this node cannot serve yet: it opens its data, or waits for other nodes.";
    page.gauge("tidemark_starting", help, is_starting);
}

fn one(name: &'static str, value: &str) -> Labels {
    vec![(name, value.to_owned())]
}

impl StatusAdapter {
    /// Shows everything behind the gateway; with `influxdb` also under the names that InfluxDB has for it.
    pub(crate) fn show(&self, page: &mut Page, influxdb: bool) {
        let role = if self.cluster.node_id().is_some() { "node" } else { "gateway" };
        this_node(page, &name_of(&self.cluster), role, &self.zone, false);
        self.writes(page);
        self.log(page);
        raft(page, &self.cluster);
        let stats = self.storage(page);
        accounts(page, &self.memory, &self.admission);
        let answers = self.answers.figures();
        page.gauge(
            "tidemark_answers_questions",
            "Questions known to the cache of answers.",
            answers.questions,
        );
        page.counter("tidemark_answers_given_total", "Answers given again as they were.", answers.given);
        let name = "tidemark_answers_stale_total";
        page.counter(name, "Kept answers that would have been others by now.", answers.stale);
        self.telemetry(page);
        process::show(page);
        if influxdb {
            influxdb::show(page, self, &stats);
        }
    }

    fn writes(&self, page: &mut Page) {
        let written = self.router.metrics();
        page.counter("tidemark_write_points_total", "Points acknowledged.", get(&written.points));
        let refused = [
            ("retention", get(&written.points_beyond_retention)),
            ("field", get(&written.points_refused_fields)),
            ("series", get(&self.admission.metrics.series_points_refused)),
        ];
        let refused = refused.map(|(reason, points)| (one("reason", reason), points));
        page.counters("tidemark_write_refused_points_total", "Points refused.", refused);
        let name = "tidemark_write_stage_duration_seconds";
        let stages = [("route", &written.route_durations), ("commit", &written.commit_durations)];
        let stages = stages.map(|(stage, took)| (one("stage", stage), took));
        page.distributions(name, "Time that writes spend in each stage.", stages);
        let name = "tidemark_field_registrations_total";
        page.counter(name, "Registrations of new fields.", get(&written.registrations));
        let of = &self.admission.metrics;
        page.counter("tidemark_write_stalls_total", "Writes that waited for memory.", get(&of.stalls));
        let stalled = Duration::from_nanos(get(&of.stall_ns));
        page.counter("tidemark_write_stall_seconds_total", "Time that they waited.", stalled);
        let name = "tidemark_write_stalls_refused_total";
        page.counter(name, "Writes that waited for memory in vain.", get(&of.refused));
    }

    fn telemetry(&self, page: &mut Page) {
        let of = &self.telemetry;
        page.counter(
            "tidemark_queries_slow_total",
            "Queries that stand in the log as slow.",
            get(&of.queries_slow),
        );
        let runs = [("ok", get(&of.continuous_ok)), ("error", get(&of.continuous_failed))];
        let runs = runs.map(|(outcome, runs)| (one("outcome", outcome), runs));
        page.counters("tidemark_continuous_query_runs_total", "Runs of continuous queries.", runs);
        page.counter("tidemark_query_scanned_rows_total", "Rows that queries read.", get(&of.rows_scanned));
        let name = "tidemark_query_scanned_bytes_total";
        page.counter(name, "Bytes that queries read from files.", get(&of.bytes_scanned));
        let name = "tidemark_telemetry_spans_dropped_total";
        page.counter(name, "Spans that did not get to the collector.", get(&of.spans_dropped));
        let lines = [("error", get(&of.lines_error)), ("warn", get(&of.lines_warn))];
        let lines = lines.map(|(level, lines)| (one("level", level), lines));
        page.counters("tidemark_log_lines_total", "Lines of the log.", lines);
    }

    fn log(&self, page: &mut Page) {
        let log = self.cluster.log_metrics();
        let name = "tidemark_wal_fsync_duration_seconds";
        page.distribution(name, "Time of a write and sync of the log.", &log.sync_durations);
        page.counter("tidemark_wal_appends_total", "Entries appended to the log.", get(&log.appends));
        let name = "tidemark_wal_append_bytes_total";
        page.counter(name, "Bytes appended to the log.", get(&log.append_bytes));
        page.counter("tidemark_wal_syncs_total", "Syncs of the log.", get(&log.syncs));
        let longest = Duration::from_nanos(get(&log.sync_ns_max));
        page.gauge("tidemark_wal_sync_seconds_max", "Longest write and sync of the log.", longest);
        page.gauge("tidemark_wal_size_bytes", "Bytes of the log on disk.", get(&log.disk_bytes));
        let name = "tidemark_wal_size_limit_bytes";
        page.gauge(
            name,
            "Size above which points are written to files for it.",
            self.cluster.log_bytes_soft(),
        );
    }

    /// Shows the engines, and answers their sums.
    fn storage(&self, page: &mut Page) -> Sums {
        let partitions = &self.partitions;
        let name = "tidemark_storage_free_bytes";
        let free = if partitions.total_bytes() == 0 { 0 } else { partitions.free_bytes() };
        page.gauge(name, "Bytes free in the file system of the data.", free);
        page.gauge("tidemark_storage_total_bytes", "Bytes of that file system.", partitions.total_bytes());
        let is_full = partitions.no_room().is_some();
        page.gauge("tidemark_storage_read_only", "Whether the disk takes no points.", is_full);
        let stats: Vec<_> = partitions.engines().into_iter().map(|(_, engine)| engine.stats()).collect();
        let sum = |figure: fn(&storage::Stats) -> u64| stats.iter().map(figure).sum::<u64>();
        let mut counter = |name, help, figure| page.counter(name, help, sum(figure));
        counter("tidemark_storage_rows_total", "Rows applied.", |s| s.rows_applied);
        counter("tidemark_storage_series_created_total", "Series that were new.", |s| s.series_created);
        counter("tidemark_storage_flushes_total", "Flushes.", |s| s.flushes);
        let help = "Flushes for which there was no room.";
        counter("tidemark_storage_flushes_failed_total", help, |s| s.flushes_failed);
        counter("tidemark_storage_flush_bytes_total", "Bytes flushed.", |s| s.flush_bytes);
        counter("tidemark_storage_compactions_total", "Compactions.", |s| s.compactions);
        let help = "Compactions that failed.";
        counter("tidemark_storage_compactions_failed_total", help, |s| s.compactions_failed);
        let help = "Rests of compactions for the sake of queries.";
        counter("tidemark_storage_compaction_rests_total", help, |s| s.compaction_rests);
        let help = "Compactions put off for want of space or memory.";
        counter("tidemark_storage_compactions_put_off_total", help, |s| s.compactions_put_off);
        let help = "Bytes written by compactions.";
        counter("tidemark_storage_compaction_bytes_total", help, |s| s.compaction_bytes);
        let help = "Passes of the search for damage over a partition.";
        counter("tidemark_storage_scrubs_total", help, |s| s.scrubs);
        counter("tidemark_storage_scrub_bytes_total", "Bytes read by the search for damage.", |s| {
            s.scrub_bytes
        });
        let help = "Damaged places that were met.";
        page.counter("tidemark_storage_corruptions_total", help, storage::corruptions_met());
        let mut gauge = |name, help, figure| page.gauge(name, help, sum(figure));
        let help = "Memory of points not yet in files.";
        gauge("tidemark_storage_memtable_bytes", help, |s| s.memtable_bytes as u64);
        gauge("tidemark_storage_series", "Series, over all buckets.", |s| s.series);
        let help = "Deletes whose rows still wait to be left out of files.";
        gauge("tidemark_storage_tombstones", help, |s| s.tombstones as u64);
        gauge("tidemark_storage_shards", "Shards.", |s| s.shards as u64);
        gauge("tidemark_storage_files", "Live TSM files.", |s| s.files as u64);
        gauge("tidemark_storage_file_bytes", "Bytes of live TSM files.", |s| s.file_bytes);
        let help = "Shards whose files wait to be merged.";
        gauge("tidemark_storage_compactions_pending", help, |s| s.compactions_pending as u64);
        let help = "Places of live files that are damaged.";
        gauge("tidemark_storage_damaged_places", help, |s| s.damaged as u64);
        let heals = &self.cluster.counters().heals;
        page.counter("tidemark_storage_heals_total", "Replicas whose damaged files were replaced.", heals);
        let buckets = self.largest_buckets();
        let series = buckets.iter().map(|(name, series)| (one("bucket", name), *series));
        page.gauges("tidemark_series", "Series of the largest buckets, in this node's replicas.", series);
        Sums { file_bytes: sum(|s| s.file_bytes), series: sum(|s| s.series), buckets }
    }

    /// The buckets that have most series here, and how many.
    fn largest_buckets(&self) -> Vec<(String, u64)> {
        let names: Vec<(BucketId, String)> = {
            let state = self.cluster.catalog().read();
            state.buckets().map(|bucket| (bucket.id, bucket.name.clone())).collect()
        };
        let series = |(id, name)| (name, self.partitions.series_of(id));
        let mut buckets: Vec<(String, u64)> = names.into_iter().map(series).collect();
        buckets.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        // Buckets of several organizations may have one name.
        let mut seen = std::collections::BTreeSet::new();
        buckets.retain(|(name, _)| seen.insert(name.clone()));
        buckets.truncate(BUCKETS_SHOWN);
        buckets
    }
}

/// Sums over the engines.
pub(crate) struct Sums {
    file_bytes: u64,
    series: u64,
    buckets: Vec<(String, u64)>,
}

fn raft(page: &mut Page, cluster: &Cluster) {
    let now = cluster.figures();
    page.gauge("tidemark_raft_groups", "Raft groups with a member on this node.", now.groups);
    page.gauge("tidemark_raft_leaders", "Raft groups that this node leads.", now.led);
    let name = "tidemark_raft_groups_without_leader";
    page.gauge(name, "Groups of this node of which no leader is known.", now.leaderless);
    let name = "tidemark_raft_groups_at_risk";
    page.gauge(name, "Groups led here that lose their majority with one more failure.", now.at_risk);
    let name = "tidemark_raft_groups_without_quorum";
    let help = "Groups led here, or without a leader, of which no majority is within reach.";
    page.gauge(name, help, now.without_quorum);
    page.gauge("tidemark_raft_commit_index", "Sum of commit indexes.", now.committed);
    page.gauge("tidemark_raft_applied_index", "Sum of applied indexes.", now.applied);
    let name = "tidemark_raft_apply_lag_entries";
    page.gauge(name, "Entries committed and not applied here, in the group that has most.", now.apply_lag);
    let name = "tidemark_raft_apply_lag_seconds";
    page.gauge(name, "How long committed entries have waited to be applied here.", now.behind);
    let name = "tidemark_raft_follower_lag_entries";
    page.gauge(name, "Entries that a follower of a group led here lacks, at most.", now.follower_lag);
    let name = "tidemark_raft_follower_lag_seconds";
    page.gauge(
        name,
        "How long a follower of a group led here has lacked an entry, at most.",
        now.follower_behind,
    );
    let name = "tidemark_raft_in_flight_bytes";
    page.gauge(name, "Bytes proposed and not yet applied.", now.in_flight_bytes);

    let counters = cluster.counters();
    let name = "tidemark_raft_leader_changes_total";
    page.counter(name, "Changes of leader that members here saw.", &counters.leader_changes);
    page.counter("tidemark_raft_elections_total", "Terms that members here saw begin.", &counters.elections);
    page.counter("tidemark_raft_proposals_total", "Proposals to groups led here.", &counters.proposals);
    let name = "tidemark_raft_proposals_failed_total";
    page.counter(name, "Proposals that failed, or of which nobody knows.", &counters.proposals_failed);
    let name = "tidemark_raft_proposal_duration_seconds";
    page.distribution(
        name,
        "From a proposal until it is applied by the leader.",
        &counters.proposal_durations,
    );
    let directions: [(&str, &Transfers); 2] = [("sent", &counters.sent), ("received", &counters.received)];
    let snapshots = directions.into_iter().flat_map(|(direction, transfers)| {
        [("ok", &transfers.ok), ("failed", &transfers.failed)].map(|(result, count)| {
            (vec![("direction", direction.to_owned()), ("result", result.to_owned())], count)
        })
    });
    page.counters("tidemark_raft_snapshots_total", "Snapshots between members.", snapshots);
    let bytes = directions.map(|(direction, transfers)| (one("direction", direction), &transfers.bytes));
    page.counters("tidemark_raft_snapshot_bytes_total", "Bytes of snapshots.", bytes);
    let name = "tidemark_raft_members_expelled_total";
    page.counter(name, "Members that had lost what they had acknowledged.", &counters.members_expelled);

    let nodes = now.nodes.iter().map(|(state, nodes)| (one("state", state), *nodes));
    page.gauges("tidemark_cluster_nodes", "Nodes of the cluster, as the catalog says.", nodes);
    let name = "tidemark_cluster_peers_unreachable";
    page.gauge(name, "Nodes that this node does not reach.", now.unreachable);
    let name = "tidemark_cluster_replicas_missing";
    page.gauge(name, "Replicas on nodes that this node does not reach.", now.replicas_missing);
    page.gauge("tidemark_cluster_moves_running", "Replicas on their way to other nodes.", now.moves);
    let name = "tidemark_peer_clock_offset_seconds";
    page.gauge(name, "Largest difference to the clock of another node.", now.clock_offset);
    if let Some(expires) = now.certificate_expires.and_then(|at| u64::try_from(at).ok()) {
        let name = "tidemark_peer_certificate_expiry_timestamp_seconds";
        page.gauge(name, "When the certificate that this node shows to others expires.", expires);
    }
}

/// The accounts of the memory, and the cache that has one of them.
fn accounts(page: &mut Page, accounts: &Memory, admission: &Admission) {
    let accounts = accounts.accounts().map(|account| account.figures());
    let each = |figure: fn(&memory::Figures) -> u64| {
        accounts.iter().map(move |account| (one("account", account.name), figure(account)))
    };
    page.gauges("tidemark_memory_bytes", "Memory held by each account.", each(|a| a.used as u64));
    page.gauges("tidemark_memory_limit_bytes", "Share of each account.", each(|a| a.limit as u64));
    page.gauges("tidemark_memory_peak_bytes", "Most memory each account held.", each(|a| a.peak as u64));
    page.counters("tidemark_memory_refused_total", "Reservations refused.", each(|a| a.refused));
    let budget: u64 = accounts.iter().map(|account| account.limit as u64).sum();
    page.gauge("tidemark_memory_budget_bytes", "Memory that is divided among the accounts.", budget);
    let cache = admission.commons.as_ref().map(|commons| commons.cache_stats()).unwrap_or_default();
    page.gauge("tidemark_cache_blocks", "Blocks in the block cache.", cache.blocks);
    page.gauge("tidemark_cache_bytes", "Bytes in the block cache.", cache.bytes);
    page.counter("tidemark_cache_hits_total", "Blocks found in the cache.", cache.hits);
    page.counter("tidemark_cache_misses_total", "Blocks not found in the cache.", cache.misses);
    page.counter("tidemark_cache_evictions_total", "Blocks that made way.", cache.evictions);
}
