# Every target sets itself up: a virtual environment in .venv, installed again only when
# pyproject.toml changes. Use another Python, or another environment, with
#   make PYTHON=python3.12 VENV=.venv312 test
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# More for the command of a target: make test ARGS="-k vocabulary"
ARGS ?=

# TensorFlow's start-up notes would bury what users need to read.
export TF_CPP_MIN_LOG_LEVEL ?= 3

MODEL_TESTS := $(addprefix tests/test_, $(addsuffix .py, \
	attention decoder encoders losses captioner search))
BENCHMARKS := decoder training_step input_pipeline fetch fetch_resume

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-shared test-jax lint format bench

help: ## show this list
	@echo "usage: make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.core ## the whole path on embedded data: draws, packs, trains, scores; see runs/demo
	$(BIN)/v2t demo --out runs/demo $(ARGS)

test: $(VENV)/.dev ## the tests that need nothing outside the repository
	$(BIN)/pytest -m "not shared" $(ARGS)

test-shared: $(VENV)/.dev ## the tests on real clips and captions, in ../shared beside the checkout
	@test -d ../shared/data || { \
	  echo "make test-shared: expected the shared data in ../shared/data; nothing is there" >&2; \
	  exit 1; }
	$(BIN)/pytest -m shared $(ARGS)

test-jax: $(VENV)/.jax ## the model part's tests on Keras's JAX backend
	KERAS_BACKEND=jax $(BIN)/pytest -m "not shared" $(MODEL_TESTS) $(ARGS)

lint: $(VENV)/.dev ## what ruff says
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(VENV)/.dev ## let ruff mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.core ## the benchmarks, each with its limit beside it
	@set -e; for name in $(BENCHMARKS); do \
	  echo "== $$name"; $(BIN)/python benchmarks/$$name.py $(ARGS); done

# The environment, one stamp a layer. A set-up that was cut off leaves no stamp and is taken up again.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "expected Python 3.10 to 3.13. Received: $$($(PYTHON) --version 2>&1 | head -n 1);" \
	       "name another one: make PYTHON=python3.12 ..." >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { \
	  echo "expected a Python that can make virtual environments; on Debian and Ubuntu," \
	       "install the package python3-venv" >&2; \
	  exit 1; }
	@echo "making the environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.core: pyproject.toml $(VENV)/.made
	@echo "installing the library and TensorFlow in $(VENV), which takes a minute or two"
	@$(PIP) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.core
	@echo "installing what the tests and notebooks need"
	@$(PIP) -e '.[dev,notebook]'
	@touch $@

$(VENV)/.jax: pyproject.toml $(VENV)/.dev
	@echo "installing JAX"
	@$(PIP) -e '.[jax]'
	@touch $@
