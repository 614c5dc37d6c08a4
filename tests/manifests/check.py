"""One check of the manifests: `python check.py NAME`. `python check.py` lists them.

Each check first passes on what is there, then has to fail on copies that are broken by hand, one break at a time. A check
that lets a break pass is broken itself.
"""

import copy
import pathlib
import shutil
import sys
import tempfile

import kind
import process
import rendering
import scripts
import semantics
import tools
from rendering import Failure
from semantics import GATEWAY, NODE, named, pod_of

CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


def must_fail(what, function, *arguments):
    try:
        function(*arguments)
    except Failure:
        return
    raise Failure(f"the check itself is broken: it passes although {what}")


def over(function, variants, breaks, base="prod"):
    """The function passes on each variant, and fails on the base with each break."""
    rendered = {name: rendering.render(name) for name in variants}
    for name, objects in rendered.items():
        try:
            function(objects)
        except Failure as failure:
            raise Failure(f"{name}: {failure}") from None
    for what, change in breaks.items():
        objects = copy.deepcopy(rendered[base])
        change(objects)
        must_fail(what, function, objects)


def put(get, key, value):
    """A break: the value at a key of what `get` finds."""

    def change(objects):
        get(objects)[key] = value

    return change


def node(objects):
    return named(objects, *NODE)


def container(objects):
    return pod_of(node(objects))["containers"][0]


def variable(name, value):
    def change(objects):
        next(v for v in container(objects)["env"] if v["name"] == name)["value"] = value

    return change


def without(kind, name):
    def change(objects):
        objects.remove(named(objects, kind, name))

    return change


def policy(name):
    return lambda objects: named(objects, "NetworkPolicy", name)["spec"]


EVERY = list(rendering.variants())
WHOLE = list(rendering.OVERLAYS)
MIXED = [name for name in EVERY if not name.startswith("base") and " + " in name]


@check
def kustomize():
    """Every overlay and every component is rendered without a warning."""
    if len(rendering.components()) < 14 or len(rendering.rendered()) != len(EVERY):
        raise Failure("fewer variants than there were")
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "kustomization.yaml").write_text("commonLabels: {a: b}\nresources: [a.yaml]\n")
        (pathlib.Path(folder) / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
        must_fail("a field is deprecated", rendering.build, folder)


@check
def schemas():
    def extra(objects):
        container(objects)["livenessProbe"]["periodSecond"] = 3

    over(
        tools.schemas,
        EVERY,
        {
            "a field is misspelt": extra,
            "a number is a text": put(lambda o: node(o)["spec"], "replicas", "3"),
            "a kind is unknown": lambda o: o.append({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "x"}}),
            "an API is gone": put(lambda o: named(o, "PodDisruptionBudget", "tidemark"), "apiVersion", "policy/v1beta1"),
        },
    )


@check
def custom_resources():
    def everything(objects):
        tools.custom(objects)

    rendered = [o for name in EVERY for o in rendering.render(name)]
    everything(rendered)
    kinds = {o["kind"] for o in rendered if tools.is_custom(o)}
    expected = {"Prometheus", "Alertmanager", "ServiceMonitor", "Certificate", "Issuer", "ClusterIssuer", "ExternalSecret", "PeerAuthentication", "DestinationRule", "Probe", "PodMonitor", "ScrapeConfig"}
    if not expected <= kinds:
        raise Failure(f"not looked at: {expected - kinds}")
    monitor = next(o for o in rendered if o["kind"] == "ServiceMonitor")
    certificate = next(o for o in rendered if o["kind"] == "Certificate")
    for what, o, where, value in (
        ("a duration is none", monitor, lambda o: o["spec"]["endpoints"][0].__setitem__("interval", "5minutes"), None),
        ("a field is misspelt", monitor, lambda o: o["spec"]["endpoints"][0].__setitem__("intervall", "15s"), None),
        ("a policy is none of those", certificate, lambda o: o["spec"]["privateKey"].__setitem__("rotationPolicy", "Sometimes"), None),
        ("a kind is unknown", certificate, lambda o: o.__setitem__("kind", "Certificat"), None),
    ):
        broken = copy.deepcopy(o)
        where(broken)
        must_fail(what, everything, [broken])


@check
def checkov():
    rendered = {"dev": rendering.render("dev"), "staging": rendering.render("staging"), "all": rendering.render("prod + all")}
    broken = copy.deepcopy(rendered["dev"])
    container(broken)["securityContext"]["readOnlyRootFilesystem"] = False
    # In one run, because it takes longer to start than to look.
    found = tools.checkov(dict(rendered, broken=broken))
    if not any("CKV_K8S_22" in f for f in found.pop("broken")):
        raise Failure("the check itself is broken: it passes although a container writes to its image")
    if any(found.values()):
        raise Failure("\n".join(f"{name}: {f}" for name, all_of in found.items() for f in all_of))


