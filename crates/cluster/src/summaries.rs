//! Summaries of partitions that are read elsewhere, computed on the nodes that have them: one stream from each node, on
//! which its partitions come in ascending order, each for itself.
//!
//! What must always hold: whoever asks takes the partitions in ascending order over all streams, and streams that wait
//! take nothing of a connection that the one which is read needs (see [`Class::Query`]), so nobody waits for who waits for
//! him; a node that has computed holds no thread while it waits to send, and no more than its own limits of memory allow;
//! it stops when nobody listens any more.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{BoxStream, unfold};
use model::{Groups, PartitionId, Reading, SummaryRequest, TooLarge};
use proto::peer::{self, summary_part::Part};
use proto::summary::{self, GroupsError};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tonic::{Request, Status, Streaming};
use trace::{Here, Span};

use crate::cluster::Cluster;
use crate::courier::Courier;
use crate::peer::links::Class;
use crate::peer::reach::Way;
use crate::raft::machine::with_causes;
use crate::reads::{BLOCKS_WITHIN, ReadError, Reader, ask_all, error, fragment, refused, status};

/// Between two signs of life while a summary is computed.
const BEAT_EVERY: Duration = Duration::from_secs(5);

/// The summary of one partition.
pub struct PartitionSummary {
    /// The partition.
    pub partition: PartitionId,
    /// Its groups.
    pub groups: Groups,
    /// What holds the memory for them.
    pub held: Box<dyn Any + Send>,
}

impl std::fmt::Debug for PartitionSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartitionSummary").field("partition", &self.partition).finish_non_exhaustive()
    }
}

/// Summaries that come from another node.
pub struct RemoteSummary {
    stream: Streaming<peer::SummaryPart>,
    /// Those that are still to come, ascending.
    partitions: VecDeque<PartitionId>,
    node: u128,
    /// Whether nothing more comes, for another reason than that the node says so.
    is_broken: bool,
    courier: Arc<Courier>,
    /// Lasts as long as something comes.
    span: Span,
}

impl std::fmt::Debug for RemoteSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteSummary").field("partitions", &self.partitions).finish_non_exhaustive()
    }
}

impl RemoteSummary {
    /// The partition of which something comes next; `None` when all have come.
    #[must_use]
    pub fn partition(&self) -> Option<PartitionId> {
        self.partitions.front().copied()
    }

    /// Whether it has ended because the node is gone, so that another one may answer. One that is there and refuses would
    /// refuse again.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// The partitions of which not everything has come.
    #[must_use]
    pub fn into_rest(self) -> Vec<PartitionId> {
        self.partitions.into()
    }

    /// Takes the next message: some groups of the next partition, put to those of it that are here. Answers whether it is
    /// complete with them.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn next(&mut self, request: &SummaryRequest, into: &mut Groups) -> Result<bool, ReadError> {
        let Some(partition) = self.partition() else { return Ok(true) };
        let unavailable = |reason: &str| ReadError::Unavailable { partition, reason: reason.to_owned() };
        let message = self.courier.reach.while_reached(self.node, Way::Direct, self.stream.message());
        let message = match timeout(BLOCKS_WITHIN, message).await.ok().flatten() {
            Some(Ok(Some(message))) => message,
            // A status that the node has sent comes from nothing else.
            Some(Err(status)) => {
                self.span.fail(status.message().to_owned());
                self.is_broken = std::error::Error::source(&status).is_some();
                return Err(error(partition, &status));
            }
            Some(Ok(None)) => {
                self.is_broken = true;
                return Err(unavailable("the node has ended its answer early"));
            }
            None => {
                self.is_broken = true;
                return Err(unavailable("the node is silent"));
            }
        };
        let part = message.part;
        let malformed = |what: &str| ReadError::Failed(format!("a summary from another node: {what}"));
        let groups = match part.ok_or_else(|| malformed("an empty message"))? {
            Part::Beat(peer::Nothing {}) => return Ok(false),
            Part::TooManyCells(most) => {
                return Err(TooLarge::Cells(usize::try_from(most).unwrap_or(usize::MAX)).into());
            }
            Part::TooManyRows(most) => return Err(TooLarge::Rows(most).into()),
            Part::Groups(groups) => groups,
        };
        if groups.partition != u32::from(partition.0) {
            return Err(malformed("a partition that is not the next one"));
        }
        let is_last = groups.is_last;
        summary::read_groups(groups, request, into).map_err(|error| match error {
            GroupsError::TooLarge(refused) => refused.into(),
            wrong @ GroupsError::Malformed(_) => malformed(&with_causes(&wrong)),
        })?;
        if is_last {
            self.partitions.pop_front();
        }
        Ok(is_last)
    }
}

