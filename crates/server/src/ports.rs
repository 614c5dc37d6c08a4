//! The gateway's ports, over the cluster, the storage engines and the query engine. Only what differs in words is
//! said here; no decision is taken.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use catalog::{Command, Response};
use cluster::{Cluster, GroupStatus, ProposeError, RouteError, Router};
use gateway::ports::{
    BoxFuture, CatalogPort, ClusterView, GroupView, MaintenancePort, NodeView, StatusPort, TracePort,
    Unavailable, WriteError, WritePort,
};
use memory::Memory;
use model::{Batch, Commits, Consistency, Deletion, NodeId, Reading};
use tokio::sync::Notify;
use trace::{Collected, TraceId};

use crate::admission::{Admission, FLUSH_SOON};
use crate::answers::Answers;
use crate::deletes::Deletes;
use crate::error::with_causes;
use crate::metrics;
use crate::partitions::Partitions;
use crate::telemetry;

/// The catalog, by way of the meta group.
#[derive(Debug)]
pub(crate) struct CatalogAdapter {
    pub(crate) cluster: Arc<Cluster>,
    /// Told when buckets are deleted, so that their data go.
    pub(crate) bucket_deleted: Arc<Notify>,
}

impl CatalogPort for CatalogAdapter {
    fn read(&self) -> catalog::ReadGuard<'_> {
        self.cluster.catalog().read()
    }

    fn barrier(&self) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async { self.cluster.read_barrier_meta().await.map_err(unavailable) })
    }

    fn confirm(&self) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async {
            let reading = Reading { consistency: Consistency::Linearizable, ..Reading::default() };
            self.cluster.ready_catalog(&reading).await.map_err(unavailable)
        })
    }

    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Response, Unavailable>> {
        Box::pin(async {
            let deletes = matches!(command, Command::DeleteBucket { .. } | Command::DeleteOrg { .. });
            let response = self.cluster.propose_catalog(command).await.map_err(unavailable)?;
            if deletes && response == Response::Done {
                self.bucket_deleted.notify_one();
            }
            Ok(response)
        })
    }
}

pub(crate) fn unavailable(error: ProposeError) -> Unavailable {
    if error.nothing_done() {
        Unavailable::TryLater(error.to_string())
    } else {
        Unavailable::OutcomeUnknown(error.to_string())
    }
}

/// The parts of a trace, of all nodes.
#[derive(Debug)]
pub(crate) struct TraceAdapter(pub(crate) Arc<Cluster>);

impl TracePort for TraceAdapter {
    fn collect(&self, id: TraceId) -> BoxFuture<'_, Option<Collected>> {
        Box::pin(self.0.collect_trace(id))
    }
}

/// Writes, by way of the router, as far as they are admitted.
#[derive(Debug)]
pub(crate) struct WriteAdapter {
    pub(crate) router: Arc<Router>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) deletes: Deletes,
}

impl WritePort for WriteAdapter {
    fn write(&self, mut batch: Batch) -> BoxFuture<'_, Result<Commits, WriteError>> {
        Box::pin(async move {
            self.admission.room().await?;
            let refused = self.admission.series(&mut batch);
            let written = match batch.is_empty() {
                true => Ok(Commits::default()),
                false => self.router.write(batch).await.map_err(write_error),
            };
            match (refused, written) {
                (None, written) => written,
                (Some(refused), Ok(_commits)) => {
                    Err(WriteError::Partial { message: refused.message, dropped: refused.points })
                }
                // A conflict is told of rather than a limit, as InfluxDB does.
                (Some(refused), Err(WriteError::Partial { message, dropped })) => {
                    Err(WriteError::Partial { message, dropped: dropped + refused.points })
                }
                (Some(_), Err(error)) => Err(error),
            }
        })
    }

    fn delete(&self, deletion: Deletion) -> BoxFuture<'_, Result<Commits, WriteError>> {
        Box::pin(self.deletes.delete(deletion))
    }
}

pub(crate) fn write_error(error: RouteError) -> WriteError {
    match error {
        RouteError::Partial { message, dropped } => WriteError::Partial { message, dropped },
        RouteError::BucketNotFound => WriteError::BucketNotFound,
        RouteError::Predicate(error) => WriteError::Invalid(error.to_string()),
        RouteError::Unavailable(reason) => Unavailable::TryLater(reason).into(),
        RouteError::OutcomeUnknown(reason) => Unavailable::OutcomeUnknown(reason).into(),
        RouteError::Overloaded(message) => WriteError::Overloaded { message, retry_after: FLUSH_SOON },
        RouteError::Catalog(refusal) => refusal.into(),
    }
}

