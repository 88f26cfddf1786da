"""Names: of weights, networks, recipes and runs, of uploaded files and of sources."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from kit import harness, scratch, text

NAMES = (
    b"../",
    b"..\\",
    b"/etc/passwd",
    b"\x00",
    b"~",
    b"%2e%2e/",
    b"C:\\",
    b"\xff",
    b"camera:",
    b"=cmd|",
    b"\x1b[2J",
    b"*",
)


@harness("names", "names of weights, networks, recipes, sources and uploads", largest=512, words=NAMES)
def names() -> tuple[Iterable[bytes], Callable[[bytes], object]]:
    from mien.catalog import find
    from mien.cli.console import printable
    from mien.pipeline.sources import find_sources
    from mien.pipeline.store import PACKAGED, find_file
    from mien.registry import Registry
    from mien.server.uploads import safe_name
    from mien.train.recipe import FOLDER, load_recipe

    opened: list[str] = []
    sys.addaudithook(lambda event, details: opened.append(str(details[0])) if event == "open" else None)
    home = scratch()
    os.chdir(home)
    (home / "a.jpg").write_bytes(b"x")
    registry: Registry[int] = Registry("thing")
    find("mien-s")  # everything that a first call loads

    def uploads(name: str) -> None:
        made = safe_name(name, {"a.jpg"})
        if (
            made != Path(made).name
            or (made[0] in ".-=+@" and made[0] != "-")
            or not made.isprintable()
            or len(made) > 100
        ):
            raise AssertionError(f"an upload would be called {made!r}")

    def sources(name: str) -> None:
        if ("\0" not in name and os.path.isdir(name)) or "**" in name:
            return  # the whole disk would be walked
        for source in find_sources([name])[0]:
            source.stem  # noqa: B018
        if any(not char.isprintable() for char in printable(name)):
            raise AssertionError("what is printed could steer a terminal")

    def allowed(name: str, suffix: str, folder: Path) -> None:
        strange = [path for path in opened if not Path(path).resolve().is_relative_to(folder)]
        if strange and not name.endswith(suffix):
            raise AssertionError(f"{name!r} opens {strange[0]}")

    def lookups(name: str) -> None:
        opened.clear()
        for look in (lambda: registry.create(name), lambda: find_file(name).read_bytes()):
            try:
                look()
            except Exception as error:
                _ours(error)
        allowed(name, ".onnx", PACKAGED)

    def trainings(name: str) -> None:
        opened.clear()
        try:
            load_recipe(name)
        finally:
            allowed(name, ".toml", FOLDER)

    parts = (uploads, sources, lookups, trainings)
    seeds = [bytes([k]) + name for k in range(4) for name in (b"mien-s", b"a.jpg", b"../a.MP4", b"fer2013-mini-s.toml")]

    def run(data: bytes) -> object:
        return parts[data[0] % len(parts)](text(data[1:])) if data else None

    return seeds, run


def _ours(error: Exception) -> None:
    from mien.errors import MienError

    if not isinstance(error, MienError):
        raise error
