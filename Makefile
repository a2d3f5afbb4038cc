# Two commands do everything: `make demo` and `make test`.  Only python3 is needed to begin with.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
UV     := UV_PROJECT_ENVIRONMENT=$(VENV) UV_COMPILE_BYTECODE=1 $(BIN)/uv

.DEFAULT_GOAL := help
.PHONY: help install demo test fuzz chaos test-kafka test-spark test-browser test-all check format docs bench soak example screenshots assets clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9

# The project itself is installed as its wheel, so that what is not packaged is missed here and not by its users.
install: $(BIN)/uv  ## the locked packages and Yesladder itself, into .venv
	@echo "Installing (the first time takes a minute or two) ..."
	@$(UV) sync --frozen --inexact --no-editable --reinstall-package yesladder --quiet

demo: install  ## real people on a ladder of commitments: collector, Kafka, worker, lake, SQL, tier table, report
	@$(BIN)/yesladder demo

test: install  ## all tests but those that need a browser, Apache Kafka or Spark, and chaos or long ones; EXAMPLES=20 tries more
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not browser and not kafka and not chaos and not spark and not long"

test-kafka: install  ## the tests on Apache Kafka: needs Java 17 and, once, Maven; or YESLADDER_TEST_BROKERS=HOST:PORT
	$(BIN)/pytest -n 2 --dist loadfile -m kafka

test-spark: install  ## the marts on Spark, row for row: needs Java 17; installs PySpark, which is large
	@$(UV) sync --frozen --inexact --no-editable --extra spark --quiet
	$(BIN)/pytest -m "spark and not long" tests/sql tests/unit/test_warehouse_spark_session.py

test-browser: install  ## the pages in a real browser (apt-get install chromium)
	$(BIN)/pytest -m browser

chaos: install  ## storms of faults on the whole road, then a count: SEEDS=50 (needs what test-kafka needs)
	$(BIN)/python -P tests/chaos/run.py --seeds $(or $(SEEDS),3)

fuzz: install  ## look for inputs that break a promise: INPUTS=1000000 (Linux on x86-64)
	@$(UV) sync --frozen --inexact --no-editable --group fuzz --quiet
	PYTHONPATH=. $(BIN)/python -m tests.fuzz.run --inputs $(or $(INPUTS),100000)

test-all: install  ## all tests; they need Chromium (apt-get install chromium), Java 17, Maven and Node
	$(BIN)/pytest

check: install  ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy ladder producers stream warehouse answers yesladder tests benchmarks
	$(BIN)/lint-imports

format: install  ## put the code into its style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install  ## write the generated pages anew
	$(BIN)/python -P -m yesladder.documentation docs

bench: install  ## every benchmark, the peers first; needs Java 17 and Maven; see benchmarks/README.md
	@$(UV) sync --frozen --inexact --no-editable --extra spark --group peers --quiet
	$(BIN)/python benchmarks/run_all.py

soak: install  ## an hour at a steady rate on Apache Kafka, with builds and upkeep: MINUTES=60
	PYTHONPATH=. $(BIN)/python benchmarks/soak.py --minutes $(or $(MINUTES),60)

example: install  ## make the reports anew that stand as examples in docs/examples
	$(BIN)/python -P docs/examples/make.py

screenshots: install  ## pictures of the dashboard, light, dark and on a phone: docs/screenshots
	PYTHONPATH=. $(BIN)/python -P -m tests.browser.screenshots docs/screenshots

assets:  ## bundle the charts anew (needs Node)
	sh answers/assets/build.sh

clean:
	rm -rf $(VENV) dist demo-data
