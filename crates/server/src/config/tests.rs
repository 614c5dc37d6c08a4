//! Configuration: who wins, what is refused, and what influxd's options become.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster::InitialPeers;

use super::*;

mod values;

/// A world to resolve in: flags, variables, files.
#[derive(Default)]
struct World {
    flags: Vec<(String, String)>,
    env: HashMap<String, String>,
    files: HashMap<PathBuf, String>,
}

impl World {
    fn flag(mut self, key: &str, text: &str) -> Self {
        self.flags.push((key.to_owned(), text.to_owned()));
        self
    }

    fn env(mut self, name: &str, text: &str) -> Self {
        self.env.insert(name.to_owned(), text.to_owned());
        self
    }

    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(PathBuf::from(path), text.to_owned());
        self
    }

    fn resolve(self) -> Result<Resolved, ConfigError> {
        let read = |path: &Path| {
            self.files.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        Config::resolve(self.flags.clone(), |name| self.env.get(name).cloned(), read)
    }

    #[track_caller]
    fn resolved(self) -> Resolved {
        self.resolve().unwrap_or_else(|e| panic!("{e}"))
    }

    #[track_caller]
    fn refused(self, message: &str) {
        let error = self.resolve().expect_err("refused");
        assert_eq!(error.to_string(), message);
    }
}

fn value(resolved: &Resolved, key: &str) -> (String, String) {
    let found = resolved.values().into_iter().find(|v| v.key == key).unwrap();
    (found.text, found.origin)
}

#[test]
fn nothing_set_is_a_node_on_loopback() {
    let resolved = World::default().resolved();
    let c = &resolved.config;
    assert_eq!(c.data_dir, Path::new("./tidemark-data"));
    assert_eq!(c.http_bind_address.to_string(), "127.0.0.1:8086");
    assert_eq!(c.peer_bind_address.to_string(), "127.0.0.1:8088");
    assert!(c.http_bind_address.is_loopback() && c.http_auth_enabled);
    assert_eq!((c.partitions, c.partitions_or_default()), (None, 16));
    assert_eq!((c.body_bytes_max, c.decompressed_bytes_max), (64 << 20, 256 << 20));
    assert_eq!((c.line_bytes_max, c.string_field_bytes_max), (4 << 20, 1 << 20));
    assert_eq!((c.in_flight_write_bytes_max, c.query_concurrency, c.query_queue_size), (256 << 20, 64, 1024));
    assert_eq!((c.json_bytes_max, c.query_bytes_max), (1 << 20, 1 << 20));
    assert_eq!(c.retention_check_interval, Duration::from_secs(1800));
    assert_eq!((c.log_level.as_str(), c.log_format, c.log_lane), ("info", LogFormat::Text, LogLane::Segment));
    assert_eq!((c.init.clone(), c.otlp_endpoint.clone()), (None, None));
    assert!(resolved.warnings.is_empty(), "{:?}", resolved.warnings);
    assert!(resolved.values().iter().all(|v| v.origin == "default"));
    assert_eq!(resolved.values().len(), settings().len());
}

#[test]
fn flag_beats_env_beats_alias_beats_influxd_env_beats_file_beats_influxd_file() {
    let layers: [fn(World) -> World; 6] = [
        |w| w.env("INFLUXD_CONFIG_PATH", "influxd.yml").file("influxd.yml", "\nhttp-bind-address: :1\n"),
        |w| w.env("TIDEMARK_CONFIG", "own.toml").file("own.toml", "http-bind-address = \":2\"\n"),
        |w| w.env("INFLUXD_HTTP_BIND_ADDRESS", ":3"),
        |w| w.env("HTTP_PORT", "4"),
        |w| w.env("TIDEMARK_HTTP_BIND_ADDRESS", ":5"),
        |w| w.flag("http-bind-address", ":6"),
    ];
    let expected = [
        (":1", "influxd.yml:2 (http-bind-address)"),
        (":2", "own.toml:1"),
        (":3", "INFLUXD_HTTP_BIND_ADDRESS"),
        (":4", "HTTP_PORT"),
        (":5", "TIDEMARK_HTTP_BIND_ADDRESS"),
        (":6", "--http-bind-address"),
    ];
    let mut world = World::default();
    for (layer, (text, origin)) in layers.into_iter().zip(expected) {
        world = layer(world);
        let World { flags, env, files } = &world;
        let copy = World { flags: flags.clone(), env: env.clone(), files: files.clone() };
        let resolved = copy.resolved();
        assert_eq!(value(&resolved, "http-bind-address"), (text.to_owned(), origin.to_owned()));
        assert_eq!(resolved.config.http_bind_address.to_string(), text);
    }
}

