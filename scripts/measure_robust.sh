#!/usr/bin/env bash
# The tables of docs/robust.md: scripts/measure_robust.sh FER2013_FOLDER OUT [FACES (400; 0: all)]; 400 take about ten
# minutes on one free core. Goes on where it was stopped. Settings were chosen on the validation faces, which come first.
set -euo pipefail
data=$1 out=$2 faces=${3:-400}
cd "$(dirname "$0")/.."
harms=()
for name in occluders dark bright side-light blur jpeg small roll yaw; do harms+=(--harm "$name"); done
light=(--harm dark --harm bright --harm side-light) turn=(--harm roll --harm yaw)
kinds=(--harm block --harm sunglasses --harm mask --harm hand --harm scarf)
measure() {
    local folder="$out/$1"
    shift
    mkdir -p "$folder"
    python -m mien bench robust "$@" --data "$data" --faces "$faces" --threads 1 --out "$folder" >"$folder/table.md"
}
measure val-light mien-s --split val --light all "${light[@]}"
measure val-pose mien-s --split val --pose all "${turn[@]}"
measure main mien-s --light denoise "${harms[@]}"
measure light mien-s --light all "${light[@]}"
measure pose mien-s --pose all "${turn[@]}"
measure kinds mien-s "${kinds[@]}"
measure both mien-s mien-m --light denoise "${harms[@]}"
python scripts/make_robust_page.py "$out"
