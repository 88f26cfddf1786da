"""Folders that are made clip by clip: claimed by the options they are made with, opened again to go on."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mien.errors import DataError


def claim(note: Path, facts: Mapping[str, Any]) -> None:
    """Write down what a folder is made with, or see that it is the same.

    Raises:
        DataError: the folder was made with something else.
    """
    text = json.dumps(dict(facts))
    if note.is_file():
        if (old := note.read_text(encoding="utf-8")) != text:
            raise DataError(f"{note.parent} was made with {old}, not {text}; name another --out")
    else:
        note.write_text(text, encoding="utf-8")


def read_rows(table: Path, columns: Sequence[str], whole: Callable[[str], bool]) -> list[list[str]]:
    """Rows of an earlier run, which may have been stopped at any time: those of these columns whose clip is whole.

    Args:
        whole: by the clip, which the first column names; of several rows of one clip the last counts.
    """
    if not table.is_file():
        return []
    with open(table, newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    if not lines or tuple(lines[0]) != tuple(columns):
        return []
    rows = {line[0]: line for line in lines[1:] if len(line) == len(columns)}
    return [row for clip, row in rows.items() if whole(clip)]


class RowFile:
    """A table that grows by a row a clip and is on disk after each.

    Args:
        rows: that it begins with.
    """

    def __init__(self, table: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.columns = tuple(columns)
        scratch = table.with_name(table.name + ".part")
        with open(scratch, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([self.columns, *rows])
        os.replace(scratch, table)
        self._file = open(table, "a", newline="", encoding="utf-8")  # noqa: SIM115

    def add(self, row: Mapping[str, Any]) -> None:
        """Write the cells of all columns."""
        csv.writer(self._file, lineterminator="\n").writerow([row[name] for name in self.columns])
        self._file.flush()

    def close(self) -> None:
        """Nothing more will come."""
        self._file.close()
