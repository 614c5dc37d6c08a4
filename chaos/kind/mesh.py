"""Chaos Mesh objects of the scenarios that the process harness runs (chaos/scenarios).

Each step of a scenario is mapped to stages of objects, which are applied one after the other and stay until the step is
over; or there is no equivalent, and a reason. What an object does otherwise than the harness is said beside it. Targets such as
`leader` are names of pods here: whoever calls this has asked the cluster just before (kube.py).

    python3 chaos/kind/mesh.py list                 what becomes of every step of every scenario
    python3 chaos/kind/mesh.py objects SCENARIO     its objects, with made-up targets
    python3 chaos/kind/mesh.py workflow SCENARIO    the same as one Workflow, for a dashboard
"""

import dataclasses
import math
import pathlib
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent
SCENARIOS = HERE.parent / "scenarios"
API = "chaos-mesh.org/v1alpha1"
CONTAINER = "tidemark"
VOLUME = "/var/lib/tidemark"
LABELS = {"app.kubernetes.io/name": "tidemark", "app.kubernetes.io/component": "node"}
# Added to every object, so that all of them can be found and removed.
MARK = {"app.kubernetes.io/part-of": "tidemark", "tidemark-chaos": "kind"}
# Faults after which the process must be another one, in the same pod or another.
ENDS_PROCESS = {"kill", "stop", "half-open", "break-names", "move", "out-of-memory"}
# The key of a kind's specification in a Workflow.
EMBEDDED = {
    "PodChaos": "podChaos",
    "NetworkChaos": "networkChaos",
    "IOChaos": "ioChaos",
    "TimeChaos": "timeChaos",
    "StressChaos": "stressChaos",
    "DNSChaos": "dnsChaos",
}
EIO, ENOSPC, EROFS = 5, 28, 30
# The driver takes an object away when the step is over; it would end by itself so much later, should the driver die.
BACKSTOP = 60000
WRITING = ["write", "create", "mkdir", "rename", "unlink", "setattr"]
ENDED_BY_KUBELET = "the kubelet starts it again at once, or after 10, 20, 40 s when that happens often: `for-ms` is not kept"
IN_PLACE = "the process goes on where it is; the harness starts it again with a plan of faults"

STEP_FIELDS = {"fault", "target", "link", "by-ms", "percent", "period-ms", "answer", "every-ms", "for-ms", "then-ms"}
LINK_FIELDS = {"delay-ms", "jitter-ms", "loss-percent", "duplicate-percent", "reorder-percent", "kbit-per-second", "largest-bytes"}


class NoEquivalent(Exception):
    """Chaos Mesh has nothing for this; the reason, and what `--mode plain` has instead."""

    def __init__(self, reason, plain=None):
        super().__init__(reason)
        self.plain = plain


class Unusable(Exception):
    """A scenario that this does not understand."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of the cluster when a step begins."""

    namespace: str
    # Pods of nodes that run, in order, with their zones and how many groups each leads.
    zones: dict
    leads: dict
    # Where names are asked for.
    dns: str
    # Processors of a machine, and the limit of a pod's memory in MiB.
    processors: int
    memory: int
    # What the StatefulSet will call its next pods.
    spares: tuple = ()

    @property
    def pods(self):
        return list(self.zones)

    def others(self, pods):
        return [pod for pod in self.zones if pod not in pods]


MADE_UP = Facts(
    namespace="tidemark-kind",
    zones={"tidemark-0": "a", "tidemark-1": "b", "tidemark-2": "c"},
    leads={"tidemark-0": 3, "tidemark-1": 9, "tidemark-2": 5},
    dns="10.96.0.10",
    processors=2,
    memory=512,
    spares=("tidemark-3", "tidemark-4"),
)


@dataclasses.dataclass(frozen=True)
class Mapped:
    """Objects of a step for one set of pods."""

    # Applied one stage after the other; all stay until the step is over.
    stages: list
    # What is otherwise than in the harness.
    differs: tuple = ()

    @property
    def objects(self):
        return [one for stage in self.stages for one in stage]


