# Every command a person needs. `make help` lists them.

DATA ?= ./tidemark-data
ADDRESS ?= 127.0.0.1:8086
PYTHON_ENV ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tidemark/python
PYTHON := $(PYTHON_ENV)/bin/python
MANIFEST_TOOLS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tidemark/manifest-tools

IMAGE ?= tidemark
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
TAG ?= $(VERSION)
DOCKER ?= docker
ENVIRONMENTS := $(notdir $(patsubst %/kustomization.yaml,%,$(wildcard k8s/overlays/*/kustomization.yaml)))
# One of them, and one alone.
K8S_ENV = $(or $(and $(filter 1,$(words $(ENV))),$(filter $(ENVIRONMENTS),$(ENV))),$(error ENV is one of: $(ENVIRONMENTS)))

.PHONY: help run build test check fuzz python bench bench-storage bench-query bench-micro chaos chaos-long sim demo-data monitoring monitoring-check clean \
	manifest-tools sbom docker-build docker-push docker-test docker-remove k8s-render k8s-diff k8s-deploy k8s-resize k8s-status \
	kind-up kind-load kind-deploy kind-chaos kind-down

help: ## List the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

run: build ## Build and start a node on 127.0.0.1:8086 with data in ./tidemark-data
	@cargo run --quiet --release --locked --package cli --bin tidemark -- serve --data-dir "$(DATA)" --http-bind-address "$(ADDRESS)"

build: ## Build the release binary
	@.ci/deps build
	cargo build --release --locked --package cli --bin tidemark

test: python manifest-tools ## Run every test
	@.ci/deps test
	cargo build --locked --workspace --bin tidemark
	TIDEMARK_PYTHON="$(PYTHON)" TIDEMARK_MANIFEST_TOOLS="$(MANIFEST_TOOLS)" cargo test --workspace --locked --no-fail-fast

check: ## Format check and lints, warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

fuzz: ## Fuzz the parsers and decoders, each for a minute (SECONDS=n, TARGETS="influxql flux")
	@.ci/deps test
	tests/fuzz/run $(or $(SECONDS),60) $(TARGETS)

python: $(PYTHON_ENV)/ready ## Set up the official Python clients for tests and demo data

$(PYTHON_ENV)/ready: tests/python/requirements.txt
	@.ci/deps test
	@mkdir -p "$(PYTHON_ENV)"
	python3 -m venv --clear "$(PYTHON_ENV)"
	"$(PYTHON)" -m pip install --quiet --disable-pip-version-check -r tests/python/requirements.txt
	@touch "$@"

manifest-tools: $(MANIFEST_TOOLS)/ready ## Set up the tools that check the manifests

$(MANIFEST_TOOLS)/ready: tests/manifests/requirements.txt tests/manifests/package-lock.json .ci/manifest-tools
	@.ci/deps test
	.ci/manifest-tools "$(MANIFEST_TOOLS)"
	@touch "$@"

demo-data: python ## Write a minute of this machine's metrics and public data sets to the running node, and read them back
	"$(PYTHON)" tests/python/demo_data.py --url "http://$(ADDRESS)"

bench: build ## Measure ingest beside InfluxDB and VictoriaMetrics in one run
	@.ci/deps bench
	cargo run --quiet --release --locked --package tests --bin bench -- integers $(BENCH_ARGS)

bench-storage: build ## The same, and disk, many series, queries, and twenty minutes of writes (two hours; BENCH_ARGS)
	@.ci/deps bench
	cargo run --quiet --release --locked --package tests --bin bench -- all $(BENCH_ARGS)

bench-query: build ## Measure queries cold and warm, on few hosts and on many, and a large export (BENCH_ARGS)
	@.ci/deps bench
	cargo run --quiet --release --locked --package tests --bin bench -- shapes $(BENCH_ARGS)

bench-micro: ## Measure the parser and the codecs
	cargo bench --locked --package model --package storage

chaos: ## Kill, cut off, slow down and fill up real nodes under load, and check what clients saw (ten minutes, root; CHAOS_ARGS)
	@.ci/deps chaos
	cargo build --locked --package cli --bin tidemark
	cargo run --quiet --locked --package chaos -- $(or $(CHAOS_ARGS),--set ten)

chaos-long: ## All that can be done to them (half an hour, root)
	$(MAKE) chaos CHAOS_ARGS="--set long"

sim: ## Simulate a cluster on a simulated network and disk, as a seed decides (SEED=n, SIM_ARGS)
	@cargo run --quiet --locked --package sim -- --seed $(or $(SEED),0) $(SIM_ARGS)

sbom: ## Write what the binary is made of to target/sbom.json (CycloneDX)
	k8s/image/sbom target/sbom.json

ifdef PREBUILT
docker-build: sbom ## Build the image (PREBUILT=binary: of that, with no registry; TAG, IMAGE)
	k8s/image/prepare "$(PREBUILT)" target/sbom.json target/image
	DOCKER_BUILDKIT=0 $(DOCKER) build --file Dockerfile.prebuilt --tag "$(IMAGE):$(TAG)" \
		--build-arg VERSION="$(VERSION)" --build-arg REVISION="$$(git rev-parse HEAD)" target/image
else
docker-build:
	DOCKER_BUILDKIT=1 $(DOCKER) build --tag "$(IMAGE):$(TAG)" \
		--build-arg VERSION="$(VERSION)" --build-arg REVISION="$$(git rev-parse HEAD)" .
endif

docker-push: ## Push the image (REGISTRY=registry.example.com/team)
	@test -n "$(REGISTRY)" || { echo "make docker-push REGISTRY=registry.example.com/team" >&2; exit 1; }
	$(DOCKER) tag "$(IMAGE):$(TAG)" "$(REGISTRY)/$(IMAGE):$(TAG)"
	$(DOCKER) push "$(REGISTRY)/$(IMAGE):$(TAG)"

docker-test: ## Try the image: three containers, read-only and without rights, are a cluster (IMAGE, TAG)
	tests/image/run "$(IMAGE):$(TAG)"

docker-remove: ## Remove the image (IMAGE, TAG)
	$(DOCKER) image rm "$(IMAGE):$(TAG)"

k8s-render: ## Print the manifests (ENV=dev, staging or prod)
	@kubectl kustomize "k8s/overlays/$(K8S_ENV)"

k8s-diff: ## Show what a deployment would change (ENV)
	kubectl diff -k "k8s/overlays/$(K8S_ENV)"

k8s-deploy: ## Deploy to the cluster that kubectl names, and wait until it is there (ENV)
	k8s/deploy "$(K8S_ENV)"

k8s-resize: ## Make volumes as large as the overlay says, and deploy (ENV)
	k8s/resize "$(K8S_ENV)"

k8s-status: ## Show what runs there, and what is wrong (ENV)
	k8s/status "$(K8S_ENV)"

kind-up: ## Make a kind cluster with a worker in each of three zones (MESH=1: with Chaos Mesh)
	MESH="$(MESH)" chaos/kind/up

kind-load: ## Put the image that docker-build made onto its workers (ORACLE=1: also the oracle's)
	ORACLE="$(ORACLE)" chaos/kind/load "$(IMAGE):$(TAG)"

kind-deploy: ## Deploy to it three nodes, a gateway, Prometheus and Grafana, and wait (NODES=5)
	NODES="$(NODES)" chaos/kind/deploy

kind-chaos: python ## Bring faults about there (MODE=plain: without Chaos Mesh; KIND_ARGS; ORACLE=1)
	"$(PYTHON)" chaos/kind/run --mode "$(or $(MODE),mesh)" $(if $(ORACLE),--oracle) $(KIND_ARGS)

kind-down: ## Remove the kind cluster
	chaos/kind/down

monitoring: python ## Make rules, dashboards and the reference of metrics anew from k8s/base/monitoring/source
	"$(PYTHON)" k8s/base/monitoring/source/generate.py

monitoring-check: python ## Check them, and that each alert fires when it should and only then
	@.ci/deps test
	"$(PYTHON)" tests/monitoring/check.py
	"$(PYTHON)" tests/monitoring/mutate.py

clean: ## Remove what was built (not the data)
	cargo clean
