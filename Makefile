# Two commands do everything: `make demo` and `make test`. Both install what they need into .venv.
.DEFAULT_GOAL := help
.PHONY: help demo test lint types faults bench stack schemas pictures reference lock audit clean
BIN := .venv/bin
JOBS ?= 4

help:  ## Show this.
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

demo: ## Play the incident on an embedded stack; KEEP=1 leaves it up.
	@.ci/venv devstack
	@$(BIN)/workspace-lifecycle demo $(if $(KEEP),--keep)

test: ## Run the tests on real servers, and the import contracts.
	@.ci/venv dev
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -n $(JOBS) $(ARGS)

lint: ## Check style and format.
	@.ci/venv dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/interrogate --quiet tests

types: ## Check types.
	@.ci/venv dev
	$(BIN)/mypy

faults: ## Kill and cut everything; FAULTS_SECONDS=180 is the long run.
	@.ci/venv dev
	$(BIN)/pytest -m faults --timeout 1800 $(ARGS)

bench: ## Measure it side by side with others; BENCH_KEEP=1 writes docs/bench.*, BENCH_SCALE=0.05 tries out.
	@.ci/venv bench
	$(BIN)/pytest -m bench -s -q $(ARGS) tests/bench

stack: ## Bring up broker, database and AWS until Ctrl-C.
	@.ci/venv dev
	@$(BIN)/python -m consumer.devstack

pictures: ## Make docs/console.png and docs/dashboard.svg anew, with Chromium and Prometheus.
	@.ci/venv dev
	CONSOLE_SHOTS=build/console $(BIN)/pytest -q tests/console/test_page.py
	cp build/console/cascade-light.png docs/console.png
	$(BIN)/pytest -q -m pictures tests/telemetry/test_picture.py

schemas: ## Generate JSON Schema and AsyncAPI from the models.
	@.ci/venv dev
	@$(BIN)/workspace-lifecycle schemas

reference: ## Write docs/reference from the code.
	@.ci/venv dev
	@$(BIN)/python -m tests.support.reference

lock: ## Pin the dependencies anew; .ci/venv installs exactly those.
	@.ci/venv dev
	@$(BIN)/python .ci/lock

audit: ## Look the pinned dependencies up among the known vulnerabilities.
	@.ci/venv dev
	@$(BIN)/python .ci/audit

clean: ## Remove what was made.
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
