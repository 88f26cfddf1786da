"""What a recipe over several modalities trains on: features of each sample's media, extracted once and kept."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mien.datasets import Index
from mien.datasets.faces import FaceSet, fit
from mien.datasets.media import Media
from mien.datasets.streams import Streams, padded
from mien.errors import DataError, RecipeError
from mien.features import FEATURES, Extractor
from mien.train.clips import evenly
from mien.train.recipe import Recipe


def read_streams(recipe: Recipe, index: Index, cache: Path | None = None) -> FaceSet:
    """All samples of a data set in the recipe's modalities.

    Args:
        cache: folder in which extracted features are kept.

    Raises:
        RecipeError: the data set lacks a modality, or the recipe asks for what several modalities do not have.
        DataError: an item cannot be read.
    """
    if recipe.inputs or recipe.head or recipe.views != "one" or recipe.clips.embed:
        raise RecipeError(f"{recipe.name}: modalities take no inputs, further heads, views or [clips] embed")
    items, masks = {}, {}
    for name in recipe.modalities:
        if name not in index.media:
            raise RecipeError(f"{recipe.name}: {recipe.dataset} has no {name}; it has {', '.join(index.media)}")
        found = extract(index.media[name], recipe.features.get(name, "as-is"), cache)
        items[name], masks[name] = stacked(found, name, recipe)
    nothing = np.zeros((len(index), 0), np.uint8)
    own = index.targets, index.majority, index.split, index.labels, index.group, index.extra
    return FaceSet(nothing, *own, Streams(items, masks))


def stacked(found: Sequence[np.ndarray], name: str, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """One modality of all samples as `Streams` holds it, and its mask.

    Raises:
        RecipeError: samples of unlike kinds.
    """
    shown = [item for item in found if item.size]
    kinds = {(item.dtype == np.uint8, item.ndim - (item.ndim == 1)) for item in shown}
    kinds = {(pictures, 2 if not pictures and axes == 0 else axes) for pictures, axes in kinds}
    if not shown or len(kinds) > 1:
        raise RecipeError(f"{recipe.name}: {name} of this data set is {'of several kinds' if shown else 'empty'}")
    pictures, axes = kinds.pop()
    if pictures:
        return _pictures(found, name, recipe)
    if axes == 3:
        return _maps(found, name, recipe)
    if axes != 2:
        raise RecipeError(f"{recipe.name}: {name} has {axes} axes; features are [T, D] or [D], maps [C, S, S]")
    flat = [item[None] if item.ndim == 1 and item.size else item for item in found]
    return padded([item if item.ndim == 2 else np.zeros((0, 1)) for item in flat], recipe.streams.longest)


def _maps(found: Sequence[np.ndarray], name: str, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    shapes = {item.shape for item in found if item.size}
    if len(shapes) > 1:
        raise RecipeError(f"{recipe.name}: maps of {name} differ in size ({sorted(shapes)[:2]}); make them alike")
    empty = np.zeros(shapes.pop(), np.float32)
    maps = np.stack([item.astype(np.float32) if item.size else empty for item in found])
    there = np.isfinite(maps).all((1, 2, 3)) & np.array([item.size > 0 for item in found])
    return np.where(there[:, None, None, None], maps, 0), there[:, None]


def _pictures(found: Sequence[np.ndarray], name: str, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and clips, of the recipe's size: pictures in colour where it says so, clips grey and T frames long."""
    side, still = recipe.size[-1], _still(next(item for item in found if item.size))
    shape = [side, side, 3] if recipe.colour and still else [side, side] if still else [recipe.clips.frames, side, side]
    there = np.array([item.size > 0 for item in found])
    shown = np.zeros((len(found), *shape), np.uint8)
    for row in np.flatnonzero(there).tolist():
        item = found[row]
        if _still(item) != still:
            raise RecipeError(f"{recipe.name}: {name} holds pictures and clips; it must hold one of them")
        if still:
            shown[row] = _coloured(fit(item, side), recipe.colour)
        else:
            chosen = evenly(np.array([len(item) - 1]), recipe.clips.frames)[0]
            shown[row] = [_coloured(fit(frame, side), False) for frame in item[chosen]]
    return shown, there[:, None]


