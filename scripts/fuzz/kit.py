"""What the harnesses share: a table of them, and a folder in memory for the files they write."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Harness:
    """One reader under attack.

    Attributes:
        what: which files or texts, in words.
        make: called once; returns seeds and the function that takes an input. That function may return anything, or
            raise a MienError; every other exception is a fault.
        largest: bytes of an input.
        words: pieces that the mutator may insert.
    """

    what: str
    make: Callable[[], tuple[Iterable[bytes], Callable[[bytes], object]]]
    largest: int = 1 << 16
    words: tuple[bytes, ...] = ()


HARNESSES: dict[str, Harness] = {}

Make = Callable[[], tuple[Iterable[bytes], Callable[[bytes], object]]]


def harness(name: str, what: str, largest: int = 1 << 16, words: tuple[bytes, ...] = ()) -> Callable[[Make], Make]:
    """Decorator: put a harness into the table."""

    def add(make: Make) -> Make:
        HARNESSES[name] = Harness(what, make, largest, words)
        return make

    return add


def scratch() -> Path:
    """A new folder, in memory where the system has such, removed at the end."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="mien-fuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, folder, True)
    return folder


def text(data: bytes) -> str:
    """Any input as text, with half characters where it is none, as the system gives file names."""
    return data.decode("utf-8", "surrogateescape")
