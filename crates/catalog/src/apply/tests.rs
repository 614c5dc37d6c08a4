//! What each command answers, and what it leaves behind.

use model::time::{DAY_NS, HOUR_NS};
use model::{FieldType, GroupId, NodeId, PartitionId};

use super::*;
use crate::command::{ErrorCode, FieldOutcome};
use crate::level::Level;
use crate::resources::{Action, Bucket, BucketKind, NodeInfo, NodeState, Permission, ResourceType, Status};
use crate::samples::*;

fn fresh() -> State {
    let mut state = State::default();
    done(&mut state, &bootstrap());
    done(&mut state, &set_up());
    state
}

#[track_caller]
pub(super) fn done(state: &mut State, command: &Command) {
    assert_eq!(apply(state, command), Response::Done, "{command:?}");
    state.check().unwrap();
}

#[track_caller]
pub(super) fn refused(state: &mut State, command: &Command, code: ErrorCode, message: &str) {
    let before = state.clone();
    let error = CatalogError { code, message: message.to_owned() };
    assert_eq!(apply(state, command), Response::Refused(error), "{command:?}");
    assert_eq!(*state, before, "a refusal changes nothing");
}

fn create(bucket: Bucket) -> Command {
    Command::CreateBucket { bucket }
}

fn rename(id: u64, name: &str) -> Command {
    let name = Some(name.to_owned());
    Command::UpdateBucket {
        id: bucket_id(id),
        name,
        description: None,
        retention_ns: None,
        shard_duration_ns: None,
        at: AT,
    }
}

fn retain(id: u64, retention_ns: Option<i64>, shard_duration_ns: Option<i64>) -> Command {
    Command::UpdateBucket {
        id: bucket_id(id),
        name: None,
        description: None,
        retention_ns: Some(retention_ns),
        shard_duration_ns,
        at: AT,
    }
}

#[test]
fn bootstrap_happens_once_and_wants_a_power_of_two() {
    let mut state = State::default();
    for partitions in [0, 3, 48] {
        let placements = vec![vec![0]; partitions];
        let command = Command::Bootstrap { cluster_id: 1, replication: 1, nodes: vec![node(0)], placements };
        let message = format!("the number of partitions must be a power of two, not {partitions}");
        refused(&mut state, &command, ErrorCode::Invalid, &message);
    }
    assert_eq!(state.partitions(), None);
    done(&mut state, &bootstrap());
    assert_eq!(state.partitions(), Some(16));
    let message = "the cluster has already been bootstrapped";
    refused(&mut state, &bootstrap(), ErrorCode::Conflict, message);
}

#[test]
fn founding_gives_every_replica_an_id_of_its_own() {
    let mut state = State::default();
    let command = |nodes: Vec<u8>, placements: Vec<Vec<u8>>| {
        let nodes = nodes.into_iter().map(node).collect();
        Command::Bootstrap { cluster_id: 1, replication: 2, nodes, placements }
    };
    for (nodes, placements, message) in [
        (vec![], vec![vec![]], "a cluster needs a node and a replica of each partition"),
        (vec![0, 0], vec![vec![0]], "two founding nodes are the same"),
        (vec![0, 1], vec![vec![2]], "a replica is placed nowhere"),
        (vec![0, 1], vec![vec![1, 1]], "two replicas of a partition are on one node"),
        (vec![0, 1], vec![vec![]], "a partition is placed nowhere"),
    ] {
        refused(&mut state, &command(nodes, placements), ErrorCode::Invalid, message);
    }
    done(&mut state, &command(vec![5, 6, 7], vec![vec![2, 0], vec![0, 1]]));
    let places: Vec<_> = state
        .placements()
        .map(|p| {
            (p.group, p.replicas.iter().map(|r| (r.id.0, r.node.get(), r.is_voter())).collect::<Vec<_>>())
        })
        .collect();
    let data = |p| GroupId::Data(PartitionId(p));
    assert_eq!(
        places,
        [
            (GroupId::Meta, vec![(1, 1, true), (2, 2, true), (3, 3, true)]),
            (data(0), vec![(4, 3, true), (5, 1, true)]),
            (data(1), vec![(6, 1, true), (7, 2, true)]),
        ]
    );
    assert_eq!(state.replica_on(data(1), NodeId::new(2).unwrap()).unwrap().0, 7);
    assert_eq!(state.node_by_uuid(node(6).uuid).unwrap().id.get(), 2);
}

