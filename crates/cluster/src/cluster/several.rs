//! Three nodes in one process, over real connections: they found one cluster, any of them takes and reads what any
//! other has, and what was acknowledged outlives whoever led.

mod copies;
mod gateways;
mod healing;
mod moving;
mod reading;
mod room;

use std::net::SocketAddr;

use catalog::{Bucket, BucketKind, FieldOutcome, FieldSpec, MemoryStore, NodeState, Org};
use disk::RealVfs;
use futures::future::try_join_all;
use model::{BucketId, FieldType, OrgId, SystemClock, Timestamp};
use parking_lot::Mutex;
use tempfile::TempDir;
use testkit::Authority;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::tests::Desk;
use super::*;
use crate::error::OpenError;
use crate::options::{InitialPeers, LaneKind, Options, Peers, Timing};
use crate::peer::tls::TlsFiles;
use crate::peer::tls::tests::signed;

/// Longer than anything takes on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: u16 = 4;

/// A node's place: what outlives the process, and its address.
struct Place {
    dir: TempDir,
    address: SocketAddr,
    peers: Vec<String>,
    machines: Arc<Desk>,
    catalog: Mutex<Arc<Catalog>>,
    zone: String,
    log_bytes_soft: u64,
    epoch_ms: u64,
    /// Where it says that it is reached, if not there.
    claims: Option<SocketAddr>,
    progress: crate::Progress,
    tls: Option<TlsFiles>,
}

fn empty_catalog() -> Arc<Catalog> {
    Arc::new(Catalog::open(Box::new(MemoryStore::default())).unwrap())
}

/// Binds an address, which a node that was given up may hold for a moment.
async fn bind(address: &str) -> Arc<TcpListener> {
    let bound = timeout(PATIENCE, async {
        loop {
            match TcpListener::bind(address).await {
                Ok(listener) => return Arc::new(listener),
                Err(_held) => tokio::task::yield_now().await,
            }
        }
    });
    bound.await.expect("the address is free")
}

/// Places for nodes that name one another.
async fn places(count: usize) -> Vec<Place> {
    let mut listeners = Vec::new();
    for _ in 0..count {
        listeners.push(bind("127.0.0.1:0").await);
    }
    let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    let peers: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    let place = |(at, address)| Place {
        dir: tempfile::tempdir().unwrap(),
        address,
        peers: peers.clone(),
        machines: Arc::default(),
        catalog: Mutex::new(empty_catalog()),
        zone: format!("zone-{at}"),
        log_bytes_soft: Limits::PRODUCTION.log_bytes_soft,
        epoch_ms: 200,
        claims: None,
        progress: crate::Progress::default(),
        tls: None,
    };
    addresses.into_iter().enumerate().map(place).collect()
}

impl Place {
    async fn open(&self) -> Result<Arc<Cluster>, OpenError> {
        let listener = bind(&self.address.to_string()).await;
        let options = Options {
            data_dir: self.dir.path().to_owned(),
            partitions: PARTITIONS,
            peers: Some(Peers {
                listener,
                network: Arc::new(host::Tcp::default()),
                initial: InitialPeers::List(self.peers.clone()),
                advertised: Some(self.claims.unwrap_or(self.address).to_string()),
                tls: self.tls.clone(),
            }),
            zone: self.zone.clone(),
            lane: LaneKind::Segment,
            timing: Timing::NEAR,
            progress: self.progress.clone(),
            tracer: trace::Tracer::off(),
            limits: Limits {
                segment_bytes: 64 << 10,
                log_bytes_soft: self.log_bytes_soft,
                leader_move_ms_min: 200,
                epoch_ms: self.epoch_ms,
                ..Limits::PRODUCTION
            },
        };
        let (clock, catalog) = (Arc::new(SystemClock::new()), Arc::clone(&self.catalog.lock()));
        self.machines.restart();
        let machines = Arc::clone(&self.machines);
        Cluster::open(options, Arc::new(RealVfs), clock, machines, catalog, Fatal::default()).await
    }

    /// Loses its volume.
    fn wiped(self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, machines: Arc::default(), catalog: Mutex::new(empty_catalog()), ..self }
    }

    fn ops(&self, partition: u16) -> Vec<PartitionOp> {
        self.machines.ops(partition)
    }
}

async fn open_all(places: &[Place]) -> Vec<Arc<Cluster>> {
    let all = try_join_all(places.iter().map(Place::open));
    timeout(PATIENCE, all).await.expect("the nodes found a cluster").unwrap()
}

