//! ValidatingAdmissionPolicies: whether the manifests themselves allow a change, by their CEL expressions.

use std::collections::{BTreeMap, HashMap};

use cel::objects::Key;
use cel::{Context, Program};
use serde::Deserialize;
use serde_json::Value;

use super::manifest::{Manifests, Object, Reference};
use super::template::{Labels, Selector};

/// A policy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PolicySpec {
    failure_policy: Option<String>,
    param_kind: Option<Reference>,
    match_constraints: Rules,
    match_conditions: Vec<Named>,
    variables: Vec<Named>,
    validations: Vec<Validation>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Rules {
    resource_rules: Vec<Rule>,
    namespace_selector: Option<Selector>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Rule {
    operations: Vec<String>,
    resources: Vec<String>,
    resource_names: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
    expression: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Validation {
    expression: String,
    message: String,
    message_expression: String,
}

/// Where a policy holds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct BindingSpec {
    policy_name: String,
    validation_actions: Vec<String>,
    param_ref: Option<ParamRef>,
    match_resources: Rules,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ParamRef {
    name: String,
    namespace: String,
    parameter_not_found_action: String,
}

/// A change that somebody wants to make.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    /// `statefulsets`, or `statefulsets/scale`.
    pub(crate) resource: &'a str,
    /// `CREATE` or `UPDATE`.
    pub(crate) operation: &'a str,
    pub(crate) object: Value,
    pub(crate) old: Value,
}

/// Whether a change is allowed; if not, what its maker is told.
pub(crate) fn admit(manifests: &Manifests, change: &Change<'_>) -> Result<(), String> {
    for binding in &manifests.bindings {
        let spec = &binding.spec;
        let denies = spec.validation_actions.iter().any(|action| action == "Deny");
        let policy = manifests.policies.iter().find(|policy| policy.metadata.name == spec.policy_name);
        let Some(policy) = policy.filter(|_| denies) else { continue };
        if concerns(&policy.spec, spec, manifests, change) {
            judge(policy, spec, manifests, change)?;
        }
    }
    Ok(())
}

/// Whether a policy is about a change at all.
fn concerns(policy: &PolicySpec, binding: &BindingSpec, manifests: &Manifests, change: &Change<'_>) -> bool {
    let name = change.object["metadata"]["name"].as_str().unwrap_or_default();
    let has = |list: &[String], word: &str| list.iter().any(|one| one == "*" || one == word);
    let of_rule = |rule: &Rule| {
        let named = rule.resource_names.is_empty() || has(&rule.resource_names, name);
        named && has(&rule.operations, change.operation) && has(&rule.resources, change.resource)
    };
    let namespace = namespace_labels(manifests, change);
    let selectors = [&policy.match_constraints, &binding.match_resources];
    policy.match_constraints.resource_rules.iter().any(of_rule)
        && selectors
            .iter()
            .filter_map(|one| one.namespace_selector.as_ref())
            .all(|one| one.matches(&namespace))
}

fn namespace_of<'a>(change: &'a Change<'_>) -> &'a str {
    change.object["metadata"]["namespace"].as_str().unwrap_or_default()
}

fn namespace_labels(manifests: &Manifests, change: &Change<'_>) -> Labels {
    manifests.namespaces.get(namespace_of(change)).cloned().unwrap_or_default()
}

/// What a policy says of a change that it is about.
fn judge(
    policy: &Object<PolicySpec>,
    binding: &BindingSpec,
    manifests: &Manifests,
    change: &Change<'_>,
) -> Result<(), String> {
    let spec = &policy.spec;
    let refuse =
        |why: String| format!("ValidatingAdmissionPolicy '{}' denied request: {why}", policy.metadata.name);
    let params = match (&spec.param_kind, &binding.param_ref) {
        (Some(kind), Some(reference)) => {
            let own = reference.namespace.as_str();
            let namespace = if own.is_empty() { namespace_of(change) } else { own };
            let key = (kind.kind.clone(), (namespace.to_owned(), reference.name.clone()));
            match manifests.raw.get(&key) {
                Some(params) => params.clone(),
                None if reference.parameter_not_found_action == "Allow" => return Ok(()),
                None => return Err(refuse(format!("there is no {} {}", kind.kind, reference.name))),
            }
        }
        _ => Value::Null,
    };
    let mut context = Context::default();
    let request = serde_json::json!({
        "operation": change.operation,
        "namespace": namespace_of(change),
        "name": change.object["metadata"]["name"],
        "subResource": change.resource.split_once('/').map_or("", |(_, sub)| sub),
    });
    let labels = namespace_labels(manifests, change);
    let namespace = serde_json::json!({"metadata": {"name": namespace_of(change), "labels": labels}});
    let known = [
        ("object", &change.object),
        ("oldObject", &change.old),
        ("params", &params),
        ("request", &request),
        ("namespaceObject", &namespace),
    ];
    for (name, value) in known {
        context.add_variable_from_value(name, of_json(value));
    }
    let allows_failure = spec.failure_policy.as_deref() == Some("Ignore");
    let evaluate = |context: &Context<'_, '_>, expression: &str| -> Result<cel::Value, String> {
        let program = Program::compile(expression).map_err(|error| format!("{expression}: {error}"))?;
        program.execute(context).map_err(|error| format!("{expression}: {error}"))
    };
    for condition in &spec.match_conditions {
        match evaluate(&context, &condition.expression) {
            Ok(cel::Value::Bool(false)) => return Ok(()),
            Ok(_) => {}
            Err(_) if allows_failure => return Ok(()),
            Err(why) => return Err(refuse(why)),
        }
    }
    let mut variables = HashMap::new();
    for variable in &spec.variables {
        // One that cannot be told only matters to whoever asks for it.
        if let Ok(value) = evaluate(&context, &variable.expression) {
            variables.insert(Key::from(variable.name.clone()), value);
            context.add_variable_from_value("variables", cel::Value::from(variables.clone()));
        }
    }
    for validation in &spec.validations {
        match evaluate(&context, &validation.expression) {
            Ok(cel::Value::Bool(true)) => {}
            Err(_) if allows_failure => {}
            Ok(cel::Value::Bool(false)) => {
                let told = evaluate(&context, &validation.message_expression).ok();
                let told = told.and_then(|told| match told {
                    cel::Value::String(text) => Some(text.to_string()),
                    _ => None,
                });
                let plain = [&validation.message, &validation.expression];
                let plain = plain.into_iter().find(|text| !text.is_empty()).cloned().unwrap_or_default();
                return Err(refuse(told.unwrap_or(plain)));
            }
            Ok(other) => return Err(refuse(format!("{}: {other:?}", validation.expression))),
            Err(why) => return Err(refuse(why)),
        }
    }
    Ok(())
}

/// Whole numbers are `int`, as Kubernetes has them.
fn of_json(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(truth) => cel::Value::Bool(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => cel::Value::Int(whole),
            None => cel::Value::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => cel::Value::from(text.as_str()),
        Value::Array(items) => cel::Value::from(items.iter().map(of_json).collect::<Vec<_>>()),
        Value::Object(fields) => {
            let of = |(key, value): (&String, &Value)| (Key::from(key.clone()), of_json(value));
            cel::Value::from(fields.iter().map(of).collect::<HashMap<_, _>>())
        }
    }
}

/// The object of a change of the number of replicas by `kubectl scale`: it has neither labels nor annotations.
pub(crate) fn scale(namespace: &str, name: &str, replicas: usize) -> Value {
    serde_json::json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas},
    })
}

/// Policies by name, for those who want to know what holds.
pub(crate) fn names(manifests: &Manifests) -> BTreeMap<&str, usize> {
    let of = |policy: &'_ Object<PolicySpec>| policy.spec.validations.len();
    manifests.policies.iter().map(|policy| (policy.metadata.name.as_str(), of(policy))).collect()
}

#[cfg(test)]
mod tests;
