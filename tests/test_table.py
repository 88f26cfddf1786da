"""Table, writers and summary."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mien.pipeline.summary import summarise
from mien.pipeline.writers import RowWriter
from mien.table import Table, columns, read_rows, rows_of
from mien.types import Faces, Frame, FrameResult

LABELS = ("anger", "happiness", "neutral")


def result(
    index: int, scores: list[list[float]], source: str = "a.mp4", tracks: list[int] | None = None
) -> FrameResult:
    n = len(scores)
    quality = {name: np.full(n, 1.5, np.float32) for name in ("face_px", "blur", "brightness", "roll", "yaw")}
    quality["yaw"] = np.full(n, np.nan, np.float32)
    faces = Faces(
        np.arange(4 * n).reshape(n, 4),
        np.full(n, 0.98765),
        track=np.array(tracks if tracks is not None else range(n), np.int64),
        quality=quality,
        scores=np.array(scores, np.float32).reshape(n, 3),
    )
    frame = Frame(np.zeros((4, 4, 3), np.uint8), index, index / 25, source)
    return FrameResult(frame, faces, LABELS, np.array([max(s) < 0.5 for s in scores], bool))


ROWS = [
    row
    for r in (
        result(0, [[0.1, 0.8, 0.1], [0.4, 0.3, 0.3]]),
        result(1, []),
        result(2, [[0.0, 0.6, 0.4]], tracks=[1]),
        result(0, [[0.9, 0.05, 0.05]], source='odd, "name".mp4'),
    )
    for row in rows_of(r)
]


def test_columns_are_pinned() -> None:
    assert columns(LABELS) == (
        *("source", "frame", "time_s", "face", "track", "x1", "y1", "x2", "y2", "detection"),
        *("label", "score", "unsure", "p_anger", "p_happiness", "p_neutral"),
        *("face_px", "blur", "brightness", "roll", "yaw"),
    )
    assert tuple(ROWS[0]) == columns(LABELS)


def test_rows_say_what_was_seen() -> None:
    assert [r["label"] for r in ROWS] == ["happiness", "anger", "happiness", "anger"]
    assert [r["unsure"] for r in ROWS] == [False, True, False, False]
    assert ROWS[1]["face"] == 1
    assert ROWS[0]["yaw"] is None
    still = FrameResult(
        Frame(np.zeros((4, 4, 3), np.uint8)),
        result(0, [[1, 0, 0]]).faces.with_(track=np.array([-1])),
        LABELS,
        np.array([False]),
    )
    row = next(rows_of(still))
    assert row["time_s"] is None
    assert row["track"] is None


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_writers_give_back_what_they_got(tmp_path: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    table = Table(columns(LABELS), ROWS)
    getattr(table, f"to_{form}")(tmp_path / f"t.{form}")
    writer = RowWriter(tmp_path / "out", columns(LABELS), form)
    for row in ROWS:
        writer.add([row])
    path = writer.finish()
    assert list(read_rows(path)) == list(read_rows(tmp_path / f"t.{form}")) == ROWS
    assert [p.name for p in (tmp_path / "out").iterdir()] == [f"faces.{form}"]


def test_writer_cuts_off_what_lies_beyond_the_offset(tmp_path: Path) -> None:
    writer = RowWriter(tmp_path, columns(LABELS), "csv")
    writer.add(ROWS[:2])
    offset = writer.tell()
    writer.add(ROWS[2:])
    writer.close()
    again = RowWriter(tmp_path, columns(LABELS), "csv", offset)
    again.add(ROWS[2:3])
    again.finish()
    assert list(read_rows(tmp_path / "faces.csv")) == ROWS[:3]


def test_to_pandas_has_types() -> None:
    pytest.importorskip("pandas")
    frame = Table(columns(LABELS), ROWS).to_pandas()
    assert list(frame.columns) == list(columns(LABELS))
    assert frame["unsure"].dtype == bool
    assert frame["p_anger"].iloc[3] == pytest.approx(0.9)


def test_summary_counts_by_hand() -> None:
    facts = {"a.mp4": {"frames": 3}, "empty.jpg": {"frames": 1}}
    first, second = summarise(ROWS, LABELS, facts)
    assert first["frames"] == 3
    assert first["frames_with_face"] == 2
    assert first["faces"] == 3
    assert first["share"] == {
        "anger": pytest.approx(1 / 3, abs=1e-4),
        "happiness": pytest.approx(2 / 3, abs=1e-4),
        "neutral": 0,
    }
    assert first["mean_score"]["happiness"] == pytest.approx((0.8 + 0.3 + 0.6) / 3, abs=1e-3)
    assert first["unsure_share"] == pytest.approx(1 / 3, abs=1e-4)
    assert [t["track"] for t in first["tracks"]] == [0, 1]
    assert first["tracks"][1]["faces"] == 2
    assert second["faces"] == 0
    json.dumps([first, second], allow_nan=False)