async fn shut_down_all(clusters: &[Arc<Cluster>]) {
    join_all(clusters.iter().map(|cluster| cluster.shutdown())).await;
}

fn op(n: u64) -> PartitionOp {
    PartitionOp::DropShards { bucket: BucketId::new(n + 1).unwrap(), ending_by: Timestamp(7) }
}

fn leader_of(clusters: &[Arc<Cluster>], group: GroupId) -> Option<usize> {
    clusters.iter().position(|cluster| cluster.replicas.get(group).is_some_and(|group| group.leads()))
}

/// Proposes until it is acknowledged: an unknown outcome may have been carried out, and is sent again as clients do.
async fn write(cluster: &Cluster, partition: u16, n: u64) {
    let patience = timeout(PATIENCE, async {
        while let Err(error) = cluster.propose(PartitionId(partition), op(n)).await {
            assert!(!matches!(error, ProposeError::NotLeader { .. }), "{error}");
        }
    });
    patience.await.unwrap();
}

/// What is applied, each once, in order: what was sent again is there twice.
fn distinct(ops: Vec<PartitionOp>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for op in ops.iter().map(|op| format!("{op:?}")) {
        if !seen.contains(&op) {
            seen.push(op);
        }
    }
    seen
}

fn expected(numbers: impl Iterator<Item = u64>) -> Vec<String> {
    numbers.map(|n| format!("{:?}", op(n))).collect()
}

