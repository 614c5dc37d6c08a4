//! Gateways: a copy of the catalog that is the nodes' own, whichever node it comes from and however far back it begins.

use catalog::Nowhere;

use super::*;
use crate::GatewayOptions;

async fn gateway(places: &[Place]) -> Arc<Cluster> {
    let options = GatewayOptions {
        initial: InitialPeers::List(places[0].peers.clone()),
        network: Arc::new(host::Tcp::default()),
        tls: None,
        address: "127.0.0.1:8086".to_owned(),
        zone: "edge".to_owned(),
        limits: Limits::PRODUCTION,
        progress: crate::Progress::default(),
        tracer: trace::Tracer::off(),
    };
    let catalog = Arc::new(Catalog::open(Box::new(Nowhere)).unwrap());
    let clock = Arc::new(SystemClock::new());
    let opened = Cluster::open_gateway(options, clock, catalog, Fatal::default());
    timeout(PATIENCE, opened).await.expect("the catalog comes").unwrap()
}

async fn make_org(cluster: &Cluster, id: u64) {
    let org = Org { id: OrgId::new(id).unwrap(), name: format!("org-{id}"), ..org() };
    let command = Command::CreateOrg { org, buckets: vec![], owner: None };
    assert_eq!(cluster.propose_catalog(command).await.unwrap(), Response::Done);
}

/// The copy is as the nodes' catalogs are.
async fn is_same(clusters: &[Arc<Cluster>]) {
    for cluster in clusters {
        timeout(PATIENCE, cluster.read_barrier_meta()).await.unwrap().unwrap();
    }
    let catalogs: Vec<Vec<u8>> = clusters.iter().map(|cluster| cluster.catalog().export()).collect();
    assert!(catalogs.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_gateways_catalog_is_the_nodes_and_it_proposes_as_they_do() {
    let places = places(3).await;
    let mut all = open_all(&places).await;
    make_org(&all[0], 100).await;
    all.push(gateway(&places).await);
    assert_eq!((all[3].node_id(), all[3].partitions()), (None, PARTITIONS));
    // What it proposes it sees at once itself.
    for id in 101..120 {
        make_org(&all[3], id).await;
        assert!(all[3].catalog().read().org(OrgId::new(id).unwrap()).is_some());
    }
    is_same(&all).await;
    for n in 0..8 {
        write(&all[3], u16::try_from(n).unwrap() % PARTITIONS, n).await;
    }
    // It is sent elsewhere again and again, while things change, and goes on from where it is.
    for id in 120..140 {
        all[3].courier().mirror.as_ref().unwrap().go_elsewhere();
        make_org(&all[usize::try_from(id).unwrap() % 4], id).await;
        timeout(PATIENCE, all[3].read_barrier_meta()).await.unwrap().unwrap();
        assert!(all[3].catalog().read().org(OrgId::new(id).unwrap()).is_some());
    }
    is_same(&all).await;
    // Where the logs do not reach back to it, it gets the whole.
    for cluster in &all[..3] {
        let meta = cluster.replicas.get(GroupId::Meta).unwrap();
        let applied = meta.status().applied;
        meta.compact_to_applied();
        timeout(PATIENCE, async {
            while meta.status().purged < applied {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the log is purged");
    }
    all.push(gateway(&places).await);
    make_org(&all[4], 140).await;
    is_same(&all).await;
    // The nodes know of gateways as long as they are there, and never by their catalog.
    let known = |node: &Cluster| node.courier().watchers.gateways().len();
    let count = || all[..3].iter().map(|node| known(node)).sum::<usize>();
    timeout(PATIENCE, async {
        while count() != 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("each gateway follows one node");
    assert_eq!(all[0].catalog().read().nodes().count(), 3);
    shut_down_all(&all[3..]).await;
    timeout(PATIENCE, async {
        while count() != 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("nobody is left");
    shut_down_all(&all[..3]).await;
}
