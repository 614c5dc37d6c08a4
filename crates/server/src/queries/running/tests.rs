use super::*;

fn org(id: u64) -> OrgId {
    OrgId::new(id).unwrap()
}

#[test]
fn queries_are_listed_while_they_run_and_ended_by_their_own_organization_alone() {
    let running = Running::default();
    let at = Duration::from_secs;
    let cancel = CancelToken::default();
    let listed = running.begin((org(1), "SELECT 1", Some("d")), at(10), cancel.clone());
    let other = running.begin((org(2), "SELECT 2", None), at(11), CancelToken::default());
    let [only] = running.of(org(1), at(14)).try_into().unwrap();
    assert_eq!(
        (only.text.as_str(), only.database.as_str(), only.took, only.is_killed),
        ("SELECT 1", "d", at(4), false)
    );
    assert!(!running.kill(org(2), only.id) && !running.kill(org(1), only.id + 100));
    assert!(!listed.is_killed() && !cancel.is_cancelled());
    assert!(running.kill(org(1), only.id));
    assert!(listed.is_killed() && cancel.is_cancelled() && !other.is_killed());
    assert!(running.of(org(1), at(14))[0].is_killed);
    drop(listed);
    assert!(running.of(org(1), at(14)).is_empty() && !running.kill(org(1), only.id));
    assert_eq!(running.of(org(2), at(14)).len(), 1);
}
