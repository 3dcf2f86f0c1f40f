#!/usr/bin/env bash
# Sets up the environment, then runs the linter, the type checker and the tests. Arguments go to pytest:
#
#   bash tools/run_tests.sh
#   bash tools/run_tests.sh -m "not slow" -k fusions
#
# WORKERS  number of test processes (2); one thread each. -n 0 among the arguments runs everything in one process.
# VENV, CONSTRAINTS and PYTHON: see tools/setup_env.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash tools/setup_env.sh
VENV=${VENV:-.venv}
"$VENV/bin/python" -m ruff check .
# A minute, and seconds from then on, by its cache. The packages of the older set have other types.
[[ ${CONSTRAINTS:-} == *torch2.1* ]] || "$VENV/bin/python" -m mypy
# Two processes with one thread are faster than one with two; with more threads than cores they wait for each other.
# Each gets half of the tests in their order, so that most files' fixtures are made once, and then what the other has left.
OMP_NUM_THREADS=1 "$VENV/bin/python" -m pytest -n "${WORKERS:-2}" --dist worksteal "$@"