#[test]
fn a_node_is_added_once_described_anew_and_lost_with_its_volume() {
    let mut state = State::default();
    let register = |node| Command::RegisterNode { node };
    let message = "the cluster has not been bootstrapped";
    refused(&mut state, &register(node(9)), ErrorCode::Conflict, message);
    done(&mut state, &bootstrap());
    let (next, before) = (state.cluster().unwrap().next_replica, state.clone());
    // One of the founders says what is known of it.
    done(&mut state, &register(node(1)));
    assert_eq!(state, before);
    done(&mut state, &register(node(9)));
    let added = state.node_by_uuid(node(9).uuid).unwrap().clone();
    assert_eq!((added.id.get(), added.state), (4, NodeState::Active));
    let meta = &state.placement(GroupId::Meta).unwrap().replicas;
    let learner = meta.last().unwrap();
    assert_eq!((learner.id.0, learner.node, learner.is_voter()), (next, added.id, false));
    let moved = NodeInfo { address: "elsewhere:1".to_owned(), ..node(9) };
    done(&mut state, &register(moved.clone()));
    assert_eq!(state.node(added.id).unwrap().info, moved);
    assert_eq!(state.cluster().unwrap().next_replica, next + 1);
    // Node 2 comes back with an empty volume, and later its old volume turns up.
    let wiped = NodeInfo { uuid: 77, ..node(1) };
    done(&mut state, &register(wiped));
    assert_eq!(state.node_by_uuid(node(1).uuid).unwrap().state, NodeState::Lost);
    assert_eq!(state.node_by_uuid(77).unwrap().id.get(), 5);
    let message = "node 0000000000000002 is lost: it is out for good";
    refused(&mut state, &register(node(1)), ErrorCode::Conflict, message);
    let nameless = NodeInfo { address: String::new(), ..node(8) };
    let message = "a node has an address, and its texts are at most 1024 bytes";
    refused(&mut state, &register(nameless), ErrorCode::Invalid, message);
}

#[test]
fn a_cluster_uses_what_all_its_nodes_understand_once_it_is_told_to() {
    let mut state = State::default();
    let raise = |to| Command::RaiseLevel { to };
    let [first, second] = [1, 2].map(|number| Level::new(number).unwrap());
    refused(&mut state, &raise(second), ErrorCode::Conflict, "the cluster has not been bootstrapped");
    // One founder is newer than the others.
    let Command::Bootstrap { cluster_id, replication, mut nodes, placements } = bootstrap() else {
        unreachable!()
    };
    nodes[0].level = second;
    done(&mut state, &Command::Bootstrap { cluster_id, replication, nodes, placements });
    assert_eq!(state.level(), first);
    let message = "feature level 2 is not understood by all nodes: 0000000000000002 (1), 0000000000000003 (1); they \
                   need a newer version first";
    refused(&mut state, &raise(second), ErrorCode::Conflict, message);
    done(&mut state, &raise(first));
    let older = state.node(NodeId::new(2).unwrap()).unwrap().info.clone();
    let upgraded = NodeInfo { level: second, ..older.clone() };
    done(&mut state, &Command::RegisterNode { node: upgraded });
    let out = NodeId::new(3).unwrap();
    let message = "feature level 2 is not understood by all nodes: 0000000000000003 (1); they need a newer version first";
    refused(&mut state, &raise(second), ErrorCode::Conflict, message);
    // What is out for good is asked no more.
    done(&mut state, &Command::SetNodeState { node: out, state: NodeState::Lost });
    done(&mut state, &raise(second));
    done(&mut state, &raise(second));
    assert_eq!(state.level(), second);
    let message =
        "the cluster is at feature level 2, which is never lowered: there may be data of it already";
    refused(&mut state, &raise(first), ErrorCode::Conflict, message);
    // Neither a new node of an older version takes part, nor a known one that went back to it.
    let message =
        "the node understands feature levels up to 1, and the cluster is at 2: a newer version is needed";
    for older in [node(9), older] {
        refused(&mut state, &Command::RegisterNode { node: older }, ErrorCode::Conflict, message);
    }
    done(&mut state, &Command::RegisterNode { node: NodeInfo { level: second, ..node(9) } });
}

