"""One harness under atheris, as `scripts/fuzz` starts it: `python scripts/fuzz/one.py NAME SECONDS FOLDER`."""

from __future__ import annotations

import faulthandler
import gc
import hashlib
import json
import os
import sys
import time
import traceback
import warnings
from pathlib import Path

import atheris

SLOW_S, MEMORY_MB = 10, 3000
OURS = ("mien", "csv", "json", "pickle", "zipfile", "tomllib", "xml", "numpy.lib")


def main() -> None:
    name, seconds, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    with atheris.instrument_imports(include=["mien"]):
        import files  # noqa: F401
        import names  # noqa: F401
        import web  # noqa: F401
        from kit import HARNESSES

        harness = HARNESSES[name]
        seeds, run = harness.make()
    from mien.errors import MienError

    warnings.simplefilter("ignore")
    note = Note(folder / "note.json")
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for seed in seeds:
        (corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
    quoted = ("".join(rf"\x{byte:02x}" for byte in word) for word in harness.words)
    (folder / "words").write_text("".join(f'"{word}"\n' for word in quoted))

    def once(data: bytes) -> None:
        try:
            run(data)
            note.count("result")
        except MienError:
            note.count("refused")
        except Exception as error:
            note.fault(error, data)
        note.save()

    def test(data: bytes) -> None:
        once(data)
        if note.inputs % 2000 == 0:
            gc.collect()

    arguments = [
        sys.argv[0], str(corpus), f"-max_total_time={seconds}", f"-max_len={harness.largest}", f"-timeout={SLOW_S}",
        f"-rss_limit_mb={MEMORY_MB}", f"-artifact_prefix={folder}/", "-verbosity=0", "-len_control=20",
        *([f"-dict={folder}/words"] if harness.words else []),
    ]  # fmt: skip
    faulthandler.enable()
    atheris.Setup(arguments, test)
    note.save(now=True)
    atheris.Fuzz()


class Note:
    """What has happened so far, on disk every second, for a hang or crash ends the process."""

    def __init__(self, path: Path) -> None:
        known = json.loads(path.read_text()) if path.is_file() else {}
        self._path, self._counts = path, known.get("counts", {"result": 0, "refused": 0, "fault": 0})
        self._faults: dict[str, dict[str, object]] = known.get("faults", {})
        self._saved = 0.0

    @property
    def inputs(self) -> int:
        return sum(self._counts.values())

    def count(self, what: str) -> None:
        self._counts[what] += 1

    def fault(self, error: Exception, data: bytes) -> None:
        """Faults are told apart by the kind of error and the last place in mien that it came through."""
        self.count("fault")
        frames = traceback.extract_tb(error.__traceback__)
        mine = [f for f in frames if "/mien/" in f.filename] or frames
        key = f"{type(error).__name__} in {Path(mine[-1].filename).name}:{mine[-1].name}"
        if key not in self._faults:
            path = self._path.parent / f"fault-{len(self._faults)}"
            path.write_bytes(data)
            self._faults[key] = {"error": str(error)[:200], "input": path.name}
            self.save(now=True)

    def save(self, now: bool = False) -> None:
        if now or time.monotonic() - self._saved > 1:
            self._saved = time.monotonic()
            scratch = self._path.with_suffix(".part")
            scratch.write_text(json.dumps({"counts": self._counts, "faults": self._faults}))
            os.replace(scratch, self._path)


if __name__ == "__main__":
    main()
