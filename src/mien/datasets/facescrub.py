"""FaceScrub: faces of actors and actresses with identities, for pre-training.

Paper: Ng, Winkler, "A data-driven approach to cleaning large face datasets", ICIP 2014.
Layout: the lists `facescrub_actors.txt` and `facescrub_actresses.txt` (in some releases `actors_users_normal_bbox.txt`
    and `actresses_users_normal_bbox.txt`), separated by tabs, with a header: name, image_id, face_id, url,
    bbox (x1,y1,x2,y2), sha256. The pictures come from the web with the authors' script: `images/<Name>/<Name>_<image
    id>.<type>`, and cut out `faces/<Name>/<Name>_<image id>_<face id>.<type>`, spaces of a name as `_`, at the root or
    in `actors/` and `actresses/`. Layout from that script, untried on the real tree.
Labels: none; `extra["identity"]` numbers the people from 0 in order of their names.
Licence: non-commercial research; the pictures belong to their owners.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.media import Box, Pictures
from mien.datasets.webface import identities, pictures_in
from mien.errors import DataError

LISTS = {
    "facescrub_actors.txt": ("actors", "male"),
    "facescrub_actresses.txt": ("actresses", "female"),
    "actors_users_normal_bbox.txt": ("actors", "male"),
    "actresses_users_normal_bbox.txt": ("actresses", "female"),
}
HEADER = "name\timage_id\tface_id\turl\tbbox\tsha256"


class _Downloads:
    """What of the lists lies on disk; each person's folders are read once."""

    def __init__(self, bases: tuple[Path, ...]) -> None:
        self.bases = bases
        self.people: dict[str, dict[str, Path]] = {}

    def find(self, name: str, image: int, face: int) -> tuple[Path | None, bool]:
        """The picture of a face and whether it is cut out already; None where it was not downloaded."""
        if name not in self.people:
            folders = [base / kind / name for base in self.bases for kind in ("images", "faces")]
            self.people[name] = {Path(file).stem: folder / file for folder in folders for file in pictures_in(folder)}
        files = self.people[name]
        cut = files.get(f"{name}_{image}_{face}")
        return (cut, True) if cut else (files.get(f"{name}_{image}"), False)


def _read_list(path: Path, downloads: _Downloads) -> list[tuple[str, Path, Box | None]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        columns = line.split("\t")
        if not line.strip() or columns[0] == "name":
            continue
        try:
            x1, y1, x2, y2 = (float(v) for v in columns[4].split(","))
            image, face = int(columns[1]), int(columns[2])
        except (ValueError, IndexError) as error:
            expected = ", ".join(HEADER.split("\t"))
            raise DataError(f"{path}, line {number}: expected {expected}, separated by tabs: {error}") from error
        picture, cut = downloads.find(columns[0].replace(" ", "_"), image, face)
        if picture:
            rows.append((columns[0], picture, None if cut else (x1, y1, x2, y2)))
    return rows


@DATASETS.register(
    "facescrub", samples=106863, subjects=530, modalities=("face",), labels=(), licence="non-commercial research"
)
def facescrub(root: Path) -> Index:
    """FaceScrub's faces that were downloaded, RGB; no labels and no split. `extra["gender"]` is the list's.

    Where a face was cut out already that file is read, else the whole picture with its box. Rows of the lists whose
    picture is not on disk (many addresses are dead) are left out.

    Raises:
        DataError: no list, a malformed line, or not a single picture of the lists on disk.
    """
    root = Path(root)
    found = [(root / name, *about) for name, about in LISTS.items() if (root / name).is_file()]
    if not found:
        raise DataError(f"{root} holds neither facescrub_actors.txt nor facescrub_actresses.txt")
    rows: list[tuple[str, Path, Box | None]] = []
    gender: list[str] = []
    for path, folder, sex in found:
        part = _read_list(path, _Downloads((root / folder, root)))
        rows += part
        gender += [sex] * len(part)
    if not rows:
        raise DataError(f"{root} holds no picture of its lists; expected images/<Name>/<Name>_<image id>.jpg")
    faces = Pictures([row[1] for row in rows], boxes=[row[2] for row in rows])
    return identities([row[0] for row in rows], faces, {"gender": np.array(gender)})


def fake(root: Path, seed: int = 0) -> None:
    """Write tiny lists and pictures: actors as whole pictures, actresses cut out, and one dead address each."""
    random = np.random.default_rng(seed)
    root = Path(root)
    face_id = 0
    for listing, names in (
        ("facescrub_actors.txt", ("Adam Example", "Ben Example")),
        ("facescrub_actresses.txt", ("Cat O'Example",)),
    ):
        base, lines = root / LISTS[listing][0], [HEADER]
        for name in names:
            stem = name.replace(" ", "_")
            for image in range(1, 5):
                face_id += 1
                lines.append(f"{name}\t{image}\t{face_id}\thttp://example.org/{face_id}\t10,5,50,45\t{face_id:064x}")
                if image == 4:
                    continue
                kinds = {"images": (60, 80, f"{stem}_{image}")}
                if "actresses" in listing:
                    kinds["faces"] = (40, 40, f"{stem}_{image}_{face_id}")
                for kind, (height, width, file) in kinds.items():
                    folder = base / kind / stem
                    folder.mkdir(parents=True, exist_ok=True)
                    picture = random.integers(0, 255, (height, width, 3), dtype=np.uint8)
                    cv2.imwrite(str(folder / f"{file}.jpeg"), picture)
        (root / listing).write_text("\n".join(lines) + "\n", encoding="utf-8")


FAKES["facescrub"] = fake
