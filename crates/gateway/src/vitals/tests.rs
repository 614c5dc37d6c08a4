use std::sync::atomic::AtomicU64;

use model::Timestamp;

use super::*;

#[derive(Debug, Default)]
struct Seconds(AtomicU64);

impl Clock for Seconds {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

fn found(sound: Result<(), String>, ready: Result<(), String>) -> Found {
    Found { sound, ready, healthy: Err("the disk is full".to_owned()) }
}

/// Started, alive, ready.
fn state(vitals: &Vitals) -> (bool, bool, bool) {
    (vitals.started().is_ok(), vitals.alive().is_ok(), vitals.ready().is_ok())
}

#[test]
fn the_three_questions_have_three_meanings() {
    let clock = Arc::new(Seconds::default());
    let stage = Arc::new(Mutex::new(Stage::Recovering("reading the log (1 of 2)".to_owned())));
    let said = Arc::clone(&stage);
    let vitals = Vitals::new(Arc::<Seconds>::clone(&clock), move || said.lock().clone());
    assert_eq!(state(&vitals), (false, true, false));
    assert_eq!(vitals.started(), Err("reading the log (1 of 2)".to_owned()));
    assert_eq!(vitals.ready(), Err("starting: reading the log (1 of 2)".to_owned()));
    // Others are missing: nothing that starting it again would better.
    *stage.lock() = Stage::Waiting("node 2".to_owned());
    assert_eq!(state(&vitals), (true, true, false));
    vitals.note(found(Ok(()), Ok(())));
    assert_eq!(state(&vitals), (true, true, true));
    assert!(vitals.healthy().is_err(), "no room, and it answers queries");
    // It has lost its leader.
    vitals.note(found(Ok(()), Err("no leader".to_owned())));
    assert_eq!(state(&vitals), (true, true, false));
    // Its event loop is stuck, for longer and longer, whatever was found before.
    vitals.note(found(Ok(()), Ok(())));
    clock.0.store(6, Ordering::Relaxed);
    assert_eq!(state(&vitals), (true, true, false));
    clock.0.store(31, Ordering::Relaxed);
    assert_eq!(state(&vitals), (true, false, false));
    vitals.turn();
    assert_eq!(state(&vitals), (true, true, true));
    vitals.note(found(Err("storage has stopped".to_owned()), Ok(())));
    assert!(vitals.alive().is_err());
}

#[test]
fn who_is_about_to_stop_is_alive_and_not_ready() {
    let vitals = Vitals::new(Arc::new(Seconds::default()), || Stage::Waiting(String::new()));
    vitals.note(found(Ok(()), Ok(())));
    for leaving in [Leaving::Going, Leaving::Gone] {
        vitals.leave(leaving);
        assert_eq!(state(&vitals), (true, true, false));
        assert!(vitals.fit().is_err());
    }
}
