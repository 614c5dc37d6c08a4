"""k8s/deploy and its like with a kubectl that is none, and the Jobs that k8s/recover prints."""

import copy
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

import process
import rendering
import semantics
import tools
from rendering import K8S, LOADER, Failure
from semantics import NODE, labels_of_pods, matches, named, of_kind, pod_of, require, title

HERE = pathlib.Path(__file__).resolve().parent


class Cluster:
    """What is there before a script runs, and afterwards what it did."""

    def __init__(self, environment="prod", secret=True, ready=None, size=None, claims=("data-tidemark-0", "data-tidemark-1", "data-tidemark-2"), same=True):
        objects = rendering.render(environment)
        self.environment, self.claims = environment, dict.fromkeys(claims, "1Gi")
        self.secret, self.workloads = secret, {}
        if ready is None:
            return
        for o in copy.deepcopy(of_kind(objects, "StatefulSet", "Deployment")):
            o["status"] = {}
            if ready:
                o["status"]["readyReplicas"] = min(ready, o["spec"].get("replicas", 1))
            if size and o["kind"] == "StatefulSet":
                o["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] = size
            if not same:
                pod_of(o)["containers"][0]["image"] += "-old"
            self.workloads[f"{o['kind'].lower()}/{o['metadata']['name']}"] = o


@functools.cache
def shown(environment):
    """What `kustomize` prints of it, without texts that no script reads; the same as JSON; and what is too long to be applied."""
    objects = rendering.render(environment)
    large = [title(o) for o in objects if len(json.dumps(o, separators=(",", ":"))) > 262144]
    objects = [o for o in objects if o["kind"] not in ("ConfigMap", "PrometheusRule")]
    return "---\n".join(yaml.dump(o, Dumper=yaml.CSafeDumper) for o in objects), json.dumps({"objects": objects, "too-long": large})


def run(k8s, script, words, cluster, refuse="", force=False):
    """Exit code, what was said, and the calls that were made."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        text, known = shown(cluster.environment)
        (folder / "rendered").write_text(text)
        (folder / "rendered.json").write_text(known)
        state = {"calls": [], "namespaces": [], "secret": cluster.secret, "workloads": cluster.workloads, "claims": cluster.claims}
        (folder / "state").write_text(json.dumps(state))
        kubectl = (HERE / "kubectl-of-an-operator").read_text().replace("/usr/bin/env python3", f"{sys.executable} -IS", 1)
        (folder / "kubectl").write_text(kubectl)
        (folder / "kubectl").chmod(0o755)
        env = {key: value for key, value in os.environ.items() if key not in ("FORCE", "MEMORY", "CAT_IMAGE")}
        env |= {"PATH": f"{folder}:/usr/bin:/bin", "FAKE_CLUSTER": str(folder), "FAKE_REFUSE": refuse} | ({"FORCE": "1"} if force else {})
        done = subprocess.run(["bash", str(k8s / script), *words], env=env, capture_output=True, text=True, check=False, timeout=120)
        state = json.loads((folder / "state").read_text())
        return done.returncode, done.stdout + done.stderr, state


def expect(what, result, code, says="", calls=(), never=()):
    """The exit code, a part of what is said, calls in this order, and calls that are not made."""
    exit_code, said, state = result
    require(exit_code == code, f"{what}: exit code {exit_code}, not {code}: {said}")
    require(says in said, f"{what}: says {said!r}, not {says!r}")
    at = 0
    for call in calls:
        found = [number for number, made in enumerate(state["calls"]) if number >= at and made.startswith(call)]
        require(found, f"{what}: no {call!r} among {state['calls'][at:]}")
        at = found[0] + 1
    for call in never:
        require(not any(made.startswith(call) for made in state["calls"]), f"{what}: {call!r} is called")


APPLY = "apply --kustomize"
CHANGES = ("apply", "patch", "delete", "rollout restart")


def deploys(k8s):
    for words in ([], ["prod", "dev"]):
        expect("words", run(k8s, "deploy", words, Cluster()), 64, "usage: k8s/deploy dev|prod|staging", never=CHANGES)
    for name in ("../..", "../overlays/prod", "qa", ".", ""):
        for script in ("deploy", "status", "resize"):
            expect(name, run(k8s, script, [name], Cluster()), 64, f"no environment {name}", never=CHANGES)
    expect("the first time", run(k8s, "deploy", ["prod"], Cluster()), 0, calls=["apply --filename", APPLY, "rollout status statefulset/tidemark", "rollout status deployment", "get statefulset,"], never=["rollout restart"])
    expect("no Secret", run(k8s, "deploy", ["prod"], Cluster(secret=False)), 1, "create secret generic tidemark-init", never=[APPLY])
    expect("no operator", run(k8s, "deploy", ["prod"], Cluster(), "monitoring.coreos.com"), 1, "does not serve monitoring.coreos.com/v1", never=CHANGES)
    expect("all are ready", run(k8s, "deploy", ["prod"], Cluster(ready=3)), 0, calls=[APPLY], never=["rollout restart"])
    for ready in (2, 0):
        expect(f"{ready} are ready", run(k8s, "deploy", ["prod"], Cluster(ready=ready)), 1, f"{ready} of 3 nodes are ready", never=CHANGES)
        expect(f"{ready} are ready, forced", run(k8s, "deploy", ["prod"], Cluster(ready=ready), force=True), 0, "because FORCE is 1", calls=[APPLY])
    expect("another size", run(k8s, "deploy", ["prod"], Cluster(ready=3, size="50Gi")), 1, "volumes have 50Gi and are to have 100Gi: k8s/resize prod", never=CHANGES)
    expect("the same size otherwise written", run(k8s, "deploy", ["prod"], Cluster(ready=3, size="102400Mi")), 0, calls=[APPLY])
    # A tag that moves: the same manifests are another image.
    restarts = ["rollout restart statefulset/tidemark", "rollout restart deployment/tidemark-gateway"]
    expect("a moving tag", run(k8s, "deploy", ["dev"], Cluster("dev", ready=1)), 0, calls=[APPLY, *restarts, "rollout status"])
    expect("a moving tag, and a change", run(k8s, "deploy", ["dev"], Cluster("dev", ready=1, same=False)), 0, calls=[APPLY], never=restarts)
    expect("a moving tag, the first time", run(k8s, "deploy", ["dev"], Cluster("dev")), 0, calls=[APPLY], never=restarts)
    for environment, namespace in (("dev", "tidemark-dev"), ("prod", "tidemark")):
        state = run(k8s, "status", [environment], Cluster(environment))[2]
        require(state["namespaces"] == [namespace], f"{environment} is looked for in {state['namespaces']}")


def resizes(k8s):
    patches = [f"patch persistentvolumeclaim/data-tidemark-{n} --patch" for n in range(3)]
    orphan = "delete statefulset tidemark --cascade=orphan"
    result = run(k8s, "resize", ["prod"], Cluster(ready=3, size="50Gi"))
    expect("larger", result, 0, calls=[*patches, orphan, APPLY, "rollout status"])
    require(set(result[2]["claims"].values()) == {"100Gi"}, f"claims: {result[2]['claims']}")
    expect("smaller, or of a class that does not grow", run(k8s, "resize", ["prod"], Cluster(ready=3, size="50Gi"), "patch"), 1, "refused", never=[orphan, APPLY])
    expect("one is down", run(k8s, "resize", ["prod"], Cluster(ready=2, size="50Gi")), 1, "2 of 3", never=CHANGES)
    expect("nothing is there", run(k8s, "resize", ["prod"], Cluster(claims=())), 1, "no claims", never=CHANGES)
    expect("no operator", run(k8s, "resize", ["prod"], Cluster(ready=3, size="50Gi"), "cert-manager.io"), 1, "does not serve", never=CHANGES)
    # Interrupted after the StatefulSet was deleted.
    expect("again", run(k8s, "resize", ["prod"], Cluster()), 0, calls=[*patches, orphan, APPLY])


def jobs(k8s, environment):
    """What k8s/recover prints: verify, report and apply of node 1."""
    found = []
    for words in (["verify"], ["report"], ["apply", "56356108ac06e16e712c00dbaee4986e", "--make-lost-partitions-empty"]):
        code, said, _ = run(k8s, "recover", [environment, "1", *words], Cluster(environment))
        require(code == 0, f"recover {words}: {said}")
        found.append(yaml.load(said, LOADER))
    return found


def recovers(k8s):
    for words in ([], ["prod"], ["prod", "1"], ["prod", "x", "verify"], ["prod", "1", "decommission"], ["prod", "1", "apply"], ["prod", "1", "apply", "no id"], ["prod", "1", "verify", "x"], ["prod", "1", "apply", "ab", "--other"]):
        code, said, _ = run(k8s, "recover", words, Cluster())
        require(code == 64 and "usage" in said, f"{words}: exit code {code}: {said}")


def sound(found, objects):
    """Jobs that may run beside what is there, on the volume of a node, as the same version and as nobody's pod."""
    tools.schemas(found)
    semantics.hardening(found + [o for o in objects if o["kind"] in ("StatefulSet", "Namespace")])
    node = named(objects, *NODE)
    for o in found:
        require(o["metadata"]["namespace"] == node["metadata"]["namespace"], f"{title(o)} is in {o['metadata']['namespace']}")
        pod = pod_of(o)
        worker = (pod.get("initContainers") or pod["containers"])[0]
        require(worker["image"] == pod_of(node)["containers"][0]["image"], f"{title(o)} is another version")
        # As the pods of nodes are: files stay theirs.
        for field in ("runAsUser", "runAsGroup", "fsGroup"):
            require(pod["securityContext"][field] == pod_of(node)["securityContext"][field], f"{title(o)} is somebody else")
        claims = [v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v]
        require(claims == [f"{node['spec']['volumeClaimTemplates'][0]['metadata']['name']}-{node['metadata']['name']}-1"], f"{title(o)} has {claims}")
        mounted = {m["mountPath"] for m in worker["volumeMounts"]}
        require(all(any(word.startswith(path) for path in mounted) for word in worker["args"] if word.startswith("/")), f"{title(o)}: {worker['args']}, mounted is {mounted}")
        for other in objects:
            selector = other.get("spec", {}).get("selector") if other["kind"] in ("Service", "PodDisruptionBudget", "StatefulSet", "Deployment") else None
            selector = {"matchLabels": selector} if other["kind"] == "Service" else selector
            require(not selector or not matches(selector, labels_of_pods(o)), f"{title(other)} takes the pod of {title(o)} for its own")
        require(any(account["metadata"]["name"] == pod["serviceAccountName"] for account in of_kind(objects, "ServiceAccount")), f"{title(o)}: no ServiceAccount")
        verbs = [word for word in worker["args"] if re.fullmatch(r"[a-z]+", word)][: 1 + (worker["args"][0] == "recover")]
        done = subprocess.run([process.binary(), *verbs, "--help"], capture_output=True, text=True, check=False)
        require(done.returncode == 0, f"{title(o)}: the binary has no {verbs}")
        for flag in (word for word in worker["args"] if word.startswith("--")):
            require(re.search(re.escape(flag) + r"\b", done.stdout), f"{title(o)}: {verbs} has no {flag}")


def changed(old, new):
    """A copy of k8s, in which a script says something else."""
    folder = pathlib.Path(tempfile.mkdtemp())
    shutil.copytree(K8S, folder / "k8s", ignore=shutil.ignore_patterns("base", "components", ".check-*"))
    hit = 0
    for path in (folder / "k8s").iterdir():
        if path.is_file() and old in path.read_text():
            path.write_text(path.read_text().replace(old, new))
            hit += 1
    if not hit:
        raise Failure(f"no script says {old!r}")
    return folder / "k8s"
