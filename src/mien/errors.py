"""Every error that mien raises on purpose.

    MienError               the user can mend it; one sentence says how
    ├── InputError          a picture, video, folder or camera that cannot be read
    ├── UnknownName         a model, weight file, detector ... that is not registered
    ├── WeightsError        a weight file that is missing, damaged or not ours
    ├── DataError           a data set whose folder is not laid out as its authors publish it
    ├── LeakError           a fold that tests on people or pictures it has trained on
    ├── RecipeError         a recipe file with a wrong key or value
    └── MissingExtra        an optional dependency that is not installed

The command line prints the message of a MienError and exits with 1; anything else is a bug.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from types import ModuleType


class MienError(Exception):
    """Base of all errors that a user can mend."""


class InputError(MienError):
    """A source that cannot be read."""


class UnknownName(MienError):
    """A name that no registry knows."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"no {kind} is called {name!r}; there are: {', '.join(sorted(known))}")


class WeightsError(MienError):
    """A weight file that is missing, damaged or without a Spec."""


class DataError(MienError):
    """A data set folder that does not have the expected layout."""


class LeakError(MienError):
    """A fold with a person or an identical item on two sides."""


class RecipeError(MienError):
    """A recipe with an unknown key or a value of the wrong type."""


class MissingExtra(MienError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs {package}, which is not installed: pip install 'mien[{extra}]'")


def require(package: str, extra: str) -> ModuleType:
    """Import an optional package, or say which extra brings it.

    Raises:
        MissingExtra: the package is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] != package.split(".")[0]:
            raise
        raise MissingExtra(package, extra) from error
