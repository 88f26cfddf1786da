"""Accuracy of weights on degraded faces: as they come, and with each pre-processing."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mien.bench.lines import read_lines
from mien.datasets import SPLITS
from mien.datasets.faces import FaceSet
from mien.errors import DataError, UnknownName, WeightsError
from mien.faces.degrade import HARMS, degrade
from mien.faces.frontal import POSES, pose
from mien.faces.landmarks import Landmarks
from mien.faces.light import LIGHTS, light
from mien.metrics import accuracy, confusion, mcnemar, uar
from mien.pipeline.model import Model, load
from mien.pipeline.session import open_session
from mien.pipeline.store import sha256
from mien.report.robust import robust_figure, write_rows
from mien.train.evaluate import load_split

Way = Callable[[np.ndarray], np.ndarray]
"""Crops uint8 [N, S, S] or [N, S, S, 3] -> crops like them, before the model sees them."""

PLAIN, CLEAN = "plain", "clean"
Key = tuple[str, str, float, str]
"""Weights, degradation, strength, way."""


class FaceMap:
    """A network that maps faces to faces, from an ONNX file: input and output float32 [N, 1, S, S] in [0, 1].

    Args:
        path: the file; what else it says of itself is not read.
        threads: threads for one run; 0 uses all cores.

    Raises:
        WeightsError: no such file, or one with other inputs and outputs.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        if not path.is_file():
            raise WeightsError(f"{path}: no such file; --restore takes an .onnx file that maps faces to faces")
        self._session = open_session(path.read_bytes(), threads)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shape = inputs[0].shape
        if len(inputs) != 1 or len(shape) != 4 or shape[1] != 1 or len(outputs[0].shape) != 4:
            raise WeightsError(
                f"{path.name} takes {[i.shape for i in inputs]} and gives {outputs[0].shape}; "
                "a restorer takes one input [N, 1, S, S] and gives the same"
            )
        self.side = shape[2] if isinstance(shape[2], int) else 0
        self._input = inputs[0].name

    def __call__(self, crops: np.ndarray, batch: int = 64) -> np.ndarray:
        """Restored crops like those given; of RGB ones the luma is restored and the chroma kept."""
        if crops.ndim == 4:
            planes = np.stack([cv2.cvtColor(crop, cv2.COLOR_RGB2YCrCb) for crop in crops])
            planes[..., 0] = self(np.ascontiguousarray(planes[..., 0]), batch)
            return np.stack([cv2.cvtColor(plane, cv2.COLOR_YCrCb2RGB) for plane in planes])
        parts = [self._some(crops[i : i + batch]) for i in range(0, len(crops), batch)]
        return np.concatenate(parts) if parts else crops

    def _some(self, crops: np.ndarray) -> np.ndarray:
        side, own = crops.shape[1], self.side or crops.shape[1]
        fitted = crops if side == own else np.stack([cv2.resize(crop, (own, own)) for crop in crops])
        x = fitted[:, None].astype(np.float32) / 255
        y = np.asarray(self._session.run(None, {self._input: x})[0])
        if y.shape != x.shape:
            raise WeightsError(f"the restorer made {list(y.shape)} of {list(x.shape)}; expected the same shape")
        pixels = (255 * np.clip(y[:, 0], 0, 1) + 0.5).astype(np.uint8)
        return pixels if side == own else np.stack([cv2.resize(crop, (side, side)) for crop in pixels])


def conditions(harms: Sequence[str] = ()) -> list[tuple[str, float]]:
    """Clean faces, then each degradation at each of its strengths.

    Raises:
        UnknownName: there is no such degradation.
    """
    for name in harms:
        if name not in HARMS:
            raise UnknownName("degradation", name, HARMS)
    return [(CLEAN, 0.0)] + [(name, s) for name in HARMS if not harms or name in harms for s in HARMS[name].strengths]


def spoil(faces: np.ndarray, harm: str, strength: float, seed: int) -> np.ndarray:
    """The faces under one condition: always the same for the same faces and seed, whatever else is measured."""
    if harm == CLEAN:
        return faces
    entropy = [seed, zlib.crc32(harm.encode()), round(1000 * strength)]
    return degrade(faces, harm, strength, np.random.default_rng(entropy))


def sample(faces: FaceSet, count: int, seed: int) -> FaceSet:
    """The faces that have a label, or so many of them drawn by the seed."""
    rows = np.flatnonzero(faces.majority >= 0)
    if 0 < count < len(rows):
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:count])
    return faces[rows]