#[test]
fn an_empty_variable_is_not_set() {
    let resolved = World::default().env("TIDEMARK_ZONE", "").env("DATA_DIR", "/data").resolved();
    assert_eq!(value(&resolved, "zone"), (String::new(), "default".to_owned()));
    assert_eq!(value(&resolved, "data-dir"), ("/data".to_owned(), "DATA_DIR".to_owned()));
    let resolved = World::default().env("RAFT_PORT", "7000").resolved();
    assert_eq!(resolved.config.peer_bind_address.port(), 7000);
    assert_eq!(resolved.config.peer_bind_address.to_bind(), [("::".into(), 7000), ("0.0.0.0".into(), 7000)]);
}

#[test]
fn an_unknown_key_names_its_line_and_what_was_meant() {
    let toml = |text: &str| World::default().flag("config", "t.toml").file("t.toml", text);
    toml("# c\n\nhttp-bind-adress = 1\n")
        .refused("t.toml:3: unknown setting `http-bind-adress`; did you mean `http-bind-address`?");
    toml("zone = \"a\"\ndata_dir = \"x\"\n")
        .refused("t.toml:2: unknown setting `data_dir`; did you mean `data-dir`?");
    toml("[storage]\nx = 1\n").refused("t.toml:1: unknown setting `storage`");
    toml("config = \"other.toml\"\n").refused("t.toml:1: unknown setting `config`");
    World::default().flag("zonee", "x").refused("unknown setting `zonee`; did you mean `zone`?");
}

#[test]
fn a_file_that_cannot_be_used_is_an_error_with_its_place() {
    let toml = |text: &str| World::default().flag("config", "t.toml").file("t.toml", text);
    let broken = toml("zone = \"a\"\n\nlog-level = \n").resolve().unwrap_err().to_string();
    assert!(broken.starts_with("t.toml:3: "), "{broken}");
    let twice = toml("zone = \"a\"\nzone = \"b\"\n").resolve().unwrap_err().to_string();
    assert!(twice.starts_with("t.toml:2: "), "{twice}");
    toml("\nzone = { a = 1 }\n")
        .refused("t.toml:2: `zone` cannot be a table: write a text, a number, true or false");
    toml("query-timeout = 5\n")
        .refused("t.toml:1: `query-timeout` is `5`, expected a duration above 0, such as 30s or 10m");
    World::default()
        .env("TIDEMARK_CONFIG", "absent.toml")
        .refused("cannot read absent.toml (named by TIDEMARK_CONFIG)");
}

#[test]
fn the_files_values_may_be_texts_numbers_switches_and_lists() {
    let text = "max-body-size = 1_000_000\nquery-concurrency = 0x10\nhttp-auth-enabled = false\n\
                otlp-sampling-ratio = 0.25\ninitial-peers = [\"a:1\", \"b:2\", \"c:3\"]\npartitions = 64\n";
    let c = World::default().flag("config", "t.toml").file("t.toml", text).resolved().config;
    assert_eq!((c.body_bytes_max, c.query_concurrency), (1_000_000, 16));
    assert!(!c.http_auth_enabled);
    assert!((c.otlp_sampling_ratio - 0.25).abs() < f64::EPSILON);
    assert_eq!(c.initial_peers.iter().map(Peer::to_string).collect::<Vec<_>>(), ["a:1", "b:2", "c:3"]);
    assert_eq!((c.partitions, c.partitions_or_default()), (Some(64), 64));
    assert_eq!(
        World::default().flag("initial-peers", "a:1,b:2,c:3").resolved().config.partitions_or_default(),
        32
    );
}

