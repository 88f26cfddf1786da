"""Fusions: each against a slow loop, scikit-learn or a case worked by hand; what is missing; what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mien.errors import DataError
from mien.fusions import FUSIONS
from mien.fusions.linear import ByPresence, SoftmaxRegression, choose

NAMES = ("audio", "video", "text")
DECISION = [name for name in FUSIONS.names() if FUSIONS.facts(name)["level"] == "decision"]


def drawn(
    rows: int = 60, classes: int = 4, seed: int = 0, sure: float = 1.0
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Scores of three modalities of rising skill, and the truth."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, rows)
    scores = {}
    for skill, name in enumerate(NAMES, 1):
        z = random.normal(0, 1, (rows, classes)) + 0.7 * skill * np.eye(classes)[truth]
        scores[name] = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return scores, truth


def features_of(rows: int = 90, classes: int = 3, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, rows)
    return {name: random.normal(0, 3, (rows, 4)) + truth[:, None] * k for k, name in enumerate(NAMES)}, truth


def fitted(name: str, scores: dict[str, np.ndarray], truth: np.ndarray) -> object:
    fusion = FUSIONS.create(name)
    fusion.fit(scores, truth)
    return fusion


@pytest.mark.parametrize("name", FUSIONS.names())
def test_every_fusion_states_its_facts(name: str) -> None:
    facts = FUSIONS.facts(name)
    assert facts["level"] in ("decision", "feature", "hybrid")
    assert facts["reads"] in ("scores", "features", "both")
    assert facts["paper"]
    text = type(FUSIONS.create(name)).__doc__ or ""
    assert "Paper:" in text
    assert "Differs:" in text


@pytest.mark.parametrize("name", DECISION)
def test_scores_sum_to_one_and_rows_are_alone(name: str) -> None:
    scores, truth = drawn()
    fusion = fitted(name, scores, truth)
    joint = fusion(scores)
    assert joint.shape == (60, 4)
    assert np.allclose(joint.sum(1), 1)
    assert (joint >= 0).all()
    part = fusion({key: array[7:9] for key, array in scores.items()})
    assert np.allclose(part, joint[7:9])


@pytest.mark.parametrize("name", DECISION)
def test_what_is_missing_is_left_out(name: str) -> None:
    scores, truth = drawn()
    fusion = fitted(name, scores, truth)
    gone = {**scores, "text": scores["text"].copy()}
    gone["text"][5:] = np.nan
    joint = fusion(gone)
    assert np.allclose(joint[:5], fusion({key: array[:5] for key, array in scores.items()}))
    without = fusion({key: scores[key] for key in ("audio", "video")})
    assert np.allclose(joint[5:], without[5:])
    nothing = fusion({key: np.full_like(array, np.nan) for key, array in scores.items()})
    assert np.allclose(nothing, 1 / 4)


@pytest.mark.parametrize("name", DECISION)
def test_several_together_beat_each_alone(name: str) -> None:
    known, truth = drawn(rows=2000, seed=1)
    tested, answer = drawn(rows=2000, seed=2)
    fusion = fitted(name, known, truth)
    together = (fusion(tested).argmax(1) == answer).mean()
    alone = [(array.argmax(1) == answer).mean() for array in tested.values()]
    # a vote or a rank knows nothing of who is skilled; a weighted mean may give all weight to the best
    least = {"vote": np.mean(alone), "rank": np.mean(alone), "weights": max(alone) - 1e-9}
    assert together > least.get(name, max(alone))


def test_mean_by_hand() -> None:
    scores = {"a": np.array([[0.6, 0.4], [0.2, 0.8]]), "b": np.array([[0.1, 0.9], [np.nan, np.nan]])}
    assert np.allclose(FUSIONS.create("mean")(scores), [[0.35, 0.65], [0.2, 0.8]])


def test_product_is_bayes_where_modalities_are_independent() -> None:
    random = np.random.default_rng(0)
    prior = np.array([0.7, 0.2, 0.1])
    likelihood = random.dirichlet(np.ones(5), (2, 3))  # [modality, class, symbol]
    first, second = (grid.ravel() for grid in np.meshgrid(range(5), range(5)))
    seen = (first, second)
    posterior = {}
    for m in range(2):
        joint = prior * likelihood[m][:, seen[m]].T
        posterior[str(m)] = joint / joint.sum(1, keepdims=True)
    both = prior * likelihood[0][:, first].T * likelihood[1][:, second].T
    fusion = FUSIONS.create("product")
    fusion.prior = prior
    assert np.allclose(fusion(posterior), both / both.sum(1, keepdims=True))


def test_product_learns_the_class_frequencies() -> None:
    scores, _ = drawn(rows=7)
    fusion = FUSIONS.create("product")
    fusion.fit(scores, np.array([0, 0, 0, 0, 1, 1, 2]))
    assert np.allclose(fusion.prior, np.array([5, 3, 2, 1]) / 11)


def test_vote_counts_and_breaks_ties() -> None:
    one, two, three = np.array([[0.9, 0.1, 0.0]]), np.array([[0.1, 0.5, 0.4]]), np.array([[0.3, 0.4, 0.3]])
    assert FUSIONS.create("vote")({"a": one, "b": two, "c": three}).argmax() == 1
    assert FUSIONS.create("vote")({"a": one, "b": two}).argmax() == 0  # one vote each, the surer wins
    shares = FUSIONS.create("vote")({"a": one, "b": two, "c": three})[0]
    assert np.allclose(shares, [1 / 3, 2 / 3, 0], atol=1e-3)


def test_rank_against_a_loop() -> None:
    scores, _ = drawn(rows=20)
    scores["audio"][0] = 0.25
    joint = FUSIONS.create("rank")(scores)
    for row in range(20):
        points = np.zeros(4)
        for array in scores.values():
            for a, b in itertools.permutations(range(4), 2):
                points[a] += 1.0 if array[row, a] > array[row, b] else 0.5 if array[row, a] == array[row, b] else 0.0
        assert np.allclose(joint[row], points / points.sum(), atol=1e-3)


def test_rank_of_equals_is_the_surer() -> None:
    one, two = np.array([[0.3, 0.7]]), np.array([[0.6, 0.4]])
    assert FUSIONS.create("rank")({"a": one, "b": two}).argmax() == 1


def test_weights_are_the_most_likely_on_a_grid() -> None:
    scores, truth = drawn(rows=300, seed=3)
    fusion = fitted("weights", scores, truth)
    right = np.stack([array[np.arange(300), truth] for array in scores.values()])

    def likelihood(w: np.ndarray) -> float:
        return float(np.log(w @ right).mean())

    best = likelihood(fusion.weights)
    grid = [np.array([a, b, 20 - a - b]) / 20 for a in range(21) for b in range(21 - a)]
    assert best >= max(map(likelihood, grid)) - 1e-9
    assert np.allclose(fusion.weights.sum(), 1)
    assert fusion.weights[2] > fusion.weights[0]
    assert fusion.learnt["weights"]["text"] == round(float(fusion.weights[2]), 4)


def test_a_modality_of_no_weight_answers_where_it_is_alone() -> None:
    scores, truth = drawn(rows=300, seed=4)
    scores["audio"] = np.roll(np.eye(4)[truth] * 0.96 + 0.01, 1, 1)  # always wrong
    fusion = fitted("weights", scores, truth)
    assert fusion.learnt["weights"]["audio"] == 0
    alone = fusion({"audio": scores["audio"]})
    assert np.allclose(alone, scores["audio"] / scores["audio"].sum(1, keepdims=True))


@pytest.mark.parametrize("classes", [2, 3])
def test_regression_is_that_of_scikit_learn(classes: int) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    random = np.random.default_rng(0)
    x, truth = random.normal(0, 1, (150, 5)), random.integers(0, classes, 150)
    x += truth[:, None] * 0.4
    ours = SoftmaxRegression(2.0).fit(x, truth, classes)
    if classes > 2:
        theirs = linear.LogisticRegression(C=0.5, tol=1e-10, max_iter=5000).fit(x, truth)
        assert np.allclose(ours.weight[:-1].T, theirs.coef_, atol=1e-4)
    else:
        # of two classes the weights are one vector and its opposite: half the difference, twice the penalty
        theirs = linear.LogisticRegression(C=1.0, tol=1e-10, max_iter=5000).fit(x, truth)
    assert np.allclose(ours(x), theirs.predict_proba(x), atol=1e-4)


def test_regression_holds_where_classes_part() -> None:
    x, truth = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    model = SoftmaxRegression(1e-4).fit(x, truth, 3)  # nobody shows the third class
    assert np.isfinite(model.weight).all()
    assert model(x).argmax(1).tolist() == [0, 0, 1, 1]


def test_stacking_learns_a_modality_that_lies() -> None:
    scores, truth = drawn(rows=600, classes=2, seed=5)
    scores["video"] = np.where(np.eye(2)[truth] == 1, 0.1, 0.9)
    tested, answer = drawn(rows=600, classes=2, seed=6)
    tested["video"] = np.where(np.eye(2)[answer] == 1, 0.1, 0.9)
    fusion = fitted("stacking", scores, truth)
    assert (fusion(tested).argmax(1) == answer).mean() > 0.99
    assert (FUSIONS.create("mean")(tested).argmax(1) == answer).mean() < 0.95
    assert np.shape(fusion.learnt["regression"]) == (7, 2)


def test_stacking_has_a_regression_for_what_is_there() -> None:
    scores, truth = drawn(rows=200, seed=7)
    fusion = fitted("stacking", scores, truth)
    alone = FUSIONS.create("stacking")
    alone.fit({"audio": scores["audio"]}, truth)
    assert np.allclose(fusion({"audio": scores["audio"]}), alone({"audio": scores["audio"]}))


def test_feature_fusion_is_a_regression_on_standardised_columns() -> None:
    features, truth = features_of()
    fusion = FUSIONS.create("feature", l2=3.0)
    fusion.fit_features(features, truth)
    x = np.column_stack(list(features.values()))
    x = (x - x.mean(0)) / x.std(0)
    assert np.allclose(fusion({}, features), SoftmaxRegression(3.0).fit(x, truth, 3)(x))
    gone = {**features, "text": np.full_like(features["text"], np.nan)}
    assert np.allclose(fusion({}, gone), fusion({}, {k: features[k] for k in ("audio", "video")}))
    assert (fusion({}, features).argmax(1) == truth).mean() > (fusion({}, gone).argmax(1) == truth).mean()


def test_penalty_is_chosen_over_whole_groups() -> None:
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 5)
    own = random.normal(0, 1, (40, 30))[group]  # tells the group and nothing else
    truth = random.integers(0, 2, 40)[group]
    assert choose(own, truth, 2, group) == 1e4
    assert choose(own, truth, 2, np.arange(200)) < 1e4  # rows alone let it learn the groups by heart
    with pytest.raises(DataError, match="name the penalty"):
        choose(own, truth, 2, np.zeros(200))


def test_hybrid_adds_the_classifier_of_features() -> None:
    features, truth = features_of()
    scores, _ = drawn(rows=90, classes=3)
    fusion = FUSIONS.create("hybrid", l2=3.0)
    fusion.fit_features(features, truth)
    fusion.fit(scores, truth, features)
    feature = FUSIONS.create("feature", l2=3.0)
    feature.fit_features(features, truth)
    expected = np.mean([*scores.values(), feature({}, features)], 0)
    assert np.allclose(fusion(scores, features), expected)
    weighed = FUSIONS.create("hybrid", rule="weights", l2=3.0)
    weighed.fit_features(features, truth)
    weighed.fit(scores, truth, features)
    assert set(weighed.learnt) == {"l2", "weights"}
    assert "all features" in weighed.learnt["weights"]
    none = {name: np.full_like(array, np.nan) for name, array in features.items()}
    assert np.allclose(fusion(scores, none), np.mean(list(scores.values()), 0))
    with pytest.raises(DataError, match="no fusion at the decision level"):
        FUSIONS.create("hybrid", rule="feature")


def test_no_training_row_like_it_is_an_even_answer() -> None:
    parts = {"a": np.array([[1.0], [2.0], [np.nan]]), "b": np.full((3, 1), np.nan)}
    model = ByPresence(parts, np.array([0, 1, 1]), 2, 1.0)
    assert np.allclose(model({"b": np.ones((1, 1))}, 1), 0.5)


def test_errors_say_what_is_wrong() -> None:
    scores, truth = drawn()
    mean = FUSIONS.create("mean")
    with pytest.raises(DataError, match="scores of nothing"):
        mean({})
    with pytest.raises(DataError, match="each modality must give one"):
        mean({"a": np.ones((2, 3)) / 3, "b": np.ones((3, 3)) / 3})
    with pytest.raises(DataError, match=r"a, row 1: .* are no scores that sum to 1"):
        mean({"a": np.array([[0.5, 0.5], [2.0, 1.0]])})
    for name in ("weights", "stacking"):
        with pytest.raises(DataError, match="call fit first"):
            FUSIONS.create(name)(scores)
        fusion = fitted(name, scores, truth)
        with pytest.raises(DataError, match="scores of smell; this fusion knows audio, video, text"):
            fusion({"smell": scores["audio"]})
    with pytest.raises(DataError, match="leave rows without a class out"):
        fitted("weights", scores, truth - 1)
    none = {**scores, "text": np.full_like(scores["text"], np.nan)}
    with pytest.raises(DataError, match="no validation row has all modalities"):
        fitted("weights", none, truth)
    feature = FUSIONS.create("feature")
    with pytest.raises(DataError, match="call fit_features first"):
        feature(scores)
    features, answer = features_of()
    with pytest.raises(DataError, match="text is missing in every training row"):
        feature.fit_features({**features, "text": np.full((90, 4), np.nan)}, answer)
    feature.fit_features(features, answer)
    with pytest.raises(DataError, match="reads features"):
        feature(scores)
