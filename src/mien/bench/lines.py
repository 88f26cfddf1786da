"""A file of results, one JSON object a line, that several processes may add to. No torch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mien.errors import DataError

Line = dict[str, Any]


def read_lines(path: Path) -> list[Line]:
    """All results in a file; none where there is no file. A last line that was not written to its end does not count.

    Raises:
        DataError: a line is no JSON object.
    """
    if not path.is_file():
        return []
    lines = []
    for number, text in enumerate(_whole_lines(path.read_text(encoding="utf-8")).splitlines(), 1):
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {number} is not JSON ({error}); delete that line") from error
    return lines


def _whole_lines(text: str) -> str:
    whole, _, last = text.rpartition("\n")
    try:
        json.loads(last or "0")
    except json.JSONDecodeError:
        return f"{whole}\n" if whole else ""
    return text


def add_line(path: Path, line: Line) -> None:
    """Add a result; what is left of a line whose writing was broken off goes. Several processes may add at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    kept = _whole_lines(text)
    if kept != text:
        os.truncate(path, len(kept.encode()))
    # one call of the system: a line is there or not, and two processes' lines do not mix
    with open(path, "ab", buffering=0) as file:
        file.write((("" if kept.endswith("\n") or not kept else "\n") + json.dumps(line) + "\n").encode())
