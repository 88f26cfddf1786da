"""SYNTHETIC scans in the layout of BU-3DFE or BU-4DFE, rendered from the ICT face model.

No person was scanned: painted meshes show the six expressions by recipes of action units, and a made-up range camera
looks at them from the front. The data sets `bu3dfe` and `bu4dfe` read what is written here as they read the originals;
each file, and `SYNTHETIC.txt` beside them, says what it is. Train on `synthetic-scans` and `synthetic-scan-clips`: they
read the same and refuse anything else, so that runs and cards name what they rest on.

Paper: Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020 (the face model); Yin et al., "A
    3D facial expression database for facial behavior research", FG 2006, and "A high-resolution 3D dynamic facial
    expression database", FG 2008 (the layouts); `mien.datasets.synthetic_recipes` names the sources of the expressions.
Layout: `F0001/F0001_AN01XX_F3D.wrl`, its landmarks `.bnd` and picture `..._F2D.bmp`; or `F001/Angry/000.wrl` and its
    picture `000.jpg`.
Differs: the letters F and M take turns and mean nothing, and the race is XX, for made-up people have neither. There is
    no `RAW` mesh. The 83 landmarks are the 68 of iBUG and points between them, about where the originals' are (eyes 16,
    brows 20, nose 12, mouth 20, jaw 15), each off by `PICK_MM`, as if picked by hand. No wrinkles, no hair.
Licence: the scans are yours; the face model is MIT (USC Institute for Creative Technologies).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, Index, bu3dfe, bu4dfe
from mien.datasets.ict import FaceModel, rotation
from mien.datasets.ict_paint import Painter
from mien.datasets.made import claim
from mien.datasets.scans import write_vrml
from mien.datasets.synthetic_recipes import coefficients
from mien.datasets.synthetic_scene import Person, draw_person
from mien.errors import DataError
from mien.labels import BASIC6, BASIC7

LAYOUTS = ("bu3dfe", "bu4dfe")
SIDE = 256  # of the picture, pixels
ZOOM = 1.15
DISTANCE = 120.0  # of the camera, cm
OVAL = np.array([84.0, 108.0])  # the cut mesh: half axes about the landmarks' middle, mm
DEEPEST = -70.0  # and no farther back than this, mm
JUMP = 8.0  # a range camera's surface tears where depth leaps by more, mm a pixel
PICK_MM = 1.0
GRAIN = 2.0  # deviation of the camera's noise, grey levels of 255
STYLE = (0.6, 1.2)  # how strongly one person shows each part of an expression
STRAY = (0.12, 0.3)  # how often, and how strongly at most, another part shows too
LABEL = "SYNTHETIC.txt"
LICENCE = "made by mien; face model MIT (USC ICT)"
NOTE = "SYNTHETIC: rendered from the ICT face model (MIT) by mien; no person was scanned"


@dataclass(frozen=True)
class ScanSettings:
    """How scans are made; the options of `mien data scans` have the same names.

    Attributes:
        people: made-up people.
        seed: decides everything that chance does; who they are and what they show do not depend on what follows.
        layout: `bu3dfe` (25 scans a person) or `bu4dfe` (6 sequences a person).
        frames: of a sequence.
        step: of the scan's grid, mm.
        noise: deviation of the measured depth, mm.
        holes: share of the face that was not measured, in [0, 0.6].
        pose: largest yaw, degrees; nod and tilt are at most a half and a third of it.
        dark: share of the light that the picture lacks, in [0, 1).
        vary: each scan draws noise, holes and darkness between none and these; otherwise all have these.

    Raises:
        DataError: a value out of its range.
    """

    people: int = 10
    seed: int = 0
    layout: str = "bu3dfe"
    frames: int = 8
    step: float = 2.0
    noise: float = 0.0
    holes: float = 0.0
    pose: float = 0.0
    dark: float = 0.0
    vary: bool = False

    def __post_init__(self) -> None:
        ranges: dict[str, tuple[float, float]]
        ranges = {"people": (1, 999), "seed": (0, 2**31), "frames": (2, 200), "step": (1, 10), "noise": (0, 20)}
        ranges |= {"holes": (0, 0.6), "pose": (0, 60), "dark": (0, 0.99)}
        for name, (low, high) in ranges.items():
            if not low <= (value := getattr(self, name)) <= high:
                raise DataError(f"{name} {value:g}: expected a value from {low:g} to {high:g}")
        if self.layout not in LAYOUTS:
            raise DataError(f"layout {self.layout!r}: expected one of {', '.join(LAYOUTS)}")


@dataclass(frozen=True)
class Scan:
    """What the made-up camera gives.

    Attributes:
        vertices: float32 [V, 3], mm; x right, y up, z to the camera, 0 in the middle of the face's landmarks at rest.
        triangles: int64 [F, 3].
        texture: float32 [V, 2], u to the right and v up, in [0, 1].
        picture: uint8 [S, S, 3] RGB.
        points: float32 [83, 3], mm.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    texture: np.ndarray
    picture: np.ndarray
    points: np.ndarray


