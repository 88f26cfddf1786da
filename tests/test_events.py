"""Expressions as events in time: on made curves with known truth, and through the command line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import mien
from conftest import data_folder
from mien.analysis import Run
from mien.cli import app
from mien.errors import InputError
from mien.events import Event, EventOptions, Marker, find_events, read_markers, smooth
from mien.events.baseline import FLOOR, LEAST_FRAMES, REST, Thinned, correct, rest_of
from mien.events.event import COLUMNS
from mien.events.markers import joined
from mien.events.second_pass import SecondPass, Survey, Timing
from mien.labels import FERPLUS8, colour
from mien.pipeline.flow import Flow, Options
from mien.pipeline.sources import Source
from mien.report.lanes import EVENT_IN, lanes
from mien.report.timeline import timeline
from mien.table import Row, columns, read_rows
from mien.types import FrameResult

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
NEUTRAL = FERPLUS8.index("neutral")
Truth = tuple[str, float, float]  # expression, onset and offset at the low threshold
RAMP_S, HEIGHT = 0.4, 0.9


def times_of(kind: str, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Presentation times: 25 frames/s, each fifth of these, or steps between 15 and 90 ms."""
    if kind == "variable":
        times = np.cumsum(rng.uniform(0.015, 0.09, int(seconds / 0.05)))
        return times[times < seconds]
    return np.arange(0, seconds, 0.2 if kind == "every 5" else 0.04)


def made(times: np.ndarray, truth: Sequence[Truth], rng: np.random.Generator, noise: float = 0.0) -> np.ndarray:
    """Scores [T, 8] of a neutral face with expressions that rise and fall within RAMP_S."""
    curves = np.full((len(times), len(FERPLUS8)), 0.005)
    lead = RAMP_S * EventOptions().low / HEIGHT  # from where the curve leaves zero to the low threshold
    for label, onset, offset in truth:
        begin, end = onset - lead, offset + lead
        curve = HEIGHT * np.clip(np.minimum(times - begin, end - times) / RAMP_S, 0, 1)
        k = FERPLUS8.index(label)
        curves[:, k] = np.maximum(curves[:, k], curve)
    curves[:, NEUTRAL] = np.maximum(1 - curves.sum(1), 0.005)
    logits = np.log(curves) + noise * rng.standard_normal(curves.shape)
    scores = np.exp(logits)
    return np.asarray(scores / scores.sum(1, keepdims=True))


