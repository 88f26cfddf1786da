"""Tracks named and merged by the user: columns, events, summaries, pictures; and the sheet to see who is who."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import mien
from events_kit import event, made, table_rows
from mien.analysis import Run
from mien.cli import app
from mien.errors import InputError
from mien.events import EventOptions, People, read_people
from mien.events.event import COLUMNS
from mien.events.second_pass import SecondPass, Survey, Timing
from mien.labels import FERPLUS8
from mien.pipeline.flow import Flow, Options
from mien.pipeline.sources import Source
from mien.report.timeline import timeline
from mien.report.tracks import best_faces, track_sheet
from mien.table import Row, columns, read_rows

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
MORE = (*COLUMNS[:2], "person", *COLUMNS[2:])


def call(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def names(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def two_tracks(source: str = "a.mp4", apart: float = 0.04) -> list[Row]:
    """One person who smiles from 3 to 7 s, and whom the tracker takes for another from 5 s on; a bystander."""
    rng = np.random.default_rng(3)
    first, second = np.round(np.arange(0, 5, 0.04), 2), np.round(np.arange(5 - 0.04 + apart, 10, 0.04), 2)
    smile = [("happiness", 3.0, 7.0)]
    people = {
        0: (first, made(first, smile, rng)),
        1: (first, made(first, [], rng)),
        2: (second, made(second, smile, rng)),
    }
    return table_rows(people, source)


def passed(rows: list[Row], people: People | None, **timing: Any) -> tuple[list[Row], SecondPass]:
    options = Timing(people=people, **timing)
    survey = Survey(FERPLUS8, options)
    survey.add(rows)
    assert survey.trouble() == ""
    second = SecondPass(FERPLUS8, options, survey.baselines(), survey.absences())
    return list(second.run(rows)), second


def test_two_tracks_of_one_name_are_one_person() -> None:
    rows = two_tracks()
    _, apart = passed(rows, None)
    assert [(e.track, e.onset_s, e.offset_s) for e in apart.events] == [(0, 3.0, 4.96), (2, 5.0, 7.0)]
    people = People({("", 0): "Ann", ("", 2): "Ann"})
    out, joined = passed(rows, people, smooth=0.2, baseline=True)
    (found,) = joined.events
    assert (found.track, found.person, found.onset_s, found.offset_s) == (0, "Ann", 3.0, 7.0)
    assert [row["track"] for row in out] == [row["track"] for row in rows]  # the raw tracks stay
    assert {(row["track"], row["person"]) for row in out} == {(0, "Ann"), (1, None), (2, "Ann")}
    assert list(out[0]) == list(Timing(0.2, True, people=people).names(FERPLUS8))
    assert list(out[0])[4:6] == ["track", "person"]
    assert set(joined.baselines) == {("a.mp4", "Ann"), ("a.mp4", 1)}
    # smoothing and baseline know no border between the tracks: the same as of one track
    whole = [{**row, "track": 0 if row["track"] == 2 else row["track"]} for row in rows]
    alone, _ = passed(whole, None, smooth=0.2, baseline=True)
    added = [name for name in alone[0] if name.startswith(("smooth_", "baseline_"))]
    assert [[row[n] for n in added] for row in out] == [[row[n] for n in added] for row in alone]
    assert len(passed(two_tracks(apart=1.0), people)[1].events) == 2  # away for a second


def test_an_event_has_the_track_of_its_onset() -> None:
    people = People({("", 0): "Ann", ("", 2): "Ann"})
    rng = np.random.default_rng(4)
    first, second = np.round(np.arange(0, 5, 0.04), 2), np.round(np.arange(5, 10, 0.04), 2)
    truth = [("fear", 1.0, 2.5), ("happiness", 4.5, 6.0), ("anger", 7.0, 9.0)]
    rows = table_rows({0: (first, made(first, truth, rng)), 2: (second, made(second, truth, rng))})
    found = [(e.label, e.track) for e in passed(rows, people)[1].events]
    assert found == [("fear", 0), ("happiness", 0), ("anger", 2)]


def test_names_are_found_by_source() -> None:
    people = People({("", 1): "Ann", ("b.mp4", 1): "Bob", ("x/c.mp4", 1): "Cy", ("b.mp4", 9): "Dan"})
    assert [people.name(s, 1) for s in ("a.mp4", "y/b.mp4", "x/c.mp4", "c.mp4")] == ["Ann", "Bob", "Cy", "Ann"]
    assert people.name("a.mp4", 2) is None
    assert people.unused([("y/b.mp4", 1), ("x/c.mp4", 1)]) == ["track 9 of b.mp4"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("track,name\n1,Ann\n", "must name the columns track and person, but names track, name"),
        ("track,person\none,Ann\n", "line 2: track is 'one'"),
        ("track,person\n1,\n", "line 2: person is ''"),
        ("track,person\n1,2\n", "line 2: person is '2'; expected a name"),
        ("track,person\n1,Ann\n1,Bob\n", "line 3: track 1 is 'Ann' above already"),
        ("track,person\n", "names nobody"),
        (None, "cannot be read (No such file"),
    ],
)
def test_bad_names_are_one_sentence(text: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    if text is not None:
        names(path, text)
    with pytest.raises(InputError) as caught:
        read_people(path)
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_nobody_is_at_two_places(tmp_path: Path, clip: Path) -> None:
    survey = Survey(FERPLUS8, Timing(people=People({("", 0): "Ann", ("", 1): "Ann"})))
    survey.add(two_tracks())
    assert survey.trouble().startswith("track 0 and track 1 of a.mp4 are both Ann, but both are seen in frame 0 (0 s)")
    with pytest.raises(InputError, match="the names cannot be read"):
        mien.analyze(clip, people=tmp_path / "none.csv")


@pytest.fixture(scope="module")
def flow() -> Flow:
    return Flow(Options(threads=1))


@pytest.fixture
def finished(flow: Flow, clip: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A finished run of the clip, with the rows of `two_tracks` in its table."""

    def make(form: str) -> Path:
        if form == "parquet":
            pytest.importorskip("pyarrow")
        folder = tmp_path / form
        Run(flow, folder, form).analyze([str(clip)])
        table = mien.Table(columns(FERPLUS8), two_tracks(str(clip)))
        working = folder / f"faces.{'csv' if form == 'csv' else 'jsonl'}"
        (table.to_csv if form == "csv" else table.to_jsonl)(working)
        note = json.loads((folder / ".progress.json").read_text())
        note["offset"] = working.stat().st_size
        (folder / ".progress.json").write_text(json.dumps(note))
        if form == "parquet":
            (folder / "faces.parquet").unlink()
        return folder

    return make


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_names_come_and_go_without_analysing_again(
    finished: Callable[[str], Path], flow: Flow, clip: Path, tmp_path: Path, form: str
) -> None:
    folder = finished(form)
    seen: list[int] = []

    def again(people: People | None) -> Run:
        timing = Timing(people=people, baseline=people is not None, events=EventOptions())
        run = Run(flow, folder, form, watch=lambda _, r: seen.append(r.frame.index), timing=timing)
        run.analyze([str(clip)], resume=True)
        return run

    again(None)
    plain = {name: (folder / name).read_bytes() for name in (f"faces.{form}", "events.csv")}
    people = read_people(names(tmp_path / "p.csv", f"source,track,person\n,0,Änn\n{clip.name},2,Änn\n"))
    run = again(people)
    assert run.problems == []
    rows = list(read_rows(folder / f"faces.{form}"))
    assert list(rows[0])[:6] == ["source", "frame", "time_s", "face", "track", "person"]
    assert {(row["track"], row["person"]) for row in rows} == {(0, "Änn"), (1, None), (2, "Änn")}
    with open(folder / "events.csv", newline="", encoding="utf-8") as file:
        (found,) = csv.DictReader(file)
    assert tuple(found) == MORE
    assert (found["track"], found["person"], found["onset_s"], found["offset_s"]) == ("0", "Änn", "3.0", "7.0")
    summary = json.loads((folder / "summary.json").read_text())
    (entry,) = summary["sources"]
    (ann,) = entry["people"]
    assert (ann["person"], ann["tracks"], ann["faces"], ann["events"]["happiness"]) == ("Änn", [0, 2], 250, 1)
    assert ann["first_s"] == 0
    assert ann["last_s"] == 9.96
    assert "baseline" in ann
    assert [t["track"] for t in entry["tracks"]] == [0, 1, 2]
    assert ["baseline" in t for t in entry["tracks"]] == [False, True, False]
    assert [t["events"]["happiness"] for t in entry["tracks"]] == [1, 0, 0]
    again(people)
    assert list(read_rows(folder / f"faces.{form}")) == rows
    again(None)
    assert {name: (folder / name).read_bytes() for name in plain} == plain
    assert "people" not in json.loads((folder / "summary.json").read_text())["sources"][0]
    assert seen == []