@dataclass(frozen=True)
class Task:
    """One scan to be made.

    Attributes:
        person: number, from 0.
        label: the expression, or "" at rest.
        strength: share of the full expression, in [0, 1].
        number: of the scan among all of its person, which decides its chance.
        stem: path below the folder, without an ending.
    """

    person: int
    label: str
    strength: float
    number: int
    stem: str


def plan(settings: ScanSettings) -> list[Task]:
    """All scans, person by person; a scan is the same however many others there are."""
    make = _stills if settings.layout == "bu3dfe" else _sequences
    return [task for person in range(settings.people) for task in make(person, settings)]


def _stills(person: int, settings: ScanSettings) -> list[Task]:
    del settings
    name = f"{'FM'[person % 2]}{person // 2 + 1:04d}"
    tasks: list[Task] = []
    for code, label in bu3dfe.CODES.items():
        for level in (0,) if label == "neutral" else (1, 2, 3, 4):
            stem = f"{name}/{name}_{code}{level:02d}XX_F3D"
            tasks.append(Task(person, "" if label == "neutral" else label, level / 4, len(tasks), stem))
    return tasks


def _sequences(person: int, settings: ScanSettings) -> list[Task]:
    name = f"{'FM'[person % 2]}{person // 2 + 1:03d}"
    # from rest to the peak and back, as the originals
    strengths = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(settings.frames) / (settings.frames - 1))
    return [
        Task(person, label, float(strength), 1000 * (k + 1) + t, f"{name}/{folder}/{t:03d}")
        for k, (folder, label) in enumerate(bu4dfe.FOLDERS.items())
        for t, strength in enumerate(strengths)
    ]


def synthesise(model_folder: Path, out: Path, settings: ScanSettings) -> Iterator[tuple[str, bool]]:
    """Make the scans that are not in the folder yet.

    Args:
        model_folder: of the light ICT face model.

    Yields:
        Name of each scan, and whether it was here from an earlier run.

    Raises:
        DataError: the model is missing, the folder was made with other settings, or cannot be written to.
    """
    model, out = FaceModel(Path(model_folder)), Path(out)
    painter, person, current = Painter(model), None, -1
    try:
        out.mkdir(parents=True, exist_ok=True)
        claim(out / "settings.json", asdict(settings))
        (out / LABEL).write_text(NOTE + ".\n", encoding="utf-8")
        for task in plan(settings):
            mesh = out / f"{task.stem}.wrl"
            if kept := mesh.is_file():  # it is written last
                yield task.stem, kept
                continue
            if person is None or current != task.person:
                person, current = draw_person(painter, settings.seed, task.person, SIDE), task.person
            _write(mesh, scan(model, person, task, settings), settings.layout)
            yield task.stem, kept
    except OSError as error:
        raise DataError(f"{out} cannot be written to ({error.strerror}); name another --out") from error


def _write(mesh: Path, made: Scan, layout: str) -> None:
    mesh.parent.mkdir(parents=True, exist_ok=True)
    still = layout == "bu3dfe"
    picture = mesh.with_name(mesh.stem.replace("_F3D", "_F2D") + ".bmp") if still else mesh.with_suffix(".jpg")
    if not cv2.imwrite(str(picture), made.picture[:, :, ::-1]):
        raise DataError(f"{picture} cannot be written; name another --out")
    if still:
        lines = [f"{i} {x:.4f} {y:.4f} {z:.4f}" for i, (x, y, z) in enumerate(made.points.tolist(), 1)]
        mesh.with_suffix(".bnd").write_text("\n".join([*lines, ""]))
    scratch = mesh.with_name(mesh.name + ".part")
    write_vrml(scratch, made.vertices, made.triangles, made.texture, picture.name, NOTE)
    os.replace(scratch, mesh)


