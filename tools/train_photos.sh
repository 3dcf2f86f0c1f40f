#!/usr/bin/env bash
# Trains the network of configs/photos on a folder of photographs of yours. Run again, it goes on where it was stopped.
#
#   bash tools/train_photos.sh PHOTOS OUT [--minutes N] [--held-out LIST_OR_FOLDER] [--size 128|256]
#
# VENV, CONSTRAINTS and PYTHON: see tools/setup_env.sh.
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

(cd "$repository" && bash tools/setup_env.sh)
VENV=${VENV:-.venv}
[[ $VENV = /* ]] || VENV=$repository/$VENV
# the diffusion models that MMagic imports along announce changes that do not concern inpainting
PYTHONWARNINGS=ignore exec "$VENV/bin/python" "$repository/tools/train_photos.py" "$@"
