//! The life of a node: open what is on disk, take up its part in the cluster, serve, and stop in order.
//!
//! It stops on SIGTERM or SIGINT (see [`leaving`]; requests in progress end, memtables go to files, exit 0), and on the
//! cluster's fatal signal (durable state is in doubt: nothing is flushed, exit with the reason).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Catalog, NodeState};
use cluster::{Cluster, Fatal, Progress, Router};
use gateway::{Gateway, Ports, ProbeListener, SetupRequest, Vitals, Waiting};
use host::{Listener, Network};
use memory::{Account, Memory};
use model::Clock;
use parking_lot::Mutex;
use storage::Commons;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::admission::{Admission, AdmissionMetrics};
use crate::ballast::Ballast;
use crate::config::{BindAddress, Config, Distances, LogLane, Resolved, Role};
use crate::deletes::Deletes;
use crate::environment::Environment;
use crate::error::ServeError;
use crate::frugality::{self, BeFrugal};
use crate::lock::DirectoryLock;
use crate::machine;
use crate::maintenance::Maintenance;
use crate::metrics;
use crate::partitions::{Ground, Partitions};
use crate::ports::{CatalogAdapter, MaintenanceAdapter, StatusAdapter, TraceAdapter, WriteAdapter};
use crate::queries::{self, QueryAdapter};
use crate::source::{LocalReader, Source};
use crate::survey::ClusterAdapter;
use crate::{telemetry, vitals};

mod gateway_role;
mod leaving;

use leaving::Signals;

/// How long requests in progress may go on after the signal to stop.
const DRAIN_MAX: Duration = Duration::from_secs(20);
/// How long after the signal to stop a flush may still begin.
const FLUSH_AT_STOP_MAX: Duration = Duration::from_secs(5);
/// Flushes at once when the node stops; they wait for the disk, not for processors.
const FLUSHES_AT_STOP: usize = 8;

/// Prints a line of the server's own words to standard output.
pub type Print<'a> = &'a mut dyn FnMut(&str) -> Result<(), String>;

/// Runs a node until it is told to stop.
///
/// # Errors
/// See [`ServeError`].
pub fn serve(resolved: Resolved, be_frugal: BeFrugal, print: Print<'_>) -> Result<(), ServeError> {
    let config = resolved.config;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Runtime)?;
    let outcome = runtime.block_on(async {
        let telemetry = telemetry::init(&config)?;
        for warning in &resolved.warnings {
            tracing::warn!("{warning}");
        }
        let outcome = run(&config, telemetry.handle(), be_frugal, print).await;
        telemetry.shutdown().await;
        outcome
    });
    // Whatever still blocks (a query that does not look at its token) does not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn run(
    config: &Config,
    telemetry: telemetry::Handle,
    be_frugal: BeFrugal,
    print: Print<'_>,
) -> Result<(), ServeError> {
    let _lock = match config.role {
        Role::Node => Some(DirectoryLock::take(&config.data_dir).map_err(|source| match source.kind() {
            std::io::ErrorKind::WouldBlock => ServeError::InUse(config.data_dir.clone()),
            _ => ServeError::DataDir { path: config.data_dir.clone(), source },
        })?),
        Role::Gateway => None,
    };
    // The address is taken first: a second node on it ends before it has touched anything.
    let listener = bind(&config.http_bind_address).await?;
    let http_address = listener.local_addr().map_err(ServeError::Runtime)?;
    let progress = Progress::default();
    let vitals = vitals::of_opening(Arc::new(model::SystemClock::new()), &progress);
    let mut signals = Signals::listen(vitals.clone())?;
    // Answers until the end.
    let _probes = probe_listener(config, &vitals).await?;
    let mut turning = JoinSet::new();
    turning.spawn(vitals::turn(vitals.clone()));
    let waiting = waiting(config, &vitals);
    let opening = Box::pin(async {
        match config.role {
            Role::Node => {
                let peer_port = peer_port(config).await?;
                let environment = Environment::of_the_machine(config, peer_port, telemetry)?;
                Node::open(config, environment, progress.clone(), be_frugal).await
            }
            Role::Gateway => {
                let ways: (Arc<dyn Clock>, Arc<dyn Network>) =
                    (Arc::new(model::SystemClock::new()), Arc::new(host::Tcp::default()));
                Node::open_gateway(config, http_address, ways, telemetry, progress.clone(), be_frugal).await
            }
        }
    });
    let node = tokio::select! {
        biased;
        // What was acknowledged is in the log, and nothing is half open that a crash may not leave.
        () = signals.stop() => return Ok(()),
        node = waiting.serve_while(&listener, opening) => node?,
    };
    progress.wait("waiting for the first set-up");
    let set_up = tokio::select! {
        biased;
        () = signals.stop() => Ok(false),
        reason = node.fatal.raised() => Err(ServeError::Fatal(reason.to_string())),
        state = node.cluster.out() => left(state).map(|()| false),
        done = waiting.serve_while(&listener, node.set_up_as_configured(config)) => done.map(|()| true),
    };
    let result = match set_up {
        Ok(true) => node.serve(config, listener, (&vitals, &mut signals), print).await,
        other => other.map(drop),
    };
    node.stop(result.is_ok()).await;
    result
}

