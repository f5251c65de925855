# Every target starts from a fresh clone; what is done already is not done again.
#   make run          the gateway on ws://127.0.0.1:9000/; more arguments: make run ARGS="--port 9001"
#   make test         everything the tests need, all tests, coverage, PYTEST_WORKERS=3 at a time;
#                     a part: .venv/bin/pytest tests/protocol
#   make test-long    all tests with the soaks and the full matrices
#   make check        format, lint, types, import rule
#   make audit        known vulnerabilities in the dependencies, where PyPI can be reached
#   make format       puts the format right
#   make bench        compares with other servers; QUICK=1 in two minutes; a part: make bench ARGS="--only post"
#   make docs         writes what is made of the code: pages of docs/, the OpenAPI document
#   make lock         resolves the dependencies anew; to newer versions: make lock UPGRADE=--upgrade
#   make clean        removes what the other targets made, but not the data folder
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test test-long bench check audit format docs lock clean system-packages

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet

ARGS ?=
DATA_DIR ?= data
PYTEST_ARGS ?=
# Most tests wait for other processes. The tests of one file stay together, with what they have set up.
PYTEST_WORKERS ?= 3
PYTEST_PARALLEL := -n $(PYTEST_WORKERS) --dist loadfile
UPGRADE ?=
QUICK ?=
# What is compiled and installed for `make bench`.
BENCH := .bench
# Where `make audit` installs its tool.
AUDIT := .audit

help:
	@sed -n 's/^#   //p' Makefile

run: $(VENV)/.runtime
	@exec $(BIN)/zaqar-gateway serve --data-dir $(DATA_DIR) $(ARGS)

test: $(VENV)/.dev system-packages
	rm -f .coverage .coverage.*
	$(BIN)/python -m coverage run -m pytest $(PYTEST_PARALLEL) $(PYTEST_ARGS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --fail-under=95
	$(BIN)/python -m coverage report --include='protocol/*' --fail-under=100

test-long: $(VENV)/.dev system-packages
	HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -m "" --timeout=3600 $(PYTEST_ARGS)

bench: $(VENV)/.dev $(BENCH)/load $(BENCH)/receiver $(BENCH)/sendloop
	@bash bench/peers/install.sh $(BENCH)
	@$(BIN)/python -m bench.compare $(if $(QUICK),--quick) $(ARGS)

$(BENCH)/load: bench/native/load.c bench/native/connections.c bench/native/http.c bench/native/samples.c \
		bench/native/websocket.c bench/native/*.h
	@mkdir -p $(BENCH)
	$(CC) -O2 -Wall -Wextra -o $@ $(filter %.c,$^)

$(BENCH)/receiver: bench/native/receiver.c bench/native/http.c bench/native/websocket.c bench/native/*.h
	@mkdir -p $(BENCH)
	$(CC) -O2 -Wall -Wextra -o $@ $(filter %.c,$^)

$(BENCH)/sendloop: bench/native/sendloop.c bench/native/websocket.c bench/native/*.h
	@mkdir -p $(BENCH)
	$(CC) -O2 -Wall -Wextra -o $@ $(filter %.c,$^)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pip --disable-pip-version-check check

audit: $(VENV)/.runtime
	@bash scripts/audit.sh $(BIN)/python $(AUDIT)

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.dev
	$(BIN)/python -m docs.generate

# --universal: one file for every Python from 3.11 on and every platform, with markers where they differ.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links
lock: $(VENV)/.dev
	$(COMPILE) $(UPGRADE) pyproject.toml -o requirements.lock
	$(COMPILE) $(UPGRADE) -c requirements.lock --group build -o requirements-build.lock
	$(COMPILE) $(UPGRADE) -c requirements.lock -c requirements-build.lock pyproject.toml --group build --group dev \
		-o requirements-dev.lock
	for clients in openstack heat; do \
		$(COMPILE) $(UPGRADE) tests/clients/$$clients.in -o tests/clients/$$clients.lock || exit 1; done
	$(COMPILE) $(UPGRADE) tests/support/keystone.in -o tests/support/keystone.lock
	for peer in zaqar nats picows; do \
		$(COMPILE) $(UPGRADE) bench/peers/$$peer.in -o bench/peers/$$peer.lock || exit 1; done

clean:
	rm -rf $(VENV) $(BENCH) $(AUDIT) build dist .coverage .coverage.* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache \
		.import_linter_cache clients/js/node_modules clients/js/types
	find bench clients gateway protocol storage schemas tests -name __pycache__ -prune -exec rm -rf {} +

system-packages:
	@bash tests/system-packages.sh

# --- the virtual environment: one stamp for each step -----------------------------------------------

$(VENV)/.created:
	@bash scripts/create-venv.sh $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.created requirements.lock requirements-build.lock pyproject.toml
	@echo "Installing the gateway's dependencies"
	@$(PIP_INSTALL) --require-hashes -r requirements.lock -r requirements-build.lock
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@echo "Installing what the checks and the tests need"
	@$(PIP_INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@