#[test]
fn values_that_make_no_sense_are_refused_with_their_origin() {
    let flag = |key: &str, text: &str| World::default().flag(key, text);
    flag("partitions", "12")
        .refused("--partitions: `partitions` is `12`, expected a power of two from 1 to 4096");
    flag("log-lane", "sled").refused("--log-lane: `log-lane` is `sled`, expected segment or rocksdb");
    flag("data-dir", "").refused("--data-dir: `data-dir` is empty, expected a directory");
    for name in ["max-json-size", "max-query-size"] {
        let refusal = format!("--{name}: `{name}` is `4095`, expected at least 4KiB");
        flag(name, "4095").refused(&refusal);
    }
    flag("max-line-size", "512MiB")
        .refused("--max-line-size: `max-line-size` is `512MiB`, expected at most max-decompressed-size");
    flag("max-body-size", "1GiB")
        .refused("default: `max-decompressed-size` is `256MiB`, expected at least max-body-size");
    flag("peer-bind-address", ":8086").refused(
        "--peer-bind-address: `peer-bind-address` is `:8086`, expected another port than http-bind-address",
    );
    flag("initial-peers", "a:1,b:2").refused(
        "--initial-peers: `initial-peers` is `a:1,b:2`, expected 1, 3 or 5 peers, or none for one node alone",
    );
    flag("initial-peers", "a:1,b:2,a:1")
        .refused("--initial-peers: `initial-peers` is `a:1,b:2,a:1`, expected peers that are all different");
    // What variables that are not set leave.
    for list in ["a:1,,", ",,a:1", ",", " ", "a:1,"] {
        let refused = flag("initial-peers", list).resolve().unwrap_err().to_string();
        assert!(refused.contains("`initial-peers` is"), "{list:?}: {refused}");
    }
    let open = || flag("initial-peers", "a:1,b:2,c:3").flag("peer-bind-address", ":7000");
    open().refused(
        "--peer-bind-address: `peer-bind-address` is `:7000`, expected a loopback address, or peer-tls-cert, or \
         peer-plaintext",
    );
    let secret = || open().flag("peer-tls-cert", "c").flag("peer-tls-key", "k");
    secret().refused(
        "default: `peer-tls-ca` is empty, expected a file: it goes with peer-tls-cert and peer-tls-key",
    );
    assert!(secret().flag("peer-tls-ca", "a").resolve().is_ok());
    secret()
        .flag("peer-tls-ca", "a")
        .flag("peer-plaintext", "true")
        .refused("--peer-plaintext: `peer-plaintext` is `true`, expected false beside peer-tls-cert");
    assert!(open().flag("peer-plaintext", "true").resolve().is_ok());
    World::default()
        .env("DISCOVERY_STRATEGY", "consul")
        .refused("DISCOVERY_STRATEGY: `discovery-strategy` is `consul`, expected static, dns or kubernetes");
    assert!(World::default().env("DISCOVERY_STRATEGY", "static").resolve().is_ok());
    World::default().env("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317").refused(
        "OTEL_EXPORTER_OTLP_ENDPOINT: `otlp-endpoint` is `collector:4317`, expected a URL such as \
         http://127.0.0.1:4317 (gRPC without TLS), or nothing",
    );
    assert!(flag("log-level", "info,cluster=debug").resolve().is_ok());
    assert!(flag("log-level", "cluster=loud").resolve().is_err());
}

