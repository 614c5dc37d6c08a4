"""Faults with kubectl and docker alone, without Chaos Mesh. Each ends what it began, also when something in it fails."""

import json
import time
from contextlib import contextmanager

from kube import NAMESPACE, SET, Failed, say

HOLD = 10
# From taking a machine away until the cluster counts on it again.
LIMIT = 300


def leader(cluster):
    leads = cluster.facts().leads
    return max(leads, key=leads.get)


@contextmanager
def finally_(*undo):
    """Undoes one thing after the other, and says at the end what could not be."""
    try:
        yield
    finally:
        failed = []
        for one in undo:
            try:
                one()
            except Failed as why:
                failed.append(str(why))
        if failed:
            raise Failed("; ".join(failed))


def replaced(cluster, before, pod):
    """The pod is another one, and ready."""
    after = cluster.wait_ready(LIMIT, but={before[pod]["uid"]})
    return f"{pod} is back on {after[pod]['machine']}, at {after[pod]['address']} instead of {before[pod]['address']}"


def kill_process(cluster, hold):
    """SIGKILL to the node that leads most, from outside its container."""
    pod = leader(cluster)
    before = cluster.pods()[pod]
    inspected = json.loads(cluster.docker("exec", before["machine"], "crictl", "inspect", before["container"]))
    cluster.docker("exec", before["machine"], "kill", "-KILL", str(inspected["info"]["pid"]))
    after = wait_until(lambda: cluster.pods()[pod], lambda known: known["restarts"] > before["restarts"], f"{pod} is not restarted")
    cluster.wait_ready(LIMIT)
    return f"{pod} was killed and restarted ({after['restarts']} times by now), with the same address: {after['address'] == before['address']}"


def delete_pod(cluster, hold):
    """kubectl delete pod: preStop, SIGTERM, and a new pod with the same volume."""
    pod, before = leader(cluster), cluster.pods()
    cluster.kubectl("delete", "pod", pod, "--wait=true", "--timeout=180s", limit=200)
    return replaced(cluster, before, pod)


def force_delete(cluster, hold):
    """The same without time to end."""
    pod, before = leader(cluster), cluster.pods()
    cluster.kubectl("delete", "pod", pod, "--grace-period=0", "--force", limit=60)
    return replaced(cluster, before, pod)


