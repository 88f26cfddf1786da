"""What the readers of folder trees share: finding folders and files, building an index, noise for the fakes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mien.datasets import NO_SPLIT, Index, one_hot
from mien.datasets.media import Media
from mien.errors import DataError

PICTURES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".pgm", ".ppm"})
CLIPS = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".gif"})


def files_below(folder: Path, suffixes: frozenset[str]) -> Iterator[Path]:
    """Files with these suffixes at any depth, in order of names; hidden files and folders are passed over."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        for name in sorted(names):
            if name[0] != "." and os.path.splitext(name)[1].lower() in suffixes:
                yield Path(place, name)


def named(root: Path, pattern: re.Pattern[str], expected: str) -> list[tuple[Path, re.Match[str]]]:
    """Pictures at any depth whose names without suffix match the whole of `pattern`, in order of paths.

    Raises:
        DataError: `root` is no folder or holds no such picture; the message says what was expected.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; expected {expected}")
    found = [(path, match) for path in files_below(root, PICTURES) if (match := pattern.fullmatch(path.stem))]
    if not found:
        raise DataError(f"{root} holds no {expected}")
    return found


def locate(root: Path, *names: str, depth: int = 2) -> Path | None:
    """The first folder called by one of `names`, in this order: `root` itself, in it, or up to `depth` folders down."""
    for name in names:
        if root.is_dir() and root.name == name:
            return root
        for level in range(depth + 1):
            for path in sorted(root.glob("*/" * level + name)):
                if path.is_dir():
                    return path
    return None


def frames_in(folder: Path) -> tuple[Path, ...]:
    """The pictures of one sequence, in order of names."""
    if not folder.is_dir():
        return ()
    paths = (path for path in folder.iterdir() if path.name[0] != "." and path.suffix.lower() in PICTURES)
    return tuple(sorted(paths))


def build(
    labels: tuple[str, ...],
    names: Sequence[str],
    media: Mapping[str, Media],
    subject: Sequence[str] | None = None,
    split: Sequence[int] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Index:
    """An index of samples with one label each; a name outside `labels` leaves its sample without one."""
    targets, majority = one_hot(list(names), labels)
    return Index(
        labels,
        targets,
        majority,
        np.array(split, np.int64) if split is not None else np.full(len(names), NO_SPLIT),
        np.array(subject, str) if subject is not None else np.full(len(names), ""),
        media,
        {name: np.asarray(values) for name, values in (extra or {}).items()},
    )


def write_noise(path: Path, random: np.random.Generator, size: tuple[int, int] = (24, 24), grey: bool = False) -> None:
    """Write a small picture of noise (height, width) for a fake."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), random.integers(0, 255, size if grey else (*size, 3), dtype=np.uint8))