def flickered(scores: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """The same with some single frames that show another expression altogether."""
    scores = scores.copy()
    for i in np.flatnonzero(rng.random(len(scores)) < share):
        scores[i] = 0.01
        scores[i, rng.integers(len(FERPLUS8))] = 0.93
    return scores


def a_day(rng: np.random.Generator, count: int) -> list[Truth]:
    """Expressions of 0.8 to 3 s, 1.5 to 4 s apart."""
    truth: list[Truth] = []
    now = 2.0
    for _ in range(count):
        length = float(rng.uniform(0.8, 3))
        label = str(rng.choice([name for name in FERPLUS8 if name != "neutral"]))
        truth.append((label, now, now + length))
        now += length + float(rng.uniform(1.5, 4))
    return truth


def matches(event: Event, truth: Truth) -> bool:
    return event.label == truth[0] and event.onset_s < truth[2] and event.offset_s > truth[1]


@pytest.mark.parametrize(("kind", "bound"), [("constant", 0.12), ("variable", 0.14), ("every 5", 0.3)])
def test_noisy_events_are_found_on_time(kind: str, bound: float) -> None:
    rng = np.random.default_rng(7)
    truth = a_day(rng, 40)
    times = times_of(kind, truth[-1][2] + 2, rng)
    scores = made(times, truth, rng, noise=0.5)
    if kind != "every 5":  # frames further apart than the filter's reach are not smoothed
        scores = flickered(scores, 0.02, rng)
    found = find_events(times, scores, FERPLUS8)
    hits = [(t, e) for t in truth for e in found if matches(e, t)]
    assert len({id(e) for _, e in hits}) / len(found) >= 0.95
    assert len({t for t, _ in hits}) / len(truth) >= 0.95
    errors = np.array([(e.onset_s - t[1], e.offset_s - t[2]) for t, e in hits])
    assert np.quantile(abs(errors), 0.95) <= bound
    assert abs(np.median(errors)) <= bound / 3
    assert all(t[1] <= e.apex_s <= t[2] and e.peak >= 0.5 for t, e in hits)


def test_a_peak_keeps_its_place_and_its_numbers() -> None:
    times = np.arange(0, 4, 0.04)
    curve = np.clip(1 - abs(times - 2) / 1.0, 0, 0.95)
    scores = np.stack([curve, 1 - curve], 1)
    (event,) = find_events(times, scores, ("happiness", "neutral"), frames=list(range(0, 500, 5)))
    assert (event.onset_s, event.apex_s, event.offset_s) == pytest.approx((1.28, 2.0, 2.72), abs=1e-9)
    assert (event.onset_frame, event.apex_frame, event.offset_frame) == (160, 250, 340)
    assert event.duration_s == pytest.approx(1.44)
    assert event.peak == pytest.approx(float(smooth(times, scores, 0.2, 1)[50, 0]), abs=1e-4)


def box(spans: Sequence[tuple[float, float]], times: np.ndarray, high: float = 0.9, rest: float = 0.02) -> np.ndarray:
    curve = np.full(len(times), rest)
    for a, z in spans:
        curve[(times >= a - 1e-9) & (times <= z + 1e-9)] = high
    return np.stack([curve, 1 - curve], 1)


def spans(times: np.ndarray, scores: np.ndarray, **options: float) -> list[tuple[float, float]]:
    found = find_events(times, scores, ("anger", "neutral"), EventOptions(smooth_s=0, **options))
    return [(e.onset_s, e.offset_s) for e in found]


def test_thresholds_gaps_and_shortest_duration() -> None:
    times = np.round(np.arange(0, 6, 0.04), 2)
    assert spans(times, box([(1, 2)], times)) == [(1.0, 2.0)]
    assert spans(times, box([(1, 2)], times, high=0.49)) == []
    assert spans(times, box([(1, 2)], times, high=0.49), threshold=0.4) == [(1.0, 2.0)]
    assert spans(times, box([(1, 1.4)], times)) == []
    assert spans(times, box([(1, 1.4)], times), min_s=0.4) == [(1.0, 1.4)]
    assert spans(times, box([(1, 2), (2.36, 3)], times)) == [(1.0, 3.0)]
    assert spans(times, box([(1, 2), (2.48, 3)], times)) == [(1.0, 2.0), (2.48, 3.0)]
    # between the two thresholds an event goes on, and none begins
    assert spans(times, box([(1, 2)], times, rest=0.3)) == [(0.0, 5.96)]
    assert spans(times, box([], times, rest=0.3)) == []


def test_a_still_face_and_neutral_make_no_event() -> None:
    rng = np.random.default_rng(1)
    times = times_of("constant", 60, rng)
    assert find_events(times, made(times, [], rng, noise=0.5), FERPLUS8) == []
    assert find_events(np.zeros(0), np.zeros((0, 8)), FERPLUS8) == []
    assert find_events(np.zeros(1), np.eye(8)[:1], FERPLUS8) == []


def test_an_absence_ends_an_event_and_a_blink_does_not() -> None:
    times = np.round(np.arange(0, 6, 0.04), 2)
    scores = box([(1, 5)], times)
    away = (times > 2.5) & (times < 3.2)
    assert spans(times[~away], scores[~away]) == [(1.0, 2.48), (3.2, 5.0)]
    blink = (times > 2.5) & (times < 2.8)
    assert spans(times[~blink], scores[~blink]) == [(1.0, 5.0)]
    # with a frame each 0.4 s one missing frame is no absence, two are
    few = slice(0, None, 10)
    t, s = times[few], scores[few]
    assert spans(np.delete(t, 6), np.delete(s, 6, 0)) == [(1.2, 4.8)]
    assert spans(np.delete(t, [6, 7]), np.delete(s, [6, 7], 0)) == [(1.2, 2.0), (3.2, 4.8)]


@pytest.mark.parametrize(
    ("times", "scores", "words"),
    [
        ([0, 1, 1], np.ones((3, 2)), "1 s follows 1 s"),
        ([0, 1], np.ones((3, 2)), r"\[2\] and \[3, 2\]"),
        ([0, np.nan], np.ones((2, 2)), "finite"),
        ([0, 1], np.ones((2, 3)), "3 scores for 2 labels"),
    ],
)
def test_bad_arrays_are_refused(times: Any, scores: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        find_events(times, scores, ("anger", "neutral"))


@pytest.mark.parametrize("bad", [{"threshold": 0.0}, {"threshold": 1.2}, {"min_s": -1.0}, {"smooth_s": float("nan")}])
def test_bad_options_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected"):
        EventOptions(**bad)


def plain_smooth(times: np.ndarray, scores: np.ndarray, reach: float) -> np.ndarray:
    """The filter as docs/data-dictionary.md states it, frame by frame."""
    out = np.zeros_like(scores)
    last = len(times) - 1
    for i in range(len(times)):
        for j in range(len(times)):
            before, after = times[max(j - 1, 0)], times[min(j + 1, last)]
            span = (after - before) / (2 if 0 < j < last else 1) if last else 1.0
            out[i] += max(0.0, 1 - abs(times[i] - times[j]) / reach) * span * scores[j]
    return np.asarray(out / out.sum(1, keepdims=True))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.01, 0.1), min_size=0, max_size=180), st.floats(0.02, 1.0), st.integers(0, 2**31))
