"""Expressions as events in time, through the command line and the Python API, and drawn."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import mien
from events_kit import event, made, rest_scores, table_rows
from mien.analysis import Run
from mien.cli import app
from mien.errors import InputError
from mien.events import EventOptions, Marker, read_markers
from mien.events.baseline import correct
from mien.events.event import COLUMNS
from mien.events.markers import joined
from mien.events.second_pass import Timing
from mien.labels import FERPLUS8, colour
from mien.pipeline.flow import Flow, Options
from mien.pipeline.sources import Source
from mien.report.lanes import EVENT_IN, lanes
from mien.report.timeline import timeline
from mien.table import columns, read_rows
from mien.types import FrameResult

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def flow() -> Flow:
    return Flow(Options(threads=1, batch=2))


def call(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def events_in(folder: Path) -> list[dict[str, str]]:
    with open(folder / "events.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_command_line_end_to_end(clip: Path, portrait_file: Path, tmp_path: Path) -> None:
    markers = tmp_path / "markers.csv"
    markers.write_text("time_s,label,note\n10.1,b,x\n10.0,a,\n99,c,\n", encoding="utf-8")
    more = ("--smooth", "0.1", "--baseline", "--event-min-seconds", "0.2", "--plot", "--threads", "1")
    done = call(
        "analyze", clip, portrait_file, "--out", tmp_path / "o", *more, "--markers", markers, "--clock-offset", "-10"
    )
    assert done.exit_code == 0, done.output
    assert "events.csv" in done.output
    (event,) = events_in(tmp_path / "o")
    assert tuple(event) == (*COLUMNS, "marker", "since_marker_s")
    assert (event["source"], event["track"], event["label"]) == (str(clip), "0", "happiness")
    assert (event["onset_s"], event["marker"], event["since_marker_s"]) == ("0.0", "a", "0.0")
    assert float(event["duration_s"]) >= 0.3
    rows = list(read_rows(tmp_path / "o" / "faces.csv"))
    extra = [f"{kind}_{label}" for kind in ("smooth", "baseline") for label in FERPLUS8]
    assert list(rows[0]) == [*columns(FERPLUS8), *extra]
    assert all(row[name] is not None for row in rows[:10] for name in extra)
    assert all(rows[10][name] is None for name in extra)
    summary = json.loads((tmp_path / "o" / "summary.json").read_text(encoding="utf-8"))
    assert summary["events"]["smooth_s"] == 0.1
    track = summary["sources"][0]["tracks"][0]
    assert track["events"]["happiness"] == 1
    assert track["event_seconds"] == pytest.approx(float(event["duration_s"]), abs=1e-3)
    assert track["baseline"] == {"frames": 10, "raw_kept": "fewer than 40 frames"}
    assert all(row[f"baseline_{k}"] == row[f"p_{k}"] for row in rows[:10] for k in FERPLUS8)
    assert (tmp_path / "o" / "clip.timeline.png").stat().st_size > 10_000
    # the raw columns are those of a run without all this, and pictures alone leave no events behind
    assert call("analyze", portrait_file, "--out", tmp_path / "o").exit_code == 0
    assert not (tmp_path / "o" / "events.csv").exists()


def test_the_python_api_has_the_events(clip: Path, portrait_file: Path) -> None:
    table = mien.analyze(clip, events=EventOptions(min_s=0.2), smooth=0.1, threads=1)
    assert [(e.label, e.track, e.source) for e in table.events] == [("happiness", 0, str(clip))]
    assert table.columns[-1] == "smooth_surprise"
    assert all(tuple(row) == table.columns for row in table)
    assert mien.analyze(portrait_file, threads=1).events == []


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_stopped_run_goes_on_to_the_same_events(flow: Flow, clip: Path, tmp_path: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    timing = Timing(smooth=0.1, baseline=True, events=EventOptions(min_s=0.1))
    Run(flow, tmp_path / "whole", form, timing=timing).analyze([str(clip)])
    assert events_in(tmp_path / "whole")

    def stop(_: Source, result: FrameResult) -> None:
        if result.frame.index == 3:
            raise KeyboardInterrupt

    broken = Run(flow, tmp_path / "broken", form, watch=stop, timing=timing)
    with pytest.raises(KeyboardInterrupt):
        broken.analyze([str(clip)])
    assert [e["offset_frame"] for e in events_in(tmp_path / "broken")] == ["3"]
    for _ in range(2):  # and once more, when all is done
        Run(flow, tmp_path / "broken", form, timing=timing).analyze([str(clip)], resume=True)
        for name in (f"faces.{form}", "events.csv"):
            assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    # a finished run takes other options of the second pass without analysing again
    seen: list[int] = []
    plain = Run(flow, tmp_path / "broken", form, watch=lambda _, r: seen.append(r.frame.index))
    plain.analyze([str(clip)], resume=True)
    assert seen == []
    rows = list(read_rows(plain.rows_path))
    assert tuple(rows[0]) == columns(FERPLUS8)
    assert [row["frame"] for row in rows] == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]


def test_the_summary_undoes_the_baseline(flow: Flow, clip: Path, tmp_path: Path) -> None:
    Run(flow, tmp_path).analyze([str(clip)])
    rng = np.random.default_rng(2)
    times = np.round(np.arange(0, 8, 0.04), 2)
    biased = correct(rest_scores(rng, 200), -1.5 * np.eye(8)[FERPLUS8.index("fear")])
    mien.Table(columns(FERPLUS8), table_rows({0: (times, biased)}, str(clip))).to_csv(tmp_path / "faces.csv")
    note = json.loads((tmp_path / ".progress.json").read_text())
    note["offset"] = (tmp_path / "faces.csv").stat().st_size
    (tmp_path / ".progress.json").write_text(json.dumps(note))
    Run(flow, tmp_path, timing=Timing(baseline=True)).analyze([str(clip)], resume=True)
    summary = json.loads((tmp_path / "summary.json").read_text())
    subtracted = summary["sources"][0]["tracks"][0]["baseline"]["subtracted"]
    assert subtracted["fear"] == pytest.approx(1.5, abs=0.2)
    shift = np.array([subtracted[label] for label in FERPLUS8])
    for row in read_rows(tmp_path / "faces.csv"):
        raw, corrected = (np.array([row[f"{kind}_{label}"] for label in FERPLUS8]) for kind in ("p", "baseline"))
        assert correct(corrected, -shift) == pytest.approx(raw, abs=5e-4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"time,name\n1,a\n", "must name the columns time_s and label, but names time, name"),
        (b"", "but names nothing"),
        (b"time_s,label\n1,a\nsoon,b\n", "line 3: time_s is 'soon'"),
        (b"time_s,label\nnan,a\n", "line 2: time_s is 'nan'"),
        (b"time_s,label\n", "holds no marker"),
        (b"\xff\xfe\x00time", "UTF-8"),
        (None, "cannot be read (No such file"),
    ],
)
def test_bad_markers_are_one_sentence(text: bytes | None, words: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "m.csv").write_bytes(text)
    with pytest.raises(InputError) as caught:
        read_markers(tmp_path / "m.csv")
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "m.csv"))


def test_bad_markers_cost_nothing_else(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("time_s,label\nsoon,a\n")
    done = call("analyze", clip, "--out", tmp_path / "o", "--markers", tmp_path / "m.csv", "--threads", "1")
    assert done.exit_code == 1
    lines = [line for line in done.output.splitlines() if line.startswith("mien: ")]
    assert lines == [f"mien: {tmp_path / 'm.csv'}: line 2: time_s is 'soon'; expected seconds, such as 12.5"]
    assert len(list(read_rows(tmp_path / "o" / "faces.csv"))) == 10
    assert (tmp_path / "o" / "events.csv").read_text().splitlines() == [",".join(COLUMNS)]
    assert call("analyze", clip, "--out", tmp_path / "o", "--clock-offset", "3").exit_code == 2


def test_markers_join_the_last_one_before() -> None:
    events = [event("anger", 0.5, 1, 2), event("fear", 3, 3.5, 4), event("anger", 9, 10, 11)]
    rows = joined(events, [Marker(1.0, "a"), Marker(3.0, "b"), Marker(5.0, "c")])
    assert [(row["marker"], row["since_marker_s"]) for row in rows] == [(None, None), ("b", 0.0), ("c", 4.0)]


def test_bars_that_overlap_get_rows_of_their_own() -> None:
    a, b, c, d = event("anger", 0, 1, 4), event("fear", 3, 3.5, 6), event("anger", 5, 6, 7), event("fear", 5.5, 6, 7)
    assert lanes([d, c, b, a]) == [[a, c], [b], [d]]
    assert lanes([]) == []


def picture(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    assert image is not None
    return image[:, :, ::-1].astype(int)


def near(image: np.ndarray, label: str) -> np.ndarray:
    shade = [int(colour(label)[i : i + 2], 16) for i in (1, 3, 5)]
    return np.asarray(abs(image - shade).max(2) < 12)


def test_the_timeline_shows_the_events(tmp_path: Path) -> None:
    times = np.round(np.arange(0, 10, 0.04), 2)
    rows = table_rows({0: (times, made(times, [], np.random.default_rng(0)))})
    timeline(rows, FERPLUS8, tmp_path / "none.png")
    shown = [event("happiness", 2, 3, 5), event("fear", 4.5, 5, 7), event("anger", 1, 2, 3, track=8)]
    timeline(rows, FERPLUS8, tmp_path / "some.png", events=shown, markers=[Marker(6, "tone"), Marker(60, "late")])
    none, some = picture(tmp_path / "none.png"), picture(tmp_path / "some.png")
    left, width = 100, 1800 - 100 - 50
    for label, first, last in (("happiness", 2, 5), ("fear", 4.5, 7)):
        at = np.flatnonzero(near(some, label)[200:].any(0))
        assert at.min() == pytest.approx(left + width * first / 9.96, abs=4)
        assert at.max() == pytest.approx(left + width * last / 9.96, abs=4)
        assert not near(none, label)[200:].any()
    assert not near(some, "anger")[200:].any()
    assert some.shape[0] - none.shape[0] == pytest.approx(200 * (2 * EVENT_IN + 0.22), abs=3)  # and a note


def test_many_events_and_markers_fit(tmp_path: Path) -> None:
    times = np.round(np.arange(0, 200, 0.2), 2)
    rows = table_rows({0: (times, made(times, [], np.random.default_rng(0)))})
    many = [event("happiness", t, t + 0.2, t + 0.5) for t in range(200)]
    timeline(rows, FERPLUS8, tmp_path / "t.png", events=many, markers=[Marker(t, "x") for t in range(0, 200, 5)])
    at = near(picture(tmp_path / "t.png"), "happiness")[200:].any(0)
    assert np.count_nonzero(np.diff(at.astype(int)) == 1) >= 150
