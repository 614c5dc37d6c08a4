//! The data of all partitions as one source: scans merged in series order, answers about names united.
//!
//! A series lives in one partition, so merging never has to merge rows. Before anything is read, the partitions are made
//! as new as the query demands. Those without a replica on this node, or without one that is new enough, are read from
//! others, one stream from each. Aggregates are computed where the data is, and what comes of each partition is merged
//! here.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cluster::{Blocks, Cluster, PartitionSummary, Reader, RemoteBlocks, RemoteSummary};
use memory::{Account, Allowance};
use model::{
    BucketId, Ends, GroupId, Groups, PartitionId, Reading, ScanRequest, SchemaRequest, SeriesBlock,
    SummaryRequest, TimeRange,
};
use query::source::{ScanError, ScanSource, ScanStream};
use storage::{Engine, ReadError, Summarize};
use tokio::runtime::Handle;
use tokio::time::timeout;
use trace::Traced as _;

use crate::answers;
use crate::error::with_causes;
use crate::fragment::{Fragment, Scanned};
use crate::parallel::{self, Part};
use crate::partitions::Partitions;

/// How often a query that waits for another node looks whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often a summary is asked for again elsewhere because a node that had begun it is gone.
const TRIES_MAX: usize = 3;

/// Reads all partitions, as new as one query demands.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    partitions: Arc<Partitions>,
    cluster: Arc<Cluster>,
    /// The memory of all queries.
    memory: Arc<Account>,
    /// For waiting from a thread that may block.
    runtime: Handle,
    reading: Reading,
    /// What the query has read.
    scanned: Arc<Scanned>,
}

impl Source {
    pub(crate) fn new(
        partitions: Arc<Partitions>,
        cluster: Arc<Cluster>,
        memory: Arc<Account>,
        runtime: Handle,
    ) -> Self {
        Self { partitions, cluster, memory, runtime, reading: Reading::default(), scanned: Arc::default() }
    }

    /// The same, for a query that demands this.
    pub(crate) fn at(&self, reading: Reading) -> Self {
        Self { reading, scanned: Arc::default(), ..self.clone() }
    }

    /// What the query has read.
    pub(crate) fn scanned(&self) -> Arc<Scanned> {
        Arc::clone(&self.scanned)
    }

    /// The partitions that are read here, with their engines, when they are as new as they must be. Others may come and
    /// go meanwhile; this question reads all others elsewhere.
    fn engines(&self) -> Result<(Vec<PartitionId>, Vec<Arc<Engine>>), ScanError> {
        let mut span = trace::span("barrier");
        let here = host::wait(&self.runtime, self.cluster.ready_to_read(&self.reading).in_span(&span));
        span.note(&here);
        let here = here.map_err(|error| ScanError::Unavailable {
            partition: partition_of(&error),
            reason: error.to_string(),
        })?;
        let engine = |partition| Some((partition, self.partitions.engine(partition)?));
        let (here, engines): (Vec<_>, Vec<_>) = here.into_iter().filter_map(engine).unzip();
        if here.len() < usize::from(self.cluster.partitions()) {
            self.scanned.reach.note_elsewhere();
        }
        Ok((here, engines))
    }

    /// The engines of all partitions, in their order, where `here` is all of them.
    pub(crate) fn engines_of_all(&self, mut here: Vec<PartitionId>) -> Option<Vec<Arc<Engine>>> {
        here.sort_unstable();
        let all = here.len() == usize::from(self.cluster.partitions());
        all.then(|| here.into_iter().map(|partition| self.partitions.engine(partition)).collect()).flatten()
    }

    fn note(&self, bucket: BucketId, range: TimeRange, whole_shards: bool) {
        self.scanned.reach.note(answers::Part { bucket, range, whole_shards });
    }

    /// The points of all partitions but those that are read here.
    fn elsewhere(
        &self,
        here: &[PartitionId],
        request: &ScanRequest,
        ends: Option<Ends>,
    ) -> Result<Vec<ScanStream>, ScanError> {
        let streams =
            host::wait(&self.runtime, self.cluster.scan_elsewhere(here, &self.reading, request, ends));
        let streams = streams.map_err(remote_error)?;
        let stream =
            |blocks| Remote { blocks, runtime: self.runtime.clone(), scanned: Arc::clone(&self.scanned) };
        Ok(streams.into_iter().map(|blocks| Box::new(stream(blocks)) as ScanStream).collect())
    }

