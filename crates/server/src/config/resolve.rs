//! Putting the layers together: for every setting the first of flag, environment, our file, influxd's file, default.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use catalog::Level;
use memory::Shares;

use super::address::BindAddress;
use super::error::{ConfigError, Expected};
use super::influxd::{self, Meaning, Opt, Taken};
use super::init::Given;
use super::origin::Origin;
use super::settings::{Setting, setting, settings};
use super::{Config, DiscoveryStrategy, Distances, LogFormat, LogLane, Role, file, influxd_file, suggest};
use crate::machine::MEMORY_BYTES_MIN;

/// The least that a limit on the bodies of requests may be: enough for those that change it back.
const REQUEST_BYTES_MIN: usize = 4 << 10;

/// A configuration with its history.
#[derive(Debug)]
pub struct Resolved {
    /// The configuration.
    pub config: Config,
    /// What the operator should know; to be logged at the start.
    pub warnings: Vec<String>,
    chosen: Vec<(&'static Setting, Chosen)>,
}

/// A setting as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The setting's name.
    pub key: &'static str,
    /// Its value; `***` for a secret that is set.
    pub text: String,
    /// Where it comes from, in words.
    pub origin: String,
}

impl Resolved {
    /// Every setting as it is in force, in the order of the table.
    pub fn values(&self) -> Vec<Value> {
        let value = |(setting, chosen): &(&'static Setting, Chosen)| Value {
            key: setting.key,
            text: chosen.text.clone(),
            origin: chosen.origin.to_string(),
        };
        self.chosen.iter().map(value).collect()
    }

    /// Where a setting's value comes from; `None` when there is no such setting.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.chosen.iter().find(|(setting, _)| setting.key == key).map(|(_, chosen)| &chosen.origin)
    }
}

/// A text for a setting, and who gave it.
#[derive(Debug, Clone)]
struct Chosen {
    text: String,
    origin: Origin,
}

/// One layer: texts by setting.
type Layer = BTreeMap<&'static str, Chosen>;

fn shown(setting: &Setting, text: &str) -> String {
    if setting.secret && !text.is_empty() { "***".to_owned() } else { text.to_owned() }
}

