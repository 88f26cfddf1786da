#!/usr/bin/env bash
# Writes scripts/locked.txt and scripts/locked-train.txt: the versions of an environment in which the tests pass, with hashes.
#   scripts/lock.sh [PYTHON]        PYTHON (default: .venv-test/bin/python) is of the environment of scripts/test.sh
# Needs uv (pip install uv).
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-.venv-test/bin/python}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$python" -m pip freeze --exclude-editable | grep -v ' @ ' | sed 's/+cpu//' >"$scratch/versions.txt"
lock() { # NAME, EXTRAS, WHAT
    local name=$1 chosen=() extra
    for extra in $2; do chosen+=(--extra "$extra"); done
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --no-emit-index-url --constraint "$scratch/versions.txt" "${chosen[@]}" pyproject.toml -o "$scratch/$name.txt"
    {
        echo "# What the tests pass with, hashes checked: extras $2 ($3), Python 3.11 and later."
        echo "# pip install --require-hashes -r scripts/$name.txt && pip install --no-deps -e ."
        echo "# Made by scripts/lock.sh."
        cat "$scratch/$name.txt"
    } >"scripts/$name.txt"
}
lock locked "dev table audio eeg serve postgres" "no torch"
lock locked-train "dev all" "with torch, and on Linux the libraries of its CUDA build"
