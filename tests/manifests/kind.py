"""chaos/kind without a cluster: the objects that are made of scenarios, the overlay, and the driver with a kubectl that is none."""

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

import rendering
from rendering import Failure, ROOT
from semantics import GATEWAY, NODE, named, pod_of, require

KIND = ROOT / "chaos/kind"
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(KIND))

import mesh  # noqa: E402
import plain  # noqa: E402


@functools.cache
def validator():
    import jsonschema

    schema = json.loads((HERE / "schemas/chaos-mesh.json").read_text())
    jsonschema.validators.Draft202012Validator.check_schema(schema)
    return jsonschema.validators.Draft202012Validator(schema)


def valid(objects):
    for o in objects:
        for error in validator().iter_errors(o):
            raise Failure(f"{o['kind']} {o['metadata'].get('name')}: {'.'.join(map(str, error.path))}: {error.message[:300]}")
        if o["kind"] == "Workflow":
            there = {template["name"] for template in o["spec"]["templates"]}
            require(len(there) == len(o["spec"]["templates"]), f"Workflow {o['metadata']['name']}: two templates have one name")
            named_ = {child for template in o["spec"]["templates"] for child in template.get("children", [])}
            require(named_ | {o["spec"]["entry"]} == there, f"Workflow {o['metadata']['name']}: {named_ ^ there}")


def facts(scenario):
    zones = scenario.get("zones") or list("abcab")
    names = [f"tidemark-{at}" for at in range(scenario["nodes"])]
    return mesh.dataclasses.replace(mesh.MADE_UP, zones=dict(zip(names, zones)), leads={name: at for at, name in enumerate(names)})


def objects_of(scenario):
    """All objects of a scenario, for each set of its targets; and what has no equivalent, with reasons."""
    made, none = [], []
    for at, step in enumerate(scenario["faults"]):
        for pods in mesh.TARGETS[step["target"]](facts(scenario)):
            try:
                made += mesh.mapped(scenario, at, facts(scenario), pods).objects
            except mesh.NoEquivalent as why:
                require(len(str(why)) > 20, f"{scenario['name']}: {step['fault']} has no equivalent, and no reason")
                none.append(step["fault"])
    return made, none


def plain_exists(scenarios, faults):
    """What has no equivalent and names a plain fault names one that is there."""
    for scenario in scenarios:
        for at, step in enumerate(scenario["faults"]):
            try:
                mesh.mapped(scenario, at, facts(scenario), mesh.TARGETS[step["target"]](facts(scenario))[0])
            except mesh.NoEquivalent as why:
                require(why.plain is None or why.plain in faults, f"{step['fault']}: there is no plain fault {why.plain}")


def plain_faults():
    return plain.FAULTS


def load_all(folder):
    try:
        return mesh.scenarios(folder)
    except mesh.Unusable as why:
        raise Failure(str(why)) from None


def variants_of(enum, text):
    """The variants of an enum of the harness, as scenarios write them."""
    body = re.search(rf"enum {enum} {{(.*?)\n}}", text, re.S)[1]
    return {re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower() for name in re.findall(r"^    ([A-Z]\w*),", body, re.M)}


def knows_the_harness(text):
    """Every fault and every target of the process harness is known, and nothing that it has not."""
    for enum, known in (("Fault", mesh.FAULTS), ("Target", mesh.TARGETS)):
        there = variants_of(enum, text)
        require(len(there) > 5 and there == set(known), f"{enum}: {there ^ set(known)}")


def knows_the_links(text):
    """And every field of `link`; what the harness sets itself is not one."""
    body = re.search(r"struct Shape {(.*?)\n}", text, re.S)[1]
    fields = re.findall(r"(#\[serde\(skip\)\]\s+)?pub\(crate\) (\w+):", body)
    there = {name.replace("_", "-") for skipped, name in fields if not skipped}
    require(len(there) > 5 and there == mesh.LINK_FIELDS, f"link: {there ^ mesh.LINK_FIELDS}")