/// How a node ends that is out of the cluster for good: well, when it was let go, so that nobody starts it again.
fn left(state: NodeState) -> Result<(), ServeError> {
    if state == NodeState::Lost {
        return Err(ServeError::GivenUp);
    }
    tracing::info!(
        "this node was decommissioned: it has left the cluster for good, and its data directory is of no more use"
    );
    Ok(())
}

/// What the node answers until it can serve.
fn waiting(config: &Config, vitals: &Vitals) -> Waiting {
    let zone = config.zone.clone();
    let role = match config.role {
        Role::Node => "node",
        Role::Gateway => "gateway",
    };
    let more_metrics = move |page: &mut ::metrics::Page| metrics::show_starting(page, role, &zone);
    Waiting::new(vitals.clone(), gateway_limits(config), !config.metrics_disabled, more_metrics)
}

/// What answers probes on a thread of its own, where that is wanted.
async fn probe_listener(config: &Config, vitals: &Vitals) -> Result<Option<ProbeListener>, ServeError> {
    let Some(on) = &config.probe_bind_address else { return Ok(None) };
    let listener = bind(on).await?.into_std().map_err(ServeError::Runtime)?;
    let probes = ProbeListener::start(listener, vitals.clone()).map_err(ServeError::Runtime)?;
    tracing::info!(address = %probes.address(), "probes");
    Ok(Some(probes))
}

/// The peer port, where there are peers.
async fn peer_port(config: &Config) -> Result<Option<Arc<dyn Listener>>, ServeError> {
    if !config.has_peers() {
        return Ok(None);
    }
    let listener = bind(&config.peer_bind_address).await?;
    let bound = listener.local_addr().map_err(ServeError::Runtime)?;
    tracing::info!(address = %bound, "peer port");
    Ok(Some(Arc::new(listener)))
}

/// How the node finds its peers, where it has any.
fn peers(
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
fn tls_files(config: &Config) -> Option<cluster::TlsFiles> {
    let Config { peer_tls_cert, peer_tls_key, peer_tls_ca, .. } = config;
    Some(cluster::TlsFiles {
        certificate: peer_tls_cert.clone()?,
        key: peer_tls_key.clone()?,
        authorities: peer_tls_ca.clone()?,
    })
}

async fn bind(on: &BindAddress) -> Result<TcpListener, ServeError> {
    let mut failure = None;
    for address in on.to_bind() {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = Some(error),
        }
    }
    let source = failure.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into());
    Err(ServeError::Bind { address: on.to_string(), source })
}

/// A node that has taken up its part in the cluster.
pub struct Node {
    memory: Arc<Memory>,
    admission: Arc<Admission>,
    cluster: Arc<Cluster>,
    router: Arc<Router>,
    partitions: Arc<Partitions>,
    bucket_deleted: Arc<Notify>,
    clock: Arc<dyn Clock>,
    fatal: Fatal,
    tasks: JoinSet<()>,
    telemetry: telemetry::Handle,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.cluster.node_id()).finish_non_exhaustive()
    }
}