def test_names_that_cannot_be_used_cost_nothing_else(
    finished: Callable[[str], Path], clip: Path, tmp_path: Path
) -> None:
    folder = finished("csv")
    cases = [
        ("track,person\nx,Ann\n", "line 2: track is 'x'", False),
        ("track,person\n0,Ann\n1,Ann\n", "are both Ann, but both are seen in frame 0", False),
        ("track,person\n0,Ann\n7,Bob\n", "names track 7, which nobody has there", True),
    ]
    for text, words, kept in cases:
        path = names(tmp_path / "p.csv", text)
        done = call("analyze", clip, "--out", folder, "--resume", "--people", path, "--threads", "1")
        assert done.exit_code == 1
        (line,) = [line for line in done.output.splitlines() if line.startswith("mien: ")]
        assert line.startswith(f"mien: {path}: ")
        assert words in line
        assert ("person" in next(read_rows(folder / "faces.csv"))) == kept


def test_the_command_line_end_to_end(clip: Path, tmp_path: Path) -> None:
    out, path = tmp_path / "o", names(tmp_path / "p.csv", "track,person\n0,Eileen\n")
    done = call("analyze", clip, "--out", out, "--sheet", "--event-min-seconds", "0.2", "--threads", "1")
    assert done.exit_code == 0, done.output
    more = ("--resume", "--people", path, "--event-min-seconds", "0.2", "--plot", "--elan", "--sheet")
    done = call("analyze", clip, "--out", out, *more, "--threads", "1")
    assert done.exit_code == 0, done.output
    assert "Eileen" in (out / "clip.eaf").read_text()
    assert (out / "events.csv").read_text().splitlines()[1].split(",")[1:4] == ["0", "Eileen", "happiness"]
    for name in ("clip.tracks.png", "clip.timeline.png"):
        image = cv2.imread(str(out / name))
        assert image is not None
        assert image.shape[1] == 1800
    refused = call("analyze", clip, "--out", out, "--sheet", "--overlay", "--anonymous")
    assert refused.exit_code == 2
    table = mien.analyze(clip, people=path, threads=1)
    assert table.columns == Timing(people=read_people(path)).names(table_labels(table))
    assert {row["person"] for row in table} == {"Eileen"}
    assert all(tuple(row) == table.columns for row in table)


