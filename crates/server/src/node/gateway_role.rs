//! A process without data: it serves the whole HTTP API of a cluster, and nothing of it is left when it ends.

use std::net::SocketAddr;
use std::sync::Arc;

use catalog::Catalog;
use cluster::{Cluster, Fatal, Progress, Router};
use host::Network;
use memory::Memory;
use model::Clock;
use tokio::task::JoinSet;

use super::Node;
use super::settings::{admission, memory_to_divide, millis, tls_files, watch_memory};
use crate::answers::Answers;
use crate::config::Config;
use crate::error::ServeError;
use crate::frugality::BeFrugal;
use crate::partitions::Partitions;
use crate::queries::Running;
use crate::telemetry;

impl Node {
    /// Opens a gateway; returns when it has the catalog.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub async fn open_gateway(
        config: &Config,
        http_address: SocketAddr,
        (clock, network): (Arc<dyn Clock>, Arc<dyn Network>),
        telemetry: telemetry::Handle,
        progress: Progress,
        be_frugal: BeFrugal,
    ) -> Result<Self, ServeError> {
        progress.wait("looking for a node of the cluster");
        let fatal = Fatal::default();
        let catalog = Catalog::open_up_to(Box::new(catalog::Nowhere), config.feature_level);
        let catalog = catalog.map_err(ServeError::Catalog)?;
        let initial = config.founding_peers().expect("the configuration has checked it");
        let memory = Memory::without_storage(
            memory_to_divide(config),
            config.memory_shares,
            config.in_flight_write_bytes_max,
        );
        let mut tasks = JoinSet::new();
        watch_memory(&memory, be_frugal, &mut tasks);
        let options = cluster::GatewayOptions {
            initial,
            network,
            tls: tls_files(config),
            address: said(http_address, &config.pod_name),
            zone: config.zone.clone(),
            limits: cluster::Limits {
                proposal_ms_max: millis(config.write_timeout),
                ..cluster::Limits::PRODUCTION
            },
            progress,
            tracer: telemetry.tracer.clone(),
        };
        let cluster =
            Cluster::open_gateway(options, Arc::clone(&clock), Arc::new(catalog), fatal.clone()).await?;
        let partitions = Partitions::none();
        partitions.tell(&cluster);
        telemetry.name_node(&format!("gateway {http_address}"));
        let running = Arc::new(Running::new(None, Arc::clone(&clock)));
        cluster.serve_queries(Arc::clone(&running) as _);
        Ok(Self {
            answers: Answers::new(&memory),
            memory,
            admission: admission(config, &partitions, None, &clock),
            router: Arc::new(Router::new(Arc::clone(&cluster))),
            cluster,
            partitions,
            bucket_deleted: Arc::default(),
            clock,
            fatal,
            tasks,
            telemetry,
            running,
        })
    }
}

/// Where a gateway is found, as well as it knows: an address that stands for all of them says nothing.
fn said(http_address: SocketAddr, host: &str) -> String {
    if http_address.ip().is_unspecified() && !host.is_empty() {
        return format!("{host}:{}", http_address.port());
    }
    http_address.to_string()
}