#[test]
fn set_up_makes_everything_at_once_and_happens_once() {
    let mut state = State::default();
    assert!(!state.is_set_up());
    done(&mut state, &set_up());
    assert!(state.is_set_up());
    assert_eq!(state.user_by_name("ann").unwrap().owner_of, [org_id(1)]);
    let names: Vec<&str> = state.buckets_of(org_id(1)).map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["_monitoring", "_tasks", "metrics"]);
    assert_eq!(state.bucket(bucket_id(1)).unwrap().shard_duration_ns, 7 * DAY_NS);
    let hash = crate::auth::hash_token("secret");
    assert_eq!(state.authorization_by_hash(&hash).unwrap().id, authorization_id(1));
    refused(&mut state, &set_up(), ErrorCode::Conflict, "onboarding has already been completed");
}

#[test]
fn set_up_takes_over_an_organization_that_nobody_owns() {
    let mut state = State::default();
    let Command::Setup { org, mut buckets, user, authorization } = set_up() else { unreachable!() };
    done(&mut state, &Command::CreateOrg { org: org.clone(), buckets: buckets.clone(), owner: None });
    assert!(!state.is_set_up());
    let again = set_up();
    refused(&mut state, &again, ErrorCode::Conflict, "bucket with name metrics already exists");
    buckets.clear();
    done(&mut state, &Command::Setup { org, buckets, user, authorization });
    assert!(state.is_set_up());
    assert_eq!(state.buckets_of(org_id(1)).count(), 3);
    let last = Command::DeleteUser { id: user_id(1) };
    refused(&mut state, &last, ErrorCode::Conflict, "the last user cannot be deleted");
}

#[test]
fn set_up_refuses_what_does_not_belong_together() {
    let Command::Setup { user, org, buckets, authorization } = set_up() else { unreachable!() };
    let mut state = State::default();
    let with = |org: &crate::Org, buckets: Vec<Bucket>, authorization: &crate::Authorization| {
        Command::Setup { user: user.clone(), org: org.clone(), buckets, authorization: authorization.clone() }
    };
    let nameless = crate::Org { name: String::new(), ..org.clone() };
    let missing = "onboard failed, missing value";
    refused(&mut state, &with(&nameless, buckets.clone(), &authorization), ErrorCode::Invalid, missing);
    let foreign = vec![bucket(9, 9, "x")];
    let command = with(&org, foreign, &authorization);
    refused(&mut state, &command, ErrorCode::NotFound, "organization not found");
    let twice = vec![bucket(1, 1, "x"), bucket(2, 1, "x")];
    let message = "bucket with name x already exists";
    refused(&mut state, &with(&org, twice, &authorization), ErrorCode::Conflict, message);
    let stranger = crate::samples::authorization(1, 1, 2, "secret");
    refused(&mut state, &with(&org, buckets, &stranger), ErrorCode::Invalid, "unable to create token");
}

