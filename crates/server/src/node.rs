//! A node, and how it is put together: the catalog, the part in the cluster, engines, queries, and what answers clients.

use std::fmt;
use std::sync::Arc;

use catalog::Catalog;
use cluster::{Cluster, Fatal, Progress, Router};
use gateway::{Gateway, Ports, Vitals};
use memory::Memory;
use model::Clock;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::admission::Admission;
use crate::answers::Answers;
use crate::ballast::Ballast;
use crate::config::Config;
use crate::deletes::Deletes;
use crate::environment::Environment;
use crate::error::ServeError;
use crate::frugality::BeFrugal;
use crate::maintenance::Maintenance;
use crate::partitions::{Ground, Partitions};
use crate::ports::{CatalogAdapter, MaintenanceAdapter, StatusAdapter, TraceAdapter, WriteAdapter};
use crate::queries::{self, Continuous, Operators, QueryAdapter, Running};
use crate::source::{LocalReader, Source};
use crate::survey::ClusterAdapter;
use crate::telemetry;

mod first_user;
mod gateway_role;
mod settings;
mod stopping;

pub(crate) use settings::gateway_limits;

/// A node that has taken up its part in the cluster.
pub struct Node {
    pub(crate) memory: Arc<Memory>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) router: Arc<Router>,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) bucket_deleted: Arc<Notify>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fatal: Fatal,
    pub(crate) tasks: JoinSet<()>,
    pub(crate) telemetry: telemetry::Handle,
    pub(crate) running: Arc<Running>,
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
        let peers = settings::peers(config, &network, peer_port);
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
        let memory = Memory::new(
            settings::memory_to_divide(config),
            config.memory_shares,
            config.in_flight_write_bytes_max,
        );
        let commons = settings::commons(config, &memory);
        let mut tasks = JoinSet::new();
        settings::watch_memory(&memory, be_frugal, &mut tasks);
        let partitions = Partitions::new(Arc::clone(&vfs), partitions_dir.clone());
        let ground = Ground {
            dir: partitions_dir,
            vfs: Arc::clone(&vfs),
            clock: Arc::clone(&clock),
            jobs,
            commons: Arc::clone(&commons),
            options: settings::of_storage(config),
        };
        let options = settings::of_cluster(config, peers, progress, &telemetry);
        let machines = partitions.machines(ground);
        let cluster =
            Cluster::open(options, vfs, Arc::clone(&clock), machines, catalog, fatal.clone()).await?;
        partitions.tell(&cluster);
        telemetry.name_node(&cluster.node_id().map(|id| id.to_string()).unwrap_or_default());
        cluster.serve_reads(Arc::new(LocalReader {
            partitions: Arc::clone(&partitions),
            memory: Arc::clone(&memory.queries),
        }));
        let running = Arc::new(Running::new(cluster.node_id(), Arc::clone(&clock)));
        cluster.serve_queries(Arc::clone(&running) as _);
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
        let admission = settings::admission(config, &partitions, Some(commons), &clock);
        Ok(Self {
            answers: Answers::new(&memory),
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
            running,
        })
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
    pub(crate) fn status(&self, config: &Config) -> StatusAdapter {
        StatusAdapter {
            cluster: Arc::clone(&self.cluster),
            partitions: Arc::clone(&self.partitions),
            router: Arc::clone(&self.router),
            admission: Arc::clone(&self.admission),
            memory: Arc::clone(&self.memory),
            answers: Arc::clone(&self.answers),
            telemetry: Arc::clone(&self.telemetry.counters),
            zone: config.zone.clone(),
        }
    }

    /// What runs its queries.
    fn queries(&self, config: &Config) -> QueryAdapter {
        let runtime = Handle::current();
        let source = Source::new(
            Arc::clone(&self.partitions),
            Arc::clone(&self.cluster),
            Arc::clone(&self.memory.queries),
            runtime.clone(),
        );
        let deletes = Deletes {
            cluster: Arc::clone(&self.cluster),
            router: Arc::clone(&self.router),
            partitions: Arc::clone(&self.partitions),
        };
        let writes = Arc::new(WriteAdapter {
            router: Arc::clone(&self.router),
            admission: Arc::clone(&self.admission),
            deletes: deletes.clone(),
        });
        QueryAdapter {
            cluster: Arc::clone(&self.cluster),
            source,
            deletes,
            writes,
            clock: Arc::clone(&self.clock),
            limits: queries::limits(
                config.query_memory_bytes,
                config.influxql_max_select_buckets,
                config.query_timeout,
            ),
            memory: Arc::clone(&self.memory),
            running: Arc::clone(&self.running),
            runtime,
            tracer: self.telemetry.tracer.clone(),
            operators: Operators::new(),
            slow_after: config.slow_query_threshold,
            counters: Arc::clone(&self.telemetry.counters),
            answers: Arc::clone(&self.answers),
        }
    }

    /// Runs continuous queries as long as the node leads the catalog; dropping it ends that.
    #[must_use]
    pub fn continuous(&self, config: &Config) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        Continuous::new(self.queries(config)).start(&mut tasks);
        tasks
    }

    /// What answers its clients.
    #[must_use]
    pub fn gateway(&self, config: &Config, vitals: Vitals) -> Gateway {
        let memory = &self.memory;
        let queries = Arc::new(self.queries(config));
        let ports = Ports {
            catalog: Arc::new(self.catalog()),
            write: Arc::clone(&queries.writes) as _,
            query: queries,
            status: Arc::new(self.status(config)),
            maintenance: Arc::new(MaintenanceAdapter(Arc::clone(&self.partitions))),
            cluster: Arc::new(ClusterAdapter(Arc::clone(&self.cluster))),
            vitals,
            traces: Arc::new(TraceAdapter(Arc::clone(&self.cluster))),
            log: Arc::new(self.telemetry.clone()),
            clock: Arc::clone(&self.clock),
        };
        Gateway::new(ports, settings::gateway_options(config, &memory.writes, &self.telemetry))
    }
}
