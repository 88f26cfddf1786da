#!/usr/bin/env bash
# From nothing to a first result: a virtual environment, mien, and the analysis of a real picture and a short video.
#   scripts/try.sh [FOLDER]        FOLDER (default: .venv) gets the environment; results go to out/try
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}
python=${PYTHON:-python3}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check .
# the sample pictures: the astronaut from scikit-image (NASA, public domain)
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'scikit-image>=0.22'
"$venv/bin/python" scripts/make_sample.py out/sample
"$venv/bin/mien" doctor
"$venv/bin/mien" analyze out/sample/astronaut.jpg out/sample/astronaut.mp4 --out out/try --overlay --plot
echo "See out/try: faces.csv, summary.json, the annotated copies and the plots."
