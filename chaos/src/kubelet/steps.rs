//! What scenarios do to a cluster, each with what was seen of it.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use testkit::Request;

use super::manifest::Management;
use super::scenario::{Step, Target};
use super::world::{PodView, World};
use crate::client::{Client, excerpt};
use crate::clock::{now, pause, wait_until};
use crate::cluster::View;
use crate::faults::Effect;

mod shares;

/// How long an operator waits for an answer.
const ASK: Duration = Duration::from_secs(2);
/// How often an eviction that was refused is tried again, as `kubectl drain` does.
const AGAIN: Duration = Duration::from_secs(5);
/// How far from an even share a node may stay.
const UNEVEN: u64 = 2;
/// Which ConfigMap says how many voters there are, for the manifests' policy.
const VOTERS: (&str, &str) = ("tidemark-voters", "voters");

/// Who does it, and to what.
#[derive(Debug)]
pub(crate) struct Operator<'a> {
    pub(crate) world: &'a World,
    /// The StatefulSet of the nodes.
    pub(crate) set: &'a str,
    /// The Service of clients.
    pub(crate) service: &'a str,
    pub(crate) token: String,
    pub(crate) org: String,
    /// How long all may take to be well again.
    pub(crate) limit: Duration,
}

/// What was seen of a step.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) effects: Vec<Effect>,
    /// Pods of which the end of a container, however it came, was wanted.
    pub(crate) excused: BTreeSet<String>,
}

/// A step could not be done, or what it was to show did not come.
type Done = Result<(), Box<dyn Error>>;

impl Seen {
    fn saw(&mut self, took: bool, what: String) {
        self.effects.push(Effect { what, took });
    }
}

