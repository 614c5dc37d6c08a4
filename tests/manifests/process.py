"""What the manifests say about the process, asked of the process: `tidemark config show`, and a node that runs."""

import functools
import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from rendering import Failure, ROOT
from semantics import PORTS, containers, environment, require, title


def binary():
    path = os.environ.get("TIDEMARK_BINARY")
    if not path:
        raise Failure("TIDEMARK_BINARY names no binary")
    return path


def configuration(objects, o, container):
    """What the process understands of its variables and flags: setting -> (value, origin)."""
    sample = {"POD_NAME": "tidemark-0", "POD_NAMESPACE": o["metadata"].get("namespace", "tidemark"), "TIDEMARK_ZONE": "a"}
    given = {name: sample[name] if value is None else value for name, value in environment(objects, container).items()}
    env, known, complaint = understood(json.dumps(given, sort_keys=True), tuple(container["args"][1:]))
    require(not complaint, f"{title(o)}: {complaint}")
    return env, known


@functools.cache
def understood(given, words):
    """Of variables and flags, asked once for the many variants that have the same."""
    with tempfile.TemporaryDirectory() as folder:
        return asked(json.loads(given), words, folder)


def asked(given, words, folder):
    env = {"PATH": os.environ["PATH"], "HOME": folder}
    for name, value in given.items():
        if value.startswith("/etc/") or value.startswith("/run/"):
            # Files of volumes, with something in them.
            path = pathlib.Path(folder + value)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("something-long")
            value = str(path)
        env[name] = value
    command = [binary(), "config", "show", "--origin", "--output", "json", *words]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0 or "warn" in done.stderr.lower():
        return env, {}, done.stderr.strip() or f"exit code {done.returncode}"
    return env, {s["setting"]: (s["value"], s["origin"]) for s in json.loads(done.stdout)}, ""


def settings(objects):
    """The process knows each variable that it is given, takes each value, and listens where the manifests say."""
    for o, container in containers(objects):
        if container["args"][0] != "serve":
            continue
        env, known = configuration(objects, o, container)
        # "NAME_FILE (path)" for what is in a file.
        origins = {origin.partition(" (")[0] for _, origin in known.values()}
        for name, value in env.items():
            if name.startswith(("TIDEMARK_", "DOCKER_", "POD_")) and value:
                require(name in origins, f"{title(o)}: the process does not know {name}, or something else comes before it")
        there = {p["name"]: p["containerPort"] for p in container["ports"]}
        for name, setting in {"http": "http-bind-address", "peer": "peer-bind-address", "probe": "probe-bind-address"}.items():
            if name in there:
                at = known[setting][0]
                require(at.endswith(f":{there[name]}") and not at.startswith(("127.", "localhost")), f"{title(o)}: port {name} is {there[name]}, the process listens at {at}")
        require(known["role"][0] == ("node" if o["kind"] == "StatefulSet" else "gateway"), f"{title(o)} is a {known['role'][0]}")


