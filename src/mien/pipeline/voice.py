"""Voice: windows of a video's sound to calibrated scores, and these beside each face's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import InputError, WeightsError
from mien.features import FEATURES
from mien.features.voice import HEARD_DB, HOP, VOICED, contour
from mien.pipeline.model import checked
from mien.pipeline.session import open_session
from mien.pipeline.sound import RATE, Block, blocks
from mien.pipeline.store import find_file, sha256
from mien.spec import KEY, Spec
from mien.table import Row

TASK = "voice"
WINDOW_S, STEP_S, BLOCK_S = 3.0, 0.5, 30.0
SPOKEN, AUDIBLE_DB = 0.1, -55.0
"""A window is spoken if this share of it is voiced, and if its loud frames are above this level."""
STATES = ("none", "silent", "spoken")
NEAR_S = 1e-6


class VoiceModel:
    """A classifier of sound, as `mien export` writes it of a run over features of sound.

    Attributes:
        spec: `labels`, and `sound`: which extractor reads the sound.
        path: the file.

    Raises:
        UnknownName: no weights have that name.
        WeightsError: the file is missing, damaged, not for voices, or reads sound otherwise than this version does.
        MissingExtra: the extractor needs a package that is not installed.
    """

    def __init__(self, name: str | Path) -> None:
        self.path = find_file(str(name))
        self._session = open_session(self.path.read_bytes(), 1)
        text = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        if text is None:
            raise WeightsError(f"{self.path.name} has no {KEY} metadata; export it with `mien export`")
        self.spec = Spec.from_json(text)
        if self.spec.task != TASK or not self.spec.sound.get("name"):
            raise WeightsError(f"{name} is for {self.spec.task}, not for voices; export a run over sound")
        asked = {key: value for key, value in self.spec.sound.items() if key not in ("name", "version")}
        self._read = FEATURES.create(self.spec.sound["name"], **asked)
        version = FEATURES.facts(self.spec.sound["name"]).get("version", 1)
        if version != self.spec.sound.get("version", version):
            raise WeightsError(f"{name} learnt from {self.spec.sound}, here is version {version}; train it again")

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, in hex."""
        return sha256(self.path)

    def facts(self) -> dict[str, Any]:
        """For summary.json."""
        facts: dict[str, Any] = {"name": self.spec.name, "sha256": self.sha256, "labels": list(self.spec.labels)}
        return facts | {"window_s": WINDOW_S, "step_s": STEP_S}

    def __call__(self, windows: Sequence[np.ndarray]) -> np.ndarray:
        """Scores float32 [N, K] of sounds float [samples] at 16 kHz, of any lengths; each row sums to 1."""
        found = np.zeros((len(windows), len(self.spec.labels)), np.float32)
        read = [np.atleast_2d(self._read(window)) for window in windows]
        for steps in sorted({len(item) for item in read}):
            rows = [row for row, item in enumerate(read) if len(item) == steps]
            scores = self._session.run(None, {"sound": np.stack([read[row] for row in rows])})[0]
            found[rows] = checked(scores, len(rows), self.spec.labels, self.spec.name)
        return found


@dataclass
class Heard:
    """What the voice of one video says, every half second.

    Attributes:
        labels: K names.
        times: float64 [M], the middle of each window, seconds of the video's clock.
        active: [M], share of the window that is voiced, in [0, 1].
        spoken: bool [M].
        scores: [M, K]; NaN where nothing is spoken.
        trouble: why there is nothing, in one sentence; empty otherwise.
    """

    labels: tuple[str, ...]
    times: np.ndarray = field(default_factory=lambda: np.zeros(0))
    active: np.ndarray = field(default_factory=lambda: np.zeros(0))
    spoken: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    scores: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    trouble: str = ""

    def at(self, time_s: float | None) -> int:
        """The window nearest to a time, or -1 where the sound does not reach."""
        if time_s is None or not len(self.times):
            return -1
        place = int(np.abs(self.times - time_s).argmin()) if len(self.times) < 2 else self._place(time_s)
        return place if abs(self.times[place] - time_s) <= STEP_S + NEAR_S else -1

    def _place(self, time_s: float) -> int:
        right = int(np.clip(np.searchsorted(self.times, time_s), 1, len(self.times) - 1))
        return right if self.times[right] - time_s < time_s - self.times[right - 1] else right - 1

    def facts(self) -> dict[str, Any]:
        """For summary.json: seconds heard and spoken, and mean scores of what is spoken."""
        if self.trouble:
            return {"seconds": 0.0, "spoken_seconds": 0.0, "note": self.trouble}
        facts: dict[str, Any] = {"seconds": round(len(self.times) * STEP_S, 3)}
        facts["spoken_seconds"] = round(float(self.spoken.sum()) * STEP_S, 3)
        if self.spoken.any():
            means = self.scores[self.spoken].mean(0)
            facts["mean_scores"] = {name: round(float(v), 4) for name, v in zip(self.labels, means, strict=True)}
        return facts

    def rows(self, source: str) -> Iterator[Row]:
        """Rows of voice.csv."""
        for place, time_s in enumerate(self.times.tolist()):
            yield {"source": source, "time_s": round(time_s, 3), **self.said(place)}

    def said(self, place: int) -> Row:
        """`voice`, `voice_active`, `voice_label` and `voice_p_<label>` of a window; -1: none."""
        if place < 0:
            return {"voice": STATES[0], **dict.fromkeys(voice_columns(self.labels)[1:])}
        said: Row = {"voice": STATES[1 + int(self.spoken[place])], "voice_active": round(float(self.active[place]), 3)}
        if not self.spoken[place]:
            return {**dict.fromkeys(voice_columns(self.labels)), **said}
        scores = self.scores[place]
        said["voice_label"] = self.labels[int(scores.argmax())]
        return said | {f"voice_p_{name}": round(float(v), 4) for name, v in zip(self.labels, scores, strict=True)}


