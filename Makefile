# What there is to do here. Needs make and Python 3.11 or newer; uses uv where there is one (UV= does without).

VENV := .venv
BIN := $(VENV)/bin
UV ?= $(shell command -v uv 2>/dev/null)
PYTHONS := python3 python3.14 python3.13 python3.12 python3.11
USABLE := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))
# Where make can, it keeps the output of checks that run side by side apart.
TOGETHER := --jobs=4 --keep-going $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
ARGS ?=
MINUTES ?= 20
# Tests that start servers mostly wait: more of them than cores. A cluster of one name is started by one worker only.
WORKERS ?= 3
SIDE_BY_SIDE := --numprocesses=$(WORKERS) --dist=loadgroup

# Compiled once, not at every start: tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE
# Its Node comes from a wheel; nothing is looked up or fetched when it runs.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.DEFAULT_GOAL := help
.PHONY: help install develop demo test test-fast test-thorough soak guards check check-format check-lint check-types check-imports format lock bench clean distclean
MAKEFLAGS += --no-print-directory

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## make .venv with the `upheld` command and the embedded servers
	@:

develop: $(VENV)/.developed ## the same with the tools for tests and checks
	@:

demo: $(VENV)/.installed ## everything on this machine, with traffic and scripted incidents (ARGS="--kafka HOST:PORT --database URL")
	@$(BIN)/upheld demo $(ARGS)

test: export UPHELD_TEST_EXAMPLES ?= 0.3
test: $(VENV)/.developed ## all tests and the coverage that is asked (ARGS are pytest's; WORKERS=0: one after another)
	@rm -f .coverage .coverage.*
	@$(BIN)/pytest $(SIDE_BY_SIDE) --cov --cov-report= $(ARGS)
	@echo "coverage: evaluators 100 %, consumers 95 %, all 90 %"
	@$(BIN)/coverage report --include='evaluators/*' --fail-under=100
	@$(BIN)/coverage report --include='consumers/*' --fail-under=95
	@$(BIN)/coverage report --format=total --fail-under=90

test-fast: $(VENV)/.developed ## the tests that need no server and take no time, with a tenth of the examples
	@UPHELD_TEST_EXAMPLES=0.1 $(BIN)/pytest --numprocesses=auto -m "not servers and not kafka and not slow" $(ARGS)

test-thorough: $(VENV)/.developed ## all tests with every example of each property, as before a release (make test takes three of ten)
	@$(MAKE) test UPHELD_TEST_EXAMPLES=1

soak: $(VENV)/.developed ## random faults under load, for MINUTES (20), with recounts and leaks looked for
	@UPHELD_TEST_SOAK_MINUTES=$(MINUTES) $(BIN)/pytest -m soak -s tests/faults/test_soak.py $(ARGS)

guards: $(VENV)/.developed ## take every guard against faults out once: its test must fail (minutes)
	@$(BIN)/python tests/faults/guards.py

check: $(VENV)/.developed ## format, lint, types and import contracts, side by side
	@$(MAKE) $(TOGETHER) check-format check-lint check-types check-imports

check-format: $(VENV)/.developed
	@$(BIN)/ruff format --check .
	@echo "format: good"

check-lint: $(VENV)/.developed
	@$(BIN)/ruff check --quiet .
	@echo "lint: good"

check-types: $(VENV)/.developed
	@$(BIN)/pyright
	@echo "types: good"

check-imports: $(VENV)/.developed
	@$(BIN)/lint-imports --no-logo 2>&1
	@echo "imports: good"

format: $(VENV)/.developed ## mend what a tool can mend
	@$(BIN)/ruff check --fix --quiet --exit-zero .
	@$(BIN)/ruff format .

bench: $(VENV)/.developed ## the benchmarks, with their figures (ARGS="--broker kafka" for the first)
	@$(BIN)/python benchmarks/ingest.py $(ARGS)
	@echo; $(BIN)/python benchmarks/formats.py
	@echo; $(BIN)/python benchmarks/engine.py
	@echo; $(BIN)/python benchmarks/measures.py
	@echo; $(BIN)/python benchmarks/restart.py
	@echo; $(BIN)/python benchmarks/growth.py
	@echo; $(BIN)/python benchmarks/metrics.py
	@echo; $(BIN)/python benchmarks/scale.py

LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

lock: ## pin all requirements by hash (UPGRADE=1 takes the newest); needs uv
	@test -n "$(UV)" || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	@echo "pinning requirements/*.txt"
	@$(LOCK) pyproject.toml --output-file requirements/runtime.txt
	@$(LOCK) pyproject.toml --extra embedded --constraints requirements/runtime.txt --output-file requirements/embedded.txt
	@$(LOCK) --group build --constraints requirements/embedded.txt --output-file requirements/build.txt
	@$(LOCK) pyproject.toml --extra embedded --group dev --constraints requirements/embedded.txt \
		--constraints requirements/build.txt --output-file requirements/dev.txt

clean: ## remove what tools left behind
	@rm -rf .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.* dist build
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -print | xargs rm -rf

distclean: clean ## and the virtual environment
	@rm -rf $(VENV)

# ---------------------------------------------------------------------------------------------- the virtual environment

# Every package by its hash, Upheld itself as a link to this checkout; $(1) are the requirement files.
define install_requirements
	@echo "installing $(1) into $(VENV) (some seconds with uv, up to a minute without)"
	@set -e; if [ -n "$(UV)" ]; then \
		"$(UV)" pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes $(patsubst %,-r %,$(1)); \
		"$(UV)" pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .; \
	else \
		$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; \
		pip="$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --progress-bar=off"; \
		PIP_ROOT_USER_ACTION=ignore $$pip --require-hashes $(patsubst %,-r %,$(1)); \
		PIP_ROOT_USER_ACTION=ignore $$pip --no-deps --no-build-isolation --editable .; \
	fi
endef

$(VENV)/.installed: $(VENV)/.made requirements/embedded.txt requirements/build.txt pyproject.toml
	$(call install_requirements,requirements/embedded.txt requirements/build.txt)
	@touch $@

$(VENV)/.developed: $(VENV)/.installed requirements/dev.txt
	$(call install_requirements,requirements/dev.txt)
	@touch $@

$(VENV)/.made:
	@if $(BIN)/python -c '$(USABLE)' >/dev/null 2>&1; then touch $@; exit 0; fi; \
	for python in $(PYTHONS); do \
		$$python -c '$(USABLE)' >/dev/null 2>&1 || continue; \
		found="$$found $$python"; \
		echo "making $(VENV) with $$($$python --version)"; \
		rm -rf $(VENV); \
		if [ -n "$(UV)" ]; then "$(UV)" venv --quiet --python "$$(command -v $$python)" $(VENV); \
		else $$python -m venv $(VENV); fi && touch $@ && exit 0; \
	done; \
	rm -rf $(VENV); \
	if [ -z "$$found" ]; then echo "Upheld needs Python 3.11 to 3.14; none of these is: $(PYTHONS)" >&2; \
	else echo "$$found: cannot make a virtual environment (on Debian: apt-get install python3-venv)" >&2; fi; \
	exit 1
