"""One check of the manifests: `python check.py NAME`. `python check.py` lists them.

Each check first passes on what is there, then has to fail on copies that are broken by hand, one break at a time. A check
that lets a break pass is broken itself.
"""

import copy
import pathlib
import sys
import tempfile

import process
import rendering
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
MIXED = [name for name in EVERY if name.startswith("prod +")]


@check
def kustomize():
    """Every overlay and every component is rendered without a warning."""
    if len(rendering.components()) < 13 or len(rendering.rendered()) != len(EVERY):
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
    expected = {"Prometheus", "Alertmanager", "ServiceMonitor", "Certificate", "Issuer", "ClusterIssuer", "ExternalSecret", "PeerAuthentication", "DestinationRule", "Probe"}
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
    tools.hadolint(files)
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
            "the monitor asks gateways alone": put(lambda o: named(o, "ServiceMonitor", "tidemark")["spec"], "selector", {"matchLabels": {"app.kubernetes.io/component": "gateway"}}),
        },
    )


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
            "the metadata of the cloud can be reached": lambda o: policy("tidemark-calls")(o)["egress"][1]["to"][0]["ipBlock"].pop("except"),
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
        },
    )


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
