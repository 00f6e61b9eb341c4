#!/usr/bin/env bash
# The suite on the oldest Python with the lowest versions that pyproject.toml declares, all installed together.
#
#     tests/run_floors.sh [a Python, such as python3.10] [pytest's arguments]
#
# FLOORS_VENV: where the virtual environment is made (default: .venv-floors); one that is there is used again.
# Installing alone already tells whether the versions go together. Tests that compare with PyTorch are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${1:-python3.10}
[ $# -gt 0 ] && shift
venv=${FLOORS_VENV:-.venv-floors}

[ -d "$venv" ] || "$python" -m venv "$venv"
"$venv/bin/python" tests/support/floors.py dependencies test >"$venv/floors.txt"
"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$venv/floors.txt"
"$venv/bin/pip" install --quiet --disable-pip-version-check --constraint "$venv/floors.txt" --editable .
echo "+ $("$venv/bin/python" --version), $(tr '\n' ' ' <"$venv/floors.txt")"
"$venv/bin/python" -m pytest "$@"