@functools.cache
def help_of(verb):
    """What a verb of the binary says of itself; nothing, where there is none."""
    done = subprocess.run([binary(), verb, "--help"], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def commands(objects):
    """The binary has the verbs that init containers and hooks call, with these flags."""
    for o, container in containers(objects):
        calls = [container["args"]] if container["args"][0] != "serve" else [container["lifecycle"]["preStop"]["exec"]["command"][1:]]
        for call in calls:
            text = help_of(call[0])
            require(text, f"{title(o)}: the binary has no `{call[0]}`")
            for flag in (word for word in call[1:] if word.startswith("--")):
                require(re.search(re.escape(flag) + r"\b", text), f"{title(o)}: `{call[0]}` has no {flag}")


def doctor(objects):
    """What `tidemark doctor` checks of objects finds nothing."""
    checks = "grace,disruption-budget,manifests,secrets-in-environment"
    command = [binary(), "doctor", "--kubernetes", "-", "--check", checks, "--output", "json"]
    with tempfile.TemporaryDirectory() as home:
        env = {"PATH": os.environ["PATH"], "HOME": home}
        text = json.dumps(objects, default=str)
        done = subprocess.run(command, env=env, input=text, capture_output=True, text=True, check=False)
    require(done.returncode in (0, 1), f"doctor: {done.stderr.strip()}")
    findings = [finding for finding in json.loads(done.stdout) if finding["where"] == "Kubernetes"]
    wanted = {(check, kind) for check in checks.split(",") for kind in ("StatefulSet", "Deployment")}
    found = {(finding["check"], finding["about"].split(" ")[0]) for finding in findings}
    require(found == wanted, f"doctor: looked at {sorted(found)}")
    for finding in findings:
        require(finding["outcome"] == "ok", f"doctor: {finding['about']}: {finding['check']}: {finding['finding']}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def status_of(port, path):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, OSError):
        return None


class Answers:
    """What a running node answers at its ports, asked once for each path."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.ports = {"http": free_port(), "probe": free_port()}
        env = {k: v for k, v in os.environ.items() if not k.startswith(("TIDEMARK_", "INFLUXD_", "DOCKER_"))}
        command = [binary(), "serve", "--data-dir", self.folder.name + "/data", "--peer-bind-address", f"127.0.0.1:{free_port()}"]
        for name, port in self.ports.items():
            command += [f"--{name}-bind-address", f"127.0.0.1:{port}"]
        self.log = open(self.folder.name + "/log", "w+")
        self.process = subprocess.Popen(command, env=env, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 60
        while status_of(self.ports["http"], "/ready") != 200:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                log = self.log.read()
                self.__exit__()
                raise Failure(f"the node does not start: {log}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def to(self, port, path):
        # A follower hears of the leader soon after the start; a path that is not there stays 404.
        deadline = time.monotonic() + 30
        while (status := status_of(self.ports[port], path)) == 503 and time.monotonic() < deadline:
            time.sleep(0.05)
        return status


ANSWERS = None


def probes(objects):
    """Paths that the kubelet, Prometheus and balancers ask are among those that a running node answers, at that port."""
    asked = set()
    for o, container in containers(objects):
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            if kind in container:
                asked.add(("probe", container[kind]["httpGet"]["path"]))
        annotations = o["spec"]["template"]["metadata"].get("annotations", {})
        asked.add(({str(number): name for name, number in PORTS.items()}[annotations["prometheus.io/port"]], annotations["prometheus.io/path"]))
    for o in objects:
        if o["kind"] == "ServiceMonitor":
            asked |= {(e["port"], e["path"]) for e in o["spec"]["endpoints"]}
        for name, value in o["metadata"].get("annotations", {}).items():
            if "health" in name and value.startswith("/"):
                asked.add(("http", value))
    for port, path in sorted(asked):
        status = ANSWERS.to(port, path)
        require(status == 200, f"{path} at port {PORTS[port]} answers {status}")


def dockerfiles():
    """Text of each Dockerfile -> what it says from the last FROM on."""
    found = {}
    for name in ("Dockerfile", "Dockerfile.prebuilt"):
        text = (ROOT / name).read_text()
        found[name] = text
    return found


def same_images(files):
    """Both Dockerfiles make images that behave alike, and as the manifests expect."""
    said = {}
    for name, text in files.items():
        final = text[text.rindex("\nFROM ") :]
        lines = re.sub(r"\\\n", " ", final).splitlines()
        said[name] = [re.sub(r"\s+", " ", line) for line in lines if not line.startswith(("FROM", "COPY", "#")) and line.strip()]
    first, second = said.values()
    require(first == second, f"the images differ: {set(first) ^ set(second)}")
    text = "\n".join(first)
    require("USER 65532:65532" in text and "STOPSIGNAL SIGTERM" in text, "not as 65532, or not by SIGTERM")
    require(f"EXPOSE {PORTS['http']} {PORTS['peer']} {PORTS['probe']}" in text, "other ports")
    for variable, port in (("HTTP", PORTS["http"]), ("PROBE", PORTS["probe"])):
        require(f"TIDEMARK_{variable}_BIND_ADDRESS=:{port}" in text, f"TIDEMARK_{variable}_BIND_ADDRESS is not :{port}")
    health = re.search(r'HEALTHCHECK .*CMD \["/usr/local/bin/tidemark", "(\S+)", "(\S+)"\]', text)
    require(health, "no health check by the binary")
    done = subprocess.run([binary(), health[1], "--help"], capture_output=True, text=True, check=False)
    require(done.returncode == 0 and health[2] in done.stdout, f"the binary has no `{health[1]} {health[2]}`")