def measure(
    models: Mapping[str, Model],
    faces: FaceSet,
    ways: Mapping[str, Way],
    out: Path,
    *,
    harms: Sequence[str] = (),
    seed: int = 0,
    stamps: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[Key, np.ndarray]:
    """Answers of every model to every condition, in every way: places in `faces.labels` [N].

    They are kept in `out`/answers.jsonl as they come; a run that was broken off goes on from there.

    Args:
        ways: name -> pre-processing; the way `plain` is always taken too.
        out: folder, which is made.
        stamps: way -> what tells it from another of the same name, a file's SHA-256 say.
        say: hears of each condition.

    Raises:
        DataError: a model does not know a label of the set, or `out` holds answers to other faces.
        UnknownName: there is no such degradation.
    """
    for name, model in models.items():
        if missing := [label for label in faces.labels if label not in model.spec.labels]:
            raise DataError(f"{name} does not know {', '.join(missing)}, which the faces are labelled with")
    wanted, every = conditions(harms), {PLAIN: _as_it_is, **ways}
    prints = {name: model.sha256 for name, model in models.items()}
    book = _Book(out, _print(faces, seed), prints, stamps or {})
    for harm, strength in wanted:
        spoilt = None
        for way, prepare in every.items():
            names = [name for name in models if (name, harm, strength, way) not in book.known]
            if not names:
                continue
            spoilt = spoil(faces.pixels, harm, strength, seed) if spoilt is None else spoilt
            crops = prepare(spoilt)
            for name in names:
                # a way that leaves most faces as they are need not be scored on those again
                before = book.known.get((name, harm, strength, PLAIN))
                answers = _answers(models[name], faces.labels, crops, spoilt, before)
                book.add((name, harm, strength, way), answers)
                say(f"{name}, {harm} {strength:g}, {way}: {(answers == faces.majority).mean():.3f}")
    keys = [(m, harm, strength, w) for m in models for harm, strength in wanted for w in every]
    return {key: book.known[key] for key in keys}


def _answers(
    model: Model, labels: Sequence[str], crops: np.ndarray, spoilt: np.ndarray, before: np.ndarray | None
) -> np.ndarray:
    """Places in `labels` [N] of a model's answers to crops; `before` are its answers to `spoilt`, if there are any."""
    columns = [model.spec.labels.index(label) for label in labels]
    if before is None or crops.shape != spoilt.shape:
        return np.asarray(model(crops)[:, columns].argmax(1))
    out = before.copy()
    changed = np.flatnonzero((crops != spoilt).reshape(len(crops), -1).any(1))
    out[changed] = model(crops[changed])[:, columns].argmax(1)
    return out


def _as_it_is(crops: np.ndarray) -> np.ndarray:
    return crops


class _Book:
    """The answers that a folder holds, each line with what it was an answer to."""

    def __init__(self, out: Path, faces: str, weights: Mapping[str, str], stamps: Mapping[str, str]) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.path, self.faces, self.weights, self.stamps = out / "answers.jsonl", faces, weights, stamps
        self.known: dict[Key, np.ndarray] = {}
        for line in read_lines(self.path):
            key: Key = (line["weights"], line["harm"], line["strength"], line["way"])
            if line["faces"] != faces or self._stamp(key, line["stamp"]) != line["stamp"]:
                raise DataError(
                    f"{self.path} holds answers to other faces ({line['faces']}; these are {faces}), or of other files "
                    f"called {key[0]} and {key[3]}: take another --out, or delete that file"
                )
            self.known[key] = np.frombuffer(line["answers"].encode("ascii"), np.uint8).astype(np.int64) - ord("a")

    def _stamp(self, key: Key, other: Sequence[str] = ("", "")) -> list[str]:
        """What weights and way are; `other` for those that this run does not use."""
        return [self.weights.get(key[0], other[0]), self.stamps.get(key[3], other[1])]

    def add(self, key: Key, answers: np.ndarray) -> None:
        """Keep answers, one letter each."""
        self.known[key] = answers
        line = dict(zip(("weights", "harm", "strength", "way"), key, strict=True))
        letters = "".join(chr(ord("a") + int(answer)) for answer in answers)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**line, "faces": self.faces, "stamp": self._stamp(key), "answers": letters}) + "\n")


def _print(faces: FaceSet, seed: int) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(faces.pixels).tobytes() + faces.majority.tobytes())
    return f"{len(faces)} faces, seed {seed}, {digest.hexdigest()[:12]}"


