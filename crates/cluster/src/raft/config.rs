//! openraft's settings, from ours.

use std::sync::Arc;

use model::GroupId;
use openraft::{Config, ConfigError, SnapshotPolicy};

use crate::options::Timing;

/// Entries after which the catalog's state is taken as a snapshot.
const META_SNAPSHOT_ENTRIES: u64 = 10_000;
/// Milliseconds for the whole of a snapshot's transfer.
const SNAPSHOT_TRANSFER_MS_MAX: u64 = 30 * 60 * 1_000;

/// The settings of a group.
pub(crate) fn of_group(group: GroupId, timing: Timing) -> Result<Arc<Config>, ConfigError> {
    // Data groups purge when storage has flushed, the meta group keeps some entries for slow followers.
    let (snapshot_policy, keep) = match group {
        GroupId::Meta => (SnapshotPolicy::LogsSinceLast(META_SNAPSHOT_ENTRIES), 1_000),
        GroupId::Data(_) => (SnapshotPolicy::Never, u64::MAX),
    };
    let config = Config {
        cluster_name: group.to_string(),
        heartbeat_interval: timing.heartbeat_ms,
        election_timeout_min: timing.election_ms_min,
        election_timeout_max: timing.election_ms_max,
        enable_pre_vote: Some(true),
        quorum_loss_probe_interval: Some(2 * timing.election_ms_max),
        // A restarted leader must be elected again: what it had committed may be ahead of what it remembers.
        enable_leader_restore: Some(false),
        allow_log_reversion: Some(false),
        api_channel_size: Some(1_024),
        api_batch_capacity: 256,
        max_append_entries: Some(256),
        max_payload_entries: 128,
        install_snapshot_timeout: SNAPSHOT_TRANSFER_MS_MAX,
        snapshot_policy,
        max_in_snapshot_log_to_keep: keep,
        ..Config::default()
    };
    config.validate().map(Arc::new)
}
