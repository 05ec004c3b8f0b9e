#!/usr/bin/env bash
# Checks everything: format, lint, types, and the tests with branch coverage. Pytest's closing line is the last one.
#
#   ./check.sh
#
# Makes .venv first, unless VENV names another environment. CONTRIBUTING.md has the variables the tests know.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. scripts/environment.sh

PYTHON_FOLDERS=(src simulators scripts bench tests)

run() {
    say "== $*"
    "$VENV/bin/python" -m "$@"
}

make_environment dev
run ruff format --check "${PYTHON_FOLDERS[@]}"
run ruff check "${PYTHON_FOLDERS[@]}"
run mypy
run pytest -n "${HJ212_TEST_PROCESSES:-2}" --dist worksteal --cov --cov-report=term:skip-covered

# What cannot be seen from outside is covered whole.
report=$("$VENV/bin/python" -m coverage report --fail-under=100 --show-missing --skip-covered \
    --include='src/hj212gw/protocol/*') || {
    say "branch coverage of protocol is below 100 %:"
    say "$report"
    exit 1
}
