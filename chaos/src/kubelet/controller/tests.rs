use super::*;

const GOOD: Seen = Seen { ordinal: 0, is_new: true, is_ready: true, is_available: true, is_ending: false };

fn set(replicas: usize, management: Management) -> Set {
    Set { replicas, management, partition: 0, on_delete: false }
}

/// Pods 0, 1, 2, ... as these.
fn pods(each: &[Seen]) -> Vec<Seen> {
    each.iter().enumerate().map(|(ordinal, pod)| Seen { ordinal, ..*pod }).collect()
}

fn create(ordinal: usize) -> Do {
    Do::Create { ordinal, from_new: true }
}

#[test]
fn in_order_each_waits_for_the_one_before() {
    let set = set(3, Management::OrderedReady);
    assert_eq!(stateful_set(set, &[]), [create(0)]);
    let unready = Seen { is_ready: false, is_available: false, ..GOOD };
    assert_eq!(stateful_set(set, &pods(&[unready])), []);
    assert_eq!(stateful_set(set, &pods(&[GOOD])), [create(1)]);
    assert_eq!(stateful_set(set, &pods(&[GOOD; 3])), []);
}

#[test]
fn in_parallel_all_come_at_once_and_go_at_once() {
    let parallel = Management::Parallel;
    assert_eq!(stateful_set(set(3, parallel), &[]), [create(0), create(1), create(2)]);
    let five = pods(&[GOOD; 5]);
    assert_eq!(stateful_set(set(3, parallel), &five), [Do::Delete { at: 4 }, Do::Delete { at: 3 }]);
    assert_eq!(stateful_set(set(3, Management::OrderedReady), &five), [Do::Delete { at: 4 }]);
}

#[test]
fn updates_go_one_by_one_from_the_highest_down() {
    let old = Seen { is_new: false, ..GOOD };
    let set = set(3, Management::Parallel);
    assert_eq!(stateful_set(set, &pods(&[old, old, old])), [Do::Delete { at: 2 }]);
    // The one that is on its way out is waited for, and so is its successor until it is available.
    let ending = Seen { is_ending: true, ..old };
    assert_eq!(stateful_set(set, &pods(&[old, old, ending])), []);
    assert_eq!(stateful_set(set, &pods(&[old, old])), [create(2)]);
    let fresh = Seen { is_available: false, ..GOOD };
    assert_eq!(stateful_set(set, &pods(&[old, old, fresh])), []);
    assert_eq!(stateful_set(set, &pods(&[old, old, GOOD])), [Do::Delete { at: 1 }]);
    assert_eq!(stateful_set(set, &pods(&[old, GOOD, GOOD])), [Do::Delete { at: 0 }]);
    assert_eq!(stateful_set(set, &pods(&[GOOD; 3])), []);
}

#[test]
fn below_the_partition_pods_stay_as_they_were() {
    let old = Seen { is_new: false, ..GOOD };
    let set = Set { partition: 2, ..set(3, Management::Parallel) };
    assert_eq!(stateful_set(set, &pods(&[old, old, old])), [Do::Delete { at: 2 }]);
    assert_eq!(stateful_set(set, &pods(&[old, old, GOOD])), []);
    let lost = [Seen { ordinal: 1, ..old }, Seen { ordinal: 2, ..GOOD }];
    assert_eq!(stateful_set(set, &lost), [Do::Create { ordinal: 0, from_new: false }]);
    assert_eq!(stateful_set(Set { on_delete: true, partition: 0, ..set }, &pods(&[old; 3])), []);
}

#[test]
fn a_deployment_never_has_fewer_available_than_it_may() {
    let fleet = Fleet { replicas: 3, surge: 1, unavailable: 0 };
    let old = Seen { is_new: false, ..GOOD };
    let fresh = Seen { is_ready: false, is_available: false, ..GOOD };
    assert_eq!(deployment(fleet, &[]), [create(0); 3]);
    assert_eq!(deployment(fleet, &[old, old, old]), [create(0)]);
    assert_eq!(deployment(fleet, &[old, old, old, fresh]), []);
    assert_eq!(deployment(fleet, &[old, old, old, GOOD]), [Do::Delete { at: 0 }]);
    let broken = Seen { is_ready: false, is_available: false, ..old };
    assert_eq!(deployment(fleet, &[old, old, broken, fresh]), [Do::Delete { at: 2 }]);
    assert_eq!(deployment(Fleet { replicas: 2, ..fleet }, &[GOOD, fresh, GOOD]), [Do::Delete { at: 1 }]);
}