#[test]
fn peers_are_found_by_a_list_a_name_or_the_pods_of_a_stateful_set() {
    let flag = |key: &str, text: &str| World::default().flag(key, text);
    let peers = |world: World| {
        let config = world.resolve().unwrap().config;
        assert_eq!(config.partitions_or_default(), if config.has_peers() { 32 } else { 16 });
        (config.founding_peers(), config.advertised())
    };
    let list = |peers: [&str; 3]| Some(InitialPeers::List(peers.map(ToOwned::to_owned).to_vec()));
    assert_eq!(peers(World::default()).0, None);
    assert_eq!(peers(flag("initial-peers", "a:1,b:2,c:3")), (list(["a:1", "b:2", "c:3"]), None));

    let pod = || {
        World::default()
            .env("DISCOVERY_STRATEGY", "kubernetes")
            .env("HOSTNAME", "tidemark-2")
            .flag("discovery-name", "peers")
            .flag("peer-bind-address", ":7000")
            .flag("peer-plaintext", "true")
            .flag("bootstrap-expect", "3")
    };
    let pods = list(["tidemark-0.peers:7000", "tidemark-1.peers:7000", "tidemark-2.peers:7000"]);
    assert_eq!(peers(pod()), (pods, Some("tidemark-2.peers:7000".to_owned())));
    let (found, own) = peers(pod().env("POD_NAMESPACE", "db").env("POD_NAME", "tidemark-7"));
    let pods =
        ["tidemark-0.peers.db.svc:7000", "tidemark-1.peers.db.svc:7000", "tidemark-2.peers.db.svc:7000"];
    assert_eq!((found, own), (list(pods), Some("tidemark-7.peers.db.svc:7000".to_owned())));
    let (_, own) =
        peers(pod().env("POD_NAMESPACE", "db").flag("discovery-name", "peers.x.svc.cluster.local:9"));
    assert_eq!(own.as_deref(), Some("tidemark-2.peers.x.svc.cluster.local:9"));
    pod().env("POD_NAME", "web").refused(
        "POD_NAME: `pod-name` is `web`, expected the name of a pod of a StatefulSet, such as tidemark-0",
    );
    pod().flag("discovery-name", "").refused(
        "--discovery-name: `discovery-name` is empty, expected a name that stands for all nodes, such as tidemark-peers or \
         tidemark-peers:8088",
    );

    let named =
        || flag("discovery-strategy", "dns").flag("discovery-name", "nodes").flag("bootstrap-expect", "5");
    let name = InitialPeers::Name { host: "nodes".to_owned(), port: 8088, expect: 5 };
    let advertised = named().flag("peer-advertise-address", "n1.example:1");
    assert_eq!(peers(advertised), (Some(name), Some("n1.example:1".to_owned())));
    named().refused(
        "default: `peer-advertise-address` is empty, expected where others reach this node, by a name that stays: \
         discovery-strategy is dns",
    );
    flag("discovery-strategy", "dns").refused(
        "default: `bootstrap-expect` is empty, expected 1, 3 or 5: the nodes that found the cluster",
    );
    named()
        .flag("initial-peers", "a:1")
        .refused("--discovery-strategy: `discovery-strategy` is `dns`, expected static beside initial-peers");
    flag("discovery-name", "nodes").refused(
        "default: `discovery-strategy` is `static`, expected dns or kubernetes beside discovery-name",
    );
    flag("initial-peers", "a:1").flag("bootstrap-expect", "3").refused(
        "--bootstrap-expect: `bootstrap-expect` is `3`, expected as many as there are initial-peers, or nothing",
    );
    flag("bootstrap-expect", "2")
        .refused("--bootstrap-expect: `bootstrap-expect` is `2`, expected 1, 3 or 5");
}

