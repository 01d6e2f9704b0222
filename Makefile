# compresslab in a few commands. The first one that needs it installs everything into .venv; later ones start at once.

PYTHON  ?= python3
PORT    ?=
WORKERS ?= 2
ARGS    ?=

BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup run test check docs bench chaos

help: ## list these commands
	@echo "make COMMAND [NAME=value]"
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-9s%s\n", $$1, $$2 }'
	@echo
	@echo "  PYTHON   the Python to install with (now $(PYTHON)), 3.11 or newer"
	@echo "  PORT     where make run serves the dashboard"
	@echo "  WORKERS  how many processes make test uses (now $(WORKERS))"
	@echo "  ARGS     more for make test, bench or chaos, for example ARGS='-k prune'"

setup: ## install everything into .venv, if something changed
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here: install Python 3.11 or newer, or name one, for example PYTHON=python3.12." >&2; exit 1; }
	@$(PYTHON) scripts/setup.py

run: setup ## open the dashboard on the bundled model
	@$(BIN)/compresslab dashboard $(if $(PORT),--port $(PORT))

test: setup ## run all tests, those in a real browser included
	@$(BIN)/python scripts/browser.py >/dev/null
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope $(ARGS)

check: setup ## lint, format, types and directions of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: setup ## build the documentation into build/site and run every example in it
	$(BIN)/python -m scripts.write_docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	$(BIN)/python -m pytest tests/test_docs.py tests/test_docs_site.py $(ARGS)

lowest: ## run all tests that need no browser with the oldest packages that pyproject.toml allows
	$(PYTHON) -m scripts.lowest $(ARGS)

bench: setup ## time and measure the product on this machine
	$(BIN)/python -m benchmarks.run $(ARGS)

chaos: setup ## strike the work in every phase: kills, stops, full disks, clocks; nothing may be lost
	$(BIN)/python -m benchmarks.chaos $(ARGS)
