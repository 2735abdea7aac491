# Two commands matter: `make demo` and `make test`. Each makes .venv if there is none, and does its job.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check layers slow abuse format clean bench bench-quick bench-data

demo: .venv/installed
	$(BIN)/vaelab study digits --out demo-runs

test: check
	$(BIN)/python -m pytest --numprocesses 2

check: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-cache

slow: .venv/installed-dev
	$(BIN)/python -m pytest -m slow

# Kills, damaged files and strange command lines by the thousand: an hour and a half. `make test` makes a minute of them.
abuse: .venv/installed-dev
	$(BIN)/python -m tests.abuse

format: .venv/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

# The speed benchmark beside other libraries, which lie only in its own environment: see benchmarks/README.md.
bench: bench-data .venv-bench/installed
	.venv-bench/bin/python -m benchmarks.bench --page

bench-quick: bench-data .venv-bench/installed
	.venv-bench/bin/python -m benchmarks.bench --quick

# Before anything is installed: two folders of files, found without a library.
bench-data:
	@$(PYTHON) -m benchmarks.found

.venv-bench/installed: pyproject.toml benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --editable . --requirement benchmarks/requirements.txt
	touch $@

clean:
	rm -rf .venv .venv-bench demo-runs
