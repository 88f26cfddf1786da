"""What a recipe over clips trains on: so many frames of each clip, as pixels or as embeddings of a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from mien.datasets import DATASETS, Index
from mien.datasets.faces import FaceSet, fit
from mien.errors import RecipeError
from mien.faces.flow import clip_of
from mien.train.recipe import Recipe

LONGEST = 64  # frames of a clip that are held in memory
REACH = 0.025  # of the side: how far the strongest flow of a made clip moves a point


def evenly(last: np.ndarray, frames: int) -> np.ndarray:
    """Numbers of T frames spread evenly from the first to `last` [N]: int64 [N, T]."""
    return np.asarray((np.linspace(0, 1, frames) * last[:, None]).round().astype(np.int64))


def jittered(last: Tensor, frames: int, generator: torch.Generator) -> Tensor:
    """The same for training, each frame moved by up to half the step between two: int64 [N, T], never out of order.

    Paper: after the sparse sampling of Wang et al., "Temporal segment networks", ECCV 2016.
    """
    step = last[:, None] / max(1, frames - 1)
    moved = torch.linspace(0, 1, frames) * last[:, None] + step * (
        torch.rand(len(last), frames, generator=generator) - 0.5
    )
    return moved.round().long().clamp_min(0).minimum(last[:, None])


def read_clips(recipe: Recipe, index: Index, cache: Path | None = None) -> FaceSet:
    """All clips of a data set, as a network over clips reads them.

    Returns:
        `pixels` holds T evenly spread frames of each clip, uint8 [N, T, S, S] grey or, where the recipe names weights
        that embed them, float32 [N, T, D]. `extra["every"]` holds all frames, for sampling in training, uint8
        [N, F, S, S] or float32 [N, 2, F, D] (the second of the mirrored faces), `extra["last"]` the last of them that
        counts.

    Raises:
        RecipeError: the data set has no clips that are cut to the face, or the recipe asks for what clips do not have.
    """
    _check(recipe)
    index, every, peak = _gather(recipe, index)
    last = peak if recipe.clips.until == "peak" else np.full(len(every), every.shape[1] - 1)
    rows = np.arange(len(every))[:, None]
    chosen = evenly(last, recipe.clips.frames)
    if recipe.clips.order == "shuffled":
        chosen = np.random.default_rng(recipe.seed).permuted(chosen, axis=1)
    shown = every[rows, chosen]
    if recipe.clips.embed:
        from mien.train.embed import embed_clips

        given = recipe.clips.embed, cache, recipe.clips.reads
        both = [embed_clips(clips, *given) for clips in (every, every[:, :, :, ::-1])]
        shown, every = both[0][rows, chosen], np.stack(both, 1)
    extra = {**index.extra, "every": every, "last": last}
    return FaceSet(shown, index.targets, index.majority, index.split, index.labels, index.group, extra)


def _check(recipe: Recipe) -> None:
    if recipe.clips.embed and "encoder" in recipe.arguments:
        raise RecipeError(f"{recipe.name}: embed takes the place of the encoder; leave `encoder` out of the arguments")
    if recipe.views == "ten" or (recipe.clips.embed and recipe.views != "one"):
        raise RecipeError(f"{recipe.name}: views = {recipe.views!r}; clips have one, as pixels also their mirror image")
    if recipe.inputs or recipe.head or recipe.colour:
        raise RecipeError(f"{recipe.name}: clips are grey and take neither inputs nor further heads")


def _gather(recipe: Recipe, index: Index) -> tuple[Index, np.ndarray, np.ndarray]:
    """The samples that are clips, their frames uint8 [N, F, S, S], and which frame shows most, int64 [N]."""
    side = recipe.size[-1]
    if "frames" in index.media and DATASETS.facts(recipe.dataset).get("cut"):
        media = index.media["frames"]
        clips = [np.asarray(media[row]) for row in range(len(index))]
        frames = min(LONGEST, max(map(len, clips)))
        every = np.stack([_sized(clip[evenly(np.array([len(clip) - 1]), frames)[0]], side) for clip in clips])
        whole = np.array([len(clip) for clip in clips])
        peak = index.extra.get("peak", whole - 1)
        return index, every, np.round(peak * (frames - 1) / np.maximum(1, whole - 1)).astype(np.int64)
    if "flow" in index.media and "face" in index.media:
        face, flow = index.media["face"], index.media["flow"]
        every = np.stack([made_clip(face[row], flow[row], recipe.clips.frames, side) for row in range(len(index))])
        return index, every, np.full(len(every), every.shape[1] - 1)
    if "face" in index.media and "sequence" in index.extra:
        return _sequences(index, side)
    raise RecipeError(
        f"{recipe.name}: {recipe.dataset} has no clips that are cut to the face; cut them with "
        f'`mien data clips {recipe.dataset} FOLDER --out CUT`, and train on those with dataset = "clips"'
    )


def _sized(frames: Sequence[np.ndarray] | np.ndarray, side: int) -> np.ndarray:
    grey = [frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    return np.stack([fit(frame, side) for frame in grey])


def _sequences(index: Index, side: int) -> tuple[Index, np.ndarray, np.ndarray]:
    """Stills that belong to one recording, in order, as clips: of shorter ones the last frame stands again."""
    names = index.extra["sequence"]
    groups = [np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())]
    if "frame" in index.extra:
        groups = [rows[np.argsort(index.extra["frame"][rows], kind="stable")] for rows in groups]
    longest = min(LONGEST, max(map(len, groups)))
    taken = [rows[evenly(np.array([len(rows) - 1]), longest)[0]] for rows in groups]
    media = index.media["face"]
    every = np.stack([_sized([media[int(row)] for row in rows], side) for rows in taken])
    ends = np.array([rows[-1] for rows in groups])  # where a first frame is neutral, the last is not
    return index[ends], every, np.full(len(every), longest - 1)


def made_clip(face: np.ndarray, flow: np.ndarray, frames: int, side: int) -> np.ndarray:
    """A face moved along 0 to 1 of its optical flow: uint8 [T, side, side].

    Where a data set spreads one face and one flow picture of a clip, not the clip. The picture of u and v was stretched
    to its own range, so its middle (the median) is taken for no movement, and its strongest movement for `REACH`.

    Args:
        face: uint8 [H, W] or RGB [H, W, 3].
        flow: uint8 [h, w, 3] of u, v and strain.
    """
    grey = fit(face if face.ndim == 2 else cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), side)
    moves = flow[:, :, :2].astype(np.float32)
    moves -= np.median(moves, (0, 1))
    moves *= REACH * side / max(1e-6, float(np.linalg.norm(moves, axis=2).max()))
    moves = np.asarray(cv2.resize(moves, (side, side), interpolation=cv2.INTER_LINEAR))
    return clip_of(grey, moves, frames)
