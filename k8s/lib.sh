# shellcheck shell=bash
# What the scripts of k8s share. Not each of them uses all of it.
# shellcheck disable=SC2034

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
script=k8s/$(basename "$0")

fail() {
    echo "$script: $1" >&2
    exit "${2:-1}"
}

# Which environments there are: one|another.
environments() {
    local folder names=
    for folder in "$here"/overlays/*/; do
        names+="${names:+|}$(basename "$folder")"
    done
    echo "$names"
}

usage() {
    echo "usage: $script $(environments)${1:+ $1}" >&2
    exit 64
}

# Takes the name of an environment, and nothing else that would be a path: sets overlay and namespace.
choose() {
    environment=$1
    case $environment in */* | .* | "") fail "no environment $environment; there are $(environments)" 64 ;; esac
    overlay=$here/overlays/$environment
    [ -f "$overlay/kustomization.yaml" ] || fail "no environment $environment; there are $(environments)" 64
    namespace=$(awk '$1 == "name:" { print $2; exit }' "$overlay/namespace.yaml")
    kubectl_=(kubectl --namespace "$namespace")
}

# What would be applied.
render() { rendered=$(kubectl kustomize "$overlay"); }

# The rendered object of a kind and a name. Who reads it reads it to its end: an early end would be a failure of the pipe.
object() {
    awk -v kind="$1" -v name="$2" '
        function told() { if (k == kind && n == name) printf "%s", text }
        /^---$/ { told(); text = k = n = ""; next }
        { text = text $0 "\n" }
        /^kind: / { k = $2 }
        /^  name: / && n == "" { n = $2 }
        END { told() }' <<<"$rendered"
}

# How large the volumes of the nodes are to be.
wanted_size() { object StatefulSet tidemark | awk '/^  volumeClaimTemplates:/ { there = 1 } there && $1 == "storage:" { print $2; there = 0 }'; }

# Whether two sizes are the same: the API server writes 1024Gi as 1Ti.
same_size() {
    awk -v a="$1" -v b="$2" '
        function bytes(text, unit) {
            unit = text
            sub(/^[0-9.]+/, "", unit)
            return unit == "" ? text + 0 : text * (unit ~ /i$/ ? 1024 : 1000) ^ index("KMGTPE", toupper(substr(unit, 1, 1)))
        }
        BEGIN { exit bytes(a) != bytes(b) }'
}

# Fails unless the cluster serves every kind that is to be applied: what others must have brought.
need_served() {
    local missing=() served version
    served=$(kubectl api-versions)
    while read -r version; do
        grep --quiet --line-regexp --fixed-strings "$version" <<<"$served" || missing+=("$version")
    done < <(awk '/^apiVersion:/ { print $2 }' <<<"$rendered" | sort -u)
    [ ${#missing[@]} -eq 0 ] && return
    echo "$script: the cluster does not serve ${missing[*]}" >&2
    echo "  monitoring.coreos.com is the Prometheus operator, cert-manager.io is cert-manager;" >&2
    echo "  install them, or take what needs them out of $overlay/kustomization.yaml" >&2
    exit 1
}

# Fails unless every node that is there is ready: an update starts with the highest ordinal, whatever is down below it.
need_all_ready() {
    local counts replicas ready
    counts=$("${kubectl_[@]}" get statefulset tidemark --ignore-not-found --output 'jsonpath={.spec.replicas}/{.status.readyReplicas}')
    [ -n "$counts" ] || return 0
    replicas=${counts%%/*} ready=${counts##*/}
    # Without a pod that is ready the field is not there.
    [ "${ready:-0}" = "$replicas" ] && return
    if [ "${FORCE:-}" = 1 ]; then
        echo "$script: ${ready:-0} of $replicas nodes are ready; going on, because FORCE is 1" >&2
        return
    fi
    cat >&2 <<EOF
$script: ${ready:-0} of $replicas nodes are ready. An update begins with the highest ordinal, also while another node is down, and
  may take the majority. Bring that node back first (docs/runbooks/TidemarkDown.md). FORCE=1 goes on nevertheless: where the
  node that is not ready is the highest ordinal, and this is what mends it.
EOF
    exit 1
}
