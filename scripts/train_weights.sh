#!/usr/bin/env bash
# The expression weights in the package, from nothing: mien-m from a network that recognises people, then mien-s taught by
# it; calibrated and exported. Started again, it goes on where it was. About two hours on two cores; not tried on a GPU.
#   scripts/train_weights.sh FOLDER RUNS [OUT]        FOLDER holds fer2013.csv and fer2013new.csv
# RUNS/faceres has to be there: scripts/read_faceres.py says how to make it.
set -euo pipefail
data=$1 runs=$2 out=${3:-src/mien/weights}
start="a network that recognises people (faceres of the npm package @vladmandic/human 3.3.6, MIT)"
note="scripts/train_weights.sh FOLDER RUNS (seed 1)"
if [ ! -f "$runs/faceres/last.pt" ]; then
    echo "$runs/faceres/last.pt is missing; make it as scripts/read_faceres.py says" >&2
    exit 1
fi
mkdir -p "$out"
mien train mien-m-face --data "$data" --runs "$runs"
mien train mien-s-face --data "$data" --runs "$runs"
mien export "$runs/mien-m-face" --data "$data" -o "$out/mien-m.onnx" --name mien-m --mirror --prior 0.6 --start "$start" --command "$note"
mien export "$runs/mien-s-face" --data "$data" -o "$out/mien-s.onnx" --name mien-s --prior 0.6 --start "the scores of mien-m, which started from $start" --command "$note"
