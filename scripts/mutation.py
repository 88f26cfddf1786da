"""Mutation testing of what every figure rests on: metrics, protocols and losses.

python scripts/mutation.py OUT [--sample 60] [--seed 1] [--area metrics ...]      needs `pip install cosmic-ray`

cosmic-ray changes one operator, number, comparison or branch of a copy of the tree at a time; the area's own tests must
then fail. Mutants inside annotations change nothing that runs and are left out. Goes on where it was stopped; OUT gets
a session and a list of survivors for each area, and the table is printed.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AREAS = {
    "metrics": ("test_metrics.py", "test_page_groups.py"),
    "protocols": ("test_protocols.py",),
    "losses": ("test_losses.py", "test_losses_family.py", "test_losses_metric.py"),
}
CONFIG = """[cosmic-ray]
module-path = ["src/mien/{area}"]
timeout = 300.0
excluded-modules = []
test-command = "{python} -m pytest -x -q -p no:cacheprovider -o addopts= {tests}"

[cosmic-ray.distributor]
name = "local"
"""


def annotations(path: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Begin and end (line, column) of every annotation in a file."""
    spans = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(part, ast.expr) and part.end_lineno and part.end_col_offset is not None:
                spans.append(((part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)))
    return spans


def choose(session: Path, tree: Path, sample: int, seed: int) -> tuple[int, int]:
    """Keep a random sample of a new session's mutants; (mutants that matter, kept)."""
    with closing(sqlite3.connect(session)) as base:
        found = base.execute("SELECT job_id, module_path, start_pos_row, start_pos_col FROM mutation_specs").fetchall()
        spans = {path: annotations(tree / path) for path in {row[1] for row in found}}
        found.sort(key=lambda row: row[1:])
        matter = [
            job for job, path, row, column in found if not any(low <= (row, column) < high for low, high in spans[path])
        ]
        kept = set(random.Random(seed).sample(matter, min(sample, len(matter))))
        for job, *_ in found:
            if job not in kept:
                base.execute("DELETE FROM mutation_specs WHERE job_id = ?", (job,))
                base.execute("DELETE FROM work_items WHERE job_id = ?", (job,))
        base.commit()
    return len(matter), len(kept)


def prepare(out: Path, area: str, sample: int, seed: int) -> tuple[Path, Path]:
    """A copy of the tree with a session in it, unless there is one: (folder, session)."""
    tree = out / area
    session = tree / "session.sqlite"
    if (tree / "chosen.json").is_file():
        return tree, session
    shutil.rmtree(tree, ignore_errors=True)
    keep_out = shutil.ignore_patterns("__pycache__", "node_modules", ".git", "*.mp4")
    for part in ("src", "tests"):
        shutil.copytree(ROOT / part, tree / part, ignore=keep_out)
    shutil.copy(ROOT / "pyproject.toml", tree)
    tests = " ".join(f"tests/{name}" for name in AREAS[area])
    (tree / "cosmic.toml").write_text(CONFIG.format(area=area, python=sys.executable, tests=tests))
    run(tree, "init", "cosmic.toml", session.name)
    run(tree, "baseline", "cosmic.toml")
    matter, kept = choose(session, tree, sample, seed)
    (tree / "chosen.json").write_text(json.dumps({"mutants": matter, "kept": kept, "seed": seed}))
    return tree, session


def run(tree: Path, *words: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "cosmic_ray.cli", *words], cwd=tree, check=True, env=env)


def outcomes(session: Path) -> tuple[dict[str, int], list[str]]:
    """How many mutants ended how, and the survivors' changes."""
    with closing(sqlite3.connect(session)) as base:
        rows = base.execute("SELECT test_outcome, diff FROM work_results").fetchall()
    counts: dict[str, int] = {}
    for outcome, _ in rows:
        counts[outcome.lower()] = counts.get(outcome.lower(), 0) + 1
    return counts, [diff for outcome, diff in rows if outcome.lower() == "survived"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sample", type=int, default=60, help="mutants of each area")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--area", action="append", choices=sorted(AREAS))
    options = parser.parse_args()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    print("| area | mutants | tried | killed | survived | score |\n|" + " --- |" * 6)
    for area in options.area or AREAS:
        tree, session = prepare(out, area, options.sample, options.seed)
        run(tree, "exec", "cosmic.toml", session.name)
        counts, survivors = outcomes(session)
        (out / f"{area}.diff").write_text("\n".join(survivors), encoding="utf-8")
        tried, lived = sum(counts.values()), counts.get("survived", 0)
        mutants = json.loads((tree / "chosen.json").read_text())["mutants"]
        score = f"{(tried - lived) / tried:.0%}" if tried else ""
        print(f"| {area} | {mutants} | {tried} | {tried - lived} | {lived} | {score} |", flush=True)
    print(f"\n{datetime.date.today()}, seed {options.seed}.")


if __name__ == "__main__":
    main()