def expression(model: FaceModel, task: Task, seed: int) -> np.ndarray:
    """Coefficients [E]: the recipe in this person's way, and a little of other things."""
    names = model.expressions
    values = np.zeros(len(names), np.float32)
    if task.label:
        style = np.random.default_rng([seed, task.person, list(bu3dfe.CODES.values()).index(task.label), 7])
        ways = {name.removesuffix("_L").removesuffix("_R"): style.uniform(*STYLE) for name in names}
        full = coefficients(names, task.label, task.strength)
        values = full * np.array([ways[name.removesuffix("_L").removesuffix("_R")] for name in names], np.float32)
    # frames of a sequence share what strays, so that only the expression moves
    rng = np.random.default_rng([seed, task.person, task.number if task.number < 1000 else task.number // 1000, 8])
    often, most = STRAY
    stray = np.where(rng.random(len(names)) < often, rng.uniform(0, most, len(names)), 0)
    for k, name in enumerate(names):
        if "Look" not in name and "Blink" not in name:
            values[k] += stray[k]
    return np.asarray(values, np.float32)


def scan(model: FaceModel, person: Person, task: Task, settings: ScanSettings) -> Scan:
    """One face before a range camera that measures along its own axis."""
    rng = np.random.default_rng([settings.seed, task.person, task.number, 9])
    # all drawn at once, so that a scan under other settings is the same but for them
    grain, turn, share = rng.standard_normal((SIDE, SIDE, 4)), rng.uniform(-1, 1, 3), rng.random(3)
    picked = rng.normal(0, PICK_MM, (83, 3))
    amount = share if settings.vary else np.ones(3)
    pose = settings.pose * turn * (1, 1 / 2, 1 / 3)
    place = float(pose[0]), float(pose[1]), float(pose[2])
    values = expression(model, task, settings.seed)
    lens = {"distance": DISTANCE, "size": SIDE, "zoom": ZOOM}
    light = {"albedo": person.albedo, "background": person.backdrop, "ambient": person.ambient}
    seen = model.render(person.identity, values, place, person.light, rest=person.rest, **light, **lens)  # type: ignore[arg-type]
    middle = person.rest[model.landmarks].mean(0)
    head = rotation(*place)
    marks = ((model.shape(person.identity, values)[model.landmarks] - middle) * 10) @ head.T
    xyz = _unproject(seen.depth, person.rest[model.landmarks])
    own = xyz @ head
    inside = ((own[..., :2] - (0, 8)) / OVAL) ** 2
    with np.errstate(invalid="ignore"):
        known = (inside.sum(-1) < 1) & (own[..., 2] > DEEPEST)
    known &= ~blots(known, settings.holes * amount[0], rng)
    gain = (1 - settings.dark) ** amount[1]
    # noise of the light that is there, of the same size in the dark
    picture = seen.image * gain + GRAIN * grain[..., :3]
    xyz[..., 2] += settings.noise * amount[2] * grain[..., 3]
    points = _eighty_three(marks, head) + picked
    stride = max(1, round(settings.step / _pixel(person.rest[model.landmarks])))
    vertices, triangles, texture = _grid(xyz, known, stride)
    return Scan(vertices, triangles, texture, picture.round().clip(0, 255).astype(np.uint8), points.astype(np.float32))


def _pixel(rest: np.ndarray) -> float:
    """Size of a pixel at the face, mm, by what `FaceModel.render` does with the landmarks [68, 3] at rest."""
    return float(10 * np.linalg.norm(rest[8] - rest[27]) / (0.38 * ZOOM * SIDE))


def _unproject(depth: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Places [S, S, 3] in mm of what the camera sees at each pixel; NaN where that is nothing."""
    far = np.where(np.isfinite(depth), depth, np.nan) * 10.0
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5 - SIDE / 2
    scale = far / (DISTANCE * 10) * _pixel(rest)
    return np.stack([x * scale, -y * scale, DISTANCE * 10 - far], -1)


def blots(known: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Ellipses, half axes a sixtieth to a sixteenth of the side, over this share of the known pixels, bool [S, S]."""
    found = np.zeros(known.shape, np.uint8)
    rows, columns = np.nonzero(known)
    while len(rows) and share and (found.astype(bool) & known).sum() < share * known.sum():
        k = rng.integers(len(rows))
        axes = tuple(max(1, round(v * len(known))) for v in rng.uniform(1 / 60, 1 / 16, 2))
        cv2.ellipse(found, (int(columns[k]), int(rows[k])), axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    return found.astype(bool)


def _eighty_three(marks: np.ndarray, head: np.ndarray) -> np.ndarray:
    """83 points [83, 3] from the 68 of iBUG."""

    def between(a: int, b: int) -> np.ndarray:
        return np.asarray((marks[a] + marks[b]) / 2)[None]

    eyes = [part for a in (36, 42) for part in (marks[a : a + 6], between(a + 1, a + 2), between(a + 4, a + 5))]
    below = head @ np.array([0.0, -4.0, 0.0])
    brows = [part for a in (17, 22) for part in (marks[a : a + 5], marks[a : a + 5] + below)]
    nose = [marks[27:36], between(30, 31), between(30, 33), between(30, 35)]
    return np.concatenate([*eyes, *brows, *nose, marks[48:68], marks[1:16]])


def _grid(xyz: np.ndarray, known: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every so many pixels as vertices [V, 3], joined to triangles [F, 3] where depth does not leap; texture [V, 2]."""
    first = stride // 2
    place = np.arange(first, SIDE, stride)
    points, there = xyz[np.ix_(place, place)], known[np.ix_(place, place)]
    corner = np.arange(len(place) ** 2).reshape(len(place), -1)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]
    triangles = np.concatenate([np.stack([t.ravel() for t in three], 1) for three in ((a, c, b), (b, c, d))])
    z, flat = points[..., 2].ravel(), there.ravel()
    triangles = triangles[flat[triangles].all(1)]
    triangles = triangles[np.ptp(z[triangles], axis=1) < JUMP * stride]
    used, triangles = np.unique(triangles, return_inverse=True)
    rows, columns = np.divmod(used, len(place))
    texture = np.stack([(place[columns] + 0.5) / SIDE, 1 - (place[rows] + 0.5) / SIDE], 1)
    return points.reshape(-1, 3)[used].astype(np.float32), triangles.reshape(-1, 3), texture.astype(np.float32)


def _made(root: Path) -> Path:
    if not (Path(root) / LABEL).is_file():
        raise DataError(f"{root} holds no {LABEL}; make scans: mien data scans ICT_FOLDER --out {root}")
    return Path(root)


@DATASETS.register(
    "synthetic-scans",
    samples=250,
    subjects=10,
    modalities=("face", "depth", "picture"),
    labels=BASIC7,
    licence=LICENCE,
)
def synthetic_scans(root: Path, size: int = 64) -> Index:
    """SYNTHETIC scans in BU-3DFE's layout, as `bu3dfe-aligned` reads them; fold by subject.

    Raises:
        DataError: the folder was not written by `mien data scans`, or is damaged.
    """
    return bu3dfe.bu3dfe_aligned(_made(root), size)


@DATASETS.register(
    "synthetic-scan-clips",
    samples=60,
    subjects=10,
    modalities=("frames", "depth"),
    labels=BASIC6,
    licence=LICENCE,
)
def synthetic_scan_clips(root: Path, most: int = 8, size: int = 48) -> Index:
    """SYNTHETIC sequences of scans in BU-4DFE's layout, as `bu4dfe-aligned` reads them; fold by subject.

    Raises:
        DataError: as `synthetic_scans`.
    """
    return bu4dfe.bu4dfe_aligned(_made(root), most, size)


def fake(root: Path, seed: int = 0) -> None:
    """Write the fake of BU-3DFE, labelled as made scans are."""
    bu3dfe.fake(root, seed)
    (Path(root) / LABEL).write_text(NOTE + ".\n", encoding="utf-8")


def fake_clips(root: Path, seed: int = 0) -> None:
    """Write the fake of BU-4DFE, labelled as made scans are."""
    bu4dfe.fake(root, seed)
    (Path(root) / LABEL).write_text(NOTE + ".\n", encoding="utf-8")


FAKES["synthetic-scans"] = fake
FAKES["synthetic-scan-clips"] = fake_clips
