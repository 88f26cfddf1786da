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
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c scripts/constraints.txt -e '.[dev,all]'
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
"$venv/bin/python" -m pytest "$@"

# the page: its engine against the same answers, and the page itself where there is a browser
if ! command -v npm >/dev/null; then
    echo "note: no npm here, so the page's own tests were not run"
    exit 0
fi
if ! npm --prefix web ci --no-audit --no-fund --loglevel=error; then
    echo "note: the page's packages could not be fetched, so its own tests were not run"
    exit 0
fi
npm --prefix web test --silent
browser=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
if [ -z "$browser" ]; then
    echo "note: no Chromium here, so the page was not tried in a browser"
    exit 0
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$venv/bin/python" scripts/make_web_media.py "$scratch/media"
"$venv/bin/mien" export --web "$scratch/site"
CHROMIUM=$browser npm --prefix web run browser --silent -- "$scratch/site" "$scratch/media" "$scratch/shots"