impl Config {
    /// Resolves the configuration of this process: its environment and files. Warns of variables that look
    /// like a mistyped one of ours.
    ///
    /// # Errors
    /// As [`Config::resolve`].
    pub fn resolve_from_process(flags: Vec<(&'static str, String)>) -> Result<Resolved, ConfigError> {
        let flags = flags.into_iter().map(|(key, text)| (key.to_owned(), text)).collect();
        let env = |name: &str| std::env::var_os(name).and_then(|value| value.into_string().ok());
        let mut resolved = Self::resolve(flags, env, |path: &Path| std::fs::read_to_string(path))?;
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        resolved.warnings.extend(names.filter_map(|name| unknown_variable(&name)));
        Ok(resolved)
    }

    /// Resolves a configuration. `flags` are names of settings with their texts; an empty variable counts as
    /// not set.
    ///
    /// # Errors
    /// An unknown name, a file that cannot be read or parsed, or a value that makes no sense; the error names
    /// the place.
    pub fn resolve(
        flags: Vec<(String, String)>,
        env: impl Fn(&str) -> Option<String>,
        read_file: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<Resolved, ConfigError> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let mut warnings = Vec::new();
        let mut layers = vec![flag_layer(flags)?, env_layer(&env, &read_file)?];
        layers.push(influxd_env_layer(&env, &mut warnings)?);
        let named = layers.iter().find_map(|layer| layer.get("config")).cloned();
        if let Some(Chosen { text, origin }) = named {
            layers.push(file_layer(Path::new(&text), &origin, &read_file)?);
        }
        if let Some(path) = env("INFLUXD_CONFIG_PATH") {
            layers.push(influxd_file_layer(Path::new(&path), &read_file, &mut warnings)?);
        }
        let mut config = Self::unset();
        let mut chosen = Vec::with_capacity(settings().len());
        for setting in settings() {
            let found = layers.iter().find_map(|layer| layer.get(setting.key)).cloned();
            let value =
                found.unwrap_or_else(|| Chosen { text: setting.default.to_owned(), origin: Origin::Default });
            (setting.set)(&mut config, &value.text).map_err(|expected| refused(setting, &value, expected))?;
            // What is kept for showing holds no secrets.
            chosen.push((setting, Chosen { text: shown(setting, &value.text), ..value }));
        }
        config.init = std::mem::take(&mut config.given).complete()?;
        let resolved = Resolved { config, warnings, chosen };
        resolved.checked()
    }

    /// What every setting then fills in, its default first of all.
    fn unset() -> Self {
        let nowhere = BindAddress::parse(":0").expect("a port alone is an address");
        Self {
            config_file: None,
            role: Role::Node,
            data_dir: PathBuf::new(),
            http_bind_address: nowhere.clone(),
            probe_bind_address: None,
            shutdown_delay: Duration::ZERO,
            peer_bind_address: nowhere,
            peer_plaintext: false,
            peer_tls_cert: None,
            peer_tls_key: None,
            peer_tls_ca: None,
            initial_peers: Vec::new(),
            discovery_strategy: DiscoveryStrategy::Static,
            discovery_name: String::new(),
            bootstrap_expect: None,
            peer_advertise_address: None,
            pod_name: String::new(),
            pod_namespace: String::new(),
            move_bytes_per_second: 0,
            replace_silent_after: Duration::ZERO,
            log_bytes_max: 0,
            zone: String::new(),
            timing: Distances::Near,
            feature_level: Level::NEWEST,
            partitions: None,
            log_lane: LogLane::Segment,
            disk_faults: String::new(),
            http_auth_enabled: true,
            http_read_header_timeout: Duration::ZERO,
            http_idle_timeout: Duration::ZERO,
            json_bytes_max: 0,
            metrics_disabled: false,
            influxdb_metrics: true,
            body_bytes_max: 0,
            decompressed_bytes_max: 0,
            line_bytes_max: 0,
            string_field_bytes_max: 0,
            in_flight_write_bytes_max: 0,
            series_per_bucket_max: None,
            write_timeout: Duration::ZERO,
            query_concurrency: 0,
            query_queue_size: 0,
            query_timeout: Duration::ZERO,
            query_bytes_max: 0,
            query_memory_bytes: 0,
            influxql_max_select_buckets: 0,
            memory_bytes: None,
            memory_shares: Shares::STANDARD,
            memtable_bytes_max: 0,
            memtable_age_max: Duration::ZERO,
            retention_check_interval: Duration::ZERO,
            scrub_interval: Duration::ZERO,
            scrub_bytes_per_second: 0,
            log_level: String::new(),
            log_format: LogFormat::Text,
            otlp_endpoint: None,
            otlp_service_name: String::new(),
            otlp_sampling_ratio: 0.0,
            slow_query_threshold: Duration::ZERO,
            init: None,
            given: Given::default(),
        }
    }
}

impl Resolved {
    /// Checks what several settings must agree on, and warns of what is allowed but unsafe.
    fn checked(mut self) -> Result<Self, ConfigError> {
        let c = &self.config;
        let has_tls = c.peer_tls_cert.is_some() || c.peer_tls_key.is_some() || c.peer_tls_ca.is_some();
        let has = |file: &Option<PathBuf>| file.is_some() || !has_tls;
        let is_gateway = c.role == Role::Gateway;
        let is_near = if is_gateway { c.peers_are_near() } else { c.peer_bind_address.is_loopback() };
        let is_secret = !c.has_peers() || is_near || c.peer_plaintext || has_tls;
        let is_set = |key| self.origin(key).is_some_and(|origin| *origin != Origin::Default);
        let ordered: [(&'static str, bool, &'static str); 19] = [
            ("data-dir", !(is_gateway && is_set("data-dir")), "nothing: a gateway stores nothing"),
            (
                "peer-advertise-address",
                !(is_gateway && c.peer_advertise_address.is_some()),
                "nothing: nobody calls a gateway",
            ),
            (
                "max-series-per-bucket",
                !(is_gateway && c.series_per_bucket_max.is_some()),
                "nothing: a gateway does not know how many series there are",
            ),
            (
                "initial-peers",
                !is_gateway || c.has_peers(),
                "nodes of the cluster that the gateway serves, or discovery-strategy dns or kubernetes",
            ),
            (
                if c.discovery_name.is_empty() { "initial-peers" } else { "discovery-name" },
                !is_gateway || is_secret,
                "loopback addresses, or peer-tls-cert, or peer-plaintext",
            ),
            ("peer-tls-cert", has(&c.peer_tls_cert), "a file: it goes with peer-tls-key and peer-tls-ca"),
            ("peer-tls-key", has(&c.peer_tls_key), "a file: it goes with peer-tls-cert and peer-tls-ca"),
            ("peer-tls-ca", has(&c.peer_tls_ca), "a file: it goes with peer-tls-cert and peer-tls-key"),
            ("peer-plaintext", !(c.peer_plaintext && has_tls), "false beside peer-tls-cert"),
            ("memory-bytes", c.memory_bytes.is_none_or(|b| b >= MEMORY_BYTES_MIN), "at least 128MiB"),
            ("max-json-size", c.json_bytes_max >= REQUEST_BYTES_MIN, "at least 4KiB"),
            ("max-query-size", c.query_bytes_max >= REQUEST_BYTES_MIN, "at least 4KiB"),
            ("max-decompressed-size", c.decompressed_bytes_max >= c.body_bytes_max, "at least max-body-size"),
            ("max-line-size", c.line_bytes_max <= c.decompressed_bytes_max, "at most max-decompressed-size"),
            ("max-string-field-size", c.string_field_bytes_max <= c.line_bytes_max, "at most max-line-size"),
            (
                "peer-bind-address",
                is_gateway || !collide(&c.http_bind_address, &c.peer_bind_address),
                "another port than http-bind-address",
            ),
            ("peer-bind-address", is_secret, "a loopback address, or peer-tls-cert, or peer-plaintext"),
            (
                "initial-peers",
                is_gateway || matches!(c.initial_peers.len(), 0 | 1 | 3 | 5),
                "1, 3 or 5 peers, or none for one node alone",
            ),
            (
                "initial-peers",
                (1..c.initial_peers.len()).all(|at| !c.initial_peers[..at].contains(&c.initial_peers[at])),
                "peers that are all different",
            ),
        ];
        let unordered =
            ordered.into_iter().find(|(_, holds, _)| !holds).map(|(key, _, expected)| (key, expected));
        if let Some((key, expected)) = unordered.or_else(|| c.lacks_for_discovery())
            && let Some((setting, value)) = self.chosen.iter().find(|(setting, _)| setting.key == key)
        {
            return Err(refused(setting, value, Expected(expected)));
        }
        if !c.http_auth_enabled && !c.http_bind_address.is_loopback() {
            let warning = format!(
                "http-auth-enabled is false and http-bind-address is {}: everyone who reaches it may read and \
                 write all data of the InfluxDB 1.x routes",
                c.http_bind_address
            );
            self.warnings.push(warning);
        }
        Ok(self)
    }
}

fn collide(a: &BindAddress, b: &BindAddress) -> bool {
    a.port() != 0
        && a.port() == b.port()
        && (a.host() == b.host() || a.host().is_empty() || b.host().is_empty())
}

fn refused(setting: &'static Setting, value: &Chosen, expected: Expected) -> ConfigError {
    let shown = shown(setting, &value.text);
    let text = if shown.is_empty() { "empty".to_owned() } else { format!("`{shown}`") };
    ConfigError::Value { key: setting.key, origin: value.origin.clone(), text, expected: expected.0 }
}

fn flag_layer(flags: Vec<(String, String)>) -> Result<Layer, ConfigError> {
    let mut layer = Layer::new();
    for (key, text) in flags {
        let Some(setting) = setting(&key) else {
            let suggestion = suggest::nearest(&key, settings().iter().map(|s| s.key));
            return Err(ConfigError::UnknownFlag { key, suggestion });
        };
        layer.insert(setting.key, Chosen { text, origin: Origin::Flag(setting.flag) });
    }
    Ok(layer)
}

fn env_layer(
    env: &impl Fn(&str) -> Option<String>,
    read_file: &impl Fn(&Path) -> io::Result<String>,
) -> Result<Layer, ConfigError> {
    let mut layer = Layer::new();
    for setting in settings() {
        let own = std::iter::once((setting.env, None));
        let aliases = setting.aliases.iter().map(|alias| (alias.env, Some(alias.convert)));
        for (name, convert) in own.chain(aliases) {
            let found = variable(name, setting.from_file, env, read_file)?;
            if let Some(mut chosen) = found {
                if let Some(convert) = convert {
                    chosen.text = convert(&chosen.text);
                }
                layer.insert(setting.key, chosen);
                break;
            }
        }
    }
    Ok(layer)
}

/// A variable's value, or, where that is allowed, what the file holds that its `_FILE` form names.
fn variable(
    name: &'static str,
    from_file: bool,
    env: &impl Fn(&str) -> Option<String>,
    read_file: &impl Fn(&Path) -> io::Result<String>,
) -> Result<Option<Chosen>, ConfigError> {
    let own = env(name).map(|text| Chosen { text, origin: Origin::Env(name.to_owned()) });
    let file_name = format!("{name}_FILE");
    let Some(path) = env(&file_name).filter(|_| from_file).map(PathBuf::from) else { return Ok(own) };
    if own.is_some() {
        return Err(ConfigError::Twice { name });
    }
    match read_file(&path) {
        Ok(content) => {
            let text = content.trim_end_matches(['\r', '\n']).to_owned();
            Ok(Some(Chosen { text, origin: Origin::EnvFile { name: file_name, path } }))
        }
        Err(source) => Err(ConfigError::Read { path, by: file_name, source }),
    }
}

fn file_layer(
    path: &Path,
    named_by: &Origin,
    read_file: &impl Fn(&Path) -> io::Result<String>,
) -> Result<Layer, ConfigError> {
    let entries = file::read(path, &named_by.to_string(), read_file)?;
    let chosen = |entry: file::Entry| {
        let origin = Origin::File { path: path.to_owned(), line: entry.line };
        (entry.setting.key, Chosen { text: entry.text, origin })
    };
    Ok(entries.into_iter().map(chosen).collect())
}

fn influxd_env_layer(
    env: &impl Fn(&str) -> Option<String>,
    warnings: &mut Vec<String>,
) -> Result<Layer, ConfigError> {
    let mut layer = Layer::new();
    for option in influxd::options() {
        let name = option.env();
        if let Some(text) = env(&name) {
            take(option, &text, Origin::Env(name), &mut layer, warnings)?;
        }
    }
    Ok(layer)
}

fn influxd_file_layer(
    named: &Path,
    read_file: &impl Fn(&Path) -> io::Result<String>,
    warnings: &mut Vec<String>,
) -> Result<Layer, ConfigError> {
    let mut layer = Layer::new();
    let Some(found) = influxd_file::read(named, read_file)? else {
        warnings.push(format!("INFLUXD_CONFIG_PATH names {}, where no configuration is", named.display()));
        return Ok(layer);
    };
    for entry in found.entries {
        let path = found.path.clone();
        let origin = Origin::Influxd { path, line: entry.line, key: entry.key.clone() };
        if let Some(option) = influxd::option(&entry.key) {
            take(option, &entry.text, origin, &mut layer, warnings)?;
        } else if influxd::ONE_X.contains(&entry.key.as_str()) {
            let reason =
                "is of InfluxDB 1.x, whose configuration is not read: see docs/reference/configuration.md";
            return Err(ConfigError::InfluxdRefused { origin, key: entry.key, reason });
        } else {
            warnings.push(format!("{origin}: `{}` is no option of influxd that Tidemark knows", entry.key));
        }
    }
    Ok(layer)
}

/// Takes an option of influxd over, or says why not.
fn take(
    option: &Opt,
    text: &str,
    origin: Origin,
    layer: &mut Layer,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let key = option.key;
    match option.meaning {
        Meaning::Sets(setting, convert) => match convert(text) {
            Taken::Value(text) => {
                layer.insert(setting, Chosen { text, origin });
            }
            Taken::Changed(text, note) => {
                warnings.push(format!("{origin}: `{key}`: {note}"));
                layer.insert(setting, Chosen { text, origin });
            }
            Taken::Not(reason) => warnings.push(format!("{origin}: `{key}`: {reason}")),
        },
        Meaning::Refused(reason) if !text.is_empty() => {
            return Err(ConfigError::InfluxdRefused { origin, key: key.to_owned(), reason });
        }
        Meaning::None(reason) | Meaning::Refused(reason) => {
            warnings.push(format!("{origin}: `{key}` has no meaning in Tidemark: {reason}"));
        }
    }
    Ok(())
}

/// A warning for a variable of influxd that it has no option for, and for one that is nearly one of ours. Others may
/// be a cluster manager's (`TIDEMARK_PORT_…`).
pub(super) fn unknown_variable(name: &str) -> Option<String> {
    if name.starts_with("INFLUXD_") {
        let is_known = name == influxd_file::NAMED_BY || influxd::options().iter().any(|o| o.env() == name);
        return (!is_known)
            .then(|| format!("the variable {name} is no option of influxd that Tidemark knows"));
    }
    let key = name.strip_prefix("TIDEMARK_")?;
    if settings().iter().any(|s| s.env == name || format!("{}_FILE", s.env) == name) {
        return None;
    }
    let meant = suggest::nearest(key, settings().iter().map(|s| s.key)).and_then(setting)?;
    Some(format!("the variable {name} is not known; did you mean {}?", meant.env))
}