@check
def hadolint():
    files = process.dockerfiles()
    tools.hadolint(files | {"Dockerfile.oracle": (kind.KIND / "oracle/Dockerfile").read_text()})
    must_fail("an image is latest", tools.hadolint, {"Dockerfile": files["Dockerfile"].replace("${RUST}-slim-bookworm", "latest")})


@check
def dockerfiles_agree():
    files = process.dockerfiles()
    process.same_images(files)
    for what, old, new in (("one runs as root", "USER 65532:65532", "USER 0:0"), ("one has another port", "EXPOSE 8086", "EXPOSE 80"), ("one has no health check", "HEALTHCHECK", "#")):
        must_fail(what, process.same_images, dict(files, Dockerfile=files["Dockerfile"].replace(old, new)))
    both = {name: text.replace("TIDEMARK_PROBE_BIND_ADDRESS=:8089", "TIDEMARK_PROBE_BIND_ADDRESS=:8090") for name, text in files.items()}
    must_fail("both have another probe port", process.same_images, both)


@check
def yamllint():
    files = tools.yaml_files()
    if len(files) < 40:
        raise Failure(f"{len(files)} files")
    tools.yamllint(files)
    must_fail("a key is there twice", tools.yamllint, {"a.yaml": "a: 1\na: 2\n"})


@check
def shellcheck():
    tools.shellcheck(tools.scripts())
    must_fail("a variable is not quoted", tools.shellcheck, {"a": "#!/bin/bash\nrm $1\n"})


@check
def no_common_labels():
    files = tools.yaml_files()
    tools.no_common_labels(files)
    must_fail("there are commonLabels", tools.no_common_labels, {"kustomization.yaml": "commonLabels: {a: b}\n"})
    must_fail("labels reach selectors", tools.no_common_labels, {"kustomization.yaml": "labels: [{pairs: {a: b}, includeSelectors: true}]\n"})


