# make run | test | lint | docs | bench: each installs what it needs, on first use.
PYTHON ?= python3
OUT ?= runs/lorenz63
BIN := .venv/bin
PEERS := benchmarks/.peers

.PHONY: run test lint docs bench clean

run: .venv/.core
	$(BIN)/tendency run lorenz63 --out $(OUT) --overwrite

test: .venv/.dev
	$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal --cov

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

docs: .venv/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: .venv/.core $(PEERS)/.installed
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv $(PEERS) .cache site

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	touch $@

.venv/.core: .venv/.python pyproject.toml
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/.dev: .venv/.core
	$(BIN)/pip install --quiet --editable '.[dev,docs]'
	touch $@

$(PEERS)/.installed: pyproject.toml | .venv/.core
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["peers"], sep="\n")' > $(PEERS)/requirements.txt
	$(PEERS)/bin/pip install --quiet --requirement $(PEERS)/requirements.txt
	touch $@
