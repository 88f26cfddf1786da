"""Where the figures that mien has measured are kept: `docs/measured` of a checkout, or the copy in the package."""

from __future__ import annotations

from pathlib import Path

RESULTS, COSTS = "results.jsonl", "costs.json"

_HERE = Path(__file__).parent
FOLDERS = (_HERE.parents[2] / "docs" / "measured", _HERE / "figures")
"""Of the checkout that this file is in, and of the wheel, into which the build copies it."""


def measured(name: str) -> Path:
    """The file of that name; it need not be there."""
    known = [folder / name for folder in FOLDERS if (folder / name).is_file()]
    return known[0] if known else FOLDERS[-1] / name
