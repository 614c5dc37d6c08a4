//! Stored data of partitions that have no replica here, or none that is new enough: from the node that leads them, or
//! another that has them.
//!
//! What must always hold: an answer is as new as the question demands; what is sent and not yet read is
//! bounded by the connection's windows and a few messages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use model::{
    Consistency, Ends, GroupId, PartitionId, Reading, ScanRequest, SchemaRequest, SeriesBlock,
    SummaryRequest, TooLarge,
};
use proto::peer;
use proto::scan::{self as wire, Gather, Place};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Request, Status, Streaming};
use trace::{Here, Span};

use crate::cluster::Cluster;
use crate::courier::{Courier, Remote};
use crate::peer::links::{Class, Link, reason};
use crate::peer::reach::Way;
use crate::peer::traces;
use crate::shards::HeldShard;
use crate::summaries::PartitionSummary;

/// How long a node may take for the next blocks.
pub(crate) const BLOCKS_WITHIN: Duration = Duration::from_secs(60);
/// Messages that wait for a reader.
const MESSAGES_AHEAD: usize = 4;

/// Why stored data cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not now; the same question may be answered later.
    #[error("partition {partition} is out of reach: {reason}")]
    Unavailable {
        /// One of the partitions.
        partition: PartitionId,
        /// Why.
        reason: String,
    },
    /// A summary is larger than it may be.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// Reading failed where the data is.
    #[error("{0}")]
    Failed(String),
}

/// Blocks in the order of a scan.
pub type Blocks = Box<dyn Iterator<Item = Result<SeriesBlock, ReadError>> + Send>;

/// Reads what this node has, for others. Calls block.
pub trait Reader: Send + Sync + 'static {
    /// Reads points of these partitions, all of which have a replica here; see [`Ends`] for what may be left out.
    ///
    /// # Errors
    /// See [`ReadError`].
    fn scan(
        &self,
        partitions: &[PartitionId],
        request: &ScanRequest,
        ends: Option<Ends>,
    ) -> Result<Blocks, ReadError>;

    /// Summarizes these partitions, each for itself, in their order. `stop` is asked often.
    ///
    /// # Errors
    /// See [`ReadError`].
    fn summarize(
        &self,
        partitions: &[PartitionId],
        request: &SummaryRequest,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<PartitionSummary>, ReadError>;

    /// The shards that this node has anything of, each once, by bucket and time.
    fn shards(&self) -> Vec<HeldShard>;

    /// Answers which names exist in these partitions, sorted.
    ///
    /// # Errors
    /// See [`ReadError`].
    fn schema(&self, partitions: &[PartitionId], request: &SchemaRequest) -> Result<Vec<String>, ReadError>;
}

/// Blocks that come from another node.
pub struct RemoteBlocks {
    stream: Streaming<peer::SeriesBlocks>,
    partition: PartitionId,
    here: VecDeque<SeriesBlock>,
    is_over: bool,
    /// Where they come from.
    node: u128,
    courier: Arc<Courier>,
    /// Lasts as long as they come.
    span: Span,
}

impl std::fmt::Debug for RemoteBlocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteBlocks").field("partition", &self.partition).finish_non_exhaustive()
    }
}

impl RemoteBlocks {
    /// The next block; `None` at the end, and after an error.
    pub async fn next(&mut self) -> Option<Result<SeriesBlock, ReadError>> {
        loop {
            if let Some(block) = self.here.pop_front() {
                return Some(Ok(block));
            }
            if self.is_over {
                return None;
            }
            match self.message().await {
                Ok(Some(blocks)) => self.here = blocks,
                Ok(None) => self.is_over = true,
                Err(error) => {
                    self.is_over = true;
                    self.span.fail(error.to_string());
                    return Some(Err(error));
                }
            }
        }
    }