#[test]
fn buckets_are_refused_in_influxdbs_words() {
    let mut state = fresh();
    let retained = |ns| Bucket { retention_ns: Some(ns), ..bucket(9, 1, "x") };
    let sharded = |ns, shard| Bucket { shard_duration_ns: shard, ..retained(ns) };
    let long = "n".repeat(1025);
    let table: Vec<(Command, ErrorCode, &str)> = vec![
        (create(bucket(9, 1, "metrics")), ErrorCode::Conflict, "bucket with name metrics already exists"),
        (create(bucket(1, 1, "other")), ErrorCode::Conflict, "ID already exists"),
        (create(bucket(9, 9, "x")), ErrorCode::NotFound, "organization not found"),
        (create(bucket(9, 1, "")), ErrorCode::Invalid, "name is empty"),
        (create(bucket(9, 1, " \t")), ErrorCode::Invalid, "name is empty"),
        (create(bucket(9, 1, &long)), ErrorCode::Invalid, "name is longer than 1024 bytes"),
        (
            create(bucket(9, 1, "_x")),
            ErrorCode::Invalid,
            "bucket name _x is invalid. Buckets may not start with underscore",
        ),
        (
            create(bucket(9, 1, "x\"y")),
            ErrorCode::Invalid,
            "bucket name x\"y is invalid. Bucket names may not include quotation marks",
        ),
        (
            create(retained(HOUR_NS - 1)),
            ErrorCode::UnprocessableEntity,
            "retention policy duration must be at least 1h0m0s",
        ),
        (
            create(retained(-1)),
            ErrorCode::UnprocessableEntity,
            "retention policy duration must be at least 1h0m0s",
        ),
        (
            create(sharded(DAY_NS, 2 * DAY_NS)),
            ErrorCode::UnprocessableEntity,
            "retention policy duration must be greater than the shard duration",
        ),
        (
            create(sharded(DAY_NS, -1)),
            ErrorCode::UnprocessableEntity,
            "shard-group duration must not be negative",
        ),
        (
            create(Bucket { shard_duration_ns: i64::MAX, ..bucket(9, 1, "x") }),
            ErrorCode::UnprocessableEntity,
            "shard-group duration must be at most 876000h0m0s",
        ),
        (rename(9, "x"), ErrorCode::NotFound, "bucket not found"),
        (rename(2, "x"), ErrorCode::Invalid, "system buckets cannot be renamed"),
        (rename(1, ""), ErrorCode::Invalid, "name is empty"),
        (
            retain(1, Some(DAY_NS), None),
            ErrorCode::UnprocessableEntity,
            "shard-group duration must also be updated to be smaller than new retention duration",
        ),
        (Command::DeleteBucket { id: bucket_id(9) }, ErrorCode::NotFound, "bucket not found"),
        (Command::DeleteBucket { id: bucket_id(2) }, ErrorCode::Invalid, "system buckets cannot be deleted"),
    ];
    for (command, code, message) in table {
        refused(&mut state, &command, code, message);
    }
}

#[test]
fn shard_lengths_follow_the_retention_and_the_minimum() {
    let mut state = fresh();
    for (i, (retention, given, stored)) in [
        (None, 0, 7 * DAY_NS),
        (Some(0), 0, 7 * DAY_NS),
        (Some(HOUR_NS), 0, HOUR_NS),
        (Some(2 * DAY_NS), 0, DAY_NS),
        (Some(180 * DAY_NS), 0, 7 * DAY_NS),
        (Some(DAY_NS), 1, HOUR_NS),
        (None, 30 * DAY_NS, 30 * DAY_NS),
    ]
    .into_iter()
    .enumerate()
    {
        let id = 100 + i as u64;
        let wanted = bucket(id, 1, &format!("b{i}"));
        done(&mut state, &create(Bucket { retention_ns: retention, shard_duration_ns: given, ..wanted }));
        let made = state.bucket(bucket_id(id)).unwrap();
        assert_eq!(made.shard_duration_ns, stored, "{retention:?} {given}");
        assert_eq!(made.retention_ns, retention.filter(|r| *r != 0), "0 keeps for ever");
    }
}

