"""CMU Multi-PIE: 337 people in up to four sessions, 15 cameras, 19 lights, six expressions; 640x480 colour.

Paper: Gross, Matthews, Cohn, Kanade, Baker, "Multi-PIE", Image and Vision Computing 2010.
Layout: `data/session01/multiview/001/01/05_1/001_01_01_051_07.png`: person, session, recording, camera, light; only the
    name is read, so crops under the same names will do (`..._crop_128.png` too).
Labels: the recording's expression, by session: 1 neutral, smile; 2 neutral, surprise, squint; 3 neutral, smile,
    disgust; 4 neutral, scream, neutral. The table is that of the paper from memory; the third recording of session 4 is
    untried on the real tree.
Licence: bought from CMU, no redistribution.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.media import Pictures
from mien.datasets.trees import build, named, write_noise
from mien.errors import DataError
from mien.labels import MULTIPIE6

EXPRESSIONS = {
    "01": ("neutral", "smile"),
    "02": ("neutral", "surprise", "squint"),
    "03": ("neutral", "smile", "disgust"),
    "04": ("neutral", "scream", "neutral"),
}
"""Session -> the expression of recordings 01, 02, 03."""
YAW = {
    "110": -90,
    "120": -75,
    "090": -60,
    "080": -45,
    "130": -30,
    "140": -15,
    "051": 0,
    "050": 15,
    "041": 30,
    "190": 45,
    "200": 60,
    "010": 75,
    "240": 90,
    "081": -45,
    "191": 45,
}
"""Camera -> degrees; 081 and 191 hang high, above 080 and 190."""
NAME = re.compile(rf"(\d{{3}})_(0[1-4])_(0[1-3])_({'|'.join(YAW)})_(\d{{2}})(?:_\w+)?")


def _expression(path: Path, session: str, recording: str) -> str:
    names = EXPRESSIONS[session]
    if int(recording) > len(names):
        raise DataError(f"{path}: session {session} has {len(names)} recordings, not {recording}")
    return names[int(recording) - 1]


@DATASETS.register(
    "multipie", samples=755370, subjects=337, modalities=("face",), labels=MULTIPIE6, licence="bought from CMU"
)
def multipie(root: Path, cameras: Collection[str] = (), lights: Collection[str] = ()) -> Index:
    """Multi-PIE, without an official split: fold by subject.

    `extra` has `camera`, `pose` (degrees of yaw), `light` (00 to 19), `session` and `sequence` (person, session and
    recording: the pictures of one moment, which must stay together).

    Args:
        cameras: only these, such as `("051",)` for the frontal one.
        lights: only these, such as `("07",)` for the frontal flash.

    Raises:
        DataError: no picture is named as the authors name theirs, or the choice leaves none.
    """
    found = named(Path(root), NAME, "Multi-PIE picture such as 001_01_01_051_07.png")
    if cameras or lights:
        chosen = ((not cameras or m[4] in cameras) and (not lights or m[5] in lights) for _, m in found)
        found = [pair for pair, keep in zip(found, chosen, strict=True) if keep]
        if not found:
            raise DataError(
                f"{root} holds no Multi-PIE picture of cameras {cameras or 'any'}, lights {lights or 'any'}"
            )
    names = [_expression(path, match[2], match[3]) for path, match in found]
    extra = {
        "camera": [match[4] for _, match in found],
        "pose": np.array([YAW[match[4]] for _, match in found], np.float32),
        "light": [match[5] for _, match in found],
        "session": [match[2] for _, match in found],
        "sequence": ["_".join(match.group(1, 2, 3)) for _, match in found],
    }
    faces = Pictures([path for path, _ in found])
    return build(MULTIPIE6, names, {"face": faces}, [match[1] for _, match in found], extra=extra)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree: two people, all sessions and recordings, two cameras, one light."""
    random = np.random.default_rng(seed)
    for person in ("001", "002"):
        for session, names in EXPRESSIONS.items():
            for number in range(1, len(names) + 1):
                for camera in ("051", "190"):
                    place = Path(root) / "data" / f"session{session}" / "multiview" / person / f"{number:02d}"
                    name = f"{person}_{session}_{number:02d}_{camera}_07.png"
                    write_noise(place / f"{camera[:2]}_{camera[2]}" / name, random)


FAKES["multipie"] = fake
