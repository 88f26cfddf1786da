"""The folds of a recipe's protocol."""

from __future__ import annotations

import numpy as np

from mien.datasets.faces import FaceSet
from mien.errors import DataError
from mien.protocols import Fold, Leak, check_copies, check_subjects, fingerprints, kfold, loso, official, tie_copies
from mien.train.recipe import Recipe


def folds_of(recipe: Recipe, faces: FaceSet) -> tuple[list[Fold], list[Leak]]:
    """The folds of a recipe's protocol, and what an official split leaks.

    Raises:
        LeakError: a person or an identical picture would stand on two sides.
        DataError: the data set lacks what the protocol needs (official splits, or people).
    """
    prints = fingerprints(faces.pixels) if faces.streams is None else faces.streams.prints()
    val = 0.0 if recipe.select == "last" else 0.1
    if recipe.protocol == "official":
        folds = official(faces.split, faces.group, faces.majority, val=val, seed=recipe.seed)
    elif recipe.protocol == "kfold":
        group = tie_copies(faces.group, prints)
        folds = kfold(group, faces.majority, recipe.folds, recipe.seed, val=val)
    else:
        people = np.char.startswith(faces.group.astype(str), "#")
        if people.any():
            raise DataError(f"{recipe.dataset} does not say who is shown on {int(people.sum())} faces; loso needs that")
        folds = loso(faces.group, faces.majority, val=val, seed=recipe.seed)
    leaks = [leak for fold in folds for leak in (check_subjects(fold, faces.group), check_copies(fold, prints))]
    return folds, [leak for leak in leaks if len(leak)]
