#!/usr/bin/env bash
# Sets up the environment, then runs the linter and the tests. Arguments go to pytest:
#
#   bash tools/run_tests.sh
#   bash tools/run_tests.sh -m "not slow" -k fusions
#
# VENV, CONSTRAINTS and PYTHON: see tools/setup_env.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash tools/setup_env.sh
VENV=${VENV:-.venv}
"$VENV/bin/python" -m ruff check .
"$VENV/bin/python" -m pytest "$@"