#[test]
fn a_gateway_names_its_cluster_and_nothing_that_it_would_keep() {
    let gateway = || World::default().flag("role", "gateway");
    let near = || gateway().flag("initial-peers", "localhost:1,127.0.0.2:2");
    let config = near().resolved().config;
    assert_eq!(config.role, Role::Gateway);
    let list = InitialPeers::List(vec!["localhost:1".to_owned(), "127.0.0.2:2".to_owned()]);
    assert_eq!((config.founding_peers(), config.advertised()), (Some(list), None));
    World::default().flag("role", "proxy").refused("--role: `role` is `proxy`, expected node or gateway");
    gateway().refused(
        "default: `initial-peers` is empty, expected nodes of the cluster that the gateway serves, or discovery-strategy \
         dns or kubernetes",
    );
    near()
        .env("TIDEMARK_DATA_DIR", "d")
        .refused("TIDEMARK_DATA_DIR: `data-dir` is `d`, expected nothing: a gateway stores nothing");
    near().flag("peer-advertise-address", "a:1").refused(
        "--peer-advertise-address: `peer-advertise-address` is `a:1`, expected nothing: nobody calls a gateway",
    );
    near().flag("max-series-per-bucket", "9").refused(
        "--max-series-per-bucket: `max-series-per-bucket` is `9`, expected nothing: a gateway does not know how many \
         series there are",
    );
    // It dials, so what counts is where the others are.
    gateway().flag("initial-peers", "a:1").refused(
        "--initial-peers: `initial-peers` is `a:1`, expected loopback addresses, or peer-tls-cert, or peer-plaintext",
    );
    gateway().flag("initial-peers", "a:1").flag("peer-plaintext", "true").resolved();
    // It founds nothing, and its pod is in no StatefulSet.
    let named = |strategy: &str| {
        let world = gateway().flag("discovery-strategy", strategy).flag("discovery-name", "nodes:7");
        let world = world.flag("peer-plaintext", "true").env("POD_NAMESPACE", "db");
        world.resolved().config.founding_peers()
    };
    let name = |host: &str| Some(InitialPeers::Name { host: host.to_owned(), port: 7, expect: 0 });
    assert_eq!((named("dns"), named("kubernetes")), (name("nodes"), name("nodes.db.svc")));
}

fn docker() -> World {
    World::default()
        .env("DOCKER_INFLUXDB_INIT_MODE", "setup")
        .env("DOCKER_INFLUXDB_INIT_USERNAME", "ann")
        .env("DOCKER_INFLUXDB_INIT_ORG", "acme")
        .env("DOCKER_INFLUXDB_INIT_BUCKET", "metrics")
        .env("DOCKER_INFLUXDB_INIT_RETENTION", "30d")
}

#[test]
fn the_container_images_variables_set_up_and_secrets_come_from_files() {
    let resolved = docker()
        .env("DOCKER_INFLUXDB_INIT_PASSWORD_FILE", "/run/secrets/password")
        .file("/run/secrets/password", "long enough\n")
        .env("TIDEMARK_INIT_ADMIN_TOKEN_FILE", "/run/secrets/token")
        .file("/run/secrets/token", "my-token\r\n")
        .resolved();
    let init = resolved.config.init.clone().unwrap();
    assert_eq!((init.username.as_str(), init.org.as_str(), init.bucket.as_str()), ("ann", "acme", "metrics"));
    assert_eq!(init.password.expose(), "long enough");
    assert_eq!(init.admin_token.as_ref().map(Secret::expose), Some("my-token"));
    assert_eq!(init.retention, Some(Duration::from_secs(30 * 86_400)));
    let origin = "DOCKER_INFLUXDB_INIT_PASSWORD_FILE (/run/secrets/password)";
    assert_eq!(value(&resolved, "init-password"), ("***".to_owned(), origin.to_owned()));
    for printed in [format!("{resolved:?}"), format!("{:?}", resolved.values())] {
        assert!(!printed.contains("my-token") && !printed.contains("long enough"), "{printed}");
    }
}

