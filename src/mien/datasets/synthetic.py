"""SYNTHETIC clips of moving faces, rendered from the ICT face model, whose truth is known to the frame.

No photograph and no recording: painted meshes that show the seven expressions by recipes of action units.

Paper: Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020 (the face model);
    `mien.datasets.synthetic_recipes` names the sources of the recipes.
Layout: what `mien data synthesise ICT_FOLDER --out HERE` writes: `truth.csv` (one row a clip, `COLUMNS`),
    `clips/<name>.mp4`, `stills/<name>.png` (the apex frame before compression), `points/<name>.npy` (float32
    [T, 68, 2], pixels), with `--depth` `depth/<name>.png` (16-bit, tenths of a millimetre from the camera at the apex;
    0 without a face), `settings.json`.
Labels: anger, contempt, disgust, fear, happiness, sadness, surprise. Onset and offset are the last frame at rest before
    an expression and the first after it; the apex is the one frame of full intensity.
Licence: the clips are yours; the face model is MIT (USC Institute for Creative Technologies).
"""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, ict, one_hot
from mien.datasets.arrays import read_npy
from mien.datasets.ict import FaceModel, Render
from mien.datasets.ict_paint import Painter
from mien.datasets.made import claim
from mien.datasets.media import Clips, Media, Pictures
from mien.datasets.recordings import BITEXACT, read_csv
from mien.datasets.scans import Scans
from mien.datasets.synthetic_recipes import RECIPES, shapes_of
from mien.datasets.synthetic_scene import Clip, Settings, draw_person, frames, plan
from mien.errors import DataError
from mien.labels import CKPLUS7

TIMES = ("onset_s", "apex_s", "offset_s")
PLACES = ("onset_frame", "apex_frame", "offset_frame")
COLUMNS = ("source", "subject", "label", *TIMES, *PLACES, "intensity", "frames", "fps")
PARTS = {"clips": ".mp4", "stills": ".png", "points": ".npy"}
PER_CM = 100  # depth maps count tenths of a millimetre
Row = dict[str, str]


def truth_row(clip: Clip, settings: Settings) -> Row:
    """What truth.csv says of a clip."""
    pulse = clip.pulse
    numbers = (pulse.onset, pulse.apex, pulse.offset)
    cells: dict[str, Any] = {"source": f"clips/{clip.name}.mp4", "subject": clip.subject, "label": clip.label}
    cells |= {name: round(number / settings.fps, 6) for name, number in zip(TIMES, numbers, strict=True)}
    cells |= dict(zip(PLACES, numbers, strict=True))
    cells |= {"intensity": settings.intensity, "frames": pulse.frames, "fps": settings.fps}
    return {name: str(cells[name]) for name in COLUMNS}


def synthesise(model_folder: Path, out: Path, settings: Settings) -> Iterator[tuple[str, bool]]:
    """Make clips that are not in the folder yet.

    Args:
        model_folder: of the light ICT face model.

    Yields:
        Name of each clip, and whether it was here from an earlier run.

    Raises:
        DataError: the model is missing, the folder was made with other settings, or cannot be written to.
    """
    painter, out = Painter(FaceModel(Path(model_folder))), Path(out)
    clips = plan(settings)
    try:
        _claim(out, settings)
        done, rows = _whole(out, settings), []
        person, current = None, -1
        for clip in clips:
            row, kept = truth_row(clip, settings), clip.name in done
            if not kept:
                if person is None or current != clip.person:
                    person, current = draw_person(painter, settings.seed, clip.person, settings.size), clip.person
                _write_clip(out, clip, frames(painter.model, person, clip, settings), settings)
            rows.append(row)
            _write_truth(out, [*rows, *(truth_row(c, settings) for c in clips[len(rows) :] if c.name in done)])
            yield clip.name, kept
    except OSError as error:
        raise DataError(f"{out} cannot be written to ({error.strerror}); name another --out") from error


def _claim(out: Path, settings: Settings) -> None:
    parts = [*PARTS, "depth"] if settings.depth else [*PARTS]
    for part in parts:
        (out / part).mkdir(parents=True, exist_ok=True)
    claim(out / "settings.json", asdict(settings))


def _files(out: Path, name: str, depth: bool) -> list[Path]:
    parts = PARTS | ({"depth": ".png"} if depth else {})
    return [out / part / f"{name}{ending}" for part, ending in parts.items()]


def _whole(out: Path, settings: Settings) -> set[str]:
    """Names of the clips that an earlier run, which may have been stopped at any time, has finished."""
    if not (out / "truth.csv").is_file():
        return set()
    names = {Path(row["source"]).stem for _, row in read_csv(out / "truth.csv", COLUMNS)}
    return {name for name in names if all(path.is_file() for path in _files(out, name, settings.depth))}


