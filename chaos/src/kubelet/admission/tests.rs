use serde_json::json;

use super::*;

const POLICY: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: n, labels: { part-of: tidemark } }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: voters, namespace: n }
data: { voters: '3' }
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: voters }
spec:
  paramKind: { apiVersion: v1, kind: ConfigMap }
  matchConstraints:
    resourceRules:
      - operations: [UPDATE]
        resources: [statefulsets, statefulsets/scale]
  matchConditions:
    - { name: own, expression: object.metadata.name == 'tidemark' }
  variables:
    - name: voters
      expression: int(params.data['voters'])
    - { name: replicas, expression: 'has(object.spec.replicas) ? int(object.spec.replicas) : 1' }
  validations:
    - expression: variables.replicas >= variables.voters
      messageExpression: \"string(variables.replicas) + ' are fewer than ' + string(variables.voters)\"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: { name: voters }
spec:
  policyName: voters
  validationActions: [Deny]
  paramRef: { name: voters, parameterNotFoundAction: Deny }
  matchResources: { namespaceSelector: { matchLabels: { part-of: tidemark } } }
";

fn ask(manifests: &Manifests, object: Value) -> Result<(), String> {
    let resource = if object["kind"] == "Scale" { "statefulsets/scale" } else { "statefulsets" };
    admit(manifests, &Change { resource, operation: "UPDATE", object, old: Value::Null })
}

fn check(name: &str, replicas: usize) -> Result<(), String> {
    ask(&Manifests::read(POLICY).unwrap(), scale("n", name, replicas))
}

#[test]
fn fewer_replicas_than_voters_are_refused_by_what_the_policy_says() {
    assert_eq!(check("tidemark", 3), Ok(()));
    let why = check("tidemark", 2).unwrap_err();
    assert_eq!(why, "ValidatingAdmissionPolicy 'voters' denied request: 2 are fewer than 3");
    let manifests = Manifests::read(POLICY).unwrap();
    let set = json!({"kind": "StatefulSet", "metadata": {"name": "tidemark", "namespace": "n"}, "spec": {}});
    assert!(ask(&manifests, set).unwrap_err().contains("1 are fewer than 3"));
}

#[test]
fn a_policy_is_only_about_what_it_says() {
    assert_eq!(check("other", 0), Ok(()));
    let mut manifests = Manifests::read(POLICY).unwrap();
    manifests.namespaces.clear();
    assert_eq!(ask(&manifests, scale("n", "tidemark", 0)), Ok(()), "no such label");
}

#[test]
fn without_its_parameters_it_refuses() {
    let mut manifests = Manifests::read(POLICY).unwrap();
    manifests.raw.retain(|(kind, _), _| kind != "ConfigMap");
    assert!(ask(&manifests, scale("n", "tidemark", 3)).unwrap_err().contains("there is no ConfigMap voters"));
}

#[test]
fn an_expression_that_fails_refuses() {
    let manifests = Manifests::read(&POLICY.replace("voters: '3'", "other: '3'")).unwrap();
    assert!(ask(&manifests, scale("n", "tidemark", 3)).is_err());
}