impl Cluster {
    /// Begins to summarize partitions on other nodes, on one node each.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn summarize_elsewhere(
        &self,
        partitions: Vec<PartitionId>,
        reading: &Reading,
        request: &SummaryRequest,
    ) -> Result<Vec<RemoteSummary>, ReadError> {
        let courier = self.courier();
        ask_all(courier, partitions, reading, |link, node, place| async move {
            let mut call = Request::new(summary::request(&place, request).map_err(refused)?);
            courier.route_to(node).attach(&mut call);
            let span = fragment(&mut call, "Summarize", node, &place);
            let stream = link.client(Class::Query)?.summarize(call).await?.into_inner();
            let (partitions, courier) = (place.partitions.into(), Arc::clone(courier));
            Ok(RemoteSummary { stream, partitions, node, is_broken: false, courier, span })
        })
        .await
    }
}

/// Says that nobody listens any more when it is dropped.
struct Listener(Arc<AtomicBool>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A summary on its way to another node.
struct Answer {
    computing: Option<JoinHandle<Result<Vec<PartitionSummary>, ReadError>>>,
    /// The partitions that were asked for.
    asked: VecDeque<PartitionId>,
    /// The summaries of those that have series, not sent yet.
    done: VecDeque<PartitionSummary>,
    /// The messages of the partition that is being sent, and its memory.
    sending: Option<(Messages, Box<dyn Any + Send>)>,
    request: SummaryRequest,
    beat: Interval,
    _listener: Listener,
    /// Lasts as long as there is something to send.
    _span: Span,
}

type Messages = Box<dyn Iterator<Item = peer::Groups> + Send>;

/// Summarizes partitions for another node.
pub(crate) fn for_peer(
    reader: Arc<dyn Reader>,
    mut partitions: Vec<PartitionId>,
    request: SummaryRequest,
    mut span: Span,
) -> BoxStream<'static, Result<peer::SummaryPart, Status>> {
    partitions.sort_unstable();
    partitions.dedup();
    let is_over = Arc::<AtomicBool>::default();
    let listener = Listener(Arc::clone(&is_over));
    let (asked, wanted) = (partitions.clone(), request.clone());
    span.set("partitions", partitions.len());
    let here = span.here();
    let computing = host::offload(move || {
        let _entered = here.map(Here::enter);
        reader.summarize(&partitions, &wanted, &|| is_over.load(Ordering::Relaxed))
    });
    let mut beat = interval(BEAT_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let answer = Answer {
        computing: Some(computing),
        asked: asked.into(),
        done: VecDeque::new(),
        sending: None,
        request,
        beat,
        _listener: listener,
        _span: span,
    };
    unfold(Some(answer), |answer| async move {
        let mut answer = answer?;
        match answer.next().await {
            Ok(None) => None,
            Ok(Some(part)) => {
                let is_over = matches!(part, Part::TooManyCells(_) | Part::TooManyRows(_));
                Some((Ok(peer::SummaryPart { part: Some(part) }), (!is_over).then_some(answer)))
            }
            Err(status) => Some((Err(status), None)),
        }
    })
    .boxed()
}

impl Answer {
    async fn next(&mut self) -> Result<Option<Part>, Status> {
        if let Some(computing) = &mut self.computing {
            let computed = tokio::select! {
                biased;
                computed = computing => computed,
                _ = self.beat.tick() => return Ok(Some(Part::Beat(peer::Nothing {}))),
            };
            self.computing = None;
            match computed.map_err(|panic| Status::internal(with_causes(&panic)))? {
                Ok(done) => self.done = done.into(),
                Err(ReadError::TooLarge(TooLarge::Cells(most))) => {
                    return Ok(Some(Part::TooManyCells(most as u64)));
                }
                Err(ReadError::TooLarge(TooLarge::Rows(most))) => return Ok(Some(Part::TooManyRows(most))),
                Err(error) => return Err(status(error)),
            }
        }
        loop {
            if let Some((messages, _held)) = &mut self.sending {
                if let Some(message) = messages.next() {
                    return Ok(Some(Part::Groups(message)));
                }
                self.sending = None;
            }
            let Some(partition) = self.asked.pop_front() else { return Ok(None) };
            let (groups, held): (Groups, Box<dyn Any + Send>) =
                match self.done.pop_front_if(|done| done.partition == partition) {
                    Some(done) => (done.groups, done.held),
                    None => (Groups::new(&self.request), Box::new(())),
                };
            self.sending = Some((Box::new(summary::messages(partition, groups, &self.request)), held));
        }
    }
}

#[cfg(test)]
mod tests;
