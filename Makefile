# Everything is set up on the way: `make run` and `make test` need Python 3.11 or newer with venv and pip, and make.
PYTHON ?= python3
BIN := .venv/bin
# Where SQLite and the layer in memory may differ: processes and sockets, delivery, events at once and in any order.
# Left out: what brings its own PostgreSQL and Valkey, and what no database makes a difference to, such as heads of requests.
RUN_ONCE := tests/chaos tests/fuzz tests/outages tests/repository tests/servers tests/delivery/test_two_deployments.py \
	$(patsubst %,tests/starting/test_%.py,redis_addresses refusals_to_start without_sandbox) \
	$(patsubst %,tests/wire/test_%.py,api_page browser_headers browsers frame_floods hangups hosts http_bounds secrets \
		security_log upgrades) \
	$(patsubst %,access/tests/test_%.py,addresses bounds escaping hashers refusals) \
	$(patsubst %,notifications/tests/test_%.py,batching protocol) \
	$(patsubst %,notifications/tests/auth/test_%.py,grants handshake tokens token_keys) \
	$(patsubst %,notifications/tests/delivery/test_%.py,cursor receipts) \
	$(patsubst %,notifications/tests/fanout/test_%.py,listen other_layers redis_layer seal)
EMBEDDED := tests access notifications database $(RUN_ONCE:%=--ignore %) \
	payments_project/tests/test_health.py payments/tests/test_any_order.py payments/tests/webhooks/test_webhooks.py payments/tests/webhooks/test_batches.py
IN_PARALLEL := -n 3 --dist loadfile --no-loadscope-reorder
# pytest keeps the tests that it has made ready for their asserts: five seconds of each process.
unexport PYTHONDONTWRITEBYTECODE
# The variables that make chaos and make fuzz take, as options; docs/chaos.md and CONTRIBUTING.md describe them.
options = $(foreach name,$(1),$(if $($(name)),--$(shell echo $(name) | tr A-Z a-z) $($(name))))
# The file of a release that is installed is one of those that the lock was made with.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
# What runs wherever Python does. The cluster needs a Unix, and the benchmarks Linux.
SERVICE := access database notifications payments payments_project stripe_sandbox
RUNTIME := .venv/runtime.stamp
DEVELOPMENT := .venv/development.stamp

.DEFAULT_GOAL := help
.PHONY: help run cluster restart test tests chaos fuzz bench bench-growth bench-quick coverage lint format types browser lock \
	sbom clean

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*  ## /\1	/' | expand -t 16

run: $(RUNTIME) .env  ## serve on port 9090 (PORT=… overrides)
	@exec $(BIN)/python manage.py serve

cluster: $(DEVELOPMENT) .env  ## PostgreSQL, Valkey and WORKERS=2 server processes on port 9090 (PORT=… overrides)
	@exec $(BIN)/python -m deploy.cluster

restart: $(DEVELOPMENT)  ## give the cluster new workers, one at a time
	@$(BIN)/python -m deploy.cluster.restart

test: $(DEVELOPMENT)  ## every test on PostgreSQL and Valkey, then what may differ on the embedded defaults
	TEST_STACK=services $(BIN)/python -m pytest $(IN_PARALLEL)
	TEST_STACK=embedded $(BIN)/python -m pytest $(IN_PARALLEL) $(EMBEDDED)

tests: test

chaos: $(DEVELOPMENT)  ## everything fails, nothing is lost (SECONDS=120 SEED=7)
	@exec $(BIN)/python -m tests.chaos $(call options,SECONDS SEED CLIENTS RECONCILER MARKDOWN)

fuzz: $(DEVELOPMENT)  ## hostile input of every kind against a production server (SECONDS=600 SEED=7)
	@exec $(BIN)/python -m tests.fuzz $(call options,SECONDS SEED MARKDOWN)

bench: $(DEVELOPMENT)  ## the service and three peers on the same work: tables and plots into docs/benchmarks
	$(BIN)/python -m benchmarks --json docs/benchmarks/runs/$$(date -u +%Y%m%dT%H%M).json \
		--markdown docs/benchmarks/peers.md --plots docs/benchmarks

bench-growth: $(DEVELOPMENT)  ## more connections, more workers, millions of notifications; needs 20 GB of disk
	$(BIN)/python -m benchmarks.growth.connections --markdown docs/benchmarks/connections.md
	$(BIN)/python -m benchmarks.growth.database --markdown docs/benchmarks/database.md

bench-quick: $(DEVELOPMENT)  ## CPU of a webhook, a push and a payment; fails where one costs a quarter more than recorded
	$(BIN)/python -m benchmarks.quick

coverage: $(DEVELOPMENT)  ## the tests on PostgreSQL and Valkey, with branches counted
	$(BIN)/coverage erase
	TEST_STACK=services $(BIN)/coverage run -m pytest $(IN_PARALLEL)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: types  ## style, types, imports, migrations: none missing, none that stops a running service
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	ENV_FILE= DEBUG=1 $(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m tests.support.lint_migrations

format: $(DEVELOPMENT)  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(DEVELOPMENT)  ## mypy, strict, for Linux, macOS and Windows
	ENV_FILE= DEBUG=1 $(BIN)/mypy --platform linux
	ENV_FILE= DEBUG=1 $(BIN)/mypy --platform darwin $(SERVICE:%=--package %) --package deploy
	ENV_FILE= DEBUG=1 $(BIN)/mypy --platform win32 $(SERVICE:%=--package %)

browser: $(DEVELOPMENT)  ## the pages in Chromium (CHROMIUM=/path/to/chromium)
	TEST_STACK=embedded $(BIN)/python -m pytest tests/browser

lock: $(DEVELOPMENT)  ## compile requirements.txt and requirements-dev.txt from pyproject.toml
	$(COMPILE) --output-file requirements.txt pyproject.toml
	$(COMPILE) --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml

sbom: $(DEVELOPMENT)  ## write what the service is made of into sbom.json (CycloneDX), with versions and hashes
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --short-PURLs --output-reproducible --output-file sbom.json requirements.txt

clean:  ## forget the virtual environment and what was built
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache htmlcov .coverage*

.env:
	umask 077; cp .env.example .env  # keys are written there

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: set PYTHON.")'
	@# what it leaves behind when it fails, without pip, must not count as made
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

$(RUNTIME): requirements.txt .venv/bin/python
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "Installing the $$(grep -c == $<) packages of $< into .venv: about a minute, once."
	@$(INSTALL) -r requirements.txt
	@touch $@

$(DEVELOPMENT): requirements-dev.txt $(RUNTIME)
	@echo "Installing the $$(grep -c == $<) packages of $<, for development: some minutes, once."
	@$(INSTALL) -r requirements-dev.txt
	@touch $@

# A word that happens to be a folder would be up to date, and say nothing.
FOLDERS := $(filter-out tests,$(patsubst %/,%,$(wildcard */)))
.PHONY: $(FOLDERS)
$(FOLDERS):
	@echo "$@ is a folder, nothing that is made. 'make help' lists what can be made." >&2; exit 2

.DEFAULT:
	@echo "There is no '$@' to make. 'make help' lists what can be made." >&2; exit 2
