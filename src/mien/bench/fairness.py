"""Figures by group of people: what a data set states, measured with intervals, and the differences between groups."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.bench.robust import wilson
from mien.errors import DataError
from mien.metrics import Interval, bootstrap
from mien.metrics.calibration import calibration_error
from mien.metrics.classification import accuracy, confusion, recalls, uar

OVERALL = ("accuracy", "uar", "over", "ece")
"""Figures of a group before its recalls; `over` is mean top score minus accuracy: above 0 is overconfident."""
FEW_PEOPLE = 10
MOST_GROUPS = 12
ROUNDS = 2000


@dataclass(frozen=True)
class Group:
    """One group's figures.

    Attributes:
        name: the value that the data set states.
        rows: samples.
        people: persons, or None where the data set names none.
        figures: `OVERALL` and the recall of each label that the group has, as `recall <label>`.
        support: samples of each label that the group has.
        found: share of the pictures in which a face was found; None where none was looked for.
    """

    name: str
    rows: int
    people: int | None
    figures: dict[str, Interval]
    support: dict[str, int]
    found: Interval | None = None

    @property
    def few(self) -> bool:
        """Whether its intervals rest on so few people that they are too narrow."""
        return self.people is not None and self.people < FEW_PEOPLE


@dataclass(frozen=True)
class Fairness:
    """Groups in the order of their names, and each group's figures minus those of the largest.

    Attributes:
        reference: the largest group.
        gaps: group -> figure -> difference; figures that both have.
        left_out: samples without a group.
        crossed: whether some person stands in several groups, so that people were drawn over all of them.
    """

    groups: tuple[Group, ...]
    reference: str
    gaps: dict[str, dict[str, Interval]]
    left_out: int
    crossed: bool

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        groups = []
        for group in self.groups:
            figures = {name: _rounded(value) for name, value in group.figures.items()}
            found = {} if group.found is None else {"found": _rounded(group.found)}
            facts = {"rows": group.rows, "people": group.people, "support": group.support, "few_people": group.few}
            groups.append({"name": group.name, **facts, **found, "figures": figures})
        gaps = {name: {key: _rounded(gap) for key, gap in own.items()} for name, own in self.gaps.items()}
        return {"groups": groups, "reference": self.reference, "gaps": gaps, "left_out": self.left_out}


def _rounded(interval: Interval) -> list[float]:
    return [round(value, 4) for value in interval]


def group_names(name: str, column: np.ndarray, bins: Sequence[float] = ()) -> np.ndarray:
    """The group of each sample, str [N], "" where it is not stated.

    Args:
        name: of the column, for errors.
        column: [N] of text, truth values or numbers.
        bins: edges that cut numbers into ranges, ascending: 20, 40 gives "below 20", "20 to 40", "40 and more".

    Raises:
        DataError: it is no column of groups, or has more groups than can be compared.

    >>> group_names("age", np.array([18.0, 40.0, np.nan]), [20, 40]).tolist()
    ['below 20', '40 and more', '']
    """
    if column.ndim != 1 or column.dtype.kind not in "bUifu":
        raise DataError(f"{name} holds no groups (it is {column.dtype} {list(column.shape)}); name another --group")
    if bins:
        column = _cut(name, column, bins)
    elif column.dtype.kind == "f":
        column = np.array(["" if value != value else f"{value:g}" for value in column.tolist()])
    groups = np.char.strip(column.astype(str))
    found = sorted(set(groups.tolist()) - {""})
    if len(found) > MOST_GROUPS:
        raise DataError(
            f"{name} has {len(found)} different values, such as {', '.join(found[:3])}; "
            + "cut numbers into ranges with --bins, or name another --group"
        )
    if len(found) < 2:
        raise DataError(f"{name} has {'one group' if found else 'no value'}: {', '.join(found) or 'all are empty'}")
    return np.asarray(groups)


def _cut(name: str, column: np.ndarray, bins: Sequence[float]) -> np.ndarray:
    if list(bins) != sorted(set(bins)):
        raise DataError(f"--bins {', '.join(f'{edge:g}' for edge in bins)}: expected numbers that ascend")
    try:
        numbers = np.array([float(cell) if str(cell).strip() else np.nan for cell in column.tolist()])
    except ValueError as error:
        raise DataError(f"{name} is no column of numbers ({error}); leave --bins out") from None
    names = [f"below {bins[0]:g}", *(f"{a:g} to {b:g}" for a, b in itertools.pairwise(bins))]
    names.append(f"{bins[-1]:g} and more")
    place = np.searchsorted(np.asarray(bins, np.float64), numbers, side="right")
    return np.array(["" if value != value else names[at] for value, at in zip(numbers, place, strict=True)])


def judge(
    labels: Sequence[str],
    truth: np.ndarray,
    scores: np.ndarray,
    group: np.ndarray,
    person: np.ndarray | None = None,
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Fairness:
    """Accuracy, unweighted average recall, calibration and recall of each group, and differences, with 95 % intervals.

    Samples of one person are no independent draws, so whole people are drawn where they are known: within each group,
    so that its size stays, or over all groups where one person stands in several. Where all of a group's answers are
    right, or none, no draw differs; there the interval is Wilson's, for as many samples as there are people.

    Paper: Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13; Wilson, "Probable inference, the
        law of succession, and statistical inference", Journal of the American Statistical Association 22, 1927.

    Args:
        labels: K names.
        truth: [N].
        scores: [N, K], rows sum to 1; a row of NaN is a picture in which no face was found.
        group: str [N], "" where not stated.
        person: [N], or None where unknown.

    Raises:
        DataError: fewer than two groups have a sample that was scored.
    """
    stated = group != ""
    left_out = int((~stated).sum())
    seen = np.isfinite(scores).all(1)
    names = sorted(set(group[stated & seen].tolist()))
    if len(names) < 2:
        raise DataError(
            f"only {', '.join(names) or 'no group'} has scored samples; groups are compared, so two are needed"
        )
    found = {name: _found(seen[group == name]) for name in names} if not seen.all() else {}
    rows = np.flatnonzero(stated & seen)
    truth, scores, group = truth[rows], scores[rows], group[rows]
    people = None if person is None else np.unique(person[rows], return_inverse=True)[1]
    members = [np.flatnonzero(group == name) for name in names]
    crossed = people is not None and len(np.unique(people)) < sum(len(np.unique(people[own])) for own in members)
    whole = np.stack([_figures(truth[own], scores[own], len(labels)) for own in members])
    drawn = np.empty((rounds, *whole.shape))
    random, units = np.random.default_rng(seed), _units(members, people, crossed)
    for i in range(rounds):
        for g, own in enumerate(_draw(random, units)):
            drawn[i, g] = _figures(truth[own], scores[own], len(labels)) if len(own) else np.nan
    keys = [*OVERALL, *(f"recall {label}" for label in labels)]
    groups = tuple(
        _group(name, own, keys, whole[g], drawn[:, g], truth, labels, people, found.get(name))
        for g, (name, own) in enumerate(zip(names, members, strict=True))
    )
    largest = int(np.argmax([len(own) for own in members]))
    gaps = {
        name: _gaps(keys, whole[g] - whole[largest], drawn[:, g] - drawn[:, largest], groups[g], groups[largest])
        for g, name in enumerate(names)
        if g != largest
    }
    return Fairness(groups, names[largest], gaps, left_out, crossed)


def _found(seen: np.ndarray) -> Interval:
    return Interval(float(seen.mean()), *wilson(int(seen.sum()), len(seen)))


def _figures(truth: np.ndarray, scores: np.ndarray, classes: int) -> np.ndarray:
    """`OVERALL` and K recalls [4 + K]."""
    matrix = confusion(truth, scores.argmax(1), classes)
    right = accuracy(matrix)
    over = float(scores.max(1).mean()) - right
    return np.array([right, uar(matrix), over, calibration_error(scores, truth), *recalls(matrix)])


def _units(members: list[np.ndarray], people: np.ndarray | None, crossed: bool) -> list[list[list[np.ndarray]]]:
    """What is drawn from: lists of units, and of each unit its rows in the groups that the list is for.

    Units are samples, whole people of one group, or, in one list for all groups, whole people.
    """
    if people is None:
        return [[[own[i : i + 1]] for i in range(len(own))] for own in members]
    if crossed:
        everyone = np.unique(people[np.concatenate(members)])
        return [[[own[people[own] == one] for own in members] for one in everyone]]
    return [[[own[people[own] == one]] for one in np.unique(people[own])] for own in members]


def _draw(random: np.random.Generator, units: list[list[list[np.ndarray]]]) -> list[np.ndarray]:
    """Rows of each group, drawn again."""
    rows = []
    for pool in units:
        drawn = [pool[p] for p in random.integers(0, len(pool), len(pool))]
        rows += [np.concatenate(parts) for parts in zip(*drawn, strict=True)]
    return rows


def _interval(value: float, draws: np.ndarray) -> Interval:
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(float(value), float(low), float(high))


def _group(
    name: str,
    own: np.ndarray,
    keys: Sequence[str],
    whole: np.ndarray,
    drawn: np.ndarray,
    truth: np.ndarray,
    labels: Sequence[str],
    people: np.ndarray | None,
    found: Interval | None,
) -> Group:
    counts = np.bincount(truth[own], minlength=len(labels))
    figures = {}
    for k, key in enumerate(keys):
        if not np.isfinite(whole[k]):
            continue
        label = k - len(OVERALL)
        rows = own if label < 0 else own[truth[own] == label]
        shares = key == "accuracy" or label >= 0
        if shares and whole[k] in (0.0, 1.0):
            units = len(rows) if people is None else len(np.unique(people[rows]))
            figures[key] = Interval(float(whole[k]), *wilson(round(whole[k] * units), units))
        else:
            figures[key] = _interval(whole[k], drawn[:, k])
    support = {label: int(count) for label, count in zip(labels, counts, strict=True) if count}
    persons = None if people is None else len(np.unique(people[own]))
    return Group(name, len(own), persons, figures, support, found)


def _gaps(keys: Sequence[str], whole: np.ndarray, drawn: np.ndarray, one: Group, other: Group) -> dict[str, Interval]:
    """Differences of figures; none of the calibration error, whose bias depends on the size of a group.

    Where a share is 0 or 1 in a group no draw of that group differs; Newcombe's hybrid of both intervals stands there.

    Paper: Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine
        17, 1998, method 10.
    """
    found = {}
    for k, key in enumerate(keys):
        if key == "ece" or key not in one.figures or key not in other.figures:
            continue
        gap = _interval(whole[k], drawn[:, k])
        a, b = one.figures[key], other.figures[key]
        if (key == "accuracy" or key.startswith("recall ")) and {a.value, b.value} & {0.0, 1.0}:
            low = gap.value - float(np.hypot(a.value - a.low, b.high - b.value))
            high = gap.value + float(np.hypot(a.high - a.value, b.value - b.low))
            gap = Interval(gap.value, low, high)
        found[key] = gap
    return found


def mean_by_group(
    column: np.ndarray, group: np.ndarray, person: np.ndarray | None, *, rounds: int = ROUNDS, seed: int = 0
) -> dict[str, Interval]:
    """Mean of a column of numbers in each group, such as what human raters got right, with its interval over people.

    Raises:
        DataError: it is no column of numbers.
    """
    if column.ndim != 1 or column.dtype.kind not in "bifu":
        raise DataError(f"--beside takes a column of numbers; this one is {column.dtype} {list(column.shape)}")
    means = {}
    for name in sorted(set(group.tolist()) - {""}):
        rows = (group == name) & np.isfinite(column)
        if rows.any():
            people = None if person is None else person[rows]
            values = column[rows].astype(np.float64)
            means[name] = bootstrap(lambda v: float(v.mean()), values, groups=people, rounds=rounds, seed=seed)
    return means
