//! Checks of the objects in Kubernetes, as `kubectl get … -o json` prints them. They come from outside: any member may be
//! missing, or of another kind.

use serde_json::Value;

use super::machine;
use crate::doctor::facts::Facts;
use crate::doctor::finding::{Finding, Judged, Place, Verdict, listed};

/// What Kubernetes takes where nothing is said.
const GRACE_SECONDS: u64 = 30;
/// What `pre-stop` takes where nothing is said.
const PRE_STOP_SECONDS: u64 = 60;

/// A StatefulSet of nodes, or a Deployment of gateways.
struct Workload<'a> {
    object: &'a Value,
    container: &'a Value,
    is_set: bool,
}

impl<'a> Workload<'a> {
    fn of(object: &'a Value) -> Option<Self> {
        let is_set = match object["kind"].as_str()? {
            "StatefulSet" => true,
            "Deployment" => false,
            _ => return None,
        };
        let containers = object["spec"]["template"]["spec"]["containers"].as_array()?;
        let container = containers.iter().find(|container| is_ours(container))?;
        Some(Self { object, container, is_set })
    }

    fn name(&self) -> String {
        let of = |member: &str| self.object["metadata"][member].as_str().unwrap_or_default();
        let name = format!("{} {}", self.object["kind"].as_str().unwrap_or_default(), of("name"));
        if of("namespace").is_empty() { name } else { format!("{name} in {}", of("namespace")) }
    }

    fn pod(&self) -> &'a Value {
        &self.object["spec"]["template"]["spec"]
    }
}

/// Whether a container runs Tidemark: its image says so, or its command.
fn is_ours(container: &Value) -> bool {
    let image = container["image"].as_str().unwrap_or_default();
    let image = image.split('@').next().unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default().split(':').next();
    let serves = || array(&container["args"]).iter().any(|argument| argument == "serve");
    name == Some("tidemark") || container["name"] == "tidemark" && serves()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The objects of a text: one or several, alone or in lists, one text after the other.
pub(crate) fn objects(text: &str) -> Result<Vec<Value>, String> {
    let mut objects = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        match document.map_err(|error| format!("it is not what `kubectl get … -o json` prints: {error}"))? {
            Value::Object(mut object) if object.contains_key("items") => {
                if let Some(Value::Array(items)) = object.remove("items") {
                    objects.extend(items);
                }
            }
            object @ Value::Object(_) => objects.push(object),
            Value::Array(items) => objects.extend(items),
            other => return Err(format!("it holds no objects of Kubernetes: {other}")),
        }
    }
    Ok(objects)
}

/// What is found in each workload.
fn of_workloads(facts: &Facts, judge: impl Fn(&Workload<'_>, &[Value]) -> Judged) -> Vec<Finding> {
    let objects = match &facts.kubernetes {
        Ok(objects) => objects,
        Err(reason) => return vec![Verdict::unknown(reason).about(Place::Kubernetes, "")],
    };
    let workloads: Vec<Workload<'_>> = objects.iter().filter_map(Workload::of).collect();
    if workloads.is_empty() {
        let text = "the file has no StatefulSet and no Deployment of Tidemark";
        return vec![Verdict::unknown(text).about(Place::Kubernetes, "")];
    }
    let find = |workload: &Workload<'_>| {
        Verdict::of(judge(workload, objects)).about(Place::Kubernetes, workload.name())
    };
    workloads.iter().map(find).collect()
}

pub(crate) fn grace(facts: &Facts) -> Vec<Finding> {
    of_workloads(facts, |workload, _| {
        let grace = workload.pod()["terminationGracePeriodSeconds"].as_u64().unwrap_or(GRACE_SECONDS);
        let command: Vec<&str> = array(&workload.container["lifecycle"]["preStop"]["exec"]["command"])
            .iter()
            .filter_map(Value::as_str)
            .collect();
        if !command.contains(&"pre-stop") {
            return Ok(Verdict::fail("no preStop hook runs `tidemark pre-stop`"));
        }
        let timeout = timeout(&command)?;
        let text = format!("{grace} s to stop, of which pre-stop may take {timeout}");
        Ok(if grace <= timeout {
            Verdict::fail(text)
        } else if grace < timeout.saturating_mul(2) {
            Verdict::warn(format!("{text}; twice that is right"))
        } else {
            Verdict::ok(text)
        })
    })
}

