"""MMI facial expression database: short films from neutral over the apex back to neutral.

Paper: Pantic, Valstar, Rademaker, Maat, "Web-based database for facial expression analysis", ICME 2005.
Layout: `Sessions/<n>/` as downloaded, one folder a session: `session.xml` (`track` with `view` 0 frontal, 1 profile,
    2 both in one picture), `S002-106.avi` (or its frames as pictures), `S002-106.xml` (`Metatag` with `Name="Emotion"`
    and `Value`), and for some `S002-106-oao_aucs.xml` (`ActionUnit` with `Marker`s: frames from 1, type 1 onset, 2
    apex, 3 offset). Several downloads may lie side by side. Names and codes were checked against others' readers;
    untried on the real tree.
Labels: 1 anger 2 disgust 3 fear 4 happiness 5 sadness 6 surprise; sessions with other values or none are left out.
Licence: EULA, research.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.media import Clips, FrameFiles, Media
from mien.datasets.trees import CLIPS, build, frames_in
from mien.errors import DataError
from mien.labels import BASIC6

CODES = {str(number): name for number, name in enumerate(BASIC6, 1)}
PROFILE = 1
LICENCE = "EULA, research"


def _parse(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise DataError(f"{path}, line {error.position[0]}: not well-formed XML ({error})") from error
    except (ValueError, LookupError) as error:
        raise DataError(f"{path}: not well-formed XML ({error})") from error


def _elements(root: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if element.tag.rpartition("}")[2].lower() == tag]


def _number(element: ElementTree.Element, key: str, path: Path) -> int:
    value = element.get(key, "")
    if not value.strip().isdigit():
        raise DataError(f"{path}: {element.tag} has {key} {value!r}; expected a whole number")
    return int(value)


def _emotion(folder: Path) -> str:
    """The expression of a session, "" where it has none of the six."""
    for path in sorted(folder.glob("*.xml")):
        if not path.stem.endswith("aucs") and path.name[0] != ".":
            for tag in _elements(_parse(path), "metatag"):
                if tag.get("Name") == "Emotion":
                    return CODES.get(tag.get("Value", "").strip(), "")
    return ""


def _view(path: Path) -> int:
    tracks = [track for track in _elements(_parse(path), "track") if track.get("view") is not None]
    return _number(tracks[0], "view", path) if tracks else -1


def _phases(folder: Path) -> tuple[int, int, int]:
    """(onset, apex, offset) in frames from 0: the first unit moves, the last is at its height, the first declines.

    -1 where they are not annotated.
    """
    starts: dict[int, list[int]] = {1: [], 2: [], 3: []}
    for path in sorted(folder.glob("*-oao_aucs.xml")):
        for unit in _elements(_parse(path), "actionunit"):
            first: dict[int, int] = {}
            for marker in _elements(unit, "marker"):
                first.setdefault(_number(marker, "Type", path), _number(marker, "Frame", path) - 1)
            for kind, frame in first.items():
                starts.get(kind, []).append(frame)
    return min(starts[1], default=-1), max(starts[2], default=-1), min(starts[3], default=-1)


def _clip(folder: Path) -> Path | tuple[Path, ...]:
    clips = sorted(p for p in folder.iterdir() if p.suffix.lower() in CLIPS and p.name[0] != ".")
    if clips:
        return clips[0]
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        if len(frames := frames_in(place)) > 1:
            return frames
    return ()


def _media(root: Path, found: list[Path | tuple[Path, ...]]) -> Media:
    clips = [item for item in found if isinstance(item, Path)]
    if len(clips) == len(found):
        return Clips(clips)
    if clips:
        raise DataError(f"{root} holds some sessions as clips ({clips[0]}) and some as frames; use one of both")
    return FrameFiles([item for item in found if not isinstance(item, Path)])


@DATASETS.register("mmi", samples=213, subjects=31, modalities=("frames",), labels=BASIC6, licence=LICENCE)
def mmi(root: Path, frontal: bool = False) -> Index:
    """MMI sessions that carry one of the six expressions, without an official split: fold by subject.

    `extra` has `view` (-1 where not given), `session`, and `onset`, `apex`, `offset` (frames from 0, -1 where not
    annotated). Some films lie on their side, and two-view films show the face twice: detect and turn before use. Stills
    (sessions of one picture) are left out.

    Args:
        frontal: leave out the sessions of profile view only.

    Raises:
        DataError: no session is found, or an XML file is malformed; the message names the file and line.
    """
    root = Path(root)
    folders = sorted({path.parent for level in range(4) for path in root.glob("*/" * level + "session.xml")})
    rows, found = [], []
    for folder in folders:
        name = _emotion(folder)
        view = _view(folder / "session.xml") if name else -1
        clip = _clip(folder) if name and not (frontal and view == PROFILE) else ()
        if clip:
            stem = clip.stem if isinstance(clip, Path) else clip[0].stem
            person = re.match(r"S\d+", stem)
            rows.append((name, person[0] if person else "", view, folder.name, *_phases(folder)))
            found.append(clip)
    if not rows:
        raise DataError(
            f"{root} holds {len(folders)} Sessions/<n>/session.xml, none of a clip whose Emotion is 1 to 6; "
            "expected the folder that the MMI site packs"
        )
    names, subject, view_, session, onset, apex, offset = (list(column) for column in zip(*rows, strict=True))
    extra = {"view": view_, "session": session, "onset": onset, "apex": apex, "offset": offset}
    return build(BASIC6, names, {"frames": _media(root, found)}, subject, extra=extra)


@DATASETS.register("mmi-frontal", samples=205, subjects=31, modalities=("frames",), labels=BASIC6, licence=LICENCE)
def mmi_frontal(root: Path) -> Index:
    """MMI without the sessions of profile view only: the set that most papers use."""
    return mmi(root, frontal=True)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree: two people with six sessions each, one of profile view, and one without an expression."""
    random = np.random.default_rng(seed)
    for number, (person, emotion) in enumerate((p, e) for p in ("S002", "S017") for e in range(1, 8)):
        folder, stem = Path(root) / "Sessions" / str(200 + number), f"{person}-{100 + number}"
        folder.mkdir(parents=True, exist_ok=True)
        _write_clip(folder / f"{stem}.avi", random)
        view = PROFILE if number == 5 else 0
        _write(
            folder / "session.xml",
            f'<session id="{200 + number}"><track filename="{stem}.avi" view="{view}"/></session>',
        )
        _write(folder / f"{stem}.xml", f'<annotation><Metatag Name="Emotion" Value="{emotion}"/></annotation>')
        if number % 2 == 0:
            markers = "".join(f'<Marker Frame="{1 + 2 * kind}" Type="{kind}"/>' for kind in range(4))
            _write(folder / f"{stem}-oao_aucs.xml", f'<coding><ActionUnit Number="12">{markers}</ActionUnit></coding>')


def _write(path: Path, text: str) -> None:
    path.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n', encoding="utf-8")


def _write_clip(path: Path, random: np.random.Generator) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for _ in range(8):
            image = random.integers(0, 255, (32, 32, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


FAKES["mmi"] = FAKES["mmi-frontal"] = fake
