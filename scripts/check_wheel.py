"""What a wheel of mien must hold, must not hold, and how large it may be.

    python -m build --wheel && python scripts/check_wheel.py dist/mien-*.whl

Ends with 1 and one line a fault.
"""

from __future__ import annotations

import hashlib
import re
import sys
import zipfile
from pathlib import Path

LARGEST_MB = 20.0
NEEDED = (
    "mien/__init__.py",
    "mien/py.typed",
    "mien/weights/SHA256SUMS",
    "mien/weights/mien-s.onnx",
    "mien/weights/mien-s.md",
    "mien/weights/blazeface.onnx",
    "mien/weights/identity.onnx",
    "mien/weights/landmarks68.onnx",
    "mien/train/recipes/mien-s.toml",
    "mien/report/page/page.html",
    "mien/server/page/index.html",
    "mien/bench/figures/results.jsonl",
)
ALLOWED = {".py", ".typed", ".toml", ".md", ".onnx", ".css", ".html", ".txt", ".js", ".wasm", ".svg", ".json", ".jsonl"}
# pictures and media could be people's; checkpoints and archives have no place in a package; keys and caches never
FORBIDDEN = re.compile(
    r"\.(png|jpe?g|mp4|mov|avi|wav|ogg|pt|pth|npz|npy|pkl|zip|pem|key|env|pyc|part)$|__pycache__|(^|/)(tests?|\.git|\.venv)/"
)


def faults(path: Path) -> list[str]:
    """One sentence each."""
    found = []
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        info = next(name.split("/")[0] for name in names if name.endswith(".dist-info/METADATA"))
        needed = (*NEEDED, *(f"{info}/{name}" for name in ("entry_points.txt", "licenses/LICENSE")))
        found += [f"{name} is missing" for name in needed if name not in names]
        found += [f"{name} does not belong into a wheel" for name in names if FORBIDDEN.search(name)]
        odd = [name for name in names if not name.startswith((f"{info}/", "mien/"))]
        found += [f"{name} lies outside mien/" for name in odd]
        own = [name for name in names if name.startswith("mien/") and name != "mien/weights/SHA256SUMS"]
        found += [f"{name} is of an unknown kind" for name in own if Path(name).suffix not in ALLOWED]
        found += [f"{name} stands there twice" for name in {name for name in names if names.count(name) > 1}]
        if "mien/weights/SHA256SUMS" in names:
            lines = wheel.read("mien/weights/SHA256SUMS").decode().split()
            pins = dict(zip(lines[1::2], lines[::2], strict=True))
            shipped = {Path(name).name: name for name in names if name.endswith(".onnx")}
            found += [f"{name} is not pinned" for file, name in shipped.items() if file not in pins]
            found += [
                f"{shipped[file]} is not the pinned file"
                for file, digest in pins.items()
                if file in shipped and hashlib.sha256(wheel.read(shipped[file])).hexdigest() != digest
            ]
    if (size := path.stat().st_size / 1e6) > LARGEST_MB:
        found.append(f"{size:.1f} MB; at most {LARGEST_MB:g} are allowed")
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    said = faults(Path(sys.argv[1]))
    print("\n".join(said) or f"{Path(sys.argv[1]).name}: as it should be")
    sys.exit(bool(said))