    async fn message(&mut self) -> Result<Option<VecDeque<SeriesBlock>>, ReadError> {
        let partition = self.partition;
        let unavailable = |reason: &str| ReadError::Unavailable { partition, reason: reason.to_owned() };
        let message = self.courier.reach.while_reached(self.node, Way::Direct, self.stream.message());
        let message =
            timeout(BLOCKS_WITHIN, message).await.map_err(|_late| unavailable("no blocks in time"))?;
        let message = message.ok_or_else(|| unavailable("the node is silent"))?;
        let Some(message) = message.map_err(|status| error(partition, &status))? else { return Ok(None) };
        let blocks = wire::read_blocks(message).map_err(|error| ReadError::Failed(error.to_string()))?;
        Ok(Some(blocks.into()))
    }
}

/// What the other node has said; or that it says nothing, when the connection ends in the midst of an answer, which has a
/// cause here and the code of the other's own failures.
pub(crate) fn error(partition: PartitionId, status: &Status) -> ReadError {
    let is_said = std::error::Error::source(status).is_none();
    match status.code() {
        tonic::Code::Internal if is_said => ReadError::Failed(status.message().to_owned()),
        _ => ReadError::Unavailable { partition, reason: reason(status) },
    }
}

impl Cluster {
    /// The partitions that are none of these, ascending.
    #[must_use]
    pub fn without(&self, here: &[PartitionId]) -> Vec<PartitionId> {
        (0..self.partitions()).map(PartitionId).filter(|partition| !here.contains(partition)).collect()
    }

    /// Begins to read points of all partitions but those that are read here, from one node each.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn scan_elsewhere(
        &self,
        here: &[PartitionId],
        reading: &Reading,
        request: &ScanRequest,
        ends: Option<Ends>,
    ) -> Result<Vec<RemoteBlocks>, ReadError> {
        let courier = self.courier();
        ask_all(courier, self.without(here), reading, |link, node, place| async move {
            let mut call = Request::new(wire::request(&place, request, ends).map_err(refused)?);
            courier.route_to(node).attach(&mut call);
            let span = fragment(&mut call, "Scan", node, &place);
            let stream = link.client(Class::Query)?.scan(call).await?.into_inner();
            let partition = place.partitions.first().copied().unwrap_or(PartitionId(0));
            let courier = Arc::clone(courier);
            let here = VecDeque::new();
            Ok(RemoteBlocks { stream, partition, here, is_over: false, node, courier, span })
        })
        .await
    }

    /// Answers which names exist in all partitions but those that are read here: a list of each node.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn schema_elsewhere(
        &self,
        here: &[PartitionId],
        reading: &Reading,
        request: &SchemaRequest,
    ) -> Result<Vec<Vec<String>>, ReadError> {
        let courier = self.courier();
        ask_all(courier, self.without(here), reading, |link, node, place| async move {
            let mut call = Request::new(wire::schema_request(&place, request).map_err(refused)?);
            courier.route_to(node).attach(&mut call);
            let _span = fragment(&mut call, "Schema", node, &place);
            Ok(link.client(Class::Query)?.schema(call).await?.into_inner().names)
        })
        .await
    }
}

/// The span of what another node reads for this one, which goes along with the call.
pub(crate) fn fragment<T>(call: &mut Request<T>, method: &'static str, node: u128, place: &Place) -> Span {
    let mut span = traces::asks("exec.fragment", method, node);
    if span.is_wanted() {
        let shards: Vec<String> = place.partitions.iter().map(ToString::to_string).collect();
        span.set("shards", shards.join(","));
        traces::attach(call, &span);
    }
    span
}

pub(crate) fn refused(error: wire::ScanError) -> Status {
    Status::internal(error.to_string())
}

