//! What a pod is made from: the part of a pod's specification that something is done with here. What else stands there is
//! kept by name, so that a run can say what it does without.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// Names with values, as labels and annotations are.
pub(crate) type Labels = BTreeMap<String, String>;
/// Fields that nothing is done with.
pub(crate) type Rest = BTreeMap<String, Value>;

/// Name, namespace and what is written on an object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
}

/// A pod to be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Template {
    pub(crate) metadata: Metadata,
    pub(crate) spec: PodSpec,
}

/// What runs in a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodSpec {
    pub(crate) containers: Vec<Container>,
    pub(crate) init_containers: Vec<Container>,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) termination_grace_period_seconds: Option<u64>,
    pub(crate) security_context: SecurityContext,
    pub(crate) node_selector: Labels,
    pub(crate) affinity: Affinity,
    pub(crate) topology_spread_constraints: Vec<Spread>,
    pub(crate) service_account_name: String,
    pub(crate) subdomain: String,
    pub(crate) restart_policy: Option<String>,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

/// One process of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) command: Option<Vec<String>>,
    pub(crate) args: Option<Vec<String>>,
    pub(crate) env: Vec<Variable>,
    pub(crate) env_from: Vec<Source>,
    pub(crate) ports: Vec<Port>,
    pub(crate) resources: Resources,
    pub(crate) volume_mounts: Vec<Mount>,
    pub(crate) startup_probe: Option<Probe>,
    pub(crate) liveness_probe: Option<Probe>,
    pub(crate) readiness_probe: Option<Probe>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) security_context: SecurityContext,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

/// Who a process is, and what it may do.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SecurityContext {
    pub(crate) run_as_user: Option<u32>,
    pub(crate) run_as_group: Option<u32>,
    pub(crate) fs_group: Option<u32>,
    pub(crate) read_only_root_filesystem: bool,
}

/// A variable of the environment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) value_from: Option<Source>,
}

/// Where a value, or many, come from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Source {
    pub(crate) prefix: String,
    pub(crate) field_ref: Option<FieldRef>,
    pub(crate) resource_field_ref: Option<ResourceRef>,
    pub(crate) config_map_key_ref: Option<KeyRef>,
    pub(crate) secret_key_ref: Option<KeyRef>,
    pub(crate) config_map_ref: Option<KeyRef>,
    pub(crate) secret_ref: Option<KeyRef>,
}

/// A field of the pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct FieldRef {
    pub(crate) field_path: String,
}

/// A resource of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ResourceRef {
    pub(crate) container_name: String,
    pub(crate) resource: String,
    pub(crate) divisor: Option<Value>,
}

/// A ConfigMap or Secret, or a key of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct KeyRef {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) optional: bool,
}

/// A port that has a name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) container_port: u16,
}

/// What a container is given, and what it may have at most.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Resources {
    pub(crate) requests: BTreeMap<String, Value>,
    pub(crate) limits: BTreeMap<String, Value>,
}

/// Where a container sees a volume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Mount {
    pub(crate) name: String,
    pub(crate) mount_path: String,
    pub(crate) sub_path: String,
    pub(crate) read_only: bool,
}

/// What a container does before it is told to end.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Lifecycle {
    pub(crate) pre_stop: Option<Action>,
    pub(crate) post_start: Option<Value>,
}

/// A question to a container, or something that it is to do.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Action {
    pub(crate) exec: Option<Exec>,
    pub(crate) http_get: Option<HttpGet>,
    pub(crate) tcp_socket: Option<TcpSocket>,
    pub(crate) sleep: Option<Sleep>,
    pub(crate) grpc: Option<Value>,
}

/// A command in the container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Exec {
    pub(crate) command: Vec<String>,
}

/// A request to the container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct HttpGet {
    pub(crate) path: String,
    pub(crate) port: Value,
    pub(crate) host: String,
    pub(crate) scheme: String,
    pub(crate) http_headers: Vec<Variable>,
}

/// A connection to the container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TcpSocket {
    pub(crate) port: Value,
}

/// Nothing for a while.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Sleep {
    pub(crate) seconds: u64,
}

/// A question that is asked again and again.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Probe {
    #[serde(flatten)]
    pub(crate) action: Action,
    #[serde(default)]
    pub(crate) initial_delay_seconds: u64,
    #[serde(default = "ten")]
    pub(crate) period_seconds: u64,
    #[serde(default = "one")]
    pub(crate) timeout_seconds: u64,
    #[serde(default = "three")]
    pub(crate) failure_threshold: u32,
    #[serde(default = "once")]
    pub(crate) success_threshold: u32,
    pub(crate) termination_grace_period_seconds: Option<u64>,
}

fn ten() -> u64 {
    10
}

fn one() -> u64 {
    1
}

fn three() -> u32 {
    3
}

fn once() -> u32 {
    1
}