    fn scan_all(&self, request: &ScanRequest, ends: Option<Ends>) -> Result<ScanStream, ScanError> {
        self.note(request.bucket, request.range, false);
        let (partitions, engines) = self.engines()?;
        let remote = self.elsewhere(&partitions, request, ends)?;
        let fragment = Fragment::own(&partitions, &self.scanned);
        let here = here(&engines, request, ends, &fragment);
        merged(&self.memory, here.chain(remote.into_iter().map(Ok)))
    }
}

/// The scans of engines.
fn here<'a>(
    engines: &'a [Arc<Engine>],
    request: &'a ScanRequest,
    ends: Option<Ends>,
    fragment: &'a Arc<Fragment>,
) -> impl Iterator<Item = Result<ScanStream, ScanError>> + 'a {
    let boxed = |scan: Box<dyn Iterator<Item = Result<SeriesBlock, ReadError>> + Send>| {
        fragment.scan(Box::new(scan.map(|block| block.map_err(storage_error))))
    };
    engines.iter().map(move |engine| match ends {
        None => Ok(boxed(Box::new(engine.scan(request).map_err(storage_error)?))),
        Some(ends) => Ok(boxed(Box::new(engine.scan_ends(request, ends).map_err(storage_error)?))),
    })
}

/// The summaries that engines can give, of those that have series.
fn parts<'a>(
    partitions: &[PartitionId],
    engines: &'a [Arc<Engine>],
    request: &'a SummaryRequest,
) -> Result<Vec<(PartitionId, Summarize<'a>)>, ScanError> {
    let parts = partitions
        .iter()
        .zip(engines)
        .map(|(partition, engine)| Ok::<_, ReadError>((*partition, engine.summarize(request)?)));
    let mut parts = parts.collect::<Result<Vec<_>, _>>().map_err(storage_error)?;
    parts.retain(|(_, part)| part.series() > 0);
    Ok(parts)
}

/// Summaries on their way from other nodes.
struct Elsewhere<'a> {
    source: &'a Source,
    request: &'a SummaryRequest,
    stop: &'a (dyn Fn() -> bool + Sync),
    streams: Vec<RemoteSummary>,
    /// How often they may still be asked for elsewhere.
    tries_left: usize,
}

impl<'a> Elsewhere<'a> {
    /// Lets other nodes begin.
    fn begin(
        source: &'a Source,
        request: &'a SummaryRequest,
        partitions: Vec<PartitionId>,
        stop: &'a (dyn Fn() -> bool + Sync),
    ) -> Result<Self, ScanError> {
        let mut this = Self { source, request, stop, streams: Vec::new(), tries_left: TRIES_MAX };
        if !partitions.is_empty() {
            this.ask(partitions)?;
        }
        Ok(this)
    }

    fn ask(&mut self, partitions: Vec<PartitionId>) -> Result<(), ScanError> {
        let Source { cluster, reading, runtime, .. } = self.source;
        let asked = cluster.summarize_elsewhere(partitions, reading, self.request);
        self.streams.extend(host::wait(runtime, unless(self.stop, asked))??);
        Ok(())
    }

    /// Takes a partition's summary; those before it have been taken. Nobody has seen anything of it yet, so when its node
    /// is gone in the middle, it is asked for elsewhere, with all that was to come from there.
    fn take(&mut self, partition: PartitionId) -> Result<Part, ScanError> {
        loop {
            let next = self.streams.iter().position(|stream| stream.partition() == Some(partition));
            let reason = || "no node was asked for it".to_owned();
            let at = next.ok_or_else(|| ScanError::Unavailable { partition, reason: reason() })?;
            match self.read(at)? {
                Ok(part) => return Ok(part),
                Err(reason) => {
                    tracing::info!(%partition, reason, "a summary is asked for again, elsewhere");
                    let rest = self.streams.swap_remove(at).into_rest();
                    self.tries_left -= 1;
                    self.ask(rest)?;
                }
            }
        }
    }

