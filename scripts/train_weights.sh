#!/usr/bin/env bash
# The expression weights in the package, from nothing: a net that starts from one that recognises people, two others from
# scratch, mien-m of these three, and mien-s taught by them; calibrated and exported. Started again, it goes on where it
# was. About five hours on two cores; not tried on a GPU.
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
for recipe in mien-m-face mien-m-tall mien-m-broad mien-m-three mien-s-face mien-s-taught; do
    mien train "$recipe" --data "$data" --runs "$runs"
done
# both priors were chosen on the validation faces (docs/training.md)
mien export "$runs/mien-m-three" --data "$data" -o "$out/mien-m.onnx" --name mien-m --packed --mirror \
    --prior PRIOR_M --least-prior LEAST_M --start "one of three starts from $start" --command "$note"
mien export "$runs/mien-s-taught" --data "$data" -o "$out/mien-s.onnx" --name mien-s \
    --prior PRIOR_S --least-prior LEAST_S --start "the scores of mien-m, of which one net started from $start" --command "$note"
python scripts/make_int8.py mien-s "$data" "$out/mien-s-int8.onnx"