#[test]
fn a_bucket_is_renamed_retained_and_deleted() {
    let mut state = fresh();
    done(&mut state, &rename(1, "renamed"));
    assert!(state.bucket_by_name(org_id(1), "metrics").is_none());
    assert_eq!(state.bucket_by_name(org_id(1), "renamed").unwrap().id, bucket_id(1));
    done(&mut state, &create(bucket(9, 1, "metrics")));
    refused(&mut state, &rename(9, "renamed"), ErrorCode::Conflict, "bucket name is not unique");
    done(&mut state, &rename(9, "metrics"));

    done(&mut state, &retain(1, Some(DAY_NS), Some(HOUR_NS)));
    assert_eq!(state.bucket(bucket_id(1)).unwrap().retention_ns, Some(DAY_NS));
    done(&mut state, &retain(1, None, None));
    assert_eq!(state.bucket(bucket_id(1)).unwrap().retention_ns, None);

    let fields = vec![field("cpu", "f", FieldType::Float)];
    apply(&mut state, &Command::RegisterFields { bucket: bucket_id(1), fields });
    done(&mut state, &Command::CreateDbrp { dbrp: dbrp(1, 1, 1, "db", "rp", true) });
    done(&mut state, &Command::DeleteBucket { id: bucket_id(1) });
    assert!(state.bucket(bucket_id(1)).is_none());
    assert_eq!(state.field_type(bucket_id(1), "cpu", "f"), None);
    assert_eq!(state.dbrps(org_id(1)).count(), 0);
}

#[test]
fn organizations_live_with_all_they_hold() {
    let mut state = fresh();
    let second = Command::CreateOrg {
        org: org(5, "beta"),
        buckets: Bucket::system_buckets(org_id(5), AT, bucket_id(50), bucket_id(51)),
        owner: Some(user_id(1)),
    };
    done(&mut state, &second);
    assert_eq!(state.user(user_id(1)).unwrap().owner_of, [org_id(1), org_id(5)]);
    let create = |id, name: &str, owner| Command::CreateOrg { org: org(id, name), buckets: vec![], owner };
    let exists = "organization with name beta already exists";
    refused(&mut state, &create(6, "beta", None), ErrorCode::Conflict, exists);
    refused(&mut state, &create(5, "gamma", None), ErrorCode::Conflict, "ID already exists");
    refused(&mut state, &create(6, "", None), ErrorCode::Invalid, "name is empty");
    let nobody = create(6, "gamma", Some(user_id(9)));
    refused(&mut state, &nobody, ErrorCode::NotFound, "user not found");

    let rename = |id, name: &str| Command::UpdateOrg {
        id: org_id(id),
        name: Some(name.to_owned()),
        description: Some("new".to_owned()),
        at: AT,
    };
    refused(&mut state, &rename(1, "beta"), ErrorCode::Conflict, exists);
    refused(&mut state, &rename(9, "x"), ErrorCode::NotFound, "organization not found");
    done(&mut state, &rename(1, "renamed"));
    assert!(state.org_by_name("acme").is_none());
    assert_eq!(state.org_by_name("renamed").unwrap().description, "new");

    done(&mut state, &Command::CreateDbrp { dbrp: dbrp(1, 1, 1, "db", "rp", true) });
    done(&mut state, &Command::DeleteOrg { id: org_id(1) });
    assert!(state.authorizations().next().is_none());
    assert_eq!(state.buckets().map(|b| b.org).collect::<Vec<_>>(), [org_id(5), org_id(5)]);
    assert_eq!(state.user(user_id(1)).unwrap().owner_of, [org_id(5)]);
    let gone = Command::DeleteOrg { id: org_id(1) };
    refused(&mut state, &gone, ErrorCode::NotFound, "organization not found");
}

