"""Table: the result, one row per face per frame."""

from __future__ import annotations

import csv
import html
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import require
from mien.events.cells import csv_line, guarded, unguarded
from mien.faces.quality import NAMES as QUALITY
from mien.labels import colour
from mien.types import FrameResult

if TYPE_CHECKING:
    from mien.events.event import Event

PLACE = ("source", "frame", "time_s", "face", "track", "x1", "y1", "x2", "y2", "detection")
VERDICT = ("label", "score", "unsure")
INTEGERS = frozenset({"frame", "face", "track"})
TEXTS = frozenset({"source", "person", "label", "voice", "voice_label", "fused_from", "fused_label"})

Row = dict[str, Any]


def columns(labels: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns, in order, for a model with these labels."""
    return (*PLACE, *VERDICT, *(f"p_{label}" for label in labels), *QUALITY)


def rows_of(result: FrameResult) -> Iterator[Row]:
    """One row per face of a frame; numbers are rounded to what they are good for."""
    frame, faces = result.frame, result.faces
    for i in range(len(faces)):
        scores = faces.scores[i]
        best = int(scores.argmax())
        track = int(faces.track[i])
        row: Row = {
            "source": frame.source,
            "frame": frame.index,
            "time_s": None if frame.time_s is None else round(frame.time_s, 6),
            "face": i,
            "track": None if track < 0 else track,
            **{name: round(float(v), 1) for name, v in zip(("x1", "y1", "x2", "y2"), faces.box[i], strict=True)},
            "detection": round(float(faces.detection[i]), 3),
            "label": result.labels[best],
            "score": round(float(scores[best]), 4),
            "unsure": bool(result.unsure[i]),
        }
        row |= {f"p_{label}": round(float(p), 4) for label, p in zip(result.labels, scores, strict=True)}
        for name in QUALITY:
            value = float(faces.quality[name][i])
            row[name] = round(value, 3) if math.isfinite(value) else None
        yield row


class Table:
    """Rows and columns of an analysis.

    Attributes:
        columns: names, in order.
        rows: one mapping per face per frame, with just these columns; None where there is no value.
        events: the expressions of each person as events in time (`mien.events.Event`); empty for still pictures.

    >>> table = Table(("source", "label"), [{"source": "a.jpg", "label": "fear"}])
    >>> len(table), table.rows[0]["label"]
    (1, 'fear')
    """

    def __init__(self, columns: Sequence[str], rows: Iterable[Row] = (), events: Iterable[Event] = ()) -> None:
        self.columns = tuple(columns)
        self.rows = list(rows)
        self.events = list(events)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return f"Table({len(self.rows)} rows, {len(self.columns)} columns)"

    def _repr_html_(self) -> str:
        """What a notebook shows: the size, the first rows, the names of the columns that are left out."""
        return _html(self)

    def to_csv(self, path: str | Path) -> None:
        """Write comma-separated values, UTF-8, with a header."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            file.write(csv_line(self.columns))
            file.writelines(csv_line(csv_values(row, self.columns)) for row in self.rows)

    def to_jsonl(self, path: str | Path) -> None:
        """Write JSON Lines: one object per row."""
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json_line(row, self.columns) for row in self.rows)

    def to_pandas(self) -> Any:
        """The same as a pandas DataFrame.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return require("pandas", "table").DataFrame(self.rows, columns=list(self.columns))

    def to_parquet(self, path: str | Path) -> None:
        """Write a Parquet file.

        Raises:
            MissingExtra: pyarrow is not installed.
        """
        arrow = require("pyarrow", "table")
        parquet = require("pyarrow.parquet", "table")
        schema = arrow_schema(self.columns)
        parquet.write_table(arrow.Table.from_pylist(self.rows, schema=schema), str(path))


SHOWN = 8
"""Rows that a notebook shows."""
_HEAD = ("source", "frame", "time_s", "face", "track", "person", "label", "score", "unsure")


def _html(table: Table) -> str:
    """A table of the first rows: who, when, the verdict, and every score, tinted by its height."""
    scores = [name for name in table.columns if name.startswith("p_")]
    names = [name for name in table.columns if name in _HEAD or name in scores]
    left = [name for name in table.columns if name not in names]
    head = "".join(f'<th style="text-align:left">{html.escape(name)}</th>' for name in names)
    body = "".join(f"<tr>{''.join(_cell(name, row.get(name)) for name in names)}</tr>" for row in table.rows[:SHOWN])
    more = len(table.rows) - SHOWN
    notes = [f"and {more:,} more rows"] if more > 0 else []
    notes += [f"further columns: {', '.join(left)}"] if left else []
    count = f"{len(table.rows):,} row{'' if len(table.rows) == 1 else 's'}, {len(table.columns)} columns"
    if table.events:
        count += f", {len(table.events):,} event{'' if len(table.events) == 1 else 's'}"
    foot = f'<p style="opacity:.7">{html.escape("; ".join(notes))}</p>' if notes else ""
    return f"<p><b>Table</b>: {count}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{foot}"


def _cell(name: str, value: Any) -> str:
    """One value: paths by their last part, scores with two digits over a tint of their label's colour."""
    if value is None:
        return "<td></td>"
    if name.startswith("p_"):
        strength = round(200 * min(max(float(value), 0.0), 1.0))
        return f'<td style="background:{colour(name[2:])}{strength:02x}">{value:.2f}</td>'
    if name == "source":
        path = html.escape(str(value))
        return f'<td style="text-align:left" title="{path}">{html.escape(Path(str(value)).name)}</td>'
    text = f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f'<td style="text-align:left">{html.escape(text)}</td>'


def csv_values(row: Row, names: Sequence[str]) -> list[Any]:
    """A row's values as they stand in a CSV file: empty for None, true or false for truth values, text guarded."""
    values = (row.get(name) for name in names)
    return ["" if v is None else str(v).lower() if isinstance(v, bool) else guarded(v) for v in values]


def json_line(row: Row, names: Sequence[str]) -> str:
    """A row as one line of JSON."""
    return json.dumps({name: row.get(name) for name in names}, ensure_ascii=False) + "\n"


def arrow_schema(names: Sequence[str]) -> Any:
    """Types of the columns for Parquet: text, whole numbers, truth values; the others float64."""
    arrow = require("pyarrow", "table")
    types = {"unsure": arrow.bool_(), **dict.fromkeys(TEXTS, arrow.string())}
    types |= {name: arrow.int64() for name in INTEGERS}
    return arrow.schema([(name, types.get(name, arrow.float64())) for name in names])


def read_rows(path: str | Path) -> Iterator[Row]:
    """Rows of a faces.csv, faces.jsonl or faces.parquet, one at a time, with their types."""
    path = Path(path)
    if path.suffix == ".parquet":
        for batch in require("pyarrow.parquet", "table").ParquetFile(str(path)).iter_batches():
            yield from batch.to_pylist()
        return
    with open(path, newline="", encoding="utf-8") as file:
        if path.suffix == ".jsonl":
            for line in file:
                yield json.loads(line)
            return
        for raw in csv.DictReader(file):
            yield {name: _typed(name, value) for name, value in raw.items()}


def _typed(name: str, text: str) -> Any:
    if text == "" or text is None:
        return None
    if name in TEXTS:
        return unguarded(text)
    if name == "unsure":
        return text == "true"
    return int(text) if name in INTEGERS else float(text)