def drain_worker(cluster, hold):
    """The machine of the node that leads most is emptied, and given back. Its volume is there, so its node waits for it."""
    pod, before = leader(cluster), cluster.pods()
    machine = before[pod]["machine"]
    with finally_(lambda: cluster.kubectl("uncordon", machine)):
        cluster.kubectl("drain", machine, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=240s", limit=260)
        time.sleep(hold)
    return f"{machine} was emptied; " + replaced(cluster, before, pod)


def pause_worker(cluster, hold):
    """docker pause: the machine of the node that leads most stands still, with everything on it."""
    machine = cluster.pods()[leader(cluster)]["machine"]
    with finally_(lambda: cluster.docker("unpause", machine)):
        cluster.docker("pause", machine)
        state = cluster.docker("inspect", "--format", "{{.State.Paused}}", machine).strip()
        time.sleep(hold)
    if state != "true":
        raise Failed(f"{machine} did not stand still: paused is {state}")
    cluster.wait_ready(LIMIT)
    return f"{machine} stood still for {hold:g} s"


def disconnect_worker(cluster, hold):
    """docker network disconnect: the machine of the node that leads most reaches nobody, and nobody reaches it."""
    machine = cluster.pods()[leader(cluster)]["machine"]
    network = "kind"
    known = json.loads(cluster.docker("inspect", machine))[0]["NetworkSettings"]["Networks"][network]
    addresses = [word for flag, value in (("--ip", known.get("IPAddress")), ("--ip6", known.get("GlobalIPv6Address"))) if value for word in (flag, value)]
    # With the address that the others know it by.
    with finally_(lambda: cluster.docker("network", "connect", *addresses, network, machine)):
        cluster.docker("network", "disconnect", network, machine)
        time.sleep(hold)
    cluster.wait_ready(LIMIT)
    return f"{machine} had no network for {hold:g} s"


def nft(cluster, machine, *rules):
    """A table of our own in the namespace of a machine; removed with everything in it."""
    table = "tidemark_chaos"
    script = f"table inet {table} {{ chain forward {{ type filter hook forward priority -10; {' '.join(rules)} }} }}"
    cluster.docker("exec", machine, "nft", script)
    return lambda: cluster.docker("exec", machine, "nft", "delete", "table", "inet", table)


def dropped(cluster, machine):
    """How many packets the rules of our table dropped."""
    listed = json.loads(cluster.docker("exec", machine, "nft", "--json", "list", "table", "inet", "tidemark_chaos"))
    counters = [part["counter"]["packets"] for entry in listed["nftables"] for part in entry.get("rule", {}).get("expr", []) if "counter" in part]
    return sum(counters)


def cut(cluster, hold, condition, what):
    pod, pods = leader(cluster), cluster.pods()
    machine, own = pods[pod]["machine"], pods[pod]["address"]
    others = ", ".join(known["address"] for name, known in pods.items() if name != pod)
    rules = [f"ip saddr {own} ip daddr {{ {others} }} {condition} counter drop;", f"ip daddr {own} ip saddr {{ {others} }} {condition} counter drop;"]
    with finally_(nft(cluster, machine, *rules)):
        time.sleep(hold)
        count = dropped(cluster, machine)
    if count == 0:
        raise Failed(f"no packet of {pod} was dropped")
    cluster.wait_ready(LIMIT)
    return f"{count} packets {what} between {pod} and the others were dropped"


def isolate(cluster, hold):
    """nft on its machine: no packet between the node that leads most and the others. Clients reach it."""
    return cut(cluster, hold, "", "of any length")


def black_hole(cluster, hold):
    """The same with packets of more than 600 bytes alone, and nobody says so."""
    return cut(cluster, hold, "meta length > 600", "of more than 600 bytes")


def delete_volume(cluster, hold):
    """The claim of the node that leads least goes with its pod; what comes back has an empty volume, and is another node."""
    facts, before, nodes = cluster.facts(), cluster.pods(), cluster.nodes()
    pod = min(facts.leads, key=facts.leads.get)
    cluster.kubectl("delete", "persistentvolumeclaim", f"data-{pod}", "--wait=false")
    cluster.kubectl("delete", "pod", pod, "--grace-period=0", "--force", limit=60)
    said = replaced(cluster, before, pod)
    # Its share of replicas comes back with time.
    share = nodes[pod]["replicas"]

    def grown(known):
        return known.get(pod) is not None and known[pod]["id"] != nodes[pod]["id"] and known[pod]["replicas"] >= share

    after = wait_until(cluster.nodes, grown, f"{pod} has not got its share of {share} replicas as another node")
    return f"{said}; it is node {after[pod]['id']} instead of {nodes[pod]['id']}, with {after[pod]['replicas']} replicas"


def rollout_restart(cluster, hold):
    """kubectl rollout restart: one pod after the other, from the highest ordinal down."""
    before = cluster.pods()
    cluster.kubectl("rollout", "restart", f"statefulset/{SET}")
    cluster.kubectl("rollout", "status", f"statefulset/{SET}", "--timeout=900s", limit=920)
    cluster.wait_ready(LIMIT, but={pod["uid"] for pod in before.values()})
    return f"{len(before)} pods were replaced"


def scale_too_far(cluster, hold):
    """Fewer replicas than voters, and an even number of voters: the API server refuses each, and the pods stay."""
    before = cluster.pods()
    patch = json.dumps({"data": {"voters": "2"}})
    orders = [
        ("scale", f"statefulset/{SET}", "--replicas=2"),
        ("patch", "statefulset", SET, "--type=merge", "--patch", json.dumps({"spec": {"replicas": 1}})),
        ("patch", "configmap", "tidemark-voters", "--type=merge", "--patch", patch),
    ]
    for order in orders:
        try:
            cluster.kubectl(*order)
        except Failed as refused:
            if "voters" not in str(refused):
                raise
        else:
            cluster.kubectl("scale", f"statefulset/{SET}", f"--replicas={len(before)}")
            raise Failed(f"not refused: {' '.join(order)}")
    if {pod["uid"] for pod in before.values()} != {pod["uid"] for pod in cluster.wait_ready(LIMIT).values()}:
        raise Failed("pods are not the same as before")
    return f"{len(orders)} orders were refused"


def scale_up(cluster, hold):
    """Two more nodes join and get their share; then they are drained, decommissioned and scaled away, as an operator does it."""
    founders = cluster.replicas()
    cluster.kubectl("scale", f"statefulset/{SET}", f"--replicas={founders + 2}")
    cluster.wait_ready(LIMIT)
    new = [f"{SET}-{founders + at}" for at in (1, 0)]
    nodes = wait_until(cluster.nodes, lambda known: all(known.get(pod, {}).get("replicas") for pod in new), "the new nodes get no replicas")
    share = [nodes[pod]["replicas"] for pod in new]
    time.sleep(hold)
    for at, pod in enumerate(new):
        # The order is given to another node than the one that goes.
        cluster.tidemark(f"{SET}-0", "node", "drain", nodes[pod]["id"], "--wait", limit=600)
        cluster.tidemark(f"{SET}-0", "node", "decommission", nodes[pod]["id"], limit=60)
        cluster.kubectl("scale", f"statefulset/{SET}", f"--replicas={founders + 1 - at}")
        cluster.kubectl("wait", "--for=delete", f"pod/{pod}", "--timeout=180s", limit=200)
        cluster.kubectl("delete", "persistentvolumeclaim", f"data-{pod}", "--timeout=60s", limit=70)
    cluster.wait_ready(LIMIT)
    return f"two nodes joined, had {share} replicas, and left"


COREDNS = ("configmap", "coredns")


@contextmanager
def corefile(cluster, stanza):
    """CoreDNS with something before all else; its pods are replaced, for it reads its file again only now and then."""

    def put(text):
        cluster.kubectl("patch", *COREDNS, "--type=merge", "--patch", json.dumps({"data": {"Corefile": text}}), namespace="kube-system")
        cluster.kubectl("rollout", "restart", "deployment/coredns", namespace="kube-system")
        cluster.kubectl("rollout", "status", "deployment/coredns", "--timeout=120s", limit=130, namespace="kube-system")

    before = cluster.get(*COREDNS, namespace="kube-system")["data"]["Corefile"]
    if ".:53 {" not in before:
        raise Failed("the Corefile has no server for all names")
    with finally_(lambda: put(before)):
        put(before.replace(".:53 {", ".:53 {\n    " + stanza, 1))
        yield


def broken_names(cluster, hold, stanza, what):
    pod, before = leader(cluster), cluster.pods()
    with corefile(cluster, stanza):
        cluster.kubectl("delete", "pod", pod, "--grace-period=0", "--force", limit=60)
        time.sleep(hold)
    return f"{what} for {hold:g} s; " + replaced(cluster, before, pod)


def names_unknown(cluster, hold):
    """CoreDNS knows no name of this namespace while the node that leads most is made anew."""
    return broken_names(cluster, hold, f"template ANY ANY {NAMESPACE}.svc.cluster.local {{\n        rcode NXDOMAIN\n    }}", "no name was known")


def names_wrong(cluster, hold):
    """The same, and all names stand for an address where nobody is (192.0.2.1)."""
    answer = 'answer "{{ .Name }} 5 IN A 192.0.2.1"'
    return broken_names(cluster, hold, f"template IN A {NAMESPACE}.svc.cluster.local {{\n        {answer}\n    }}", "all names were wrong")


def wait_until(ask, is_so, complaint, limit=LIMIT):
    end = time.monotonic() + limit
    while True:
        try:
            known = ask()
            if is_so(known):
                return known
            last = ""
        except (Failed, KeyError) as failed:
            last = f": {failed}"
        if time.monotonic() > end:
            raise Failed(f"{limit} s later {complaint}{last}")
        time.sleep(1)


# In the order in which they are run: what leaves most behind comes last.
FAULTS = {
    "kill-process": kill_process,
    "delete-pod": delete_pod,
    "force-delete": force_delete,
    "pause-worker": pause_worker,
    "disconnect-worker": disconnect_worker,
    "isolate": isolate,
    "black-hole": black_hole,
    "names-unknown": names_unknown,
    "names-wrong": names_wrong,
    "drain-worker": drain_worker,
    "scale-too-far": scale_too_far,
    "rollout-restart": rollout_restart,
    "scale-up": scale_up,
    "delete-volume": delete_volume,
}


def describe():
    for name, function in FAULTS.items():
        say(f"{name:18} {function.__doc__}")
