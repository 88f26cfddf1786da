"""Attacks mien's readers with broken input.

    python scripts/fuzz --seconds 60                all harnesses, one after another, each so long
    python scripts/fuzz pictures tables             some of them
    python scripts/fuzz --list                      what there is
    python scripts/fuzz pictures --input FILE       one input again, with its traceback
    python scripts/fuzz --report                    the figures of all campaigns as the table of docs/security.md

Needs atheris (`pip install 'mien[fuzz]'`). Expected of each input: a result or a MienError, in ten seconds and 3 GB.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FIGURES, PAGE = ROOT / "docs" / "measured" / "fuzz.json", ROOT / "docs" / "security.md"
BEGIN, END = "<!-- campaign: begin -->", "<!-- campaign: end -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--folder", type=Path, default=Path("fuzz-work"), help="corpus and inputs that failed")
    parser.add_argument("--input", type=Path)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--write", action="store_true", help="add the figures to docs/measured/fuzz.json")
    asked = parser.parse_args()
    if asked.report:
        write_report()
        return
    sys.path.insert(0, str(HERE))
    harnesses = table()
    if asked.list:
        print("\n".join(f"{name:10} {harness.what}" for name, harness in harnesses.items()))
        return
    unknown = sorted(set(asked.names) - set(harnesses))
    if unknown:
        parser.error(f"no harness is called {unknown[0]!r}; there are: {', '.join(harnesses)}")
    if asked.input is not None:
        print(harnesses[asked.names[0]].make()[1](asked.input.read_bytes()))
        return
    for name in asked.names or harnesses:
        figures = attack(name, asked.seconds, asked.folder.resolve() / name)
        print(json.dumps({"harness": name, **figures}), flush=True)
        if asked.write:
            keep(name, figures)


def table() -> dict[str, object]:
    """The harnesses by name."""
    import files  # noqa: F401
    import names  # noqa: F401
    import web  # noqa: F401
    from kit import HARNESSES

    return dict(HARNESSES)


def attack(name: str, seconds: int, folder: Path) -> dict[str, object]:
    """Run one harness for so long; one that is ended by a crash, a hang or too much memory is started again."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    begin, ends = time.monotonic(), []
    while (left := seconds - int(time.monotonic() - begin)) > 1:
        command = [sys.executable, str(HERE / "one.py"), name, str(left), str(folder)]
        with open(folder / "log", "ab") as log:
            try:
                code = subprocess.run(command, stdout=log, stderr=log, timeout=left + 240, check=False).returncode
            except subprocess.TimeoutExpired:
                code = -1
        found = re.findall(rb"ERROR: libFuzzer: ([a-z-]+)", (folder / "log").read_bytes())
        if code:
            ends.append(found[-1].decode() if found else f"exit {code}")
            if len(ends) > 20 or not (folder / "note.json").is_file():
                break
    path = folder / "note.json"
    note = json.loads(path.read_text()) if path.is_file() else {"counts": {}, "faults": {}}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "seconds": round(time.monotonic() - begin),
        **note["counts"],
        "faults": {key: facts["error"] for key, facts in note["faults"].items()},
        "ends": ends,
    }


def keep(name: str, figures: dict[str, object]) -> None:
    """Add the figures of a campaign."""
    known = json.loads(FIGURES.read_text()) if FIGURES.is_file() else {}
    known.setdefault(name, []).append(figures)
    FIGURES.write_text(json.dumps(known, indent=1) + "\n")


def write_report() -> None:
    """Put the table of all campaigns between the marks of docs/security.md."""
    sys.path.insert(0, str(HERE))
    harnesses, known = table(), json.loads(FIGURES.read_text())
    lines = [
        "| harness | what is attacked | inputs | minutes | faults found | left in the last run |",
        "| --- " * 6 + "|",
    ]
    inputs = minutes = 0.0
    kinds: set[str] = set()
    for name, harness in harnesses.items():
        runs = known.get(name, [])
        count = sum(run.get(key, 0) for run in runs for key in ("result", "refused", "fault"))
        spent = sum(run["seconds"] for run in runs) / 60
        found = {key for run in runs for key in [*run["faults"], *run["ends"]]}
        left = len({*runs[-1]["faults"], *runs[-1]["ends"]}) if runs else 0
        lines.append(f"| `{name}` | {harness.what} | {count:,} | {spent:.1f} | {len(found)} | {left} |")
        inputs, minutes, kinds = inputs + count, minutes + spent, kinds | {f"{name} {key}" for key in found}
    lines.append(f"| all | | {inputs:,.0f} | {minutes:.1f} | {len(kinds)} | |")
    page = PAGE.read_text()
    PAGE.write_text(page.split(BEGIN)[0] + BEGIN + "\n" + "\n".join(lines) + "\n" + END + page.split(END)[1])


if __name__ == "__main__":
    main()
