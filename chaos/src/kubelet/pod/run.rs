//! A container from its start to its end: its probes, its hook, the signals it gets, and when it is started again.

use super::*;

impl Asked {
    /// The probes of a container that starts now.
    pub(super) fn all(spec: &Container, now: Instant) -> Vec<Self> {
        let probes = [
            (Kind::Startup, &spec.startup_probe),
            (Kind::Liveness, &spec.liveness_probe),
            (Kind::Readiness, &spec.readiness_probe),
        ];
        let one = |(kind, probe): (Kind, &Option<Probe>)| {
            let probe = probe.clone()?;
            let course = Course::new(kind, &probe);
            Some(Self { kind, probe, course, next: now, answer: None, is_misread: false })
        };
        probes.into_iter().filter_map(one).collect()
    }

    /// Takes an answer that has come, and asks when it is time. Answers whether the container must be restarted, and why.
    fn turn(
        &mut self,
        now: Instant,
        situation: Situation,
        whom: &dyn Fn() -> Whom,
        (pod, events): (&str, &mut Vec<Event>),
    ) -> Option<String> {
        if let Some(answer) = &self.answer {
            let (good, said) = match answer.try_recv() {
                Ok(answer) => answer,
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => (false, "the probe did not end".to_owned()),
            };
            self.answer = None;
            if !good && said.starts_with('4') && !self.is_misread {
                self.is_misread = true;
                events.push(Event::of(
                    pod,
                    Concern::Probe,
                    format!("{:?} probe is answered: {said}", self.kind),
                ));
            }
            // The container that was asked is to end, and others judge it no more.
            let counts = !situation.is_ending || self.kind == Kind::Readiness;
            if counts && self.course.take(good) {
                return Some(format!("{:?} probe failed: {said}", self.kind));
            }
        }
        if now < self.next {
            return None;
        }
        let period = Duration::from_secs(self.probe.period_seconds.max(1));
        self.next = (self.next + period).max(now);
        if self.course.asks(situation) {
            let limit = Duration::from_secs(self.probe.timeout_seconds.max(1));
            self.answer = Some(ask(whom(), self.probe.action.clone(), limit));
        }
        None
    }
}

/// Asks in a thread of its own.
fn ask(whom: Whom, action: Action, limit: Duration) -> Receiver<(bool, String)> {
    let (sender, receiver) = channel();
    let ask = move || {
        // Nobody waits for it once the container is no more.
        drop(sender.send(whom.ask(&action, limit)));
    };
    // Without a thread the other end hears that no answer will come.
    drop(std::thread::Builder::new().name("probe".to_owned()).spawn(ask));
    receiver
}

impl Run {
    pub(super) fn is_ready(&self) -> bool {
        let State::Running(running) = &self.state else { return false };
        running.has_started() && running.result(Kind::Readiness) != Some(false)
    }

