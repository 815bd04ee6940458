# One command each: demo, test, check, bench, drill. The environment makes itself.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
READY := .venv/.ready
TESTS := tests/unit tests/laws tests/examples tests/integration tests/e2e

.PHONY: .venv help demo test check bench bench-json bench-quality drill clean

help: ## what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/'

# uv where there is one; else pip fetches uv (an install takes a minute instead of two and a half); else pip alone.
# uv leaves bytecode to the first import unless told: eight processes would each compile torch and pandas for themselves.
$(READY): pyproject.toml
	@set -euo pipefail; \
	if command -v uv >/dev/null; then uv=uv; \
	  [ -x $(BIN)/python ] || uv venv --quiet --python '>=3.11' .venv; \
	else \
	  for python in python3.12 python3.11 python3.13 python3 none; do \
	    $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; done; \
	  if [ $$python = none ]; then echo 'make: no Python >= 3.11 found; install one, or uv (it brings its own)' >&2; exit 1; fi; \
	  [ -x $(BIN)/python ] || $$python -m venv .venv || { rm -rf .venv; exit 1; }; \
	  $(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' uv || $(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'; \
	  uv=$(BIN)/uv; \
	fi; \
	echo 'installing bellwether and what it needs into .venv (torch is large)'; \
	if command -v $$uv >/dev/null; then $$uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable . --group dev; \
	else $(BIN)/python -m pip install --quiet --editable . --group dev; fi
	@touch $@

.venv: $(READY)

demo: $(READY) ## everything on this machine: broker, network, database, alerts
	@exec $(BIN)/bellwether demo

# What starts a broker, a database or Ray has the machine to itself; everything else shares it.
test: $(READY) ## unit, integration and end-to-end tests, against real services
	@$(BIN)/pytest -n 2 -m 'not service' $(TESTS); alone=$$?; $(BIN)/pytest -m service $(TESTS) && exit $$alone

check: $(READY) ## format, lint, types, import contracts, unit tests
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports
	@$(BIN)/mypy & types=$$!; $(BIN)/pytest -n 2 tests/unit; tests=$$?; wait $$types && exit $$tests

bench: $(READY) ## throughput, latency and memory on this machine
	@$(BIN)/python -m tests.bench

bench-json: $(READY) ## the same, one JSON object as the last line: make -s bench-json | tail -n 1
	@$(BIN)/python -m tests.bench --json

bench-quality: $(READY) ## the whole table of quality: open data, baselines, seeds, aims; three hours
	@$(BIN)/python -m tests.bench.quality

drill: $(READY) ## break things on purpose and count what was lost
	@$(BIN)/python -m tests.drill

clean: ## the environment, caches and the demo's data
	@if [ -x $(BIN)/bellwether ]; then $(BIN)/bellwether stack down >/dev/null 2>&1 || true; fi
	@rm -rf .venv .bellwether .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist build