#[test]
fn users_and_authorizations() {
    let mut state = fresh();
    let taken = Command::CreateUser { user: user(2, "ann") };
    refused(&mut state, &taken, ErrorCode::Conflict, "user with name ann already exists");
    let taken = Command::CreateUser { user: user(1, "bob") };
    refused(&mut state, &taken, ErrorCode::Conflict, "ID already exists");
    done(&mut state, &Command::CreateUser { user: user(2, "bob") });
    done(&mut state, &Command::SetPassword { user: user_id(2), hash: "$argon2id$x".to_owned() });
    assert_eq!(state.user_by_name("bob").unwrap().password_hash.as_deref(), Some("$argon2id$x"));
    let nobody = Command::SetPassword { user: user_id(9), hash: String::new() };
    refused(&mut state, &nobody, ErrorCode::NotFound, "user not found");

    let create = |id, org, user, token: &str| Command::CreateAuthorization {
        authorization: authorization(id, org, user, token),
    };
    refused(&mut state, &create(2, 1, 2, "secret"), ErrorCode::Conflict, "token already exists");
    refused(&mut state, &create(1, 1, 2, "other"), ErrorCode::Conflict, "ID already exists");
    refused(&mut state, &create(2, 9, 2, "other"), ErrorCode::Invalid, "unable to create token");
    refused(&mut state, &create(2, 1, 9, "other"), ErrorCode::Invalid, "unable to create token");
    done(&mut state, &create(2, 1, 2, "other"));
    let disable = |id| Command::UpdateAuthorization {
        id: authorization_id(id),
        status: Some(Status::Inactive),
        description: None,
        at: AT,
    };
    done(&mut state, &disable(2));
    let disabled = state.authorization_by_hash(&crate::auth::hash_token("other")).unwrap();
    assert_eq!((disabled.status, disabled.description.as_str()), (Status::Inactive, "token 2"));
    refused(&mut state, &disable(9), ErrorCode::NotFound, "authorization not found");

    done(&mut state, &Command::DeleteUser { id: user_id(2) });
    assert!(state.authorization(authorization_id(2)).is_none(), "its tokens go with a user");
    let gone = Command::DeleteUser { id: user_id(2) };
    refused(&mut state, &gone, ErrorCode::NotFound, "user not found");
    let delete = Command::DeleteAuthorization { id: authorization_id(1) };
    done(&mut state, &delete);
    assert!(state.authorization_by_hash(&crate::auth::hash_token("secret")).is_none());
    refused(&mut state, &delete, ErrorCode::NotFound, "authorization not found");
}

#[test]
fn permissions_are_added_and_taken_away_one_by_one() {
    let mut state = fresh();
    let right = |action, id| Permission {
        action,
        resource: ResourceType::Buckets,
        id: Some(id),
        org: Some(org_id(1)),
    };
    let id = authorization_id(1);
    let before = state.authorization(id).unwrap().permissions.clone();
    let (read, write) = (right(Action::Read, 1), right(Action::Write, 1));
    let mut change = |add: &[&Permission], remove: &[&Permission]| {
        let [add, remove] = [add, remove].map(|all| all.iter().copied().cloned().collect());
        done(&mut state, &Command::ChangePermissions { id, add, remove, at: AT });
        state.authorization(id).unwrap().permissions[before.len()..].to_vec()
    };
    assert_eq!(change(&[&read, &read], &[&write]), std::slice::from_ref(&read));
    assert_eq!(change(&[&read, &write], &[]), [read.clone(), write.clone()]);
    assert_eq!(change(&[&write], &[&read, &write]), std::slice::from_ref(&write));
    assert_eq!(change(&[], &[&write]), []);
    let many = (1..5000).map(|id| right(Action::Read, id)).collect();
    let message = "an authorization has at most 4096 permissions";
    let too_many = Command::ChangePermissions { id, add: many, remove: Vec::new(), at: AT };
    refused(&mut state, &too_many, ErrorCode::Invalid, message);
    let id = authorization_id(9);
    let of_nobody = Command::ChangePermissions { id, add: Vec::new(), remove: Vec::new(), at: AT };
    refused(&mut state, &of_nobody, ErrorCode::NotFound, "authorization not found");
}

#[test]
fn an_organization_keeps_its_last_owner() {
    let mut state = fresh();
    done(&mut state, &Command::CreateUser { user: user(2, "bob") });
    let owner = |id, owns| Command::ChangeOwner { user: user_id(id), org: org_id(1), owns };
    let last = "the last owner of an organization must stay";
    refused(&mut state, &owner(1, false), ErrorCode::Conflict, last);
    done(&mut state, &owner(2, true));
    done(&mut state, &owner(2, true));
    assert_eq!(state.user(user_id(2)).unwrap().owner_of, [org_id(1)]);
    done(&mut state, &owner(1, false));
    assert!(state.user(user_id(1)).unwrap().owner_of.is_empty());
    refused(&mut state, &owner(2, false), ErrorCode::Conflict, last);
    refused(&mut state, &owner(3, true), ErrorCode::NotFound, "user not found");
}

