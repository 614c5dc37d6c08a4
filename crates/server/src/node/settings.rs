//! What the configuration says, in the words of each part.

use std::sync::Arc;
use std::time::Duration;

use cluster::Progress;
use host::{Listener, Network};
use memory::{Account, Memory};
use model::Clock;
use storage::Commons;
use tokio::task::JoinSet;

use crate::admission::{Admission, AdmissionMetrics};
use crate::config::{Config, Distances, LogLane};
use crate::frugality::{self, BeFrugal};
use crate::partitions::Partitions;
use crate::{machine, telemetry};

/// How the node finds its peers, where it has any.
pub(super) fn peers(
    config: &Config,
    network: &Arc<dyn Network>,
    listener: Option<Arc<dyn Listener>>,
) -> Option<cluster::Peers> {
    Some(cluster::Peers {
        listener: listener?,
        network: Arc::clone(network),
        initial: config.founding_peers()?,
        advertised: config.advertised(),
        tls: tls_files(config),
    })
}

/// The certificates of the peer port: the configuration has all of them or none.
pub(super) fn tls_files(config: &Config) -> Option<cluster::TlsFiles> {
    let Config { peer_tls_cert, peer_tls_key, peer_tls_ca, .. } = config;
    Some(cluster::TlsFiles {
        certificate: peer_tls_cert.clone()?,
        key: peer_tls_key.clone()?,
        authorities: peer_tls_ca.clone()?,
    })
}

/// How engines are to work.
pub(super) fn of_storage(config: &Config) -> storage::Options {
    storage::Options {
        memtable_bytes_max: config.memtable_bytes_max,
        memtable_age_ms_max: millis(config.memtable_age_max),
        scrub_interval_ms: millis(config.scrub_interval),
        scrub_bytes_per_second: config.scrub_bytes_per_second
            / u64::from(config.partitions_or_default()).max(1),
        ..storage::Options::STANDARD
    }
}

/// How the cluster is to work.
pub(super) fn of_cluster(
    config: &Config,
    peers: Option<cluster::Peers>,
    progress: Progress,
    telemetry: &telemetry::Handle,
) -> cluster::Options {
    // A node alone has no followers to keep applied entries for, and nobody to tell that it is there.
    let (timing, cache_bytes_max) = match &peers {
        None => (cluster::Timing::ALONE, 0),
        Some(_) => {
            let timing = match config.timing {
                Distances::Near => cluster::Timing::NEAR,
                Distances::Wan => cluster::Timing::WAN,
            };
            (timing, cluster::Limits::PRODUCTION.cache_bytes_max)
        }
    };
    cluster::Options {
        data_dir: config.data_dir.clone(),
        partitions: config.partitions_or_default(),
        peers,
        zone: config.zone.clone(),
        lane: match config.log_lane {
            LogLane::Segment => cluster::LaneKind::Segment,
            LogLane::Rocksdb => cluster::LaneKind::RocksDb,
        },
        timing,
        limits: cluster::Limits {
            cache_bytes_max,
            proposal_ms_max: millis(config.write_timeout),
            move_bytes_per_second: config.move_bytes_per_second,
            replace_silent_ms: millis(config.replace_silent_after),
            log_bytes_soft: config.log_bytes_max,
            ..cluster::Limits::PRODUCTION
        },
        progress,
        tracer: telemetry.tracer.clone(),
    }
}

/// What lets writes in.
pub(super) fn admission(
    config: &Config,
    partitions: &Arc<Partitions>,
    commons: Option<Arc<Commons>>,
    clock: &Arc<dyn Clock>,
) -> Arc<Admission> {
    Arc::new(Admission {
        partitions: Arc::clone(partitions),
        commons,
        clock: Arc::clone(clock),
        wait_max: config.write_timeout,
        series_max: config.series_per_bucket_max,
        metrics: AdmissionMetrics::default(),
    })
}

/// The memory to divide.
pub(super) fn memory_to_divide(config: &Config) -> usize {
    let chosen = machine::memory_to_divide(config.memory_bytes, |path| std::fs::read_to_string(path).ok());
    if let Some(warning) = chosen.warning {
        tracing::warn!("{warning}");
    }
    tracing::info!(bytes = chosen.bytes, shares = ?config.memory_shares, "memory to divide");
    chosen.bytes
}

/// Keeps what the allocator holds back within bounds.
pub(super) fn watch_memory(memory: &Memory, be_frugal: BeFrugal, tasks: &mut JoinSet<()>) {
    let divided = memory.accounts().map(|account| account.limit()).iter().sum();
    tasks.spawn(frugality::watch(divided, be_frugal, |path| std::fs::read_to_string(path).ok()));
}

/// What the engines of the node have in common.
pub(super) fn commons(config: &Config, memory: &Arc<Memory>) -> Arc<Commons> {
    let soft = config.memtable_bytes_max.min(memory.memtables_soft());
    Commons::new(Arc::clone(memory), soft)
}

pub(crate) fn gateway_limits(config: &Config) -> gateway::Limits {
    gateway::Limits {
        body_bytes_max: config.body_bytes_max,
        decompressed_bytes_max: config.decompressed_bytes_max,
        line_bytes_max: config.line_bytes_max,
        string_bytes_max: config.string_field_bytes_max,
        json_bytes_max: config.json_bytes_max,
        query_bytes_max: config.query_bytes_max,
        query_concurrency: config.query_concurrency,
        query_queue_max: config.query_queue_size,
        query_duration_max: config.query_timeout,
        body_idle_max: config.http_idle_timeout,
        header_read_max: config.http_read_header_timeout,
        connection_idle_max: config.http_idle_timeout,
        ..gateway::Limits::STANDARD
    }
}

pub(super) fn gateway_options(
    config: &Config,
    write_memory: &Arc<Account>,
    telemetry: &telemetry::Handle,
) -> gateway::Options {
    gateway::Options {
        auth_enabled: config.http_auth_enabled,
        setup_allowed: config.http_bind_address.is_loopback(),
        metrics_enabled: !config.metrics_disabled,
        influxdb_metrics: config.influxdb_metrics,
        write_memory: Arc::clone(write_memory),
        limits: gateway_limits(config),
        tracer: telemetry.tracer.clone(),
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
