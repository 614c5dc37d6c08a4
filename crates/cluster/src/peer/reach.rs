//! Who reaches whom. Each node asks each other a few times a second whether it is there, and hears with the answer whom
//! that one reaches whether it has room on its disk, and how slow that is. So a node knows soon that another is
//! silent, over which third it may still reach it, and that it reaches nobody any more.
//!
//! What must always hold: a node counts as reached only when an answer came back; where packets go one way only, neither
//! reaches the other.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use model::Timestamp;
use parking_lot::Mutex;
use proto::peer;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tonic::{Request, Status};

use super::links::{Class, Link, padding};
use super::route::{self, Refusal, read_id};
use crate::courier::Courier;
use crate::epochs::{IsOlder, Told};
use crate::fatal::Fatal;
use crate::tasks::TaskGroup;

/// Between two questions to a node.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// A node that has not answered for so long is silent. An election is over by then.
const SILENT_AFTER: Duration = Duration::from_secs(1);
/// A disk that takes so many times less is much faster.
const MUCH_FASTER: u32 = 4;
/// Why a node ends whose data directory others have known newer.
const OLDER_COPY: &str = "the data directory is an older copy of what this node had, as others remember: it has forgotten votes \
     and entries that it acknowledged. With an empty directory it joins as a new node; `tidemark node replace` gives that the \
     place of this one";
/// How often somebody who waits for a node looks whether it has become silent.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a node has answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Beacon {
    /// Whom it reaches itself.
    pub(crate) reaches: HashSet<u128>,
    /// Who does not answer it. Of others it does not know yet.
    pub(crate) silent: HashSet<u128>,
    /// Whether its disk is nearly full.
    pub(crate) is_short: bool,
    /// Whether it is about to stop.
    pub(crate) is_leaving: bool,
    /// How long writes to its log take, where they are slow.
    pub(crate) slowness: Option<Duration>,
    /// How far its calendar's clock is from this node's, as well as that can be known.
    pub(crate) clock_offset: Duration,
}

/// How a node is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It answers, or nobody has asked it for long enough to say that it does not.
    Direct,
    /// It is silent, and this node says that it reaches it.
    Over(u128),
    /// It is silent, and nobody who answers reaches it.
    Nowhere,
}

#[derive(Debug)]
struct Known {
    /// When it last answered; before it has, when it was first asked.
    heard: Instant,
    has_answered: bool,
    /// Whether it has been asked, whatever came of it.
    was_asked: bool,
    beacon: Beacon,
    /// Whether a question is on its way.
    is_asked: bool,
}

impl Known {
    fn answers(&self) -> bool {
        self.heard.elapsed() < SILENT_AFTER
    }
}

/// What is known of all other nodes.
#[derive(Debug, Default)]
pub(crate) struct Reach(Mutex<HashMap<u128, Known>>);

impl Reach {
    /// How to reach a node.
    pub(crate) fn way(&self, node: u128) -> Way {
        let known = self.0.lock();
        if known.get(&node).is_none_or(Known::answers) {
            return Way::Direct;
        }
        let over = known.iter().find(|(_, other)| other.answers() && other.beacon.reaches.contains(&node));
        over.map_or(Way::Nowhere, |(other, _)| Way::Over(*other))
    }

    /// Whether a node has said that its disk is nearly full. Of one that is silent nobody knows.
    pub(crate) fn is_short(&self, node: u128) -> bool {
        let known = self.0.lock();
        known.get(&node).is_some_and(|known| known.answers() && known.beacon.is_short)
    }

    /// Whether a node has said that it is about to stop.
    pub(crate) fn is_leaving(&self, node: u128) -> bool {
        let known = self.0.lock();
        known.get(&node).is_some_and(|known| known.answers() && known.beacon.is_leaving)
    }

    /// How far the clock of a node that answers is from this one's, of all the furthest.
    pub(crate) fn clock_offset(&self) -> Duration {
        let known = self.0.lock();
        let offsets = known.values().filter(|known| known.answers()).map(|known| known.beacon.clock_offset);
        offsets.max().unwrap_or_default()
    }