def test_smoothing_agrees_with_its_formula(steps: list[float], reach: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.concatenate([[0.0], np.cumsum(steps)])
    scores = rng.dirichlet(np.ones(4), len(times))
    smoothed = smooth(times, scores, reach, 1.0)
    assert smoothed.sum(1) == pytest.approx(np.ones(len(times)))
    assert smoothed == pytest.approx(plain_smooth(times, scores, reach), abs=1e-9)


def test_smoothing_is_zero_phase_and_crosses_no_absence() -> None:
    rng = np.random.default_rng(3)
    times = np.arange(201) * 0.04
    scores = rng.dirichlet(np.ones(3), 201)
    there = smooth(times, scores, 0.3, 1.0)
    back = smooth(-times[::-1], scores[::-1], 0.3, 1.0)[::-1]
    assert there == pytest.approx(back, abs=1e-12)
    pulse = np.tile([0.0, 1.0], (201, 1))
    pulse[100] = [1, 0]
    answer = smooth(times, pulse, 0.3, 1.0)[:, 0]
    assert answer.argmax() == 100
    assert answer[80:100] == pytest.approx(answer[101:121][::-1])
    assert not answer[np.abs(times - 4) >= 0.3].any()
    later = times + (np.arange(201) >= 100) * 0.5
    apart = smooth(later, scores, 2.0, 0.4)
    assert apart[:100] == pytest.approx(smooth(later[:100], scores[:100], 2.0, 0.4), abs=1e-12)
    assert apart[100:] == pytest.approx(smooth(later[100:], scores[100:], 2.0, 0.4), abs=1e-12)
    assert smooth(times, scores, 0, 1.0) == pytest.approx(scores)


def rest_scores(rng: np.random.Generator, count: int, noise: float = 0.1) -> np.ndarray:
    """Frames of a face at rest as most people's."""
    logits = np.log([REST.get(label, FLOOR) for label in FERPLUS8]) + noise * rng.standard_normal((count, 8))
    return np.asarray(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))


def test_a_baseline_takes_a_constant_bias_away() -> None:
    rng = np.random.default_rng(5)
    smile = made(np.arange(100) / 25, [("happiness", 0, 4)], rng, noise=0.1)
    clean = np.concatenate([rest_scores(rng, 300), smile])
    bias = np.zeros(8)
    bias[FERPLUS8.index("sadness")], bias[FERPLUS8.index("anger")] = 1.8, 0.9
    biased = correct(clean, -bias)
    baseline = rest_of(biased, FERPLUS8)
    assert baseline.shift is not None
    assert baseline.shift == pytest.approx(bias, abs=0.25)
    assert correct(biased, baseline.shift) == pytest.approx(clean, abs=0.06)
    assert abs(biased - clean).max() > 0.1
    assert correct(correct(biased, baseline.shift), -baseline.shift) == pytest.approx(biased, abs=1e-9)
    unbiased = rest_of(clean, FERPLUS8)
    assert unbiased.shift == pytest.approx(np.zeros(8), abs=0.25)


