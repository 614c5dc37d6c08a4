"""What schemas cannot know: that objects of a rendered set agree with one another and with the process."""

import json
import re
import urllib.parse

import yaml

from rendering import Failure

NODE = ("StatefulSet", "tidemark")
GATEWAY = ("Deployment", "tidemark-gateway")
OF_PODS = ("StatefulSet", "Deployment", "DaemonSet", "Job")
# A pod of cert-manager, by which it proves that a host is ours.
SOLVER = {"acme.cert-manager.io/http01-solver": "true"}
PORTS = {"http": 8086, "peer": 8088, "probe": 8089}


def require(holds, why):
    if not holds:
        raise Failure(why)


def of_kind(objects, *kinds):
    return [o for o in objects if o["kind"] in kinds]


def named(objects, kind, name):
    """One object; a name by a generator ends in a hash, and one outside of namespaces in the environment's."""
    ending = r"(-[a-z0-9]{10}|\.[a-z0-9-]+)?"
    found = [o for o in of_kind(objects, kind) if re.fullmatch(re.escape(name) + ending, o["metadata"]["name"])]
    require(len(found) == 1, f"{len(found)} objects are {kind} {name}")
    return found[0]


def title(o):
    return f"{o['kind']} {o['metadata']['name']}"


def pod_of(o):
    return o["spec"]["template"]["spec"]


def labels_of_pods(o):
    return o["spec"]["template"]["metadata"]["labels"]


def ours(objects):
    return [o for o in of_kind(objects, *OF_PODS) if "app.kubernetes.io/name" in labels_of_pods(o)]


def tidemarks(objects):
    return [o for o in ours(objects) if labels_of_pods(o)["app.kubernetes.io/name"] == "tidemark"]


def matches(selector, labels):
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    for e in selector.get("matchExpressions") or []:
        value, wanted = labels.get(e["key"]), e.get("values", [])
        holds = {"In": value in wanted, "NotIn": value not in wanted, "Exists": value is not None, "DoesNotExist": value is None}
        if not holds[e["operator"]]:
            return False
    return True


def all_pods(objects):
    """Labels of all pods: of workloads, and of what operators make of their objects."""
    pods = [labels_of_pods(o) for o in ours(objects)]
    for o in of_kind(objects, "Prometheus", "Alertmanager"):
        pods.append({"app.kubernetes.io/name": o["kind"].lower()} | o["spec"].get("podMetadata", {}).get("labels", {}))
    if any("cert-manager.io/cluster-issuer" in o["metadata"].get("annotations", {}) for o in of_kind(objects, "Ingress")):
        pods.append(SOLVER)
    return pods


