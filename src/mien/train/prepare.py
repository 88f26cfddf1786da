"""What a recipe trains on: faces, targets, how often each is drawn, and a fingerprint of the data."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from mien.datasets import Index, find_index, one_hot
from mien.datasets.faces import FaceSet, load_faces
from mien.errors import RecipeError
from mien.models import MODELS
from mien.train.clips import read_clips
from mien.train.dimensions import dimensioned
from mien.train.recipe import Recipe
from mien.train.streams import read_streams


def read_faces(recipe: Recipe, root: Path, cache: Path | None = None) -> FaceSet:
    """All faces of a recipe's data set, of the recipe's size, grey unless it wants colour.

    For a network that reads optical flow, the flow pictures stand in their place; for one over clips, what
    `mien.train.clips.read_clips` says; for a recipe with `modalities`, what `mien.train.streams.read_streams` says.

    Args:
        cache: folder in which embeddings of clips are kept.

    Raises:
        DataError: the data set has none.
        RecipeError: the network reads what recipes do not feed.
    """
    modality = MODELS.facts(recipe.model).get("modality", "face")
    if modality not in ("face", "flow", "frames", "streams"):
        raise RecipeError(f"{recipe.model} reads {modality}; recipes feed faces, flow, frames, streams: name another")
    if (modality == "streams") != bool(recipe.modalities):
        wrong = "lacks" if modality == "streams" else "has"
        raise RecipeError(f"{recipe.name}: {recipe.model} reads {modality}; the recipe {wrong} modalities = [...]")
    index = aimed(find_index(recipe.dataset, root), recipe)
    if modality == "streams":
        return read_streams(recipe, index, cache)
    if modality == "frames":
        return read_clips(recipe, index, cache)
    faces = load_faces(index, recipe.size[-1], modality)
    if modality == "flow":
        return faces
    return replace(faces, pixels=in_colour(faces.pixels) if recipe.colour else in_grey(faces.pixels))


def aimed(index: Index, recipe: Recipe) -> Index:
    """The index with the column that the recipe's `target` names in place of the expression.

    Raises:
        RecipeError: there is no such column of classes.
    """
    if recipe.dimensions:
        return dimensioned(index, recipe)
    if not recipe.target:
        return index
    column = index.extra.get(recipe.target)
    if column is None or column.ndim > 1 or column.dtype.kind not in "bU":
        known = [name for name, array in index.extra.items() if array.ndim == 1 and array.dtype.kind in "bU"]
        raise RecipeError(
            f"{recipe.name}: target = {recipe.target!r} is no column of classes of {recipe.dataset}; "
            f"there are {', '.join(known) or 'none'}"
        )
    if column.dtype.kind == "b":
        labels, names = (f"not {recipe.target}", recipe.target), np.where(column, recipe.target, f"not {recipe.target}")
    else:
        labels, names = tuple(np.unique(column[column != ""]).tolist()), column
    targets, majority = one_hot(names.tolist(), labels)
    return replace(index, labels=labels, targets=targets, majority=majority)


def in_grey(pixels: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W] of grey or RGB faces, by the weights of ITU-R BT.601."""
    if pixels.ndim == 3:
        return pixels
    return np.asarray(pixels @ np.array([0.299, 0.587, 0.114]) + 0.5).astype(np.uint8)


def in_colour(pixels: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, 3] of grey or RGB faces."""
    return pixels if pixels.ndim == 4 else np.repeat(pixels[..., None], 3, 3)


def soft_targets(faces: FaceSet, recipe: Recipe) -> np.ndarray:
    """Training targets [N, K]: the votes, joined by FER2013's own label as `second_opinion` further votes."""
    targets = faces.targets
    if recipe.dimensions:
        return targets
    if recipe.labels == "majority":
        return np.asarray(np.eye(len(faces.labels), dtype=np.float32)[faces.majority])
    if recipe.least_votes > 1 and "votes" in faces.extra:
        votes = faces.extra["votes"]
        kept = np.where(votes >= recipe.least_votes, votes, 0)
        # a face on which no two taggers agree keeps all its votes
        kept = np.where(kept.sum(1, keepdims=True) > 0, kept, votes)
        targets = kept / kept.sum(1, keepdims=True)
    if recipe.second_opinion and "fer2013" in faces.extra:
        other = np.eye(len(faces.labels), dtype=np.float32)[faces.extra["fer2013"]]
        targets = (10 * targets + recipe.second_opinion * other) / (10 + recipe.second_opinion)
    return targets.astype(np.float32)


def trainable(faces: FaceSet, recipe: Recipe) -> FaceSet:
    """The faces that have something to learn from.

    Raises:
        RecipeError: there are none.
    """
    by_majority = recipe.labels == "majority" or recipe.dimensions
    rows = faces.majority >= 0 if by_majority else faces.targets.sum(1) > 0
    if not rows.any():
        raise RecipeError(f"{recipe.name}: no labelled face to train on")
    return faces if rows.all() else faces[rows]


def few(faces: FaceSet, recipe: Recipe) -> FaceSet:
    """As many of the faces as the recipe allows, drawn by its seed."""
    if not recipe.faces or recipe.faces >= len(faces):
        return faces
    return faces[np.sort(np.random.default_rng(recipe.seed).permutation(len(faces))[: recipe.faces])]


def sampling(targets: np.ndarray, balance: float) -> tuple[np.ndarray, np.ndarray]:
    """Weight of each row when drawing [N], and the frequency of each class among the rows drawn [K]."""
    prior = targets.mean(0)
    weight = targets @ (np.maximum(prior, 1e-6) ** -balance)
    weight = weight / weight.sum()
    return weight, weight @ targets


def fingerprint(faces: FaceSet) -> str:
    """SHA-256 of pixels or streams, targets and split: equal strings mean that two runs saw the same data."""
    digest = hashlib.sha256()
    shown = [faces.pixels]
    if faces.streams is not None:
        digest.update(",".join(faces.streams.names).encode())
        shown = [*faces.streams.items.values(), *faces.streams.masks.values()]
    for array in (*shown, faces.targets, faces.majority, faces.split):
        digest.update(str((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