#[test]
fn the_first_mapping_of_a_database_is_its_default_and_the_default_moves() {
    let mut state = fresh();
    let map = |id, policy: &str, default| Command::CreateDbrp { dbrp: dbrp(id, 1, 1, "db", policy, default) };
    let defaults = |state: &State| -> Vec<u64> {
        state.dbrps(org_id(1)).filter(|d| d.default).map(|d| d.id.get()).collect()
    };
    done(&mut state, &map(1, "one", false));
    assert_eq!(defaults(&state), [1]);
    done(&mut state, &map(2, "two", false));
    assert_eq!(defaults(&state), [1]);
    done(&mut state, &map(3, "three", true));
    assert_eq!(defaults(&state), [3]);
    let message = "another DBRP mapping with same orgID, db, and rp exists";
    refused(&mut state, &map(4, "two", false), ErrorCode::Conflict, message);
    refused(&mut state, &map(4, "", false), ErrorCode::Invalid, "DBRP provided is invalid");
    let elsewhere = Command::CreateDbrp { dbrp: dbrp(4, 1, 9, "db", "x", false) };
    refused(&mut state, &elsewhere, ErrorCode::NotFound, "bucket not found");
    done(&mut state, &Command::DeleteDbrp { id: dbrp_id(3) });
    assert_eq!(defaults(&state), [1], "the first that is left");
    done(&mut state, &Command::DeleteDbrp { id: dbrp_id(3) });
}

#[test]
fn databases_resolve_to_buckets_as_in_influxdb() {
    let mut state = fresh();
    for (id, name) in [(10, "telegraf"), (11, "telegraf/weekly"), (12, "plain/autogen"), (13, "only/first")] {
        done(&mut state, &create(bucket(id, 1, name)));
    }
    done(&mut state, &Command::CreateDbrp { dbrp: dbrp(1, 1, 1, "mapped", "rp", true) });
    done(&mut state, &Command::CreateDbrp { dbrp: dbrp(2, 1, 10, "mapped", "other", false) });
    done(&mut state, &Command::CreateDbrp { dbrp: dbrp(3, 1, 1, "plain", "autogen", true) });
    for (database, policy, answer) in [
        ("telegraf", None, Some(10)),
        ("telegraf", Some(""), Some(10)),
        ("telegraf", Some("autogen"), Some(10)),
        ("telegraf", Some("weekly"), Some(11)),
        ("telegraf", Some("daily"), None),
        ("mapped", None, Some(1)),
        ("mapped", Some("rp"), Some(1)),
        ("mapped", Some("other"), Some(10)),
        ("mapped", Some("third"), None),
        ("plain", Some("autogen"), Some(1)),
        ("plain", None, Some(1)),
        ("only", None, Some(13)),
        ("only", Some("autogen"), None),
        ("absent", None, None),
    ] {
        let found = state.resolve_dbrp(org_id(1), database, policy);
        assert_eq!(found, answer.map(bucket_id), "{database} {policy:?}");
    }
    assert_eq!(state.resolve_dbrp(org_id(9), "telegraf", None), None, "another organization");
}

#[test]
fn the_first_writer_fixes_a_fields_type() {
    use FieldOutcome::Has;
    let mut state = fresh();
    let register =
        |state: &mut State, fields| apply(state, &Command::RegisterFields { bucket: bucket_id(1), fields });
    let first = vec![
        field("cpu", "a", FieldType::Float),
        field("cpu", "a", FieldType::Integer),
        field("mem", "a", FieldType::Integer),
    ];
    let answer = vec![Has(FieldType::Float), Has(FieldType::Float), Has(FieldType::Integer)];
    assert_eq!(register(&mut state, first), Response::Fields(answer));
    let second = vec![field("cpu", "a", FieldType::String), field("cpu", "b", FieldType::String)];
    let answer = vec![Has(FieldType::Float), Has(FieldType::String)];
    assert_eq!(register(&mut state, second), Response::Fields(answer));
    let fields: Vec<_> = state.fields_of(bucket_id(1), "cpu").collect();
    assert_eq!(fields, [("a", FieldType::Float), ("b", FieldType::String)]);
    assert_eq!(state.measurements(bucket_id(1)).collect::<Vec<_>>(), ["cpu", "mem"]);

    let nowhere =
        Command::RegisterFields { bucket: bucket_id(9), fields: vec![field("m", "f", FieldType::Float)] };
    assert_eq!(apply(&mut state, &nowhere), Response::Fields(vec![FieldOutcome::NoBucket]));
}

