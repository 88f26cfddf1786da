"""Comparison of groups in the report: effect sizes against slow loops, units, what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import InputError
from mien.metrics import bootstrap
from mien.metrics.effects import _counts, _drawn_delta, _drawn_g, cliffs_delta, contrast, correction, hedges_g
from mien.report.page import groups
from page_kit import EVENT, make_folder, row


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording of 101 frames (happy in 26 of them, away in 20), and two pictures."""
    rows = [row("a.mp4", i, 1 if 25 <= i <= 50 else 2) for i in range(101) if not 60 <= i < 80]
    rows += [row("b.jpg", 0, 0, time=False, track=None, unsure=True), row("c.jpg", 0, 2, time=False, track=None)]
    return make_folder(tmp_path / "out", rows, [["a.mp4", *EVENT]])


def test_effect_sizes_against_slow_loops() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 17), rng.normal(0.7, 2, 23)
    wins = sum(int(y > x) - int(y < x) for x in a for y in b)
    assert cliffs_delta(a, b) == pytest.approx(wins / (17 * 23))
    assert cliffs_delta(np.zeros(3), np.zeros(4)) == 0
    pooled = np.sqrt((16 * a.var(ddof=1) + 22 * b.var(ddof=1)) / 38)
    # the usual approximation of J is right to a thousandth here
    assert hedges_g(a, b) == pytest.approx((b.mean() - a.mean()) / pooled * (1 - 3 / (4 * 38 - 1)), rel=1e-3)
    assert correction(10) == pytest.approx(0.9227, abs=1e-4)  # Hedges 1981, table of J
    assert np.isnan(hedges_g(np.ones(4), np.ones(4)))


def test_drawn_figures_are_those_of_drawn_values() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.beta(1, 5, 9), rng.beta(2, 5, 7) + 100.0
    times_a, times_b = _counts(rng, 20, 9), _counts(rng, 20, 7)
    fast = _drawn_g(a, b, times_a, times_b)
    for i in range(20):
        slow = hedges_g(np.repeat(a, times_a[i].astype(int)), np.repeat(b, times_b[i].astype(int)))
        assert fast[i] == pytest.approx(slow, rel=1e-6)


def test_drawn_deltas_are_those_of_drawn_values() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.integers(0, 5, 9).astype(float), rng.integers(1, 6, 7).astype(float)  # with ties
    times_a, times_b = _counts(rng, 20, 9), _counts(rng, 20, 7)
    fast = _drawn_delta(a, b, times_a, times_b)
    for i in range(20):
        slow = cliffs_delta(np.repeat(a, times_a[i].astype(int)), np.repeat(b, times_b[i].astype(int)))
        assert fast[i] == pytest.approx(slow)


def test_many_values_are_drawn_in_blocks() -> None:
    rng = np.random.default_rng(5)
    found = contrast(rng.normal(0, 1, 4000), rng.normal(0.2, 1, 3000), rounds=1200)
    # normal theory: standard error of the difference sqrt(1 / 4000 + 1 / 3000)
    half = 1.96 * np.sqrt(1 / 4000 + 1 / 3000)
    assert (found.difference.high - found.difference.low) / 2 == pytest.approx(half, rel=0.1)


@pytest.mark.parametrize("paired", [True, False])
def test_intervals_agree_with_the_plain_bootstrap(paired: bool) -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(0, 1, 30)
    b = a + rng.normal(0.5, 0.3, 30)
    ours = contrast(a, b, paired=paired, comparisons=8)
    if paired:
        plain = bootstrap(lambda x, y: float((y - x).mean()), a, b, rounds=4000)
    else:
        draws = [b[rng.integers(0, 30, 30)].mean() - a[rng.integers(0, 30, 30)].mean() for _ in range(4000)]
        low, high = np.percentile(draws, [2.5, 97.5])
        plain = ours.difference._replace(low=low, high=high)
    width = plain.high - plain.low
    assert ours.difference.low == pytest.approx(plain.low, abs=0.08 * width)
    assert ours.difference.high == pytest.approx(plain.high, abs=0.08 * width)
    assert ours.difference_all.low < ours.difference.low < ours.difference.value < ours.difference.high
    assert ours.delta.value == pytest.approx(cliffs_delta(a, b))
    assert ours.delta.low <= ours.delta.value <= ours.delta.high


def entry(source: str, score: float, faces: int = 10, **more: object) -> dict[str, Any]:
    return {"source": source, "faces": faces, "mean_score": {"anger": score}, "tracks": [], **more}


def test_pairs_are_found_and_those_in_one_group_left_out(tmp_path: Path) -> None:
    entries = [entry(f"{p}_{c}.jpg", p / 10 + (c == "b")) for p in range(5) for c in "ab"] + [entry("9_a.jpg", 0.9)]
    lines = [f"{e['source']},{e['source'][2]},p{e['source'][0]}" for e in entries]
    (tmp_path / "g.csv").write_text("source,group,person\n" + "\n".join(lines))
    chosen = groups.read_groups(tmp_path / "g.csv", [e["source"] for e in entries])
    (found,) = groups.compare(chosen, entries, ("anger",), groups.choose_unit(None, chosen, entries))
    assert (found.first, found.second, found.sizes, found.paired) == ("a", "b", (5, 5), True)
    assert found.results[0] is not None
    # each person differs by just 1
    assert tuple(found.results[0].difference) == pytest.approx((1, 1, 1))
    assert found.notes[0] == "1 seen in one group only are left out: the comparison is within people."
    assert "Fewer than 10 people" in found.notes[1]


def test_files_and_people_are_different_units() -> None:
    tracks = [{"track": t, "faces": f, "mean_score": {"anger": s}} for t, f, s in ((0, 90, 0.0), (1, 10, 1.0))]
    entries = [entry("x1.mp4", 0.1, 100, tracks=tracks), entry("y1.mp4", 0.5, 100)]
    chosen = groups.match_groups(["x*=x", "y*=y"], ["x1.mp4", "y1.mp4", "z.mp4"])
    assert chosen.left == ["z.mp4"]
    by_file = groups.compare(chosen, entries, ("anger",), "file")[0]
    assert by_file.means == [(pytest.approx(0.1), pytest.approx(0.5))]
    assert by_file.results == [None]
    assert "no interval" in by_file.notes[-1]
    by_person = groups.compare(chosen, entries, ("anger",), "person")[0]
    assert by_person.sizes == (2, 1)
    assert by_person.means[0][0] == pytest.approx(0.5)
    assert "Nobody was named" in by_person.notes[-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,group\n", "must name the columns source and group, but names file, group"),
        ("source,group\nq.mp4,x\n", "line 2: 'q.mp4' was not analysed there"),
        ("source,group\na.mp4,\n", "line 2: source or group is empty"),
        ("source,group\na.mp4,x\na,y\n", "line 3: 'a' is in 'x' above"),
        ("source,group\na.mp4,x\n", "needs two groups, found x"),
        ("source,group\nc.mp4,x\n", "may be 1/c.mp4 or 2/c.mp4; give the path"),
    ],
)
def test_bad_groups_are_refused_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "g.csv").write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        groups.read_groups(tmp_path / "g.csv", ["a.mp4", "1/c.mp4", "2/c.mp4"])


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["a*"], "expected PATTERN=name"),
        (["q*=x", "a*=y"], "no analysed file matches 'q*'"),
        (["a*=x", "*=y"], "a.mp4 is in both 'x' and 'y'"),
        (["a*=x"], "needs two groups"),
    ],
)
def test_bad_patterns_are_refused_in_one_sentence(patterns: list[str], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        groups.match_groups(patterns, ["a.mp4", "b.mp4"])
