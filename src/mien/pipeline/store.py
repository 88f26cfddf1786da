"""Where weight files lie: in the package, in the folder MIEN_WEIGHTS, or in the user's cache."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from mien.errors import UnknownName, WeightsError

PACKAGED = Path(__file__).parent.parent / "weights"
DEFAULT = "mien-s"


@dataclass(frozen=True)
class Remote:
    """A file that mien does not ship: its name, official address and SHA-256."""

    file: str
    url: str
    sha256: str
    licence: str
    about: str


REMOTE = {
    "yunet": Remote(
        "face_detection_yunet_2023mar.onnx",
        "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2023mar.onnx",
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        "MIT",
        "face detector with five points, 0.23 MB",
    )
}


def user_folder() -> Path:
    """Folder for fetched files: MIEN_WEIGHTS, or the user's cache."""
    named = os.environ.get("MIEN_WEIGHTS")
    if named:
        return Path(named)
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "mien" / "weights"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mien" / "weights"


def packaged() -> list[str]:
    """Names of the weights in the package."""
    return sorted(path.stem for path in PACKAGED.glob("*.onnx"))


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pinned() -> dict[str, str]:
    """SHA-256 of each weight file in the package, as the release has it (`SHA256SUMS` beside them)."""
    lines = (PACKAGED / "SHA256SUMS").read_text(encoding="ascii").split()
    return {file.removesuffix(".onnx"): digest for digest, file in zip(lines[::2], lines[1::2], strict=True)}


def find_file(name: str) -> Path:
    """The file of weights called `name`, or at the path `name`.

    Raises:
        UnknownName: no weights have that name.
        WeightsError: the file is not here, or a fetched one is damaged.
    """
    if name.endswith(".onnx"):
        path = Path(name)
        if not path.is_file():
            raise WeightsError(f"{name}: no such file; give a path to an .onnx file or one of {', '.join(packaged())}")
        return path
    if name in REMOTE:
        remote = REMOTE[name]
        path = user_folder() / remote.file
        if not path.is_file():
            raise WeightsError(
                f"{name} is not here yet: run `mien weights get {name}`, or put {remote.file} into the folder that "
                f"MIEN_WEIGHTS names (now {user_folder()})"
            )
        if sha256(path) != remote.sha256:
            raise WeightsError(f"{path} is damaged (SHA-256 differs); delete it and run `mien weights get {name}`")
        return path
    path = PACKAGED / f"{name}.onnx"
    if name not in packaged():
        raise UnknownName("weight file", name, [*packaged(), *REMOTE])
    return path


def fetch(name: str) -> Path:
    """Download a file that mien does not ship; does nothing where it is already here and whole.

    Raises:
        UnknownName: mien knows no such file.
        WeightsError: no connection, or what came is not the pinned file.
    """
    if name in packaged():
        return find_file(name)
    if name not in REMOTE:
        raise UnknownName("weight file", name, [*packaged(), *REMOTE])
    remote, folder = REMOTE[name], user_folder()
    path = folder / remote.file
    if path.is_file() and sha256(path) == remote.sha256:
        return path
    try:
        with urllib.request.urlopen(remote.url, timeout=30) as answer:
            body = answer.read(50_000_000)
    except OSError as error:
        raise WeightsError(
            f"{name} could not be fetched ({error}); with no connection here, fetch {remote.url} elsewhere and put it "
            f"as {remote.file} into {folder}"
        ) from error
    if hashlib.sha256(body).hexdigest() != remote.sha256:
        raise WeightsError(f"what {remote.url} sent is not the pinned file (SHA-256 differs); nothing was kept")
    folder.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".part")
    scratch.write_bytes(body)
    os.replace(scratch, path)
    return path