def load(path):
    """A scenario: as the harness reads it, or not at all."""
    path = pathlib.Path(path)
    text = yaml.safe_load(path.read_text())
    known = {"about", "rows", "set", "loses-points", "nodes", "spares", "zones", "discovery", "arguments", "repeat", "faults", "promises"}
    if not isinstance(text, dict) or set(text) - known:
        raise Unusable(f"{path}: fields that are not known: {sorted(set(text) - known)}")
    for step in text["faults"]:
        strange = set(step) - STEP_FIELDS | set(step.get("link", {})) - LINK_FIELDS
        if strange:
            raise Unusable(f"{path}: fields that are not known: {sorted(strange)}")
        if step["fault"] not in FAULTS:
            raise Unusable(f"{path}: the fault {step['fault']} is not known here: map it, or say why there is no equivalent")
        if step["target"] not in TARGETS:
            raise Unusable(f"{path}: the target {step['target']} is not known here")
    return {"name": path.stem, "nodes": 3, "repeat": 1, "set": "long", "arguments": [], "discovery": "list", **text}


def scenarios(folder=SCENARIOS):
    return [load(path) for path in sorted(folder.glob("*.yaml"))]


def environment(scenario):
    """The arguments of nodes as variables: --memtable-size 1MiB is TIDEMARK_MEMTABLE_SIZE=1MiB."""
    words = scenario["arguments"]
    if len(words) % 2 or any(not name.startswith("--") for name in words[::2]):
        raise Unusable(f"{scenario['name']}: arguments are not pairs of name and value: {words}")
    return {"TIDEMARK_" + name[2:].upper().replace("-", "_"): value for name, value in zip(words[::2], words[1::2])}


def unfit(scenario):
    """Why a scenario cannot be run on Kubernetes as a whole, if so."""
    if scenario["discovery"] == "addresses":
        return "pods of a StatefulSet are reached by names; nobody configures their addresses"
    return None


# Who it happens to: sets of pods, one after the other.


def _most(facts, count=1):
    return sorted(facts.zones, key=lambda pod: -facts.leads.get(pod, 0))[:count]


def _zone(facts):
    led = {}
    for pod, zone in facts.zones.items():
        led[zone] = led.get(zone, 0) + facts.leads.get(pod, 0)
    most = max(led, key=led.get)
    return [pod for pod, zone in facts.zones.items() if zone == most]


