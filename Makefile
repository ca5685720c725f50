# Two commands do everything from nothing: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SETS := customer_support research_reports release_risk document_extraction

.PHONY: demo test coverage lint format bench soak clean

demo: $(VENV)/installed ## check and test the example policies, and replay the bundled synthetic traces under them
	@for set in $(SETS); do \
	  printf '\n== policies/%s, its tests, and its synthetic trace (made by policies/generate_traces.py)\n\n' "$$set"; \
	  $(BIN)/policy check policies/$$set && \
	  $(BIN)/policy test policies/$$set && \
	  $(BIN)/policy replay policies/$$set/trace.csv --policy policies/$$set || exit 1; \
	done

test: $(VENV)/installed-dev lint ## everything a change must pass
	$(BIN)/pytest -n auto

coverage: $(VENV)/installed-dev ## the tests with branch coverage of the language and its evaluators
	$(BIN)/pytest -n auto --cov=policy_engine.language --cov=policy_engine.evaluation --cov-branch --cov-fail-under=95

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@for set in $(SETS); do $(BIN)/policy lint --fail-on note policies/$$set || exit 1; done

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

soak: $(VENV)/installed-dev ## a million compiled decisions against the reference's, thousands of killed workers, properties with fifty times the examples
	$(BIN)/python -m tests.evaluation.differential --cases 1000000 --keep tests/corpus/differential
	$(BIN)/python -m tests.ledger.killing --kills 3000
	POLICY_ENGINE_EXAMPLES=50 $(BIN)/pytest -m 'not slow'

bench: $(VENV)/installed-bench ## measure everything that docs/benchmarks.md claims, and write its tables
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov

$(VENV)/python: 
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with make PYTHON=…"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: pyproject.toml | $(VENV)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(VENV)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-bench: pyproject.toml | $(VENV)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,bench]'
	@touch $@ $(VENV)/installed-dev $(VENV)/installed
