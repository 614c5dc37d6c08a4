"""What an operator would apply: every overlay, and every component on the base and on each overlay."""

import concurrent.futures
import fcntl
import functools
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
OVERLAYS = ("dev", "staging", "prod")
# What asks or scrapes by the Prometheus of base/monitoring, which dev has not.
MONITORED = ("cluster-metrics", "uptime")
# Unlike others these cannot be there at once: an overlay has one size.
SIZES = ("size-small", "size-medium", "size-large", "size-xlarge")

# YAML 1.1 reads a plain = as a value of its own kind, and 0440 as octal as Kubernetes does.
yaml.SafeLoader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: str(node.value))
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LOADER.add_constructor("tag:yaml.org,2002:value", lambda loader, node: str(node.value))


class Failure(Exception):
    """Why a manifest is not as it should be."""


def kustomize_command():
    """`kubectl kustomize`, or kustomize itself where kubectl brings one that does not know components."""
    own = pathlib.Path(sys.executable).parent / "kustomize"
    if own.exists():
        return [str(own), "build"]
    if shutil.which("kubectl"):
        told = subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True, text=True, check=False)
        version = re.match(r"v(\d+)", json.loads(told.stdout or "{}").get("kustomizeVersion", ""))
        if version and int(version[1]) >= 5:
            return ["kubectl", "kustomize"]
    raise Failure("no kubectl with kustomize 5 is there, nor kustomize itself (`make manifest-tools` sees to it)")


def build(folder):
    """The objects of a kustomization; a warning is a failure."""
    done = subprocess.run([*kustomize_command(), str(folder)], capture_output=True, text=True, check=False)
    if done.returncode != 0 or done.stderr.strip():
        raise Failure(f"{folder}: {done.stderr.strip() or done.returncode}")
    return [parse(document) for document in re.split(r"(?m)^---\n", done.stdout) if document.strip()]


@functools.cache
def parse(document):
    """Most documents are the same in many variants, and dashboards are long."""
    return yaml.load(document, LOADER)


def components():
    return sorted(path.name for path in (K8S / "components").iterdir() if path.is_dir())


def listed_in(overlay):
    """The components that an overlay has already."""
    text = yaml.safe_load((K8S / "overlays" / overlay / "kustomization.yaml").read_text())
    return {pathlib.PurePath(path).name for path in text.get("components", [])}


def variants():
    """Name and kustomization folder or (base, components) of everything that is rendered."""
    found = {"root": K8S}
    found |= {overlay: K8S / "overlays" / overlay for overlay in OVERLAYS}
    found |= {f"base + {name}": ("app", [name]) for name in components()}
    for overlay in OVERLAYS:
        rest = [name for name in components() if name not in listed_in(overlay) and not (overlay == "dev" and name in MONITORED)]
        found |= {f"{overlay} + {name}": (overlay, [name]) for name in rest}
        found[f"{overlay} + all"] = (overlay, [name for name in rest if name not in SIZES[1:]])
    return found


def with_components(base, names):
    """The objects of an overlay, or of the base alone, with components."""
    # Beside the overlays, so that paths mean the same.
    with tempfile.TemporaryDirectory(prefix=".check-", dir=K8S / "overlays") as folder:
        folder = pathlib.Path(folder)
        shutil.copytree(K8S / "overlays" / ("prod" if base == "app" else base), folder, dirs_exist_ok=True)
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        if base == "app":
            kept = ("apiVersion", "kind", "namespace", "images", "transformers")
            kustomization = {key: value for key, value in kustomization.items() if key in kept}
            kustomization["resources"] = ["namespace.yaml", "../../base/app"]
        kustomization["components"] = kustomization.get("components", []) + [f"../../components/{name}" for name in names]
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return build(folder)


def render_anew(name):
    what = variants()[name]
    return build(what) if isinstance(what, pathlib.Path) else with_components(*what)


def state():
    """Changes with what is rendered, and with what renders."""
    seen = hashlib.sha256(repr(kustomize_command()).encode())
    for path in sorted([*K8S.rglob("*"), pathlib.Path(__file__)]):
        if path.is_file() and not any(part.startswith(".check-") for part in path.parts):
            seen.update(f"{path}\0".encode() + path.read_bytes())
    return seen.hexdigest()[:16]


@functools.cache
def rendered():
    """Every variant, rendered once for all checks that run over the same files."""
    folder = pathlib.Path(tempfile.gettempdir()) / f"tidemark-manifests-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise Failure(f"{folder} is somebody else's")
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        file = folder / f"{state()}.json"
        if not file.exists():
            for old in folder.glob("*.json"):
                old.unlink()
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                names = list(variants())
                found = dict(zip(names, pool.map(render_anew, names)))
            file.with_suffix(".new").write_text(json.dumps(found))
            file.with_suffix(".new").rename(file)
        return json.loads(file.read_text())


def render(name):
    """The objects of a variant."""
    return rendered()[name]
