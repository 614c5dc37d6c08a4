use std::sync::atomic::AtomicU64 as Seconds;

use model::Timestamp;

use super::*;

fn org(id: u64) -> OrgId {
    OrgId::new(id).unwrap()
}

#[derive(Debug, Default)]
struct TestClock(Seconds);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

#[test]
fn queries_are_listed_while_they_run_and_ended_by_their_own_organization_or_an_operator() {
    let clock = Arc::new(TestClock::default());
    let running = Running::new(NodeId::new(3), Arc::clone(&clock) as _);
    let cancel = CancelToken::default();
    let listed = running.begin((org(1), "SELECT 1", Some("d")), cancel.clone());
    let other = running.begin((org(2), "SELECT 2", None), CancelToken::default());
    clock.0.store(4, Ordering::Relaxed);
    let of = |id| running.running(Some(org(id)));
    let [only] = of(1).try_into().unwrap();
    assert_eq!(
        (only.text.as_str(), only.database.as_str(), only.took, only.is_killed),
        ("SELECT 1", "d", Duration::from_secs(4), false)
    );
    assert_eq!(only.id, query_id(NodeId::new(3), 1), "the number says where");
    assert!(!running.kill(Some(org(2)), only.id) && !running.kill(Some(org(1)), only.id + 100));
    assert!(!listed.is_killed() && !cancel.is_cancelled());
    assert!(running.kill(Some(org(1)), only.id));
    assert!(listed.is_killed() && cancel.is_cancelled() && !other.is_killed());
    assert!(of(1)[0].is_killed);
    assert_eq!(running.running(None).len(), 2);
    assert!(running.kill(None, of(2)[0].id) && other.is_killed());
    drop(listed);
    assert!(of(1).is_empty() && !running.kill(Some(org(1)), only.id));
    assert_eq!(of(2).len(), 1);
    drop(other);
    let counted = Counted { active: 0, begun: 2, took: Duration::from_secs(8) };
    assert_eq!(running.counted(), counted);
}