    /// Does what is due of a container.
    #[expect(clippy::too_many_arguments, reason = "what is known of its pod")]
    pub(super) fn turn(
        &mut self,
        now: Instant,
        at: Ipv4Addr,
        pod: &str,
        of_pod: &PodSpec,
        deleted: Option<Deletion>,
        is_init: bool,
        is_ending: bool,
        events: &mut Vec<Event>,
    ) {
        let State::Running(running) = &mut self.state else { return };
        if let Some(status) = running.container.ended() {
            let age = now.saturating_duration_since(running.since);
            let was_killed = running.ending.as_ref().is_some_and(|ending| ending.was_killed);
            // `unshare` does not always tell by which signal.
            let how = if was_killed { "killed".to_owned() } else { status.to_string() };
            let (concern, when) = match &running.ending {
                None if is_init && status.success() => (Concern::None, "well".to_owned()),
                None => (Concern::ByItself, "by itself".to_owned()),
                Some(ending) => {
                    let took = now.saturating_duration_since(ending.began).as_secs_f64();
                    // That it was killed was said.
                    let is_well = ending.was_killed || status.success();
                    let concern = if is_well { Concern::None } else { Concern::Badly };
                    (concern, format!("{took:.2} s after it was told to"))
                }
            };
            events.push(Event::of(pod, concern, format!("container {} ended {when}: {how}", self.spec.name)));
            let never = of_pod.restart_policy.as_deref() == Some("Never");
            if is_ending || never || (is_init && status.success()) {
                self.state = State::Over(status.success());
                return;
            }
            // The first time at once, then ever later.
            if age >= RAN_WELL {
                self.back_off = Duration::ZERO;
            }
            self.state = State::Waiting(Some(now + self.back_off));
            self.back_off = (self.back_off * 2).clamp(BACK_OFF, BACK_OFF_MAX);
            self.restarts += 1;
            return;
        }
        let whom = || Whom { address: at, container: self.spec.clone(), entry: running.container.entry() };
        let situation = Situation {
            age: now.saturating_duration_since(running.since),
            has_started: running.has_started(),
            is_ending: is_ending || running.ending.is_some(),
        };
        let hook = self.spec.lifecycle.pre_stop.as_ref();
        let mut grace = deleted.map(|deleted| (deleted.at, deleted.grace));
        let mut restart = None;
        for asked in &mut running.probes {
            if let Some(why) = asked.turn(now, situation, &whom, (pod, &mut *events)) {
                let own = asked.probe.termination_grace_period_seconds.map(Duration::from_secs);
                grace = grace.or_else(|| Some((now, own.unwrap_or_else(|| of_pod.grace()))));
                restart = Some(why);
            }
        }
        if !situation.has_started && running.has_started() {
            // Whoever has started is asked at once whether it is ready.
            for asked in running.probes.iter_mut().filter(|asked| asked.kind == Kind::Readiness) {
                asked.next = now;
            }
        }
        if let Some(why) = restart {
            let what = format!("container {} is to be restarted: {why}", self.spec.name);
            events.push(Event::of(pod, Concern::None, what));
        }
        let begins = running.ending.is_none();
        if let Some((began, grace)) = grace.filter(|_| begins) {
            let hook = hook.filter(|_| !grace.is_zero()).map(|action| ask(whom(), action.clone(), grace));
            running.ending =
                Some(Ending { began, hook, until: began + grace, kill: None, was_killed: false });
        }
        if let (Some(ending), Some(deleted)) = (&mut running.ending, deleted) {
            // It may have been made shorter.
            ending.until = ending.until.min(deleted.at + deleted.grace);
            if let Some(kill) = &mut ending.kill {
                *kill = (*kill).min(ending.until.max(now));
            }
        }
        running.end(now, pod, &self.spec.name, events);
    }
}

impl Running {
    fn result(&self, kind: Kind) -> Option<bool> {
        let asked = self.probes.iter().find(|asked| asked.kind == kind);
        // What has no probe of a kind is as well as can be.
        asked.map_or(Some(true), |asked| asked.course.result)
    }

    fn has_started(&self) -> bool {
        self.result(Kind::Startup) == Some(true)
    }

    /// Goes on with ending it, if it is to end.
    fn end(&mut self, now: Instant, pod: &str, name: &str, events: &mut Vec<Event>) {
        let Some(ending) = &mut self.ending else { return };
        if let Some(kill) = ending.kill {
            if now >= kill && !ending.was_killed {
                ending.was_killed = true;
                events.push(Event::of(pod, Concern::Killed, format!("container {name} is killed")));
                // It may have ended meanwhile.
                drop(self.container.signal(Signal::KILL));
            }
            return;
        }
        if let Some(hook) = &ending.hook {
            match hook.try_recv() {
                Err(TryRecvError::Empty) if now < ending.until => return,
                Ok((good, said)) => {
                    let took = now.saturating_duration_since(ending.began).as_secs_f64();
                    let (how, concern) =
                        if good { ("done", Concern::None) } else { ("FAILED", Concern::Hook) };
                    events.push(Event::of(pod, concern, format!("preStop {how} after {took:.2} s: {said}")));
                }
                Err(_) => {
                    let what = "preStop took all the time that there was".to_owned();
                    events.push(Event::of(pod, Concern::Hook, what));
                }
            }
            ending.hook = None;
        }
        let is_now = ending.until <= ending.began;
        let least = if is_now { now } else { now + GRACE_MIN };
        ending.kill = Some(ending.until.max(least));
        if !is_now {
            // It may have ended meanwhile.
            drop(self.container.signal(Signal::TERM));
        }
    }
}
