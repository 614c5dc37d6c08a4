//! A replica whose files are damaged gets those of another member and puts them in their place. Its votes and its log stay,
//! and what the files lack comes from the log once more, as after a restart.
//!
//! What must always hold: nothing that is here goes before what comes was checked, every byte of it, and is durable; the
//! files reach up to an entry of the log; nobody uses them while they are exchanged, neither reads that began before nor
//! entries that are still applied.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{GroupId, LogPosition, ReplicaId};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::Host;
use crate::comparison::Comparison;
use crate::group::Group;
use crate::raft::inbound;
use crate::raft::machine::{Target, with_causes};
use crate::raft::types::Files;

/// Pause between two looks at the replicas.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Pause before a replica that got no files asks again.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// How long what the files have may take to come by the log too.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(5);
/// How long what was committed may take to be applied after a group is closed.
const MACHINE_ENDS_WITHIN: Duration = Duration::from_secs(60);
/// How long another may take to lead before the files of a leader are exchanged.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(1);

impl Host {
    /// Looks after damaged replicas for ever, one at a time.
    pub(crate) async fn heal(self: Arc<Self>) {
        let mut pace = interval(LOOK_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tried: BTreeMap<GroupId, Instant> = BTreeMap::new();
        loop {
            pace.tick().await;
            tried.retain(|_, at| at.elapsed() < AGAIN_AFTER);
            for group in self.replicas.all() {
                let id = group.id();
                if tried.contains_key(&id) || !group.target().is_damaged() || group.is_alone() {
                    continue;
                }
                group.note_damage(true);
                match self.make_whole(&group).await {
                    Ok(from) => {
                        group.counters().heals.inc();
                        tracing::warn!(group = %id, %from, "damaged files were replaced by a member's");
                    }
                    Err(reason) => {
                        tracing::warn!(group = %id, reason, "files stay damaged for now");
                        tried.insert(id, Instant::now());
                    }
                }
                // Nobody is kept from leading by what cannot be mended; where it was, the group was opened anew.
                group.note_damage(false);
            }
        }
    }

    /// Answers whose files it has now.
    async fn make_whole(&self, group: &Arc<Group>) -> Result<ReplicaId, String> {
        // Reads that began before may still use what is here.
        let reads_end = Instant::now() + Duration::from_millis(self.around.limits.proposal_ms_max);
        let mut reason = "no other member is known".to_owned();
        for (replica, member) in group.other_voters() {
            match inbound::take_files(group, replica, &member).await {
                Ok((files, reach)) => {
                    self.fits(group, reach).await?;
                    rest(reads_end.saturating_duration_since(Instant::now())).await;
                    let to: Vec<ReplicaId> =
                        group.other_voters().into_iter().map(|(replica, _)| replica).collect();
                    group.hand_over(&to, HAND_OVER_WITHIN).await;
                    return self.exchange(group, files, reach).await.map(|()| replica);
                }
                Err(status) => reason = format!("{}: {}", member.address, status.message()),
            }
        }
        Err(reason)
    }

    /// Whether the log goes on from where the files end. The other may have been ahead.
    async fn fits(&self, group: &Group, reach: LogPosition) -> Result<(), String> {
        let applied = group.wait_applied(reach.index, CATCH_UP_WITHIN).await;
        applied.map_err(|error| with_causes(&error))?;
        let gone = || "the log does not have the last entry of the files any more".to_owned();
        group.has_entry(reach).then_some(()).ok_or_else(gone)
    }

    async fn exchange(
        &self,
        group: &Arc<Group>,
        files: Arc<Files>,
        reach: LogPosition,
    ) -> Result<(), String> {
        let Target::Partition(machine, _) = group.target().clone() else { return Ok(()) };
        let _changing = self.changing.lock().await;
        let id = group.id();
        self.fits(group, reach).await?;
        if !self.replicas.get(id).is_some_and(|here| Arc::ptr_eq(&here, group)) {
            return Err("it has left this node meanwhile".to_owned());
        }
        // Peers do not find it meanwhile.
        self.replicas.remove(group);
        group.shutdown().await;
        let fatal = |what: &str| {
            self.around.fatal.raise(&format!("exchanging the damaged files of group {id}: {what}"));
            what.to_owned()
        };
        // What is still applied would be applied to the new files.
        if !group.machine_ends(MACHINE_ENDS_WITHIN).await {
            return Err(fatal("entries are still applied after it was closed"));
        }
        let exchanged = if group.has_entry(reach) {
            let machine = Arc::clone(&machine);
            match host::offload(move || machine.install(&files.dir)).await {
                Ok(Ok(())) => Ok(()),
                // What is in use may not be what the next start takes.
                Ok(Err(error)) => return Err(fatal(&with_causes(&error))),
                Err(panic) => return Err(fatal(&with_causes(&panic))),
            }
        } else {
            Err("the log has become shorter meanwhile".to_owned())
        };
        // What was still on its way into the log is durable after what comes behind it, or else would be acknowledged
        // before it is. And a member that forgets its leader's lease must not vote before that is over.
        let log = self.around.lane.log(id);
        if let Some(vote) = log.vote() {
            self.around.lane.vote(&log, vote).await.map_err(|error| fatal(&with_causes(&error)))?;
        }
        rest(Duration::from_millis(self.around.timing.election_ms_max)).await;
        // Whether that was done or not. If it cannot be opened it is opened like one that was just placed here.
        let last = log.index().last().map(|last| last.index);
        let target = Target::Partition(Arc::clone(&machine), Arc::new(Comparison::after(last)));
        let opened = Group::open(&self.around, id, group.replica(), target).await;
        let opened = opened.map_err(|error| with_causes(&error))?;
        let durable = machine.durable().ok().and_then(|durable| durable.position);
        durable.into_iter().for_each(|position| opened.flushed(position));
        self.replicas.add(&opened);
        self.tasks.spawn("purge", opened.purge_flushed());
        exchanged
    }
}

async fn rest(time: Duration) {
    let _elapsed = timeout(time, std::future::pending::<()>()).await;
}