def test_tracks_without_rest_keep_their_scores() -> None:
    rng = np.random.default_rng(6)
    short = rest_of(rest_scores(rng, LEAST_FRAMES - 1), FERPLUS8)
    assert short.shift is None
    assert "fewer than 40 frames" in short.reason
    assert rest_of(rest_scores(rng, LEAST_FRAMES), FERPLUS8).shift is not None
    smile = made(np.arange(100) / 25, [("happiness", -1, 5)], rng)
    assert "neutral scores" in rest_of(smile, FERPLUS8).reason
    frown = np.tile(np.where(np.arange(8) == 0, 0.35, 0.01), (100, 1))
    frown[:, NEUTRAL] = 0.6
    assert "anger stands out" in rest_of(frown, FERPLUS8).reason
    assert "no label neutral" in rest_of(np.ones((50, 2)) / 2, ("anger", "fear")).reason


def test_thinned_samples_are_even_and_small() -> None:
    sample: Thinned[int] = Thinned(most=10)
    for i in range(1000):
        sample.add(i)
    assert sample.count == 1000
    assert 5 <= len(sample.items) <= 10
    assert set(np.diff(sample.items)) == {128}


def test_the_reference_for_rest_is_what_faces_show() -> None:
    from mien.datasets import DATASETS
    from mien.datasets.faces import load_faces

    faces = load_faces(DATASETS.create("ferplus", root=data_folder("fer2013")).part("val"))
    rows = np.flatnonzero(faces.majority == list(faces.labels).index("neutral"))[:700]
    model = mien.load("mien-s", threads=1)
    medians = np.median(model([faces.pixels[i] for i in rows]), 0)
    for label, median in zip(model.spec.labels, medians, strict=True):
        assert max(median, FLOOR) == pytest.approx(REST.get(label, FLOOR), abs=0.02), label


def table_rows(people: dict[int, tuple[np.ndarray, np.ndarray]], source: str = "a.mp4", every: int = 1) -> list[Row]:
    """Rows in order of time for people with times [T] and scores [T, 8], on a grid of 25 frames/s."""
    rows: list[Row] = []
    for track, (times, scores) in people.items():
        for time_s, score in zip(times.tolist(), scores, strict=True):
            best = int(score.argmax())
            row: Row = dict.fromkeys(columns(FERPLUS8), 1.0)
            row |= {"source": source, "frame": round(time_s * 25), "time_s": round(time_s, 6), "face": 0}
            row |= {"track": track, "label": FERPLUS8[best], "score": round(float(score[best]), 4), "unsure": False}
            row |= {f"p_{name}": round(float(p), 4) for name, p in zip(FERPLUS8, score, strict=True)}
            if row["frame"] % every == 0:
                rows.append(row)
    return sorted(rows, key=lambda row: (row["frame"], row["track"]))


def passed(rows: list[Row], timing: Timing) -> tuple[list[Row], SecondPass]:
    survey = Survey(FERPLUS8, timing)
    survey.add(rows)
    second = SecondPass(FERPLUS8, timing, survey.baselines(), survey.absences())
    return list(second.run(rows)), second


