"""The cluster as kubectl, docker and the nodes themselves show it. Every call has a limit of time."""

import json
import os
import subprocess
import sys
import threading
import time

from mesh import CONTAINER, LABELS, Facts

DOCKER = os.environ.get("DOCKER") or "docker"
CLUSTER = os.environ.get("KIND_CLUSTER", "tidemark")
NAMESPACE = "tidemark-kind"
SET = "tidemark"
PROGRAM = "/usr/local/bin/tidemark"
TOKEN_FILE = "/etc/tidemark/init/admin-token"
ORG = BUCKET = "chaos"
SELECTOR = ",".join(f"{name}={value}" for name, value in LABELS.items())
CALL = 30


class Failed(Exception):
    """A command did not do what it should."""


class Shell:
    """Runs commands, or only says which, with `dry`."""

    def __init__(self, dry=False):
        self.dry = dry

    def run(self, *command, limit=CALL, text=None):
        if self.dry:
            print("would run:", " ".join(command))
            for line in (text or "").splitlines():
                print("  |", line)
            return ""
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit, input=text)
        except subprocess.TimeoutExpired:
            raise Failed(f"{' '.join(command)}: no answer within {limit} s") from None
        except FileNotFoundError:
            raise Failed(f"{command[0]} is not installed") from None
        if done.returncode != 0:
            raise Failed(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-600:]}")
        return done.stdout


class Cluster:
    """The kind cluster and no other: its context is named in every call."""

    def __init__(self, shell):
        self.shell = shell

    def kubectl(self, *words, limit=CALL, text=None, namespace=NAMESPACE):
        return self.shell.run("kubectl", "--context", f"kind-{CLUSTER}", "--namespace", namespace, *words, limit=limit, text=text)

    def get(self, *words, namespace=NAMESPACE):
        return json.loads(self.kubectl("get", *words, "--output", "json", namespace=namespace))

    def docker(self, *words, limit=CALL):
        return self.shell.run(DOCKER, *words, limit=limit)

    def tidemark(self, pod, *words, limit=15):
        """The program inside a pod, as an operator."""
        seconds = str(max(limit - 5, 1))
        own = ("--token-file", TOKEN_FILE, "--org", ORG, "--timeout", seconds)
        return self.kubectl("exec", pod, "--container", CONTAINER, "--", PROGRAM, *words, *own, limit=limit)

    def pods(self):
        """Pods of nodes: name -> what is known of it, in the order of their ordinals."""
        found = {}
        for pod in self.get("pods", "--selector", SELECTOR)["items"]:
            status = pod.get("status", {})
            container = next((c for c in status.get("containerStatuses", []) if c["name"] == CONTAINER), {})
            conditions = {c["type"]: c["status"] for c in status.get("conditions", [])}
            found[pod["metadata"]["name"]] = {
                "uid": pod["metadata"]["uid"],
                "ready": conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"],
                "address": status.get("podIP"),
                "machine": pod["spec"].get("nodeName"),
                "restarts": container.get("restartCount", 0),
                "container": container.get("containerID", "").rpartition("/")[2],
            }
        return dict(sorted(found.items(), key=lambda item: int(item[0].rpartition("-")[2])))

    def replicas(self):
        return self.get("statefulset", SET)["spec"]["replicas"]

    def wait_ready(self, limit, but=()):
        """Until all pods are there and ready, none of them one of these uids."""
        wanted, end, last = self.replicas(), time.monotonic() + limit, ""
        while time.monotonic() < end:
            try:
                pods = self.pods()
                bad = [name for name, pod in pods.items() if not pod["ready"] or pod["uid"] in but]
                if len(pods) == wanted and not bad:
                    return pods
                last = f"{len(pods)} of {wanted} pods, not ready: {bad}"
            except Failed as failed:
                last = str(failed)
            time.sleep(1)
        raise Failed(f"{limit} s later not all pods are ready: {last}")

    def nodes(self):
        """What the nodes say of themselves, by pod; asked of whichever answers."""
        said = []
        for pod in self.pods():
            try:
                rows = json.loads(self.tidemark(pod, "node", "ls", "--output", "json"))
                return {row["address"].partition(":")[0].partition(".")[0]: row for row in rows if row["state"] == "up"}
            except (Failed, ValueError, KeyError) as failed:
                said.append(f"{pod}: {failed}")
        raise Failed("no node says who leads: " + "; ".join(said))

    def facts(self, limit=60):
        """All that a fault's targets are chosen by. Waits until somebody leads."""
        machines = {one["metadata"]["name"]: one for one in self.get("nodes")["items"]}
        dns = self.get("service", "kube-dns", namespace="kube-system")["spec"]["clusterIP"]
        container = self.get("statefulset", SET)["spec"]["template"]["spec"]["containers"][0]
        end = time.monotonic() + limit
        while True:
            pods, nodes = self.pods(), self.nodes()
            leads = {pod: nodes.get(pod, {}).get("leads") or 0 for pod in pods}
            if any(leads.values()):
                break
            if time.monotonic() > end:
                raise Failed(f"{limit} s later no node leads: {nodes}")
            time.sleep(1)
        labels = {pod: machines[known["machine"]]["metadata"]["labels"] for pod, known in pods.items() if known["machine"]}
        at = next(known["machine"] for known in pods.values() if known["machine"])
        return Facts(
            namespace=NAMESPACE,
            zones={pod: labels[pod].get("topology.kubernetes.io/zone", pod) for pod in labels},
            leads=leads,
            dns=dns,
            processors=int(machines[at]["status"]["capacity"]["cpu"]),
            memory=mebibytes(container["resources"]["limits"]["memory"]),
        )


