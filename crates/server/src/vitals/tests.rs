use super::*;

#[test]
fn a_node_is_not_ready_once_its_catalog_has_been_in_trouble_for_long() {
    let health = |has_leader, is_current| CatalogHealth { has_leader, is_current };
    let mut trouble = Trouble::default();
    let mut at = |seconds, health| trouble.of(health, Duration::from_secs(seconds)).is_ok();
    assert!(!at(0, health(false, true)), "none has ever led");
    // An election is no trouble.
    assert!(at(0, health(true, true)) && at(10, health(false, true)) && at(14, health(false, true)));
    assert!(at(14, health(true, true)) && at(18, health(false, true)));
    assert!(!at(23, health(false, true)), "no leader for five seconds");
    assert!(at(23, health(true, false)) && at(32, health(true, false)));
    assert!(!at(33, health(true, false)), "behind for ten seconds");
    assert!(at(34, health(true, true)));
}