def two_people() -> dict[int, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(9)
    times = np.round(np.arange(0, 30, 0.04), 2)
    first = made(times, [("happiness", 3, 5), ("sadness", 12, 14)], rng, noise=0.3)
    second = made(times, [("anger", 4, 6)], rng, noise=0.3)
    kept = (times < 8) | (times > 9.5)
    return {0: (times[kept], first[kept]), 3: (times[:500], second[:500])}


def test_two_people_in_a_table() -> None:
    people = two_people()
    rows = table_rows(people)
    picture: Row = {**rows[0], "source": "p.jpg", "time_s": None, "track": None}
    other = [{**row, "source": "b.mp4"} for row in rows]
    out, second = passed([*rows, picture, *other], Timing(smooth=0.4))
    assert [(row["source"], row["frame"], row["track"]) for row in out] == [
        (row["source"], row["frame"], row["track"]) for row in [*rows, picture, *other]
    ]
    shown = [(e.source, e.track, e.label) for e in second.events]
    one = [(0, "happiness"), (3, "anger"), (0, "sadness")]
    assert shown == [("a.mp4", *x) for x in one] + [("b.mp4", *x) for x in one]
    assert [e.onset_s for e in second.events][:3] == pytest.approx([3, 4, 12], abs=0.2)
    tail = columns(FERPLUS8) + Timing(smooth=0.4).columns(FERPLUS8)
    assert all(tuple(row) == tail for row in out)
    assert all(out[len(rows)][f"smooth_{label}"] is None for label in FERPLUS8)
    assert [sum(row[f"smooth_{label}"] for label in FERPLUS8) for row in out[:50]] == pytest.approx([1] * 50, abs=5e-4)
    # the pass over rows and the function over arrays are one and the same
    for track, (times, scores) in people.items():
        mine = [row for row in out if row["track"] == track and row["source"] == "a.mp4"]
        expected = smooth(times, np.round(scores, 4), 0.4, 0.4)
        assert np.array([[row[f"smooth_{k}"] for k in FERPLUS8] for row in mine]) == pytest.approx(expected, abs=1e-4)
        alone = find_events(
            times, np.round(scores, 4), FERPLUS8, EventOptions(smooth_s=0.4), frames=[r["frame"] for r in mine]
        )
        theirs = [e for e in second.events if e.track == track and e.source == "a.mp4"]
        assert [e.__dict__ | {"source": "a.mp4", "track": track} for e in alone] == [e.__dict__ for e in theirs]


def test_every_fifth_frame_tells_the_same() -> None:
    rows = table_rows(two_people())
    whole = passed(rows, Timing())[1].events
    fifth = passed([row for row in rows if row["frame"] % 5 == 0], Timing())[1].events
    assert [(e.track, e.label) for e in fifth] == [(e.track, e.label) for e in whole]
    assert all(e.onset_frame % 5 == 0 for e in fifth)
    for a, b in zip(whole, fifth, strict=True):
        assert (a.onset_s, a.offset_s) == pytest.approx((b.onset_s, b.offset_s), abs=0.3)


def test_rows_do_not_pile_up() -> None:
    times = np.round(np.arange(0, 120, 0.04), 2)
    rows = table_rows({0: (times, made(times, [], np.random.default_rng(0)))})
    survey = Survey(FERPLUS8, Timing(smooth=0.5))
    survey.add(rows)
    read = 0

    def counted() -> Iterator[Row]:
        nonlocal read
        for row in rows:
            read += 1
            yield row

    second = SecondPass(FERPLUS8, Timing(smooth=0.5), survey.baselines(), survey.absences())
    ahead = [read - i for i, _ in enumerate(second.run(counted()))]
    assert max(ahead) <= 100  # frames of 4 s


def test_events_are_found_in_corrected_scores() -> None:
    rng = np.random.default_rng(8)
    times = np.round(np.arange(0, 20, 0.04), 2)
    scores = rest_scores(rng, len(times), noise=0.3)
    scores[250:300] = made(times[:50], [("happiness", -1, 4)], rng)
    biased = correct(scores, -2.8 * np.eye(8)[FERPLUS8.index("sadness")])
    rows = table_rows({0: (times, biased)})
    options = EventOptions(threshold=0.4)
    assert "sadness" in {e.label for e in passed(rows, Timing(events=options))[1].events}
    out, second = passed(rows, Timing(baseline=True, events=options))
    assert [e.label for e in second.events] == ["happiness"]
    assert out[0]["baseline_sadness"] < 0.1 < out[0]["p_sadness"]


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


def event(label: str, onset: float, apex: float, offset: float, track: int = 0) -> Event:
    frames = [round(t * 25) for t in (onset, apex, offset)]
    return Event("a.mp4", track, label, onset, apex, offset, *frames, 0.9, round(offset - onset, 6))


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
