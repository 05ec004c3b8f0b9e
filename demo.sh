#!/usr/bin/env bash
# Runs gateway, database and a simulated city on this machine until Ctrl-C: see ./demo.sh --help.
#
# Makes .venv first, unless VENV names another environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. scripts/environment.sh

make_environment embedded
exec "$VENV/bin/python" scripts/demo.py "$@"