async fn everyone_has(places: &[Place], clusters: &[Arc<Cluster>], partition: u16, numbers: u64) {
    for (place, cluster) in places.iter().zip(clusters) {
        // One that has not heard of its group yet is not asked.
        let heard = timeout(PATIENCE, async {
            let group = GroupId::Data(PartitionId(partition));
            while !cluster.replicas.data().iter().any(|here| here.id() == group) {
                tokio::task::yield_now().await;
            }
        });
        heard.await.expect("each has a vote");
        timeout(PATIENCE, cluster.read_barrier_all()).await.unwrap().unwrap();
        assert_eq!(distinct(place.ops(partition)), expected(0..numbers), "{}", place.zone);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_nodes_found_one_cluster_and_any_of_them_takes_everything() {
    let places = places(3).await;
    let clusters = open_all(&places).await;
    let belongs: Vec<_> = clusters.iter().map(|cluster| cluster.identity().belongs.unwrap()).collect();
    assert!(belongs.iter().all(|place| place.cluster_id == belongs[0].cluster_id));
    assert_eq!(
        clusters.iter().filter_map(|c| c.node_id()).map(|node| node.get()).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert!(clusters.iter().all(|cluster| cluster.partitions() == PARTITIONS));
    // One proposer after the other, so that the order is known.
    for n in 0..30 {
        let cluster = &clusters[usize::try_from(n).unwrap() % 3];
        for partition in 0..PARTITIONS {
            write(cluster, partition, n).await;
        }
    }
    for partition in 0..PARTITIONS {
        everyone_has(&places, &clusters, partition, 30).await;
    }
    // The catalog too: what one has made all know, and a type that one has fixed holds for all.
    let (org, bucket) = (org(), bucket());
    clusters[0].propose_catalog(Command::CreateOrg { org, buckets: vec![], owner: None }).await.unwrap();
    clusters[1].propose_catalog(Command::CreateBucket { bucket }).await.unwrap();
    for (cluster, field_type) in
        clusters.iter().zip([FieldType::Float, FieldType::Integer, FieldType::String])
    {
        cluster.read_barrier_meta().await.unwrap();
        assert!(cluster.catalog().read().bucket(BucketId::new(9).unwrap()).is_some());
        let field = FieldSpec { measurement: "m".to_owned(), field: "f".to_owned(), field_type };
        let command = Command::RegisterFields { bucket: BucketId::new(9).unwrap(), fields: vec![field] };
        let answer = cluster.propose_catalog(command).await.unwrap();
        assert_eq!(answer, Response::Fields(vec![FieldOutcome::Has(FieldType::Float)]));
    }
    shut_down_all(&clusters).await;
}

fn org() -> Org {
    let at = Timestamp(0);
    let id = OrgId::new(9).unwrap();
    Org { id, name: "acme".to_owned(), description: String::new(), created_at: at, updated_at: at }
}

fn bucket() -> Bucket {
    Bucket {
        id: BucketId::new(9).unwrap(),
        org: OrgId::new(9).unwrap(),
        name: "metrics".to_owned(),
        description: String::new(),
        kind: BucketKind::User,
        retention_ns: None,
        shard_duration_ns: 0,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_outlives_every_leader() {
    let places = places(3).await;
    let mut clusters = open_all(&places).await;
    let mut n = 0;
    for round in 0..3 {
        for _ in 0..20 {
            write(&clusters[round], 1, n).await;
            n += 1;
        }
        let leader = leader_of(&clusters, GroupId::Data(PartitionId(1))).expect("one has acknowledged");
        clusters[leader].shutdown().await;
        // It has handed the lead over, and the other two go on, whoever is asked.
        assert_ne!(leader_of(&clusters, GroupId::Data(PartitionId(1))), None);
        for other in (0..3).filter(|at| *at != leader) {
            write(&clusters[other], 1, n).await;
            n += 1;
            clusters[other].read_barrier_meta().await.unwrap();
        }
        clusters[leader] = timeout(PATIENCE, places[leader].open()).await.unwrap().unwrap();
    }
    everyone_has(&places, &clusters, 1, n).await;
    // All at once, with nothing flushed and the catalogs lost: the log has it.
    shut_down_all(&clusters).await;
    places.iter().for_each(|place| *place.catalog.lock() = empty_catalog());
    let clusters = open_all(&places).await;
    write(&clusters[2], 1, n).await;
    everyone_has(&places, &clusters, 1, n + 1).await;
    shut_down_all(&clusters).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_has_founded_the_cluster_needs_none_of_the_others_that_did() {
    let mut places = places(3).await;
    let clusters = open_all(&places).await;
    write(&clusters[0], 0, 0).await;
    shut_down_all(&clusters).await;
    // The catalog is behind the log, as after a loss of power, and no initial peer answers: the machines of the others
    // were given other names since.
    *places[0].catalog.lock() = empty_catalog();
    let nobody = places[1..].iter().map(|place| place.address.to_string());
    let gone: Vec<String> = nobody.map(|address| address.replace("127.0.0.1", "127.0.0.9")).collect();
    places[0].peers.splice(1.., gone);
    let clusters = open_all(&places).await;
    write(&clusters[0], 0, 1).await;
    everyone_has(&places, &clusters, 0, 2).await;
    shut_down_all(&clusters).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_was_away_for_longer_than_the_log_gets_the_files() {
    let mut places = places(3).await;
    // Nobody waits for whoever is away.
    places.iter_mut().for_each(|place| place.log_bytes_soft = 0);
    let mut clusters = open_all(&places).await;
    for n in 0..20 {
        write(&clusters[0], 2, n).await;
    }
    everyone_has(&places, &clusters, 2, 20).await;
    clusters[1].shutdown().await;
    for n in 20..60 {
        write(&clusters[0], 2, n).await;
    }
    // The others flush everything, and their logs begin after what the one has.
    for at in [0, 2] {
        clusters[at].read_barrier_all().await.unwrap();
        let machine = places[at].machines.of(2);
        let flushed = machine.flush();
        clusters[at].flushed(PartitionId(2), flushed);
        let group = clusters[at].replicas.get(GroupId::Data(PartitionId(2))).unwrap();
        timeout(PATIENCE, async {
            while group.status().purged < Some(flushed.index) {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the log is purged");
    }
    write(&clusters[2], 2, 60).await;
    clusters[1] = timeout(PATIENCE, places[1].open()).await.unwrap().unwrap();
    timeout(PATIENCE, async {
        while places[1].ops(2).len() < 61 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the files arrive");
    everyone_has(&places, &clusters, 2, 61).await;
    // It goes on from there, and after a restart too.
    write(&clusters[1], 2, 61).await;
    shut_down_all(&clusters).await;
    let clusters = open_all(&places).await;
    write(&clusters[0], 2, 62).await;
    for (place, cluster) in places.iter().zip(&clusters) {
        cluster.read_barrier_all().await.unwrap();
        // What was durable before the restart does not come again; what came after has.
        let ops = distinct(place.ops(2));
        assert!(ops.ends_with(&expected(61..63)), "{}: {ops:?}", place.zone);
    }
    shut_down_all(&clusters).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_has_lost_its_volume_never_founds_a_second_cluster() {
    let mut places = places(3).await;
    let clusters = open_all(&places).await;
    write(&clusters[0], 0, 0).await;
    let cluster_id = clusters[0].identity().belongs.unwrap().cluster_id;
    let old_uuid = clusters[0].identity().node_uuid;
    shut_down_all(&clusters).await;
    // The founder's volume is gone, and the others are out of reach: it waits.
    let founder = places.remove(0).wiped();
    let alone = timeout(Duration::from_secs(3), founder.open()).await;
    assert!(alone.is_err(), "it must not open: {alone:?}");
    assert_eq!(Identity::read(&RealVfs, founder.dir.path()).unwrap().unwrap().belongs, None);
    // With the others there it becomes another node of their cluster.
    places.insert(0, founder);
    let clusters = open_all(&places).await;
    let joined = &clusters[0];
    assert_eq!(joined.identity().belongs.unwrap().cluster_id, cluster_id);
    assert_eq!(joined.node_id().unwrap().get(), 4);
    {
        let state = joined.catalog().read();
        assert_eq!(state.node_by_uuid(old_uuid).unwrap().state, NodeState::Lost);
        assert_eq!(state.nodes().count(), 4);
    }
    // It takes everything, whether or not it has partitions yet.
    write(joined, 0, 1).await;
    joined.read_barrier_meta().await.unwrap();
    timeout(PATIENCE, clusters[1].read_barrier_all()).await.unwrap().unwrap();
    assert_eq!(distinct(places[1].ops(0)).len(), 2);
    shut_down_all(&clusters).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_founded_while_one_of_the_list_is_missing() {
    let places = places(3).await;
    let two = try_join_all(places[..2].iter().map(Place::open));
    assert!(timeout(Duration::from_secs(3), two).await.is_err(), "two of three must wait");
    let said = places[0].progress.to_string();
    let expected = format!("this node belongs to no cluster yet: node {}: ", places[2].address);
    assert!(said.starts_with(&expected), "{said}");
    let clusters = open_all(&places).await;
    write(&clusters[2], 3, 0).await;
    shut_down_all(&clusters).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_says_nothing_on_the_peer_port_keeps_nobody_away() {
    use tokio::io::AsyncReadExt as _;
    let places = places(3).await;
    let clusters = open_all(&places).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(tokio::net::TcpStream::connect(places[0].address).await.unwrap());
    }
    // The oldest had to go for the newest, and then all that said nothing.
    for stream in &mut silent {
        let mut said = Vec::new();
        let _ended = timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("it is not kept");
    }
    write(&clusters[0], 3, 0).await;
    shut_down_all(&clusters).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_with_certificates_found_a_cluster_and_strangers_have_no_part_in_it() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let mut places = places(3).await;
    places.iter_mut().for_each(|place| place.tls = Some(signed(&ours, place.dir.path(), "127.0.0.1")));
    // One that another authority has signed is as good as absent, and so is one that speaks openly.
    for stranger in [Some(signed(&theirs, places[2].dir.path(), "127.0.0.1")), None] {
        places[2].tls = stranger;
        let all = try_join_all(places.iter().map(Place::open));
        assert!(timeout(Duration::from_secs(2), all).await.is_err(), "a stranger must not be let in");
        let said = places[0].progress.to_string();
        assert!(said.contains(&format!("node {}: ", places[2].address)), "{said}");
    }
    places[2].tls = Some(signed(&ours, places[2].dir.path(), "127.0.0.1"));
    let mut clusters = open_all(&places).await;
    for (n, at) in (0..10).zip((0..3).cycle()) {
        write(&clusters[at], 1, n).await;
    }
    // All three change to another authority's, one after the other, each believing both meanwhile.
    for (n, at) in (10..13).zip(0..3) {
        clusters[at].shutdown().await;
        let files = signed(&theirs, places[at].dir.path(), "127.0.0.1");
        let both = format!("{}{}", ours.pem(), theirs.pem());
        std::fs::write(&files.authorities, &both).unwrap();
        for other in &places {
            std::fs::write(&other.tls.as_ref().unwrap().authorities, &both).unwrap();
        }
        clusters[at] = timeout(PATIENCE, places[at].open()).await.unwrap().unwrap();
        write(&clusters[at], 1, n).await;
    }
    everyone_has(&places, &clusters, 1, 13).await;
    shut_down_all(&clusters).await;
}