TARGETS = {
    "leader": lambda facts: [_most(facts)],
    "follower": lambda facts: [[min(facts.zones, key=lambda pod: facts.leads.get(pod, 0))]],
    "all": lambda facts: [facts.pods],
    "each": lambda facts: [[pod] for pod in facts.zones],
    "majority": lambda facts: [_most(facts, len(facts.zones) // 2 + 1)],
    "zone": lambda facts: [_zone(facts)],
    "spares": lambda facts: [list(facts.spares)],
}


# Objects.


def selected(facts, pods):
    return {"mode": "all", "selector": {"pods": {facts.namespace: list(pods)}}}


def made(kind, facts, spec):
    return {"apiVersion": API, "kind": kind, "metadata": {"namespace": facts.namespace, "labels": dict(MARK)}, "spec": spec}


def lasting(step, more=BACKSTOP):
    return f"{max(step.get('for-ms', 0), 1) + more}ms"


def pod_chaos(facts, pods, action, **more):
    return made("PodChaos", facts, selected(facts, pods) | {"action": action} | more)


def killed(facts, pods):
    """SIGKILL to the container, in the pod that stays: same address, same volume."""
    return pod_chaos(facts, pods, "container-kill", containerNames=[CONTAINER])


def network(facts, step, pods, others, direction, action="partition", **more):
    spec = selected(facts, pods) | {"action": action, "direction": direction, "target": selected(facts, others), "duration": lasting(step)} | more
    return made("NetworkChaos", facts, spec)


def io(facts, step, pods, action, path, methods, **more):
    spec = selected(facts, pods) | {
        "action": action,
        "containerNames": [CONTAINER],
        "volumePath": VOLUME,
        "path": f"{VOLUME}/{path}",
        "methods": methods,
        "percent": 100,
        "duration": lasting(step),
    }
    return made("IOChaos", facts, spec | more)


def number(value):
    """A number as the text that Chaos Mesh wants."""
    return f"{value:g}"


# Faults: each takes what is known, the step and the pods, and answers stages of objects with what differs.


def kill(facts, step, pods):
    return Mapped([[killed(facts, pods)]], (ENDED_BY_KUBELET,))


def stop(facts, step, pods):
    # As long as the pods themselves may take; a shorter one would make SIGKILL of it.
    return Mapped([[pod_chaos(facts, pods, "pod-kill", gracePeriod=120)]], ("the pod goes, and comes back at another address",))


def isolate(facts, step, pods):
    return Mapped([[network(facts, step, pods, facts.others(pods), "both")]])


def deafen(facts, step, pods):
    return Mapped([[network(facts, step, pods, facts.others(pods), "from")]])


def mute(facts, step, pods):
    return Mapped([[network(facts, step, pods, facts.others(pods), "to")]])


def cut_off(facts, step, pods):
    after = facts.pods.index(pods[0]) + 1
    return Mapped([[network(facts, step, pods, [facts.pods[after % len(facts.pods)]], "both")]])


def degrade(facts, step, pods):
    link = step["link"]
    if link.get("largest-bytes"):
        raise NoEquivalent("NetworkChaos knows nothing of the length of packets", "black-hole")
    # Between each of them and each other. Where it is all of them, every one sends to every other.
    everyone = not facts.others(pods)
    others, direction = (facts.pods, "to") if everyone else (facts.others(pods), "both")
    objects, shape, differs = [], {}, []
    if link.get("delay-ms") or link.get("jitter-ms"):
        shape["delay"] = {"latency": f"{link.get('delay-ms', 0)}ms", "jitter": f"{link.get('jitter-ms', 0)}ms", "correlation": "0"}
        if link.get("reorder-percent"):
            shape["delay"]["reorder"] = {"reorder": number(link["reorder-percent"]), "correlation": "0", "gap": 1}
    elif link.get("reorder-percent"):
        raise NoEquivalent("packets that do not wait cannot overtake others: netem reorders only what it delays")
    for field in ("loss", "duplicate"):
        if link.get(f"{field}-percent"):
            shape[field] = {field: number(link[f"{field}-percent"]), "correlation": "0"}
    if shape:
        objects.append(network(facts, step, pods, others, direction, "netem", **shape))
    if link.get("kbit-per-second"):
        # In bytes, with the queue that the harness has. One object for each way, since all ways of one share its rate.
        rate = {"rate": f"{link['kbit-per-second'] * 1000 // 8}bps", "limit": 65536, "buffer": 10000}
        ways = [(one, other) for one in pods for other in others if one != other]
        objects += [network(facts, step, [one], [other], direction, "bandwidth", bandwidth=rate) for one, other in ways]
    return Mapped([objects], tuple(differs))


def half_open(facts, step, pods):
    # Nobody hears of the end: first the cut, then the kill. The pod stays, and so does the cut.
    cut = network(facts, step, pods, facts.others(pods), "both")
    return Mapped([[cut], [killed(facts, pods)]], ("it is started again while it is still cut off",))


def break_names(facts, step, pods):
    answer = step["answer"]
    if answer == "silence":
        spec = selected(facts, facts.pods) | {"action": "partition", "direction": "to", "externalTargets": [facts.dns], "duration": lasting(step)}
        broken, differs = made("NetworkChaos", facts, spec), (ENDED_BY_KUBELET,)
    else:
        spec = selected(facts, facts.pods) | {
            "action": "error" if answer == "unknown" else "random",
            "containerNames": [CONTAINER],
            "patterns": ["tidemark-peers.*", "tidemark-*"],
            "duration": lasting(step),
        }
        broken = made("DNSChaos", facts, spec)
        differs = (
            ENDED_BY_KUBELET,
            "DNSChaos writes /etc/resolv.conf with a shell inside the container: it is not injected into an image without one on a "
            "read-only root, which then counts as unknown; `--mode plain` breaks the cluster's name server instead",
        )
    return Mapped([[broken], [killed(facts, pods)]], differs)


def move(facts, step, pods):
    return Mapped([[pod_chaos(facts, pods, "pod-kill", gracePeriod=0)]], ("`for-ms` is not kept: the StatefulSet makes the pod anew at once",))


def throttle(facts, step, pods):
    if step.get("period-ms"):
        raise NoEquivalent("StressChaos competes for processors; it has no quota, and so no period")
    # As many busy threads beside it in its control group as leave it that share of the machine.
    workers = max(1, math.ceil((100 / step["percent"] - 1) * facts.processors))
    spec = selected(facts, pods) | {"containerNames": [CONTAINER], "stressors": {"cpu": {"workers": workers, "load": 100}}, "duration": lasting(step)}
    return Mapped([[made("StressChaos", facts, spec)]], ("busy threads in its control group take their share, there is no quota: how much is left is not exact",))


def fill_disk(facts, step, pods):
    objects = [io(facts, step, pods, "fault", "**/*", WRITING, errno=ENOSPC)]
    return Mapped([objects], ("calls fail with ENOSPC; the room that the file system says to be free is as before",))


def fail_sync(facts, step, pods):
    return Mapped([[io(facts, step, pods, "fault", "raft/**/*", ["fsync"], errno=EIO)]], (IN_PLACE, "syncs of every file below raft/"))


def slow_sync(facts, step, pods):
    return Mapped([[io(facts, step, pods, "latency", "raft/**/*", ["fsync"], delay=f"{step['by-ms']}ms")]], (IN_PLACE,))


def lose_disk(facts, step, pods):
    methods = ["open", "read", "flush", "fsync", *WRITING]
    return Mapped([[io(facts, step, pods, "fault", "**/*", methods, errno=EIO)]], ("calls fail; the file system stays mounted",))


def protect_disk(facts, step, pods):
    return Mapped([[io(facts, step, pods, "fault", "**/*", WRITING, errno=EROFS)]], ("calls fail; the file system stays mounted",))


def out_of_memory(facts, step, pods):
    # More than the limit: the kernel kills the control group as one, as the kubelet sets it up.
    spec = selected(facts, pods) | {
        "containerNames": [CONTAINER],
        "stressors": {"memory": {"workers": 1, "size": f"{facts.memory}MiB"}},
        "duration": lasting(step),
    }
    return Mapped([[made("StressChaos", facts, spec)]], ("a process beside it takes the memory; its limit stays", ENDED_BY_KUBELET))


def jump_clock(facts, step, pods):
    spec = selected(facts, pods) | {
        "containerNames": [CONTAINER],
        "clockIds": ["CLOCK_REALTIME"],
        "timeOffset": f"{step['by-ms']}ms",
        "duration": lasting(step),
    }
    return Mapped([[made("TimeChaos", facts, spec)]])


def nothing(reason, plain=None):
    def fault(facts, step, pods):
        raise NoEquivalent(reason, plain)

    return fault


FAULTS = {
    "kill": kill,
    "stop": stop,
    "pause": nothing("Chaos Mesh stops no process: pod-failure replaces its image", "pause-worker"),
    "isolate": isolate,
    "deafen": deafen,
    "mute": mute,
    "cut-off": cut_off,
    "degrade": degrade,
    "reset": nothing("NetworkChaos drops packets, it answers none; HTTPChaos aborts requests of HTTP alone"),
    "half-open": half_open,
    "break-names": break_names,
    "move": move,
    "throttle": throttle,
    "fill-disk": fill_disk,
    "fail-sync": fail_sync,
    "slow-sync": slow_sync,
    "cut-power": nothing("nothing in a cluster makes a disk lose what was not synced: the machine's page cache outlives the pod"),
    "lose-disk": lose_disk,
    "protect-disk": protect_disk,
    "out-of-memory": out_of_memory,
    "jump-clock": jump_clock,
    "join": nothing("no fault: a StatefulSet that is scaled", "scale-up"),
    "leave": nothing("no fault: an order to the cluster; and a StatefulSet lets only its highest ordinals go"),
    "lose-volume": nothing("Chaos Mesh deletes no volumes", "delete-volume"),
    "restore-older": nothing("Chaos Mesh restores no volumes, and local volumes have no snapshots"),
    "replace": nothing("the StatefulSet brings a pod of the same name back, which replaces itself", "delete-volume"),
}


def mapped(scenario, at, facts, pods):
    """The objects of a step for these pods, each with its name."""
    step = scenario["faults"][at]
    found = FAULTS[step["fault"]](facts, step, pods)
    for number_of, one in enumerate(found.objects):
        one["metadata"]["name"] = f"{scenario['name']}-{at}-{step['fault']}-{number_of}"
    return found


def workflow(scenario, facts):
    """All of a scenario as one Workflow, its targets chosen now; steps without an equivalent are left out."""
    templates, children = [], []

    def add(template):
        templates.append(template)
        return template["name"]

    for at, step in enumerate(scenario["faults"]):
        try:
            sets = [(pods, mapped(scenario, at, facts, pods)) for pods in TARGETS[step["target"]](facts)]
        except NoEquivalent:
            continue
        for turn, (_, found) in enumerate(sets):
            names = []
            for one in found.objects:
                spec = {key: value for key, value in one["spec"].items() if key != "duration"}
                name = f"{one['metadata']['name']}-{turn}"
                names.append(add({"name": name, "templateType": one["kind"], "deadline": lasting(step, 0), EMBEDDED[one["kind"]]: spec}))
            fault = names[0] if len(names) == 1 else add({"name": f"step-{at}-{turn}", "templateType": "Parallel", "deadline": lasting(step, 0), "children": names})
            children += [fault, add({"name": f"rest-{at}-{turn}", "templateType": "Suspend", "deadline": f"{step['then-ms']}ms"})]
    if not children:
        raise NoEquivalent(f"{scenario['name']}: none of its faults has an equivalent")
    total = sum((step.get("for-ms", 0) + step["then-ms"]) * len(TARGETS[step["target"]](facts)) for step in scenario["faults"])
    repeated = children * scenario["repeat"]
    entry = {"name": "all", "templateType": "Serial", "deadline": f"{total * scenario['repeat'] + 60000}ms", "children": repeated}
    metadata = {"name": scenario["name"], "namespace": facts.namespace, "labels": dict(MARK)}
    return {"apiVersion": API, "kind": "Workflow", "metadata": metadata, "spec": {"entry": "all", "templates": [entry, *templates]}}


def listing(folder=SCENARIOS, facts=MADE_UP):
    """Of every step of every scenario: (scenario, fault, target, kinds, differs) or (..., None, reason)."""
    for scenario in scenarios(folder):
        why = unfit(scenario)
        for at, step in enumerate(scenario["faults"]):
            try:
                if why:
                    raise NoEquivalent(why)
                found = mapped(scenario, at, facts, TARGETS[step["target"]](facts)[0])
                kinds = [one["kind"] + " " + one["spec"].get("action", "") for one in found.objects]
                yield scenario, step, [kind.strip() for kind in kinds], "; ".join(found.differs)
            except NoEquivalent as none:
                yield scenario, step, None, str(none) + (f" (plain: {none.plain})" if none.plain else "")


def main(words):
    if words[:1] == ["list"]:
        for scenario, step, kinds, said in listing():
            what = ", ".join(kinds) if kinds else "no equivalent"
            print(f"{scenario['name']:20} {step['fault']:14} {step['target']:9} {what}{': ' if said else ''}{said}")
    elif len(words) == 2 and words[0] in ("objects", "workflow"):
        scenario = load(SCENARIOS / f"{words[1]}.yaml")
        if words[0] == "workflow":
            print(yaml.safe_dump(workflow(scenario, MADE_UP), sort_keys=False), end="")
            return 0
        for at, step in enumerate(scenario["faults"]):
            for pods in TARGETS[step["target"]](MADE_UP):
                try:
                    found = mapped(scenario, at, MADE_UP, pods)
                except NoEquivalent as none:
                    print(f"# {step['fault']} {step['target']}: no equivalent: {none}")
                    continue
                for line in found.differs:
                    print(f"# {line}")
                for one in found.objects:
                    print("---\n" + yaml.safe_dump(one, sort_keys=False), end="")
    else:
        print(__doc__, file=sys.stderr)
        return 64
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
