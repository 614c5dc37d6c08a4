"""Checks by tools of others: schemas, linters, scanners. A tool that is not there is a failure."""

import copy
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import yaml

from rendering import Failure, K8S, ROOT

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = pathlib.Path(sys.executable).parent
VERSIONS = [f"1.{minor}" for minor in range(30, 38)]
# What other projects add to Kubernetes; crds.mjs knows their schemas.
CUSTOM = ("monitoring.coreos.com", "cert-manager.io", "external-secrets.io", "networking.istio.io", "security.istio.io")


def run(*command, **options):
    """Fails with what the tool says."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise Failure((done.stdout + done.stderr).strip() or f"{command[0]}: {done.returncode}")
    return done.stdout


def is_custom(o):
    return o["apiVersion"].partition("/")[0] in CUSTOM


@functools.cache
def validator(version, kind, api_version):
    """The strict schema of a kind in a version of Kubernetes."""
    import jsonschema
    from kubernetes_validate import utils
    from referencing import Registry, Resource

    group, _, rest = api_version.partition("/")
    # As kubernetes-validate names its files: rbac.authorization.k8s.io/v1 -> rbac-v1.
    name = f"{group.partition('.')[0]}-{rest}" if rest else group
    folder = f"kubernetes-json-schema/v{full(version)}-local-strict"
    try:
        schema = utils.schema_contents(f"{folder}/{kind.lower()}-{name}.json", version)
    except FileNotFoundError:
        raise Failure(f"Kubernetes {version} has no {kind} of {api_version}") from None
    registry = definitions(folder, version)
    return jsonschema.validators.Draft202012Validator(schema, registry=Resource.from_contents(schema) @ registry)


@functools.cache
def definitions(folder, version):
    from kubernetes_validate import utils
    from referencing import Registry, Resource

    return Resource.from_contents(utils.schema_contents(f"{folder}/_definitions.json", version)) @ Registry()


@functools.cache
def full(version):
    from kubernetes_validate import utils

    found = [v for v in utils.all_versions() if utils.major_minor(v) == version]
    if not found:
        raise Failure(f"no schemas of Kubernetes {version}")
    return found[-1]


def schemas(objects, seen=set()):
    """Strict schemas of each version: every field is known, every kind but the custom ones is there."""
    problems = []
    for o in objects:
        # The same object in several variants is checked once.
        text = json.dumps(o, sort_keys=True)
        if is_custom(o) or text in seen:
            continue
        for version in VERSIONS:
            for error in validator(version, o["kind"], o["apiVersion"]).iter_errors(o):
                path = ".".join(str(part) for part in error.path)
                problems.append(f"Kubernetes {version}: {o['kind']} {o['metadata']['name']}: {path}: {error.message[:300]}")
        if not problems:
            seen.add(text)
    if problems:
        raise Failure("\n".join(problems))


def custom(objects):
    """Objects of custom kinds have the form that their projects publish."""
    chosen = {json.dumps(o, sort_keys=True): copy.deepcopy(o) for o in objects if is_custom(o)}
    for o in chosen.values():
        # The models want the kind EmbeddedPersistentVolumeClaim, which nothing has: it is a claim like any other.
        template = o.get("spec", {}).get("storage", {}).pop("volumeClaimTemplate", None) if o["kind"] in ("Prometheus", "Alertmanager") else None
        if template:
            schemas([{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": o["metadata"]["name"]}} | template])
    run(TOOLS / "node", HERE / "crds.mjs", TOOLS.parent / "node", input=json.dumps(list(chosen.values())))


# Why a rule of checkov is not for us.
EXCUSED = {
    "CKV_K8S_43": "an image by digest: the registry is the operator's, and so is its digest",
    "CKV_K8S_15": "imagePullPolicy Always: versions are never pushed twice, and a node must start without a registry",
    "CKV_K8S_11": "a limit on processor time throttles a node, which misses heartbeats; gateways have one",
    "CKV_K8S_8": "liveness: every server has a probe; init containers have none",
    "CKV_K8S_9": "readiness: as above",
    "CKV_K8S_35": "secrets as files: Prometheus' and Grafana's own variables are no secrets",
    "CKV_K8S_21": "namespaces are the overlays'",
}


def checkov(rendered):
    """What it finds, but for what is excused: name of the set -> findings."""
    excused = ",".join(EXCUSED)
    env = dict(os.environ, LOG_LEVEL="ERROR")
    with tempfile.TemporaryDirectory() as folder:
        for name, objects in rendered.items():
            # Texts are not its business, and dashboards are long.
            looked_at = [o for o in objects if o["kind"] not in ("ConfigMap", "PrometheusRule")]
            (pathlib.Path(folder) / f"{name}.yaml").write_text("".join(f"---\n{json.dumps(o)}\n" for o in looked_at))
        output = run(TOOLS / "checkov", "--directory", folder, "--framework", "kubernetes", "--skip-check", excused, "--compact", "--quiet", "--output", "json", "--soft-fail", "--skip-download", env=env)
    report = json.loads(output)
    report = report[0] if isinstance(report, list) else report
    # An empty report is one of nothing.
    if report.get("summary", {}).get("passed", 0) < 100 * len(rendered) or report["summary"]["parsing_errors"]:
        raise Failure(f"checkov has not looked at everything: {output[:500]}")
    found = {name: [] for name in rendered}
    for f in report["results"]["failed_checks"]:
        found[pathlib.PurePath(f["file_path"]).stem].append(f"{f['check_id']} {f['check_name']}: {f['resource']}")
    return found


def hadolint(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder) / name
            path.write_text(text)
            # Versions of Debian packages: the base image is the version, and old ones are not kept in archives.
            run(TOOLS / "hadolint", "--failure-threshold", "info", "--ignore", "DL3008", path)


YAMLLINT = """
extends: default
rules:
  document-start: disable
  line-length:
    max: 130
    ignore: ["**/monitoring/source/**", "**/monitoring/alertmanager/alertmanager.yaml"] # expressions, one for each line
  comments: {min-spaces-from-content: 1}
  octal-values: disable
  truthy: {check-keys: false}
  indentation: {indent-sequences: true}
