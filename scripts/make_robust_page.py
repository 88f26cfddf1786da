"""Put what scripts/measure_robust.sh measured into docs/robust.md and docs/measured/robust*.

python scripts/make_robust_page.py OUT [DOCS]

Each table of the page stands between `<!-- NAME -->` and `<!-- end NAME -->`; tables whose folder is not there stay as
they are.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Line = dict[str, Any]


def read(folder: Path) -> tuple[Line, list[Line]]:
    told = json.loads((folder / "robust.json").read_text(encoding="utf-8"))
    return told, told["rows"]


def table(names: list[str], lines: list[list[str]]) -> str:
    rows = [names, ["---"] * len(names), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def harms(rows: list[Line]) -> list[str]:
    return list(dict.fromkeys(row["harm"] for row in rows if row["harm"] != "clean"))


def ways(rows: list[Line]) -> list[str]:
    return [name for name in dict.fromkeys(row["way"] for row in rows) if name != "plain"]


def share(value: float) -> str:
    return f"{value:.3f}".lstrip("0")


def points(row: Line) -> str:
    """Points against plain and their interval, bold where McNemar's test is below 0.01 and the sign is plus."""
    if row["gain"] == row["gain_low"] == row["gain_high"] == 0:
        return "0"
    text = f"{row['gain']:+.1f} ({row['gain_low']:+.1f} to {row['gain_high']:+.1f})"
    return f"**{text}**" if row["p"] < 0.01 and row["gain"] > 0 else text


def caption(told: Line, rows: list[Line]) -> str:
    kinds = ", ".join(dict.fromkeys(row["weights"] for row in rows))
    return f"{kinds}; {told['data']}; {told['faces'].split(', ')[0]}, seed 0; {told['date']}."


def curves(told: Line, rows: list[Line]) -> str:
    """Accuracy / UAR of the plain way over strengths, a row a degradation and weights."""
    weights = list(dict.fromkeys(row["weights"] for row in rows))
    lines = []
    for harm in harms(rows):
        for name in weights:
            mine = [r for r in rows if (r["harm"], r["weights"], r["way"]) == (harm, name, "plain")]
            cells = [f"{r['strength']:g}: {share(r['accuracy'])} / {share(r['uar'])}" for r in mine]
            lines.append([harm, *([name] if len(weights) > 1 else []), *cells, *[""] * (6 - len(cells))])
    clean = [r for r in rows if r["harm"] == "clean" and r["way"] == "plain"]
    said = [
        f"{r['weights']}: {share(r['accuracy'])} ({share(r['low'])}-{share(r['high'])}) / {share(r['uar'])}"
        + (f", {share(r['distinct'])} without copies" if r["distinct"] else "")
        for r in clean
    ]
    names = ["degradation", *(["weights"] if len(weights) > 1 else []), "strength: accuracy / UAR", *[""] * 5]
    return f"{caption(told, rows)} Clean: {'; '.join(said)}.\n\n{table(names, lines)}"


def gains(told: Line, rows: list[Line]) -> str:
    """Points against plain, a row a condition, a column a way; nothing where there is no way."""
    if not ways(rows):
        return ""
    lines = []
    for name in dict.fromkeys(row["weights"] for row in rows):
        for harm, strength in dict.fromkeys((row["harm"], row["strength"]) for row in rows):
            mine = {r["way"]: r for r in rows if (r["weights"], r["harm"], r["strength"]) == (name, harm, strength)}
            head = [name, harm if harm == "clean" else f"{harm} {strength:g}", share(mine["plain"]["accuracy"])]
            lines.append(head + [points(mine[way]) for way in ways(rows)])
    return f"{caption(told, rows)}\n\n{table(['weights', 'faces', 'plain', *ways(rows)], lines)}"


TABLES: dict[str, tuple[str, Callable[[Line, list[Line]], str]]] = {
    "curves": ("main", curves),
    "denoise": ("main", gains),
    "both": ("both", curves),
    "both-denoise": ("both", gains),
    "kinds": ("kinds", curves),
    "light": ("light", gains),
    "pose": ("pose", gains),
    "val-light": ("val-light", gains),
    "val-pose": ("val-pose", gains),
}


def main(out: str, docs: str = "docs") -> None:
    page = Path(docs) / "robust.md"
    text = page.read_text(encoding="utf-8")
    for name, (folder, make) in TABLES.items():
        if not (Path(out) / folder / "robust.json").is_file():
            print(f"{name}: {folder} is not measured yet; the page keeps what it has")
            continue
        made = make(*read(Path(out) / folder))
        if not made:
            continue
        around = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        if not around.search(text):
            raise SystemExit(f"{page} has no place for the table {name}")
        text = around.sub(lambda found, made=made: f"{found[1]}\n{made}\n\n{found[2]}", text)
    page.write_text(text, encoding="utf-8")
    for folder in dict.fromkeys(folder for folder, _ in TABLES.values()):
        for suffix in ("csv", "json", "png") if folder in ("main", "both") else ("csv",):
            file = Path(out) / folder / f"robust.{suffix}"
            if file.is_file():
                name = "robust" if folder == "main" else f"robust-{folder}"
                shutil.copyfile(file, Path(docs) / "measured" / f"{name}.{suffix}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
