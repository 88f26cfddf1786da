"""Results on disk: rows as they come, with a note of progress from which a broken run goes on."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from mien.errors import InputError, require
from mien.table import Row, arrow_schema, csv_values, json_line

PROGRESS = ".progress.json"
FORMATS = ("csv", "jsonl", "parquet")


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that an interruption leaves the old one or the new one."""
    scratch = path.with_name(path.name + ".part")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, path)


class RowWriter:
    """Appends rows to `faces.csv` or `faces.jsonl`; Parquet is made from JSON Lines when all is done.

    Args:
        folder: made if absent.
        names: columns.
        form: `csv`, `jsonl` or `parquet`.
        offset: bytes of an earlier run to keep; what lies beyond is cut off. None starts anew.

    Raises:
        InputError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, names: Sequence[str], form: str, offset: int | None = None) -> None:
        self.folder, self.names, self.form = folder, tuple(names), form
        self.working = folder / f"faces.{'csv' if form == 'csv' else 'jsonl'}"
        self.path = folder / f"faces.{form}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = open(self.working, "r+b" if offset is not None else "wb")  # noqa: SIM115
        except OSError as error:
            raise InputError(f"{folder}: results cannot be written there ({error.strerror})") from error
        if offset is None:
            if form == "csv":
                self._file.write((",".join(self.names) + "\n").encode())
        else:
            self._file.seek(offset)
            self._file.truncate()

    def add(self, rows: Sequence[Row]) -> None:
        """Append rows."""
        if self.form == "csv":
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(csv_values(row, self.names) for row in rows)
            self._file.write(text.getvalue().encode())
        else:
            self._file.write("".join(json_line(row, self.names) for row in rows).encode())

    def tell(self) -> int:
        """Length of what was added so far, bytes."""
        return self._file.tell()

    def flush(self) -> None:
        """Hand everything to the system."""
        self._file.flush()

    def close(self) -> None:
        """Close the working file."""
        self._file.close()

    def finish(self) -> Path:
        """Close, and make the Parquet file where that is wanted; returns the result's path."""
        self.close()
        if self.form == "parquet":
            _to_parquet(self.working, self.path, self.names)
            self.working.unlink()
        return self.path


def _to_parquet(lines: Path, path: Path, names: Sequence[str], group: int = 50_000) -> None:
    """JSON Lines to Parquet, one row group at a time."""
    arrow, parquet = require("pyarrow", "table"), require("pyarrow.parquet", "table")
    schema, scratch = arrow_schema(names), path.with_name(path.name + ".part")
    with parquet.ParquetWriter(str(scratch), schema) as writer, open(lines, encoding="utf-8") as file:
        rows: list[Row] = []
        for line in file:
            rows.append(json.loads(line))
            if len(rows) == group:
                writer.write_table(arrow.Table.from_pylist(rows, schema=schema))
                rows = []
        writer.write_table(arrow.Table.from_pylist(rows, schema=schema))
    os.replace(scratch, path)


def read_progress(folder: Path) -> dict[str, Any] | None:
    """The note of an earlier run in this folder; None if there is none."""
    try:
        note: dict[str, Any] = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return note
