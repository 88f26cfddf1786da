#!/usr/bin/env bash
# Installs what the tests need and passes them.
#   scripts/test.sh [FOLDER] [PYTEST ARGUMENTS]        FOLDER (default: .venv-test) gets the environment
# Tests on real data run where MIEN_DATA and MIEN_MEDIA name their folders (docs/testing.md), and skip elsewhere.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv-test}
shift || true
python=${PYTHON:-python3}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c scripts/constraints.txt -e '.[dev,train,table]'
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
"$venv/bin/python" -m pytest "$@"