def table_labels(table: mien.Table) -> tuple[str, ...]:
    return tuple(name[2:] for name in table.columns if name.startswith("p_"))


def test_a_coder_may_have_watched_a_named_person(
    finished: Callable[[str], Path], flow: Flow, clip: Path, tmp_path: Path
) -> None:
    from mien.events.results import open_results

    folder = finished("csv")
    people = read_people(names(tmp_path / "p.csv", "track,person\n0,Ann\n2,Ann\n"))
    Run(flow, folder, timing=Timing(people=people)).analyze([str(clip)], resume=True)
    ann = open_results(folder, None, "Ann")
    assert [(b.label, b.onset_s, b.offset_s) for b in ann.bouts] == [("happiness", 3.0, 7.0)]
    assert len(ann.times) == 250
    with pytest.raises(InputError, match=r"2 people were followed .*Ann, 250 frames; track 1, 125 frames"):
        open_results(folder, "clip", None)


def test_the_sheet_shows_the_clearest_face(clip: Path, tmp_path: Path) -> None:
    rows = [
        {"track": 0, "frame": f, "x1": 170.0, "y1": 60, "x2": 280, "y2": 170, "time_s": 0.04 * f, "face_px": 110.0}
        | {"yaw": 40.0 - 10 * f if f < 5 else None, "brightness": 0.4, "detection": 0.9}
        for f in (0, 1, 2, 3, 4)
    ]
    rows.append({**rows[0], "track": 1, "face_px": 20.0, "person": "Bob"})
    best = best_faces(rows)
    assert (best[0].frame, best[0].rows, best[0].last_s) == (4, 5, 0.16)
    assert best[1].person == "Bob"
    assert track_sheet(Source(str(clip), "video"), rows, tmp_path / "t.png") == 2
    image = cv2.imread(str(tmp_path / "t.png"))
    assert image is not None
    skin = image[140:360, 60:260].astype(int)
    assert skin.std() > 20  # a face, no empty field
    assert track_sheet(Source(str(clip), "video"), [], tmp_path / "none.png") == 0


def test_the_timeline_is_titled_by_name(tmp_path: Path) -> None:
    rows = two_tracks()
    out, second = passed(rows, People({("", 0): "Ann", ("", 2): "Ann"}))
    timeline(out, FERPLUS8, tmp_path / "named.png", events=second.events)
    timeline(rows, FERPLUS8, tmp_path / "plain.png", events=[event("fear", 1, 2, 3, track=8)])
    named, plain = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("named", "plain"))
    assert named is not None
    assert plain is not None
    assert named.shape[0] < plain.shape[0]  # two panels, not three