impl Operator<'_> {
    /// Does a step.
    pub(crate) fn act(&self, step: Step, seen: &mut Seen) -> Done {
        match step {
            Step::Wait { for_ms } => {
                pause(Duration::from_millis(for_ms));
                seen.saw(true, format!("{for_ms} ms"));
                Ok(())
            }
            Step::RollingUpdate {} => self.rolling_update(seen),
            Step::Drain {} => self.drain(seen),
            Step::EvictTwo {} => self.evict_two(seen),
            Step::ScaleUp { to } => self.scale_up(to, seen),
            Step::ScaleDown { to } => self.scale_down(to, seen),
            Step::ScaleTooFar { to } => self.scale_too_far(to, seen),
            Step::DeletePod { target } => self.delete(target, None, seen),
            Step::ForceDelete { target } => self.delete(target, Some(Duration::ZERO), seen),
            Step::LoseVolume { target } => self.lose_volume(target, seen),
            Step::LoseZone { for_ms } => self.lose_zone(Duration::from_millis(for_ms), seen),
            Step::Stop { target } => self.stop(target, seen),
            Step::SlowStart { for_ms } => self.slow_start(Duration::from_millis(for_ms), seen),
            Step::FullOutage {} => self.outage(seen),
            Step::OrderedOutage { for_ms } => self.ordered_outage(Duration::from_millis(for_ms), seen),
        }
    }

    /// The pods of the nodes.
    pub(crate) fn pods(&self) -> Vec<PodView> {
        let mut pods = self.world.pods();
        pods.retain(|pod| pod.owner.name == self.set);
        pods.sort_by_key(|pod| pod.owner.ordinal);
        pods
    }

    fn pod(&self, name: &str) -> Option<PodView> {
        self.pods().into_iter().find(|pod| pod.name == name)
    }

    /// A client with an operator's token.
    pub(crate) fn client(&self, limit: Duration) -> Client {
        Client::new(&self.token, limit).of_org(&self.org)
    }

    /// Waits until there are as many pods as wanted and all are ready; answers how long that took.
    pub(crate) fn wait_ready(&self) -> Result<Duration, String> {
        let began = now();
        wait_until(self.limit, || {
            let (pods, wanted) = (self.pods(), self.world.replicas(self.set));
            let good = pods.iter().filter(|pod| pod.is_ready && !pod.is_ending).count();
            let others_ready = self.world.pods().iter().all(|pod| pod.is_ready && !pod.is_ending);
            let behind = self.world.service(self.service).map_or(0, |(_, pods)| pods);
            if good == wanted && pods.len() == wanted && others_ready && behind >= wanted {
                return Ok(());
            }
            let each = self.world.pods().into_iter().filter(|pod| !pod.is_ready);
            let each: Vec<String> = each.map(|pod| format!("{}: {}", pod.name, pod.why)).collect();
            Err(format!("{good} of {wanted} are ready, {behind} behind the Service; {}", each.join("; ")))
        })?;
        Ok(now().saturating_duration_since(began))
    }

    /// How many groups each node leads, by its pod.
    fn leads(&self) -> Vec<(String, usize)> {
        let pods: Vec<PodView> = self.pods().into_iter().filter(|pod| pod.runs).collect();
        let asked = pods.iter().enumerate();
        let urls: Vec<(usize, String)> = asked.filter_map(|(at, pod)| Some((at, url(pod)?))).collect();
        let urls = urls.iter().map(|(at, url)| (*at, url.as_str()));
        let view = View::ask(&self.client(ASK), urls, pods.len());
        pods.into_iter().map(|pod| pod.name).zip(view.leads).collect()
    }

    fn choose(&self, target: Target) -> Result<String, Box<dyn Error>> {
        let leads = self.leads();
        let chosen = match target {
            Target::Leader => leads.iter().max_by_key(|(_, leads)| *leads),
            Target::Follower => leads.iter().min_by_key(|(_, leads)| *leads),
        };
        Ok(chosen.map(|(pod, _)| pod.clone()).ok_or("no pod is there")?)
    }

    /// What was noted of a pod since a moment.
    fn noted(&self, pod: &str, since: Duration, text: &str) -> Option<(Duration, String)> {
        let events = self.world.events().into_iter();
        let mut of =
            events.filter(|(at, event)| *at >= since && event.pod == pod && event.what.contains(text));
        of.next().map(|(at, event)| (at.saturating_sub(since), event.what))
    }

    fn rolling_update(&self, seen: &mut Seen) -> Done {
        let (before, since) = (self.pods(), self.world.elapsed());
        self.world.restart(self.set);
        wait_until(self.limit, || {
            let pods = self.pods();
            let done = pods.len() == before.len() && pods.iter().all(|pod| pod.is_new && pod.is_ready);
            if done {
                Ok(())
            } else {
                Err(format!("{:?}", pods.iter().map(|pod| &pod.why).collect::<Vec<_>>()))
            }
        })?;
        self.wait_ready()?;
        let took = (self.world.elapsed() - since).as_secs_f64();
        let events = self.world.events();
        let deleted =
            events.iter().filter(|(at, event)| *at >= since && event.what == "deleted by its StatefulSet");
        let order: Vec<&str> = deleted.map(|(_, event)| event.pod.as_str()).collect();
        let right: Vec<&str> = before.iter().rev().map(|pod| pod.name.as_str()).collect();
        seen.saw(order == right, format!("replaced in {took:.1} s, in the order {}", order.join(", ")));
        self.saw_moved(&before, seen);
        for pod in &before {
            self.saw_end(&pod.name, since, seen);
        }
        Ok(())
    }

    /// Tells how a pod's end went.
    fn saw_end(&self, pod: &str, since: Duration, seen: &mut Seen) {
        let hook = self.noted(pod, since, "preStop").map(|(_, what)| what);
        let end = self.noted(pod, since, " ended ").map(|(_, what)| what);
        let told = [hook, end.clone()].into_iter().flatten().collect::<Vec<_>>().join("; ");
        seen.saw(end.is_some(), format!("{pod}: {told}"));
    }

    /// Tells how many pods have another address than before.
    fn saw_moved(&self, before: &[PodView], seen: &mut Seen) {
        let after = self.pods();
        let same =
            |old: &&PodView| after.iter().any(|new| new.name == old.name && new.address == old.address);
        let moved = before.len() - before.iter().filter(same).count();
        seen.saw(moved == before.len(), format!("{moved} of {} pods have another address", before.len()));
    }

    fn drain(&self, seen: &mut Seen) -> Done {
        for before in self.pods() {
            let (machine, pod) = (&before.machine, &before.name);
            let since = self.world.elapsed();
            let led = self.leads().into_iter().find(|(name, _)| name == pod).map_or(0, |(_, leads)| leads);
            self.world.cordon(machine, true);
            let mut refused = 0;
            let mut leaderless = None;
            let mut last = now();
            // All pods of the machine, each as soon as its budget allows it.
            let evicted = wait_until(self.limit, || {
                let here: Vec<PodView> =
                    self.world.pods().into_iter().filter(|one| one.machine == *machine).collect();
                if here.is_empty() {
                    return Ok(());
                }
                if refused == 0 || now().saturating_duration_since(last) >= AGAIN {
                    last = now();
                    for one in here.iter().filter(|one| !one.is_ending) {
                        refused += usize::from(self.world.evict(&one.name).is_err());
                    }
                }
                if leaderless.is_none() && self.leads().iter().all(|(name, leads)| name != pod || *leads == 0)
                {
                    leaderless = Some(self.world.elapsed() - since);
                }
                Err(format!("{} pods are still on {machine}", here.len()))
            });
            evicted?;
            let gone = self.world.elapsed() - since;
            self.wait_ready()?;
            let all = self.world.elapsed() - since;
            self.world.cordon(machine, false);
            let after = self.pod(pod).ok_or("the pod did not come back")?;
            seen.saw(
                after.machine != *machine && after.zone == before.zone,
                format!(
                    "{pod} led {led} groups, and none {:.2} s after its eviction; {machine} empty after {:.2} s ({refused} \
                     evictions refused first); ready on {} of zone {} after {:.2} s",
                    leaderless.unwrap_or(gone).as_secs_f64(),
                    gone.as_secs_f64(),
                    after.machine,
                    after.zone,
                    all.as_secs_f64()
                ),
            );
            self.saw_end(pod, since, seen);
        }
        Ok(())
    }

    fn evict_two(&self, seen: &mut Seen) -> Done {
        let pods = self.pods();
        let [first, second, ..] = pods.as_slice() else { return Err("there are no two pods".into()) };
        // On a machine that is busy a probe may just have failed.
        self.wait_ready()?;
        let before = self.world.disruptions_allowed(self.set);
        self.world.evict(&first.name)?;
        let answer = self.world.evict(&second.name);
        let after = self.world.disruptions_allowed(self.set);
        let said = answer.as_ref().err().cloned().unwrap_or_else(|| "accepted".to_owned());
        seen.saw(before == Some(1), format!("{before:?} may be evicted at first, {after:?} then"));
        seen.saw(answer.is_err(), format!("{} evicted; then {}: {said}", first.name, second.name));
        let none_ends = self.pod(&second.name).is_some_and(|pod| pod.is_ready);
        seen.saw(none_ends, format!("{} stays", second.name));
        wait_until(self.limit, || match self.pod(&first.name) {
            Some(pod) if pod.is_ending => Err("it has not ended".to_owned()),
            _ => Ok(()),
        })?;
        self.wait_ready()?;
        Ok(())
    }

    fn delete(&self, target: Target, grace: Option<Duration>, seen: &mut Seen) -> Done {
        let name = self.choose(target)?;
        let before: Vec<PodView> = self.pod(&name).into_iter().collect();
        let since = self.world.elapsed();
        if grace.is_some() {
            seen.excused.insert(name.clone());
        }
        self.world.delete(&name, grace);
        self.wait_new(&name, &before)?;
        let took = (self.world.elapsed() - since).as_secs_f64();
        let gone = self.noted(&name, since, "gone").map_or(0.0, |(after, _)| after.as_secs_f64());
        let killed = self.noted(&name, since, "is killed").is_some();
        seen.saw(
            killed == grace.is_some(),
            format!("{name} gone after {gone:.2} s, all ready again after {took:.2} s"),
        );
        self.saw_moved(&before, seen);
        self.saw_end(&name, since, seen);
        Ok(())
    }

    /// Waits until a pod is another than it was, and all are ready.
    fn wait_new(&self, name: &str, before: &[PodView]) -> Result<(), String> {
        wait_until(self.limit, || match self.pod(name) {
            Some(pod) if !pod.is_ending && before.iter().all(|old| old.address != pod.address) => Ok(()),
            _ => Err(format!("{name} has not come back")),
        })?;
        self.wait_ready().map(drop)
    }

    fn lose_zone(&self, lasts: Duration, seen: &mut Seen) -> Done {
        let name = self.choose(Target::Leader)?;
        let zone = self.pod(&name).map(|pod| pod.zone).ok_or("no such pod")?;
        let lost: Vec<PodView> = self.world.pods().into_iter().filter(|pod| pod.zone == zone).collect();
        seen.excused.extend(lost.iter().map(|pod| pod.name.clone()));
        let since = self.world.elapsed();
        self.world.power(&zone, false)?;
        pause(lasts);
        let silent = self.noted(&name, since, "silent").map(|(after, _)| after);
        self.world.power(&zone, true)?;
        let took = self.wait_ready()?.as_secs_f64();
        let names: Vec<&str> = lost.iter().map(|pod| pod.name.as_str()).collect();
        let left = silent.map_or_else(
            || "clients were sent to them all the while".to_owned(),
            |after| format!("clients were sent to them for {:.1} s", after.as_secs_f64()),
        );
        seen.saw(
            !names.is_empty(),
            format!(
                "{} of zone {zone} without power for {lasts:?}; {left}; ready {took:.1} s after",
                names.join(", ")
            ),
        );
        Ok(())
    }

    fn stop(&self, target: Target, seen: &mut Seen) -> Done {
        let name = self.choose(target)?;
        let before = self.pod(&name).ok_or("no such pod")?;
        let since = self.world.elapsed();
        seen.excused.insert(name.clone());
        self.world.signal(&name, Signal::STOP)?;
        let wait = |text: &str| {
            wait_until(self.limit, || {
                self.noted(&name, since, text).ok_or_else(|| format!("{name}: no {text:?}"))
            })
        };
        let (unready, _) = wait("not ready")?;
        let (judged, why) = wait("to be restarted")?;
        let (ended, how) = wait(" ended ")?;
        wait_until(self.limit, || match self.pod(&name) {
            Some(pod) if pod.restarts > before.restarts && pod.is_ready => Ok(()),
            other => Err(format!("{other:?}")),
        })?;
        self.wait_ready()?;
        let took = (self.world.elapsed() - since).as_secs_f64();
        seen.saw(unready < judged, format!("{name} not ready after {:.1} s", unready.as_secs_f64()));
        seen.saw(why.contains("Liveness"), format!("after {:.1} s {why}", judged.as_secs_f64()));
        seen.saw(ended >= judged, format!("after {:.1} s {how}", ended.as_secs_f64()));
        let same = self.pod(&name).is_some_and(|pod| pod.address == before.address);
        seen.saw(same, format!("ready again after {took:.1} s, in the same pod"));
        Ok(())
    }

    fn slow_start(&self, lasts: Duration, seen: &mut Seen) -> Done {
        let name = self.choose(Target::Follower)?;
        let before = self.pod(&name).ok_or("no such pod")?;
        self.world.delete(&name, None);
        let since = self.world.elapsed();
        wait_until(self.limit, || match self.pod(&name) {
            Some(pod) if !pod.is_ending && pod.address != before.address && pod.runs => {
                self.world.signal(&name, Signal::STOP)
            }
            _ => Err(format!("{name} has not come back")),
        })?;
        pause(lasts);
        let pod = self.pod(&name).ok_or("no such pod")?;
        seen.saw(
            pod.restarts == 0 && pod.startup_failures > 0 && !pod.is_ready,
            format!(
                "{name} stood still for {lasts:?} at its start: {} startup probes failed, {} liveness probes, {} restarts",
                pod.startup_failures, pod.liveness_failures, pod.restarts
            ),
        );
        self.world.signal(&name, Signal::CONT)?;
        let took = self.wait_ready()?.as_secs_f64();
        let restarts = self.pod(&name).map_or(0, |pod| pod.restarts);
        seen.saw(restarts == 0, format!("ready {took:.1} s later, without a restart"));
        self.saw_end(&name, since, seen);
        Ok(())
    }

    /// Kills all pods of the set at once.
    fn kill_all(&self, seen: &mut Seen) {
        for pod in self.pods() {
            seen.excused.insert(pod.name.clone());
            self.world.delete(&pod.name, Some(Duration::ZERO));
        }
    }

    fn outage(&self, seen: &mut Seen) -> Done {
        let (before, since) = (self.pods(), self.world.elapsed());
        self.kill_all(seen);
        self.wait_gone(&before)?;
        self.wait_ready()?;
        let took = (self.world.elapsed() - since).as_secs_f64();
        seen.saw(true, format!("{} pods killed at once, ready {took:.1} s later", before.len()));
        self.saw_moved(&before, seen);
        Ok(())
    }

    fn wait_gone(&self, before: &[PodView]) -> Result<(), String> {
        wait_until(self.limit, || {
            let still = |old: &&PodView| {
                self.pods().iter().any(|pod| pod.name == old.name && pod.address == old.address)
            };
            match before.iter().filter(still).count() {
                0 => Ok(()),
                count => Err(format!("{count} pods are still there")),
            }
        })
    }

    fn ordered_outage(&self, lasts: Duration, seen: &mut Seen) -> Done {
        self.world.manage(self.set, Management::OrderedReady);
        let before = self.pods();
        self.kill_all(seen);
        self.wait_gone(&before)?;
        pause(lasts);
        let pods = self.pods();
        let ready = pods.iter().filter(|pod| pod.is_ready).count();
        seen.saw(
            pods.len() == 1 && ready == 0,
            format!(
                "in order: {} pods {lasts:?} later, {ready} ready: the first waits for a majority",
                pods.len()
            ),
        );
        self.world.manage(self.set, Management::Parallel);
        let took = self.wait_ready()?.as_secs_f64();
        seen.saw(true, format!("in parallel: ready {took:.1} s later"));
        Ok(())
    }
}

/// Where a pod answers itself.
pub(crate) fn url(pod: &PodView) -> Option<String> {
    pod.address.map(|address| format!("http://{address}:8086"))
}