#[test]
fn a_secret_is_given_once_and_never_printed() {
    let twice = "DOCKER_INFLUXDB_INIT_PASSWORD and DOCKER_INFLUXDB_INIT_PASSWORD_FILE are both set: which one counts?";
    docker()
        .env("DOCKER_INFLUXDB_INIT_PASSWORD", "x")
        .env("DOCKER_INFLUXDB_INIT_PASSWORD_FILE", "y")
        .refused(twice);
    docker()
        .env("DOCKER_INFLUXDB_INIT_PASSWORD_FILE", "/absent")
        .refused("cannot read /absent (named by DOCKER_INFLUXDB_INIT_PASSWORD_FILE)");
    docker().env("TIDEMARK_INIT_PASSWORD", "hunter2").refused(
        "TIDEMARK_INIT_PASSWORD: `init-password` is `***`, expected a password of 8 to 72 characters",
    );
}

#[test]
fn an_incomplete_set_up_says_what_is_missing() {
    let needs = "first set-up needs init-username, init-password, init-org and init-bucket: missing ";
    docker().refused(&format!("{needs}init-password"));
    World::default()
        .env("DOCKER_INFLUXDB_INIT_MODE", "setup")
        .refused(&format!("{needs}init-username, init-password, init-org, init-bucket"));
    World::default()
        .flag("init-admin-token", "t")
        .refused(&format!("{needs}init-username, init-password, init-org, init-bucket"));
    let upgrade = docker().env("DOCKER_INFLUXDB_INIT_MODE", "upgrade").resolve().unwrap_err().to_string();
    assert!(upgrade.contains("is not upgraded in place"), "{upgrade}");
    for (retention, kept) in [("0", None), ("inf", None), ("0s", None), ("1w", Some(604_800))] {
        let world = docker().env("DOCKER_INFLUXDB_INIT_PASSWORD", "long enough");
        let init = world.env("DOCKER_INFLUXDB_INIT_RETENTION", retention).resolved().config.init.unwrap();
        assert_eq!(init.retention, kept.map(Duration::from_secs), "{retention}");
    }
    let short = docker().env("DOCKER_INFLUXDB_INIT_RETENTION", "30m").resolve().unwrap_err().to_string();
    assert!(short.contains("at least 1h"), "{short}");
}

#[test]
fn no_authentication_beyond_loopback_is_allowed_with_a_warning() {
    let off = |address: &str| {
        World::default().flag("http-auth-enabled", "false").flag("http-bind-address", address).resolved()
    };
    for loopback in ["127.0.0.1:8086", "[::1]:8086", "localhost:8086"] {
        assert!(off(loopback).warnings.is_empty(), "{loopback}");
    }
    for open in [":8086", "0.0.0.0:8086", "10.0.0.1:8086", "db.example:8086"] {
        let warnings = off(open).warnings;
        assert!(warnings[0].contains("everyone who reaches it"), "{warnings:?}");
    }
}

