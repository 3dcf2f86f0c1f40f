#!/usr/bin/env bash
# Makes the Python environment of this repository, or brings it up to date. Takes a second where nothing has changed.
#
#   bash tools/setup_env.sh
#
# VENV         the virtual environment, made if absent (.venv)
# CONSTRAINTS  the exact versions to install (requirements/constraints.txt)
# PYTHON       the interpreter that makes the environment (python3.11 where present, else python3)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV=${VENV:-.venv}
CONSTRAINTS=${CONSTRAINTS:-requirements/constraints.txt}

stop() {
    echo "setup_env.sh: $*" >&2
    exit 1
}

is_version() { # INTERPRETER CONDITION_ON_v
    "$1" -c "import sys; v = sys.version_info[:2]; sys.exit(not ($2))" 2>/dev/null
}

pick_python() {
    if [ -n "${PYTHON:-}" ]; then
        echo "$PYTHON"
    elif ! is_version python3 'v == (3, 11)' && is_version python3.11 'v == (3, 11)'; then
        # The constraints were tested on 3.11.
        echo python3.11
    else
        echo python3
    fi
}

fingerprint() {
    "$python" - "$CONSTRAINTS" <<'PYTHON'
import hashlib
import pathlib
import sys

files = sorted(pathlib.Path('requirements').glob('*.txt')) + [pathlib.Path(p) for p in (sys.argv[1], 'setup.py')]
state = [str(pathlib.Path.cwd()), sys.version, sys.argv[1]] + [path.read_text(encoding='utf-8') for path in files]
print(hashlib.sha256('\n'.join(state).encode()).hexdigest())
PYTHON
}

has_full_mmcv() {
    "$python" -c "from importlib.metadata import version; version('mmcv')" 2>/dev/null
}

install() {
    "$python" -m pip install -q -c "$CONSTRAINTS" "$@"
}

[ -f "$CONSTRAINTS" ] || stop "CONSTRAINTS=$CONSTRAINTS is not a file; give one of requirements/constraints*.txt."

if [ ! -x "$VENV/bin/python" ]; then
    base=$(pick_python)
    command -v "$base" >/dev/null || stop "$base was not found; install Python 3.11, or set PYTHON to an interpreter."
    is_version "$base" 'v >= (3, 10)' ||
        stop "$base is $("$base" --version 2>&1), but 3.10 or later is accepted; set PYTHON to such an interpreter."
    echo "setup_env.sh: making $VENV with $("$base" --version)"
    "$base" -m venv "$VENV" ||
        stop "$base could not make $VENV; on Debian and Ubuntu run: apt-get install python3-venv"
fi
python=$VENV/bin/python
is_version "$python" 'v >= (3, 10)' ||
    stop "$VENV holds $("$python" --version 2>&1), but 3.10 or later is accepted; remove it or set VENV to another path."

stamp=$VENV/.cainet_mm_installed
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint)" ]; then
    echo "setup_env.sh: $VENV is up to date"
    exit 0
fi
rm -f "$stamp"

echo "setup_env.sh: 1/4 torch and torchvision, the longest step"
# First and alone, so that no other package pulls in another torch.
install setuptools wheel torch torchvision

requirements=(-r requirements/runtime.txt -r requirements/mminstall.txt -r requirements/tests.txt)
if has_full_mmcv; then
    echo "setup_env.sh: 2/4 OpenMMLab and the rest, keeping the full mmcv that is installed"
else
    echo "setup_env.sh: 2/4 OpenMMLab and the rest"
    requirements+=(-r requirements/mmcv-lite.txt)
fi
install "${requirements[@]}"

echo "setup_env.sh: 3/4 cainet_mm, editable"
install --no-build-isolation -e .

echo "setup_env.sh: 4/4 checks"
"$python" -m pip check
if ! problem=$("$python" -c 'import cv2' 2>&1); then
    stop "OpenCV cannot be imported (${problem##*$'\n'}). If a system library is missing, on Debian and Ubuntu run:" \
        "apt-get install libgl1 libglib2.0-0"
fi
fingerprint >"$stamp"
