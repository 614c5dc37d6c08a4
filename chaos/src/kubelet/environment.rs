//! The environment and the words of a container: values, fields of the pod, resources, keys of ConfigMaps and Secrets, and
//! `$(VAR)` in all of them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::Value;

use super::manifest::{Contents, Key};
use super::template::{Container, FieldRef, KeyRef, Labels, ResourceRef, Source, Variable};

/// What a node has, for containers without limits.
const NODE_CPU_MILLI: u64 = 2000;
const NODE_MEMORY: u64 = 8 << 30;

/// A container cannot be started for want of something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnvironmentError {
    /// A ConfigMap or Secret, or its key.
    #[error("{kind} {name} has no {key}")]
    Key { kind: &'static str, name: String, key: String },
    /// Nothing of a pod is called so.
    #[error("a pod has no field {0}")]
    Field(String),
    /// Nothing of a container is called so.
    #[error("a container has no resource {0}")]
    Resource(String),
}

/// What a pod's containers can ask of it.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    pub(crate) node: String,
    pub(crate) account: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) host: Ipv4Addr,
}

/// ConfigMaps and Secrets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stores<'a> {
    pub(crate) config_maps: &'a BTreeMap<Key, Contents>,
    pub(crate) secrets: &'a BTreeMap<Key, Contents>,
}

impl Facts {
    /// A field by its path.
    pub(crate) fn field(&self, field: &FieldRef) -> Result<String, EnvironmentError> {
        let path = field.field_path.as_str();
        let quoted = |map: &str| path.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']");
        // A label that is not there is empty.
        let of = |map: &Labels, key: &str| map.get(key).cloned().unwrap_or_default();
        if let Some(key) = quoted("metadata.labels") {
            return Ok(of(&self.labels, key));
        }
        if let Some(key) = quoted("metadata.annotations") {
            return Ok(of(&self.annotations, key));
        }
        Ok(match path {
            "metadata.name" => self.name.clone(),
            "metadata.namespace" => self.namespace.clone(),
            "metadata.uid" => self.uid.clone(),
            "metadata.labels" => lines(&self.labels),
            "metadata.annotations" => lines(&self.annotations),
            "spec.nodeName" => self.node.clone(),
            "spec.serviceAccountName" => self.account.clone(),
            "status.podIP" | "status.podIPs" => self.address.to_string(),
            "status.hostIP" | "status.hostIPs" => self.host.to_string(),
            other => return Err(EnvironmentError::Field(other.to_owned())),
        })
    }
}

/// As files of the downward API have labels.
fn lines(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value:?}\n")).collect()
}

/// A resource of a container, in units of the divisor, rounded up.
pub(crate) fn resource(asked: &ResourceRef, containers: &[&Container]) -> Result<String, EnvironmentError> {
    let unknown = || EnvironmentError::Resource(asked.resource.clone());
    let named = |one: &&&Container| asked.container_name.is_empty() || one.name == asked.container_name;
    let container = containers.iter().find(named).ok_or_else(unknown)?;
    let (which, name) = asked.resource.split_once('.').ok_or_else(unknown)?;
    let amounts = if which == "limits" { &container.resources.limits } else { &container.resources.requests };
    let milli = match amounts.get(name) {
        Some(amount) => milli(amount).ok_or_else(unknown)?,
        None if which == "requests" => 0,
        None if name == "cpu" => u128::from(NODE_CPU_MILLI),
        None if name == "memory" => u128::from(NODE_MEMORY) * 1000,
        None => return Err(unknown()),
    };
    let divisor = asked.divisor.as_ref().and_then(self::milli).filter(|divisor| *divisor > 0).unwrap_or(1000);
    Ok(milli.div_ceil(divisor).to_string())
}

/// A quantity in thousandths.
pub(crate) fn milli(quantity: &Value) -> Option<u128> {
    let text = match quantity {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let times: u128 = match unit {
        "m" => 1,
        "" => 1000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000 << 40,
        _ => return None,
    };
    let fraction = &fraction[..fraction.len().min(9)];
    let parts = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? };
    let of = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    Some(whole.parse::<u128>().ok()? * times + parts * times / of)
}