@check
def selectors_match():
    over(
        semantics.selectors,
        WHOLE + MIXED,
        {
            "a Service selects nothing": put(lambda o: named(o, "Service", "tidemark")["spec"]["selector"], "app.kubernetes.io/component", "nodes"),
            "a Service selects nodes and gateways": lambda o: named(o, "Service", "tidemark")["spec"]["selector"].pop("app.kubernetes.io/component"),
            "a budget selects nothing": put(lambda o: named(o, "PodDisruptionBudget", "tidemark")["spec"]["selector"]["matchLabels"], "app.kubernetes.io/name", "x"),
            "a NetworkPolicy is for nobody": put(lambda o: policy("tidemark-peers")(o)["podSelector"]["matchLabels"], "app.kubernetes.io/component", "x"),
            "the autoscaler scales the voters": put(lambda o: named(o, "HorizontalPodAutoscaler", "tidemark-gateway")["spec"], "scaleTargetRef", {"kind": "StatefulSet", "name": "tidemark"}),
            "the pods have other labels": put(lambda o: semantics.labels_of_pods(node(o)), "app.kubernetes.io/component", "x"),
            "the headless Service hides pods that are not ready": put(lambda o: named(o, "Service", "tidemark-peers")["spec"], "publishNotReadyAddresses", False),
            "the spread counts others": lambda o: pod_of(node(o))["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].pop("app.kubernetes.io/component"),
        },
    )


@check
def pods_are_scraped_once():
    def twice(objects):
        named(objects, "Service", "tidemark")["spec"]["ports"].append({"name": "probe", "port": 8089, "targetPort": "probe"})

    over(
        semantics.scraped_once,
        WHOLE + MIXED,
        {
            "gateways alone are asked": put(lambda o: named(o, "ServiceMonitor", "tidemark")["spec"], "selector", {"matchLabels": {"app.kubernetes.io/component": "gateway"}}),
            "nodes are asked by two Services": twice,
            "what clients have is asked": put(lambda o: named(o, "ServiceMonitor", "tidemark")["spec"]["endpoints"][0], "port", "http"),
            "nodes and gateways are the same": put(lambda o: named(o, "ServiceMonitor", "tidemark")["spec"], "targetLabels", []),
            "a gateway says that it is a node": put(lambda o: named(o, "Service", "tidemark-gateway")["metadata"]["labels"], "app.kubernetes.io/component", "node"),
        },
    )
    balanced = copy.deepcopy(rendering.render("prod + load-balancer"))
    balancer = named(balanced, "Service", "tidemark-lb")
    balancer["metadata"]["labels"]["app.kubernetes.io/component"] = "gateway"
    balancer["spec"]["ports"].append({"name": "probe", "port": 8089, "targetPort": "probe"})
    must_fail("the balancer is asked, too", semantics.scraped_once, balanced)


@check
def who_watches_is_watched():
    over(
        semantics.watched,
        WHOLE + MIXED,
        {
            "nobody asks Alertmanager": without("PodMonitor", "alertmanager"),
            "Prometheus takes no such monitors": lambda o: named(o, "Prometheus", "tidemark")["spec"].pop("podMonitorSelector"),
            "a port is none": put(lambda o: named(o, "PodMonitor", "grafana")["spec"]["podMetricsEndpoints"][0], "port", "web"),
            "a job is named after the namespace": lambda o: named(o, "PodMonitor", "prometheus")["spec"].pop("jobLabel"),
            "dashboards do not find it": put(lambda o: named(o, "PodMonitor", "prometheus")["spec"]["podMetricsEndpoints"][0], "relabelings", []),
        },
    )
    for variant, kind_, name in (("prod + uptime", "Probe", "tidemark-uptime"), ("prod + cluster-metrics", "ScrapeConfig", "cluster-metrics")):
        broken = copy.deepcopy(rendering.render(variant))
        named(broken, kind_, name)["spec"]["jobName"] = "tidemark-more"
        must_fail(f"a {kind_} counts as the database", semantics.watched, broken)


@check
def who_is_called_is_reached():
    def closed(name, direction, port):
        def change(objects):
            for rule in policy(name)(objects)[direction]:
                rule["ports"] = [p for p in rule["ports"] if p["port"] != port]

        return change

    breaks = {
        "nodes let Prometheus not in": closed("tidemark-metrics", "ingress", 8089),
        "Prometheus may not call nodes": closed("prometheus", "egress", 8089),
        "Grafana may not call Tempo": closed("grafana", "egress", 3200),
        "Grafana may not call Loki": closed("grafana", "egress", 8080),
        "Prometheus may not ask itself": closed("prometheus", "egress", 9090),
        "Grafana does not let Prometheus in": lambda o: policy("grafana")(o)["ingress"][0]["from"].pop(),
        "mails are not let out": closed("alertmanager", "egress", 587),
        "Alertmanagers let nobody in": without("NetworkPolicy", "alertmanager"),
    }
    over(semantics.reached, WHOLE + MIXED, breaks)
    over(semantics.reached, ["prod + ingress"], {"an authority is shut out": without("NetworkPolicy", "http01-solver")}, "prod + ingress")
    over(semantics.reached, ["prod + uptime"], {"the exporter is not called": without("NetworkPolicy", "uptime-prometheus")}, "prod + uptime")
    over(semantics.reached, ["prod + cluster-metrics"], {"the cluster's Prometheus is not called": without("NetworkPolicy", "cluster-metrics")}, "prod + cluster-metrics")


@check
def objects_can_be_applied():
    def together(objects):
        one = next(o for o in objects if o["metadata"]["name"].startswith("grafana-dashboard-node"))
        for o in [o for o in objects if o["metadata"]["name"].startswith("grafana-dashboard-")]:
            one["data"] = one["data"] | o["data"]

    over(semantics.fits, EVERY, {"all dashboards are in one": together})
    semantics.fits(kind.overlay())


@check
def environments_are_apart():
    """Everything of dev, staging and production may be in one cluster, and one of them be deleted."""
    environments = {name: rendering.render(f"{name} + all") for name in rendering.OVERLAYS}
    semantics.apart(environments)
    if len([o for o in environments["dev"] if o["kind"] in ("ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")]) != 6:
        raise Failure("other objects outside of namespaces than there were")
    for kind_, name in (("ClusterRoleBinding", "tidemark-zone"), ("ValidatingAdmissionPolicy", "tidemark-voters")):
        broken = copy.deepcopy(environments)
        for objects in broken.values():
            named(objects, kind_, name)["metadata"]["name"] = name
        must_fail(f"all have {kind_} {name}", semantics.apart, broken)


@check
def budgets_let_one_go():
    over(
        semantics.budgets,
        WHOLE + MIXED,
        {
            "two may go": put(lambda o: named(o, "PodDisruptionBudget", "tidemark")["spec"], "maxUnavailable", 2),
            "one must stay": put(lambda o: named(o, "PodDisruptionBudget", "tidemark")["spec"], "minAvailable", 1),
            "there is none": without("PodDisruptionBudget", "tidemark"),
            "unready voters may go": put(lambda o: named(o, "PodDisruptionBudget", "tidemark")["spec"], "unhealthyPodEvictionPolicy", "AlwaysAllow"),
        },
    )


@check
def voters_are_odd_and_there():
    over(
        semantics.voters,
        WHOLE + MIXED,
        {
            "voters are even": put(lambda o: named(o, "ConfigMap", "tidemark-voters")["data"], "voters", "4"),
            "pods are fewer": put(lambda o: node(o)["spec"], "replicas", 2),
            "two found a cluster": variable("TIDEMARK_BOOTSTRAP_EXPECT", "2"),
            "scale goes round the policy": put(lambda o: named(o, "ValidatingAdmissionPolicy", "tidemark-voters")["spec"]["matchConstraints"]["resourceRules"][0], "resources", ["statefulsets"]),
            "the policy does not bind here": put(lambda o: named(o, "Namespace", "tidemark")["metadata"], "labels", {}),
            "the policy binds everywhere": put(lambda o: named(o, "ValidatingAdmissionPolicyBinding", "tidemark-voters")["spec"]["matchResources"], "namespaceSelector", {}),
            "pods wait for one another": put(lambda o: node(o)["spec"], "podManagementPolicy", "OrderedReady"),
        },
    )


@check
def policies_refuse_what_they_should():
    def expression(policy, at, text):
        return put(lambda o: named(o, "ValidatingAdmissionPolicy", policy)["spec"]["validations"][at], "expression", text)

    over(
        semantics.admission,
        WHOLE,
        {
            "nothing is taken for one": put(lambda o: named(o, "ValidatingAdmissionPolicy", "tidemark-voters")["spec"]["variables"][1], "expression", "has(object.spec.replicas) ? int(object.spec.replicas) : 1"),
            "one replica may be missing": expression("tidemark-voters", 1, "variables.replicas >= variables.voters - 1"),
            "even numbers are let in": expression("tidemark-voters", 0, "variables.voters > 0"),
            "four voters are let in": expression("tidemark-voters-odd", 0, "object.data['voters'] in ['1', '3', '4', '5']"),
        },
    )


@check
def ports_agree():
    def closed(name, port):
        def change(objects):
            for rule in policy(name)(objects).get("ingress", []) + policy(name)(objects).get("egress", []):
                rule["ports"] = [p for p in rule["ports"] if p["port"] != port]

        return change

    def udp_only(objects):
        for rule in policy("tidemark-dns")(objects)["egress"]:
            rule["ports"] = [p for p in rule["ports"] if p["protocol"] == "UDP"]

    over(
        semantics.ports,
        WHOLE + MIXED,
        {
            "a Service has another port": put(lambda o: named(o, "Service", "tidemark")["spec"]["ports"][0], "port", 8087),
            "a container has another port": put(lambda o: container(o)["ports"][1], "containerPort", 7000),
            "clients are shut out": closed("tidemark-clients", 8086),
            "peers are shut out": closed("tidemark-peers", 8088),
            "peers cannot be called": closed("tidemark-calls", 8088),
            "names are asked by UDP alone": udp_only,
            "the metadata of the cloud can be reached": lambda o: policy("tidemark-calls")(o)["egress"][1]["to"][1]["ipBlock"].pop("except"),
            "the world is that of IPv4": lambda o: policy("prometheus")(o)["egress"][-1]["to"].pop(),
            "nothing is denied": without("NetworkPolicy", "default-deny"),
            "the process listens elsewhere": put(lambda o: named(o, "ConfigMap", "tidemark-config")["data"], "TIDEMARK_PEER_BIND_ADDRESS", ":7000"),
            "a probe asks the port of clients": put(lambda o: container(o)["livenessProbe"]["httpGet"], "port", "http"),
        },
    )


@check
def the_process_knows_its_settings():
    def misspelt(objects):
        container(objects)["env"].append({"name": "TIDEMARK_LOG_LEVELS", "value": "info"})

    over(
        process.settings,
        WHOLE + MIXED + ["base + discovery-kubernetes"],
        {
            "a variable is misspelt": misspelt,
            "a value is none": put(lambda o: named(o, "ConfigMap", "tidemark-config")["data"], "TIDEMARK_DISCOVERY_STRATEGY", "magic"),
            "the process listens elsewhere": put(lambda o: container(o)["ports"][0], "containerPort", 8087),
            "a gateway has a directory": lambda o: pod_of(named(o, *GATEWAY))["containers"][0]["env"].remove({"name": "TIDEMARK_DATA_DIR", "value": ""})
            or pod_of(named(o, *GATEWAY))["containers"][0]["env"].append({"name": "TIDEMARK_DATA_DIR", "value": "/var/lib/tidemark"}),
        },
    )


@check
def the_binary_has_the_commands():
    over(
        process.commands,
        WHOLE + ["prod + all"],
        {"a hook calls what is not there": put(lambda o: container(o)["lifecycle"]["preStop"]["exec"], "command", ["/usr/local/bin/tidemark", "prestop"])},
    )


@check
def probes_are_routes_of_a_running_node():
    with process.Answers() as answers:
        process.ANSWERS = answers
        over(
            process.probes,
            WHOLE + MIXED,
            {
                "a path is none": put(lambda o: container(o)["livenessProbe"]["httpGet"], "path", "/alive"),
                "metrics are elsewhere": put(lambda o: named(o, "ServiceMonitor", "tidemark")["spec"]["endpoints"][0], "path", "/api/metrics"),
            },
        )


@check
def there_is_time_to_stop():
    over(
        semantics.shutdown,
        WHOLE + MIXED,
        {
            "the grace is shorter than preStop": put(lambda o: pod_of(node(o)), "terminationGracePeriodSeconds", 60),
            "there is no delay": put(lambda o: named(o, "ConfigMap", "tidemark-config")["data"], "TIDEMARK_SHUTDOWN_DELAY", "0s"),
            "preStop removes the member": put(lambda o: container(o)["lifecycle"]["preStop"]["exec"], "command", ["/usr/local/bin/tidemark", "pre-stop", "--timeout", "60s", "--decommission"]),
        },
    )


@check
def there_is_time_to_start():
    over(
        semantics.startup,
        WHOLE + MIXED,
        {
            "recovery has five minutes": put(lambda o: container(o)["startupProbe"], "failureThreshold", 60),
            "liveness asks for health": put(lambda o: container(o)["livenessProbe"]["httpGet"], "path", "/readyz"),
            "liveness is impatient": put(lambda o: container(o)["livenessProbe"], "failureThreshold", 1),
        },
    )


@check
def pods_have_no_rights():
    over(
        semantics.hardening,
        WHOLE + MIXED + ["base + discovery-kubernetes"],
        {
            "a root is written": put(lambda o: container(o)["securityContext"], "readOnlyRootFilesystem", False),
            "memory is promised twice": put(lambda o: container(o)["resources"]["requests"], "memory", "128Mi"),
            "a token is mounted": put(lambda o: pod_of(node(o)), "automountServiceAccountToken", True),
            "volumes go with pods": put(lambda o: node(o)["spec"]["persistentVolumeClaimRetentionPolicy"], "whenScaled", "Delete"),
            "two pods have one volume": put(lambda o: node(o)["spec"]["volumeClaimTemplates"][0]["spec"], "accessModes", ["ReadWriteMany"]),
            "a directory has no limit": put(lambda o: next(v for v in pod_of(node(o))["volumes"] if v["name"] == "tmp"), "emptyDir", {}),
        },
    )


@check
def nodes_are_spread():
    over(
        semantics.spread,
        WHOLE + MIXED,
        {
            "zones are only preferred": put(lambda o: pod_of(node(o))["topologySpreadConstraints"][0], "whenUnsatisfiable", "ScheduleAnyway"),
            "machines do not count": lambda o: pod_of(node(o))["topologySpreadConstraints"].pop(),
        },
    )


@check
def zones_are_known():
    def both(objects):
        container(objects)["env"].append({"name": "TIDEMARK_ZONE_FILE", "value": "/run/tidemark/zone"})

    over(semantics.zones, EVERY[1:], {"a zone comes from two places": both})


@check
def volumes_hold_what_is_read():
    over(
        semantics.mounts,
        WHOLE + MIXED + ["base + discovery-kubernetes", "base + tls"],
        {
            "a file is elsewhere": variable("DOCKER_INFLUXDB_INIT_ORG_FILE", "/etc/init/org"),
            "a volume is missing": lambda o: pod_of(node(o))["volumes"].pop(0),
            "nobody makes a Secret": without("Certificate", "tidemark-peer"),
            "nobody makes a dashboard": lambda o: o.remove(next(one for one in o if one["metadata"]["name"].startswith("grafana-dashboard-raft"))),
        },
    )
    unused = copy.deepcopy(rendering.render("dev + external-secrets"))
    unused[[o["kind"] for o in unused].index("ExternalSecret")]["spec"]["target"]["name"] = "tidemark-start"
    must_fail("a Secret from a store is for nobody", semantics.mounts, unused)
    stale = copy.deepcopy(rendering.render("dev"))
    container(stale)["imagePullPolicy"] = "IfNotPresent"
    must_fail("a tag that moves is not pulled again", semantics.images, stale)


@check
def settings_are_hashed():
    over(
        semantics.hashes,
        WHOLE + MIXED,
        {"a name stays": put(lambda o: container(o)["envFrom"][0]["configMapRef"], "name", "tidemark-config")},
    )


@check
def images_are_pinned():
    over(
        semantics.images,
        WHOLE + MIXED,
        {
            "it is latest": put(container, "image", "tidemark:latest"),
            "there is no tag": put(container, "image", "registry:5000/tidemark"),
            "gateways are another version": put(container, "image", "tidemark:0.2.0"),
            "a version is pulled again and again": put(container, "imagePullPolicy", "Always"),
        },
    )


@check
def namespaces_are_one():
    def elsewhere(objects):
        named(objects, "Service", "tidemark")["metadata"]["namespace"] = "default"

    over(
        semantics.namespaces,
        WHOLE + MIXED,
        {
            "a Service is elsewhere": elsewhere,
            "a certificate is for another": put(lambda o: named(o, "Certificate", "tidemark-peer")["spec"], "dnsNames", ["tidemark-peers.NAMESPACE.svc"]),
        },
    )


@check
def production_is_encrypted():
    def everywhere(objects):
        semantics.certificates(objects)

    over(
        everywhere,
        WHOLE + MIXED + ["base + tls"],
        {
            "a certificate has another name": put(lambda o: named(o, "Certificate", "tidemark-peer")["spec"], "dnsNames", ["tidemark"]),
            "a file is missing": lambda o: named(o, "ConfigMap", "tidemark-config")["data"].pop("TIDEMARK_PEER_TLS_CA"),
            "a key is used again": put(lambda o: named(o, "Certificate", "tidemark-peer")["spec"]["privateKey"], "rotationPolicy", "Never"),
        },
    )
    prod = rendering.render("prod")
    env = semantics.environment(prod, container(prod))
    if env["TIDEMARK_PEER_PLAINTEXT"] != "false" or not env.get("TIDEMARK_PEER_TLS_CERT"):
        raise Failure("production talks in the clear")


@check
def scripts_do_no_harm():
    """k8s/deploy and k8s/resize change nothing that they should not, in the order that they must; k8s/recover prints sound Jobs."""
    scripts.deploys(rendering.K8S)
    scripts.resizes(rendering.K8S)
    scripts.recovers(rendering.K8S)
    for what, function, old, new in (
        ("an update begins while a node is down", scripts.deploys, 'need_all_ready\n', "\n"),
        ("nobody ready is not seen", scripts.deploys, '"${ready:-0}" = "$replicas"', '"${ready:-$replicas}" = "$replicas"'),
        ("a path is an environment", scripts.deploys, '*/* | .* | "")', '"")'),
        ("a moving tag stays where it is", scripts.deploys, "imagePullPolicy: Always", "imagePullPolicy: Never"),
        ("an apply fails halfway", scripts.deploys, "! same_size", "false && ! same_size"),
        ("pods go with their StatefulSet", scripts.resizes, " --cascade=orphan", ""),
        ("a claim stays small", scripts.resizes, "for claim in $claims", "for claim in ${claims%%$'\\n'*}"),
    ):
        copied = scripts.changed(old, new)
        must_fail(what, function, copied)
        shutil.rmtree(copied.parent)
    objects = rendering.render("prod")
    found = scripts.jobs(rendering.K8S, "prod")
    scripts.sound(found, objects)
    scripts.sound(scripts.jobs(rendering.K8S, "dev"), rendering.render("dev"))
    for what, at, change in (
        ("a Job is taken for a node", 0, lambda o: o["spec"]["template"]["metadata"]["labels"].update({"app.kubernetes.io/name": "tidemark", "app.kubernetes.io/component": "node"})),
        ("a Job writes to its image", 0, lambda o: pod_of(o)["containers"][0]["securityContext"].__setitem__("readOnlyRootFilesystem", False)),
        ("a Job is another version", 1, lambda o: pod_of(o)["initContainers"][0].__setitem__("image", "tidemark:0.2.0")),
        ("a Job has another volume", 2, lambda o: pod_of(o)["volumes"][0]["persistentVolumeClaim"].__setitem__("claimName", "data-0")),
        ("a report goes where nothing is mounted", 1, lambda o: pod_of(o)["initContainers"][0]["args"].__setitem__(-1, "/dev/stdout")),
        ("a flag is none", 2, lambda o: pod_of(o)["containers"][0]["args"].append("--yes")),
    ):
        broken = copy.deepcopy(found)
        change(broken[at])
        must_fail(what, scripts.sound, broken, objects)


@check
def chaos_mesh_objects():
    """Every step of every scenario of the process harness is objects of Chaos Mesh, or has a reason why not."""
    scenarios = kind.load_all(kind.mesh.SCENARIOS)
    kinds, listed = set(), []
    for scenario in scenarios:
        objects, none = kind.objects_of(scenario)
        kind.valid(objects)
        kinds |= {o["kind"] for o in objects}
        listed += none
        try:
            kind.valid([kind.mesh.workflow(scenario, kind.facts(scenario))])
        except kind.mesh.NoEquivalent:
            if objects:
                raise Failure(f"{scenario['name']} has objects, and no Workflow") from None
    if len(scenarios) < 37 or kinds != set(kind.mesh.EMBEDDED) or not {"pause", "reset", "cut-power", "replace"} <= set(listed):
        raise Failure(f"{len(scenarios)} scenarios, {kinds}, without an equivalent: {set(listed)}")
    kind.plain_exists(scenarios, kind.plain_faults())
    must_fail("a plain fault is none", kind.plain_exists, scenarios, {})
    harness = (kind.ROOT / "chaos/src/scenario.rs").read_text()
    kind.knows_the_harness(harness)
    must_fail("the harness has a fault more", kind.knows_the_harness, harness.replace("    /// SIGKILL; the process", "    Flood,\n    /// SIGKILL; the process"))
    must_fail("the harness has a target less", kind.knows_the_harness, harness.replace("    Majority,\n", ""))
    links = (kind.ROOT / "chaos/src/switch/link.rs").read_text()
    kind.knows_the_links(links)
    must_fail("a link has a field more", kind.knows_the_links, links.replace("pub(crate) delay_ms: u32,", "pub(crate) delay_ms: u32,\n    pub(crate) corrupt_percent: f64,"))
    with tempfile.TemporaryDirectory() as folder:
        for what, faults in (
            ("a fault is unknown", "{fault: flood, target: all, then-ms: 1}"),
            ("a target is unknown", "{fault: kill, target: nobody, then-ms: 1}"),
            ("a field is unknown", "{fault: kill, target: all, then-ms: 1, colour: red}"),
            ("a link is unknown", "{fault: degrade, target: all, then-ms: 1, link: {corrupt-percent: 1}}"),
        ):
            (pathlib.Path(folder) / "a.yaml").write_text(f"about: a\nfaults: [{faults}]\npromises: {{heal-ms: 1}}\n")
            must_fail(what, kind.load_all, pathlib.Path(folder))

    def first(name, of):
        return next(o for scenario in scenarios if scenario["name"] == of for o in kind.objects_of(scenario)[0] if o["kind"] == name)

    for what, o, change in (
        ("a field is misspelt", first("PodChaos", "kill-leader"), lambda o: o["spec"].__setitem__("containerName", "tidemark")),
        ("a container is not named", first("PodChaos", "kill-leader"), lambda o: o["spec"].pop("containerNames")),
        ("nobody is selected", first("NetworkChaos", "isolate-leader"), lambda o: o["spec"]["selector"]["pods"].__setitem__("tidemark-kind", [])),
        ("a direction is none", first("NetworkChaos", "one-way"), lambda o: o["spec"].__setitem__("direction", "inbound")),
        ("there is no target", first("NetworkChaos", "isolate-leader"), lambda o: o["spec"].pop("target")),
        ("a share is a number", first("NetworkChaos", "loss"), lambda o: o["spec"]["loss"].__setitem__("loss", 10)),
        ("a rate is in bits", first("NetworkChaos", "bandwidth"), lambda o: o["spec"]["bandwidth"].__setitem__("rate", "1mbit")),
        ("an error has no number", first("IOChaos", "disk-full"), lambda o: o["spec"].pop("errno")),
        ("a call is none", first("IOChaos", "slow-sync"), lambda o: o["spec"].__setitem__("methods", ["sync"])),
        ("a clock does not jump", first("TimeChaos", "clocks"), lambda o: o["spec"].__setitem__("timeOffset", "0")),
        ("nothing is stressed", first("StressChaos", "throttled"), lambda o: o["spec"].__setitem__("stressors", {})),
        ("names are broken in a way that there is not", first("DNSChaos", "names"), lambda o: o["spec"].__setitem__("action", "silence")),
    ):
        broken = copy.deepcopy(o)
        kind.valid([broken])
        change(broken)
        must_fail(what, kind.valid, [broken])


@check
def kind_overlay():
    """The overlay for kind is as sound as the others, and the cluster file has the zones that it needs."""
    objects = kind.overlay()
    functions = [semantics.selectors, semantics.budgets, semantics.voters, semantics.admission, semantics.ports, semantics.shutdown, semantics.startup]
    # Not that its image is a version: it is what was loaded, and never pulled.
    functions += [semantics.hardening, semantics.spread, semantics.mounts, semantics.hashes, semantics.namespaces]
    functions += [process.settings, kind.like_production]
    for function in functions:
        try:
            function(objects)
        except Failure as failure:
            raise Failure(f"{function.__name__}: {failure}") from None
    tools.schemas(objects)
    tools.schemas(kind.oracle())
    kind.oracle_reaches(kind.oracle(), objects)
    text = (kind.KIND / "cluster.yaml").read_text()
    kind.cluster(text)
    for what, old, new in (("a zone is there twice", "zone: c", "zone: b"), ("an image moves", "@sha256:", "-"), ("there are two workers", "  - role: worker\n    image: *image\n    labels:\n      topology.kubernetes.io/zone: c\n", "")):
        must_fail(what, kind.cluster, text.replace(old, new))
    for what, change in {
        "zones are only preferred": put(lambda o: pod_of(node(o))["topologySpreadConstraints"][0], "whenUnsatisfiable", "ScheduleAnyway"),
        "a probe is more patient": put(lambda o: container(o)["readinessProbe"], "failureThreshold", 20),
        "there is no hook": lambda o: container(o).__setitem__("lifecycle", {}),
        "the image is pulled": put(container, "imagePullPolicy", "Always"),
        "a paused worker takes the only gateway": put(lambda o: named(o, *GATEWAY)["spec"], "replicas", 1),
        "what dashboards ask for is not recorded": lambda o: o.remove(named(o, "ConfigMap", "prometheus-rules")),
        "Prometheus asks elsewhere": lambda o: named(o, "ConfigMap", "prometheus-config")["data"].__setitem__("prometheus.yml", "scrape_configs: [{job_name: tidemark, static_configs: [{targets: ['tidemark:8086']}]}]"),
        "old points are thrown away": variable("DOCKER_INFLUXDB_INIT_RETENTION", "30d"),
    }.items():
        broken = copy.deepcopy(objects)
        change(broken)
        must_fail(what, kind.like_production, broken)
    for what, change in {
        "the oracle is shut out": lambda o: named(o, "Job", "oracle")["spec"]["template"]["metadata"]["labels"].pop("tidemark-access"),
        "the oracle is on a worker": lambda o: pod_of(named(o, "Job", "oracle")).pop("nodeSelector"),
        "the control plane does not take the oracle": lambda o: pod_of(named(o, "Job", "oracle")).pop("tolerations"),
        "the oracle calls nobody": lambda o: named(o, "NetworkPolicy", "oracle")["spec"].__setitem__("egress", []),
    }.items():
        broken = copy.deepcopy(kind.oracle())
        change(broken)
        must_fail(what, kind.oracle_reaches, broken, objects)


@check
def kind_driver():
    """The driver asks who leads before each fault, takes back what it did, and says when something does not hold."""
    state, said = kind.drive(["kill-leader"])
    kind.targets_follow(state)
    if "kill-leader: pass" not in said:
        raise Failure(said)
    must_fail("the leader was asked once", kind.targets_follow, dict(state, objects=state["objects"][:1] * 3))
    must_fail("a fault stays", kind.targets_follow, dict(state, calls=[call for call in state["calls"] if not call.startswith("delete")]))
    # First the cut, then the kill; and settings of a scenario are taken back.
    state, _ = kind.drive(["half-open", "wan", "--repeat", "1"])
    if [o["kind"] for o in state["objects"]] != ["NetworkChaos", "PodChaos"] * 2 + ["PodChaos"]:
        raise Failure(f"{state['objects']}")
    settings = [call.split()[-1] for call in state["calls"] if call.startswith("set env")]
    if settings != ["TIDEMARK_TIMING=wan", "TIDEMARK_TIMING-"]:
        raise Failure(f"settings: {settings}")
    for broken, code in (("lose", 1), ("make-up", 1), ("no-injection", 2), ("no-effect", 2)):
        state, _ = kind.drive(["kill-leader", "--repeat", "1"], broken, code)
        if not any(call.startswith("delete podchaos/") for call in state["calls"]):
            raise Failure(f"{broken}: the fault stays")
    # The same without Chaos Mesh: everything in turn, and one after the other that does not take effect.
    state, said = kind.drive(["--mode", "plain"])
    kind.undone(state)
    if said.count(": pass\n") != len(kind.plain_faults()):
        raise Failure(said)
    must_fail("a machine stands still", kind.undone, dict(state, calls=[call for call in state["calls"] if "unpause" not in call]))
    must_fail("packets are still dropped", kind.undone, dict(state, calls=[call for call in state["calls"] if "nft delete" not in call]))
    must_fail("names are still broken", kind.undone, dict(state, corefile=".:53 {\n    template ANY\n    forward . /etc/resolv.conf\n}"))
    for broken, faults in (("no-effect", ["pause-worker", "isolate"]), ("unguarded", ["scale-too-far"])):
        for name in faults:
            kind.drive(["--mode", "plain", name], broken, 1)
    # Nothing has an equivalent: nothing is shown. And a cluster that is not there is not waited for.
    kind.drive(["power-cut"], expect=2)
    kind.drive(["no-such-scenario"], expect=64)
    for words in (["--repeat", "0"], ["--repeat", "-1"], ["--hurry", "0"], ["--hurry", "-1"], ["--hurry", "nan"]):
        kind.drive(["kill-leader", *words], expect=64)
    # Another program than docker, where $DOCKER names one.
    state, said = kind.drive(["--mode", "plain", "pause-worker"], docker="podman")
    if "pause-worker: pass" not in said:
        raise Failure(said)
    # What the API server would refuse, kubectl here refuses as well.
    kind.refuses_what_is_large()
    untouched, said = kind.drive(["--dry-run", "--set", "long"])
    if untouched or said.count("would run: kubectl") < 100:
        raise Failure("a dry run calls kubectl, or says nothing")


@check
def doctor_finds_nothing():
    over(
        process.doctor,
        ["staging", "prod", "prod + all"],
        {
            "a hook may take as long as there is": put(lambda o: pod_of(node(o)), "terminationGracePeriodSeconds", 60),
            "two may go": put(lambda o: named(o, "PodDisruptionBudget", "tidemark")["spec"], "maxUnavailable", 2),
            "nobody keeps one": without("PodDisruptionBudget", "tidemark"),
            "a probe is gone": lambda o: container(o).pop("startupProbe"),
            "more is allowed than requested": put(lambda o: container(o)["resources"]["limits"], "memory", "64Gi"),
            "a token is in the environment": lambda o: container(o)["env"].append({"name": "TIDEMARK_INIT_ADMIN_TOKEN", "value": "secret"}),
        },
    )


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in CHECKS:
        print("\n".join(CHECKS))
        sys.exit(2)
    try:
        CHECKS[sys.argv[1]]()
    except Failure as failure:
        print(f"{sys.argv[1]}: {failure}")
        sys.exit(1)


main()
