#!/usr/bin/env bash
# Five mien-m teachers that differ by their seed, for mien-s-distilled.
#   scripts/train_ensemble.sh FOLDER RUNS [EPOCHS]
set -euo pipefail
data=$1 runs=$2 epochs=${3:-60}
for seed in 11 12 13 14 15; do
    mien train mien-m-base --data "$data" --runs "$runs" --seed "$seed"
    mien train mien-m --data "$data" --runs "$runs" --seed "$seed" --epochs "$epochs"
done
