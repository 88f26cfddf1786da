"""Protocols: what holds for every fold of every data set, and the guards."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conftest import data_folder
from mien.errors import DataError, LeakError, MienError
from mien.labels import BASIC7
from mien.metrics import both_ways
from mien.protocols import (
    Fold,
    check_copies,
    check_subjects,
    cross,
    fingerprints,
    kfold,
    loso,
    official,
    tie_copies,
)
from mien.protocols.folds import _cut_off


@st.composite
def sets(draw: st.DrawFn, least: int = 2) -> SimpleNamespace:
    """Groups and labels of a small data set; some rows have no label, some classes are rare."""
    n = draw(st.integers(least, 60))
    people = draw(st.integers(least, n))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    place = np.concatenate([np.arange(people), random.integers(0, people, n - people)])
    majority = random.choice(5, n, p=[0.05, 0.5, 0.3, 0.1, 0.05]) - 1
    return SimpleNamespace(group=np.char.add("S", place.astype(str)), majority=majority, people=people)


def assert_sound(fold: Fold, group: np.ndarray) -> None:
    rows = np.concatenate([fold.train, fold.val, fold.test])
    assert len(np.unique(rows)) == len(rows)
    assert len(fold.train)
    assert len(fold.test)
    for side in (fold.train, fold.val, fold.test):
        assert side.dtype == np.int64
        assert (np.diff(side) > 0).all()
    sides = [set(group[side]) for side in (fold.train, fold.val, fold.test)]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]


def same(a: list[Fold], b: list[Fold]) -> bool:
    return all(
        x.name == y.name and all(np.array_equal(getattr(x, s), getattr(y, s)) for s in ("train", "val", "test"))
        for x, y in zip(a, b, strict=True)
    )


UNEVEN = SimpleNamespace(group=np.array(["S0", "S1", "S2", "S3", "S1"]), majority=np.array([3, 0, 2, 0, 0]), people=4)


@settings(deadline=None, max_examples=60)
@example(UNEVEN, 2, 0, 0.1)
@given(sets(3), st.integers(2, 12), st.integers(0, 5), st.sampled_from([0.0, 0.1, 0.4]))
def test_kfold(data: SimpleNamespace, k: int, seed: int, val: float) -> None:
    k = min(k, data.people - 1) if data.people == 3 else min(k, data.people)
    k = max(k, 2)
    sides = [data.group[fold.train] for fold in kfold(data.group, data.majority, k, seed, val=0)]
    if val and any(len(set(side)) < 2 for side in sides):
        # whole groups were dealt so unevenly that a side has one alone
        with pytest.raises(DataError, match="a training side of 1 group cannot spare rows to select by; set val to 0"):
            kfold(data.group, data.majority, k, seed, val=val)
        return
    folds = kfold(data.group, data.majority, k, seed, val=val)
    assert [fold.name for fold in folds] == [f"fold {number} of {k}" for number in range(1, k + 1)]
    for fold in folds:
        assert_sound(fold, data.group)
        assert len(fold.train) + len(fold.val) + len(fold.test) == len(data.group)
        assert bool(len(fold.val)) == bool(val)
        assert len(check_subjects(fold, data.group)) == 0
    assert np.array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(len(data.group)))
    assert same(folds, kfold(data.group, data.majority, k, seed, val=val))


@settings(deadline=None, max_examples=60)
@given(sets(), st.integers(0, 3))
def test_loso(data: SimpleNamespace, seed: int) -> None:
    folds = loso(data.group, data.majority, seed=seed)
    assert [fold.name for fold in folds] == sorted(set(data.group))
    for fold in folds:
        assert_sound(fold, data.group)
        assert set(data.group[fold.test]) == {fold.name}
        assert not len(fold.val)
    assert np.array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(len(data.group)))


@settings(deadline=None, max_examples=60)
@given(sets(4), st.integers(0, 3))
def test_official_takes_val_rows_from_training_by_group(data: SimpleNamespace, seed: int) -> None:
    people = np.unique(data.group)
    split = np.where(np.isin(data.group, people[:1]), 2, np.where(np.isin(data.group, people[1:2]), -1, 0))
    (fold,) = official(split, data.group, data.majority, seed=seed)
    assert_sound(fold, data.group)
    assert fold.official
    assert np.array_equal(fold.test, np.flatnonzero(split == 2))
    assert np.array_equal(np.sort(np.concatenate([fold.train, fold.val])), np.flatnonzero(split == 0))
    assert len(fold.val)
    (bare,) = official(split, data.group, data.majority, val=0)
    assert not len(bare.val)


def test_official_keeps_the_authors_val_rows() -> None:
    split = np.array([0, 0, 1, 2, -1])
    (fold,) = official(split, np.arange(5), np.zeros(5, int))
    assert (fold.train.tolist(), fold.val.tolist(), fold.test.tolist()) == ([0, 1], [2], [3])


def test_rows_to_select_by_are_the_part_nearest_to_the_share() -> None:
    """Three people of 50, 30 and 20 rows, a share of 0.35: three parts, of which the one of 30 is nearest to 35."""
    group = np.repeat(["a", "b", "c"], [50, 30, 20])
    for seed in range(5):
        kept, chosen = _cut_off(np.arange(100), group, np.zeros(100, np.int64), 0.35, seed)
        assert set(group[chosen]) == {"b"}
        assert len(kept) == 70


def test_folds_are_balanced_by_class() -> None:
    random = np.random.default_rng(0)
    majority = random.choice(7, 2000, p=[0.4, 0.2, 0.15, 0.1, 0.08, 0.05, 0.02])
    for fold in kfold(np.arange(2000), majority, 10):
        counts = np.bincount(majority[fold.test], minlength=7)
        assert np.abs(counts - np.bincount(majority) / 10).max() < 2
        assert abs(len(fold.val) - 180) < 5
    people = random.integers(0, 60, 2000)
    for fold in kfold(people, majority, 10):
        assert abs(len(fold.test) - 200) < 30
        assert (np.bincount(majority[fold.test], minlength=7) > 0).all()


def test_seeds_and_repeats_differ() -> None:
    group, majority = np.arange(40), np.arange(40) % 3
    first, second = kfold(group, majority, 4, 0), kfold(group, majority, 4, 1)
    assert not same(first, second)
    both = kfold(group, majority, 4, 0, repeats=2)
    assert [fold.name for fold in both[::4]] == ["fold 1 of 4, repeat 1", "fold 1 of 4, repeat 2"]
    for repeated, fold in zip(both[4:], second, strict=True):
        assert np.array_equal(repeated.test, fold.test)


def test_degenerate_sets_are_refused_in_words() -> None:
    one, three, labels = np.array(["a"] * 3), np.array(["a", "b", "c"]), np.zeros(3, int)
    with pytest.raises(DataError, match=r"at least 2 subjects or groups are needed.*found 1"):
        kfold(one, labels, 2)
    with pytest.raises(DataError, match="found 1"):
        loso(one, labels)
    with pytest.raises(DataError, match="found 0"):
        kfold(np.zeros(0, str), np.zeros(0, int), 2)
    for k in (1, 4):
        with pytest.raises(DataError, match=f"{k} folds of 3 groups: k must lie in 2..3"):
            kfold(three, labels, k)
    with pytest.raises(DataError, match="1 group cannot spare rows to select by; set val to 0"):
        kfold(three[:2], labels[:2], 2)
    with pytest.raises(DataError, match="share of 1 for selection"):
        kfold(three, labels, 3, val=1)
    with pytest.raises(DataError, match="2 of 3 rows have no known subject"):
        loso(np.array(["a", "", ""]), labels)
    with pytest.raises(DataError, match="0 official training rows and 0 test rows; use kfold or loso"):
        official(np.full(3, -1), three, labels)
    with pytest.raises(ValueError, match="group 3, majority 2"):
        kfold(three, labels[:2], 2)


def test_cross_scores_only_labels_with_a_counterpart() -> None:
    seven = np.arange(14) % 7
    fold, truth = cross("basic7", seven, np.arange(14), "ckplus7", np.array([0, 1, 6, 4, -1]), val=0.2)
    assert truth.tolist() == [0, -1, 6, 3, -1]
    assert BASIC7[truth[3]] == "happiness"
    assert fold.test.tolist() == [0, 2, 3]
    assert sorted([*fold.train, *fold.val]) == list(range(14))
    with pytest.raises(DataError, match="0 rows to test on"):
        cross("basic7", seven, np.arange(14), "ferplus8", np.array([1, 1]))
    with pytest.raises(DataError, match="no map is stated"):
        cross("seed4", seven, np.arange(14), "quadrants4", np.zeros(3, int))


def test_a_subject_on_two_sides_is_refused() -> None:
    group = np.array([f"S{i // 2:03d}" for i in range(20)])
    fold = Fold("fold 2 of 3", np.arange(0, 20, 2), np.zeros(0, int), np.arange(1, 20, 2))
    message = r"fold 2 of 3: 10 subjects stand in training or selection and in the test: S000, S001, S002, S003, S004 "
    with pytest.raises(LeakError, match=message + r"and 5 more; fold by the person") as caught:
        check_subjects(fold, group)
    assert isinstance(caught.value, MienError)
    assert len(check_subjects(fold, np.full(20, ""))) == 0, "unknown people are not one person"
    split = Fold("x", np.array([0]), np.array([1]), np.array([2]))
    with pytest.raises(LeakError, match="1 subjects stand in training and in selection: S000"):
        check_subjects(split, group)


def test_identical_pictures_on_two_sides_are_refused() -> None:
    faces = np.random.default_rng(0).integers(0, 255, (6, 4, 4), dtype=np.uint8)
    faces[5] = faces[1]
    prints = fingerprints(faces)
    assert len(set(prints)) == 5
    fold = Fold("f", np.array([0, 1]), np.array([2]), np.array([3, 4, 5]))
    with pytest.raises(LeakError, match=r"1 identical items stand .*: rows 1 = 5; fold by tie_copies"):
        check_copies(fold, prints)
    group = tie_copies(np.arange(6), prints)
    assert group.tolist() == [0, 1, 2, 3, 4, 1]
    for whole in kfold(group, np.zeros(6, int), 5):
        assert len(check_copies(whole, prints)) == 0


def test_an_official_split_reports_its_copies() -> None:
    prints = np.array(["a", "b", "c", "b", "d", "c"])
    (fold,) = official(np.array([0, 0, 1, 2, 2, 2]), np.arange(6), np.zeros(6, int))
    leak = check_copies(fold, prints)
    assert (leak.test.tolist(), leak.seen.tolist(), len(leak)) == ([3, 5], [1, 2], 2)
    assert str(leak) == "official: 2 of 3 test rows have an exact copy in training or selection"
    assert leak.mask(fold).tolist() == [True, False, True]
    figures = both_ways(lambda right: float(right.mean()), leak.mask(fold), np.array([1.0, 0.0, 1.0]))
    assert (figures.official, figures.distinct) == (pytest.approx(2 / 3), 0)


def test_copies_between_two_data_sets() -> None:
    fold, _ = cross("basic7", np.arange(7), np.arange(7), "basic7", np.arange(3), val=0)
    assert len(check_copies(fold, np.arange(7), np.arange(7, 10))) == 0
    with pytest.raises(LeakError, match="rows 4 = 8; leave these rows out of one of the two sets"):
        check_copies(fold, np.arange(7), np.array([11, 4, 12]))


def test_fingerprints_tell_kinds_apart() -> None:
    zeros = np.zeros((2, 2), np.uint8)
    items = [
        zeros,
        zeros[None],
        zeros.astype(float),
        zeros.copy(),
        "text",
        "text",
        np.zeros((4, 4), np.uint8)[::2, ::2],
    ]
    prints = fingerprints(items)
    assert len(set(prints)) == 4
    assert prints[0] == prints[3] == prints[6]
    assert prints[4] == prints[5]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30))
def test_tied_groups_are_those_joined_by_a_chain_of_copies(pairs: list[tuple[int, int]]) -> None:
    group, prints = np.array(pairs).T
    tied = tie_copies(group, prints)
    joined = {g: {g} for g in group}
    for _ in group:
        for i, j in np.ndindex(len(group), len(group)):
            if prints[i] == prints[j]:
                joined[group[i]] |= joined[group[j]]
    assert tied.tolist() == [min(joined[g]) for g in group]


def test_copies_of_the_real_fer2013() -> None:
    """The known 314 PrivateTest faces that stand in Training or PublicTest too."""
    from mien.datasets import DATASETS

    index = DATASETS.create("fer2013", root=data_folder("fer2013"))
    (fold,) = official(index.split, index.group, index.majority)
    leak = check_copies(fold, index.extra["same_pixels_as"])
    assert (len(leak), leak.tested) == (314, 3589)


def test_ten_folds_of_the_real_ck48() -> None:
    from mien.datasets import DATASETS

    index = DATASETS.create("ck48", root=data_folder("ck48"))
    prints = fingerprints(index.media["face"])
    for fold in kfold(index.group, index.majority, 10):
        assert_sound(fold, index.subject)
        assert len(check_copies(fold, prints)) == 0
        assert (np.bincount(index.majority[fold.test], minlength=7) > 0).all()
        assert 85 <= len(fold.test) <= 111
