# The two commands of the README: `make run` and `make test`. Each sets up .venv first if need be.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
REGION ?= simulated
ARCHIVE ?=
BIN := .venv/bin
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export QUAKECUBE_HOME ?= $(CURDIR)/.quakecube
ifneq ($(ARCHIVE),)
export QUAKECUBE_ARCHIVE := $(abspath $(ARCHIVE))
endif

.PHONY: run test heavy check format up down clean
run: .venv/.installed
	$(BIN)/quakecube run $(REGION)

test: .venv/.installed-dev
	$(BIN)/pytest $(PYTEST_ARGS)

heavy: .venv/.installed-dev
	$(BIN)/pytest -m heavy $(PYTEST_ARGS)

check: .venv/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

up: .venv/.installed
	$(BIN)/quakecube up

down: .venv/.installed
	$(BIN)/quakecube down

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "QuakeCube needs Python 3.11, found $$($(PYTHON) --version); set PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .quakecube