@functools.cache
def overlay():
    return rendering.build(KIND / "overlay")


@functools.cache
def oracle():
    return rendering.build(KIND / "oracle")


def cluster(text):
    """One control plane, a worker in each of three zones, all of one image that is pinned."""
    spec = yaml.safe_load(text)
    roles = [one["role"] for one in spec["nodes"]]
    require(roles == ["control-plane"] + ["worker"] * 3, f"roles: {roles}")
    images = {one.get("image", "") for one in spec["nodes"]}
    require(len(images) == 1 and all(re.fullmatch(r"kindest/node:v1\.\d+\.\d+@sha256:[0-9a-f]{64}", image) for image in images), f"images: {images}")
    zones = sorted(one.get("labels", {}).get("topology.kubernetes.io/zone", "") for one in spec["nodes"][1:])
    require(zones == ["a", "b", "c"], f"zones: {zones}")


def like_production(objects):
    """Zones count, nothing is pulled that was loaded, and probes, hooks and the time to stop are those of production."""
    spec, there = pod_of(named(objects, *NODE)), pod_of(named(rendering.render("prod"), *NODE))
    require([one["whenUnsatisfiable"] for one in spec["topologySpreadConstraints"]] == ["DoNotSchedule"] * 2, "zones are only preferred")
    container, other = spec["containers"][0], there["containers"][0]
    for field in ("startupProbe", "livenessProbe", "readinessProbe", "lifecycle", "securityContext"):
        require(container[field] == other[field], f"{field} is not that of production")
    require(spec["terminationGracePeriodSeconds"] == there["terminationGracePeriodSeconds"], "there is another time to stop")
    require(container["image"] == "tidemark:kind" and container["imagePullPolicy"] == "Never", "another image than the one that is loaded")
    # Points of the harness are from 2023.
    # Faults take one worker at a time.
    require(named(objects, *GATEWAY)["spec"]["replicas"] >= 2, "with one worker the only gateway stands still")
    rules, settings = named(objects, "ConfigMap", "prometheus-rules")["data"], named(objects, "ConfigMap", "prometheus-config")["data"]
    settings = yaml.safe_load(settings["prometheus.yml"])
    require([pathlib.PurePath(path).name for path in settings.get("rule_files", [])] == list(rules) == ["rules.yaml"], "what dashboards ask for is not recorded")
    text = json.dumps(settings["scrape_configs"])
    require("8089" in text and "_probe._tcp" in text and "8086" not in text, "metrics are asked for at another port than that of the probes")
    retention = next(v["value"] for v in container["env"] if v["name"] == "DOCKER_INFLUXDB_INIT_RETENTION")
    require(retention == "0", f"points are kept for {retention}")


def oracle_reaches(objects, nodes):
    """The oracle's pod is let to the nodes and to names, and has a token of theirs."""
    job = named(objects, "Job", "oracle")
    labels = job["spec"]["template"]["metadata"]["labels"]
    require(labels.get("tidemark-access") == "true" and labels.get("app.kubernetes.io/part-of") == "tidemark", f"labels: {labels}")
    pod, taint = job["spec"]["template"]["spec"], "node-role.kubernetes.io/control-plane"
    require(pod.get("nodeSelector") == {taint: ""}, "it is on a worker, which faults stop")
    require(any((t["key"], t["operator"], t["effect"]) == (taint, "Exists", "NoSchedule") for t in pod.get("tolerations", [])), "no machine takes it")
    egress = named(objects, "NetworkPolicy", "oracle")["spec"]
    require(egress["podSelector"]["matchLabels"].items() <= labels.items(), "its NetworkPolicy is for others")
    require([p["port"] for rule in egress["egress"] for p in rule["ports"]] == [8086], "it may not call 8086 alone")

    def secret(found, name):
        return next(o["data"] for o in found if o["kind"] == "Secret" and o["metadata"]["name"].startswith(name))

    require(secret(objects, "tidemark-oracle")["token"] == secret(nodes, "tidemark-init")["admin-token"], "it has another token")


