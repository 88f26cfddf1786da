"""Class-matched pairs of different people: labels agree, people of both sides stay together, draws repeat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import data_folder
from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Arrays
from mien.datasets.pairs import joined, pair
from mien.errors import DataError
from mien.protocols import kfold

NAMES = [name for name in DATASETS.names() if name.startswith("pairs-")]


def made(medium: str, labels: tuple[str, ...], people: list[str], names: list[str]) -> Index:
    targets, majority = one_hot(names, labels)
    n = len(names)
    media = {medium: Arrays(np.arange(n)[:, None])}
    return Index(labels, targets, majority, np.full(n, NO_SPLIT), np.array(people), media)


def voices(people: int = 4) -> Index:
    """Each person says each of three labels twice; one label has no face."""
    names = ["joy", "anger", "calm"] * 2 * people
    return made("audio", ("anger", "calm", "joy"), [f"v{i // 6}" for i in range(6 * people)], names)


def faces(people: int = 9, known: bool = True) -> Index:
    names = ["anger", "joy", "joy", "fear"] * people
    who = [f"f{i // 4}" if known else "" for i in range(4 * people)]
    return made("face", ("joy", "fear", "anger"), who, names)


@pytest.mark.parametrize("known", [True, False])
def test_pairs_match_in_class_and_part_in_people(known: bool) -> None:
    first, second = voices(), faces(known=known)
    found = pair(first, second, seed=3)
    assert found.labels == ("anger", "joy")
    assert len(found.first) == 16
    for left, right in zip(found.first, found.second, strict=True):
        assert first.labels[first.majority[left]] == second.labels[second.majority[right]]
    for index, rows in ((first, found.first), (second, found.second)):
        for person in np.unique(index.group[rows]):
            assert len(np.unique(found.bundle[index.group[rows] == person])) == 1
    assert set(found.bundle) == {"v0", "v1", "v2", "v3"}


def test_draws_repeat_by_seed_and_use_every_sample_before_one_again() -> None:
    first, second = voices(), faces(24)
    one, same, other = (pair(first, second, seed=s) for s in (1, 1, 2))
    assert np.array_equal(one.second, same.second)
    assert not np.array_equal(one.second, other.second)
    assert len(np.unique(one.second)) == len(one.second)  # there are enough
    few = pair(first, faces(4), seed=1)  # one face of anger for two voices in each bundle
    angry = few.second[few.labels.index("anger") == joined(first, faces(4), 1).majority]
    assert sorted(np.unique(angry, return_counts=True)[1]) == [2, 2, 2, 2]


def test_where_the_second_set_has_fewer_people_its_bundles_count() -> None:
    index = joined(voices(6), faces(2))
    assert len(np.unique(index.subject)) == 2
    assert set(index.subject) == {"b00", "b01"}
    for side in ("first_person", "second_person"):
        held = [set(index.extra[side][index.subject == name]) for name in np.unique(index.subject)]
        assert not held[0] & held[1]


def test_folds_part_the_people_of_both_sides() -> None:
    index = joined(voices(5), faces(7))
    for fold in kfold(index.group, index.majority, 3, val=0.2):
        for side in ("first_person", "second_person"):
            held = [set(index.extra[side][rows]) for rows in (fold.train, fold.val, fold.test)]
            assert not held[0] & held[2]
            assert not held[1] & held[2]
            assert not held[0] & held[1]


def test_media_follow_their_rows() -> None:
    index = joined(voices(), faces())
    for row in range(len(index)):
        assert index.media["audio"][row][0] == index.extra["first"][row]
        assert index.media["face"][row][0] == index.extra["second"][row]


def test_what_cannot_be_paired_is_refused() -> None:
    with pytest.raises(DataError, match="both data sets have face"):
        joined(faces(), faces())
    with pytest.raises(DataError, match="fewer than two"):
        pair(voices(), made("face", ("fear", "joy"), ["a"], ["joy"]))
    empty = made("face", ("anger", "joy"), ["a", "b"], ["", ""])
    with pytest.raises(DataError, match="no sample of a label"):
        pair(voices(), empty)


@pytest.mark.parametrize("name", NAMES)
def test_fakes_are_pairs(name: str, tmp_path: Path) -> None:
    FAKES[name](tmp_path)
    index = DATASETS.create(name, root=tmp_path)
    assert index.media["face"][0].shape == (100, 100, 3)
    assert (index.majority >= 0).all()
    with pytest.raises(DataError, match="into one folder, and name that"):
        DATASETS.create(name, root=tmp_path / "rafdb")


def test_pairs_of_real_voices_and_faces() -> None:
    root = data_folder("ravdess").parent
    data_folder("rafdb")
    index = DATASETS.create("pairs-ravdess-rafdb", root=root)
    assert len(index) == DATASETS.facts("pairs-ravdess-rafdb")["samples"]
    assert len(np.unique(index.subject)) == 24
    assert len(np.unique(index.extra["second"])) == len(index)  # no face stands twice
    spoken = ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
    shown = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
    for row in range(0, len(index), 50):
        voice, face = (index.media[name].files(row)[0] for name in ("audio", "face"))
        label = index.labels[index.majority[row]]
        assert label == spoken[int(voice.name.split("-")[2]) - 1] == shown[int(face.parent.name) - 1]


def test_the_table_says_what_its_figures_are_of() -> None:
    from mien.bench.results import table

    figures = {"faces": 9, "accuracy": 0.5, "uar": 0.4, "macro_f1": 0.4, "recall": {}}
    line = {
        "recipe": "own", "seed": 1, "model": "joint-fusion", "parameters": 9, "dataset": "pairs-ravdess-rafdb",
        "protocol": "kfold, 5 folds", "epochs": 1, "figures": {"pairs-ravdess-rafdb": figures}, "seconds": 1.0,
        "machine": "no GPU", "paper": {"source": "", "figure": 0.0, "warning": ""},
    }  # fmt: skip
    heading = "### pairs-ravdess-rafdb, kfold, 5 folds, class-matched pairs of different people"
    assert heading in table([line]).splitlines()