/// Something that containers may see.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(crate) empty_dir: Option<Value>,
    pub(crate) config_map: Option<Files>,
    pub(crate) secret: Option<Files>,
    pub(crate) projected: Option<Projected>,
    #[serde(rename = "downwardAPI")]
    pub(crate) downward_api: Option<Downward>,
    pub(crate) persistent_volume_claim: Option<Claim>,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

/// The keys of a ConfigMap or Secret as files.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Files {
    pub(crate) name: String,
    pub(crate) secret_name: String,
    pub(crate) items: Vec<Item>,
    pub(crate) optional: bool,
    pub(crate) default_mode: Option<u32>,
}

/// One key, or one field, as a file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Item {
    pub(crate) key: String,
    pub(crate) path: String,
    pub(crate) mode: Option<u32>,
    pub(crate) field_ref: Option<FieldRef>,
    pub(crate) resource_field_ref: Option<ResourceRef>,
}

/// Files from many places.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Projected {
    pub(crate) sources: Vec<ProjectedSource>,
    pub(crate) default_mode: Option<u32>,
}

/// One of these places.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ProjectedSource {
    pub(crate) config_map: Option<Files>,
    pub(crate) secret: Option<Files>,
    #[serde(rename = "downwardAPI")]
    pub(crate) downward_api: Option<Downward>,
    pub(crate) service_account_token: Option<Item>,
}

/// Fields of the pod as files.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Downward {
    pub(crate) items: Vec<Item>,
}

/// A volume that outlives pods.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Claim {
    pub(crate) claim_name: String,
}

/// Labels that are looked for.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Selector {
    pub(crate) match_labels: Labels,
    pub(crate) match_expressions: Vec<Expression>,
}

/// A demand on one label.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Expression {
    pub(crate) key: String,
    pub(crate) operator: String,
    pub(crate) values: Vec<String>,
}

/// Pods of a kind are to be as many in each place.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Spread {
    pub(crate) max_skew: usize,
    pub(crate) topology_key: String,
    pub(crate) when_unsatisfiable: String,
    pub(crate) label_selector: Selector,
    pub(crate) min_domains: usize,
}

/// Which nodes and other pods a pod is to be with. What is only preferred is not looked at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Affinity {
    pub(crate) node_affinity: NodeAffinity,
    pub(crate) pod_anti_affinity: PodAntiAffinity,
}

/// Which nodes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub(crate) required: NodeTerms,
}

/// Any of these.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct NodeTerms {
    pub(crate) node_selector_terms: Vec<Selector>,
}

/// Not beside these pods.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PodAntiAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub(crate) required: Vec<AntiTerm>,
}

/// Not in the same place as these pods.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct AntiTerm {
    pub(crate) topology_key: String,
    pub(crate) label_selector: Selector,
}

impl Selector {
    /// Whether these labels are looked for. An empty selector looks for all.
    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|one| one.holds(labels))
    }
}

impl Expression {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let is_one = value.is_some_and(|value| self.values.contains(value));
        match self.operator.as_str() {
            "In" => is_one,
            "NotIn" => !is_one,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            // Others compare numbers, which no label here is.
            _ => false,
        }
    }
}

impl PodSpec {
    /// How long its containers may take to end.
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(self.termination_grace_period_seconds.unwrap_or(30))
    }

    /// Fields that nothing is done with, and that might matter.
    pub(crate) fn without_effect(&self) -> Vec<String> {
        const HARMLESS: [&str; 16] = [
            "enableServiceLinks",
            "automountServiceAccountToken",
            "serviceAccount",
            "priorityClassName",
            "dnsPolicy",
            "schedulerName",
            "imagePullSecrets",
            "tolerations",
            "imagePullPolicy",
            "terminationMessagePath",
            "terminationMessagePolicy",
            "stdin",
            "tty",
            "hostname",
            "preemptionPolicy",
            "os",
        ];
        let matters = |name: &&String| !HARMLESS.contains(&name.as_str());
        let mut names: Vec<String> = self.rest.keys().filter(matters).cloned().collect();
        for container in self.containers.iter().chain(&self.init_containers) {
            names.extend(
                container.rest.keys().filter(matters).map(|name| format!("{}.{name}", container.name)),
            );
            if container.lifecycle.post_start.is_some() {
                names.push(format!("{}.lifecycle.postStart", container.name));
            }
            let probes = [&container.startup_probe, &container.liveness_probe, &container.readiness_probe];
            if probes.into_iter().flatten().any(|probe| probe.action.grpc.is_some()) {
                names.push(format!("{}: a gRPC probe", container.name));
            }
        }
        for volume in &self.volumes {
            names.extend(volume.rest.keys().map(|kind| format!("volume {}: {kind}", volume.name)));
        }
        names
    }
}

impl Container {
    /// A port by its number or name.
    pub(crate) fn port(&self, named: &Value) -> Option<u16> {
        match named {
            Value::Number(number) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
            Value::String(name) => {
                let of_name =
                    self.ports.iter().find(|port| port.name == *name).map(|port| port.container_port);
                of_name.or_else(|| name.parse().ok())
            }
            _ => None,
        }
    }
}