/// Seconds of `--timeout 60s`.
fn timeout(command: &[&str]) -> Result<u64, String> {
    let after = command.iter().position(|word| *word == "--timeout").map(|at| command.get(at + 1));
    let given = match after {
        Some(after) => after.copied(),
        None => command.iter().find_map(|word| word.strip_prefix("--timeout=")),
    };
    let Some(given) = given else { return Ok(PRE_STOP_SECONDS) };
    given.strip_suffix('s').unwrap_or(given).parse().map_err(|_not| format!("--timeout {given}: no seconds"))
}

pub(crate) fn disruption_budget(facts: &Facts) -> Vec<Finding> {
    of_workloads(facts, |workload, objects| {
        let labels = &workload.object["spec"]["template"]["metadata"]["labels"];
        let namespace = &workload.object["metadata"]["namespace"];
        let budgets: Vec<&Value> = objects
            .iter()
            .filter(|object| object["kind"] == "PodDisruptionBudget")
            .filter(|object| object["metadata"]["namespace"] == *namespace)
            .filter(|object| selects(&object["spec"]["selector"], labels))
            .collect();
        // Kubernetes makes one of a missing number.
        let replicas = workload.object["spec"]["replicas"].as_u64().unwrap_or(1);
        match budgets[..] {
            [] if workload.is_set => {
                Ok(Verdict::fail("no PodDisruptionBudget of the file selects its pods (was pdb asked for?)"))
            }
            [] => {
                Ok(Verdict::warn("no PodDisruptionBudget of the file selects its pods (was pdb asked for?)"))
            }
            [budget] => budgeted(&budget["spec"], replicas),
            _ => Ok(Verdict::fail(format!(
                "{} PodDisruptionBudgets select its pods, and then no pod can be evicted",
                budgets.len()
            ))),
        }
    })
}

/// How many pods a budget lets go.
fn budgeted(spec: &Value, replicas: u64) -> Judged {
    let (max, min) = (&spec["maxUnavailable"], &spec["minAvailable"]);
    let (text, go, is_max) = if max.is_null() {
        let stay = pods(min, replicas)?;
        (format!("minAvailable: {}", bare(min)), replicas.saturating_sub(stay), false)
    } else {
        (format!("maxUnavailable: {}", bare(max)), pods(max, replicas)?, true)
    };
    let text = format!("{text} lets {go} of {replicas} go");
    Ok(match go {
        1 if is_max => Verdict::ok(text),
        1 => Verdict::warn(format!("{text}, as long as nobody changes the number of pods")),
        0 => Verdict::fail(format!("{text}: no machine can be emptied")),
        _ => Verdict::fail(format!("{text}: a majority may go")),
    })
}

fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A number of pods, or a share of them, which is rounded up.
fn pods(value: &Value, replicas: u64) -> Result<u64, String> {
    let wrong = || format!("{value} is no number of pods");
    if let Some(number) = value.as_u64() {
        return Ok(number);
    }
    let text = value.as_str().ok_or_else(wrong)?;
    match text.strip_suffix('%') {
        Some(share) => {
            let share: u64 = share.parse().map_err(|_not| wrong())?;
            Ok(replicas.saturating_mul(share).div_ceil(100))
        }
        None => text.parse().map_err(|_not| wrong()),
    }
}

/// Whether a selector selects these labels. An empty one selects everything, a missing one nothing.
fn selects(selector: &Value, labels: &Value) -> bool {
    let Some(members) = selector.as_object() else { return false };
    let wanted = members.get("matchLabels").and_then(Value::as_object);
    let has_all = wanted.is_none_or(|wanted| wanted.iter().all(|(name, value)| labels[name] == *value));
    has_all
        && members.get("matchExpressions").map_or(&[][..], array).iter().all(|expression| {
            let label = &labels[expression["key"].as_str().unwrap_or_default()];
            let is_listed = array(&expression["values"]).contains(label);
            match expression["operator"].as_str() {
                Some("In") => is_listed,
                Some("NotIn") => !is_listed,
                Some("Exists") => !label.is_null(),
                Some("DoesNotExist") => label.is_null(),
                _ => false,
            }
        })
}

