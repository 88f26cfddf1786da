#!/usr/bin/env bash
# Size on disk of `pip install .` in a fresh environment, and seconds to the first result.
#   scripts/measure_install.sh PICTURE
set -euo pipefail
picture=$(realpath "$1")
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
empty=$(du -sm "$folder/venv" | cut -f1)
begin=$(date +%s)
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check .
end=$(date +%s)
full=$(du -sm "$folder/venv" | cut -f1)
own=$(du -sm "$folder"/venv/lib/python3*/site-packages/mien | cut -f1)
seconds() {
    "$folder/venv/bin/python" - "$@" <<'PY'
import statistics, subprocess, sys, time
times = []
for _ in range(5):
    start = time.perf_counter()
    subprocess.run(sys.argv[1:], check=True, capture_output=True)
    times.append(time.perf_counter() - start)
print(f"{times[0]:.2f} | {statistics.median(times):.2f}")
PY
}
echo "| what | figure |"
echo "| --- | --- |"
echo "| pip install, seconds (packages from the network or cache) | $((end - begin)) |"
echo "| size on disk with all dependencies, MB | $((full - empty)) |"
echo "| of which mien with its weights, MB | $own |"
echo
echo "| command | first run, s | median of 5, s |"
echo "| --- | --- | --- |"
echo "| python -c pass | $(seconds "$folder/venv/bin/python" -c pass) |"
echo "| python -c 'import mien' | $(seconds "$folder/venv/bin/python" -c 'import mien') |"
echo "| mien --help | $(seconds "$folder/venv/bin/mien" --help) |"
echo "| mien analyze PICTURE | $(seconds "$folder/venv/bin/mien" analyze "$picture" --out "$folder/out") |"
