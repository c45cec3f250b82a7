# Needs python3 (3.11 or later), make and a package registry; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
PIP_INSTALL := $(RUN)/python -m pip install --quiet --disable-pip-version-check

# Of `make bundle`: Python and CUDA (12, 13 or none) of the host, and other options of docker/offline_bundle.
HOST_PYTHON ?= 3.12
HOST_CUDA ?= 13
BUNDLE_OPTIONS ?=

# Scale factor and device of `make demo` and `make bench`.
SF ?= 1
DEVICE ?= cpu
# Of `make gpu-report`: seconds it may take, and major version of the CUDA driver.
BUDGET ?= 470
CUDA ?= 13

.PHONY: help demo test check format bench bundle images-check bundle-check gpu-report docs-gpu docs-functions docs-gpu-fallbacks docs-errors clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# A stamp per set of extras: newer than pyproject.toml means installed as pyproject.toml asks.
$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gpuql needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: pyproject.toml | $(VENV)/bin/python
	$(PIP_INSTALL) -e '.[$*]'
	@touch $@

demo: $(VENV)/.installed-bench ## TPC-H beside DuckDB on generated data: same rows, both times
	$(RUN)/gpuql warmup --device $(DEVICE)
	$(RUN)/gpuql bench tpch --sf $(SF) --device $(DEVICE) --compare duckdb

test: $(VENV)/.installed-test ## all tests that need no GPU
	$(RUN)/python -m pytest -m "not gpu"

check: $(VENV)/.installed-dev ## lint, format, types, layers, images
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports
	$(RUN)/hadolint docker/*.Dockerfile
	$(RUN)/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml

format: $(VENV)/.installed-dev ## rewrite the code as `make check` wants it
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

bench: $(VENV)/.installed-bench ## TPC-H beside DuckDB and Polars; SF=1 DEVICE=cpu
	$(RUN)/gpuql bench tpch --sf $(SF) --device $(DEVICE) --compare duckdb,polars

bundle: $(VENV)/.installed-test ## wheels in parts, for a host without a network; HOST_PYTHON=3.12 HOST_CUDA=13
	$(RUN)/python docker/offline_bundle --python $(HOST_PYTHON) --cuda $(HOST_CUDA) --output dist/offline-bundle $(BUNDLE_OPTIONS)

images-check: $(VENV)/.installed-test ## run the images' install steps, health checks and entry points without a container engine
	$(RUN)/python docker/image_check

bundle-check: $(VENV)/.installed-test ## build offline bundles and install one into an empty environment without an index
	$(RUN)/python docker/bundle_check.py

gpu-report: $(VENV)/.installed-bench,test,cuda$(CUDA) ## tests and benchmarks on a GPU, into bench/results/; BUDGET=470 CUDA=13
	$(RUN)/python -m gpuql.bench.gpu_report --budget-s $(BUDGET)

docs-gpu: $(VENV)/.installed-bench ## docs/gpu-performance.md from the newest GPU report
	$(RUN)/python -m gpuql.bench.gpu_performance_page

docs-functions: $(VENV)/.installed-test ## docs/functions.md from the tables of functions
	$(RUN)/python -m gpuql.bench.functions_page

docs-gpu-fallbacks: $(VENV)/.installed-test ## docs/gpu-fallbacks.md from what has no form on a GPU
	$(RUN)/python -m gpuql.bench.gpu_fallbacks_page

docs-errors: $(VENV)/.installed-test ## docs/errors.md from the classes of errors
	$(RUN)/python -m gpuql.bench.errors_page

clean: ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