#[test]
fn an_influxd_configuration_is_taken_over_key_by_key_in_every_format() {
    let yaml = "bolt-path: /v/influxd.bolt\nengine-path: /v/engine\nhttp-bind-address: \":9999\"\n\
                query-concurrency: 20\nquery-memory-bytes: 0\nstorage-retention-check-interval: 1h0m0s\n\
                storage-write-timeout: 2000000000\nmetrics-disabled: true\nLog-Level: fatal\nnovelty: 1\n\
                feature-flags: {a: \"1\"}\n";
    let toml = "bolt-path = \"/v/influxd.bolt\"\nengine-path = \"/v/engine\"\nhttp-bind-address = \":9999\"\n\
                query-concurrency = 20\nquery-memory-bytes = 0\nstorage-retention-check-interval = \"1h0m0s\"\n\
                storage-write-timeout = 2000000000\nmetrics-disabled = true\nLog-Level = \"fatal\"\nnovelty = 1\n\
                feature-flags = {a = \"1\"}\n";
    let json = "{\n\"bolt-path\": \"/v/influxd.bolt\", \"engine-path\": \"/v/engine\",\n\
                \"http-bind-address\": \":9999\", \"query-concurrency\": 20, \"query-memory-bytes\": 0,\n\
                \"storage-retention-check-interval\": \"1h0m0s\", \"storage-write-timeout\": 2000000000,\n\
                \"metrics-disabled\": true, \"Log-Level\": \"fatal\", \"novelty\": 1, \"feature-flags\": {\"a\": \"1\"}}\n";
    for (path, text) in [("/c/a.yaml", yaml), ("/c/a.yml", yaml), ("/c/a.toml", toml), ("/c/a.json", json)] {
        let resolved = World::default().env("INFLUXD_CONFIG_PATH", path).file(path, text).resolved();
        let c = &resolved.config;
        assert_eq!(c.http_bind_address.to_string(), ":9999", "{path}");
        assert_eq!(c.data_dir, Path::new("/v/tidemark"), "{path}");
        assert_eq!((c.query_concurrency, c.query_memory_bytes), (20, 512 << 20), "{path}");
        assert_eq!(
            (c.retention_check_interval, c.write_timeout),
            (Duration::from_secs(3600), Duration::from_secs(2))
        );
        assert!(c.metrics_disabled);
        assert_eq!(c.log_level, "error");
        for (key, reason) in [
            ("bolt-path", "has no meaning in Tidemark: metadata is in the data directory"),
            ("engine-path", "data goes to /v/tidemark, beside influxd's own"),
            ("query-memory-bytes", "0 (no limit) is not offered"),
            ("novelty", "no option of influxd that Tidemark knows"),
            ("feature-flags", "there are no feature flags"),
        ] {
            let found =
                resolved.warnings.iter().any(|w| w.contains(&format!("`{key}`")) && w.contains(reason));
            assert!(found, "{path} {key}: {:?}", resolved.warnings);
        }
        assert_eq!(resolved.warnings.len(), 5, "{:?}", resolved.warnings);
        let line = if path.ends_with("json") { "/c/a.json:3" } else { &format!("{path}:3") };
        assert_eq!(value(&resolved, "http-bind-address").1, format!("{line} (http-bind-address)"));
    }
}

#[test]
fn an_influxd_directory_is_searched_and_what_is_unsafe_to_pass_over_is_refused() {
    let named = |path: &str| World::default().env("INFLUXD_CONFIG_PATH", path);
    let resolved = named("/etc/influxdb2").file("/etc/influxdb2/config.yml", "log-level: warn").resolved();
    assert_eq!(value(&resolved, "log-level").1, "/etc/influxdb2/config.yml:1 (log-level)");
    for absent in ["/etc/influxdb2", "/etc/absent.toml"] {
        let warnings = named(absent).resolved().warnings;
        assert_eq!(warnings, [format!("INFLUXD_CONFIG_PATH names {absent}, where no configuration is")]);
    }
    assert!(named("/c.yaml").file("/c.yaml", "").resolved().warnings.is_empty());
    let tls = named("/c.yaml").file("/c.yaml", "tls-cert: /cert.pem\n").resolve().unwrap_err().to_string();
    assert!(tls.starts_with("/c.yaml:1 (tls-cert): `tls-cert` asks for TLS"), "{tls}");
    assert_eq!(named("/c.yaml").file("/c.yaml", "tls-cert: \"\"\n").resolved().warnings.len(), 1);
    let one_x = named("/c.toml").file("/c.toml", "[http]\nauth-enabled = true\n").resolve().unwrap_err();
    assert!(one_x.to_string().contains("`http` is of InfluxDB 1.x"), "{one_x}");
    let one_x = named("/etc/influxdb.conf").file("/etc/influxdb.conf", "[http]\n").resolve().unwrap_err();
    let said = one_x.to_string();
    assert!(
        said.starts_with("/etc/influxdb.conf: INFLUXD_CONFIG_PATH names a file that ends in none of"),
        "{said}"
    );
    assert!(said.contains("influxdb.conf of InfluxDB 1.x is not read: unset INFLUXD_CONFIG_PATH"), "{said}");
    let broken = named("/c.yaml").file("/c.yaml", "a: 1\nb: [1\n").resolve().unwrap_err().to_string();
    assert!(broken.starts_with("/c.yaml:"), "{broken}");
    named("/c.json").file("/c.json", "[1]").refused("/c.json:1: expected keys and values");
    let warnings = World::default().env("INFLUXD_REPORTING_DISABLED", "true").resolved().warnings;
    assert!(warnings[0].starts_with("INFLUXD_REPORTING_DISABLED: `reporting-disabled` has no meaning"));
}