def _still(item: np.ndarray) -> bool:
    return item.ndim == 2 or (item.ndim == 3 and item.shape[2] == 3)


def _coloured(picture: np.ndarray, colour: bool) -> np.ndarray:
    if colour:
        return picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, 2)
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def extractor(asked: Any) -> tuple[Extractor, str]:
    """The extractor that a recipe names, and a line that tells it from all others.

    >>> extractor("as-is")[1]
    'as-is, version 1'

    Raises:
        RecipeError: it is no name and no table with one, or takes no such option.
        UnknownName: there is no such extractor.
    """
    options: dict[str, Any] = {}
    if isinstance(asked, dict) and isinstance(asked.get("name"), str):
        options = {key: value for key, value in asked.items() if key != "name"}
        name = asked["name"]
    elif isinstance(asked, str):
        name, _, what = asked.partition(":")
        options = {"what": what} if what else {}
    else:
        raise RecipeError(f"[features] {asked!r}; expected a name, or a table with a name and options")
    version = FEATURES.facts(name).get("version", 1)
    try:
        made = FEATURES.create(name, **options)
    except TypeError as error:
        raise RecipeError(f"[features] {name}: {error}") from error
    parts = [name, *(f"{k} {v}" for k, v in sorted(options.items())), f"version {version}", getattr(made, "mark", "")]
    return made, ", ".join(part for part in parts if part)


def extract(media: Media, asked: Any, cache: Path | None = None) -> list[np.ndarray]:
    """The features of every item; kept in the folder `cache`, for other runs that ask the same of the same media.

    Equal items are read once. An item with no rows in its array shows nothing.
    """
    read, line = extractor(asked)
    if line.startswith("as-is"):
        return [read(media[row]) for row in range(len(media))]
    marks = _marks(media)
    digest = hashlib.sha256("\n".join([line, *marks]).encode()).hexdigest()
    kept = None if cache is None else Path(cache) / f"features-{line.split(',')[0]}-{digest[:16]}.npz"
    if kept is not None and kept.is_file():
        with np.load(kept) as held:
            return [held[f"item{place}"] for place in held["place"]]
    _, first, place = np.unique(np.array(marks), return_index=True, return_inverse=True)
    made = [np.asarray(read(media[int(row)])) for row in first]
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        scratch = kept.with_suffix(".part.npz")
        arrays: dict[str, Any] = {f"item{n}": item for n, item in enumerate(made)}
        np.savez(scratch, place=place, **arrays)
        os.replace(scratch, kept)
    return [made[n] for n in place]


def _marks(media: Media) -> list[str]:
    """What tells one item from another: its file, where each has its own, else its content."""
    files = [media.files(row) for row in range(len(media))]
    if all(files) and len(set(files)) == len(files):
        own = {k: v for k, v in vars(media).items() if k != "paths"}
        how = {k: v for k, v in own.items() if not isinstance(v, tuple | list)}
        each = [[v[row] for v in own.values() if isinstance(v, tuple | list)] for row in range(len(media))]
        try:
            stats = [[(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in row] for row in files]
        except OSError as error:
            raise DataError(f"{error.filename} is missing ({error.strerror})") from error
        return [f"{type(media).__name__} {how} {mine} {stat}" for mine, stat in zip(each, stats, strict=True)]
    marks = []
    for row in range(len(media)):
        item = media[row]
        if isinstance(item, str):
            marks.append(hashlib.md5(item.encode()).hexdigest())
        else:
            array = np.ascontiguousarray(item)
            marks.append(hashlib.md5(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).hexdigest())
    return marks