def _write_truth(out: Path, rows: list[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    (out / "truth.csv.part").write_text(text.getvalue(), encoding="utf-8")
    os.replace(out / "truth.csv.part", out / "truth.csv")


def _write_clip(out: Path, clip: Clip, pictures: Iterator[Render], settings: Settings) -> None:
    import av

    points = []
    path = out / "clips" / f"{clip.name}.mp4"
    scratch = path.with_name(path.name + ".part")
    with av.open(str(scratch), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        # x264's macroblock tree reads memory that it never wrote: the same frames give other bytes now and then
        options = {"crf": "12", "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}
        stream: Any = container.add_stream("libx264", rate=settings.fps, options=options)
        stream.width = stream.height = settings.size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.flags |= BITEXACT
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture.image, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
            points.append(picture.landmarks)
            if number == clip.pulse.apex:
                _write_apex(out, clip.name, picture, settings.depth)
        container.mux(stream.encode(None))
    np.save(out / "points" / f"{clip.name}.npy", np.stack(points).astype(np.float32))
    os.replace(scratch, path)


def _write_apex(out: Path, name: str, picture: Render, depth: bool) -> None:
    written = cv2.imwrite(str(out / "stills" / f"{name}.png"), picture.image[:, :, ::-1])
    if depth:
        near = np.where(np.isfinite(picture.depth), picture.depth * PER_CM, 0)
        written &= cv2.imwrite(str(out / "depth" / f"{name}.png"), near.round().clip(0, 65535).astype(np.uint16))
    if not written:
        raise DataError(f"{out / 'stills'}: {name}.png cannot be written; name another --out")


def _read_points(path: Path) -> np.ndarray:
    try:
        points = read_npy(path)
    except DataError as error:
        raise DataError(
            f"{path} is missing or damaged ({error}); delete it and run `mien data synthesise` again"
        ) from error
    if points.ndim != 3 or points.shape[1:] != (68, 2):
        raise DataError(f"{path} has the shape {list(points.shape)}, expected [frames, 68, 2]")
    return np.asarray(points, np.float32)


def _read_depth(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint16:
        raise DataError(f"{path} is missing or no 16-bit picture; delete it and run `mien data synthesise` again")
    return np.asarray(np.where(image > 0, image / np.float32(PER_CM), np.inf), np.float32)


def read_truth(root: Path) -> list[Row]:
    """Rows of truth.csv, checked.

    Raises:
        DataError: the folder was not written by `mien data synthesise`, or is damaged.
    """
    table = Path(root) / "truth.csv"
    if not table.is_file():
        raise DataError(f"{root} holds no truth.csv; make clips: mien data synthesise ICT_FOLDER --out {root}")
    rows = []
    for line, row in read_csv(table, COLUMNS):
        if row["label"] not in CKPLUS7:
            raise DataError(f"{table}, line {line}: label {row['label']!r}, expected one of {', '.join(CKPLUS7)}")
        for name in (*TIMES, *PLACES, "intensity", "frames", "fps"):
            try:
                float(row[name]) if name in (*TIMES, "intensity", "fps") else int(row[name])
            except ValueError:
                raise DataError(f"{table}, line {line}: {name} is {row[name]!r}, expected a number") from None
        rows.append(row)
    if not rows:
        raise DataError(f"{table} lists no clip; run `mien data synthesise` again")
    return rows


@DATASETS.register(
    "synthetic",
    samples=42,
    subjects=6,
    modalities=("face", "frames", "points"),
    labels=CKPLUS7,
    licence="made by mien; face model MIT (USC ICT)",
)
def synthetic(root: Path) -> Index:
    """SYNTHETIC clips, without an official split: fold by subject.

    `face` is the apex frame, `frames` the clip, `points` float32 [T, 68, 2]; `depth` float32 [S, S] (cm, infinite
    without a face) where it was made. `extra` has `onset`, `apex`, `offset` (frames), the same with `_s` (seconds),
    `intensity` and `fps`.

    Raises:
        DataError: the folder was not written by `mien data synthesise`, or is damaged.
    """
    root = Path(root)
    rows = read_truth(root)
    names = [Path(row["source"]).stem for row in rows]
    targets, majority = one_hot([row["label"] for row in rows], CKPLUS7)
    extra = {name.removesuffix("_frame"): np.array([int(row[name]) for row in rows]) for name in PLACES}
    extra |= {name: np.array([float(row[name]) for row in rows]) for name in (*TIMES, "intensity", "fps")}
    media: dict[str, Media] = {
        "face": Pictures([root / "stills" / f"{name}.png" for name in names]),
        "frames": Clips([root / row["source"] for row in rows]),
        "points": Scans([root / "points" / f"{name}.npy" for name in names], _read_points),
    }
    if (root / "depth").is_dir():
        media["depth"] = Scans([root / "depth" / f"{name}.png" for name in names], _read_depth)
    subject = np.array([row["subject"] for row in rows])
    return Index(CKPLUS7, targets, majority, np.full(len(rows), NO_SPLIT), subject, media, extra)


def fake_model(root: Path) -> None:
    """Write the tiny face model of `mien.datasets.ict` with all shapes that the recipes need."""
    shapes = {name for label in RECIPES for name in shapes_of(label)}
    ict.fake(root, names=["jawOpen", *sorted(shapes - {"jawOpen"})])


def fake(root: Path, seed: int = 0) -> None:
    """Write a few tiny clips of two people, rendered from the fake face model."""
    with tempfile.TemporaryDirectory() as folder:
        fake_model(Path(folder))
        for _ in synthesise(Path(folder), Path(root), Settings(people=2, clips=4, seed=seed, fps=5, size=48)):
            pass


FAKES["synthetic"] = fake