impl Node {
    /// Opens what is on the disk and takes up the node's part in the cluster, which takes until most nodes are there.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub async fn open(
        config: &Config,
        environment: Environment,
        progress: Progress,
        be_frugal: BeFrugal,
    ) -> Result<Self, ServeError> {
        progress.work("opening the catalog");
        let Environment { vfs, clock, jobs, open_store, network, peer_port, telemetry } = environment;
        let peers = peers(config, &network, peer_port);
        let fatal = Fatal::default();
        let unusable = |source| ServeError::DataDir { path: config.data_dir.clone(), source };
        let ballast = Ballast::let_go(Arc::clone(&vfs), &config.data_dir).map_err(unusable)?;
        // A node without replicas has it too: its free space is asked for.
        let partitions_dir = config.data_dir.join("partitions");
        vfs.create_dir_all(&partitions_dir).map_err(unusable)?;
        let catalog_dir = config.data_dir.join("catalog");
        let of_catalog = Arc::clone(&vfs);
        let newest = config.feature_level;
        let catalog =
            host::offload(move || Catalog::open_up_to(open_store(&of_catalog, &catalog_dir)?, newest));
        let catalog = Arc::new(catalog.await.map_err(ServeError::Panicked)?.map_err(ServeError::Catalog)?);
        let memory =
            Memory::new(memory_to_divide(config), config.memory_shares, config.in_flight_write_bytes_max);
        let commons = commons(config, &memory);
        let mut tasks = JoinSet::new();
        watch_memory(&memory, be_frugal, &mut tasks);
        let partitions = Partitions::new(Arc::clone(&vfs), partitions_dir.clone());
        let ground = Ground {
            dir: partitions_dir,
            vfs: Arc::clone(&vfs),
            clock: Arc::clone(&clock),
            jobs,
            commons: Arc::clone(&commons),
            options: storage::Options {
                memtable_bytes_max: config.memtable_bytes_max,
                memtable_age_ms_max: millis(config.memtable_age_max),
                scrub_interval_ms: millis(config.scrub_interval),
                scrub_bytes_per_second: config.scrub_bytes_per_second
                    / u64::from(config.partitions_or_default()).max(1),
                ..storage::Options::STANDARD
            },
        };
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
        let options = cluster::Options {
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
        };
        let machines = partitions.machines(ground);
        let cluster =
            Cluster::open(options, vfs, Arc::clone(&clock), machines, catalog, fatal.clone()).await?;
        partitions.tell(&cluster);
        telemetry.name_node(&cluster.node_id().map(|id| id.to_string()).unwrap_or_default());
        cluster.serve_reads(Arc::new(LocalReader {
            partitions: Arc::clone(&partitions),
            memory: Arc::clone(&memory.queries),
        }));
        let router = Arc::new(Router::new(Arc::clone(&cluster)));
        let bucket_deleted = Arc::new(Notify::new());
        Maintenance {
            cluster: Arc::clone(&cluster),
            router: Arc::clone(&router),
            partitions: Arc::clone(&partitions),
            ballast: Arc::new(ballast),
            bucket_deleted: Arc::clone(&bucket_deleted),
            retention_check_interval: config.retention_check_interval,
        }
        .start(&mut tasks);
        let admission = admission(config, &partitions, Some(commons), &clock);
        Ok(Self {
            memory,
            admission,
            cluster,
            router,
            partitions,
            bucket_deleted,
            clock,
            fatal,
            tasks,
            telemetry,
        })
    }

    /// Serves until a signal says to stop (`Ok`) or the node must not go on (`Err`).
    async fn serve(
        &self,
        config: &Config,
        listener: TcpListener,
        (vitals, signals): (&Vitals, &mut Signals),
        print: Print<'_>,
    ) -> Result<(), ServeError> {
        let address = listener.local_addr().map_err(ServeError::Runtime)?;
        match config.role {
            Role::Node => {
                let (data_dir, partitions) = (config.data_dir.display(), self.cluster.partitions());
                tracing::info!(%address, %data_dir, partitions, "ready");
            }
            Role::Gateway => tracing::info!(%address, "ready as a gateway"),
        }
        self.greet(address, print);
        let mut out = Ok(());
        let mut watching = JoinSet::new();
        watching.spawn(vitals::watch(vitals.clone(), self.status(config), Arc::clone(&self.clock)));
        let stop = async {
            tokio::select! {
                () = signals.stop_after(leaving::leave(vitals, &self.cluster, config.shutdown_delay)) => DRAIN_MAX,
                reason = self.fatal.raised() => {
                    tracing::error!(%reason, "stopping at once");
                    Duration::ZERO
                }
                state = self.cluster.out() => {
                    out = left(state);
                    DRAIN_MAX
                }
            }
        };
        self.gateway(config, vitals.clone()).serve(listener, stop).await.map_err(ServeError::Runtime)?;
        match self.fatal.reason() {
            Some(reason) => Err(ServeError::Fatal(reason.to_string())),
            None => out,
        }
    }

    fn catalog(&self) -> CatalogAdapter {
        CatalogAdapter {
            cluster: Arc::clone(&self.cluster),
            bucket_deleted: Arc::clone(&self.bucket_deleted),
        }
    }

    /// The node's part in the cluster.
    #[must_use]
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// What has happened to the node that it must not go on after.
    #[must_use]
    pub fn fatal(&self) -> &Fatal {
        &self.fatal
    }

    /// What is known of it.
    fn status(&self, config: &Config) -> StatusAdapter {
        StatusAdapter {
            cluster: Arc::clone(&self.cluster),
            partitions: Arc::clone(&self.partitions),
            router: Arc::clone(&self.router),
            admission: Arc::clone(&self.admission),
            memory: Arc::clone(&self.memory),
            telemetry: Arc::clone(&self.telemetry.counters),
            zone: config.zone.clone(),
        }
    }

    /// What answers its clients.
    #[must_use]
    pub fn gateway(&self, config: &Config, vitals: Vitals) -> Gateway {
        let memory = &self.memory;
        let runtime = Handle::current();
        let source = Source::new(
            Arc::clone(&self.partitions),
            Arc::clone(&self.cluster),
            Arc::clone(&memory.queries),
            runtime.clone(),
        );
        let deletes = Deletes {
            cluster: Arc::clone(&self.cluster),
            router: Arc::clone(&self.router),
            partitions: Arc::clone(&self.partitions),
        };
        let ports = Ports {
            catalog: Arc::new(self.catalog()),
            write: Arc::new(WriteAdapter {
                router: Arc::clone(&self.router),
                admission: Arc::clone(&self.admission),
                deletes: deletes.clone(),
            }),
            query: Arc::new(QueryAdapter {
                cluster: Arc::clone(&self.cluster),
                source,
                deletes,
                clock: Arc::clone(&self.clock),
                limits: queries::limits(
                    config.query_memory_bytes,
                    config.influxql_max_select_buckets,
                    config.query_timeout,
                ),
                memory: Arc::clone(memory),
                runtime,
                slow_after: config.slow_query_threshold,
                counters: Arc::clone(&self.telemetry.counters),
            }),
            status: Arc::new(self.status(config)),
            maintenance: Arc::new(MaintenanceAdapter(Arc::clone(&self.partitions))),
            cluster: Arc::new(ClusterAdapter(Arc::clone(&self.cluster))),
            vitals,
            traces: Arc::new(TraceAdapter(Arc::clone(&self.cluster))),
            log: Arc::new(self.telemetry.clone()),
            clock: Arc::clone(&self.clock),
        };
        Gateway::new(ports, gateway_options(config, &memory.writes, &self.telemetry))
    }

    /// The set-up that the configuration asks for, once for the whole cluster.
    async fn set_up_as_configured(&self, config: &Config) -> Result<(), ServeError> {
        let Some(init) = &config.init else { return Ok(()) };
        if self.cluster.catalog().read().is_set_up() {
            return Ok(());
        }
        let request = SetupRequest {
            username: init.username.clone(),
            password: Some(init.password.expose().to_owned()),
            org: init.org.clone(),
            bucket: init.bucket.clone(),
            retention_period_seconds: init.retention.map(|r| i64::try_from(r.as_secs()).unwrap_or(i64::MAX)),
            retention_period_hrs: None,
            token: init.admin_token.as_ref().map(|token| token.expose().to_owned()),
        };
        let catalog = self.catalog();
        loop {
            match gateway::setup(&catalog, request.clone(), self.clock.now()).await {
                Ok(result) => {
                    tracing::info!(user = %result.user.name, org = %result.org.name, bucket = %result.bucket.name, "set up");
                    return Ok(());
                }
                Err(error) if error.code == gateway::Code::Conflict => return Ok(()),
                // Each try has waited for the other nodes already.
                Err(error) if error.code == gateway::Code::Unavailable && !self.cluster.is_alone() => {
                    tracing::info!(reason = error.message, "not set up yet");
                }
                Err(error) => return Err(ServeError::Init(error.message)),
            }
        }
    }

    /// Says where the node listens and what to do next. It serves whether anybody listens to that or not.
    fn greet(&self, address: std::net::SocketAddr, print: Print<'_>) {
        let reachable = if address.ip().is_unspecified() {
            std::net::SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), address.port())
        } else {
            address
        };
        let url = format!("http://{reachable}");
        let host = if address.port() == 8086 { String::new() } else { format!(" --host {url}") };
        let mut lines = vec![format!("listening on {url}")];
        if !self.cluster.catalog().read().is_set_up() {
            lines.push(String::new());
            lines.push("The cluster is new. In another terminal:".to_owned());
            lines.push(format!("  tidemark setup{host} --org acme --bucket metrics"));
        }
        lines.push(String::new());
        lines.push("Write and query:".to_owned());
        lines.push(format!("  tidemark write{host} -b metrics 'weather,city=Oslo temp=21.5'"));
        lines.push(format!("  tidemark query{host} 'from(bucket: \"metrics\") |> range(start: -1h)'"));
        lines.push(format!(
            "  curl \"{url}/api/v2/write?org=acme&bucket=metrics\" -H \"Authorization: Token $TOKEN\" \
             --data-binary 'weather,city=Rome temp=30'"
        ));
        if let Err(error) = lines.iter().try_for_each(|line| print(line)) {
            tracing::warn!(error, url, "cannot print where the node listens");
        }
    }

    /// Flushes all engines, some at once, as far as that goes quickly: what is left is in the log.
    async fn flush_all(&self) {
        let until = self.clock.monotonic().saturating_add(FLUSH_AT_STOP_MAX);
        let engines = Arc::new(Mutex::new(self.partitions.engines()));
        let mut workers = Vec::with_capacity(FLUSHES_AT_STOP);
        for _ in 0..FLUSHES_AT_STOP {
            let (engines, clock) = (Arc::clone(&engines), Arc::clone(&self.clock));
            workers.push(host::offload(move || {
                loop {
                    let next = engines.lock().pop();
                    let Some((partition, engine)) = next else { return };
                    if clock.monotonic() >= until {
                        tracing::info!(%partition, "not flushed for want of time; the log holds its points");
                    } else if let Err(error) = engine.flush_now() {
                        tracing::warn!(%partition, %error, "not flushed; the log holds its points");
                    }
                }
            }));
        }
        for worker in workers {
            if let Err(error) = worker.await {
                tracing::warn!(%error, "a flush panicked; the log holds its points");
            }
        }
    }

    /// Stops in order, after an orderly end or not. After an orderly end the memtables go to files, so that the next start has nothing to replay.
    async fn stop(mut self, orderly: bool) {
        self.tasks.shutdown().await;
        if orderly {
            self.flush_all().await;
        }
        self.cluster.shutdown().await;
        self.partitions.close();
    }
}

