# Short names for the scripts; nothing here is needed to use them.

VENV ?= .venv

.PHONY: check coverage demo format docs site bundle bench clean

check: ## what continuous integration checks
	./check.sh

coverage: ## what all tests cover, the processes they start included: half an hour, 95 % at least
	$(VENV)/bin/python -m pytest -n 2 --dist worksteal --cov --cov-config=tests/coverage.ini --cov-fail-under=95 \
		--cov-report=term:skip-covered --deselect tests/faults/test_journal.py::test_disk_that_fails_stops_the_gateway

demo: ## gateway, database and a simulated city until Ctrl-C
	./demo.sh

format: ## put the code into its format
	$(VENV)/bin/python -m ruff format src simulators scripts bench tests
	$(VENV)/bin/python -m ruff check --fix src simulators scripts bench tests

docs: ## write what the documentation takes from the code
	$(VENV)/bin/python scripts/docs.py
	$(VENV)/bin/python scripts/dashboards.py

site: ## the documentation as a site, in site/
	$(VENV)/bin/python -m mkdocs build --strict --quiet

bundle: ## wheels, units, pages and checksums for a machine without internet, in dist/
	$(VENV)/bin/python scripts/bundle.py

bench: ## the figures of the README
	$(VENV)/bin/python bench/codec.py
	$(VENV)/bin/python bench/end_to_end.py

clean: ## remove what the scripts and tools made, the demo's data included
	rm -rf .venv .ci-venv demo site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
