use std::path::Path;

use super::*;

fn fixture() -> Manifests {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/manifests.yaml");
    Manifests::read(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn objects_are_read_as_they_are_rendered() {
    let manifests = fixture();
    let [set] = manifests.stateful_sets.as_slice() else { panic!("{manifests:?}") };
    assert_eq!(set.spec.pod_management_policy, Management::Parallel);
    let [container] = set.spec.template.spec.containers.as_slice() else { panic!("{set:?}") };
    let probe = container.readiness_probe.as_ref().unwrap();
    assert_eq!((probe.period_seconds, probe.timeout_seconds, probe.failure_threshold), (1, 2, 2));
    let get = probe.action.http_get.as_ref().unwrap();
    assert_eq!(container.port(&get.port), Some(8086));
    assert_eq!(set.spec.template.spec.without_effect(), [""; 0]);
    assert!(manifests.services.iter().any(|one| one.spec.publish_not_ready_addresses));
}

#[test]
fn kinds_that_nothing_is_done_with_are_counted() {
    let manifests = fixture();
    assert_eq!(manifests.without_effect, BTreeMap::from([("ServiceAccount".to_owned(), 1)]));
}

#[test]
fn secrets_are_decoded_and_plain_ones_taken_as_they_are() {
    let text = "kind: Secret\nmetadata: {name: s, namespace: n}\ndata: {a: aGVsbG8=, b: ''}\nstringData: {c: plain}\n";
    let manifests = Manifests::read(text).unwrap();
    let secret = &manifests.secrets[&("n".to_owned(), "s".to_owned())];
    assert_eq!(secret["a"], b"hello");
    assert_eq!((secret["b"].as_slice(), secret["c"].as_slice()), (&b""[..], &b"plain"[..]));
}

#[test]
fn fields_that_nothing_is_done_with_are_named() {
    let text = "kind: StatefulSet\nmetadata: {name: t, namespace: n}\nspec: {template: {spec: {hostNetwork: true, \
                volumes: [{name: v, nfs: {}}], containers: [{name: c, image: t, workingDir: /x, lifecycle: {postStart: {}}}]}}}\n";
    let manifests = Manifests::read(text).unwrap();
    let named = manifests.stateful_sets[0].spec.template.spec.without_effect();
    assert_eq!(named, ["hostNetwork", "c.workingDir", "c.lifecycle.postStart", "volume v: nfs"]);
}