def wilson(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Interval of a share (Wilson, JASA 1927).

    >>> [round(v, 3) for v in wilson(8, 10)]
    [0.49, 0.943]
    """
    share, extra = right / total, z * z / total
    middle = (share + extra / 2) / (1 + extra)
    half = z / (1 + extra) * math.sqrt(share * (1 - share) / total + extra / (4 * total))
    return middle - half, middle + half


def gain(truth: np.ndarray, before: np.ndarray, after: np.ndarray, z: float = 1.96) -> tuple[float, float, float]:
    """How many points of accuracy the second answers [N] have more than the first, and the interval around that.

    The answers are to the same faces: the variance is that of the paired differences (+1, 0, -1).
    """
    difference = (after == truth).astype(np.float64) - (before == truth)
    mean = float(difference.mean())
    half = z * math.sqrt(float(difference.var()) / len(truth))
    return 100 * mean, 100 * (mean - half), 100 * (mean + half)


@dataclass(frozen=True)
class Row:
    """One line of the table; shares in [0, 1], gains in points against the plain way under the same condition.

    Attributes:
        low, high: 95 % interval of the accuracy (Wilson).
        distinct: accuracy over the faces without an exact copy in another split; NaN where copies are not known.
        gain_low, gain_high: 95 % interval of the paired difference.
        p: of McNemar's exact test against the plain way.
    """

    weights: str
    harm: str
    strength: float
    unit: str
    way: str
    faces: int
    accuracy: float
    low: float
    high: float
    uar: float
    distinct: float
    gain: float
    gain_low: float
    gain_high: float
    p: float


def rows(answers: Mapping[Key, np.ndarray], faces: FaceSet, copied: np.ndarray | None = None) -> Iterator[Row]:
    """The table of answers, in their order.

    Args:
        copied: bool [N], faces that have an exact copy in another split.
    """
    truth, k = faces.majority, len(faces.labels)
    for (name, harm, strength, way), answer in answers.items():
        before = answers[name, harm, strength, PLAIN]
        matrix = confusion(truth, answer, k)
        right = answer == truth
        low, high = wilson(int(right.sum()), len(truth))
        alone = right if copied is None else right[~copied]
        more = gain(truth, before, answer)
        p = mcnemar(truth, before, answer).p_exact
        unit = "" if harm == CLEAN else HARMS[harm].unit
        values = (len(truth), accuracy(matrix), low, high, uar(matrix))
        distinct = float(alone.mean()) if copied is not None and len(alone) else float("nan")
        yield Row(name, harm, strength, unit, way, *values, distinct, *more, p)


def copies(everything: FaceSet, split: int) -> np.ndarray:
    """Which labelled faces of a split have an exact copy in another, bool; none where a set does not tell copies."""
    part = (everything.split == split) & (everything.majority >= 0)
    first = everything.extra.get("same_pixels_as")
    if first is None:
        return np.zeros(int(part.sum()), bool)
    return np.isin(first[part], np.unique(first[everything.split != split]))


def compare(
    names: Sequence[str],
    data: Path,
    out: Path,
    *,
    split: str = "test",
    count: int = 0,
    harms: Sequence[str] = (),
    lights: Sequence[str] = (),
    poses: Sequence[str] = (),
    restore: Path | None = None,
    seed: int = 0,
    threads: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> list[Row]:
    """`mien bench robust`: measure on FER+, and write robust.csv, robust.json and robust.png into `out`.

    Args:
        names: of weights.
        split: `val` or `test`.
        count: so many faces drawn by the seed; 0 takes all.
        harms: names in `HARMS`; all if none.
        lights, poses: names in `LIGHTS` and `POSES`, or `all`.
        restore: a file for `FaceMap`.

    Raises:
        MienError: a name that is not known, or data or weights that cannot be read.
    """
    if split not in SPLITS[1:]:
        raise DataError(f"--split is val or test, got {split!r}")
    ways, stamps = _ways(lights, poses, restore, threads)
    models = {name: load(name, threads=threads) for name in names}
    everything = load_split("ferplus", data, "all")
    place = SPLITS.index(split)
    part = everything[everything.split == place]
    twins = np.full(len(part), False)
    twins[part.majority >= 0] = copies(everything, place)
    part.extra["copied"] = twins
    faces = sample(part, count, seed)
    answers = measure(models, faces, ways, out, harms=harms, seed=seed, stamps=stamps, say=say)
    table = list(rows(answers, faces, faces.extra["copied"]))
    facts = {
        "command": "mien bench robust",
        "data": f"ferplus, {split}",
        "faces": _print(faces, seed),
        "date": datetime.date.today().isoformat(),
        "weights": {name: model.sha256 for name, model in models.items()},
        "ways": stamps,
    }
    write_rows(table, facts, out)
    robust_figure(table, out / "robust.png", title=f"FER+ {split} faces, degraded")
    return table


def _ways(
    lights: Sequence[str], poses: Sequence[str], restore: Path | None, threads: int
) -> tuple[dict[str, Way], dict[str, str]]:
    """The pre-processings by name, and what tells those that are files from others."""
    ways: dict[str, Way] = {}
    for name in LIGHTS if "all" in lights else lights:
        ways[name] = light(name)
    if poses:
        finder = Landmarks(threads)
        ways |= {name: pose(name, finder) for name in (POSES if "all" in poses else poses)}
    if restore is None:
        return ways, {}
    return {**ways, "restore": FaceMap(restore, threads)}, {"restore": sha256(restore)}