def voice_columns(labels: Sequence[str]) -> tuple[str, ...]:
    """Columns that tell of the voice."""
    return ("voice", "voice_active", "voice_label", *(f"voice_p_{label}" for label in labels))


def fused_columns(labels: Sequence[str], voice: Sequence[str]) -> tuple[str, ...]:
    """Columns of face and voice together, over the labels that both have."""
    return ("fused_from", "fused_label", *(f"fused_p_{label}" for label in labels if label in voice))


def added_columns(labels: Sequence[str], voice: Sequence[str]) -> tuple[str, ...]:
    """All columns that a voice model with the labels `voice` adds to a table of faces with `labels`."""
    return (*voice_columns(voice), *fused_columns(labels, voice))


def listen(path: str, model: VoiceModel) -> Heard:
    """The voice of a video in windows of three seconds, one every half second; shorter at both ends.

    Sound that is missing or cannot be read is told in `trouble` and stops nothing.
    """
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    reached = -np.inf
    try:
        for block in blocks(path, BLOCK_S, 2 * WINDOW_S):
            part = _hear(block, model, reached)
            if len(part[0]):
                reached = part[0][-1]
                parts.append(part)
    except InputError as error:
        if not parts:
            return Heard(model.spec.labels, trouble=str(error).removeprefix(f"{path}: "))
    if not parts:
        return Heard(model.spec.labels, trouble="the sound is too short")
    times, active, spoken, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Heard(model.spec.labels, times, active, spoken, scores)


def _hear(block: Block, model: VoiceModel, reached: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Windows of one block whose middles lie after `reached`: times, active, spoken, scores.

    A window that the block's end cuts off is heard here only where it ends the sound; the next block has it whole.
    """
    length = len(block.samples) / RATE
    whole = length >= BLOCK_S - NEAR_S
    begin = block.start_s if not np.isfinite(reached) else reached + STEP_S
    last = block.start_s + length - (WINDOW_S / 2 if whole else 0)
    times = begin + STEP_S * np.arange(max(0, int((last - begin) / STEP_S + NEAR_S) + 1))
    found = contour(block.samples)
    active, audible, windows = [], [], []
    for middle in times - block.start_s:
        first, end = max(0.0, middle - WINDOW_S / 2), min(length, middle + WINDOW_S / 2)
        frames = slice(int(first * RATE / HOP), int(end * RATE / HOP) + 1)
        level = found.level[frames]
        loud = np.percentile(level, 95)
        # what is soft beside the rest of its own window is background
        voiced = (found.voicing[frames] > VOICED) & (level > loud - HEARD_DB)
        active.append(float(voiced.mean()))
        audible.append(loud > AUDIBLE_DB)
        windows.append(block.samples[int(first * RATE) : int(end * RATE)])
    share = np.array(active)
    spoken = (share >= SPOKEN) & np.array(audible, bool)
    scores = np.full((len(times), len(model.spec.labels)), np.nan)
    chosen = np.flatnonzero(spoken)
    for start in range(0, len(chosen), 16):
        rows = chosen[start : start + 16]
        scores[rows] = model([windows[row] for row in rows])
    return times, share, spoken, scores


def fuse(face: Mapping[str, float], voice: Mapping[str, float] | None) -> tuple[str, dict[str, float]]:
    """Decision level: the mean of what face and voice give the labels that both have, brought to sum 1.

    Scores on labels that only one has are left out before, not shared out: a voice that is calm above all says little
    of anger or fear. Without a voice it is the face's scores over those labels.

    Args:
        face: scores of the labels that both have.
        voice: the same of the voice, or None.

    Returns:
        `both` or `face`, and the fused scores.

    >>> fuse({"anger": 0.2, "fear": 0.6}, {"anger": 0.7, "fear": 0.1})
    ('both', {'anger': 0.5625, 'fear': 0.4375})
    """
    sums = {name: value + (voice or {}).get(name, 0.0) for name, value in face.items()}
    total = sum(sums.values())
    fused = {name: round(value / total, 4) if total > 0 else round(1 / len(sums), 4) for name, value in sums.items()}
    return ("both" if voice else "face"), fused


def with_voice(rows: Iterable[Row], labels: Sequence[str], heard: Mapping[str, Heard]) -> Iterator[Row]:
    """The same rows in the same order with the columns of voice and of face and voice together.

    Where several faces are in a frame nobody knows who speaks: each then gets the voice's columns, but `fused_from` is
    `face`.

    Args:
        labels: of the faces' scores.
        heard: by source; those of others are `none`.
    """
    for _, together in groupby(rows, key=lambda row: (row["source"], row["frame"])):
        frame = list(together)
        for row in frame:
            own = heard.get(row["source"])
            yield {**row, **_columns(row, labels, own, alone=len(frame) == 1)} if own else row


def _columns(row: Row, labels: Sequence[str], heard: Heard, *, alone: bool) -> Row:
    place = heard.at(row["time_s"])
    said = heard.said(place)
    common = [label for label in labels if label in heard.labels]
    face = {label: float(row.get(f"p_{label}") or 0.0) for label in common}
    voice = {label: float(said[f"voice_p_{label}"]) for label in common} if said["voice"] == "spoken" else None
    if not common:
        return said | {"fused_from": None, "fused_label": None}
    origin, fused = fuse(face, voice if alone else None)
    best = max(fused, key=lambda name: fused[name])
    return said | {"fused_from": origin, "fused_label": best} | {f"fused_p_{name}": v for name, v in fused.items()}
