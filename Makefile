# Needs python3 (3.11 or later), make and a package registry; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
PIP_INSTALL := $(RUN)/python -m pip install --quiet --disable-pip-version-check

# Scale factor and device of `make demo` and `make bench`.
SF ?= 1
DEVICE ?= cpu
# Of `make gpu-report`: seconds it may take, and major version of the CUDA driver.
BUDGET ?= 470
CUDA ?= 13

.PHONY: help demo test check format bench gpu-report docs-gpu clean

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
	$(RUN)/gpuql bench tpch --sf $(SF) --device $(DEVICE) --compare duckdb

test: $(VENV)/.installed-test ## all tests that need no GPU
	$(RUN)/python -m pytest -m "not gpu"

check: $(VENV)/.installed-dev ## lint, format, types, layers
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

format: $(VENV)/.installed-dev ## rewrite the code as `make check` wants it
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

bench: $(VENV)/.installed-bench ## TPC-H beside DuckDB and Polars; SF=1 DEVICE=cpu
	$(RUN)/gpuql bench tpch --sf $(SF) --device $(DEVICE) --compare duckdb,polars

gpu-report: $(VENV)/.installed-bench,test,cuda$(CUDA) ## tests and benchmarks on a GPU, into bench/results/; BUDGET=470 CUDA=13
	$(RUN)/python -m gpuql.bench.gpu_report --budget-s $(BUDGET)

docs-gpu: $(VENV)/.installed-bench ## docs/gpu-performance.md from the newest GPU report
	$(RUN)/python -m gpuql.bench.gpu_performance_page

clean: ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
