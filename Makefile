# `make run` and `make test` are all there is to know; each makes what it needs, once.
.PHONY: run dev test check coverage lint bench build docs lock clean clients installed installed-for-tests installed-clients new-environment always
.DEFAULT_GOAL := run

VENV := .venv
BIN := $(VENV)/bin
IS_SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# The first Python from 3.11 to 3.13; PYTHON=… chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c '$(IS_SUPPORTED)' 2>/dev/null && echo $$p && break; done)
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet
# Three workers on two cores: tests wait (for a browser, a lock, a process that starts) for about half of
# their time. The browser tests are two workers' work for half of it.
IN_PARALLEL := -n 3 --dist loadfile --no-loadscope-reorder
# Python keeps what it compiled, whatever the environment says: each process starts 0.4 s sooner.
export PYTHONDONTWRITEBYTECODE :=
# Clients whose pins are not ours: each of these has an environment of its own, $(VENV)/clients/<name>.
CLIENTS := mcp-1.9 mcp-1.30
CLIENT_LOCKS := $(CLIENTS:%=tests/clients/requirements-%.txt)
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock"
# Where flock is (util-linux), two that start at once install one after the other.
IN_TURN := $(shell command -v flock >/dev/null 2>&1 && echo flock Makefile)

run: installed  ## serve on http://localhost:8080 and print a one-time sign-in link
	@exec $(BIN)/orderdesk serve

dev: installed-for-tests  ## the same, and start again when a source file changes
	@exec $(BIN)/orderdesk serve --reload

build: installed
	@$(BIN)/orderdesk build

test: installed-clients  ## every test: unit, HTTP, MCP clients, browser
	@$(BIN)/orderdesk build
	$(BIN)/python -m pytest $(IN_PARALLEL)

check: lint  ## style, types, and the tests that need no process, server or browser
	$(BIN)/python -m pytest $(IN_PARALLEL) -n 2 -m "not slow"

clients: installed-clients  ## the tests with the clients that others wrote for MCP
	$(BIN)/python -m pytest tests/clients tests/mcp/test_mcp_remote.py tests/mcp/test_conformance.py

coverage: installed-clients  ## which lines and branches the tests run; fails under 95 %
	@$(BIN)/orderdesk build
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(IN_PARALLEL)
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: installed-for-tests  ## style, types, the contract of the layers, and what is declared
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry orderdesk_app --optional-dependencies-dev-groups dev
	$(BIN)/deptry .

docs: installed  ## write the tables of README.md and .env.example again
	@$(BIN)/python -m orderdesk_app.documents

# Versions stay where they are as long as pyproject.toml allows it; UPGRADE=--upgrade takes the newest. setuptools builds the editable install.
lock: installed-for-tests  ## write the lock files again, after a change of dependencies
	@echo "setuptools>=80" | $(LOCK) $(UPGRADE) pyproject.toml - --output-file requirements.lock
	@echo "setuptools>=80" | $(LOCK) $(UPGRADE) pyproject.toml - --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	@for name in $(CLIENTS); do $(LOCK) $(UPGRADE) tests/clients/requirements-$$name.in --output-file tests/clients/requirements-$$name.txt || exit 1; done

bench: installed-for-tests  ## the figures of benchmarks/README.md on this machine
	@$(BIN)/orderdesk build
	$(BIN)/python -m benchmarks

installed:
	@$(IN_TURN) $(MAKE) --no-print-directory $(VENV)/.run

installed-for-tests:
	@$(IN_TURN) $(MAKE) --no-print-directory $(VENV)/.test

installed-clients: installed-for-tests
	@$(IN_TURN) $(MAKE) --no-print-directory $(VENV)/.clients

always:

# Made again when it is not whole, or not ours: pip's own command comes last and names the folder that it was made in, so a clone that moved starts again.
$(BIN)/python: always
	@grep -qs "$(CURDIR)/$(BIN)/python" $(BIN)/pip && $(BIN)/python -c 'import pip; $(IS_SUPPORTED)' 2>/dev/null || $(MAKE) --no-print-directory new-environment

new-environment:
	@if [ -z "$(PYTHON)" ]; then echo "orderdesk: Python 3.11, 3.12 or 3.13 is needed and none was found. On Debian or Ubuntu: sudo apt-get install python3 python3-venv" >&2; exit 2; fi; \
	v=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])') || { echo "orderdesk: PYTHON=$(PYTHON) does not run. Give the path of a Python 3.11, 3.12 or 3.13, or leave it out." >&2; exit 2; }; \
	$(PYTHON) -c '$(IS_SUPPORTED)' || { echo "orderdesk: PYTHON=$(PYTHON) is Python $$v; 3.11, 3.12 or 3.13 is needed. Give another, or leave it out." >&2; exit 2; }; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "orderdesk: this Python cannot make virtual environments yet. On Debian or Ubuntu: sudo apt-get install python$$v-venv" >&2; exit 2; }; \
	rm -rf $(VENV) && $(PYTHON) -m venv $(VENV)

# --no-deps: the lock files name everything, and older pips do not take a pin for the same package with an extra.
# A stamp is a copy of what was installed: a checkout that changes nothing but times installs nothing, and needs no network.
$(VENV)/.run: always | $(BIN)/python
	@cat requirements.lock pyproject.toml | cmp -s - $@ || { \
	echo "Installing what requirements.lock names …" >&2; \
	$(PIP_INSTALL) --no-deps --require-hashes -r requirements.lock && $(PIP_INSTALL) --no-deps --no-build-isolation -e . && cat requirements.lock pyproject.toml > $@; }

$(VENV)/.test: always $(VENV)/.run
	@cmp -s requirements-dev.lock $@ || { \
	echo "Installing what requirements-dev.lock names …" >&2; \
	$(PIP_INSTALL) --no-deps --require-hashes -r requirements-dev.lock && cp requirements-dev.lock $@; }

$(VENV)/.clients: always $(VENV)/.test
	@cat $(CLIENT_LOCKS) | cmp -s - $@ || { \
	for name in $(CLIENTS); do \
	echo "Installing what tests/clients/requirements-$$name.txt names …" >&2; \
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)/clients/$$name && \
	$(BIN)/uv pip install --quiet --no-deps --require-hashes --python $(VENV)/clients/$$name/bin/python -r tests/clients/requirements-$$name.txt || exit 1; \
	done; cat $(CLIENT_LOCKS) > $@; }

clean:  ## forget everything that can be made again; data/ stays
	rm -rf .coverage* $(VENV) .web .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
