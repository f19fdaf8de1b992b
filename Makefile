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
# Compiled once, not by each of the many processes that tests and notebooks start.
export PYTHONDONTWRITEBYTECODE :=

# A process more than there are cores, as some wait, but four at most: each takes a gigabyte. Tests
# that share a fixture stay together as long as nobody is idle.
PROCESSES := $(shell $(PYTHON) -c 'import os; print(min(4, os.cpu_count() + 1))' 2>/dev/null)
PARALLEL := -n $(or $(PROCESSES),2) --dist worksteal
# Where cells look and who drives a model are the same on every backend.
MODEL_TESTS := tests/models tests/training/test_losses.py \
	$(addprefix --ignore tests/models/test_,cell_shift.py over_clips.py)
# Two logical devices, and little optimising, which would take tests longer than it saves them.
XLA_TEST_FLAGS := --xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0 \
	--xla_llvm_disable_expensive_passes=true
# What a backend of Keras can change, with PyTorch: small models are quicker on one thread.
TORCH_TESTS := $(MODEL_TESTS) $(addprefix tests/training/test_,optimizer.py fit.py scst.py)
# For Linux this may be the build for GPUs, of gigabytes: PIP_EXTRA_INDEX_URL, set to PyTorch's own
# index for CPUs, spares them.
TORCH := torch==2.13.0
# The oldest that pyproject.toml takes, and Colab's.
KERAS_VERSIONS := 3.12.1 3.13.2
BENCHMARKS := decoder encoders training_step input_pipeline growth decoding decoding_memory \
	evaluate_memory fuzz_clips fetch fetch_resume kills score

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-shared test-jax test-torch test-keras test-browser test-spark \
	test-wheel test-oldest test-versions notebooks notebooks-full fuzz lint format docs bench

help: ## show this list
	@echo "usage: make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.core ## the whole path on embedded data: draws, packs, trains, scores; see runs/demo
	$(BIN)/v2t demo --out runs/demo $(ARGS)

test: $(VENV)/.dev ## the tests that need nothing outside the repository
	$(BIN)/pytest $(PARALLEL) $(ARGS) -m "not shared and not browser and not notebook and not jax \
	  and not spark and not wheel and not oldest and not versions"

test-shared: $(VENV)/.dev ## the tests on real clips and captions, in ../shared beside the checkout
	@test -d ../shared/data || { \
	  echo "make test-shared: expected the shared data in ../shared/data; nothing is there" >&2; \
	  exit 1; }
	$(BIN)/pytest $(PARALLEL) -m shared $(ARGS)

test-jax: $(VENV)/.jax ## the model part's tests on Keras's JAX backend, with two logical devices
	KERAS_BACKEND=jax XLA_FLAGS="$(XLA_TEST_FLAGS)" $(BIN)/pytest $(PARALLEL) -m "not shared" \
	  $(MODEL_TESTS) $(ARGS)

test-torch: $(VENV)/.torch ## the model part's tests on Keras's PyTorch backend, on the CPU
	KERAS_BACKEND=torch OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR) $(VENV)/torch/bin/python -m pytest \
	  $(PARALLEL) -m "not shared and not jax" $(TORCH_TESTS) $(ARGS)

test-keras: $(VENV)/.keras ## the model part's tests on the oldest Keras supported, and on Colab's
	@set -e; for version in $(KERAS_VERSIONS); do \
	  export PYTHONPATH=$(abspath $(VENV))/keras-$$version; \
	  $(BIN)/python -c "import keras; print('Keras', keras.__version__)" | grep -Fx "Keras $$version"; \
	  $(BIN)/pytest $(PARALLEL) -o filterwarnings=default -m "not shared and not jax" \
	    --ignore tests/models/test_hub.py --ignore tests/models/test_towers.py \
	    --ignore tests/models/test_backends.py \
	    $(MODEL_TESTS) $(ARGS); \
	done  # keras-hub takes Keras 3.13 and later, and what other backends read is tested with it

test-browser: $(VENV)/.browser ## the pages in Chromium: alone, in Notebook 6 and in JupyterLab 4
	@command -v chromium >/dev/null || { \
	  echo "expected Chromium on the path; on Debian and Ubuntu, install the package chromium" >&2; \
	  exit 1; }
	$(BIN)/pytest $(PARALLEL) -m browser tests/views/test_browser*.py $(ARGS)

