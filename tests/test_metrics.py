"""Metrics against scikit-learn and slow loops."""

from __future__ import annotations

import numpy as np
import pytest

from mien.metrics import accuracy, calibration_error, confusion, fit_temperature, macro_f1, recalls, reliability, uar
from mien.metrics.calibration import log_softmax


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    truth = random.choice(5, 400, p=[0.5, 0.3, 0.1, 0.07, 0.03])
    return truth, np.where(random.random(400) < 0.7, truth, random.integers(0, 5, 400))


def test_against_scikit_learn(answers: tuple[np.ndarray, np.ndarray]) -> None:
    reference = pytest.importorskip("sklearn.metrics")
    truth, predicted = answers
    matrix = confusion(truth, predicted, 5)
    assert (matrix == reference.confusion_matrix(truth, predicted)).all()
    assert accuracy(matrix) == pytest.approx(reference.accuracy_score(truth, predicted))
    assert uar(matrix) == pytest.approx(reference.balanced_accuracy_score(truth, predicted))
    assert macro_f1(matrix) == pytest.approx(reference.f1_score(truth, predicted, average="macro"))
    assert recalls(matrix) == pytest.approx(reference.recall_score(truth, predicted, average=None))


def test_absent_classes_do_not_count() -> None:
    matrix = confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 3)
    assert np.isnan(recalls(matrix)[2])
    assert uar(matrix) == pytest.approx(0.75)


def test_calibration_error_against_a_loop() -> None:
    random = np.random.default_rng(1)
    scores = random.dirichlet(np.ones(4), 300)
    truth = random.integers(0, 4, 300)
    top, right = scores.max(1), scores.argmax(1) == truth
    slow = 0.0
    for i in range(15):
        inside = (top >= i / 15) & (top < (i + 1) / 15 if i < 14 else top <= 1)
        if inside.any():
            slow += inside.mean() * abs(top[inside].mean() - right[inside].mean())
    assert calibration_error(scores, truth) == pytest.approx(slow)
    assert reliability(scores, truth)[:, 0].sum() == 300


def test_temperature_undoes_a_known_one() -> None:
    random = np.random.default_rng(2)
    logits = random.normal(0, 2, (20000, 6))
    chances = np.exp(log_softmax(logits))
    truth = (chances.cumsum(1) > random.random((20000, 1))).argmax(1)
    assert fit_temperature(logits * 2.5, truth) == pytest.approx(2.5, rel=0.05)
