"""Figures by group: against a slow loop, against made groups whose truth is known, and as a user runs it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import data_folder
from mien.bench import fairness as bench
from mien.bench.answers import answers
from mien.bench.fairness import group_names, judge, mean_by_group
from mien.bench.robust import wilson
from mien.cli import app
from mien.datasets import DATASETS
from mien.datasets.clips import fake as fake_clips
from mien.datasets.clips import read_folder
from mien.errors import DataError, WeightsError
from mien.metrics import calibration_error

LABELS = ("anger", "fear", "happiness")


def made(rows: int = 120, people: int = 12, hit: tuple[float, float] = (0.8, 0.8), seed: int = 0):
    """Truth, scores, group (half of the people in each) and person; `hit` is how often each group's answer is right."""
    random = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), rows // people)
    group = np.where(person % 2, "b", "a")
    truth = random.integers(0, 3, rows)
    right = random.random(rows) < np.where(group == "a", hit[0], hit[1])
    said = np.where(right, truth, (truth + random.integers(1, 3, rows)) % 3)
    top = random.uniform(0.4, 0.95, rows)
    scores = np.repeat((1 - top)[:, None] / 2, 3, axis=1)
    scores[np.arange(rows), said] = top
    return truth, scores, group, person.astype(str)


def test_figures_of_each_group_are_those_of_a_slow_loop() -> None:
    truth, scores, group, person = made()
    found = judge(LABELS, truth, scores, group, person, rounds=50)
    for one in found.groups:
        own = [i for i in range(len(truth)) if group[i] == one.name]
        right = [int(scores[i].argmax() == truth[i]) for i in own]
        assert one.rows == len(own)
        assert one.people == len({person[i] for i in own})
        assert one.figures["accuracy"].value == pytest.approx(sum(right) / len(own))
        shares = []
        for k, label in enumerate(LABELS):
            hits = [r for i, r in zip(own, right, strict=True) if truth[i] == k]
            assert one.support[label] == len(hits)
            assert one.figures[f"recall {label}"].value == pytest.approx(sum(hits) / len(hits))
            shares.append(sum(hits) / len(hits))
        assert one.figures["uar"].value == pytest.approx(sum(shares) / 3)
        over = sum(max(scores[i]) for i in own) / len(own) - sum(right) / len(own)
        assert one.figures["over"].value == pytest.approx(over)
        assert one.figures["ece"].value == pytest.approx(calibration_error(scores[own], truth[own]))
    first, second = found.groups
    gap = next(iter(found.gaps.values()))
    assert "ece" not in gap
    sign = 1 if found.reference == first.name else -1
    assert gap["uar"].value == pytest.approx(sign * (second.figures["uar"].value - first.figures["uar"].value))


@pytest.mark.parametrize("known", [True, False])
def test_intervals_hold_what_they_should(known: bool) -> None:
    """Of 40 data sets in which the groups do not differ, about 38 intervals hold 0; where they differ by .4, none."""
    held = outside = 0
    for seed in range(40):
        truth, scores, group, person = made(240, 24, seed=seed)
        gap = next(iter(judge(LABELS, truth, scores, group, person if known else None, rounds=60).gaps.values()))
        held += gap["accuracy"].low <= 0 <= gap["accuracy"].high
    for seed in range(5):
        truth, scores, group, person = made(240, 24, (0.9, 0.5), seed)
        gap = next(iter(judge(LABELS, truth, scores, group, person if known else None, rounds=60).gaps.values()))
        outside += gap["accuracy"].low > 0 or gap["accuracy"].high < 0
    assert held >= 34
    assert outside == 5


def test_whole_people_are_drawn() -> None:
    """Where each person is always right or always wrong, samples say no more than people do."""
    person = np.repeat(np.arange(20), 30)
    group = np.where(person < 10, "a", "b")
    truth = np.zeros(600, np.int64)
    scores = np.where((person % 2)[:, None].astype(bool), [[0.8, 0.2]], [[0.2, 0.8]])
    by_person = judge(LABELS[:2], truth, scores, group, person.astype(str)).groups[0].figures["accuracy"]
    by_sample = judge(LABELS[:2], truth, scores, group).groups[0].figures["accuracy"]
    # half of ten people: the deviation of a share of ten draws is .158, of 300 draws .029
    assert by_person.high - by_person.low == pytest.approx(2 * 1.96 * 0.158, rel=0.15)
    assert by_sample.high - by_sample.low == pytest.approx(2 * 1.96 * 0.029, rel=0.15)


def test_people_in_both_groups_are_drawn_together() -> None:
    """With and without glasses, the same people: what differs between people cancels out in the difference."""
    person = np.repeat(np.arange(20), 20)
    group = np.tile(np.repeat(["with", "without"], 10), 20)
    truth = np.zeros(400, np.int64)
    good = np.random.default_rng(0).random(400) < 0.1 + 0.8 * (person % 2)
    scores = np.where(good[:, None], [[0.8, 0.2]], [[0.2, 0.8]])
    together = judge(LABELS[:2], truth, scores, group, person.astype(str))
    apart = judge(LABELS[:2], truth, scores, group, np.char.add(person.astype(str), group))
    assert together.crossed
    assert not apart.crossed
    width = [(g := next(iter(f.gaps.values()))["accuracy"]).high - g.low for f in (together, apart)]
    assert width[0] < 0.5 * width[1]


