"""Label sets and the maps between them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import DataError
from mien.labels import (
    BASIC7,
    EMOTIONET23,
    FERPLUS8,
    MAPS,
    RAF_COMPOUND,
    TAXONOMIES,
    map_indices,
    map_labels,
    map_scores,
    parts,
    quadrants,
)

SIZES = {
    "basic6": 6, "basic7": 7, "ferplus8": 8, "ckplus7": 7, "raf12": 12, "emotionet23": 23, "micro3": 3, "micro5": 5,
    "samm8": 8, "multipie6": 6, "ravdess8": 8, "emodb7": 7, "seed4": 4, "mahnob9": 9, "sentiment2": 2,
    "sentiment3": 3, "quadrants4": 4, "iemocap10": 10, "cheavd8": 8, "baum13": 13,
}  # fmt: skip


def test_sets_have_the_published_sizes_and_no_label_twice() -> None:
    assert {name: len(labels) for name, labels in TAXONOMIES.items()} == SIZES
    assert all(len(set(labels)) == len(labels) for labels in TAXONOMIES.values())
    assert len(set(TAXONOMIES.values())) == len(TAXONOMIES), "a set could not be told by its labels"


@pytest.mark.parametrize(("source", "target"), MAPS)
def test_every_stated_map_covers_its_source_and_lands_in_its_target(source: str, target: str) -> None:
    stated = MAPS[source, target]
    assert tuple(stated.to) == TAXONOMIES[source]
    assert set(stated.to.values()) - {None} <= set(TAXONOMIES[target])
    assert set(stated.to.values()) != {None}
    assert stated.why
    assert map_labels(source, target) == map_labels(TAXONOMIES[source], TAXONOMIES[target])
    for name, other in stated.to.items():
        if name in TAXONOMIES[target]:
            assert other == name, f"{name} stands in both sets"


def test_what_is_lost_is_said() -> None:
    assert map_labels("ferplus8", "basic7")[FERPLUS8.index("contempt")] is None
    for compound in ("raf12", "emotionet23"):
        assert not MAPS[compound, "basic7"].lossless
        assert "NOT lossless" in MAPS[compound, "basic7"].why
    assert not any(stated.lossless for stated in MAPS.values()), "a lossless map needs no statement"


def test_compounds() -> None:
    assert set(RAF_COMPOUND) < set(EMOTIONET23)
    for name in EMOTIONET23:
        assert set(parts(name)) <= set(BASIC7)
        assert len(parts(name)) == (1 if name in BASIC7 else 2)
    assert parts("disgustedly surprised") == ("disgust", "surprise")
    assert map_labels(("sadly angry",), ("sadly angry", "x")) == ("sadly angry",)


def test_no_two_maps_to_one_set_disagree_about_a_label() -> None:
    for target in TAXONOMIES:
        said: dict[str, set[str | None]] = {}
        for (_, end), stated in MAPS.items():
            for name, to in stated.to.items() if end == target else ():
                said.setdefault(name, set()).add(to)
        assert all(len(answers) == 1 for answers in said.values()), (target, said)


def test_every_data_set_can_be_mapped_somewhere() -> None:
    from mien.datasets import DATASETS

    for name in DATASETS.names():
        labels = DATASETS.facts(name).get("labels")
        if isinstance(labels, tuple) and labels:
            ends = ("basic7", "micro3", "sentiment2", "sentiment3", "quadrants4")
            assert any(_maps(labels, end) for end in ends), f"{name}: state a map for {labels}"


def _maps(labels: tuple[str, ...], target: str) -> bool:
    try:
        return any(map_labels(labels, target))
    except DataError:
        return False


def test_parts_of_a_named_set_are_mapped_like_it() -> None:
    eleven = RAF_COMPOUND[:11]
    assert map_labels(eleven, "basic7") == map_labels("raf12", "basic7")[:11]
    assert map_labels(("surprise", "others"), "micro3") == ("surprise", None)
    assert map_labels(("boredom", "calm", "contempt"), "basic7") == (None, "neutral", None)


def test_without_a_stated_map_names_must_agree() -> None:
    assert map_labels("seed4", "basic7") == TAXONOMIES["seed4"]
    assert map_labels("basic7", BASIC7) == BASIC7
    with pytest.raises(
        DataError, match=r"from basic7 to seed4 for anger, disgust, surprise; .*lead to: basic6, ckplus7, .*MAPS"
    ):
        map_labels("basic7", "seed4")
    with pytest.raises(DataError, match="from a, b to basic7 for a, b; stated maps from there lead to: nowhere"):
        map_labels(("a", "b"), "basic7")
    with pytest.raises(DataError, match=r"'basic9'; there are: basic6, basic7"):
        map_labels("basic9", "basic7")


def test_indices_follow_the_map() -> None:
    truth = np.array([0, 1, 5, -1])
    assert [FERPLUS8[i] for i in truth[:3]] == ["anger", "contempt", "neutral"]
    assert map_indices(truth, "ferplus8", "basic7").tolist() == [0, -1, BASIC7.index("neutral"), -1]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(MAPS)), st.integers(0, 1000))
def test_mapped_scores_are_distributions(pair: tuple[str, str], seed: int) -> None:
    source, target = pair
    k = len(TAXONOMIES[source])
    scores = np.random.default_rng(seed).dirichlet(np.ones(k), 5)
    mapped = map_scores(scores, source, target)
    assert mapped.shape == (5, len(TAXONOMIES[target]))
    assert mapped.sum(1) == pytest.approx(1)
    one_hot = map_scores(np.eye(k), source, target)
    for row, name in zip(one_hot, map_labels(source, target), strict=True):
        expected = [float(name == other) for other in TAXONOMIES[target]]
        assert row.tolist() == expected


def test_merged_scores_are_summed() -> None:
    scores = np.full((1, 8), 1 / 8)
    assert map_scores(scores, "ravdess8", "basic7")[0, BASIC7.index("neutral")] == pytest.approx(2 / 8)
    assert map_scores(scores.astype(np.float32), "ravdess8", "basic7").dtype == np.float32


def test_quadrants_name_the_corners() -> None:
    found = quadrants(np.array([8, 7, 2, 1]), np.array([9, 3, 6, 5]), middle=5)
    assert [TAXONOMIES["quadrants4"][i] for i in found] == ["HVHA", "HVLA", "LVHA", "LVLA"]