#[test]
fn a_forgotten_measurement_may_come_back_with_other_types() {
    use FieldOutcome::Has;
    let mut state = fresh();
    let register = |state: &mut State, measurement: &str, field_type| {
        let fields = vec![field(measurement, "a", field_type)];
        apply(state, &Command::RegisterFields { bucket: bucket_id(1), fields })
    };
    register(&mut state, "cpu", FieldType::Float);
    register(&mut state, "cpu2", FieldType::Float);
    let measurements = vec!["none".to_owned(), "cpu".to_owned(), "cpu".to_owned()];
    let forget = Command::ForgetMeasurements { bucket: bucket_id(1), measurements };
    assert_eq!(apply(&mut state, &forget), Response::Done);
    assert_eq!(state.measurements(bucket_id(1)).collect::<Vec<_>>(), ["cpu2"]);
    assert_eq!(apply(&mut state, &forget), Response::Done, "again");
    let answer = Response::Fields(vec![Has(FieldType::String)]);
    assert_eq!(register(&mut state, "cpu", FieldType::String), answer);
    assert_eq!(state.field_type(bucket_id(1), "cpu2", "a"), Some(FieldType::Float));
}

#[test]
fn the_registry_stops_at_its_limits_and_still_knows_what_it_has() {
    use FieldOutcome::{Has, LimitReached};
    let limits =
        Limits { fields_per_measurement: 2, measurements_per_bucket: 2, key_bytes: 4, ..Limits::FORMAT };
    let float = FieldType::Float;
    let state = fresh();
    let spec = |m: &str, f: &str| field(m, f, float);
    let wanted = vec![
        spec("m1", "a"),
        spec("m1", "b"),
        spec("m1", "c"),
        spec("m2", "a"),
        spec("m3", "a"),
        spec("m1", "a"),
        spec("m2", "b"),
        spec("m2", "long!"),
    ];
    let outcomes = vec![
        Has(float),
        Has(float),
        LimitReached,
        Has(float),
        LimitReached,
        Has(float),
        Has(float),
        LimitReached,
    ];
    let command = Command::RegisterFields { bucket: bucket_id(1), fields: wanted };
    let decision = decide(&state, &command, &limits);
    assert_eq!(decision.response, Response::Fields(outcomes.clone()));
    // The same again, now that the fields are in the state and not only in the registration.
    let mut state = state;
    decision.changes.into_iter().for_each(|change| state.make(change));
    assert_eq!(decide(&state, &command, &limits).response, Response::Fields(outcomes));
}

#[test]
fn random_commands_keep_the_state_consistent() {
    for seed in 1..=200 {
        let mut commands = Commands::new(seed);
        let mut state = State::default();
        for step in 0..200 {
            let command = commands.next();
            let before = state.clone();
            let response = apply(&mut state, &command);
            if matches!(response, Response::Refused(_)) {
                assert_eq!(state, before, "seed {seed} step {step}: {command:?}");
            }
            state.check().unwrap_or_else(|e| panic!("seed {seed} step {step}: {command:?}: {e}"));
            for org in state.orgs() {
                let defaults: Vec<_> = state.dbrps(org.id).filter(|d| d.default).collect();
                let databases: std::collections::BTreeSet<_> =
                    state.dbrps(org.id).map(|d| &d.database).collect();
                assert_eq!(defaults.len(), databases.len(), "seed {seed} step {step}: {command:?}");
            }
            let users = state.users().all(|u| u.owner_of.iter().all(|o| state.org(*o).is_some()));
            assert!(users, "seed {seed} step {step}: {command:?}: an owner of nothing");
            assert!(state.buckets().all(|b| b.kind == BucketKind::System || !b.name.starts_with('_')));
        }
    }
}
