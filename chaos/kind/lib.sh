# shellcheck shell=bash
# What the scripts of chaos/kind share. Not each of them uses all of it.
# shellcheck disable=SC2034

cluster=${KIND_CLUSTER:-tidemark}
namespace=tidemark-kind
kind=${KIND:-kind}
docker=${DOCKER:-docker}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

say() { echo "chaos/kind: $*" >&2; }

# Fails with all that is missing and where it is to be had.
need() {
    local missing=() program
    for program in "$@"; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    [ ${#missing[@]} -eq 0 ] && return
    say "missing: ${missing[*]}"
    for program in "${missing[@]}"; do
        case $program in
        *kind) say "  kind 0.31 or later: https://kind.sigs.k8s.io/docs/user/quick-start/#installation" ;;
        *docker) say "  Docker: https://docs.docker.com/engine/install/" ;;
        *kubectl) say "  kubectl 1.30 or later: https://kubernetes.io/docs/tasks/tools/" ;;
        *helm) say "  Helm 3, for Chaos Mesh alone: https://helm.sh/docs/intro/install/" ;;
        *) say "  $program" ;;
        esac
    done
    exit 1
}

# Docker runs, and this user may use it.
need_docker() {
    need "$docker"
    timeout 20 "$docker" info >/dev/null 2>&1 || { say "docker does not answer: is it running, and may $(id -un) use it?"; exit 1; }
}

exists() { timeout 30 "$kind" get clusters 2>/dev/null | grep --quiet --line-regexp --fixed-strings "$cluster"; }

need_cluster() {
    need "$kind" kubectl
    exists || { say "there is no cluster $cluster: make kind-up"; exit 1; }
}

# Never another cluster than this one.
kubectl_() { kubectl --context "kind-$cluster" "$@"; }
