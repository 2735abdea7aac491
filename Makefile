# Two commands matter: `make demo` and `make test`. Each makes .venv if there is none.

PYTHON ?= python3
BIN := .venv/bin

# What is installed: the versions that vaelab is tested with. Python compiles a module when it is first imported: compiling
# all of torch here would take as long as installing it.
INSTALL := -m pip install --quiet --no-compile --constraint constraints.txt
# What another torch could break: tracing, compiling, draws, resuming, flows, graphs
TORCH ?= 2.13.0
TORCH_TESTS := tests/system tests/randomness tests/distributions tests/priors tests/posteriors \
	tests/training/step tests/training/test_loop.py tests/training/diagnosis tests/evaluation/test_inference.py

.PHONY: demo test test-all test-torch check slow abuse format clean page check-page bench bench-quick bench-data

demo: .venv/installed
	$(BIN)/vaelab study digits --out demo-runs

# What guards every change: minutes
test: check
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

# The thorough tests too: what .ci/run calls
test-all: check
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal --whole

# make test-torch TORCH=2.12.1: a selection of the tests with that torch, in an environment of its own. For a version outside
# the range of pyproject.toml, widen that range first
test-torch: .venv-torch-$(TORCH)/installed
	.venv-torch-$(TORCH)/bin/python -m pytest --numprocesses 2 --dist worksteal --whole $(TORCH_TESTS)

check: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-cache

slow: .venv/installed-dev
	$(BIN)/python -m pytest -m slow --whole

# Thousands of kills, damaged files and strange command lines: an hour and a half. `make test` runs a minute of them.
abuse: .venv/installed-dev
	$(BIN)/python -m tests.abuse

# The scripts of the explorer, from the sources in web/
page: web/node_modules/installed
	cd web && npm run --silent check && npm run --silent test && npm run --silent build

# Whether the scripts in the repository are what the sources give
check-page: web/node_modules/installed
	cd web && npm run --silent check && npm run --silent test && node build.mjs node_modules/.built
	cmp web/node_modules/.built/page.js vaelab/explorer/page.js
	cmp web/node_modules/.built/opener.js vaelab/explorer/opener.js

web/node_modules/installed: web/package-lock.json
	cd web && npm ci --no-audit --no-fund --loglevel=error
	touch $@

format: .venv/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python $(INSTALL) --editable .
	touch $@

.venv/installed-dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python $(INSTALL) --editable ".[dev]"
	touch .venv/installed $@

# Each torch asks for its own versions of setuptools
.venv-torch-%/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-torch-$*
	grep -vE '^(torch|setuptools)==' constraints.txt > .venv-torch-$*/constraints.txt
	.venv-torch-$*/bin/python -m pip install --quiet --no-compile --constraint .venv-torch-$*/constraints.txt \
		"torch==$*" --editable ".[dev]"
	touch $@

# The speed benchmark against other libraries, which only its own environment has: see benchmarks/README.md.
bench: bench-data .venv-bench/installed
	.venv-bench/bin/python -m benchmarks.bench --page

bench-quick: bench-data .venv-bench/installed
	.venv-bench/bin/python -m benchmarks.bench --quick

# Before anything is installed: looks for two data directories, without any library.
bench-data:
	@$(PYTHON) -m benchmarks.found

.venv-bench/installed: pyproject.toml constraints.txt benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python $(INSTALL) --editable . --requirement benchmarks/requirements.txt
	touch $@

clean:
	rm -rf .venv .venv-bench .venv-torch-* web/node_modules demo-runs
