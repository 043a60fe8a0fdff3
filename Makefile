.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
PLURIBUS_DATA ?= $(abspath ../shared/data)

.PHONY: help install tables demo test check swaps kill faults radosgw bench scale packing million deploy-check real fairness mini app lock clean judge relevance transfer generated descriptions compare-report fuzz audit load uses bluegreen

help: ## what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

install: .venv/installed ## the pinned environment in .venv

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pluribus needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q lib
	@touch $@

demo: install ## three bundled shops through the whole DAG, then a few searches
	@$(BIN)/pluribus demo

app: install ## search the shops of the store in a browser, and see their quality
	@$(BIN)/pluribus app

test: install ## the whole test suite
	$(BIN)/pytest

check: install ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

kill: install ## SIGKILL at every write point of publication, 20 times on both stores; 200 seeds of faults
	PLURIBUS_KILL_RUNS=20 PLURIBUS_SEEDS=200 $(BIN)/pytest tests/test_kills.py tests/test_faults.py

faults: install ## real runs killed in every step, on a full disk, with the store away for a minute, poisoned, two at once
	PLURIBUS_FAULTS=1 $(BIN)/pytest tests/test_survival.py

load: install ## searches a second of the service over 50,000 products, after `make demo`
	$(BIN)/python benchmarks/serving.py

uses: real ## every use of the five real shops by library, command and service (PLURIBUS_DATA)
	PLURIBUS_DATA=$(PLURIBUS_DATA) PLURIBUS_REAL=.pluribus-real $(BIN)/pytest tests/test_uses.py

swaps: install ## 10,000 requests to the service during 20 swaps of releases
	PLURIBUS_SWAPS=20 PLURIBUS_REQUESTS=10000 $(BIN)/pytest -s tests/test_swaps.py

bluegreen: real ## another model under demo and real shops and back, while somebody searches (PLURIBUS_DATA)
	PLURIBUS_DATA=$(PLURIBUS_DATA) PLURIBUS_REAL=.pluribus-real $(BIN)/pytest -s tests/test_backfill.py -k real_shops

radosgw: install ## the store's tests against Ceph's S3 gateway, a second opinion; installs it with apt-get
	tests/radosgw.sh $(BIN)/pytest tests/test_store.py tests/test_publish.py -k 'not [folder]'

bench: install ## ours beside peers, floors and roofs: a table and a chart into benchmarks/results/
	-@$(BIN)/python -m compileall -q lib .venv > /dev/null # what lost its bytecode would be measured compiling
	$(BIN)/python benchmarks/run.py

judge: real ## everything that is measured of each real shop, printed; charts into .pluribus-real/charts/ (PLURIBUS_DATA)
	PLURIBUS_DATA=$(PLURIBUS_DATA) $(BIN)/pluribus --config config/real evaluate all --png .pluribus-real/charts

relevance: install ## search and type-ahead on real judgements: tables (PLURIBUS_DATA; after `make real`)
	PLURIBUS_DATA=$(PLURIBUS_DATA) $(BIN)/python benchmarks/relevance.py

compare-report: install ## comparisons beside GradREC and plain baselines, on drawn shops whose truth is known
	@$(BIN)/pluribus compare-report

SHOPS ?= 1000
PRODUCTS ?= 200
scale: install ## SHOPS=1000 x PRODUCTS=200 in one run: first, 1 % changed, unchanged
	$(BIN)/python benchmarks/scale.py --shops $(SHOPS) --products $(PRODUCTS)

fairness: install ## whether a shop of 100 times the others' size delays them
	$(BIN)/python benchmarks/fairness.py

packing: install ## seconds of the embed step: 100 small shops in one run, and one by one
	$(BIN)/python benchmarks/scale.py --shops 101 --products 20 --folder .packing --runs packing

million: install ## one shop of PRODUCTS=1000000 through every stage; a call that was cut short goes on
	$(BIN)/python benchmarks/million.py --products $(or $(filter-out 200,$(PRODUCTS)),1000000)

AIRFLOW := .airflow/bin/python
deploy-check: install ## all three engines' definitions for 5,000 shops, offline; steps from the code package alone; Airflow's run by Airflow
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .airflow
	$(BIN)/uv pip install --quiet --python $(AIRFLOW) apache-airflow==2.10.5 apache-airflow-providers-cncf-kubernetes==7.14.0
	PLURIBUS_AIRFLOW=$(abspath $(AIRFLOW)) PLURIBUS_DEPLOY_SHOPS=5000 $(BIN)/pytest tests/test_deploy.py

real: install ## the five real shops in one run (PLURIBUS_DATA says where the shared data lies)
	PLURIBUS_DATA=$(PLURIBUS_DATA) $(BIN)/pluribus --config config/real refresh

transfer: real ## leave one shop out: fine-tune on three real shops, ask the fourth (PLURIBUS_DATA; some 5 CPU-minutes)
	PLURIBUS_DATA=$(PLURIBUS_DATA) $(BIN)/python benchmarks/transfer.py \
	    --external $(PLURIBUS_DATA)/benchmarks/clothing_cc0/images-00.tar

generated: real ## train on what shops sell, on drawn products, on both; judged by real ones (PLURIBUS_DATA; 8 CPU-minutes)
	PLURIBUS_DATA=$(PLURIBUS_DATA) $(BIN)/python benchmarks/generated.py \
	    --external $(PLURIBUS_DATA)/benchmarks/clothing_cc0/images-00.tar

descriptions: real ## what to do with descriptions longer than the model reads, on the real shops (PLURIBUS_DATA)
	PLURIBUS_DATA=$(PLURIBUS_DATA) $(BIN)/python benchmarks/descriptions.py

tables: install ## zero-shot classification as in the keynote's Table 3, published rows beside ours (PLURIBUS_DATA)
	$(BIN)/pluribus benchmark --models mini,fashionclip \
	    --data folder:$(PLURIBUS_DATA)/benchmarks/clothing_cc0/images-00.tar,fmnist:$(PLURIBUS_DATA)/benchmarks/fashion_mnist/test-00.tar.gz

mini: install ## train the embedded model again, one thread, the same bytes (PLURIBUS_DATA; about 45 minutes of one core)
	OMP_NUM_THREADS=1 $(BIN)/pluribus train-mini $(PLURIBUS_DATA)

FUZZ_SECONDS ?= 600
fuzz: install ## properties on fresh examples, then coverage-guided fuzzing of what reads strangers' bytes (FUZZ_SECONDS a target)
	$(BIN)/pytest tests -m hypothesis --hypothesis-profile=fuzz
	$(BIN)/uv pip install --quiet --python $(BIN)/python 'atheris>=2.3'
	for target in feeds prices settings manifests; do $(BIN)/python tests/fuzz.py $$target $(FUZZ_SECONDS) || exit 1; done

audit: install ## known holes in what requirements.lock pins; says plainly what it could not look up
	$(BIN)/python tests/audit.py

lock: ## pin every dependency again, with hashes and without index addresses
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header --quiet --upgrade -o requirements.lock

clean: ## forget what the demo made
	rm -rf .pluribus .metaflow demo