/// The environment of a container: what its image says, then `envFrom`, then `env`; of two values the later counts.
pub(crate) fn environment(
    image: &[(String, String)],
    container: &Container,
    all: &[&Container],
    facts: &Facts,
    stores: Stores<'_>,
) -> Result<BTreeMap<String, String>, EnvironmentError> {
    // What the image says is not known to `$(VAR)`.
    let mut known = BTreeMap::from([("HOSTNAME".to_owned(), facts.name.clone())]);
    for source in &container.env_from {
        let both = [
            ("ConfigMap", &source.config_map_ref, stores.config_maps),
            ("Secret", &source.secret_ref, stores.secrets),
        ];
        for (kind, reference, store) in both {
            let Some(reference) = reference else { continue };
            let found = store.get(&(facts.namespace.clone(), reference.name.clone()));
            let contents = match found {
                Some(contents) => contents,
                None if reference.optional => continue,
                None => return Err(no_key(kind, reference)),
            };
            let named = |(key, value): (&String, &Vec<u8>)| (format!("{}{key}", source.prefix), text(value));
            known.extend(contents.iter().map(named));
        }
    }
    for variable in &container.env {
        let value = match (&variable.value, &variable.value_from) {
            (None, Some(source)) => match of_source(source, container, all, facts, stores)? {
                Some(value) => value,
                None => continue,
            },
            (value, _) => expand(value.as_deref().unwrap_or_default(), &known),
        };
        known.insert(variable.name.clone(), value);
    }
    let mut environment: BTreeMap<String, String> = image.iter().cloned().collect();
    environment.extend(known);
    Ok(environment)
}

/// The value of a source; nothing where it is not there and need not be.
fn of_source(
    source: &Source,
    container: &Container,
    all: &[&Container],
    facts: &Facts,
    stores: Stores<'_>,
) -> Result<Option<String>, EnvironmentError> {
    if let Some(field) = &source.field_ref {
        return facts.field(field).map(Some);
    }
    if let Some(asked) = &source.resource_field_ref {
        let own = [container];
        let of = if asked.container_name.is_empty() { &own[..] } else { all };
        return resource(asked, of).map(Some);
    }
    let both = [
        ("ConfigMap", &source.config_map_key_ref, stores.config_maps),
        ("Secret", &source.secret_key_ref, stores.secrets),
    ];
    for (kind, reference, store) in both {
        let Some(reference) = reference else { continue };
        let contents = store.get(&(facts.namespace.clone(), reference.name.clone()));
        return match contents.and_then(|contents| contents.get(&reference.key)) {
            Some(value) => Ok(Some(text(value))),
            None if reference.optional => Ok(None),
            None => Err(no_key(kind, reference)),
        };
    }
    Ok(None)
}

fn no_key(kind: &'static str, reference: &KeyRef) -> EnvironmentError {
    EnvironmentError::Key { kind, name: reference.name.clone(), key: reference.key.clone() }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// `$(VAR)` becomes its value, where there is one; `$$(VAR)` becomes `$(VAR)`.
pub(crate) fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
            continue;
        }
        let name = rest.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        match name {
            Some((name, after)) => {
                match known.get(name) {
                    Some(value) => expanded.push_str(value),
                    None => expanded.push_str(&format!("$({name})")),
                }
                rest = after;
            }
            None => expanded.push('$'),
        }
    }
    expanded + rest
}

/// What a container runs: `command` in place of the image's entry point, `args` in place of its command.
pub(crate) fn words(
    entry_point: &[String],
    image_command: &[String],
    container: &Container,
    known: &BTreeMap<String, String>,
) -> Vec<String> {
    let of_image = match &container.command {
        Some(_) => &[][..],
        None => image_command,
    };
    let program = container.command.as_deref().unwrap_or(entry_point);
    let arguments = container.args.as_deref().unwrap_or(of_image);
    let is_of_image = container.command.is_none();
    let own = |word: &String| expand(word, known);
    let program: Vec<String> = if is_of_image { program.to_vec() } else { program.iter().map(own).collect() };
    let arguments: Vec<String> = match container.args {
        Some(_) => arguments.iter().map(own).collect(),
        None => arguments.to_vec(),
    };
    [program, arguments].concat()
}

/// Headers of a request; they have no sources.
pub(crate) fn headers(variables: &[Variable]) -> impl Iterator<Item = (&str, &str)> {
    variables.iter().map(|one| (one.name.as_str(), one.value.as_deref().unwrap_or_default()))
}

#[cfg(test)]
mod tests;