def drive(words, broken="", expect=0, docker="docker"):
    """Runs the driver with a kubectl that is none; the state that is left, and what it said."""
    with tempfile.TemporaryDirectory() as folder:
        # Whatever else is installed on this machine is not asked.
        shutil.copy(HERE / "fake-kubectl", f"{folder}/kubectl")
        text = pathlib.Path(f"{folder}/kubectl").read_text().replace("/usr/bin/env python3", sys.executable, 1)
        pathlib.Path(f"{folder}/kubectl").write_text(text)
        shutil.copy(f"{folder}/kubectl", f"{folder}/{docker}")
        env = dict(os.environ, PATH=f"{folder}:/usr/bin:/bin", FAKE_CLUSTER=folder, FAKE_BREAK=broken, DOCKER="" if docker == "docker" else docker, KIND_CLUSTER="tidemark", PYTHONDONTWRITEBYTECODE="1")
        done = subprocess.run([sys.executable, str(KIND / "run"), *(["--hurry", "1000"] if "--hurry" not in words else []), *words], env=env, capture_output=True, text=True, check=False, timeout=300)
        require(done.returncode == expect, f"{words} with {broken or 'nothing broken'}: exit code {done.returncode}, not {expect}: {done.stdout}{done.stderr}")
        state = pathlib.Path(f"{folder}/state")
        return (json.loads(state.read_text()) if state.exists() else None), done.stdout


def refuses_what_is_large():
    with tempfile.TemporaryDirectory() as folder:
        large = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "a" * 262144}}
        env = dict(os.environ, FAKE_CLUSTER=folder)
        command = [sys.executable, str(HERE / "fake-kubectl"), "--context", "kind-tidemark", "--namespace", "tidemark-kind", "apply", "--filename", "-"]
        done = subprocess.run(command, env=env, input=yaml.safe_dump(large), capture_output=True, text=True, check=False)
        require(done.returncode == 1 and "Too long" in done.stdout, f"it applies what is too long: {done}")


def names(o):
    return next(iter(o["spec"]["selector"]["pods"].values()))


def targets_follow(state):
    """Three kills: of whoever leads then, never of one that no longer does; each taken back."""
    hit = [names(o) for o in state["objects"]]
    require(hit == [["tidemark-1"], ["tidemark-2"], ["tidemark-0"]], f"killed: {hit}")
    applied = [call for call in state["calls"] if call.startswith("apply")]
    deleted = [call for call in state["calls"] if call.startswith("delete podchaos/kill-leader-0-kill-0")]
    require(len(applied) == len(deleted) == 3, f"{len(applied)} applied, {len(deleted)} deleted")


def undone(state):
    """What the plain faults began is ended: in the order of what was done to the machines and the name server."""
    calls = state["calls"]
    for begun, ended in (
        ("docker pause ", "docker unpause "),
        ("docker network disconnect kind ", "docker network connect --ip 172.18.0.4 kind "),
        ("drain ", "uncordon "),
        ("docker exec worker-", "docker exec worker-"),
    ):
        first, last = (("table inet tidemark_chaos {", "nft delete table inet tidemark_chaos") if begun == ended else (begun, ended))
        there = [call for call in calls if call.startswith(begun) and first in call]
        after = [call for call in calls if call.startswith(ended) and last in call]
        require(there and len(there) == len(after), f"{first}: {len(there)} times, {last}: {len(after)} times")
    require("template" not in state["corefile"] and "forward" in state["corefile"], "the name server is not as it was")
    require(any("rcode NXDOMAIN" in call for call in calls) and any("192.0.2.1" in call for call in calls), "names were never broken")
    require(state["replicas"] == 3 and list(state["volumes"]).count("tidemark-4") == 1, f"scaled: {state['replicas']}, {state['volumes']}")
    orders = [call for call in calls if call.startswith("node ")]
    require([order.split()[1] for order in orders] == ["drain", "decommission"] * 2, f"orders: {orders}")
