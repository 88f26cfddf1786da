"""Results on disk: rows as they come, with a note of progress from which a broken run goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any

from mien.errors import InputError, require
from mien.events.cells import csv_line
from mien.table import Row, arrow_schema, csv_values, json_line, read_rows

PROGRESS = ".progress.json"
FORMATS = ("csv", "jsonl", "parquet")
ABOUT_ROWS = (PROGRESS, "summary.json", "events.csv")
"""Files that speak of the rows beside them, and are wrong beside others."""


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A path to write to, which takes the name `path` once all is written; removed if that fails."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that an interruption leaves the old one or the new one."""
    with whole_file(path) as part:
        # half characters, of names that are no UTF-8, become what JSON calls them
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


class RowWriter:
    """Appends rows to `faces.csv` or `faces.jsonl`; Parquet is made from JSON Lines when all is done.

    Rows go to the system whole, so that the file never ends in the middle of one, however the process ends. To start
    anew removes what an earlier run in the folder has left that speaks of other rows.

    Args:
        folder: made if absent.
        names: columns.
        form: `csv`, `jsonl` or `parquet`.
        offset: bytes of an earlier run to keep; what lies beyond is cut off. None starts anew.

    Raises:
        InputError: the folder cannot be written to, or lacks rows that an earlier run had noted.
    """

    def __init__(self, folder: Path, names: Sequence[str], form: str, offset: int | None = None) -> None:
        self.folder, self.names, self.form = folder, tuple(names), form
        self.working = folder / f"faces.{'csv' if form == 'csv' else 'jsonl'}"
        self.path = folder / f"faces.{form}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if offset is None:
                for name in (*ABOUT_ROWS, *(["faces.parquet"] if form == "parquet" else [])):
                    (folder / name).unlink(missing_ok=True)
            self._file = FileIO(self.working, "r+" if offset is not None else "w")
            if offset is None and form == "csv":
                self._append((",".join(self.names) + "\n").encode())
        except OSError as error:
            raise InputError(f"{folder}: results cannot be written there ({error.strerror})") from error
        if offset is not None:
            self._go_on_from(offset)

    def _go_on_from(self, offset: int) -> None:
        if (size := self._file.seek(0, os.SEEK_END)) < offset:
            self._file.close()
            raise InputError(
                f"{self.working} has {size:,} bytes, the run there had noted {offset:,}: rows were lost since; start "
                "anew, without --resume"
            )
        self._file.seek(offset)
        self._file.truncate()

    def add(self, rows: Sequence[Row]) -> None:
        """Append rows, or none of them where the disk is full."""
        self._append(_lines(rows, self.names, self.form))

    def _append(self, data: bytes) -> None:
        start, rest = self._file.tell(), memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError:
            with suppress(OSError):
                self._file.seek(start)
                self._file.truncate()
            raise

    def tell(self) -> int:
        """Length of what was added so far, bytes."""
        return self._file.tell()

    def flush(self) -> None:
        """Have the disk keep everything, before a note says that it is there."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the working file."""
        self._file.close()

    def replace(self, rows: Iterable[Row], names: Sequence[str]) -> None:
        """Close, and put rows with other columns in the place of those that were added.

        Args:
            rows: one at a time; they may come from `working` itself.
            names: columns from now on.
        """
        self.close()
        self.names = tuple(names)
        _write_rows(self.working, rows, self.names, self.form)

    def finish(self) -> Path:
        """Close, and make the Parquet file where that is wanted; returns the result's path."""
        self.close()
        if self.form == "parquet":
            _to_parquet(self.working, self.path, self.names)
            self.working.unlink()
        return self.path


def _lines(rows: Iterable[Row], names: Sequence[str], form: str) -> bytes:
    if form != "csv":
        return "".join(json_line(row, names) for row in rows).encode()
    return "".join(csv_line(csv_values(row, names)) for row in rows).encode()


def _write_rows(path: Path, rows: Iterable[Row], names: Sequence[str], form: str) -> None:
    """Write a working file anew; an interruption leaves the old one or the new one."""
    with whole_file(path) as part, open(part, "wb") as file:
        if form == "csv":
            file.write((",".join(names) + "\n").encode())
        for row in rows:
            file.write(_lines([row], names, form))


def restore_rows(folder: Path, names: Sequence[str], form: str) -> None:
    """Bring the working file of an earlier run back to the columns `names`, as it was before more were added.

    Values are written as they were read, so that the bytes up to a noted offset are the same.
    """
    working, finished = folder / f"faces.{'csv' if form == 'csv' else 'jsonl'}", folder / f"faces.{form}"
    if form == "parquet" and not working.is_file() and finished.is_file():
        _write_rows(working, read_rows(finished), names, form)
        finished.unlink()
    elif working.is_file() and _columns_of(working, form) not in ((), tuple(names)):
        _write_rows(working, read_rows(working), names, form)


def _columns_of(path: Path, form: str) -> tuple[str, ...]:
    """Columns of a working file; none where it has no whole first line."""
    with open(path, encoding="utf-8") as file:
        first = file.readline()
    if not first.endswith("\n"):
        return ()
    return tuple(first.rstrip("\n").split(",")) if form == "csv" else tuple(json.loads(first))


def _to_parquet(lines: Path, path: Path, names: Sequence[str], group: int = 50_000) -> None:
    """JSON Lines to Parquet, one row group at a time."""
    arrow, parquet = require("pyarrow", "table"), require("pyarrow.parquet", "table")
    schema = arrow_schema(names)
    with (
        whole_file(path) as part,
        parquet.ParquetWriter(str(part), schema) as writer,
        open(lines, encoding="utf-8") as file,
    ):
        rows: list[Row] = []
        for line in file:
            rows.append(json.loads(line))
            if len(rows) == group:
                writer.write_table(arrow.Table.from_pylist(rows, schema=schema))
                rows = []
        writer.write_table(arrow.Table.from_pylist(rows, schema=schema))


def read_progress(folder: Path) -> dict[str, Any] | None:
    """The note of an earlier run in this folder; None if there is none."""
    try:
        note: dict[str, Any] = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return note