#[test]
fn variables_that_nobody_knows_are_warned_of() {
    let warning = resolve::unknown_variable;
    let unknown = "the variable INFLUXD_HTTP_BIND_ADDRES is no option of influxd that Tidemark knows";
    assert_eq!(warning("INFLUXD_HTTP_BIND_ADDRES").as_deref(), Some(unknown));
    for known in
        ["INFLUXD_HTTP_BIND_ADDRESS", "INFLUXD_CONFIG_PATH", "TIDEMARK_DATA_DIR", "PATH", "INFLUX_TOKEN"]
    {
        assert_eq!(warning(known), None, "{known}");
    }
    let near = warning("TIDEMARK_DATA_DIRR").unwrap();
    assert!(near.ends_with("did you mean TIDEMARK_DATA_DIR?"), "{near}");
}

/// What the usual influxd configuration holds, all of it at its defaults, must start a node.
#[test]
fn influxds_own_defaults_are_all_taken_or_answered() {
    for option in influxd::options() {
        let value = match option.key {
            key if key.starts_with("tls-cert") || key.starts_with("tls-key") => continue,
            "http-bind-address" => ":8086",
            "engine-path" => "/var/lib/influxdb2/engine",
            "log-level" => "info",
            "metrics-disabled" => "false",
            "storage-write-timeout" | "http-read-header-timeout" => "10s",
            "http-idle-timeout" => "3m0s",
            "storage-retention-check-interval" => "30m0s",
            "storage-cache-snapshot-write-cold-duration" => "10m0s",
            "storage-cache-max-memory-size" => "1073741824",
            _ => "0",
        };
        let resolved = World::default().env(&option.env(), value).resolved();
        let taken = matches!(option.meaning, influxd::Meaning::Sets(..));
        assert!(taken || resolved.warnings.len() == 1, "{}: {:?}", option.key, resolved.warnings);
        if let influxd::Meaning::Sets(key, _) = option.meaning {
            let from = value == "0" || value_of(&resolved, key) == option.env();
            assert!(from, "{} sets {key}", option.key);
        }
    }
}

fn value_of(resolved: &Resolved, key: &str) -> String {
    value(resolved, key).1
}

#[test]
fn the_table_of_settings_is_sound() {
    let mut names = std::collections::HashSet::new();
    for setting in settings() {
        assert!(names.insert(setting.key), "{} stands twice", setting.key);
        let mut variables = vec![setting.env];
        variables.extend(setting.aliases.iter().map(|a| a.env));
        assert!(variables.into_iter().all(|v| names.insert(v)), "{}: a variable stands twice", setting.key);
        assert_eq!(setting.flag, setting.key);
        assert_eq!(setting.env, format!("TIDEMARK_{}", setting.key.to_uppercase().replace('-', "_")));
        assert!(!setting.help.is_empty() && !setting.group.is_empty() && !setting.value_name.is_empty());
        assert_eq!(setting.is_switch, setting.value_name == "BOOL");
    }
    for option in influxd::options() {
        if let influxd::Meaning::Sets(key, _) = option.meaning {
            assert!(settings().iter().any(|s| s.key == key), "{}", option.key);
        }
    }
    assert!(influxd::options().windows(2).all(|pair| pair[0].key < pair[1].key), "options are sorted");
}

#[test]
fn the_reference_page_is_current() {
    // UPDATE_EXPECT=1 cargo test -p server writes it.
    expect_test::expect_file!["../../../../docs/reference/configuration.md"].assert_eq(&reference_page());
}
