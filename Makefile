# `make demo` and `make test` need only Python >= 3.11, make and git: each makes .venv by itself. `make help` lists all.
# PYTHON=... chooses the Python that .venv is made with, ARGS=... is handed to the tool.

BIN := .venv/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
CODE := $(wildcard src tests examples benchmarks)
DOCS := $(wildcard tests/test_project.py tests/test_docs.py tests/docs)
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

# A stamp is trusted only as long as the environment that it stands in works.
STALE := $(shell test -x $(BIN)/python || echo stale)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test check format bench smoke screenshots clean stale

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile | expand -t 13

demo: .venv/demo.stamp ## run the main example over HTTP: approvals that outlive crashes; INTERACTIVE=1: you decide
	@$(BIN)/python examples/financial_approval_system.py $(if $(INTERACTIVE),--interactive) $(ARGS)

test: .venv/dev.stamp ## run the tests in parallel, each workflow also replayed after every step
	@sh .ci/browser
	@$(BIN)/python -m pytest -n auto --replay-check $(ARGS)

check: .venv/dev.stamp ## format, lint, types, import floors, docs
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy $(CODE)
	@$(BIN)/pyright $(CODE)
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest --quiet $(DOCS)

format: .venv/dev.stamp ## format the code and repair what the linter can
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

bench: .venv/bench.stamp ## measure against the yardsticks and write benchmarks/results.md
	@$(BIN)/python -m benchmarks $(ARGS)

smoke: ## install the core on every Python of this machine and run a short workflow there
	@sh .ci/smoke

screenshots: .venv/dev.stamp ## take the pictures of docs/images anew, of all pages or those in ARGS
	@sh .ci/browser
	@$(BIN)/python -m tests.browser.screenshots $(ARGS)

clean: ## remove .venv, caches and builds
	@rm -rf .venv .browser build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/core.stamp: EXTRAS :=
.venv/demo.stamp: EXTRAS := [notify,web]
.venv/dev.stamp: EXTRAS := [dev]
.venv/bench.stamp: EXTRAS := [bench]

.venv/%.stamp: pyproject.toml $(STALE)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	    python="$(PYTHON)"; \
	    test -n "$$python" || python=$$(sh .ci/pythons | head -n 1); \
	    test -n "$$python" || { echo "No Python >= 3.11 with venv: install one, or say PYTHON=path/to/it" >&2; exit 1; }; \
	    echo "Making .venv with $$python"; \
	    "$$python" -m venv --clear .venv; \
	}
	@echo "Installing assent$(EXTRAS)"
	@$(PIP) install --editable '.$(EXTRAS)'
	@touch .venv/core.stamp $@
