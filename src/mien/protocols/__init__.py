"""Protocols: which rows train, select and test. Arrays in, rows out; and guards against leaks between the sides.

An `Index` gives what they need: `split`, `group`, `subject`, `majority`, and its media for `fingerprints`.

    folds = kfold(index.group, index.majority, k=10, seed=0)
    for fold in folds:
        check_subjects(fold, index.group)
        check_copies(fold, prints)
"""

from mien.protocols.folds import Fold, cross, kfold, loso, official
from mien.protocols.guards import Leak, check_copies, check_subjects, fingerprints, tie_copies

__all__ = [
    "Fold",
    "Leak",
    "check_copies",
    "check_subjects",
    "cross",
    "fingerprints",
    "kfold",
    "loso",
    "official",
    "tie_copies",
]
