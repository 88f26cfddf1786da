"""Metrics against scikit-learn and slow loops."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from conftest import data_folder
from mien.metrics import (
    accuracy,
    aurc,
    balanced,
    bootstrap,
    both_ways,
    calibration_error,
    ccc,
    cohen_kappa,
    confusion,
    count_ratings,
    coverage_at,
    cross_entropy,
    excess_aurc,
    f1_scores,
    fit_temperature,
    fleiss_kappa,
    human_ceiling,
    icc,
    jensen_shannon,
    kl_divergence,
    krippendorff_alpha,
    macro_f1,
    mae,
    mcnemar,
    mcnemar_counts,
    pearson,
    precisions,
    recalls,
    reliability,
    risk_coverage,
    rmse,
    sign_agreement,
    uar,
    uf1,
    weighted_f1,
)  # fmt: skip
from mien.metrics.calibration import log_softmax
from mien.metrics.evaluation import Evaluation


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


def test_more_figures_of_the_matrix_against_scikit_learn(answers: tuple[np.ndarray, np.ndarray]) -> None:
    reference = pytest.importorskip("sklearn.metrics")
    truth, predicted = answers
    matrix = confusion(truth, predicted, 5)
    assert precisions(matrix) == pytest.approx(reference.precision_score(truth, predicted, average=None))
    assert f1_scores(matrix) == pytest.approx(reference.f1_score(truth, predicted, average=None))
    assert weighted_f1(matrix) == pytest.approx(reference.f1_score(truth, predicted, average="weighted"))
    weights = 1 / np.bincount(truth)[truth]
    even = balanced(matrix)
    assert accuracy(even) == pytest.approx(uar(matrix))
    expected = reference.f1_score(truth, predicted, average="macro", sample_weight=weights)
    assert macro_f1(even) == pytest.approx(expected)


def test_figures_of_an_empty_matrix_are_nan() -> None:
    empty = np.zeros((3, 3), int)
    for figure in (accuracy, uar, macro_f1, weighted_f1, uf1):
        assert np.isnan(figure(empty)), figure.__name__
    assert np.isnan(precisions(empty)).all()
    assert balanced(empty).sum() == 0


def test_uf1_sums_over_folds_before_it_divides() -> None:
    """The grand challenge's script, written as its loop over the classes of the pooled answers."""
    random = np.random.default_rng(3)
    truth, predicted, subject = random.integers(0, 3, 90), random.integers(0, 3, 90), random.integers(0, 12, 90)
    folds = np.stack([confusion(truth[subject == s], predicted[subject == s], 3) for s in range(12)])
    slow = []
    for k in range(3):
        tp = ((truth == k) & (predicted == k)).sum()
        fp = ((truth != k) & (predicted == k)).sum()
        fn = ((truth == k) & (predicted != k)).sum()
        slow.append(2 * tp / (2 * tp + fp + fn))
    assert uf1(folds) == pytest.approx(np.mean(slow))
    assert uf1(folds.sum(0)) == pytest.approx(np.mean(slow))
    assert uf1(folds) != pytest.approx(np.mean([macro_f1(fold) for fold in folds]))


