"""Oulu-CASIA NIR&VIS: six expressions of 80 people, from neutral to the apex, in visible and near-infrared light.

Paper: Zhao, Huang, Taini, Li, Pietikainen, "Facial expression recognition from near-infrared videos", Image and Vision
    Computing 2011.
Layout: `OriginalImg/{VL,NI}/{Strong,Weak,Dark}/P001/Anger/000.jpeg` (also below `B_OriginalImg`), or the authors'
    crops, `{VL,NI}_Acropped/{Strong,Weak,Dark}/...`. The originals are taken where both are there. Other folders inside
    a person's are passed over.
Labels: Anger Disgust Fear Happiness Sadness Surprise; no neutral.
Licence: research agreement.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.media import FrameFiles, Pictures
from mien.datasets.trees import build, frames_in, locate, write_noise
from mien.errors import DataError
from mien.labels import BASIC6

LIGHTS = ("Strong", "Weak", "Dark")
CAMERAS = {"VIS": ("VL", "VL_Acropped"), "NIR": ("NI", "NI_Acropped")}
LICENCE = "research agreement"


def _sequences(root: Path, camera: str, lights: tuple[str, ...]) -> list[tuple[str, str, str, tuple[Path, ...]]]:
    """(light, person, expression, frames) of each sequence, in order of names."""
    names = CAMERAS[camera]
    top = locate(root, *names, depth=3)
    if top is None:
        raise DataError(f"{root} holds no {names[0]}/Strong/P001/Anger, the Oulu-CASIA layout (nor {names[1]}/...)")
    found = []
    for light in lights:
        for place in sorted((top / light).glob("P[0-9][0-9][0-9]/*")):
            expression = place.name.lower()
            if expression in BASIC6:
                frames = frames_in(place)
                if not frames:
                    raise DataError(f"{place} holds no pictures")
                found.append((light, place.parent.name, expression, frames))
    if not found:
        raise DataError(
            f"{top} holds no {lights[0]}/P001/Anger with pictures; expected one or more of {', '.join(lights)}"
        )
    return found


@DATASETS.register("oulu-casia", samples=480, subjects=80, modalities=("frames",), labels=BASIC6, licence=LICENCE)
def oulu_casia(root: Path, camera: str = "VIS", lights: tuple[str, ...] = ("Strong",), last: int = 0) -> Index:
    """Oulu-CASIA, without an official split: fold by subject (ten folds are usual).

    `extra` has `light` and `sequence`.

    Args:
        camera: `VIS` or `NIR`.
        lights: of `Strong`, `Weak`, `Dark`; papers use strong light unless they say otherwise.
        last: 0 gives whole sequences (`frames`); otherwise that many frames from the end of each, as stills (`face`).

    Raises:
        DataError: the folder has another layout, or a sequence is empty.
    """
    found = _sequences(Path(root), camera, lights)
    if not last:
        rows, frames = found, FrameFiles([paths for *_, paths in found])
        media: dict[str, FrameFiles | Pictures] = {"frames": frames}
    else:
        rows = [(light, person, name, (path,)) for light, person, name, paths in found for path in paths[-last:]]
        media = {"face": Pictures([paths[0] for *_, paths in rows])}
    extra = {
        "light": [light for light, *_ in rows],
        "sequence": [f"{person}_{name}_{light}" for light, person, name, _ in rows],
    }
    return build(BASIC6, [row[2] for row in rows], media, [row[1] for row in rows], extra=extra)


@DATASETS.register("oulu-casia-nir", samples=480, subjects=80, modalities=("frames",), labels=BASIC6, licence=LICENCE)
def oulu_casia_nir(root: Path) -> Index:
    """Oulu-CASIA, near-infrared sequences in strong light."""
    return oulu_casia(root, camera="NIR")


@DATASETS.register("oulu-casia-stills", samples=1440, subjects=80, modalities=("face",), labels=BASIC6, licence=LICENCE)
def oulu_casia_stills(root: Path) -> Index:
    """Oulu-CASIA, the last three frames of each visible-light sequence in strong light."""
    return oulu_casia(root, last=3)


@DATASETS.register(
    "oulu-casia-nir-stills", samples=1440, subjects=80, modalities=("face",), labels=BASIC6, licence=LICENCE
)
def oulu_casia_nir_stills(root: Path) -> Index:
    """Oulu-CASIA, the last three frames of each near-infrared sequence in strong light."""
    return oulu_casia(root, camera="NIR", last=3)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree: two people, six expressions of four frames, both cameras; one person in dark light too."""
    random = np.random.default_rng(seed)
    for camera in ("VL", "NI"):
        for light, person in (("Strong", "P001"), ("Strong", "P002"), ("Dark", "P001")):
            for expression in BASIC6:
                place = Path(root) / "B_OriginalImg" / "OriginalImg" / camera / light / person / expression.title()
                for frame in range(4 if light == "Strong" else 1):
                    write_noise(place / f"{frame:03d}.jpeg", random, (16, 20), grey=True)


for _name in ("oulu-casia", "oulu-casia-nir", "oulu-casia-stills", "oulu-casia-nir-stills"):
    FAKES[_name] = fake
