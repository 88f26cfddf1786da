#!/usr/bin/env bash
# Five mien-m teachers that differ by their seed, for mien-s-distilled. Started again, it goes on where it was.
#   scripts/train_ensemble.sh FOLDER RUNS
set -euo pipefail
data=$1 runs=$2
for seed in 11 12 13 14 15; do
    for recipe in mien-m-base mien-m-middle mien-m; do
        mien train "$recipe" --data "$data" --runs "$runs" --seed "$seed"
    done
done