def share_right(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float((truth == predicted).mean())


def test_bootstrap_agrees_with_the_binomial_law() -> None:
    truth = np.zeros(400)
    found = bootstrap(share_right, truth, (np.arange(400) % 5 == 0).astype(float), rounds=2000)
    spread = 1.96 * np.sqrt(0.8 * 0.2 / 400)
    assert found.value == pytest.approx(0.8)
    assert found.low == pytest.approx(0.8 - spread, abs=0.006)
    assert found.high == pytest.approx(0.8 + spread, abs=0.006)
    assert str(found).startswith("0.8000 [0.7")
    wide, narrow = (bootstrap(share_right, truth, truth + (truth.cumsum() == 0), level=v) for v in (0.99, 0.5))
    assert wide.low <= narrow.low <= narrow.high <= wide.high


def test_bootstrap_over_people_is_wider() -> None:
    """Ten people of forty rows, each all right or all wrong: only ten draws' worth of evidence."""
    people = np.repeat(np.arange(10), 40)
    right = (people < 7).astype(float)
    by_row = bootstrap(share_right, np.ones(400), right)
    by_person = bootstrap(share_right, np.ones(400), right, groups=people.astype(str))
    assert by_person.value == by_row.value == pytest.approx(0.7)
    assert by_person.high - by_person.low > 4 * (by_row.high - by_row.low)
    assert by_person == bootstrap(share_right, np.ones(400), right, groups=people), "steady, and blind to names"


def test_bootstrap_leaves_out_draws_without_a_figure_and_refuses_nonsense() -> None:
    one_class = bootstrap(pearson, np.zeros(5), np.arange(5.0))
    assert np.isnan(one_class).all()
    with pytest.raises(ValueError, match=r"lengths \[3, 4\]"):
        bootstrap(share_right, np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match=r"lengths \[0\]"):
        bootstrap(share_right, np.zeros(0), np.zeros(0))


def test_evaluation_intervals_are_those_of_the_bootstrap() -> None:
    random = np.random.default_rng(5)
    result = Evaluation("x", ("a", "b", "c"), random.integers(0, 3, 80), random.dirichlet(np.ones(3), 80))
    slow, again = [], np.random.default_rng(0)
    for _ in range(50):
        rows = again.integers(0, 80, 80)
        slow.append(uar(confusion(result.truth[rows], result.scores.argmax(1)[rows], 3)))
    assert result.interval(rounds=50) == pytest.approx((np.percentile(slow, 2.5), np.percentile(slow, 97.5)))


def test_regression_figures() -> None:
    stats = pytest.importorskip("scipy.stats")
    reference = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(6)
    truth = random.normal(0.1, 0.5, 200)
    predicted = 0.6 * truth + random.normal(0.05, 0.3, 200)
    assert pearson(truth, predicted) == pytest.approx(stats.pearsonr(truth, predicted)[0])
    assert rmse(truth, predicted) == pytest.approx(reference.root_mean_squared_error(truth, predicted))
    assert mae(truth, predicted) == pytest.approx(reference.mean_absolute_error(truth, predicted))
    assert sign_agreement(truth, predicted) == pytest.approx(
        np.mean([(a > 0) == (b > 0) for a, b in zip(truth, predicted, strict=True)])
    )
    # Lin's other form: Pearson times the correction for shift and scale
    shift = (truth.mean() - predicted.mean()) / np.sqrt(truth.std() * predicted.std())
    scale = truth.std() / predicted.std()
    assert ccc(truth, predicted) == pytest.approx(pearson(truth, predicted) * 2 / (scale + 1 / scale + shift**2))
    assert ccc(truth, truth + 3) < pearson(truth, truth + 3) == pytest.approx(1)


def test_regression_figures_of_nothing_are_nan() -> None:
    nothing = np.zeros(0)
    assert all(np.isnan(f(nothing, nothing)) for f in (ccc, pearson, rmse, mae, sign_agreement))
    assert np.isnan(ccc(np.ones(3), np.ones(3)))
    assert np.isnan(pearson(np.ones(3), np.arange(3)))
    assert ccc(np.ones(3), np.arange(3)) == 0


@pytest.mark.parametrize(("first", "second"), [(6, 1), (10, 10), (0, 5), (40, 22), (1200, 1100), (0, 0), (1, 0)])
def test_mcnemar_against_scipy(first: int, second: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    found = mcnemar_counts(first, second)
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert found.p_exact == pytest.approx(expected)
    assert found.p_chi2 == pytest.approx(stats.chi2.sf(found.statistic, 1))
    if first != second:
        assert found.statistic == pytest.approx((abs(first - second) - 1) ** 2 / (first + second))
    assert mcnemar_counts(second, first).p_exact == found.p_exact


def test_mcnemar_of_models_that_err_equally_often() -> None:
    found = mcnemar_counts(4, 4)
    assert (found.statistic, found.p_exact) == (0.0, 1.0)


def test_a_score_of_one_belongs_to_the_last_bin_of_an_even_number() -> None:
    table = reliability(np.array([[1.0, 0.0], [0.05, 0.95]]), np.array([0, 1]), bins=10)
    assert table.shape == (10, 3)
    assert table[9].tolist() == [2.0, 0.975, 1.0]


def test_mcnemar_counts_only_rows_where_the_models_differ() -> None:
    truth = np.array([0, 1, 2, 0, 1])
    found = mcnemar(truth, np.array([0, 1, 2, 1, 0]), np.array([0, 2, 0, 0, 2]))
    assert (found.first, found.second) == (2, 1)


def test_divergences_against_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    distance = pytest.importorskip("scipy.spatial.distance")
    random = np.random.default_rng(7)
    votes = random.multinomial(10, [0.5, 0.3, 0.2, 0.0], 50)
    scores = random.dirichlet(np.ones(4), 50)
    kl = np.mean([stats.entropy(v, s) for v, s in zip(votes, scores, strict=True)])
    assert kl_divergence(votes, scores) == pytest.approx(kl)
    entropies = np.mean([stats.entropy(v) for v in votes])
    assert cross_entropy(votes, scores) == pytest.approx(kl + entropies)
    js = np.mean([distance.jensenshannon(v, s) ** 2 for v, s in zip(votes, scores, strict=True)])
    assert jensen_shannon(votes, scores) == pytest.approx(js)
    assert kl_divergence(votes, votes) == pytest.approx(0)
    more = np.concatenate([votes, np.zeros((5, 4), int)]), np.concatenate([scores, scores[:5]])
    assert cross_entropy(*more) == pytest.approx(cross_entropy(votes, scores)), "rows without a vote do not count"
    assert np.isfinite(cross_entropy(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])))
    assert np.isnan(kl_divergence(np.zeros((2, 3)), np.ones((2, 3))))