    /// Whether a node has said that its disk is slow, and it is not much faster than one that is so slow. Disks that are
    /// about as slow are one, or as busy: leads would go to and fro.
    pub(crate) fn is_slow(&self, node: u128, than: Option<Duration>) -> bool {
        let known = self.0.lock();
        let slowness =
            known.get(&node).filter(|known| known.answers()).and_then(|known| known.beacon.slowness);
        slowness.is_some_and(|slowness| than.is_none_or(|than| slowness * MUCH_FASTER > than))
    }

    /// Whether a node has answered, and of late.
    pub(crate) fn answers(&self, node: u128) -> bool {
        let known = self.0.lock();
        known.get(&node).is_some_and(|known| known.has_answered && known.answers())
    }

    /// Whether each of these nodes was asked, and has answered or did not in time.
    pub(crate) fn were_asked<'a>(&self, mut nodes: impl Iterator<Item = &'a u128>) -> bool {
        let known = self.0.lock();
        nodes.all(|node| known.get(node).is_some_and(|known| known.was_asked))
    }

    /// How many of these nodes are silent.
    pub(crate) fn silent(&self, nodes: &[u128]) -> usize {
        nodes.iter().filter(|node| self.way(**node) != Way::Direct).count()
    }

    /// How many of these nodes are silent, as one says that does answer.
    pub(crate) fn silent_as_seen_by(&self, node: u128, nodes: &[u128]) -> usize {
        let known = self.0.lock();
        let beacon = known.get(&node).filter(|known| known.answers()).map(|known| &known.beacon);
        beacon.map_or(0, |beacon| nodes.iter().filter(|node| beacon.silent.contains(*node)).count())
    }

    /// Whether a node that answers has said that it reaches another.
    fn reaches(&self, node: u128, other: u128) -> bool {
        let known = self.0.lock();
        let said = |known: &Known| known.answers() && known.beacon.reaches.contains(&other);
        known.get(&node).is_some_and(said)
    }

    /// Waits for what depends on a node; `None` as soon as it is not reached that way any more.
    pub(crate) async fn while_reached<T>(
        &self,
        node: u128,
        way: Way,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let lost = async {
            let mut look = interval(LOOK_EVERY);
            look.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                look.tick().await;
                let still = match way {
                    Way::Direct => self.way(node) == Way::Direct,
                    Way::Over(other) => self.way(other) == Way::Direct && self.reaches(other, node),
                    Way::Nowhere => false,
                };
                if !still {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = lost => None,
        }
    }

    /// The answer to a beacon.
    pub(crate) fn answer(
        &self,
        is_short: bool,
        is_leaving: bool,
        slowness: Option<Duration>,
    ) -> peer::BeaconResponse {
        let known = self.0.lock();
        let heard = known.iter().filter(|(_, known)| known.has_answered && known.answers());
        let silent = known.iter().filter(|(_, known)| !known.answers());
        peer::BeaconResponse {
            reaches: heard.map(|(node, _)| route::id(*node)).collect(),
            silent: silent.map(|(node, _)| route::id(*node)).collect(),
            is_short,
            is_leaving,
            slow_ms: slowness.map_or(0, |slowness| u32::try_from(slowness.as_millis()).unwrap_or(u32::MAX)),
            ..Default::default()
        }
    }

    /// Keeps these nodes, forgets all others, and answers which of them are to be asked now.
    fn ask(&self, nodes: &HashSet<u128>) -> Vec<u128> {
        let mut known = self.0.lock();
        known.retain(|node, _| nodes.contains(node));
        let mut due = Vec::new();
        for node in nodes {
            let new = || Known {
                heard: Instant::now(),
                has_answered: false,
                was_asked: false,
                beacon: Beacon::default(),
                is_asked: false,
            };
            let known = known.entry(*node).or_insert_with(new);
            if !std::mem::replace(&mut known.is_asked, true) {
                due.push(*node);
            }
        }
        due
    }

    /// Notes what a node has answered, if it has. Answers whether it was silent until now.
    fn asked(&self, node: u128, answer: Option<Beacon>) -> bool {
        let mut known = self.0.lock();
        let Some(known) = known.get_mut(&node) else { return false };
        (known.is_asked, known.was_asked) = (false, true);
        let Some(beacon) = answer else { return false };
        let was_silent = !known.answers();
        (known.heard, known.has_answered, known.beacon) = (Instant::now(), true, beacon);
        was_silent
    }
}