"""


def yaml_files():
    listed = run("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "*.yaml", "*.yml").split()
    return {name: (ROOT / name).read_text() for name in listed if name.startswith(("k8s/", "chaos/kind/")) and (ROOT / name).exists()}


def yamllint(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        run(TOOLS / "yamllint", "--strict", "--config-data", YAMLLINT, folder)


def scripts():
    """Every shell script of the repository, by its first line or its name."""
    found = {}
    for name in run("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        path = ROOT / name
        if not path.is_file():
            continue
        with open(path, "rb") as f:
            first = f.readline(100)
        if name.endswith((".sh", ".bash")) or first.startswith(b"#!") and first.rstrip().endswith((b"sh", b"bash")):
            found[name] = path.read_text()
    if ".ci/run" not in found:
        raise Failure("no shell scripts are found")
    return found


def shellcheck(files):
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, text in files.items():
            path = pathlib.Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            paths.append(path)
        run(TOOLS / "shellcheck", "--external-sources", *paths)


def no_common_labels(files):
    """Labels never reach selectors: commonLabels, and labels with includeSelectors, would change those of NetworkPolicies."""
    for name, text in files.items():
        if pathlib.PurePath(name).name != "kustomization.yaml":
            continue
        kustomization = yaml.safe_load(text)
        for old in ("commonLabels", "patchesStrategicMerge", "patchesJson6902", "bases", "vars", "namePrefix", "nameSuffix"):
            if old in kustomization:
                raise Failure(f"{name}: {old}")
        for labels in kustomization.get("labels", []):
            if labels.get("includeSelectors") is not False:
                raise Failure(f"{name}: labels without includeSelectors: false")
