//! Sessions end, and are bounded.

use super::*;

fn user(id: u64) -> UserId {
    UserId::new(id).unwrap()
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn use_keeps_a_session_alive() {
    let sessions = Sessions::new(10, at(60));
    sessions.begin("k".into(), user(1), at(0));
    assert_eq!(sessions.touch("k", at(59)), Some(user(1)));
    assert_eq!(sessions.touch("k", at(118)), Some(user(1)));
    assert_eq!(sessions.touch("k", at(178)), None);
    assert_eq!(sessions.touch("other", at(0)), None);
}

#[test]
fn the_idlest_gives_way() {
    let sessions = Sessions::new(2, at(60));
    sessions.begin("a".into(), user(1), at(0));
    sessions.begin("b".into(), user(2), at(1));
    sessions.touch("a", at(2));
    sessions.begin("c".into(), user(3), at(3));
    assert_eq!(sessions.touch("b", at(4)), None);
    assert_eq!(sessions.touch("a", at(4)), Some(user(1)));
    assert_eq!(sessions.touch("c", at(4)), Some(user(3)));
    assert!(sessions.end("c"));
    assert!(!sessions.end("c"));
}
