"""Figures of a paper: each is written, is not blank, and shows what it was given."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.errors import DataError
from mien.labels import EMOTIONET23, FERPLUS8, MICRO3
from mien.metrics import confusion
from mien.report.research import (
    Curves,
    confusion_figure,
    folds_figure,
    reliability_figure,
    risk_coverage_figure,
    training_figure,
)

Answers = tuple[np.ndarray, np.ndarray]


def answers(classes: int, rows: int = 600, skill: float = 2.0) -> Answers:
    """Truth [N] and scores [N, K] of a made-up model."""
    random = np.random.default_rng(classes)
    truth = random.integers(0, classes, rows)
    logits = random.normal(0, 1, (rows, classes)) + skill * np.eye(classes)[truth]
    scores = np.exp(logits)
    return truth, scores / scores.sum(1, keepdims=True)


def ink(path: Path) -> np.ndarray:
    """The picture, checked to be one with something on it and white edges: nothing is cut off."""
    image = cv2.imread(str(path))
    assert image is not None
    assert 400 < image.shape[1] <= 3000
    assert (image < 128).mean() > 0.002
    for edge in (image[:8], image[-8:], image[:, :8], image[:, -8:]):
        assert (edge == 255).all(), "something runs over the edge"
    return image


@pytest.mark.parametrize("labels", [MICRO3, FERPLUS8, EMOTIONET23, ("no", "a label with a very long name indeed")])
def test_confusion(tmp_path: Path, labels: tuple[str, ...]) -> None:
    truth, scores = answers(len(labels))
    matrix = confusion(truth, scores.argmax(1), len(labels))
    matrix[0] = 0
    confusion_figure(matrix, labels, tmp_path / "confusion.png", title="A model")
    ink(tmp_path / "confusion.png")
    with open(tmp_path / "confusion.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0][1:] == list(labels)
    assert [row[0] for row in rows[1:]] == list(labels)
    assert np.array_equal([[int(v) for v in row[1:]] for row in rows[1:]], matrix)


def test_reliability(tmp_path: Path) -> None:
    truth, scores = answers(8)
    reliability_figure(scores, truth, tmp_path / "r.png")
    ink(tmp_path / "r.png")
    reliability_figure(np.eye(3), np.arange(3), tmp_path / "sure.svg")
    assert "<svg" in (tmp_path / "sure.svg").read_text()


def test_risk_and_coverage(tmp_path: Path) -> None:
    models = {}
    for name, skill in (("mien-s", 1.0), ("mien-m", 2.0), ("a third with a longer name", 3.0)):
        truth, scores = answers(8, skill=skill)
        models[name] = scores.max(1), scores.argmax(1) == truth
    risk_coverage_figure(models, tmp_path / "r.png", unsure_below=0.45)
    ink(tmp_path / "r.png")
    risk_coverage_figure({"right": (np.ones(3), np.ones(3, bool))}, tmp_path / "one.png", unsure_below=2.0)
    ink(tmp_path / "one.png")


def test_bars_of_folds(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    names = ("random start", "softmax alone", "without angles", "pre-trained")
    folds_figure({name: random.uniform(0.8, 1, 10) for name in names}, tmp_path / "ten.png")
    image = ink(tmp_path / "ten.png")
    # one of the four colours: eleven bars of it, the last is the mean
    blue = (np.abs(image[-160].astype(int) - (0xA6, 0x7E, 0x3D)) <= 8).all(1)
    assert (np.diff(blue.astype(int)) == 1).sum() == 11
    people = [f"sub{i:02d}" for i in range(68)]
    folds_figure({"one": [float("nan"), *random.random(67)]}, tmp_path / "loso.png", folds=people, metric="UF1")
    ink(tmp_path / "loso.png")
    folds_figure({"one": [0.5]}, tmp_path / "one.pdf", folds=["a subject with a long name"])
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")


def test_training_curves(tmp_path: Path) -> None:
    epochs = np.arange(60)
    runs = {
        f"run {i}": Curves(list(np.exp(-epochs / (5 + i))), [float("nan"), *(1 - 0.5 * np.exp(-epochs[1:] / 9))])
        for i in range(10)
    }
    training_figure(runs, tmp_path / "t.png")
    ink(tmp_path / "t.png")
    training_figure({"short": Curves([1.0], [0.5])}, tmp_path / "one.png", measured="accuracy of fold 1")
    ink(tmp_path / "one.png")


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    with pytest.raises(DataError, match=r"shape \(2, 2\) and sum 4 for 3 labels"):
        confusion_figure(np.ones((2, 2), int), MICRO3, path)
    with pytest.raises(DataError, match="sum 0 for 3 labels"):
        confusion_figure(np.zeros((3, 3), int), MICRO3, path)
    with pytest.raises(DataError, match="at least one row"):
        reliability_figure(np.zeros((0, 3)), np.zeros(0, int), path)
    with pytest.raises(DataError, match="at least one model"):
        risk_coverage_figure({}, path)
    with pytest.raises(DataError, match=r"equally many folds of each run, got \[2, 1\]"):
        folds_figure({"a": [0.5, 0.6], "b": [0.5]}, path)
    with pytest.raises(DataError, match="at least one epoch"):
        training_figure({"a": Curves([], [])}, path)
    assert not list(tmp_path.iterdir())


def test_no_global_state(tmp_path: Path) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    training_figure({"a": Curves([1.0, 0.5], [0.5, 0.6])}, tmp_path / "t.png")
    assert dict(mpl.rcParams) == before
