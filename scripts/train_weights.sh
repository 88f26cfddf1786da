#!/usr/bin/env bash
# The expression weights in the package, from nothing: all stages of mien-m and mien-s, calibrated and exported.
# Started again, it goes on where it was. Two to three hours on two cores; not yet tried on a GPU.
#   scripts/train_weights.sh FOLDER RUNS [OUT]        FOLDER holds fer2013.csv and fer2013new.csv
set -euo pipefail
data=$1 runs=$2 out=${3:-src/mien/weights}
for recipe in mien-m-base mien-m-middle mien-m mien-s-base mien-s; do
    mien train "$recipe" --data "$data" --runs "$runs"
done
note="scripts/train_weights.sh FOLDER RUNS (seed 1)"
mien export "$runs/mien-s" --data "$data" -o "$out/mien-s.onnx" --name mien-s --command "$note"
mien export "$runs/mien-m-middle" "$runs/mien-m" --data "$data" -o "$out/mien-m.onnx" --name mien-m --mirror --command "$note"