def test_a_share_of_none_or_all_has_wilsons_interval() -> None:
    truth, scores, group, person = made(hit=(1.0, 0.7))
    found = judge(LABELS, truth, scores, group, person, rounds=60)
    figures = found.groups[0].figures
    assert figures["accuracy"][1:] == pytest.approx(wilson(6, 6))
    assert figures["recall anger"].low < 1
    gap = next(iter(found.gaps.values()))["accuracy"]
    sign = 1 if found.reference == "b" else -1
    assert gap.value * sign > 0
    assert gap.high > gap.value > gap.low


def test_few_people_and_samples_without_a_group_are_told() -> None:
    truth, scores, group, person = made()
    group[:20] = ""
    found = judge(LABELS, truth, scores, group, person, rounds=20)
    assert found.left_out == 20
    assert all(one.few for one in found.groups)
    assert not judge(LABELS, truth, scores, group, None, rounds=20).groups[0].few
    with pytest.raises(DataError, match="only b has scored samples"):
        judge(LABELS, truth, scores, np.where(group == "a", "", group))


def test_pictures_without_a_face_are_counted_and_not_scored() -> None:
    truth, scores, group, _ = made()
    lost = np.flatnonzero(group == "a")[:15]
    scores[lost] = np.nan
    found = judge(LABELS, truth, scores, group, rounds=20)
    a, b = found.groups
    assert a.rows == 45
    assert a.found is not None
    assert b.found is not None
    assert a.found.value == 0.75
    assert a.found[1:] == pytest.approx(wilson(45, 60))
    assert b.found.value == 1


def test_columns_become_groups() -> None:
    assert group_names("g", np.array([True, False])).tolist() == ["True", "False"]
    assert group_names("g", np.array([1.0, np.nan, 2.0])).tolist() == ["1", "", "2"]
    assert group_names("g", np.array([" F", "M ", ""])).tolist() == ["F", "M", ""]
    ages = np.array(["19", "20", "", "39.5", "40"])
    assert group_names("age", ages, [20, 40]).tolist() == ["below 20", "20 to 40", "", "20 to 40", "40 and more"]
    for column, bins, message in (
        (np.arange(40), (), "40 different values"),
        (np.array(["x", "y"]), (1.0,), "no column of numbers"),
        (np.arange(4), (3.0, 1.0), "ascend"),
        (np.zeros((4, 2)), (), "no groups"),
        (np.array(["x", "x"]), (), "one group: x"),
        (np.array(["", ""]), (), "no value"),
    ):
        with pytest.raises(DataError, match=message):
            group_names("g", column, bins)


def test_the_mean_of_a_column_by_group() -> None:
    column = np.array([1.0, 3.0, np.nan, 10.0])
    found = mean_by_group(column, np.array(["a", "a", "a", "b"]), None, rounds=200)
    assert found["a"].value == 2
    assert found["b"] == (10, 10, 10)
    with pytest.raises(DataError, match="column of numbers"):
        mean_by_group(np.array(["x"]), np.array(["a"]), None)


def own_pictures(root: Path, portrait: np.ndarray, whole: bool = False) -> Path:
    """Twelve pictures of one face, lighter and darker, in a labels.csv with a group and a further column."""
    root.mkdir()
    face = portrait if whole else portrait[40:180, 150:290]
    with open(root / "labels.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "Skin", "age", "subject"])
        for number in range(12):
            cv2.imwrite(str(root / f"{number}.png"), (face[:, :, ::-1] * (0.6 + 0.03 * number)).astype(np.uint8))
            table.writerow([f"{number}.png", "happy", "dark" if number % 2 else "light", 20 + number, f"p{number}"])
    return root


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["bench", "fairness", *arguments])
    return done.exit_code, done.output, str(done.exception or "")


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.judge, "__kwdefaults__", {"rounds": 100, "seed": 0})


def test_a_folder_of_ones_own(tmp_path: Path, portrait: np.ndarray) -> None:
    root, out = own_pictures(tmp_path / "mine", portrait), tmp_path / "deep" / "f.json"
    code, text, _ = run("folder", str(root), "--group", "skin", "--weights", "mien-s", "--results", str(out))
    assert code == 0, text
    assert "| dark | 6 | 6 |" in text
    assert "light minus dark" in text
    assert "Fewer than ten people in dark, light" in text
    facts = json.loads(out.read_text())
    assert facts["weights"]["mien-s"]["groups"][0]["figures"]["accuracy"][0] == 1.0
    assert facts["weights"]["mien-s"]["groups"][0]["support"] == {"happiness": 6}
    code, text, _ = run("folder", str(root), "--group", "age", "--bins", "26", "--weights", "mien-s", "--beside", "age")
    assert code == 1
    code, text, _ = run("folder", str(root), "--group", "age", "--bins", "26", "--weights", "mien-s")
    assert code == 0, text
    assert "| 26 and more | 6 | 6 |" in text


