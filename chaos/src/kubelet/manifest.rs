//! The objects of rendered manifests: those that something is done with here, and the kinds of all others, so that nothing
//! is passed over in silence.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::template::{Labels, Metadata, Selector, Template};

/// Manifests that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    /// It is not YAML.
    #[error("the manifests")]
    Yaml(#[source] serde_norway::Error),
    /// An object is not what its kind is.
    #[error("{kind} {name}")]
    Object { kind: String, name: String, source: serde_json::Error },
}

/// An object with a specification.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Object<S> {
    #[serde(default)]
    pub(crate) metadata: Metadata,
    pub(crate) spec: S,
}

/// Pods that have a name and volumes of their own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct StatefulSetSpec {
    pub(crate) replicas: Option<usize>,
    pub(crate) service_name: String,
    pub(crate) selector: Selector,
    pub(crate) template: Template,
    pub(crate) pod_management_policy: Management,
    pub(crate) update_strategy: UpdateStrategy,
    pub(crate) min_ready_seconds: u64,
    pub(crate) volume_claim_templates: Vec<ClaimTemplate>,
    pub(crate) persistent_volume_claim_retention_policy: Retention,
}

/// In which order pods come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Management {
    /// Each when the one before is ready.
    #[default]
    OrderedReady,
    /// All at once.
    Parallel,
}

/// How pods are replaced by new ones.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct UpdateStrategy {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) rolling_update: RollingUpdate,
}

/// How many at a time, and which.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RollingUpdate {
    pub(crate) partition: usize,
    pub(crate) max_surge: Option<Value>,
    pub(crate) max_unavailable: Option<Value>,
}

/// A volume for each pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ClaimTemplate {
    pub(crate) metadata: Metadata,
}

/// What becomes of volumes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Retention {
    pub(crate) when_scaled: Option<String>,
    pub(crate) when_deleted: Option<String>,
}

/// Pods that are all alike.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct DeploymentSpec {
    pub(crate) replicas: Option<usize>,
    pub(crate) selector: Selector,
    pub(crate) template: Template,
    pub(crate) strategy: UpdateStrategy,
    pub(crate) min_ready_seconds: u64,
}

/// A name for many pods.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    pub(crate) cluster_ip: String,
    pub(crate) selector: Labels,
    pub(crate) ports: Vec<ServicePort>,
    pub(crate) publish_not_ready_addresses: bool,
}

/// A port of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ServicePort {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) target_port: Option<Value>,
}

/// How many pods may be taken away at a time.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct BudgetSpec {
    pub(crate) selector: Selector,
    pub(crate) min_available: Option<Value>,
    pub(crate) max_unavailable: Option<Value>,
    pub(crate) unhealthy_pod_eviction_policy: Option<String>,
}

/// How many pods a Deployment has at least.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct AutoscalerSpec {
    pub(crate) scale_target_ref: Reference,
    pub(crate) min_replicas: Option<usize>,
}

/// Another object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Reference {
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// A certificate that is to be in a Secret.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct CertificateSpec {
    pub(crate) secret_name: String,
    pub(crate) common_name: String,
    pub(crate) dns_names: Vec<String>,
    pub(crate) ip_addresses: Vec<String>,
    #[serde(rename = "isCA")]
    pub(crate) is_ca: bool,
    pub(crate) issuer_ref: Reference,
}

/// Who signs certificates: by a Secret with an authority's certificate, or else in a way of its own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IssuerSpec {
    pub(crate) ca: Option<IssuerAuthority>,
}

/// The Secret.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct IssuerAuthority {
    pub(crate) secret_name: String,
}

/// Values that are kept elsewhere and are to be in a Secret.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ExternalSpec {
    pub(crate) target: Reference,
    pub(crate) data: Vec<ExternalKey>,
}

/// One of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ExternalKey {
    pub(crate) secret_key: String,
}

/// Name and namespace.
pub(crate) type Key = (String, String);
/// The keys of a ConfigMap or Secret with their values.
pub(crate) type Contents = BTreeMap<String, Vec<u8>>;

