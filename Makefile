# `make run` and `make test` are all there is to know; each makes what it needs, once.
.PHONY: run dev test lint bench build docs clean
.DEFAULT_GOAL := run

VENV := .venv
BIN := $(VENV)/bin
# The first Python from 3.11 to 3.13; PYTHON=… chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)

run: $(VENV)/.run  ## serve on http://localhost:8080 and print a one-time sign-in link
	@exec $(BIN)/orderdesk serve

dev: $(VENV)/.test  ## the same, and start again when a source file changes
	@exec $(BIN)/orderdesk serve --reload

build: $(VENV)/.run
	@$(BIN)/orderdesk build

test: $(VENV)/.test  ## every test: unit, HTTP, MCP clients, browser
	@$(BIN)/orderdesk build
	$(BIN)/python -m pytest

lint: $(VENV)/.test  ## style, types, and the floors' contract
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.run  ## write the tables of README.md and .env.example anew
	@$(BIN)/python -m orderdesk_app.documents

bench: $(VENV)/.test  ## the figures of benchmarks/README.md on this machine
	@$(BIN)/orderdesk build
	$(BIN)/python -m benchmarks

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ]; then echo "orderdesk: Python 3.11, 3.12 or 3.13 is needed and none was found. On Debian or Ubuntu: sudo apt-get install python3 python3-venv" >&2; exit 2; fi
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { v=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); echo "orderdesk: this Python cannot make virtual environments yet. On Debian or Ubuntu: sudo apt-get install $$v" >&2; exit 2; }
	@rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)

# The stamps are younger than what they were made of; nothing is installed twice, and a start without a network needs none.
$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps -e .
	@touch $@

$(VENV)/.test: requirements-dev.lock $(VENV)/.run
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements-dev.lock
	@touch $@

clean:  ## forget everything that can be made again; data/ stays
	rm -rf $(VENV) .web .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