/// What lets writes in.
fn admission(
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
fn memory_to_divide(config: &Config) -> usize {
    let chosen = machine::memory_to_divide(config.memory_bytes, |path| std::fs::read_to_string(path).ok());
    if let Some(warning) = chosen.warning {
        tracing::warn!("{warning}");
    }
    tracing::info!(bytes = chosen.bytes, shares = ?config.memory_shares, "memory to divide");
    chosen.bytes
}

/// Keeps what the allocator holds back within bounds.
fn watch_memory(memory: &Memory, be_frugal: BeFrugal, tasks: &mut JoinSet<()>) {
    let divided = memory.accounts().map(|account| account.limit()).iter().sum();
    tasks.spawn(frugality::watch(divided, be_frugal, |path| std::fs::read_to_string(path).ok()));
}

/// What the engines of the node have in common.
fn commons(config: &Config, memory: &Arc<Memory>) -> Arc<Commons> {
    let soft = config.memtable_bytes_max.min(memory.memtables_soft());
    Commons::new(Arc::clone(memory), soft)
}

fn gateway_limits(config: &Config) -> gateway::Limits {
    // Of the queries that are let in, as many run as threads and memory are there for; the others wait.
    let queries_running = config.query_concurrency.min(gateway::Limits::STANDARD.query_concurrency);
    gateway::Limits {
        body_bytes_max: config.body_bytes_max,
        decompressed_bytes_max: config.decompressed_bytes_max,
        line_bytes_max: config.line_bytes_max,
        string_bytes_max: config.string_field_bytes_max,
        json_bytes_max: config.json_bytes_max,
        query_bytes_max: config.query_bytes_max,
        query_concurrency: queries_running,
        query_queue_max: config.query_concurrency - queries_running,
        query_duration_max: config.query_timeout,
        body_idle_max: config.http_idle_timeout,
        header_read_max: config.http_read_header_timeout,
        connection_idle_max: config.http_idle_timeout,
        ..gateway::Limits::STANDARD
    }
}

fn gateway_options(
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

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