/// All that is done something with.
#[derive(Debug, Default)]
pub(crate) struct Manifests {
    pub(crate) stateful_sets: Vec<Object<StatefulSetSpec>>,
    pub(crate) deployments: Vec<Object<DeploymentSpec>>,
    pub(crate) services: Vec<Object<ServiceSpec>>,
    pub(crate) budgets: Vec<Object<BudgetSpec>>,
    pub(crate) autoscalers: Vec<Object<AutoscalerSpec>>,
    pub(crate) certificates: Vec<Object<CertificateSpec>>,
    /// By kind, namespace and name.
    pub(crate) issuers: BTreeMap<(String, String, String), IssuerSpec>,
    pub(crate) externals: Vec<Object<ExternalSpec>>,
    pub(crate) config_maps: BTreeMap<Key, Contents>,
    pub(crate) secrets: BTreeMap<Key, Contents>,
    pub(crate) policies: Vec<Object<super::admission::PolicySpec>>,
    pub(crate) bindings: Vec<Object<super::admission::BindingSpec>>,
    /// Labels of namespaces.
    pub(crate) namespaces: BTreeMap<String, Labels>,
    /// Objects as they are written, for admission policies.
    pub(crate) raw: BTreeMap<(String, Key), Value>,
    /// Kinds that nothing is done with, and how often they are there.
    pub(crate) without_effect: BTreeMap<String, usize>,
}

impl Manifests {
    /// Reads what `kubectl kustomize` prints.
    pub(crate) fn read(text: &str) -> Result<Self, ManifestError> {
        let mut this = Self::default();
        for document in serde_norway::Deserializer::from_str(text) {
            let object = Value::deserialize(document).map_err(ManifestError::Yaml)?;
            if !object.is_null() {
                this.take(object)?;
            }
        }
        Ok(this)
    }

    fn take(&mut self, object: Value) -> Result<(), ManifestError> {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        let key = key_of(&object);
        match kind.as_str() {
            "StatefulSet" => self.stateful_sets.push(typed(&object)?),
            "Deployment" => self.deployments.push(typed(&object)?),
            "Service" => self.services.push(typed(&object)?),
            "PodDisruptionBudget" => self.budgets.push(typed(&object)?),
            "HorizontalPodAutoscaler" => self.autoscalers.push(typed(&object)?),
            "Certificate" => self.certificates.push(typed(&object)?),
            "ExternalSecret" => self.externals.push(typed(&object)?),
            "ValidatingAdmissionPolicy" => self.policies.push(typed(&object)?),
            "ValidatingAdmissionPolicyBinding" => self.bindings.push(typed(&object)?),
            "Issuer" | "ClusterIssuer" => {
                let issuer: Object<IssuerSpec> = typed(&object)?;
                self.issuers.insert((kind.clone(), key.0.clone(), key.1.clone()), issuer.spec);
            }
            "ConfigMap" => drop(self.config_maps.insert(key.clone(), contents(&object))),
            "Secret" => drop(self.secrets.insert(key.clone(), contents(&object))),
            "Namespace" => {
                let metadata: Metadata =
                    serde_json::from_value(object["metadata"].clone()).unwrap_or_default();
                self.namespaces.insert(metadata.name, metadata.labels);
            }
            other => *self.without_effect.entry(other.to_owned()).or_default() += 1,
        }
        self.raw.insert((kind, key), object);
        Ok(())
    }
}

fn key_of(object: &Value) -> Key {
    let of = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (of("namespace"), of("name"))
}

fn typed<T: DeserializeOwned>(object: &Value) -> Result<T, ManifestError> {
    serde_json::from_value(object.clone()).map_err(|source| ManifestError::Object {
        kind: object["kind"].as_str().unwrap_or_default().to_owned(),
        name: key_of(object).1,
        source,
    })
}

/// What a ConfigMap or Secret holds.
fn contents(object: &Value) -> Contents {
    let text = |value: &Value| value.as_str().unwrap_or_default().as_bytes().to_vec();
    let plain =
        ["data", "stringData"].into_iter().filter(|field| *field != "data" || object["kind"] != "Secret");
    let plain = plain.flat_map(|field| object[field].as_object().into_iter().flatten());
    let mut all: Contents = plain.map(|(key, value)| (key.clone(), text(value))).collect();
    let coded = if object["kind"] == "Secret" { &object["data"] } else { &object["binaryData"] };
    for (key, value) in coded.as_object().into_iter().flatten() {
        let decoded = decode(value.as_str().unwrap_or_default());
        all.entry(key.clone()).or_insert(decoded);
    }
    all
}

/// Base64, over as many lines as it was written on. What is none is nothing.
fn decode(text: &str) -> Vec<u8> {
    let text: String = text.split_whitespace().collect();
    STANDARD.decode(text).unwrap_or_default()
}

#[cfg(test)]
mod tests;
