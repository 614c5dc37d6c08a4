//! The options of InfluxDB 2.x's server: what each means here, or why it means nothing.
//!
//! They come from `INFLUXD_*` variables and from the configuration that `INFLUXD_CONFIG_PATH` names. Every option
//! is either taken over or answered with a warning, so that nobody believes in a setting that does nothing.

use super::units;

/// What an option of influxd means here.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    /// It sets this setting, after conversion.
    Sets(&'static str, fn(&str) -> Taken),
    /// It has no meaning, for this reason.
    None(&'static str),
    /// It has no meaning, and to pass over it when it is set would be unsafe, for this reason.
    Refused(&'static str),
}

/// An option's value, converted.
pub(super) enum Taken {
    /// The text for the setting.
    Value(String),
    /// The text for the setting, and what to know about it.
    Changed(String, String),
    /// This value has no meaning, for this reason.
    Not(&'static str),
}

/// An option of influxd.
pub(super) struct Opt {
    pub(super) key: &'static str,
    pub(super) meaning: Meaning,
}

impl Opt {
    /// The variable of the environment.
    pub(super) fn env(&self) -> String {
        format!("INFLUXD_{}", self.key.to_ascii_uppercase().replace('-', "_"))
    }
}

/// The option with a key.
pub(super) fn option(key: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|o| o.key == key)
}

/// Every option of influxd 2.7 to 2.9.
pub(super) fn options() -> &'static [Opt] {
    OPTIONS
}

/// Names that only a configuration of InfluxDB 1.x has: its sections, and its global setting.
pub(super) const ONE_X: &[&str] = &[
    "bind-address",
    "collectd",
    "continuous_queries",
    "coordinator",
    "data",
    "graphite",
    "http",
    "logging",
    "meta",
    "monitor",
    "opentsdb",
    "retention",
    "shard-precreation",
    "subscriber",
    "tls",
    "udp",
];

const fn sets(key: &'static str, setting: &'static str, convert: fn(&str) -> Taken) -> Opt {
    Opt { key, meaning: Meaning::Sets(setting, convert) }
}

const fn none(key: &'static str, reason: &'static str) -> Opt {
    Opt { key, meaning: Meaning::None(reason) }
}

const fn refused(key: &'static str, reason: &'static str) -> Opt {
    Opt { key, meaning: Meaning::Refused(reason) }
}

fn text(value: &str) -> Taken {
    Taken::Value(value.to_owned())
}

/// A Go duration; a bare number is nanoseconds, as influxd prints them.
fn duration(value: &str) -> Taken {
    let is_number = value.bytes().all(|b| b.is_ascii_digit()) && value != "0";
    Taken::Value(if is_number { format!("{value}ns") } else { value.to_owned() })
}

/// A [`duration`] for which 0 means no limit.
fn limited_duration(value: &str) -> Taken {
    match units::duration(value) {
        Ok(d) if d.is_zero() => Taken::Not("0 (no limit) is not offered; the default stays"),
        _ => duration(value),
    }
}

/// A number for which 0 means no limit.
fn limited(value: &str) -> Taken {
    if value.trim() == "0" {
        return Taken::Not("0 (no limit) is not offered; the default stays");
    }
    text(value)
}

/// influxd logs at the levels of zap; those above error are errors here.
fn level(value: &str) -> Taken {
    match value.to_ascii_lowercase().as_str() {
        level @ ("debug" | "info" | "warn" | "error") => text(level),
        "dpanic" | "panic" | "fatal" => text("error"),
        _ => text(value),
    }
}

/// Our data beside influxd's, on the same volume: the two formats must never share a directory.
fn beside_engine(value: &str) -> Taken {
    let path = std::path::Path::new(value).with_file_name("tidemark").display().to_string();
    let note = format!("data goes to {path}, beside influxd's own, which is left alone");
    Taken::Changed(path, note)
}

const TLS: &str =
    "asks for TLS, which this version does not serve: remove it and put a proxy that ends TLS in front";
const VAULT: &str = "secrets are not kept for Flux scripts yet, so no Vault is asked";
const TESTING: &str = "it is a switch of influxd's own tests";
const WAL: &str = "the replicated log is the only log, synced in groups before every acknowledgement";
const COMPACTION: &str = "compaction schedules itself by the files there are";
const INDEX: &str = "the series index is built differently";
const SELECT: &str = "queries are limited by query-memory-bytes and query-timeout";
const NATS: &str = "influxd itself no longer uses it";
const SHARDS: &str = "shards are made when the first point arrives";

static OPTIONS: &[Opt] = &[
    none("assets-path", "there is no console in this version"),
    none("bolt-path", "metadata is in the data directory and is replicated"),
    none("e2e-testing", TESTING),
    sets("engine-path", "data-dir", beside_engine),
    none("feature-flags", "there are no feature flags"),
    none("flux-log-enabled", "queries are traced: set log-level to debug, or otlp-endpoint"),
    none(
        "hardening-enabled",
        "Flux makes no requests to other servers in this version, so nothing is to be closed",
    ),
    sets("http-bind-address", "http-bind-address", text),
    sets("http-idle-timeout", "http-idle-timeout", limited_duration),
    sets("http-read-header-timeout", "http-read-header-timeout", limited_duration),
    none("http-read-timeout", "bodies are bounded by max-body-size and, between bytes, by http-idle-timeout"),
    none("http-write-timeout", "answers are bounded by write-timeout and query-timeout"),
    sets("influxql-max-select-buckets", "influxql-max-select-buckets", limited),
    none("influxql-max-select-point", SELECT),
    none("influxql-max-select-series", SELECT),
    none("instance-id", "there is no replication to remote servers yet"),
    sets("log-level", "log-level", level),
    sets("metrics-disabled", "metrics-disabled", text),
    none("nats-max-payload-bytes", NATS),
    none("nats-port", NATS),
    none("no-tasks", "there are no tasks in this version"),
    none("overwrite-pid-file", "no PID file is written"),
    none("pid-file", "no PID file is written: the service manager knows the process"),
    none("pprof-disabled", "there are no profiling routes to disable"),
    sets("query-concurrency", "query-concurrency", limited),
    none(
        "query-initial-memory-bytes",
        "memory of queries is counted as they use it, up to query-memory-bytes",
    ),
    none("query-max-memory-bytes", "queries are limited one by one, by query-memory-bytes"),
    sets("query-memory-bytes", "query-memory-bytes", limited),
    sets("query-queue-size", "query-queue-size", limited),
    none("reporting-disabled", "nothing is ever reported to anyone"),
    none("secret-store", VAULT),
    none("session-length", "sessions end an hour after they were last used"),
    none("session-renew-disabled", "a session lives on with every use"),
    none("sqlite-path", "metadata is in the data directory and is replicated"),
    none("startup-error-linger", "a failed start ends the process with its error"),
    sets("storage-cache-max-memory-size", "memtable-size", limited),
    none(
        "storage-cache-snapshot-memory-size",
        "the largest memtables are written first when memtable-size is reached",
    ),
    sets("storage-cache-snapshot-write-cold-duration", "memtable-age", limited_duration),
    none("storage-compact-full-write-cold-duration", COMPACTION),
    none("storage-compact-throughput-burst", COMPACTION),
    none("storage-max-concurrent-compactions", COMPACTION),
    none("storage-max-index-log-file-size", INDEX),
    none("storage-no-validate-field-size", "max-string-field-size is always checked"),
    sets("storage-retention-check-interval", "retention-check-interval", limited_duration),
    none("storage-series-file-max-concurrent-snapshot-compactions", INDEX),
    none("storage-series-id-set-cache-size", INDEX),
    none("storage-shard-precreator-advance-period", SHARDS),
    none("storage-shard-precreator-check-interval", SHARDS),
    none("storage-tsm-use-madv-willneed", "files are read, not mapped"),
    none("storage-validate-keys", "names are always checked to be UTF-8"),
    none("storage-wal-flush-on-shutdown", WAL),
    none("storage-wal-fsync-delay", WAL),
    none("storage-wal-max-concurrent-writes", WAL),
    none("storage-wal-max-write-delay", WAL),
    sets("storage-write-timeout", "write-timeout", limited_duration),
    none("store", "metadata is always on disk"),
    none("strict-transport-security-max-age", "TLS, and so the header, is the proxy's"),
    none("strong-passwords", "passwords are checked for their length, as influxd does by default"),
    none("template-file-urls-disabled", "there are no templates in this version"),
    none("testing-always-allow-setup", TESTING),
    refused("tls-cert", TLS),
    refused("tls-key", TLS),
    none("tls-min-version", "TLS is the proxy's"),
    none("tls-strict-ciphers", "TLS is the proxy's"),
    none("tracing-type", "traces go to an OTLP collector: set otlp-endpoint"),
    none("ui-disabled", "there is no console in this version"),
    none("use-hashed-tokens", "tokens are always stored hashed"),
    none("vault-addr", VAULT),
    none("vault-cacert", VAULT),
    none("vault-capath", VAULT),
    none("vault-client-cert", VAULT),
    none("vault-client-key", VAULT),
    none("vault-client-timeout", VAULT),
    none("vault-max-retries", VAULT),
    none("vault-skip-verify", VAULT),
    none("vault-tls-server-name", VAULT),
    none("vault-token", VAULT),
];
