//! A group follows its placement step by step, and never to voters of which a majority could not go on.

use catalog::Replica;
use model::{NodeId, PartitionId};

use super::*;

fn replica(id: u64, is_voter: bool, replaces: Option<u64>) -> Replica {
    let node = NodeId::new(id).unwrap();
    Replica { id: ReplicaId(id), node, is_voter, replaces: replaces.map(ReplicaId) }
}

fn placed(replicas: Vec<Replica>) -> Placement {
    Placement { group: GroupId::Data(PartitionId(0)), replicas, generation: 0 }
}

fn ids(ids: &[u64]) -> BTreeSet<ReplicaId> {
    ids.iter().copied().map(ReplicaId).collect()
}

fn voters(voters: &[u64]) -> Vec<Replica> {
    voters.iter().map(|id| replica(*id, true, None)).collect()
}

#[test]
fn a_move_is_a_learner_a_vote_an_end_and_nothing_after_it() {
    let joining = placed([voters(&[1, 2, 3]), vec![replica(4, false, Some(1))]].concat());
    let members = Members::of(1, &[1, 2, 3], &[], &[1, 2, 3]);
    assert_eq!(next_step(&joining, &members), Some(Step::Add(ReplicaId(4))));
    // It has to catch up.
    let members = Members::of(1, &[1, 2, 3], &[4], &[1, 2, 3]);
    assert_eq!(next_step(&joining, &members), None);
    let members = Members::of(1, &[1, 2, 3], &[4], &[1, 2, 3, 4]);
    assert_eq!(next_step(&joining, &members), Some(Step::Promote(ReplicaId(4), ReplicaId(1))));
    // The one that goes leads: another takes the lead before the votes change.
    let promoted = placed([voters(&[4, 2, 3]), vec![replica(1, false, None)]].concat());
    assert_eq!(next_step(&promoted, &members), Some(Step::HandOver(ReplicaId(2))));
    let members = Members::of(2, &[1, 2, 3], &[4], &[1, 2, 3, 4]);
    assert_eq!(next_step(&promoted, &members), Some(Step::Voters(ids(&[2, 3, 4]))));
    // Nothing goes while a quorum may count it.
    let mut joint = Members::of(2, &[2, 3, 4], &[1], &[1, 2, 3, 4]);
    joint.is_joint = true;
    assert_eq!(next_step(&promoted, &joint), Some(Step::Voters(ids(&[2, 3, 4]))));
    let mut unknown = Members::of(2, &[2, 3, 4], &[1], &[1, 2, 3, 4]);
    unknown.is_committed = false;
    assert_eq!(next_step(&promoted, &unknown), None);
    let members = Members::of(2, &[2, 3, 4], &[1], &[2, 3, 4]);
    assert_eq!(next_step(&promoted, &members), Some(Step::Forget(ReplicaId(1))));
    let over = placed(voters(&[4, 2, 3]));
    assert_eq!(next_step(&over, &members), Some(Step::Remove(ids(&[1]))));
    let members = Members::of(2, &[2, 3, 4], &[], &[2, 3, 4]);
    assert_eq!(next_step(&over, &members), Some(Step::Prefer(ReplicaId(4))));
    let members = Members::of(4, &[2, 3, 4], &[], &[2, 3, 4]);
    assert_eq!(next_step(&over, &members), None);
}

#[test]
fn votes_never_go_where_a_majority_could_not_go_on() {
    // 2 and 3 are silent: 1, which goes, and 4 would leave 4 alone.
    let joining = placed([voters(&[1, 2, 3]), vec![replica(4, false, Some(1))]].concat());
    let members = Members::of(1, &[1, 2, 3], &[4], &[1, 4]);
    assert_eq!(next_step(&joining, &members), None);
    let promoted = placed([voters(&[4, 2, 3]), vec![replica(1, false, None)]].concat());
    assert_eq!(next_step(&promoted, &members), None);
    let members = Members::of(2, &[1, 2, 3], &[4], &[1, 2]);
    assert_eq!(next_step(&promoted, &members), None);
    // The lost one goes while the other two and the new one are there.
    let members = Members::of(2, &[1, 2, 3], &[4], &[2, 3, 4]);
    assert_eq!(next_step(&joining, &members), Some(Step::Promote(ReplicaId(4), ReplicaId(1))));
}

#[test]
fn the_lead_goes_only_to_who_has_all() {
    let placement = placed(voters(&[1, 2, 3]));
    let members = Members::of(2, &[1, 2, 3], &[], &[2, 3]);
    assert_eq!(next_step(&placement, &members), None);
    let members = Members::of(2, &[1, 2, 3], &[], &[1, 2, 3]);
    assert_eq!(next_step(&placement, &members), Some(Step::Prefer(ReplicaId(1))));
    let meta = Placement { group: GroupId::Meta, ..placement };
    assert_eq!(next_step(&meta, &members), None, "the catalog's lead stays where it is");
}
