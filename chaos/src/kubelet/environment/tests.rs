use serde_json::json;

use super::*;

fn facts() -> Facts {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Facts {
        name: "tidemark-1".to_owned(),
        namespace: "tidemark".to_owned(),
        uid: "1".to_owned(),
        labels: Labels::from([label("topology.kubernetes.io/zone", "b")]),
        annotations: Labels::new(),
        node: "node-b0".to_owned(),
        account: "tidemark".to_owned(),
        address: Ipv4Addr::new(10, 0, 0, 2),
        host: Ipv4Addr::new(10, 0, 0, 9),
    }
}

fn container(text: Value) -> Container {
    serde_json::from_value(text).unwrap()
}

fn store(name: &str, key: &str, value: &str) -> BTreeMap<Key, Contents> {
    let contents = Contents::from([(key.to_owned(), value.as_bytes().to_vec())]);
    BTreeMap::from([(("tidemark".to_owned(), name.to_owned()), contents)])
}

fn environment_of(text: Value) -> Result<BTreeMap<String, String>, EnvironmentError> {
    let (config_maps, secrets) = (store("config", "LEVEL", "warn"), store("init", "token", "t0p"));
    let stores = Stores { config_maps: &config_maps, secrets: &secrets };
    let image = [("LEVEL".to_owned(), "info".to_owned()), ("FORMAT".to_owned(), "json".to_owned())];
    let container = container(text);
    environment(&image, &container, &[&container], &facts(), stores)
}

#[test]
fn variables_in_words_become_values_and_what_is_not_known_stays() {
    let known = BTreeMap::from([("A".to_owned(), "x".to_owned())]);
    for (text, expanded) in [
        ("$(A)", "x"),
        ("a-$(A)-b$(A)", "a-x-bx"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$x"),
        ("$(B)", "$(B)"),
        ("$A", "$A"),
        ("$(A", "$(A"),
        ("$", "$"),
    ] {
        assert_eq!(expand(text, &known), expanded, "{text}");
    }
}

#[test]
fn values_come_from_fields_resources_and_keys_and_later_ones_count() {
    let known = environment_of(json!({
        "name": "tidemark",
        "resources": {"limits": {"memory": "1Gi", "cpu": "1500m"}},
        "envFrom": [{"configMapRef": {"name": "config"}}],
        "env": [
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "ZONE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['topology.kubernetes.io/zone']"}}},
            {"name": "ADDRESS", "value": "$(NAME).peers:8088"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "init", "key": "token"}}},
            {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            {"name": "ABSENT", "valueFrom": {"secretKeyRef": {"name": "other", "key": "k", "optional": true}}},
        ],
    }))
    .unwrap();
    for (name, value) in [
        ("NAME", "tidemark-1"),
        ("HOSTNAME", "tidemark-1"),
        ("ZONE", "b"),
        ("ADDRESS", "tidemark-1.peers:8088"),
        ("TOKEN", "t0p"),
        ("MEMORY", "1024"),
        ("CPU", "2"),
        ("LEVEL", "warn"),
        ("FORMAT", "json"),
    ] {
        assert_eq!(known.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!known.contains_key("ABSENT"));
}

#[test]
fn a_key_that_must_be_there_and_is_not_is_an_error() {
    let missing =
        json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "init", "key": "no"}}}]});
    let key = ("init".to_owned(), "no".to_owned());
    let error = EnvironmentError::Key { kind: "Secret", name: key.0, key: key.1 };
    assert_eq!(environment_of(missing), Err(error));
}

#[test]
fn a_command_replaces_the_entry_point_and_the_images_command() {
    let (entry, of_image) = (vec!["/bin/server".to_owned()], vec!["serve".to_owned()]);
    let known = BTreeMap::from([("A".to_owned(), "x".to_owned())]);
    let check = |text: Value| words(&entry, &of_image, &container(text), &known).join(" ");
    assert_eq!(check(json!({})), "/bin/server serve");
    assert_eq!(check(json!({"args": ["--a", "$(A)"]})), "/bin/server --a x");
    assert_eq!(check(json!({"command": ["run", "$(A)"]})), "run x");
    assert_eq!(check(json!({"command": ["run"], "args": ["b"]})), "run b");
}

#[test]
fn quantities() {
    for (text, expected) in
        [("1", 1000), ("250m", 250), ("0.5", 500), ("1.5Gi", 1_610_612_736_000), ("2k", 2_000_000)]
    {
        assert_eq!(milli(&json!(text)), Some(expected), "{text}");
    }
    assert_eq!((milli(&json!(2)), milli(&json!("x")), milli(&json!("1Q"))), (Some(2000), None, None));
}
