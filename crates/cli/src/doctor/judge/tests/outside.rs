//! What others know: Kubernetes and Prometheus.

use serde_json::{Value, json};

use super::{asked, budget, check_objects, check_prometheus, facts, metrics, outcome};
use crate::doctor::facts::{Facts, Missing, PrometheusFacts, Rule};
use crate::doctor::finding::Outcome::{Fail, Ok as Good, Unknown, Warn};
use crate::doctor::judge::kubernetes;

#[test]
fn grace() {
    let grace = |seconds: u64| {
        move |objects: &mut Vec<Value>| {
            objects[0]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = seconds.into();
        }
    };
    check_objects("grace", grace(119), Warn);
    check_objects("grace", grace(61), Warn);
    check_objects("grace", grace(60), Fail);
    let hook = |command: Value| {
        move |objects: &mut Vec<Value>| {
            objects[0]["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] =
                command;
        }
    };
    check_objects("grace", hook(json!(["tidemark", "pre-stop"])), Good);
    check_objects("grace", hook(json!(["tidemark", "pre-stop", "--timeout=61"])), Warn);
    check_objects("grace", hook(json!(["tidemark", "pre-stop", "--timeout", "soon"])), Unknown);
    check_objects("grace", hook(json!(["sleep", "5"])), Fail);
    check_objects("grace", hook(json!(7)), Fail);
}

#[test]
fn budgets() {
    let spec = |spec: Value| move |objects: &mut Vec<Value>| objects[1] = budget(spec);
    check_objects("disruption-budget", spec(json!({"maxUnavailable": "33%"})), Good);
    check_objects("disruption-budget", spec(json!({"maxUnavailable": "34%"})), Fail);
    check_objects("disruption-budget", spec(json!({"maxUnavailable": 2})), Fail);
    check_objects("disruption-budget", spec(json!({"maxUnavailable": 0})), Fail);
    check_objects("disruption-budget", spec(json!({"minAvailable": 2})), Warn);
    check_objects("disruption-budget", spec(json!({"minAvailable": 3})), Fail);
    check_objects("disruption-budget", spec(json!({"minAvailable": 1})), Fail);
    check_objects("disruption-budget", spec(json!({"minAvailable": "51%"})), Warn);
    check_objects("disruption-budget", spec(json!({"minAvailable": {}})), Unknown);
    check_objects("disruption-budget", |objects| drop(objects.pop()), Fail);
    check_objects("disruption-budget", |objects| objects.push(objects[1].clone()), Fail);
    let select = |selector: Value| spec(json!({"maxUnavailable": 1, "selector": selector}));
    let expression = |operator: &str, values: Value| json!({"matchExpressions": [{"key": "component", "operator": operator, "values": values}]});
    check_objects("disruption-budget", select(json!({"matchLabels": {"app": "other"}})), Fail);
    check_objects("disruption-budget", select(expression("In", json!(["node"]))), Good);
    check_objects("disruption-budget", select(expression("NotIn", json!(["node"]))), Fail);
    check_objects("disruption-budget", select(expression("Exists", json!(null))), Good);
    check_objects("disruption-budget", select(expression("DoesNotExist", json!(null))), Fail);
    check_objects("disruption-budget", |objects| objects[1]["metadata"]["namespace"] = "other".into(), Fail);
}

#[test]
fn manifests() {
    let container = |member: &'static str, value: Value| {
        move |objects: &mut Vec<Value>| {
            objects[0]["spec"]["template"]["spec"]["containers"][0][member] = value;
        }
    };
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        check_objects("manifests", container(probe, json!(null)), Fail);
        check_objects("manifests", container(probe, json!({"httpGet": {"path": "/ping"}})), Fail);
    }
    check_objects(
        "manifests",
        container("livenessProbe", json!({"exec": {"command": ["tidemark", "probe", "livez"]}})),
        Good,
    );
    check_objects(
        "manifests",
        container("readinessProbe", json!({"exec": {"command": ["tidemark", "probe"]}})),
        Good,
    );
    let memory = |requests: Value, limits: Value| {
        container("resources", json!({"requests": {"memory": requests}, "limits": {"memory": limits}}))
    };
    check_objects("manifests", memory(json!("1Gi"), json!("1073741824")), Good);
    check_objects("manifests", memory(json!(null), json!("1Gi")), Good);
    check_objects("manifests", memory(json!("1G"), json!("1Gi")), Fail);
    check_objects("manifests", memory(json!("1Gi"), json!(null)), Fail);
    check_objects("manifests", memory(json!("1Gi"), json!("much")), Fail);
    check_objects(
        "manifests",
        |objects| objects[0]["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] = "Delete".into(),
        Fail,
    );
    check_objects("manifests", |objects| objects[0]["spec"]["volumeClaimTemplates"] = json!([]), Fail);
    check_objects(
        "manifests",
        |objects| objects[0]["spec"]["template"]["spec"]["containers"][0]["image"] = "postgres".into(),
        Unknown,
    );
    check_objects("manifests", Vec::clear, Unknown);
}

