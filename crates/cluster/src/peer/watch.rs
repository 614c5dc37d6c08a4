//! The catalog for gateways: the whole, then every entry of the meta group's log as it is applied here.
//!
//! What must always hold: what a gateway has at an index is what every node has there, because it applies the same
//! entries in the same order; where the log does not reach back to what it has, it gets the whole. Whoever does not read
//! is sent nothing more, and keeps no more here than one message and its share of a whole.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use catalog::Level;
use futures::StreamExt as _;
use futures::stream::{BoxStream, unfold};
use model::{GroupId, LogPosition};
use parking_lot::Mutex;
use proto::log;
use proto::peer::{self, catalog_part::Part};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tonic::Status;

use super::discovery::read_level;
use super::route::{id, read_id};
use crate::courier::Courier;
use crate::group::Group;
use crate::raft::machine::with_causes;

/// Bytes of a chunk of the whole, and of the entries of a message.
const PART_BYTES_MAX: usize = 1 << 20;
/// Between two signs of life.
const BEAT_EVERY: Duration = Duration::from_millis(500);
/// Gateways that follow the catalog through one node.
const GATEWAYS_MAX: usize = 512;
/// The longest text that a gateway says of itself.
const TEXT_BYTES_MAX: usize = 256;

/// A process without data that serves clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayInfo {
    /// Drawn when the process started.
    pub id: u128,
    /// Where it serves HTTP, as it was told to.
    pub address: String,
    /// Its failure domain; empty when it has none.
    pub zone: String,
    /// The version it runs.
    pub version: String,
    /// The newest feature level that it understands.
    pub level: Level,
}

impl GatewayInfo {
    pub(crate) fn message(&self) -> peer::Gateway {
        let Self { id: of, address, zone, version, level } = self.clone();
        peer::Gateway { id: id(of), address, zone, version, level: level.get().into() }
    }

    /// What a message says; `None` when it makes no sense.
    pub(crate) fn read(message: peer::Gateway) -> Option<Self> {
        let peer::Gateway { id, address, zone, version, level } = message;
        let is_short = [&address, &zone, &version].iter().all(|text| text.len() <= TEXT_BYTES_MAX);
        let level = read_level(level)?;
        is_short.then_some(Self { id: read_id(&id)?, address, zone, version, level })
    }
}

/// The gateways that follow the catalog through this node.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    seats: Mutex<BTreeMap<u64, GatewayInfo>>,
    next: AtomicU64,
    /// The newest whole that is being sent; who comes meanwhile gets the same.
    whole: tokio::sync::Mutex<Weak<Whole>>,
}

/// The catalog as of a moment.
#[derive(Debug)]
struct Whole {
    position: LogPosition,
    bytes: Bytes,
}

/// A gateway's place among the watchers, given back when it is dropped.
struct Seat {
    watchers: Arc<Watchers>,
    number: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.watchers.seats.lock().remove(&self.number);
    }
}

impl Watchers {
    /// Who follows.
    pub(crate) fn gateways(&self) -> Vec<GatewayInfo> {
        self.seats.lock().values().cloned().collect()
    }