def replicas(objects, o):
    """How many pods there are at least."""
    for hpa in of_kind(objects, "HorizontalPodAutoscaler"):
        target = hpa["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) == (o["kind"], o["metadata"]["name"]):
            return hpa["spec"]["minReplicas"]
    return o["spec"].get("replicas", 1)


def environment(objects, container):
    """What the process gets: from ConfigMaps, then its own. Values from fields are None."""
    found = {}
    for source in container.get("envFrom", []):
        found |= named(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", []):
        found[variable["name"]] = variable.get("value")
    return found


def containers(objects):
    for o in tidemarks(objects):
        for container in pod_of(o).get("initContainers", []) + pod_of(o)["containers"]:
            yield o, container


# --- the checks ---


def selectors(objects):
    """Every selector finds pods: of Services, workloads, budgets, policies, spread, autoscalers, monitors."""
    workloads, pods = ours(objects), all_pods(objects)
    for o in workloads:
        require(matches(o["spec"]["selector"], labels_of_pods(o)), f"{title(o)} does not select its own pods")
        for spread in pod_of(o).get("topologySpreadConstraints", []):
            require(matches(spread["labelSelector"], labels_of_pods(o)), f"{title(o)}: the spread by {spread['topologyKey']} counts other pods")
            others = [w for w in workloads if w is not o and matches(spread["labelSelector"], labels_of_pods(w))]
            require(not others, f"{title(o)}: the spread counts pods of {[title(w) for w in others]}")
    for o in of_kind(objects, "Service"):
        found = [p for p in pods if matches({"matchLabels": o["spec"]["selector"]}, p)]
        require(len(found) == 1, f"{title(o)} selects the pods of {len(found)} workloads")
    for o in of_kind(objects, "PodDisruptionBudget"):
        found = [p for p in pods if matches(o["spec"]["selector"], p)]
        require(len(found) == 1, f"{title(o)} selects the pods of {len(found)} workloads")
    for o in of_kind(objects, "NetworkPolicy"):
        require(any(matches(o["spec"]["podSelector"], p) for p in pods), f"{title(o)} is for no pod")
        for rule in o["spec"].get("ingress", []) + o["spec"].get("egress", []):
            for peer in rule.get("from", []) + rule.get("to", []):
                alone = "podSelector" in peer and "namespaceSelector" not in peer
                invited = peer.get("podSelector", {}).get("matchLabels", {}).get("tidemark-access")
                watching = {"prometheus", "alertmanager", "grafana", "otel-collector"}
                absent = peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/name") in watching
                if alone and not invited and not absent:
                    require(any(matches(peer["podSelector"], p) for p in pods), f"{title(o)} names pods that are not there: {peer}")
    for o in of_kind(objects, "HorizontalPodAutoscaler"):
        target = o["spec"]["scaleTargetRef"]
        require(any((w["kind"], w["metadata"]["name"]) == (target["kind"], target["name"]) for w in workloads), f"{title(o)} scales nothing")
        require(target["kind"] != "StatefulSet", f"{title(o)} scales voters")
    for o in of_kind(objects, "StatefulSet"):
        service = named(objects, "Service", o["spec"]["serviceName"])
        require(service["spec"].get("clusterIP") == "None", f"{title(service)} is not headless")
        require(service["spec"].get("publishNotReadyAddresses") is True, f"{title(service)} hides pods that must find one another to be ready")
        require(matches({"matchLabels": service["spec"]["selector"]}, labels_of_pods(o)), f"{title(service)} is not for {title(o)}")
    for o in of_kind(objects, "Ingress"):
        for rule in o["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                found = named(objects, "Service", backend["name"])
                require(backend["port"]["name"] in [p["name"] for p in found["spec"]["ports"]], f"{title(o)}: no port {backend['port']}")


def scraped_once(objects):
    """Every pod of Tidemark is asked at the port of the probes, by one Service and one monitor alone: else its metrics count twice."""
    services = of_kind(objects, "Service")
    for w in tidemarks(objects):
        by = []
        for o in of_kind(objects, "ServiceMonitor"):
            found = [s for s in services if matches(o["spec"]["selector"], s["metadata"].get("labels", {}))]
            found = [s for s in found if matches({"matchLabels": s["spec"]["selector"]}, labels_of_pods(w))]
            for endpoint in o["spec"]["endpoints"]:
                # In a mesh that refuses what comes from outside of it, only this port answers Prometheus.
                require(endpoint["port"] == "probe", f"{title(o)} asks at port {endpoint['port']}")
                by += [title(s) for s in found if endpoint["port"] in [p.get("name") for p in s["spec"]["ports"]]]
            # Alertmanager tells nodes and gateways apart by it.
            require("app.kubernetes.io/component" in o["spec"].get("targetLabels", []), f"{title(o)} does not say what is a node")
            for s in found:
                says = s["metadata"]["labels"].get("app.kubernetes.io/component")
                require(says == labels_of_pods(w)["app.kubernetes.io/component"], f"{title(s)} says that {title(w)} is a {says}")
        if of_kind(objects, "ServiceMonitor"):
            require(len(by) == 1, f"{title(w)} is asked through {by}")


def watched(objects):
    """What watches is watched, by monitors that Prometheus takes, at ports that are there, under names that are not the database's."""
    if not of_kind(objects, "Prometheus"):
        return
    prometheus = of_kind(objects, "Prometheus")[0]["spec"]
    ports = {"prometheus": {"web"}, "alertmanager": {"web"}}
    for o in ours(objects):
        name = labels_of_pods(o)["app.kubernetes.io/name"]
        ports.setdefault(name, set()).update(p["name"] for c in pod_of(o)["containers"] for p in c.get("ports", []))
    taken = {"ServiceMonitor": "serviceMonitorSelector", "PodMonitor": "podMonitorSelector", "Probe": "probeSelector", "ScrapeConfig": "scrapeConfigSelector", "PrometheusRule": "ruleSelector"}
    asked = set()
    for o in of_kind(objects, *taken):
        selector = prometheus.get(taken[o["kind"]])
        require(selector and matches(selector, o["metadata"].get("labels", {})), f"Prometheus does not take {title(o)}")
        if o["kind"] == "PodMonitor":
            require(o["spec"].get("jobLabel") == "app.kubernetes.io/name", f"{title(o)}: its job is named after its namespace, as if it were the database")
            found = {p["app.kubernetes.io/name"] for p in all_pods(objects) if matches(o["spec"]["selector"], p)}
            require(len(found) == 1 and "tidemark" not in found, f"{title(o)} asks {found}")
            for endpoint in o["spec"]["podMetricsEndpoints"]:
                require(endpoint["port"] in ports[min(found)], f"{title(o)}: {found} has no port {endpoint['port']}")
                require(any(r.get("targetLabel") == "cluster" for r in endpoint.get("relabelings", [])), f"{title(o)}: no label cluster, by which dashboards select")
            asked |= found
        if o["kind"] in ("Probe", "ScrapeConfig"):
            job = o["spec"].get("jobName", "")
            require(job and not job.startswith("tidemark"), f"{title(o)}: job {job} is none, or the database's")
    there = {p["app.kubernetes.io/name"] for p in all_pods(objects) if "app.kubernetes.io/name" in p} - {"tidemark"}
    require(asked == there, f"nobody asks {there - asked} for metrics")


def fits(objects):
    """Every object can be applied: kubectl keeps what it applied in an annotation, and those have 262,144 bytes."""
    for o in objects:
        size = len(json.dumps(o, separators=(",", ":")).encode())
        require(size < 250_000, f"{title(o)} has {size} bytes")


def selects(peer, other):
    """Whether a peer of a NetworkPolicy's rule is this one: labels of a pod of this namespace, the name of another namespace with
    any labels, or None for what is outside of the cluster. A block of addresses is no pod: not everywhere does it stand for any."""
    if "ipBlock" in peer:
        return other is None
    if other is None:
        return False
    if isinstance(other, str):
        namespace = peer.get("namespaceSelector")
        return namespace is not None and "podSelector" not in peer and matches(namespace, {"kubernetes.io/metadata.name": other})
    return "namespaceSelector" not in peer and matches(peer["podSelector"], other)


def allows(objects, direction, own, other, port):
    """Whether the NetworkPolicies of a pod let a connection in, or out."""
    return any(
        selects(peer, other)
        for o in of_kind(objects, "NetworkPolicy")
        if matches(o["spec"]["podSelector"], own)
        for rule in o["spec"].get(direction, [])
        if port in [p["port"] for p in rule.get("ports", [])]
        for peer in rule.get("from" if direction == "ingress" else "to", [])
    )


def reached(objects):
    """Every connection that is needed is let out where it begins, and in where it ends."""
    pods = {}
    for labels in all_pods(objects):
        name = labels.get("app.kubernetes.io/name", "solver")
        pods[labels["app.kubernetes.io/component"] if name == "tidemark" else name] = labels
    wanted = [("node", "node", 8088), ("gateway", "node", 8088), ("node", "otel-collector", 4317), ("gateway", "otel-collector", 4317)]
    wanted += [("prometheus", to, port) for to, port in (("node", 8089), ("gateway", 8089), ("prometheus", 9090), ("alertmanager", 9093), ("grafana", 3000), ("otel-collector", 8888))]
    wanted += [("grafana", to, port) for to, port in (("node", 8086), ("prometheus", 9090), ("alertmanager", 9093))]
    wanted += [("namespace ingress-nginx", to, port) for to, port in (("gateway", 8086), ("grafana", 3000), ("solver", 8089))]
    wanted += [("namespace monitoring", "gateway", port) for port in (8086, 8089)]
    wanted += [("prometheus", "world", 443), ("prometheus", "world", 6443), ("alertmanager", "world", 443), ("alertmanager", "world", 587)]
    wanted += [("gateway", "world", 4317)]
    urls = []
    for o in of_kind(objects, "ConfigMap"):
        if o["metadata"]["name"].startswith("grafana-datasources"):
            urls += [("grafana", source["url"]) for source in yaml.safe_load(o["data"]["tidemark.yaml"])["datasources"]]
        if o["metadata"]["name"].startswith("otel-collector"):
            exporters = yaml.safe_load(o["data"]["collector-config.yaml"])["exporters"]
            urls += [("otel-collector", "http://" + exporter["endpoint"]) for exporter in exporters.values()]
    for o in of_kind(objects, "Probe"):
        urls += [("prometheus", "http://" + o["spec"]["prober"]["url"])]
        for target in o["spec"]["targets"]["staticConfig"]["static"]:
            target = urllib.parse.urlsplit(target)
            to = {"tidemark-gateway": "gateway"}.get(target.hostname.split(".")[0], target.hostname.split(".")[0])
            require(to in pods, f"{title(o)} asks {target.hostname}, which is not there")
            wanted.append(("namespace monitoring", to, target.port))
    for o in of_kind(objects, "ScrapeConfig"):
        urls += [("prometheus", "http://" + target) for one in o["spec"]["staticConfigs"] for target in one["targets"]]
    for source, url in urls:
        url = urllib.parse.urlsplit(url)
        if ".monitoring.svc" in url.hostname:
            # Rules are about ports of pods: the Service of Loki's gateway has 80, its pods 8080.
            wanted.append((source, "namespace monitoring", {None: 8080}.get(url.port, url.port)))

    def end(name):
        return None if name == "world" else name.removeprefix("namespace ") if name.startswith("namespace ") else pods[name]

    for source, to, port in wanted:
        if any(name not in pods and name != "world" and not name.startswith("namespace ") for name in (source, to)):
            continue
        if source in pods:
            require(allows(objects, "egress", pods[source], end(to), port), f"{source} may not call {to} at {port}")
        if to in pods:
            require(allows(objects, "ingress", pods[to], end(source), port), f"{to} does not let {source} in at {port}")


def apart(environments):
    """Environments in one cluster have no object in common, so that one neither changes nor removes what another has."""
    owners = {}
    for environment, objects in environments.items():
        for o in objects:
            # One issuer of public certificates serves a cluster, and one class of volumes; production's are the cluster's.
            if o["kind"] in ("ClusterIssuer", "StorageClass"):
                continue
            key = (o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"])
            other = owners.setdefault(key, environment)
            require(other == environment, f"{title(o)} is of {other} and of {environment}")


def budgets(objects):
    """Each group of pods that is more than one has a budget of one at a time, and no budget stops a drain for ever."""
    for o in tidemarks(objects):
        found = [b for b in of_kind(objects, "PodDisruptionBudget") if matches(b["spec"]["selector"], labels_of_pods(o))]
        require(len(found) == 1, f"{title(o)} has {len(found)} budgets")
        require(found[0]["spec"].get("maxUnavailable") == 1 and "minAvailable" not in found[0]["spec"], f"{title(found[0])} is not maxUnavailable: 1")
    voters = named(objects, "PodDisruptionBudget", "tidemark")
    require(voters["spec"].get("unhealthyPodEvictionPolicy") == "IfHealthyBudget", "an unready voter may be evicted while a majority is thin")


def voters(objects):
    """An odd number of voters, no fewer pods, and a policy that keeps it so."""
    nodes = named(objects, *NODE)
    count = int(named(objects, "ConfigMap", "tidemark-voters")["data"]["voters"])
    expect = int(environment(objects, pod_of(nodes)["containers"][0])["TIDEMARK_BOOTSTRAP_EXPECT"])
    require(count in (1, 3, 5), f"{count} voters")
    require(expect in (1, 3, 5), f"{expect} nodes found a cluster")
    require(nodes["spec"]["replicas"] >= count >= expect, f"{nodes['spec']['replicas']} pods, {count} voters, {expect} founders")
    require(nodes["spec"]["podManagementPolicy"] == "Parallel", "after a full outage the first pod would wait for ever")
    bindings = of_kind(objects, "ValidatingAdmissionPolicyBinding")
    policies = {o["metadata"]["name"]: o for o in of_kind(objects, "ValidatingAdmissionPolicy")}
    require({b["spec"]["policyName"] for b in bindings} == set(policies), "policies and bindings do not go together")
    require(all("Deny" in b["spec"]["validationActions"] for b in bindings), "a policy refuses nothing")
    resources = named(objects, "ValidatingAdmissionPolicy", "tidemark-voters")["spec"]["matchConstraints"]["resourceRules"][0]["resources"]
    require({"statefulsets", "statefulsets/scale"} <= set(resources), "scaling goes round the policy")
    for o in of_kind(objects, "Namespace"):
        for binding in bindings:
            selector = binding["spec"]["matchResources"]["namespaceSelector"]
            require(matches(selector, o["metadata"]["labels"]), f"{title(binding)} does not bind in {o['metadata']['name']}")
            require(not matches(selector, o["metadata"]["labels"] | {"kubernetes.io/metadata.name": "another"}), f"{title(binding)} binds in namespaces of others")


def ports(objects):
    """Containers, Services, NetworkPolicies, probes, scrapes and the process say the same numbers."""
    for o, container in containers(objects):
        if "ports" not in container:
            continue
        there = {p["name"]: p["containerPort"] for p in container["ports"]}
        wanted = PORTS if (o["kind"], o["metadata"]["name"]) == NODE else {k: PORTS[k] for k in ("http", "probe")}
        require(there == wanted, f"{title(o)} has ports {there}")
        env = environment(objects, container)
        for name, variable in {"http": "TIDEMARK_HTTP_BIND_ADDRESS", "peer": "TIDEMARK_PEER_BIND_ADDRESS", "probe": "TIDEMARK_PROBE_BIND_ADDRESS"}.items():
            require(env.get(variable) == f":{PORTS[name]}", f"{title(o)}: {variable} is {env.get(variable)}")
        annotations = o["spec"]["template"]["metadata"]["annotations"]
        # What comes to the port of clients in a mesh must come through it.
        port = there["probe" if "traffic.sidecar.istio.io/excludeInboundPorts" in annotations else "http"]
        require(annotations.get("prometheus.io/port") == str(port), f"{title(o)}: prometheus.io/port")
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            require(container[kind]["httpGet"]["port"] in ("probe", there["probe"]), f"{title(o)}: {kind} is not at the probe port")
    for service in of_kind(objects, "Service"):
        for o in ours(objects):
            if matches({"matchLabels": service["spec"]["selector"]}, labels_of_pods(o)):
                there = {p["name"]: p["containerPort"] for c in pod_of(o)["containers"] for p in c.get("ports", [])}
                for port in service["spec"]["ports"]:
                    target = port.get("targetPort", port["port"])
                    require(target in there or target in there.values(), f"{title(service)}: {title(o)} has no port {target}")
                    require(port["port"] == there.get(target, target), f"{title(service)}: port {port['port']} is {target} of {title(o)}")
    # Each port may be reached by whom it is for, and each peer may be called.
    for labels, port, direction, why in (
        ({"app.kubernetes.io/name": "tidemark", "app.kubernetes.io/component": "node", "app.kubernetes.io/part-of": "tidemark"}, 8086, "ingress", "clients"),
        ({"app.kubernetes.io/name": "tidemark", "app.kubernetes.io/component": "gateway", "app.kubernetes.io/part-of": "tidemark"}, 8086, "ingress", "clients"),
        ({"app.kubernetes.io/name": "tidemark", "app.kubernetes.io/component": "node", "app.kubernetes.io/part-of": "tidemark"}, 8088, "ingress", "peers"),
        ({"app.kubernetes.io/name": "tidemark", "app.kubernetes.io/component": "node", "app.kubernetes.io/part-of": "tidemark"}, 8088, "egress", "peers"),
        ({"app.kubernetes.io/name": "tidemark", "app.kubernetes.io/component": "gateway", "app.kubernetes.io/part-of": "tidemark"}, 8088, "egress", "nodes"),
        ({"app.kubernetes.io/name": "tidemark", "app.kubernetes.io/component": "gateway", "app.kubernetes.io/part-of": "tidemark"}, 4317, "egress", "a collector"),
    ):
        require(port in allowed(objects, labels, direction), f"NetworkPolicies: {direction} {port} ({why}) is closed")
    for o in ours(objects):
        for protocol in ("UDP", "TCP"):
            require(53 in allowed(objects, labels_of_pods(o), "egress", protocol), f"NetworkPolicies: {title(o)} cannot ask for names by {protocol}")
    require(any(o["spec"]["podSelector"] == {} and set(o["spec"]["policyTypes"]) == {"Ingress", "Egress"} for o in of_kind(objects, "NetworkPolicy")), "no NetworkPolicy denies the rest")
    known = set(PORTS.values())
    for o in of_kind(objects, "NetworkPolicy"):
        if matches(o["spec"]["podSelector"], {"app.kubernetes.io/name": "tidemark", "app.kubernetes.io/component": "node"}):
            for rule in o["spec"].get("ingress", []):
                for port in rule.get("ports", []):
                    require(port["port"] in known, f"{title(o)} opens {port['port']}, where nobody listens")
        for rule in o["spec"].get("egress", []):
            for peer in rule.get("to", []):
                block = peer.get("ipBlock", {})
                whole = [p.get("ipBlock", {}).get("cidr") for p in rule["to"]]
                require(("0.0.0.0/0" in whole) == ("::/0" in whole), f"{title(o)} reaches the world by one of IPv4 and IPv6 alone")
                require(block.get("cidr") != "0.0.0.0/0" or "169.254.0.0/16" in block.get("except", []), f"{title(o)} reaches the metadata of the cloud")


def allowed(objects, labels, direction, protocol="TCP"):
    """The ports that NetworkPolicies open for pods with these labels."""
    return {
        port["port"]
        for o in of_kind(objects, "NetworkPolicy")
        if matches(o["spec"]["podSelector"], labels)
        for rule in o["spec"].get(direction, [])
        for port in rule.get("ports", [])
        if port.get("protocol", "TCP") == protocol
    }


def seconds(text):
    return sum(float(n) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[u] for n, u in re.findall(r"([\d.]+)(ms|s|m|h)", text))


def shutdown(objects):
    """There is time to end well: the grace is longer than what preStop may take and what comes after it."""
    for o in tidemarks(objects):
        container = pod_of(o)["containers"][0]
        command = container["lifecycle"]["preStop"]["exec"]["command"]
        require(command[:2] == ["/usr/local/bin/tidemark", "pre-stop"], f"{title(o)}: preStop is {command}")
        hook = seconds(command[command.index("--timeout") + 1])
        delay = seconds(environment(objects, container)["TIDEMARK_SHUTDOWN_DELAY"])
        grace = pod_of(o)["terminationGracePeriodSeconds"]
        require(delay > 0, f"{title(o)}: nobody hears that the pod is not ready before it ends")
        require(hook > delay, f"{title(o)}: preStop gives up during the delay")
        require(grace >= hook + delay + 10, f"{title(o)}: a grace of {grace} s for {hook} s of preStop and {delay} s of delay")
        readiness = container["readinessProbe"]
        if o["kind"] == "StatefulSet":
            noticed = readiness["periodSeconds"] * readiness.get("failureThreshold", 3)
            require(hook >= noticed, f"{title(o)}: preStop is over before readiness is noticed ({noticed} s)")
        text = " ".join(command)
        require(not re.search(r"decommission|remove|drain", text), f"{title(o)}: preStop takes the node out of the cluster")
    nodes = named(objects, *NODE)
    require(nodes["spec"]["minReadySeconds"] >= 5, "an update goes on before the last pod has shown that it stays")


def startup(objects):
    """Recovery has half an hour; no liveness probe kills it, nor a node that is only overloaded."""
    for o in tidemarks(objects):
        container = pod_of(o)["containers"][0]
        probe = container["startupProbe"]
        budget = probe["periodSeconds"] * probe["failureThreshold"]
        require(budget >= 1800, f"{title(o)}: {budget} s to start")
        alive = container["livenessProbe"]
        require(alive["periodSeconds"] * alive["failureThreshold"] >= 30, f"{title(o)}: killed after {alive}")
        paths = [container[p]["httpGet"]["path"] for p in ("startupProbe", "livenessProbe", "readinessProbe")]
        require(len(set(paths)) == 3, f"{title(o)}: probes that ask the same: {paths}")
        require("linearizable" not in paths[2], "readiness must not cost a round of messages")


def hardening(objects):
    """Pods are as the level restricted of Pod Security and good sense want them; memory is what was asked for."""
    for o in ours(objects):
        pod = pod_of(o)
        require(pod.get("automountServiceAccountToken") is False, f"{title(o)} gets a token of the API server")
        require(pod.get("enableServiceLinks") is False, f"{title(o)} gets variables for every Service")
        require(pod["securityContext"].get("runAsNonRoot") is True, f"{title(o)} may run as root")
        require(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", f"{title(o)}: seccomp")
        for container in pod.get("initContainers", []) + pod["containers"]:
            security = container["securityContext"]
            require(security["readOnlyRootFilesystem"] is True, f"{title(o)} writes to its image")
            require(security["allowPrivilegeEscalation"] is False and security["capabilities"] == {"drop": ["ALL"]}, f"{title(o)} keeps rights")
            resources = container["resources"]
            require(resources["requests"]["memory"] == resources["limits"]["memory"], f"{title(o)}: memory requests and limits differ")
        for volume in pod.get("volumes", []):
            require("emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], f"{title(o)}: {volume['name']} may fill the machine")
    nodes = named(objects, *NODE)
    for claim in nodes["spec"]["volumeClaimTemplates"]:
        require(claim["spec"]["accessModes"] == ["ReadWriteOncePod"], "two pods may have one volume")
    keep = nodes["spec"]["persistentVolumeClaimRetentionPolicy"]
    single = nodes["spec"]["replicas"] == 1
    require(single or keep == {"whenDeleted": "Retain", "whenScaled": "Retain"}, "volumes go with their pods")
    for o in of_kind(objects, "Namespace"):
        require(o["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") == "restricted", f"{title(o)} is not restricted")


def spread(objects):
    """Nodes of a cluster are in different zones and on different machines, and clients' traffic may stay in one."""
    nodes = named(objects, *NODE)
    must = "DoNotSchedule" if nodes["spec"]["replicas"] > 1 else "ScheduleAnyway"
    by = {s["topologyKey"]: s for s in pod_of(nodes)["topologySpreadConstraints"]}
    require(set(by) == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}, f"spread by {set(by)}")
    require(len(by) == len(pod_of(nodes)["topologySpreadConstraints"]), "one spread is there twice")
    require(all(s["whenUnsatisfiable"] == must and s["maxSkew"] == 1 for s in by.values()), f"spread is not {must}")


def zones(objects):
    """A node gets to know its zone, in one way."""
    for o in tidemarks(objects):
        env = environment(objects, pod_of(o)["containers"][0])
        require(("TIDEMARK_ZONE" in env) != ("TIDEMARK_ZONE_FILE" in env), f"{title(o)}: its zone comes from {[k for k in env if 'ZONE' in k]}")
        if "TIDEMARK_ZONE_FILE" in env:
            init = pod_of(o)["initContainers"][0]
            require(env["TIDEMARK_ZONE_FILE"] == init["args"][init["args"].index("--out") + 1], "the zone is read elsewhere than it is written")
            require(o["metadata"]["name"] != "tidemark" or pod_of(o)["serviceAccountName"] == "tidemark-discovery", "nobody may ask for the zone")


def mounts(objects):
    """Files that variables name are in a volume that is mounted; the Secrets and ConfigMaps of volumes have a source."""
    made = {(o["kind"], o["metadata"]["name"]) for o in objects}
    made |= {("Secret", o["spec"]["secretName"]) for o in of_kind(objects, "Certificate")}
    made |= {("Secret", o["spec"]["target"]["name"]) for o in of_kind(objects, "ExternalSecret")}
    for o in of_kind(objects, "ExternalSecret"):
        taken = [v.get("secret", {}).get("secretName") for w in ours(objects) for v in pod_of(w).get("volumes", [])]
        require(o["spec"]["target"]["name"] in taken, f"{title(o)} makes a Secret that no pod takes")
    by_hand = {("Secret", "tidemark-init"), ("Secret", "tidemark-alerts"), ("ConfigMap", "kube-root-ca.crt")}
    for o in ours(objects):
        volumes = {v["name"]: v for v in pod_of(o).get("volumes", [])}
        volumes |= {c["metadata"]["name"]: c for c in o["spec"].get("volumeClaimTemplates", [])}
        for volume in volumes.values():
            sources = [("Secret", volume.get("secret", {}).get("secretName")), ("ConfigMap", volume.get("configMap", {}).get("name"))]
            for source in volume.get("projected", {}).get("sources", []):
                sources += [(kind, source[field]["name"]) for kind, field in (("Secret", "secret"), ("ConfigMap", "configMap")) if field in source]
            for kind, name in sources:
                require(name is None or (kind, name) in made | by_hand, f"{title(o)}: nobody makes {kind} {name}")
        for container in pod_of(o).get("initContainers", []) + pod_of(o)["containers"]:
            mounted = [m["mountPath"] for m in container.get("volumeMounts", [])]
            for m in container.get("volumeMounts", []):
                require(m["name"] in volumes, f"{title(o)}: no volume {m['name']}")
            if o not in tidemarks(objects):
                continue
            for name, value in environment(objects, container).items():
                if value and value.startswith("/"):
                    require(any(value == p or value.startswith(p + "/") for p in mounted), f"{title(o)}: {name} is {value}, which nothing mounts")


def hashes(objects):
    """Settings come from ConfigMaps whose names change with their content, so that a change restarts the pods."""
    for o in tidemarks(objects):
        for source in pod_of(o)["containers"][0]["envFrom"]:
            name = source["configMapRef"]["name"]
            require(re.fullmatch(r"tidemark-config-[a-z0-9]{10}", name), f"{title(o)}: {name} does not change with its content")
            require(any(c["metadata"]["name"] == name for c in of_kind(objects, "ConfigMap")), f"{title(o)}: no ConfigMap {name}")


def images(objects):
    """Versions are named in full wherever more than one pod runs them; nothing says latest."""
    count = named(objects, *NODE)["spec"]["replicas"]
    for o in ours(objects):
        for container in pod_of(o).get("initContainers", []) + pod_of(o)["containers"]:
            image = container["image"]
            tag = image.rpartition(":")[2] if ":" in image.rpartition("/")[2] else ""
            moving = tag in ("", "latest") or (count > 1 and o in tidemarks(objects) and not is_staging(objects) and not re.fullmatch(r"v?\d+\.\d+\.\d+.*", tag))
            require("@sha256:" in image or not moving, f"{title(o)}: {image}")
        for container in pod_of(o)["containers"]:
            image, policy = container["image"], container.get("imagePullPolicy")
            is_version = "@sha256:" in image or re.search(r":v?\d+\.\d+", image)
            require(policy == ("IfNotPresent" if is_version else "Always"), f"{title(o)}: {image} is pulled {policy}")
    same = {c["image"] for _, c in containers(objects)}
    require(len(same) == 1, f"nodes and gateways are different versions: {same}")


def is_staging(objects):
    return any(o["metadata"]["name"] == "tidemark-staging" for o in of_kind(objects, "Namespace"))


def namespaces(objects):
    """Everything is in the one namespace of its environment; only what has none is outside."""
    names = {o["metadata"]["name"] for o in of_kind(objects, "Namespace")}
    require(len(names) == 1, f"namespaces {names}")
    without = {"Namespace", "StorageClass", "ClusterRole", "ClusterRoleBinding", "ClusterIssuer", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    for o in objects:
        if o["kind"] in without:
            require("namespace" not in o["metadata"], f"{title(o)} has a namespace")
        else:
            require({o["metadata"].get("namespace")} == names, f"{title(o)} is in {o['metadata'].get('namespace')}")
        for subject in o.get("subjects", []):
            require({subject["namespace"]} == names, f"{title(o)} is for {subject}")
    name = names.pop()
    for o in of_kind(objects, "Certificate"):
        for host in o["spec"].get("dnsNames", []):
            require(not host.endswith(".svc") or f".{name}.svc" in host, f"{title(o)}: {host}")


def certificates(objects):
    """With TLS between nodes: nobody talks in the clear, names are those that are called, and files are there."""
    for o in tidemarks(objects):
        env = environment(objects, pod_of(o)["containers"][0])
        has = [k for k in ("TIDEMARK_PEER_TLS_CERT", "TIDEMARK_PEER_TLS_KEY", "TIDEMARK_PEER_TLS_CA") if env.get(k)]
        require((len(has) == 3) == (env.get("TIDEMARK_PEER_PLAINTEXT") != "true") and len(has) in (0, 3), f"{title(o)}: TLS by {has}, plaintext {env.get('TIDEMARK_PEER_PLAINTEXT')}")
        if has:
            certificate = named(objects, "Certificate", "tidemark-peer")["spec"]
            service = env["TIDEMARK_DISCOVERY_NAME"]
            namespace = o["metadata"]["namespace"]
            require(set(certificate["dnsNames"]) == {f"{service}.{namespace}.svc", f"*.{service}.{namespace}.svc"}, f"names of the certificate: {certificate['dnsNames']}")
            require({"server auth", "client auth"} <= set(certificate["usages"]), "a node is client and server")
            require(certificate["privateKey"]["rotationPolicy"] == "Always", "renewed with the old key")
            require(seconds(certificate["renewBefore"]) * 3 == seconds(certificate["duration"]), "renewed when two thirds are over")


def decision(objects, policy, thing, params=None):
    """Whether an admission policy lets an object in, by its own expressions."""
    import celpy

    environment = celpy.Environment()
    spec = named(objects, "ValidatingAdmissionPolicy", policy)["spec"]

    def evaluate(expression, given):
        return environment.program(environment.compile(expression)).evaluate(celpy.json_to_cel(given))

    given = {"object": thing, "params": params or {}, "variables": {}}
    if not all(evaluate(c["expression"], given) for c in spec.get("matchConditions", [])):
        return True
    for variable in spec.get("variables", []):
        given["variables"][variable["name"]] = int(evaluate(variable["expression"], given))
    for validation in spec["validations"]:
        if "messageExpression" in validation:
            require(str(evaluate(validation["messageExpression"], given)), f"{policy} refuses without a word")
    return all(evaluate(v["expression"], given) for v in spec["validations"])


def admission(objects):
    """What the policies say: no fewer replicas than voters, never an even number, nothing of others."""
    for name, replicas, count, admitted in (
        ("tidemark", 3, "3", True),
        ("tidemark", 1, "1", True),
        ("tidemark", 0, "1", False),
        ("tidemark", 5, "3", True),
        ("tidemark", None, "1", True),
        ("tidemark", None, "3", False),
        ("tidemark", 2, "3", False),
        ("tidemark", 0, "3", False),
        ("tidemark", 3, "5", False),
        ("tidemark", 4, "4", False),
        ("tidemark", 3, "many", False),
        ("another", 1, "3", True),
    ):
        for kind in ("StatefulSet", "Scale"):
            # Both leave out what is empty: a StatefulSet without the field has one replica, a Scale none.
            given = {} if replicas is None or (kind, replicas) == ("Scale", 0) else {"replicas": replicas}
            wanted = admitted and not (kind == "Scale" and replicas is None)
            thing = {"kind": kind, "metadata": {"name": name}, "spec": given}
            said = decision(objects, "tidemark-voters", thing, {"data": {"voters": count}})
            require(said == wanted, f"{kind} {name} with {replicas} replicas and {count} voters is {'admitted' if said else 'refused'}")
    for count, admitted in (("1", True), ("3", True), ("5", True), ("2", False), ("4", False), ("", False), ("7", False)):
        said = decision(objects, "tidemark-voters-odd", {"metadata": {"name": "tidemark-voters"}, "data": {"voters": count}})
        require(said == admitted, f"{count} voters are {'admitted' if said else 'refused'}")
