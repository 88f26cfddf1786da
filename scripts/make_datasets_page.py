"""Write docs/datasets.md from the registry: every data set, its size, labels and licence, and how far it was tried.

python scripts/make_datasets_page.py
"""

from __future__ import annotations

import inspect
from pathlib import Path

from mien.datasets import DATASETS
from mien.labels import TAXONOMIES

HEAD = """# Data sets

Made by `python scripts/make_datasets_page.py` from the registry. mien ships no data: get a set from its authors, under their
terms, and name its folder. `mien data check NAME FOLDER` says whether it is complete; `mien data fake NAME FOLDER` writes a
tiny stand-in in the same layout.

`folder` is for your own pictures or clips: class folders (`happy/1.jpg`), with or without `train`, `val`, `test` above
them, or a CSV with a path and a label column and, if you have them, split, subject, valence, arousal.

Every reader is tested on a fake in its authors' layout. Those marked **real** were also read from the real files; the
others follow the published description and were not tried on the real tree.
"""
REAL = (
    "folder", "fer2013", "ferplus", "ferplus-majority", "ferplus-probability", "ferplus-multilabel", "rafdb", "ck48",
    "ck48-6", "megc2019", "pedfe", "pedfe-apex", "pedfe-clips", "clips", "synthetic", "synthetic-scans", "synthetic-scan-clips",
    "ravdess-speech", "emodb", "seed-iv",
    "deap-features", "mahnob-features", "mosi", "pairs-ravdess-rafdb", "pairs-emodb-rafdb", "pairs-seed-iv-rafdb",
    "pairs-mahnob-rafdb",
    "seed-iv-standardised", "deap-features-standardised", "mahnob-features-standardised", "pairs-seed-iv-standardised-rafdb",
    "pairs-mahnob-standardised-rafdb",
)  # fmt: skip


def label_text(labels: tuple[str, ...] | str) -> str:
    if isinstance(labels, str) or not labels:
        return labels or "identities"
    known = [name for name, members in TAXONOMIES.items() if tuple(members) == tuple(labels)]
    return known[0] if known else f"{len(labels)}: {', '.join(labels)}" if len(labels) <= 9 else f"{len(labels)} labels"


def main() -> None:
    lines = [HEAD, "| name | samples | people | media | labels | tried | terms |", "|" + " --- |" * 7]
    for name in DATASETS.names():
        f = DATASETS.facts(name)
        samples = f"{f['samples']:,}" if f["labels"] != "yours" else ""
        cells = [
            f"`{name}`", samples, str(f.get("subjects", "") or ""), ", ".join(f["modalities"]), label_text(f["labels"]),
            "real" if name in REAL else "fake", f["licence"],
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Label sets", ""]
    lines += [f"- `{name}`: {', '.join(members)}" for name, members in TAXONOMIES.items()]
    lines += ["", "Maps between them are stated, each with its reason, in `src/mien/labels.py` (`map_labels`).", ""]
    page = Path(inspect.getfile(main)).resolve().parent.parent / "docs" / "datasets.md"
    page.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
