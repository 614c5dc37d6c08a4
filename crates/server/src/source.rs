//! The data of all partitions as one source: scans merged in series order, answers about names united.
//!
//! A series lives in one partition, so merging never has to merge rows. Before anything is read, everything
//! acknowledged before the query is applied in every partition.

use std::collections::BTreeSet;
use std::sync::Arc;

use cluster::Cluster;
use memory::{Account, Allowance};
use model::{Ends, GroupId, Groups, PartitionId, ScanRequest, SchemaRequest, SeriesBlock, SummaryRequest};
use query::source::{ScanError, ScanSource, ScanStream};
use storage::{Engine, ReadError};
use tokio::runtime::Handle;

use crate::parallel;
use crate::partitions::Partitions;

/// Reads all partitions of this node.
#[derive(Debug)]
pub(crate) struct LocalSource {
    partitions: Arc<Partitions>,
    cluster: Arc<Cluster>,
    /// The memory of all queries.
    memory: Arc<Account>,
    /// For waiting from a thread that may block.
    runtime: Handle,
}

impl LocalSource {
    pub(crate) const fn new(
        partitions: Arc<Partitions>,
        cluster: Arc<Cluster>,
        memory: Arc<Account>,
        runtime: Handle,
    ) -> Self {
        Self { partitions, cluster, memory, runtime }
    }

    /// The engines, after everything acknowledged is applied to them.
    fn engines(&self) -> Result<Vec<(PartitionId, Arc<Engine>)>, ScanError> {
        self.runtime.block_on(self.cluster.read_barrier_all()).map_err(|error| ScanError::Unavailable {
            partition: partition_of(&error),
            reason: error.to_string(),
        })?;
        let engines = self.partitions.engines();
        let has = |partition: &PartitionId| engines.binary_search_by_key(partition, |(id, _)| *id).is_ok();
        match (0..self.cluster.partitions()).map(PartitionId).find(|partition| !has(partition)) {
            None => Ok(engines),
            Some(partition) => Err(ScanError::Unavailable {
                partition,
                reason: "it has no replica on this node: ask another".to_owned(),
            }),
        }
    }
}

fn partition_of(error: &cluster::ProposeError) -> PartitionId {
    use cluster::ProposeError as E;
    match error {
        E::NotLeader { group, .. }
        | E::Unavailable { group, .. }
        | E::Overloaded { group }
        | E::Unknown { group, .. }
        | E::NoSuchGroup(group) => match group {
            GroupId::Data(partition) => *partition,
            GroupId::Meta => PartitionId(0),
        },
        E::TooLarge { .. } => PartitionId(0),
    }
}

fn storage_error(error: ReadError) -> ScanError {
    ScanError::Storage(Box::new(error))
}

impl ScanSource for LocalSource {
    fn scan(&self, request: &ScanRequest) -> Result<ScanStream, ScanError> {
        let engines = self.engines()?;
        merged(&self.memory, engines.into_iter().map(|(_, engine)| engine.scan(request)))
    }

    fn scan_ends(&self, request: &ScanRequest, ends: Ends) -> Result<ScanStream, ScanError> {
        let engines = self.engines()?;
        merged(&self.memory, engines.into_iter().map(|(_, engine)| engine.scan_ends(request, ends)))
    }

    fn summarize(
        &self,
        request: &SummaryRequest,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Groups, ScanError> {
        let engines = self.engines()?;
        let mut parts = engines
            .iter()
            .map(|(_, engine)| engine.summarize(request))
            .collect::<Result<Vec<_>, _>>()
            .map_err(storage_error)?;
        parts.retain(|summary| summary.series() > 0);
        parallel::summarize(request, parts, &self.memory, stop)
    }

    fn schema(&self, request: &SchemaRequest) -> Result<Vec<String>, ScanError> {
        let mut names = BTreeSet::new();
        for (_, engine) in self.engines()? {
            names.extend(engine.schema(request).map_err(storage_error)?);
        }
        Ok(names.into_iter().collect())
    }
}

/// The scans of all partitions as one.
fn merged<S>(
    memory: &Arc<Account>,
    scans: impl Iterator<Item = Result<S, ReadError>>,
) -> Result<ScanStream, ScanError>
where
    S: Iterator<Item = Result<SeriesBlock, ReadError>> + Send + 'static,
{
    let mut merged = Merged { scans: Vec::new(), held: Allowance::new(memory) };
    for scan in scans {
        let scan = scan.map_err(storage_error)?;
        let mut scan: ScanStream = Box::new(scan.map(|block| block.map_err(storage_error)));
        if let Some(head) = scan.next().transpose()? {
            merged.held.hold(merged.held.held() + bytes_of(&head))?;
            merged.scans.push((head, scan));
        }
    }
    Ok(Box::new(merged))
}

/// Takes the block with the least series key each time.
struct Merged {
    /// Scans that are not at their end, each with its next block.
    scans: Vec<(SeriesBlock, ScanStream)>,
    /// The memory of those blocks.
    held: Allowance,
}

fn bytes_of(block: &SeriesBlock) -> usize {
    let columns: usize = block.fields.iter().map(|(_, column)| column.bytes()).sum();
    size_of::<SeriesBlock>() + block.times.len() * size_of::<i64>() + columns
}

impl Iterator for Merged {
    type Item = Result<SeriesBlock, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { scans, held } = self;
        let least = (0..scans.len()).min_by(|a, b| scans[*a].0.key.cmp(&scans[*b].0.key))?;
        let (head, scan) = &mut scans[least];
        let block = match scan.next() {
            None => Ok(scans.swap_remove(least).0),
            Some(next) => next.and_then(|next| {
                held.hold(held.held() + bytes_of(&next))?;
                Ok(std::mem::replace(head, next))
            }),
        };
        match &block {
            Ok(block) => {
                let less = held.held().saturating_sub(bytes_of(block));
                held.hold(less).expect("less than before is always there");
            }
            Err(_) => scans.clear(),
        }
        Some(block)
    }
}
