# Every target is a line that you could have typed. `make help` lists them.
# Needs Python >= 3.11 and make; everything else is installed into .venv, pinned by version and hash.

PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python3.14 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet --quiet
TO_RUN := $(VENV)/ready-to-run
TO_DEVELOP := $(VENV)/ready-to-develop
TO_TEST_CLIENTS := .venv-clients/ready tests/clients/node/node_modules/ready
TO_TEST_SLOWLY := .venv-slow/ready tests/slow/cli/install.log
BENCHMARKS := $(filter-out __init__ measure,$(basename $(notdir $(wildcard benchmarks/*.py))))
SOURCES := runtime codegen tests $(wildcard benchmarks)
# More than cores: half of the time of many tests is waiting for what a server does at its time.
WORKERS ?= 4

export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
# Without compiled modules every server that a test starts takes twice as long, and every worker compiles all tests again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test check lint imports types generate check-generated golden golden-clients clients fmt
.PHONY: test-slow bench bench-quick bench-peers lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '  %-16s %s\n' "$$name" "$$text"; done

run: $(TO_RUN)  ## set up, build and serve gateway.yaml
	$(BIN)/gatewright build
	exec $(BIN)/gatewright serve

test: check clients  ## set up, check, and run all quick tests
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

clients: $(TO_TEST_CLIENTS)  ## set up the foreign SDKs that tests/clients calls the gateway with

check: lint imports types check-generated  ## everything that needs no test run: style, layers, types, freshness

lint: $(TO_DEVELOP)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

imports: $(TO_DEVELOP)
	$(BIN)/lint-imports

types: $(TO_DEVELOP)
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

generate: $(TO_RUN)  ## compile schemas/ and gateway.yaml into generated/
	$(BIN)/python -m codegen generate
	$(BIN)/gatewright build

check-generated: $(TO_RUN)  ## fail with a diff when generated/ is stale
	$(BIN)/gatewright build --check

golden: $(TO_DEVELOP)  ## rewrite the compiler's expected outputs; review them with git diff
	$(BIN)/pytest --golden -q tests/codegen tests/config tests/docs tests/test_public_surface.py

golden-clients: $(TO_DEVELOP) clients  ## run every foreign client and rewrite docs/reference/clients.md
	$(BIN)/pytest --golden -q tests/clients

fmt: $(TO_DEVELOP)  ## format and fix what can be fixed
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

test-slow: $(TO_DEVELOP) clients $(TO_TEST_SLOWLY)  ## faulty streams by the twenty thousand, a foreign inference server, coding CLIs; takes an hour
	MALLOC_ARENA_MAX=2 $(BIN)/pytest tests/slow  # as the image has it

bench: $(TO_DEVELOP)  ## repeat every number of benchmarks/ and write its page
	set -e; for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name --write; done

bench-quick: $(TO_DEVELOP)  ## in two minutes: what a proxied request costs, against what was recorded; says what got worse
	$(BIN)/python -m benchmarks.gateways --quick
	$(BIN)/python -m benchmarks.instructions

bench-peers: $(TO_DEVELOP)  ## install the AI gateways that `make bench` measures beside ours, if they are there
	sh benchmarks/proxy/install_peers.sh

lock: $(TO_DEVELOP)  ## pin the dependencies of pyproject.toml anew
	$(PIP) install pip-tools
	PATH="$(CURDIR)/$(BIN):$$PATH" .ci/lock

clean:  ## remove what the other targets made, but not data/
	rm -rf $(VENV) .venv-slow .venv-clients .venv-peers tests/clients/node/node_modules tests/slow/cli/node_modules \
		tests/slow/cli/install.log build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find runtime codegen generated tests -name __pycache__ -type d -prune -exec rm -rf {} +

# -- set-up: done once, and again when a lock changes

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "gatewright needs Python 3.11 or newer on the PATH" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

$(TO_RUN): requirements.lock pyproject.toml | $(BIN)/python
	@echo 'installing pinned dependencies into $(VENV); this is done once'
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(TO_DEVELOP): requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo 'installing pinned dependencies into $(VENV); this is done once'
	$(PIP) install --require-hashes -r requirements-dev.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(TO_RUN) $@

.venv-clients/ready: requirements-clients.lock | $(BIN)/python
	@echo 'installing pinned clients into .venv-clients; this is done once'
	$(BIN)/python -m venv .venv-clients
	.venv-clients/bin/python -m pip --disable-pip-version-check --no-input --quiet --quiet install --require-hashes \
		--only-binary :all: -r $<
	@touch $@

tests/clients/node/node_modules/ready: tests/clients/node/package-lock.json tests/clients/install.sh $(TO_DEVELOP)
	sh tests/clients/install.sh $(BIN)/python
	@touch $@

.venv-slow/ready: requirements-slow.lock tests/slow/install.sh | $(BIN)/python
	sh tests/slow/install.sh $(BIN)/python .venv-slow
	@touch $@

tests/slow/cli/install.log: tests/slow/cli/package-lock.json tests/clients/npm.sh $(TO_DEVELOP)
	@echo 'installing pinned coding CLIs below tests/slow/cli; this is done once. Without one, its tests are skipped'
	-{ sh tests/clients/npm.sh $(BIN)/python tests/slow/cli ci && sh tests/clients/npm.sh $(BIN)/python tests/slow/cli \
		rebuild --ignore-scripts=false @anthropic-ai/claude-code; } >$@ 2>&1  # its script links the binary that came with it