def test_human_ceiling_against_every_tagger_in_turn() -> None:
    random = np.random.default_rng(8)
    votes = np.stack([random.multinomial(10, random.dirichlet(np.full(5, 0.3))) for _ in range(40)])
    found = human_ceiling(votes, smoothing=0.2)
    right, agreed, kl, js = [], [], [], []
    for row in votes:
        labels = np.repeat(np.arange(5), row)
        for i, own in enumerate(labels):
            rest = np.bincount(np.delete(labels, i), minlength=5)
            tied = np.flatnonzero(rest == rest.max())
            right.append((own in tied) / len(tied))
            agreed.append(rest[own] / 9)
            smooth = np.full(5, 0.2 / 4)
            smooth[own] = 0.8
            kl.append(kl_divergence(rest[None], smooth[None]))
            js.append(jensen_shannon(rest[None], np.eye(5)[own][None]))
    assert found.faces == 40
    assert found.accuracy == pytest.approx(np.mean(right))
    assert found.agreement == pytest.approx(np.mean(agreed))
    assert found.kl == pytest.approx(np.mean(kl))
    assert found.js == pytest.approx(np.mean(js))
    best = human_ceiling(votes)
    assert best.smoothing == pytest.approx(1 - best.agreement)
    assert all(best.kl <= human_ceiling(votes, s).kl for s in np.linspace(0.01, 0.99, 50))


def test_human_ceiling_at_its_ends() -> None:
    agreed = human_ceiling(np.array([[10, 0], [0, 10], [1, 0]]))
    assert (agreed.faces, agreed.accuracy, agreed.agreement) == (2, 1, 1)
    assert agreed.kl == pytest.approx(0, abs=1e-9)
    assert agreed.js == pytest.approx(0)
    assert human_ceiling(np.array([[1, 1]])).accuracy == 0
    assert np.isnan(human_ceiling(np.array([[1, 0]])).accuracy)


def test_human_ceiling_of_the_real_votes() -> None:
    """One of FER+'s ten taggers says what most of the other nine say for seven of ten faces."""
    path = data_folder("fer2013") / "fer2013new.csv"
    with open(path, newline="") as file:
        rows = list(csv.reader(file))[1:]
    votes = np.array([row[2:] for row in rows], int)
    found = human_ceiling(votes[[row[0] == "PrivateTest" for row in rows]])
    assert found.faces == 3589
    assert found.accuracy == pytest.approx(0.702, abs=5e-4)
    assert found.agreement == pytest.approx(0.609, abs=5e-4)


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_cohen_kappa_against_scikit_learn(answers: tuple[np.ndarray, np.ndarray], weights: str) -> None:
    reference = pytest.importorskip("sklearn.metrics")
    expected = reference.cohen_kappa_score(*answers, weights=None if weights == "none" else weights)
    assert cohen_kappa(confusion(*answers, 5), weights) == pytest.approx(expected)  # type: ignore[arg-type]


def test_cohen_kappa_at_its_ends() -> None:
    assert np.isnan(cohen_kappa(np.array([[5, 0], [0, 0]])))
    assert np.isnan(cohen_kappa(np.zeros((2, 2))))
    with pytest.raises(ValueError, match="'cubic'; it must be one of none, linear, quadratic"):
        cohen_kappa(np.eye(2), "cubic")  # type: ignore[arg-type]