pub(crate) fn manifests(facts: &Facts) -> Vec<Finding> {
    of_workloads(facts, |workload, _| {
        let mut wrong = Vec::new();
        for (probe, path) in
            [("startupProbe", "/startupz"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
        {
            if !asks(&workload.container[probe], path) {
                wrong.push(format!("no {probe} asks {path}"));
            }
        }
        let resources = &workload.container["resources"];
        let (requests, limits) = (&resources["requests"]["memory"], &resources["limits"]["memory"]);
        match (quantity(requests), quantity(limits)) {
            (_, None) => wrong.push("memory has no limit".to_owned()),
            // What is not requested is requested as limited.
            (None, Some(_)) if requests.is_null() => {}
            (requested, limited) if requested == limited => {}
            _ => wrong.push(format!("memory: {} requested, limit {}", bare(requests), bare(limits))),
        }
        if workload.is_set {
            let spec = &workload.object["spec"];
            if array(&spec["volumeClaimTemplates"]).is_empty() {
                wrong.push("no volumeClaimTemplates: data go with the pod".to_owned());
            }
            let retention = &spec["persistentVolumeClaimRetentionPolicy"];
            for when in ["whenDeleted", "whenScaled"] {
                if !matches!(retention[when].as_str(), None | Some("Retain")) {
                    wrong.push(format!("volumes: {when} is {}", bare(&retention[when])));
                }
            }
        }
        Ok(if wrong.is_empty() {
            Verdict::ok("three probes; memory requested as limited; volumes stay")
        } else {
            Verdict::fail(listed(&wrong))
        })
    })
}

/// Whether a probe asks a path, by HTTP or by the command that does.
fn asks(probe: &Value, path: &str) -> bool {
    let question = path.trim_start_matches('/');
    let command = array(&probe["exec"]["command"]);
    // `readyz` is what is asked where nothing is named.
    let by_command = command.iter().any(|word| word == "probe")
        && (command.iter().any(|word| word == question) || question == "readyz" && command.len() == 2);
    probe["httpGet"]["path"] == path || by_command
}

/// Milli-bytes of a quantity such as `1Gi` or `0.5G`.
fn quantity(value: &Value) -> Option<u128> {
    let text =
        value.as_str().map_or_else(|| value.as_u64().map(|n| n.to_string()), |t| Some(t.to_owned()))?;
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split)?;
    let factor: u128 = match unit {
        "m" => 1,
        "" => 1_000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "Ki" => 1_000 << 10,
        "Mi" => 1_000 << 20,
        "Gi" => 1_000 << 30,
        "Ti" => 1_000 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = u32::try_from(fraction.len()).ok().filter(|digits| *digits <= 9)?;
    let scale = 10_u128.pow(digits);
    let number: u128 = format!("{whole}{fraction}").parse().ok()?;
    Some(number.checked_mul(factor)?.div_ceil(scale))
}

pub(crate) fn secrets(facts: &Facts) -> Vec<Finding> {
    of_workloads(facts, |workload, objects| {
        let named = |values: &'static str| move |one: &'_ Value| one[values].as_str().map(str::to_owned);
        let containers = ["containers", "initContainers"];
        let containers = containers.iter().flat_map(|kind| array(&workload.pod()[*kind]));
        let containers: Vec<&Value> = containers.collect();
        let own = containers.iter().flat_map(|container| array(&container["env"])).filter_map(named("name"));
        let maps = containers.iter().flat_map(|container| array(&container["envFrom"]));
        let maps: Vec<&str> = maps.filter_map(|from| from["configMapRef"]["name"].as_str()).collect();
        let of_maps = objects
            .iter()
            .filter(|object| {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                object["kind"] == "ConfigMap" && maps.contains(&name)
            })
            .filter_map(|object| object["data"].as_object())
            .flat_map(|data| data.keys().cloned());
        let found: Vec<String> = own.chain(of_maps).filter(|name| machine::is_secret(name)).collect();
        Ok(if found.is_empty() {
            Verdict::ok("no password and no token in the environment")
        } else {
            Verdict::fail(format!("{} in the environment; {}_FILE is right", listed(&found), found[0]))
        })
    })
}

/// The same of processes and of manifests.
pub(crate) fn secrets_in_environment(facts: &Facts) -> Vec<Finding> {
    let mut findings = facts.of_machines(machine::secrets);
    findings.extend(secrets(facts));
    findings
}
