# make run | test | coverage | lint | docs | bench: each installs what it needs, on first use.
PYTHON ?= python3
OUT ?= runs/lorenz63
BIN := .venv/bin
PEERS := benchmarks/.peers
KERAS := benchmarks/.keras
PYQG := benchmarks/.pyqg
DAPPER := benchmarks/.dapper
CUTHBERT := benchmarks/.cuthbert

.PHONY: run test coverage lint docs bench clean

run: .venv/.core
	$(BIN)/tendency run lorenz63 --out $(OUT) --overwrite

test: .venv/.dev
	$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal

coverage: .venv/.dev  # takes almost half as long again: each call of SymPy is watched
	$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal --cov

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

docs: .venv/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: .venv/.core $(PEERS)/.installed
	-$(MAKE) $(KERAS)/.installed
	-$(MAKE) $(PYQG)/.installed
	-$(MAKE) $(DAPPER)/.installed
	-$(MAKE) $(CUTHBERT)/.installed
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv $(PEERS) $(KERAS) $(PYQG) $(DAPPER) $(CUTHBERT) .cache site

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

# These two need older packages than the others, and may fail: they are left out then.
$(KERAS)/.installed:
	test -d $(KERAS) || $(PYTHON) -m venv $(KERAS)
	$(KERAS)/bin/pip install --quiet 'tensorflow-cpu==2.15.*' pdenetgen==1.0.2 sympy jinja2 || { rm -rf $(KERAS); false; }
	touch $@

$(PYQG)/.installed:  # needs the headers of FFTW
	test -d $(PYQG) || $(PYTHON) -m venv $(PYQG)
	$(PYQG)/bin/pip install --quiet 'numpy<2' 'cython<3' 'setuptools<70' wheel scipy setuptools_scm pyfftw || { rm -rf $(PYQG); false; }
	$(PYQG)/bin/pip install --quiet --no-build-isolation pyqg==0.7.2 || { rm -rf $(PYQG); false; }
	touch $@

$(DAPPER)/.installed:
	test -d $(DAPPER) || $(PYTHON) -m venv $(DAPPER)
	$(DAPPER)/bin/pip install --quiet dapper==1.7.1 || { rm -rf $(DAPPER); false; }
	touch $@

$(CUTHBERT)/.installed:
	test -d $(CUTHBERT) || $(PYTHON) -m venv $(CUTHBERT)
	$(CUTHBERT)/bin/pip install --quiet cuthbert==0.1.1 || { rm -rf $(CUTHBERT); false; }
	touch $@