test-spark: $(VENV)/.spark ## --spark on a cluster of processes on this machine, and a local S3
	@command -v java >/dev/null || { \
	  echo "expected Java on the path; on Debian and Ubuntu, install default-jre-headless" >&2; \
	  exit 1; }
	$(BIN)/pytest -m spark tests/cluster --durations=5 $(ARGS)

test-wheel: $(VENV)/.dev ## the wheel in an environment of its own: import, demo, caption
	$(BIN)/pytest -m wheel tests/test_wheel.py $(ARGS)

test-oldest: $(VENV)/.dev ## the same with the oldest packages that pyproject.toml takes
	$(BIN)/pytest -m oldest tests/test_wheel.py $(ARGS)

test-versions: $(VENV)/.dev ## the same on Python 3.10 to 3.13, to be on PATH, and TensorFlow 2.17 to 2.21
	$(BIN)/pytest -m versions tests/test_wheel.py $(ARGS)

fuzz: $(VENV)/.dev ## 2,000 broken clips; 20,000 are among the benchmarks
	$(BIN)/python benchmarks/fuzz_clips.py --count 2000 $(ARGS)

notebooks: $(VENV)/.dev ## every notebook whole, and README's commands, on little data
	$(BIN)/pytest $(PARALLEL) -m notebook tests/test_notebooks.py tests/test_readme.py \
	  --durations=0 $(ARGS)

notebooks-full: $(VENV)/.dev ## runs the notebooks in earnest and keeps what they show
	cd notebooks && for name in *.ipynb; do \
	  ../$(BIN)/jupyter execute --inplace --timeout=7200 $$name || exit 1; done
	$(BIN)/python tests/helpers/notebook_form.py notebooks/*.ipynb

lint: $(VENV)/.dev ## what ruff and mypy say, and that imports run down the pipeline
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(VENV)/.dev ## let ruff mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.dev ## pages on every module, class and function; see build/api/index.html
	$(BIN)/python docs/api_pages.py build/api

bench: $(VENV)/.dev ## the benchmarks, each with its limit beside it
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

# What stands in an environment of its own sees the packages of this one behind its own.
define behind
site='import site; print(site.getsitepackages()[0])'; \
$(BIN)/python -c "$$site" > $$($(1)/bin/python -c "$$site")/zz-core.pth
endef

# PyTorch apart: TensorFlow and JAX are tested without it beside them.
$(VENV)/.torch: pyproject.toml Makefile $(VENV)/.dev
	@echo "installing PyTorch"
	@$(BIN)/python -m venv $(VENV)/torch
	@$(VENV)/torch/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	@$(call behind,$(VENV)/torch)
	@touch $@

$(VENV)/.spark: pyproject.toml $(VENV)/.dev
	@echo "installing Spark and a local S3"
	@$(PIP) -e '.[spark]' 'moto[server]>=5' s3fs
	@touch $@

# Old releases of Keras, each in a folder that goes before the environment's own.
$(VENV)/.keras: pyproject.toml Makefile $(VENV)/.dev
	@echo "installing Keras $(KERAS_VERSIONS)"
	@set -e; for version in $(KERAS_VERSIONS); do \
	  $(PIP) --no-deps --upgrade --target $(VENV)/keras-$$version keras==$$version; done
	@touch $@

# The front ends stand in environments of their own: Colab's is Notebook 6.5 with ipywidgets 7.7.1.
$(VENV)/.browser: pyproject.toml $(VENV)/.dev
	@echo "installing Playwright, Notebook 6 and JupyterLab 4"
	@$(PIP) -e '.[browser]'
	@set -e; for name in notebook6 lab; do \
	  $(BIN)/python -m venv $(VENV)/$$name; \
	  case $$name in \
	    notebook6) set -- notebook==6.5.7 ipywidgets==7.7.1 widgetsnbextension==3.6.6 'ipython<8';; \
	    lab) set -- 'jupyterlab>=4,<5' 'ipywidgets>=8,<9';; \
	  esac; \
	  $(VENV)/$$name/bin/python -m pip install --quiet --disable-pip-version-check ipykernel "$$@"; \
	  $(call behind,$(VENV)/$$name); \
	done
	@touch $@
