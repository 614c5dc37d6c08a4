//! What probes are told: a task on the server's event loop turns it over a few times a second, and notes how the node is.

use std::sync::Arc;
use std::time::Duration;

use cluster::{CatalogHealth, Progress};
use gateway::ports::StatusPort as _;
use gateway::{Found, Stage, Vitals};
use model::Clock;
use tokio::time::{MissedTickBehavior, interval};

use crate::ports::StatusAdapter;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A node is sent no clients before it has known a leader of the catalog that it reaches, and when it has known none for so
/// long. Elections are over by then.
const LEADERLESS_FOR: Duration = Duration::from_secs(5);
/// The same, when its copy of the catalog has lacked what is known to be committed for so long.
const BEHIND_FOR: Duration = Duration::from_secs(10);

/// The vitals of a process that opens.
pub(crate) fn of_opening(clock: Arc<dyn Clock>, progress: &Progress) -> Vitals {
    let progress = progress.clone();
    Vitals::new(clock, move || {
        let what = progress.to_string();
        if progress.is_own_work() { Stage::Recovering(what) } else { Stage::Waiting(what) }
    })
}

/// Turns the event loop over for ever.
pub(crate) async fn turn(vitals: Vitals) {
    let mut pace = interval(LOOK_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        vitals.turn();
    }
}

/// Looks at a node that serves, for ever.
pub(crate) async fn watch(vitals: Vitals, status: StatusAdapter, clock: Arc<dyn Clock>) {
    let mut pace = interval(LOOK_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut trouble = Trouble::default();
    loop {
        let sound = status.working();
        let catalog = trouble.of(status.cluster.catalog_health(), clock.monotonic());
        let ready =
            sound.clone().and_then(|()| status.follows()).and_then(|()| catalog.map_err(str::to_owned));
        let healthy = ready.clone().and_then(|()| status.healthy());
        vitals.note(Found { sound, ready, healthy });
        pace.tick().await;
    }
}

/// Since when the catalog is not as it should be.
#[derive(Debug, Default)]
struct Trouble {
    has_had_leader: bool,
    leaderless: Option<Duration>,
    behind: Option<Duration>,
}

impl Trouble {
    /// Whether the catalog has been well of late, at a moment of monotonic time.
    fn of(&mut self, health: CatalogHealth, now: Duration) -> Result<(), &'static str> {
        self.has_had_leader |= health.has_leader;
        if !self.has_had_leader {
            return Err("no leader of the catalog has been found since the start");
        }
        let lasts = |since: &mut Option<Duration>, is_well: bool, for_long: Duration| {
            if is_well {
                *since = None;
            }
            !is_well && now.saturating_sub(*since.get_or_insert(now)) >= for_long
        };
        let is_leaderless = lasts(&mut self.leaderless, health.has_leader, LEADERLESS_FOR);
        let is_behind = lasts(&mut self.behind, health.is_current, BEHIND_FOR);
        if is_leaderless {
            return Err("no leader of the catalog has been within reach for 5 s");
        }
        if is_behind { Err("the copy of the catalog has been behind for 10 s") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