def test_faces_are_looked_for_where_asked(tmp_path: Path, portrait: np.ndarray) -> None:
    root = own_pictures(tmp_path / "mine", portrait, whole=True)
    cv2.imwrite(str(root / "3.png"), np.full((200, 200, 3), 128, np.uint8))
    code, text, _ = run("folder", str(root), "--group", "skin", "--weights", "mien-s", "--detector", "blazeface")
    assert code == 0, text
    row = next(line for line in text.splitlines() if line.startswith("| dark"))
    assert row.startswith("| dark | 5 | 5 | 0.833 (")


def test_wrong_calls_are_sentences(tmp_path: Path, portrait: np.ndarray) -> None:
    root = own_pictures(tmp_path / "mine", portrait)
    for arguments, message in (
        (["--group", "colour"], "does not state 'colour'; it says skin, age"),
        (["--group", "age", "--bins", "30,20"], "expected numbers that ascend"),
        (["--group", "skin", "--split", "test"], "no test samples"),
        (["--group", "skin", "--weights", str(tmp_path)], "has no predictions.npz"),
        (["--group", "skin", "--weights", "mien-x"], "mien-x"),
    ):
        weights = [] if "--weights" in arguments else ["--weights", "mien-s"]
        code, _, said = run("folder", str(root), *arguments, *weights)
        assert code == 1
        assert message in said
    assert run("folder", str(root), "--group", "skin", "--split", "some")[0] == 2
    assert run("folder", str(root), "--group", "skin", "--bins", "a,b")[0] == 2
    fake = tmp_path / "pedfe"
    from mien.datasets.pedfe import fake as fake_pedfe

    fake_pedfe(fake)
    assert "cut them to the face first" in run("pedfe", str(fake), "--group", "genuine")[2]


def test_clips_that_are_cut_keep_their_columns(tmp_path: Path) -> None:
    fake_clips(tmp_path)
    code, text, said = run("clips", str(tmp_path), "--group", "genuine", "--weights", "mien-s", "--beside", "intensity")
    assert code == 0, text + said
    assert "Mean intensity: False" in text
    assert "| True | 2 | 12 |" in text


def test_a_tested_run_is_judged_by_its_predictions(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "run"
    fake_clips(data)
    folder.mkdir()
    index = read_folder(data)
    rows = np.arange(len(index))[::-1]
    scores = np.eye(6)[index.majority[rows]]
    np.savez(folder / "predictions.npz", rows=rows, truth=index.majority[rows], scores=scores)
    found = answers(str(folder), "clips", data)
    assert found.person is not None
    assert np.array_equal(found.column("genuine"), index.extra["genuine"][rows])
    judged = judge(found.labels, found.truth, found.scores, group_names("genuine", found.column("genuine")))
    assert [one.figures["accuracy"].value for one in judged.groups] == [1, 1]
    np.savez(folder / "predictions.npz", rows=rows, truth=(index.majority[rows] + 1) % 6, scores=scores)
    with pytest.raises(WeightsError, match="other data"):
        answers(str(folder), "clips", data)
    np.savez(folder / "predictions.npz", rows=rows)
    with pytest.raises(WeightsError, match="no scores of classes"):
        answers(str(folder), "clips", data)


def test_further_columns_of_a_folder(tmp_path: Path, portrait: np.ndarray) -> None:
    root = own_pictures(tmp_path / "mine", portrait)
    lines = (root / "labels.csv").read_text().splitlines()
    lines[0] += ",votes,Site"
    lines[1] += ",3,Rome"
    (root / "labels.csv").write_text("\n".join(lines))
    extra = DATASETS.create("folder", root=root).extra
    assert list(extra) == ["skin", "age", "site"]  # what training would take for votes is left out
    assert extra["site"].tolist() == ["Rome", *[""] * 11]


def test_no_torch_is_needed(tmp_path: Path, portrait: np.ndarray) -> None:
    """Nor by `bench robust`, which shares files with it."""
    root = own_pictures(tmp_path / "mine", portrait)
    block = "import sys; sys.modules['torch'] = None; import mien.bench.robust; from mien.cli import main; main()"
    command = [sys.executable, "-c", block, "bench", "fairness", "folder", str(root), "--group", "skin"]
    done = subprocess.run([*command, "--weights", "mien-s"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "light minus dark" in done.stdout


def test_real_clips_state_the_gender_of_45_people() -> None:
    index = DATASETS.create("pedfe", root=data_folder("pedfe"))
    of = dict(zip(index.subject.tolist(), index.extra["gender"].tolist(), strict=True))
    assert sorted(of.values()).count("F") == 30
    assert sorted(of.values()).count("M") == 15