    fn sit(self: &Arc<Self>, gateway: GatewayInfo) -> Result<Seat, Status> {
        let mut seats = self.seats.lock();
        if seats.len() >= GATEWAYS_MAX {
            return Err(Status::resource_exhausted("too many gateways follow this node already"));
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        seats.insert(number, gateway);
        Ok(Seat { watchers: Arc::clone(self), number })
    }

    /// The catalog; one that is sent already where the log goes on from it.
    async fn whole(&self, courier: &Courier, meta: &Group) -> Result<Arc<Whole>, Status> {
        let mut newest = self.whole.lock().await;
        if let Some(whole) = newest.upgrade().filter(|whole| meta.has_entry(whole.position)) {
            return Ok(whole);
        }
        let catalog = Arc::clone(&courier.catalog);
        let taken = host::offload(move || catalog.snapshot()).await;
        let snapshot = taken.map_err(|panic| Status::internal(with_causes(&panic)))?;
        let position = snapshot.position.ok_or_else(|| Status::unavailable("the catalog is empty yet"))?;
        let whole = Arc::new(Whole { position, bytes: snapshot.bytes.into() });
        *newest = Arc::downgrade(&whole);
        Ok(whole)
    }
}

/// What one gateway is sent.
struct Watch {
    courier: Arc<Courier>,
    meta: Arc<Group>,
    /// The last entry that it has, or will have with the rest of the whole.
    has: Option<LogPosition>,
    /// A whole on its way, and how much of it was sent.
    whole: Option<(Arc<Whole>, usize)>,
    /// The newest feature level that it understands.
    level: Level,
    beat: Interval,
    seat: Seat,
}

/// The parts for a gateway, as long as it reads them.
pub(crate) fn watch(
    courier: &Arc<Courier>,
    meta: Arc<Group>,
    watchers: &Arc<Watchers>,
    request: peer::WatchCatalogRequest,
) -> Result<BoxStream<'static, Result<peer::CatalogPart, Status>>, Status> {
    let malformed = || Status::invalid_argument("a gateway that does not say what it is");
    let gateway = request.gateway.and_then(GatewayInfo::read).ok_or_else(malformed)?;
    let has = request.has.map(LogPosition::from);
    let applied = courier.catalog.applied().0;
    if has.map(|has| has.index) > applied.map(|applied| applied.index) {
        return Err(Status::unavailable("this node is behind the gateway"));
    }
    let mut beat = interval(BEAT_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watch = Watch {
        courier: Arc::clone(courier),
        has: has.filter(|has| meta.has_entry(*has)),
        meta,
        whole: None,
        level: gateway.level,
        beat,
        seat: watchers.sit(gateway)?,
    };
    let parts = unfold(Some(watch), |watch| async move {
        let mut watch = watch?;
        match watch.next().await {
            Ok(part) => Some((Ok(peer::CatalogPart { part: Some(part) }), Some(watch))),
            Err(status) => Some((Err(status), None)),
        }
    });
    Ok(parts.boxed())
}

impl Watch {
    async fn next(&mut self) -> Result<Part, Status> {
        if let Some((whole, sent)) = &mut self.whole {
            let rest = whole.bytes.slice(*sent..);
            if !rest.is_empty() {
                let data = rest.slice(..PART_BYTES_MAX.min(rest.len()));
                *sent += data.len();
                return Ok(Part::Chunk(peer::Chunk { checksum: crc32c::crc32c(&data), data }));
            }
            self.whole = None;
        }
        loop {
            let has = self.has.map(|has| has.index);
            self.courier.check_level(self.level)?;
            let applied = self.courier.catalog.applied().0;
            if let Some(applied) = applied.filter(|applied| Some(applied.index) > has) {
                return self.more(applied).await;
            }
            // What others acknowledge meanwhile it would not hear of.
            if !self.courier.reaches_quorum(GroupId::Meta) {
                return Err(Status::unavailable("this node reaches no majority of the catalog's members"));
            }
            tokio::select! {
                biased;
                goes_on = self.meta.applied_beyond(has) => {
                    if !goes_on {
                        return Err(Status::unavailable("this node's member of the catalog's group has stopped"));
                    }
                }
                _ = self.beat.tick() => return Ok(Part::Beat(peer::Nothing {})),
            }
        }
    }

    /// The entries after those that the gateway has, or the whole where there are none.
    async fn more(&mut self, applied: LogPosition) -> Result<Part, Status> {
        let internal = |error: &dyn std::error::Error| Status::internal(with_causes(error));
        if let Some(has) = self.has {
            let entries =
                self.meta.applied_entries(has.index.saturating_add(1), applied.index, PART_BYTES_MAX);
            if let Some(entries) = entries.map_err(|error| internal(&error))? {
                self.has = entries.last().map(|last| last.position);
                let entry = |entry: crate::entry::LogEntry| log::Append {
                    id: Some(entry.position.into()),
                    entry: entry.encoded(),
                };
                let entries = entries.into_iter().map(entry).collect();
                return Ok(Part::Entries(peer::CatalogEntries { entries }));
            }
        }
        let whole = self.seat.watchers.whole(&self.courier, &self.meta).await?;
        self.has = Some(whole.position);
        let head = peer::CatalogHead { last: Some(whole.position.into()), bytes: whole.bytes.len() as u64 };
        self.whole = Some((whole, 0));
        Ok(Part::Head(head))
    }
}

#[cfg(test)]
mod tests;
