"""Expressions as events in time: on made curves with known truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mien
from conftest import data_folder
from events_kit import NEUTRAL, Truth, made, rest_scores, table_rows, times_of
from mien.errors import InputError
from mien.events import Event, EventOptions, find_events, smooth
from mien.events.baseline import FLOOR, LEAST_FRAMES, REST, Thinned, correct, rest_of
from mien.events.second_pass import SecondPass, Survey, Timing
from mien.events.smooth import CHUNK, Moment, Smoother
from mien.labels import FERPLUS8
from mien.table import Row, columns


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


@pytest.mark.parametrize("kind", ["one", "many come and go", "pictures"])
def test_rows_do_not_pile_up(kind: str) -> None:
    times = np.round(np.arange(0, 120, 0.04), 2)
    scores = made(times, [], np.random.default_rng(0))
    people = {0: (times, scores)}
    if kind == "many come and go":
        people |= {i: (times[20 * i : 20 * i + 10], scores[:10]) for i in range(1, 100)}
    rows = table_rows(people)
    if kind == "pictures":
        rows = [{**row, "time_s": None, "track": None, "source": f"{i}.jpg"} for i, row in enumerate(rows)]
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
    assert max(ahead) <= (1 if kind == "pictures" else 150)  # of 3,000


def test_the_filter_holds_no_more_than_its_reach() -> None:
    smoother: Smoother[None] = Smoother(0.5)
    held = 0
    for i in range(3000):
        smoother.add(Moment(i / 25, np.ones((1, 2)) / 2, None))
        held = max(held, len(smoother._held))
    assert held <= CHUNK + 2 * 13 + 2


def test_events_are_found_in_corrected_scores() -> None:
    rng = np.random.default_rng(8)
    times = np.round(np.arange(0, 20, 0.04), 2)
    scores = rest_scores(rng, len(times), noise=0.3)
    scores[250:300] = made(times[:50], [("happiness", -1, 4)], rng)
    biased = correct(scores, -2.8 * np.eye(8)[FERPLUS8.index("sadness")])
    rows = table_rows({0: (times, biased)})
    options = EventOptions(threshold=0.2)
    assert "sadness" in {e.label for e in passed(rows, Timing(events=options))[1].events}
    out, second = passed(rows, Timing(baseline=True, events=options))
    assert [e.label for e in second.events] == ["happiness"]
    assert out[0]["baseline_sadness"] < 0.1 < out[0]["p_sadness"]
