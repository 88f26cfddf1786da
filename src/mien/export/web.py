"""The page that reads faces in the visitor's own browser, as static files with the weights beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

from mien.errors import InputError
from mien.pipeline.store import find_file

PAGE = Path(__file__).parent.parent / "server" / "page"
MODELS = ("blazeface", "landmarks68", "mien-s", "mien-m")
"""Weights that the page asks for, from `models/NAME.onnx` beside itself."""


def write_page(folder: Path) -> int:
    """Write the page into a new or empty folder; any web server can serve it. Returns the number of files.

    Raises:
        InputError: the folder is in use or cannot be written, or the page has not been built.
    """
    if not (PAGE / "index.html").is_file():
        raise InputError("the page is not in this copy of mien: run `npm ci && npm run build` in web/ first")
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not an empty folder; name a new one, so that nothing of yours is replaced")
    try:
        shutil.copytree(PAGE, folder, dirs_exist_ok=True)
        (folder / "models").mkdir()
        for name in MODELS:
            shutil.copyfile(find_file(name), folder / "models" / f"{name}.onnx")
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}); name another folder") from error
    return sum(path.is_file() for path in folder.rglob("*"))