#[test]
fn objects_come_in_lists_and_one_by_one() {
    let of = |text: &str| kubernetes::objects(text).map(|objects| objects.len());
    assert_eq!(of(r#"{"kind":"List","items":[{},{}]}"#), Ok(2));
    assert_eq!(of("{\"kind\":\"A\"}\n{\"kind\":\"List\",\"items\":[{}]}"), Ok(2));
    assert_eq!(of(""), Ok(0));
    assert_eq!(of(r#"{"items":7}"#), Ok(0));
    for garbage in ["kind: List", "7", "{", "[[", "{}{"] {
        assert!(of(garbage).is_err(), "{garbage}");
    }
}

#[test]
fn targets() {
    check_prometheus("scraped", |facts| facts.up.as_mut().unwrap()[1].2 = 0.0, Fail);
    check_prometheus("scraped", |facts| drop(facts.up.as_mut().unwrap().pop()), Fail);
    check_prometheus("scraped", |facts| facts.up = Ok(Vec::new()), Fail);
    check_prometheus("scraped", |facts| facts.up = Err("away".to_owned()), Fail);
    check_prometheus(
        "scraped",
        |facts| facts.up.as_mut().unwrap().push(("tidemark".to_owned(), "another".to_owned(), 1.0)),
        Good,
    );
    let twice = |facts: &mut PrometheusFacts| {
        let first = facts.up.as_ref().unwrap()[0].clone();
        let up = facts.up.as_mut().unwrap();
        up[2] = ("tidemark-peers".to_owned(), first.1, 1.0);
    };
    check_prometheus("scraped", twice, Fail);
    let unknown = Missing { reason: "no token".to_owned(), is_failure: false };
    assert_eq!(outcome("scraped", &Facts { cluster: Err(unknown), ..facts() }), Unknown);
}

#[test]
fn alerts() {
    let fires = |severity: &str| {
        let one = ("TidemarkHighDisk".to_owned(), severity.to_owned());
        move |facts: &mut PrometheusFacts| facts.firing.as_mut().unwrap().push(one)
    };
    check_prometheus("alerts", fires("info"), Good);
    check_prometheus("alerts", fires("warning"), Warn);
    check_prometheus("alerts", fires("critical"), Fail);
    check_prometheus("alerts", |facts| drop(facts.rules.as_mut().unwrap().pop()), Fail);
    check_prometheus("alerts", |facts| facts.rules.as_mut().unwrap()[0].health = "err".to_owned(), Fail);
    let of_others = Rule { name: "Other".to_owned(), health: "err".to_owned(), error: String::new() };
    check_prometheus("alerts", |facts| facts.rules.as_mut().unwrap().push(of_others), Good);
    check_prometheus("alerts", |facts| facts.rules = Err("away".to_owned()), Unknown);
}

#[test]
fn pressure() {
    let is = |ratio| move |facts: &mut PrometheusFacts| facts.pressure.as_mut().unwrap()[0].1 = ratio;
    check_prometheus("pressure", is(0.7), Good);
    check_prometheus("pressure", is(0.71), Warn);
    check_prometheus("pressure", is(1.2), Warn);
    check_prometheus("pressure", is(1.21), Fail);
    // Without it the figures of now, by which nothing fails.
    let alone = |name: &str, value: &str, expected| {
        let node = asked(metrics(&[(name, value)]));
        let facts = Facts { prometheus: Err("no address".to_owned()), nodes: vec![node], ..facts() };
        assert_eq!(outcome("pressure", &facts), expected, "{name} {value}");
    };
    alone("tidemark_memory_bytes{account=\"queries\"}", "70", Good);
    alone("tidemark_memory_bytes{account=\"queries\"}", "71", Warn);
    alone("tidemark_memory_bytes{account=\"index\"}", "55", Good);
    alone("tidemark_memory_bytes{account=\"index\"}", "57", Warn);
    alone("tidemark_storage_free_bytes", "48", Good);
    alone("tidemark_storage_free_bytes", "5", Warn);
}
