# make demo    run the orders quickstart into ./out and say what came of it
# make test    run the tests, two at a time (TEST_PROCESSES); PYTEST_ARGS="-k group" narrows them
# make lint    ruff (lint and format), mypy --strict, the import floors
# make bench   measure everything beside its rivals and write docs/benchmarks.md (BENCH_ARGS=--quick: only look whether
#              it works); make bench-core measures Core beside plain Python, mongomock and mingo
# make docs    write the reference pages, and check every example in the README and the docs by running it
# make site    build the documentation site into ./site
# make clean   remove what runs and tools have left (.venv stays)
#
# Each sets up .venv by itself (scripts/env.sh), demo without the tools of development.
# VENV=/path/to/environment uses one that is ready instead.

VENV ?= .venv
BIN := $(VENV)/bin
ORDERS_OUT ?= out
PYTEST_ARGS ?=
TEST_PROCESSES ?= 2
BENCH_ARGS ?=

.PHONY: demo test lint bench bench-core docs site clean env env-run

demo: env-run
	@rm -f "$(ORDERS_OUT)/customers.jsonl" "$(ORDERS_OUT)/dead-letters.jsonl"
	ORDERS_OUT="$(ORDERS_OUT)" $(BIN)/python -m bytewax.run flows.orders_quickstart
	@ORDERS_OUT="$(ORDERS_OUT)" $(BIN)/python scripts/demo_summary.py

test: env
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal $(PYTEST_ARGS)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: env
	@$(BIN)/python -c "import duckdb, matplotlib, mongomock, orjson" 2>/dev/null || $(BIN)/python -m pip install -q -e ".[bench]"
	$(BIN)/python benchmarks/run_all.py $(BENCH_ARGS)

bench-core: env
	$(BIN)/python benchmarks/bench_core.py $(BENCH_ARGS)
	$(BIN)/python benchmarks/bench_operators.py

docs: env
	$(BIN)/python scripts/make_reference.py
	$(BIN)/python -m pytest tests/docs $(PYTEST_ARGS)

site: env
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

clean:
	rm -rf out site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -not -path './.uv/*' -prune -exec rm -rf {} +

env:
ifeq ($(VENV),.venv)
	@sh scripts/env.sh
endif

env-run:
ifeq ($(VENV),.venv)
	@sh scripts/env.sh --run
endif