def mebibytes(text):
    for suffix, factor in (("Gi", 1024), ("Mi", 1)):
        if text.endswith(suffix):
            return int(text[: -len(suffix)]) * factor
    raise Failed(f"a limit of memory that is not in Mi or Gi: {text}")


class Ledger:
    """Writes numbered points through the pods in turn all the while, and knows which were acknowledged. At the end all of those,
    and none that was not sent, must be read through every pod."""

    START_NS = 1_700_000_000_000_000_000

    def __init__(self, cluster, pace=0.2):
        self.cluster, self.pace = cluster, pace
        self.name = f"kind_{time.time_ns()}"
        self.sent, self.acknowledged = set(), set()
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self):
        self._thread.start()

    def stop(self):
        self._stop.set()
        self._thread.join(timeout=60)
        return not self._thread.is_alive()

    def write(self, pod):
        with self._lock:
            n = len(self.sent)
            self.sent.add(n)
        try:
            self.cluster.tidemark(pod, "write", "--bucket", BUCKET, f"{self.name} n={n}i {self.START_NS + n}", limit=10)
        except Failed:
            return False
        with self._lock:
            self.acknowledged.add(n)
        return True

    def _work(self):
        while not self._stop.is_set():
            try:
                for pod in self.cluster.pods():
                    if not self._stop.is_set():
                        self.write(pod)
                        self._stop.wait(self.pace)
            except Failed:
                self._stop.wait(1)

    def read(self, pod):
        rows = json.loads(self.cluster.tidemark(pod, "query", "--db", BUCKET, "--language", "influxql", "--output", "json", f"SELECT n FROM {self.name}", limit=30))
        return [int(row["n"]) for row in rows]

    def heal(self, limit):
        """Until every pod takes a write and answers a read; what is wrong, if it takes longer."""
        wrong = []
        for pod in self.cluster.pods():
            end = time.monotonic() + limit
            while True:
                try:
                    wrote, _ = self.write(pod), self.read(pod)
                    if wrote:
                        break
                    last = "takes no write"
                except (Failed, ValueError) as failed:
                    last = str(failed)
                if time.monotonic() > end:
                    wrong.append(f"{limit:.0f} s after the last fault {pod} {last}")
                    break
                time.sleep(1)
        return wrong

    def check(self):
        """What is lost, made up or there twice, through each pod."""
        wrong = []
        with self._lock:
            acknowledged, sent = set(self.acknowledged), set(self.sent)
        for pod in self.cluster.pods():
            try:
                found = self.read(pod)
            except (Failed, ValueError) as failed:
                wrong.append(f"{pod} cannot be read: {failed}")
                continue
            lost, strange = sorted(acknowledged - set(found)), sorted(set(found) - sent)
            if lost:
                wrong.append(f"through {pod} {len(lost)} acknowledged points are missing: {lost[:10]}")
            if strange:
                wrong.append(f"through {pod} there are points that nobody sent: {strange[:10]}")
            if len(found) != len(set(found)):
                wrong.append(f"through {pod} points are there twice")
        return wrong


def say(text):
    print(text, flush=True)


def complain(text):
    print(f"chaos/kind: {text}", file=sys.stderr, flush=True)