/// Asks one node for each partition, each node once, and others for those that a node does not answer for.
pub(crate) async fn ask_all<T, F>(
    courier: &Courier,
    partitions: Vec<PartitionId>,
    reading: &Reading,
    ask: impl Fn(Arc<Link>, u128, Place) -> F,
) -> Result<Vec<T>, ReadError>
where
    F: Future<Output = Result<T, Status>>,
{
    let mut answers = Vec::new();
    let mut waiting = partitions;
    let mut patience = courier.patience();
    while !waiting.is_empty() {
        waiting.sort_unstable();
        let mut by_node: BTreeMap<u128, (Remote, Vec<PartitionId>)> = BTreeMap::new();
        let mut again = Vec::new();
        for partition in waiting {
            match courier.remote(GroupId::Data(partition), patience.tries()) {
                Some(remote) => {
                    by_node.entry(remote.node).or_insert_with(|| (remote, Vec::new())).1.push(partition);
                }
                None => again.push(partition),
            }
        }
        let mut failed = None;
        let asked = by_node.into_values().map(|(remote, partitions)| {
            let place = Place { partitions: partitions.clone(), reading: reading.clone() };
            let (left, node) = (patience.left(), remote.node);
            let asked = ask(courier.link(&remote), node, place);
            async move {
                let asked = timeout(left, courier.reach.while_reached(node, Way::Direct, asked));
                let late = || Status::deadline_exceeded("no answer in time");
                let answer = asked.await.ok().flatten().ok_or_else(late).flatten();
                Ok::<_, ReadError>((partitions, answer))
            }
        });
        for (partitions, answer) in try_join_all(asked).await? {
            match answer {
                Ok(answer) => answers.push(answer),
                Err(status) => {
                    let first = partitions.first().copied().unwrap_or(PartitionId(0));
                    failed = Some(error(first, &status));
                    again.extend(partitions);
                }
            }
        }
        match (failed, again.first().copied()) {
            (_, None) => {}
            (Some(failed @ ReadError::Failed(_)), _) => return Err(failed),
            (failed, Some(partition)) => {
                // Whoever could answer would have to be asked by this node itself, and may have to know who leads.
                let needs_leader =
                    matches!(reading.consistency, Consistency::Leader | Consistency::Linearizable);
                let group = GroupId::Data(partition);
                let is_cut_off =
                    if needs_leader { !courier.reaches_quorum(group) } else { !courier.reaches_any(group) };
                if is_cut_off || !patience.again().await {
                    let reason = "no node with a replica of it has answered".to_owned();
                    return Err(failed.unwrap_or(ReadError::Unavailable { partition, reason }));
                }
            }
        }
        waiting = again;
    }
    Ok(answers)
}

pub(crate) fn status(error: ReadError) -> Status {
    match error {
        ReadError::Unavailable { .. } => Status::unavailable(error.to_string()),
        ReadError::TooLarge(refused) => Status::internal(refused.to_string()),
        ReadError::Failed(reason) => Status::internal(reason),
    }
}

/// Reads for another node, and gives its messages to the receiver, which ends the reading when it is dropped.
pub(crate) fn scan_for_peer(
    reader: Arc<dyn Reader>,
    (place, request, ends): wire::Asked,
    mut span: Span,
) -> mpsc::Receiver<Result<peer::SeriesBlocks, Status>> {
    let (give, take) = mpsc::channel(MESSAGES_AHEAD);
    let read = move || {
        let _entered = span.here().map(Here::enter);
        span.set("partitions", place.partitions.len());
        let mut gather = Gather::default();
        let runtime = Handle::current();
        let send = |message| host::wait(&runtime, give.send(message)).is_ok();
        let blocks = match reader.scan(&place.partitions, &request, ends) {
            Ok(blocks) => blocks,
            Err(error) => {
                send(Err(status(error)));
                return;
            }
        };
        for block in blocks {
            let goes_on = match block {
                Ok(block) => gather.push(block).into_iter().all(|message| send(Ok(message))),
                Err(error) => {
                    span.fail(error.to_string());
                    send(Err(status(error)));
                    false
                }
            };
            if !goes_on {
                return;
            }
        }
        if let Some(last) = gather.take() {
            send(Ok(last));
        }
    };
    // It ends with its receiver.
    drop(host::offload(read));
    take
}

/// Answers a question about names for another node.
pub(crate) async fn schema_for_peer(
    reader: Arc<dyn Reader>,
    partitions: Vec<PartitionId>,
    request: SchemaRequest,
) -> Result<Vec<String>, Status> {
    let here = trace::current();
    let answered = host::offload(move || {
        let _entered = here.map(Here::enter);
        reader.schema(&partitions, &request)
    });
    answered.await.map_err(|panic| Status::internal(panic.to_string()))?.map_err(status)
}