    /// The summary of a stream's next partition; inside `Err` where it is worth asking elsewhere.
    fn read(&mut self, at: usize) -> Result<Result<Part, String>, ScanError> {
        let mut groups = Groups::new(self.request);
        let mut held = Allowance::new(&self.source.memory);
        loop {
            let next = self.streams[at].next(self.request, &mut groups);
            match host::wait(&self.source.runtime, unless(self.stop, next))? {
                Ok(true) => return Ok(Ok((groups, held))),
                Ok(false) => held.hold(groups.bytes())?,
                Err(ScanError::Unavailable { reason, .. })
                    if self.tries_left > 0 && self.streams[at].is_broken() =>
                {
                    return Ok(Err(reason));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// What another node answers, unless the query is to stop first.
async fn unless<T>(
    stop: &(dyn Fn() -> bool + Sync),
    answer: impl Future<Output = Result<T, cluster::ReadError>>,
) -> Result<Result<T, ScanError>, ScanError> {
    let mut answer = pin!(answer);
    loop {
        match timeout(LOOK_EVERY, &mut answer).await {
            Ok(answer) => return Ok(answer.map_err(remote_error)),
            Err(_elapsed) if stop() => return Err(ScanError::Cancelled),
            Err(_elapsed) => {}
        }
    }
}

/// What another node sends.
struct Remote {
    blocks: RemoteBlocks,
    runtime: Handle,
    scanned: Arc<Scanned>,
}

impl Iterator for Remote {
    type Item = Result<SeriesBlock, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { blocks, runtime, scanned } = self;
        let block = host::wait(runtime, blocks.next())?;
        if let Ok(block) = &block {
            scanned.rows.fetch_add(block.times.len() as u64, Ordering::Relaxed);
        }
        Some(block.map_err(remote_error))
    }
}

fn remote_error(error: cluster::ReadError) -> ScanError {
    match error {
        cluster::ReadError::Unavailable { partition, reason } => ScanError::Unavailable { partition, reason },
        cluster::ReadError::TooLarge(refused) => ScanError::TooLarge(refused),
        failed @ cluster::ReadError::Failed(_) => ScanError::Storage(Box::new(failed)),
    }
}

fn partition_of(error: &cluster::ProposeError) -> PartitionId {
    use cluster::ProposeError as E;
    match error {
        E::NotLeader { group, .. }
        | E::Unavailable { group, .. }
        | E::Behind { group }
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

impl ScanSource for Source {
    fn scan(&self, request: &ScanRequest) -> Result<ScanStream, ScanError> {
        self.scan_all(request, None)
    }

    fn scan_ends(&self, request: &ScanRequest, ends: Ends) -> Result<ScanStream, ScanError> {
        self.scan_all(request, Some(ends))
    }

    fn summarize(
        &self,
        request: &SummaryRequest,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Groups, ScanError> {
        self.note(request.scan.bucket, request.scan.range, false);
        let (partitions, engines) = self.engines()?;
        let elsewhere = self.cluster.without(&partitions);
        // The others compute meanwhile.
        let mut remote = Elsewhere::begin(self, request, elsewhere.clone(), stop)?;
        let fragment = Fragment::own(&partitions, &self.scanned);
        let parts = parts(&partitions, &engines, request)?;
        let here = parallel::summarize(parts, &self.memory, &fragment, stop)?;
        drop(fragment);
        let mut here: BTreeMap<PartitionId, Part> = here.into_iter().collect();
        let mut groups = Groups::new(request);
        let mut held = Allowance::new(&self.memory);
        // In order of the partitions, wherever they are, so that equal queries have equal answers to the last bit.
        for partition in (0..self.cluster.partitions()).map(PartitionId) {
            let (part, _held) = match here.remove(&partition) {
                Some(part) => part,
                None if elsewhere.binary_search(&partition).is_ok() => remote.take(partition)?,
                // It has no series.
                None => continue,
            };
            groups.merge(part)?;
            held.hold(groups.bytes())?;
        }
        Ok(groups)
    }

    fn schema(&self, request: &SchemaRequest) -> Result<Vec<String>, ScanError> {
        self.note(request.bucket, request.range, true);
        let mut names = BTreeSet::new();
        let (partitions, engines) = self.engines()?;
        for engine in engines {
            names.extend(engine.schema(request).map_err(storage_error)?);
        }
        let elsewhere = self.cluster.schema_elsewhere(&partitions, &self.reading, request);
        let elsewhere = host::wait(&self.runtime, elsewhere).map_err(remote_error)?;
        names.extend(elsewhere.into_iter().flatten());
        Ok(names.into_iter().collect())
    }
}

/// Reads the partitions of this node for others; they are as new as these demand.
pub(crate) struct LocalReader {
    pub(crate) partitions: Arc<Partitions>,
    /// The memory of all queries.
    pub(crate) memory: Arc<Account>,
}

impl LocalReader {
    fn engines(&self, partitions: &[PartitionId]) -> Result<Vec<Arc<Engine>>, cluster::ReadError> {
        let engine = |partition: &PartitionId| {
            let reason = || "it has no replica here".to_owned();
            let missing = || cluster::ReadError::Unavailable { partition: *partition, reason: reason() };
            self.partitions.engine(*partition).ok_or_else(missing)
        };
        partitions.iter().map(engine).collect()
    }
}

fn for_peer(error: ScanError) -> cluster::ReadError {
    match error {
        ScanError::Unavailable { partition, reason } => cluster::ReadError::Unavailable { partition, reason },
        ScanError::TooLarge(refused) => cluster::ReadError::TooLarge(refused),
        // Later there may be room.
        full @ ScanError::Memory(_) => {
            cluster::ReadError::Unavailable { partition: PartitionId(0), reason: full.to_string() }
        }
        other => cluster::ReadError::Failed(with_causes(&other)),
    }
}

impl Reader for LocalReader {
    fn shards(&self) -> Vec<cluster::HeldShard> {
        let mut all: BTreeMap<_, (u64, u64)> = BTreeMap::new();
        for (_, engine) in self.partitions.engines() {
            for shard in engine.shards() {
                let held = all.entry((shard.bucket, shard.range.start, shard.range.end)).or_default();
                held.0 += shard.bytes;
                held.1 += shard.files as u64;
            }
        }
        let one = |((bucket, start, end), (bytes, files))| cluster::HeldShard {
            bucket,
            range: TimeRange::new(start, end),
            bytes,
            files,
        };
        all.into_iter().map(one).collect()
    }

    fn scan(
        &self,
        partitions: &[PartitionId],
        request: &ScanRequest,
        ends: Option<Ends>,
    ) -> Result<Blocks, cluster::ReadError> {
        let engines = self.engines(partitions)?;
        let fragment = Fragment::for_peer();
        let blocks = merged(&self.memory, here(&engines, request, ends, &fragment)).map_err(for_peer)?;
        Ok(Box::new(blocks.map(|block| block.map_err(for_peer))))
    }

    fn summarize(
        &self,
        partitions: &[PartitionId],
        request: &SummaryRequest,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<PartitionSummary>, cluster::ReadError> {
        let engines = self.engines(partitions)?;
        let parts = parts(partitions, &engines, request).map_err(for_peer)?;
        let done = parallel::summarize(parts, &self.memory, &Fragment::for_peer(), stop).map_err(for_peer)?;
        let summary = |(partition, (groups, held)): (PartitionId, Part)| PartitionSummary {
            partition,
            groups,
            held: Box::new(held),
        };
        Ok(done.into_iter().map(summary).collect())
    }

    fn schema(
        &self,
        partitions: &[PartitionId],
        request: &SchemaRequest,
    ) -> Result<Vec<String>, cluster::ReadError> {
        let mut names = BTreeSet::new();
        for engine in self.engines(partitions)? {
            names.extend(engine.schema(request).map_err(|error| for_peer(storage_error(error)))?);
        }
        Ok(names.into_iter().collect())
    }
}

/// Several scans as one.
fn merged(
    memory: &Arc<Account>,
    scans: impl Iterator<Item = Result<ScanStream, ScanError>>,
) -> Result<ScanStream, ScanError> {
    let mut merged = Merged { scans: Vec::new(), held: Allowance::new(memory) };
    for scan in scans {
        let mut scan = scan?;
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