FLEISS_EXAMPLE = np.array(
    [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]
)  # fmt: skip
"""Ten items, fourteen raters, five categories: the worked example that the textbooks share, kappa 0.210."""


def test_fleiss_kappa() -> None:
    assert fleiss_kappa(FLEISS_EXAMPLE) == pytest.approx(0.210, abs=5e-4)
    assert np.isnan(fleiss_kappa(np.array([[3, 0], [3, 0]])))
    with pytest.raises(ValueError, match="2 to 3 ratings; use krippendorff_alpha"):
        fleiss_kappa(np.array([[3, 0], [1, 1]]))


def test_krippendorff_alpha() -> None:
    """Krippendorff's own table of four observers and twelve units with gaps: nominal alpha 0.743."""
    ratings = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
            [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
        ]
    )
    counts = count_ratings(ratings - 1, 5)
    assert counts.sum() == 41
    assert krippendorff_alpha(counts) == pytest.approx(0.743, abs=5e-4)
    # without gaps it is Fleiss' kappa with a correction for few ratings
    n = FLEISS_EXAMPLE.sum()
    kappa = fleiss_kappa(FLEISS_EXAMPLE)
    assert krippendorff_alpha(FLEISS_EXAMPLE) == pytest.approx(kappa + (1 - kappa) / n)
    assert np.isnan(krippendorff_alpha(np.array([[2, 0], [1, 0]])))


def test_icc_against_the_table_of_shrout_and_fleiss() -> None:
    ratings = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
    found = icc(ratings)
    single = (found.icc11, found.icc21, found.icc31)
    mean = (found.icc1k, found.icc2k, found.icc3k)
    assert [round(v, 2) for v in single + mean] == [0.17, 0.29, 0.71, 0.44, 0.62, 0.91]
    with pytest.raises(ValueError, match=r"shape \(6, 1\): at least two items by two raters"):
        icc(ratings[:, :1])


def test_risk_coverage_against_a_loop() -> None:
    random = np.random.default_rng(9)
    confidence, right = random.random(60), random.random(60) < 0.7
    curve = risk_coverage(confidence, right)
    order = sorted(range(60), key=lambda i: -confidence[i])
    slow = [np.mean([not right[i] for i in order[:n]]) for n in range(1, 61)]
    assert curve[:, 1] == pytest.approx(slow)
    assert aurc(confidence, right) == pytest.approx(np.mean(slow))
    assert excess_aurc(right.astype(float), right) == 0
    assert excess_aurc(confidence, right) > 0
    assert len(risk_coverage(np.zeros(0), np.zeros(0))) == 0
    assert np.isnan(aurc(np.zeros(0), np.zeros(0)))


def test_risk_of_equal_confidences_is_that_of_a_random_order() -> None:
    right = np.array([True, False, False, True, True])
    assert aurc(np.full(5, 0.5), right) == pytest.approx(0.4)
    assert aurc(np.full(5, 0.5), right[::-1]) == pytest.approx(0.4)
    random, confidence = np.random.default_rng(10), np.array([0.9, 0.7, 0.7, 0.7, 0.2])
    drawn = [aurc(confidence + random.random(5) * 1e-6, right) for _ in range(4000)]
    assert aurc(confidence, right) == pytest.approx(np.mean(drawn), abs=3e-3)


def test_coverage_at_a_risk() -> None:
    confidence, right = np.array([0.9, 0.8, 0.8, 0.4]), np.array([True, True, False, True])
    assert coverage_at(confidence, right, 0.0) == (0.25, 0.9)
    assert coverage_at(confidence, right, 0.25) == (1.0, 0.4)
    assert coverage_at(confidence, ~right, 0.0) == (0.0, np.inf)
    assert coverage_at(np.zeros(0), np.zeros(0), 0.5) == (0.0, np.inf)


def test_figures_with_and_without_copies() -> None:
    truth, predicted = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 1])
    found = both_ways(share_right, np.array([True, False, False, False]), truth, predicted)
    assert (found.official, found.rows, found.copies) == (0.5, 4, 1)
    assert found.distinct == pytest.approx(1 / 3)
    assert np.isnan(both_ways(share_right, np.ones(4, bool), truth, predicted).distinct)
