# Every command a person needs. `make help` lists them.

DATA ?= ./tidemark-data
ADDRESS ?= 127.0.0.1:8086
PYTHON_ENV ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tidemark/python
PYTHON := $(PYTHON_ENV)/bin/python

.PHONY: help run build test check python bench bench-storage bench-micro chaos chaos-long sim demo-data monitoring monitoring-check clean

help: ## List the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

run: build ## Build and start a node on 127.0.0.1:8086 with data in ./tidemark-data
	@cargo run --quiet --release --locked --package cli --bin tidemark -- serve --data-dir "$(DATA)" --http-bind-address "$(ADDRESS)"

build: ## Build the release binary
	@.ci/deps build
	cargo build --release --locked --package cli --bin tidemark

test: python ## Run every test
	@.ci/deps test
	cargo build --locked --workspace --bin tidemark
	TIDEMARK_PYTHON="$(PYTHON)" cargo test --workspace --locked --no-fail-fast

check: ## Format check and lints, warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

python: $(PYTHON_ENV)/ready ## Set up the official Python clients for tests and demo data

$(PYTHON_ENV)/ready: tests/python/requirements.txt
	@.ci/deps test
	@mkdir -p "$(PYTHON_ENV)"
	python3 -m venv --clear "$(PYTHON_ENV)"
	"$(PYTHON)" -m pip install --quiet --disable-pip-version-check -r tests/python/requirements.txt
	@touch "$@"

demo-data: python ## Write a minute of this machine's metrics and public data sets to the running node, and read them back
	"$(PYTHON)" tests/python/demo_data.py --url "http://$(ADDRESS)"

bench: build ## Measure ingest beside InfluxDB and VictoriaMetrics in one run
	@.ci/deps bench
	cargo run --quiet --release --locked --package tests --bin bench -- integers $(BENCH_ARGS)

bench-storage: build ## The same, and disk, many series, queries, and twenty minutes of writes (two hours; BENCH_ARGS)
	@.ci/deps bench
	cargo run --quiet --release --locked --package tests --bin bench -- all $(BENCH_ARGS)

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

monitoring: python ## Make rules, dashboards and the reference of metrics anew from k8s/base/monitoring/source
	"$(PYTHON)" k8s/base/monitoring/source/generate.py

monitoring-check: python ## Check them, and that each alert fires when it should and only then
	@.ci/deps test
	"$(PYTHON)" tests/monitoring/check.py
	"$(PYTHON)" tests/monitoring/mutate.py

clean: ## Remove what was built (not the data)
	cargo clean
