use serde_json::json;

use super::*;

fn labels() -> Labels {
    Labels::from([("app".to_owned(), "tidemark".to_owned())])
}

fn spread() -> PodSpec {
    let one = |key: &str| json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "tidemark"}}});
    serde_json::from_value(json!({"topologySpreadConstraints": [one(ZONE), one(HOST)]})).unwrap()
}

fn on<'a>(machine: &'a str, labels: &'a Labels) -> Placed<'a> {
    Placed { labels, namespace: "n", machine }
}

fn choose_among(
    machines: &[Machine],
    spec: &PodSpec,
    zone: Option<&str>,
    places: &[&str],
) -> Result<String, String> {
    let labels = labels();
    let pods: Vec<Placed<'_>> = places.iter().map(|machine| on(machine, &labels)).collect();
    choose(spec, &labels, "n", zone, machines, &pods).map(|at| machines[at].name.clone())
}

#[test]
fn pods_are_spread_over_zones_and_machines() {
    let machines = Machine::fleet(&["a", "b", "c"], 2, &Labels::new());
    let check = |places: &[&str]| choose_among(&machines, &spread(), None, places).unwrap();
    assert_eq!(check(&[]), "node-a0");
    assert_eq!(check(&["node-a0"]), "node-b0");
    assert_eq!(check(&["node-a0", "node-b0"]), "node-c0");
    assert_eq!(check(&["node-a0", "node-b0", "node-c0"]), "node-a1");
}

#[test]
fn a_volume_keeps_its_pod_in_its_zone_and_a_cordoned_machine_takes_none() {
    let mut machines = Machine::fleet(&["a", "b", "c"], 2, &Labels::new());
    let places = ["node-a0", "node-c0"];
    assert_eq!(choose_among(&machines, &spread(), Some("b"), &places).unwrap(), "node-b0");
    machines[1].is_cordoned = true;
    assert_eq!(choose_among(&machines, &spread(), Some("b"), &places).unwrap(), "node-b1");
    machines[4].is_up = false;
    let why = choose_among(&machines, &spread(), Some("b"), &places).unwrap_err();
    assert!(why.contains("1 is cordoned") && why.contains("1 is not ready"), "{why}");
}

#[test]
fn anti_affinity_and_labels_of_nodes_are_kept() {
    let machines = Machine::fleet(&["a", "b"], 1, &Labels::new());
    let apart: PodSpec = serde_json::from_value(json!({"affinity": {"podAntiAffinity": {
    "requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": "tidemark"}}}
    ]}}}))
    .unwrap();
    assert_eq!(choose_among(&machines, &apart, None, &["node-a0"]).unwrap(), "node-b0");
    assert!(choose_among(&machines, &apart, None, &["node-a0", "node-b0"]).is_err());
    let picky: PodSpec = serde_json::from_value(json!({"nodeSelector": {"disk": "ssd"}})).unwrap();
    assert!(choose_among(&machines, &picky, None, &[]).is_err());
    let given = Machine::fleet(&["a"], 1, &wanted(&[&picky]));
    assert!(choose_among(&given, &picky, None, &[]).is_ok());
}

#[test]
fn with_fewer_domains_than_wanted_none_is_filled_beyond_the_skew() {
    let machines = Machine::fleet(&["a", "b"], 2, &Labels::new());
    let mut spec = spread();
    spec.topology_spread_constraints.truncate(1);
    spec.topology_spread_constraints[0].min_domains = 3;
    assert!(choose_among(&machines, &spec, None, &["node-a0"]).is_ok());
    assert!(choose_among(&machines, &spec, None, &["node-a0", "node-b0"]).is_err());
}