/// What probes and operators ask.
#[derive(Debug, Clone)]
pub(crate) struct StatusAdapter {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) router: Arc<Router>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) telemetry: Arc<telemetry::Counters>,
    pub(crate) zone: String,
}

impl StatusPort for StatusAdapter {
    fn ready(&self) -> Result<(), String> {
        self.working().and_then(|()| self.follows())?;
        if let Some(group) = self.cluster.out_of_reach() {
            return Err(format!("no majority of group {group} is within reach"));
        }
        self.cluster.ready().map_err(|status| {
            let why = if status.leader.is_none() { "has no leader" } else { "is behind" };
            format!("group {} {why}", status.group)
        })
    }

    /// A node without room is ready, because it answers queries, and not healthy, because it takes no points.
    fn healthy(&self) -> Result<(), String> {
        self.working().and_then(|()| self.follows())?;
        self.partitions.no_room().map_or(Ok(()), Err)
    }

    fn damage(&self, places_max: usize) -> Vec<String> {
        let engines = self.partitions.engines();
        let places = engines.iter().flat_map(|(_, engine)| engine.damage());
        places.take(places_max).map(|error| with_causes(&error)).collect()
    }

    fn cluster(&self) -> ClusterView {
        let state = self.cluster.catalog().read();
        let replicas_of = |node: NodeId| {
            let all = state.placements().flat_map(|placement| &placement.replicas);
            all.filter(|replica| replica.node == node).count()
        };
        let nodes = state.nodes().map(|node| NodeView {
            id: node.id.to_string(),
            uuid: format!("{:032x}", node.info.uuid),
            address: node.info.address.clone(),
            zone: node.info.zone.clone(),
            version: node.info.version.clone(),
            state: node.state.name(),
            replicas: replicas_of(node.id),
        });
        let group = |status: GroupStatus| {
            let placed = state.placement(status.group).into_iter().flat_map(|placement| &placement.replicas);
            let leads = placed.clone().find(|replica| Some(replica.id) == status.leader);
            GroupView {
                group: status.group.to_string(),
                replica: status.replica.0,
                leader: status.leader.map(|leader| leader.0),
                leader_node: leads.map(|replica| replica.node.to_string()),
                term: status.term,
                last: status.last,
                committed: status.committed,
                applied: status.applied,
                purged: status.purged,
            }
        };
        ClusterView {
            cluster: state.cluster().map(|cluster| format!("{:032x}", cluster.id)).unwrap_or_default(),
            node: metrics::name_of(&self.cluster),
            partitions: self.cluster.partitions(),
            nodes: nodes.collect(),
            groups: self.cluster.status().into_iter().map(group).collect(),
        }
    }

    fn metrics(&self, page: &mut ::metrics::Page, influxdb: bool) {
        self.show(page, influxdb);
    }
}

impl StatusAdapter {
    /// `Ok` unless this is a gateway that follows no node.
    pub(crate) fn follows(&self) -> Result<(), String> {
        self.cluster.is_lost().map_or(Ok(()), Err)
    }

    /// Whether nothing has stopped for good.
    pub(crate) fn working(&self) -> Result<(), String> {
        if let Some(reason) = self.cluster.fatal().reason() {
            return Err(reason.to_string());
        }
        for (partition, engine) in self.partitions.engines() {
            if let Some(error) = engine.fatal() {
                return Err(format!("the storage of partition {partition} has stopped: {error}"));
            }
        }
        Ok(())
    }
}

/// What an operator may order.
#[derive(Debug)]
pub(crate) struct MaintenanceAdapter(pub(crate) Arc<Partitions>);

impl MaintenancePort for MaintenanceAdapter {
    fn flush(&self, compact: bool) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            for (partition, engine) in self.0.engines() {
                let flushed = host::offload(move || {
                    engine.flush_now().map_err(|error| error.to_string())?;
                    if compact { engine.compact_now().map_err(|error| error.to_string()) } else { Ok(()) }
                });
                let flushed = flushed.await.map_err(|panic| panic.to_string())?;
                flushed.map_err(|error| format!("partition {partition}: {error}"))?;
            }
            Ok(())
        })
    }
}

/// Reads a counter.
pub(crate) fn get(counter: &std::sync::atomic::AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