/// Asks all other nodes for ever.
pub(crate) async fn keep(courier: Arc<Courier>, tasks: TaskGroup, fatal: Fatal) {
    let mut pace = interval(ASK_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let nodes = courier.other_nodes();
        for node in courier.reach.ask(&nodes.keys().copied().collect()) {
            let Some(address) = nodes.get(&node) else { continue };
            let link = courier.links.to(node, address);
            tasks.spawn("beacon", ask(Arc::clone(&courier), node, link, fatal.clone()));
        }
    }
}

async fn ask(courier: Arc<Courier>, node: u128, link: Arc<Link>, fatal: Fatal) {
    let answer = timeout(SILENT_AFTER, call(&link, &courier, node)).await;
    let answer = answer.unwrap_or_else(|_late| Err(Status::deadline_exceeded("no answer in time")));
    match answer.as_ref().map_err(Refusal::of) {
        // One that is not open yet has compared too.
        Ok(_) => courier.myself.epochs.note_compared(node),
        // And one that belongs to nothing has nothing to compare with.
        Err(Some(refusal)) if refusal == Refusal::NoCluster.name() => {
            courier.myself.epochs.note_compared(node);
        }
        Err(Some(refusal)) if refusal == Refusal::SenderOlder.name() => fatal.raise(OLDER_COPY),
        Err(_) => {}
    }
    if answer.is_err() {
        // A connection that packets do not get over may look whole for long after they do again.
        link.renew(Class::Beacon);
    }
    if courier.reach.asked(node, answer.ok()) {
        link.is_back();
    }
}

async fn call(link: &Link, courier: &Courier, node: u128) -> Result<Beacon, Status> {
    let epochs = &courier.myself.epochs;
    let Told { epoch, process } = epochs.told();
    let mut request = Request::new(peer::BeaconRequest { epoch, process, padding: padding(0) });
    courier.route_to(node).attach(&mut request);
    let (asked, began) = (courier.clock.now(), courier.clock.monotonic());
    let peer::BeaconResponse { reaches, silent, is_short, is_leaving, slow_ms, epoch, process, now_ms } =
        link.client(Class::Beacon)?.beacon(request).await?.into_inner();
    let took = courier.clock.monotonic().saturating_sub(began);
    let clock_offset = clock_offset(asked, took, now_ms);
    let compared = epochs.hear(node, Told { epoch, process });
    compared.map_err(|IsOlder| Status::aborted("the node's data are an older copy of what it had"))?;
    let slowness = (slow_ms > 0).then(|| Duration::from_millis(slow_ms.into()));
    let nodes = |ids: Vec<Bytes>| ids.iter().filter_map(|id| read_id(id)).collect();
    Ok(Beacon {
        reaches: nodes(reaches),
        silent: nodes(silent),
        is_short,
        is_leaving,
        slowness,
        clock_offset,
    })
}

/// How far a clock is from this one, which said so many milliseconds within a time after a moment; nothing less than what the
/// answer's way may account for.
fn clock_offset(asked: Timestamp, took: Duration, now_ms: u64) -> Duration {
    let Some(theirs) = i64::try_from(now_ms).ok().filter(|ms| *ms > 0) else { return Duration::ZERO };
    let halfway = Duration::from_nanos(u64::try_from(asked.0).unwrap_or(0)) + took / 2;
    let theirs = Duration::from_millis(theirs.unsigned_abs());
    theirs.abs_diff(halfway).saturating_sub(took / 2 + Duration::from_millis(1))
}

#[cfg(test)]
mod tests;
