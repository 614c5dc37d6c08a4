use serde_json::json;

use super::*;

const AT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);

fn service(spec: Value) -> Object<ServiceSpec> {
    let metadata = json!({"name": "peers", "namespace": "n"});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

fn pod(number: u8, is_ready: bool, is_ending: bool) -> Endpoint {
    let container =
        serde_json::from_value(json!({"ports": [{"name": "http", "containerPort": 8086}]})).unwrap();
    Endpoint {
        namespace: "n".to_owned(),
        labels: Labels::from([("app".to_owned(), "t".to_owned())]),
        host: format!("t-{number}"),
        subdomain: "peers".to_owned(),
        address: Ipv4Addr::new(10, 0, 0, number),
        containers: Arc::new(vec![container]),
        is_ready,
        is_ending,
    }
}

/// The last octets of the pods behind a Service with an address.
fn behind(pods: &[Endpoint]) -> Vec<u8> {
    let spec = json!({"selector": {"app": "t"}, "ports": [{"port": 80, "targetPort": "http"}]});
    let records = records(&service(spec), Some(AT), pods);
    assert_eq!(records.names["peers.n.svc.cluster.local"], [AT]);
    assert!(records.backends[0].iter().all(|at| at.port() == 8086));
    records.backends[0].iter().map(|at| at.ip().octets()[3]).collect()
}

#[test]
fn connections_go_to_ready_pods_that_stay() {
    assert_eq!(behind(&[pod(1, true, false), pod(2, false, false), pod(3, true, true)]), [1]);
    // Rather to one that goes than to none.
    assert_eq!(behind(&[pod(2, false, false), pod(3, true, true)]), [3]);
    assert_eq!(behind(&[pod(2, false, false)]), [0_u8; 0]);
    let stranger = Endpoint { namespace: "m".to_owned(), ..pod(1, true, false) };
    assert_eq!(behind(&[stranger]), [0_u8; 0]);
}

#[test]
fn a_headless_service_names_each_pod() {
    let names = |publish: bool| {
        let spec =
            json!({"clusterIP": "None", "selector": {"app": "t"}, "publishNotReadyAddresses": publish});
        let pods = [pod(1, true, false), pod(2, false, false), pod(3, false, true)];
        records(&service(spec), None, &pods).names
    };
    let ready = names(false);
    assert_eq!(
        ready.keys().collect::<Vec<_>>(),
        ["peers.n.svc.cluster.local", "t-1.peers.n.svc.cluster.local"]
    );
    let all = names(true);
    assert_eq!(all["peers.n.svc.cluster.local"].len(), 3);
    assert_eq!(all["t-2.peers.n.svc.cluster.local"], [Ipv4Addr::new(10, 0, 0, 2)]);
}
