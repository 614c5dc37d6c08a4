//! A call is taken by whom it is meant for, and by nobody else.

use disk::RealVfs;
use model::PartitionId;

use super::*;
use crate::epochs::Epochs;
use crate::identity::{Belongs, Identity};
use crate::peer::myself::Says;

const CLUSTER: u128 = 7;

fn route() -> Route {
    let within = Within { group: GroupId::Data(PartitionId(3)), from: Some(ReplicaId(4)), to: ReplicaId(5) };
    Route { cluster: CLUSTER, from_node: 1, to_node: 2, within: Some(within) }
}

fn myself(belongs: Option<Belongs>) -> (tempfile::TempDir, Arc<Myself>) {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity { node_uuid: 2, belongs, member: false, out: None };
    let path = dir.path().to_owned();
    let says = Says {
        zone: String::new(),
        peers_hash: 0,
        advertised: None,
        bound: None,
        level: catalog::Level::NEWEST,
    };
    let myself =
        Myself::new(Arc::new(RealVfs), path, identity, Epochs::default(), says, trace::Tracer::off());
    (dir, myself)
}

#[test]
fn a_route_travels_with_a_call() {
    let groupless = Route { within: None, ..route() };
    let without_sender =
        Route { within: route().within.map(|within| Within { from: None, ..within }), ..route() };
    for sent in [route(), groupless, without_sender] {
        let mut request = Request::new(());
        sent.attach(&mut request);
        assert_eq!(Route::of(request.metadata()), Ok(sent));
    }
    assert_eq!(Route::of(&MetadataMap::new()), Err(Refusal::NoRoute));
    let mut metadata = MetadataMap::new();
    metadata.insert_bin(ROUTE, MetadataValue::from_bytes(b"nonsense"));
    assert_eq!(Route::of(&metadata), Err(Refusal::NoRoute));
}

#[test]
fn only_the_node_that_is_meant_answers() {
    let nobody = |_| None;
    let (_dir, new) = myself(None);
    assert_eq!(route().check(&new, nobody), Err(Refusal::NoCluster));
    let (_dir, member) = myself(Some(Belongs::founding(CLUSTER, 1)));
    assert_eq!(route().check(&member, nobody), Ok(()));
    for (wrong, refusal) in [
        (Route { cluster: CLUSTER + 1, ..route() }, Refusal::OtherCluster),
        // The volume behind the address is another than the one that is meant.
        (Route { to_node: 3, ..route() }, Refusal::OtherNode),
    ] {
        assert_eq!(wrong.check(&member, nobody), Err(refusal));
    }
    for (state, answer) in [
        (NodeState::Active, Ok(())),
        (NodeState::Draining, Ok(())),
        (NodeState::Lost, Err(Refusal::SenderLost)),
        (NodeState::Decommissioned, Err(Refusal::SenderDecommissioned)),
    ] {
        assert_eq!(route().check(&member, |node| (node == 1).then_some(state)), answer);
        let said = answer.err().and_then(|refusal| Refusal::out_of(&Status::from(refusal)));
        assert_eq!(said, state.is_out().then_some(state));
    }
    let replicas = Replicas::default();
    assert_eq!(route().group(&replicas).err(), Some(Refusal::NoReplica));
    assert_eq!(Route { within: None, ..route() }.group(&replicas).err(), Some(Refusal::NoRoute));
}

#[test]
fn a_refusal_is_known_by_its_name() {
    for refusal in Refusal::ALL {
        assert_eq!(Refusal::of(&Status::from(refusal)), Some(refusal.name()));
        assert_eq!(Refusal::named(refusal.name()), Some(refusal));
    }
    assert_eq!(Refusal::of(&Status::unavailable("down")), None);
}
