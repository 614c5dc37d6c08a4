//! A group follows its placement step by step, and never to voters of which a majority could not go on.

use catalog::{Replica, Role};
use model::{NodeId, PartitionId};

use super::*;

fn replica(id: u64, is_voter: bool, replaces: Option<u64>) -> Replica {
    let node = NodeId::new(id).unwrap();
    let role = match replaces {
        Some(replaced) => Role::Joining { replaces: Some(ReplicaId(replaced)) },
        None if is_voter => Role::Voter,
        None => Role::Leaving,
    };
    Replica { id: ReplicaId(id), node, role }
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
    assert_eq!(next_step(&joining, &members), Some(Step::Votes(vec![ReplicaId(4)], Some(ReplicaId(1)))));
    // The one that goes leads: another takes the lead before the votes change.
    let promoted = placed([voters(&[4, 2, 3]), vec![replica(1, false, None)]].concat());
    assert_eq!(next_step(&promoted, &members), Some(Step::HandOver(ReplicaId(2))));
    let members = Members::of(2, &[1, 2, 3], &[4], &[1, 2, 3, 4]);
    assert_eq!(next_step(&promoted, &members), Some(Step::Voters(ids(&[2, 3, 4]))));
    // Nothing goes while a quorum may count it.
    let mut joint = Members::of(2, &[2, 3, 4], &[1], &[1, 2, 3, 4]);
    joint.is_joint = true;
    assert_eq!(next_step(&promoted, &joint), Some(Step::Voters(ids(&[2, 3, 4]))));
    // Nor does anybody who is to come keep the change half done.
    let more = vec![replica(1, false, None), replica(9, false, Some(2))];
    let more = placed([voters(&[4, 2, 3]), more].concat());
    assert_eq!(next_step(&more, &joint), Some(Step::Voters(ids(&[2, 3, 4]))));
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
fn one_voter_becomes_three_when_both_others_have_caught_up_and_never_two() {
    let joins = |id| Replica { role: Role::Joining { replaces: None }, ..replica(id, false, None) };
    let growing = placed([voters(&[1]), vec![joins(2), joins(3)]].concat());
    let members = Members::of(1, &[1], &[2], &[1, 2]);
    assert_eq!(next_step(&growing, &members), Some(Step::Add(ReplicaId(3))));
    let members = Members::of(1, &[1], &[2, 3], &[1, 2]);
    assert_eq!(next_step(&growing, &members), None);
    let members = Members::of(1, &[1], &[2, 3], &[1, 2, 3]);
    let both = Step::Votes(vec![ReplicaId(2), ReplicaId(3)], None);
    assert_eq!(next_step(&growing, &members), Some(both.clone()));
    let grown = placed(voters(&[1, 2, 3]));
    assert_eq!(next_step(&grown, &members), Some(Step::Voters(ids(&[1, 2, 3]))));
    // Of four that are to be five in all, two may go ahead of the others.
    let growing = placed([voters(&[1]), vec![joins(2), joins(3), joins(4), joins(5)]].concat());
    let members = Members::of(1, &[1], &[2, 3, 4, 5], &[1, 2, 3, 4]);
    assert_eq!(next_step(&growing, &members), Some(both));
    // Three become one: the leader gives the lead away when it is not to be the one.
    let shrunk = placed([voters(&[3]), vec![replica(1, false, None), replica(2, false, None)]].concat());
    let members = Members::of(1, &[1, 2, 3], &[], &[1, 2, 3]);
    assert_eq!(next_step(&shrunk, &members), Some(Step::HandOver(ReplicaId(3))));
    let members = Members::of(3, &[1, 2, 3], &[], &[1, 2, 3]);
    assert_eq!(next_step(&shrunk, &members), Some(Step::Voters(ids(&[3]))));
    let members = Members::of(3, &[1, 2, 3], &[], &[1, 2]);
    assert_eq!(next_step(&shrunk, &members), None, "it would not go on alone");
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
    assert_eq!(next_step(&joining, &members), Some(Step::Votes(vec![ReplicaId(4)], Some(ReplicaId(1)))));
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
