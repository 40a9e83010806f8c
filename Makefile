# Two commands on a fresh machine: `make demo` and `make test`. They need python3 (3.11 or newer) and make, and put everything in .venv.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --no-input
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)

# Models this small gain nothing from a second thread, and lose much where processes share the cores.
export OMP_NUM_THREADS ?= 1
.DEFAULT_GOAL := help
.PHONY: help install demo test lint format docs bench constraints clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

install: $(VENV)/installed ## make .venv with every version that was tested

# Without a GPU, a CPU build of torch (0.2 GB instead of 3 GB): the one that pip is set up to see, else the one that uv knows
# where to find, else whatever pip finds. A torch of your own choice, put into .venv first, is kept if its version is the tested one.
$(VENV)/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c constraints.txt hatchling editables
	@if $(BIN)/python -c 'import torch, sys; sys.exit(torch.__version__.split("+")[0] != "$(TORCH)")' 2>/dev/null || nvidia-smi -L >/dev/null 2>&1; then :; else \
	  echo "no GPU here: installing a CPU build of torch $(TORCH)"; \
	  $(PIP) install -q -c constraints.txt "torch==$(TORCH)+cpu" 2>/dev/null \
	  || { $(PIP) install -q -c constraints.txt uv && $(BIN)/uv pip install -q --python $(BIN)/python --torch-backend cpu -c constraints.txt "torch==$(TORCH)"; } \
	  || echo "found no CPU build: taking the torch that pip finds"; \
	fi
	$(PIP) install -q -c constraints.txt --no-build-isolation -e '.[dev,docs,datasets]'
	@touch $@

DEMO := runs/demo
demo: install ## train a VAE on real digits, then sample, reconstruct and score with it
	rm -rf $(DEMO)
	$(BIN)/pofx train vae --data digits --steps 1500 --out $(DEMO)
	$(BIN)/pofx sample $(DEMO) --n 64 --out $(DEMO)/samples/drawn.png
	$(BIN)/pofx reconstruct $(DEMO) --data digits --out $(DEMO)/samples/reconstructed.png
	$(BIN)/pofx score $(DEMO) --data digits --out $(DEMO)/scores.csv
	$(BIN)/pofx evaluate $(DEMO) --data digits
	@printf '\nDone. Look at:\n  samples          %s\n  reconstructions  %s\n  scores           %s\n  model card       %s\n' \
	  $(DEMO)/samples/drawn.png $(DEMO)/samples/reconstructed.png $(DEMO)/scores.csv $(DEMO)/README.md

test: install ## run every test and every example in the documentation
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

lint: install ## linter, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: install ## put the code in shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: install ## build the documentation into site/
	$(BIN)/sphinx-build -W --keep-going -q docs site
	@echo "open site/index.html"

bench: install ## measure every number in benchmarks/ (hours) and check it: needs POFX_DATA
	$(PIP) install -q -c constraints.txt --no-build-isolation -e '.[benchmarks]'
	$(BIN)/python -m benchmarks all
	$(BIN)/python docs/refresh.py
	$(BIN)/python -m benchmarks report --check

constraints: ## find the newest versions and write them down
	rm -rf build/constraints
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/pip install -q uv '.[dev,docs,datasets,benchmarks]'
	{ sed -n '/^#/p' constraints.txt; build/constraints/bin/pip freeze | grep -v '^pofx' | sed 's/^\(torch==[0-9.]*\)+.*/\1/'; } > build/constraints.txt
	mv build/constraints.txt constraints.txt

clean: ## remove what was made here, runs/ excepted
	rm -rf $(VENV) build dist site
