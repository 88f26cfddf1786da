"""A lock on a folder, let go by the system when its process ends, however it ends."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType


class FolderLock:
    """Held while open; `with FolderLock(path): ...`.

    Args:
        path: the lock's file; made if absent.
        wait_s: how long to wait for another process to let go.

    Raises:
        BlockingIOError: another process holds it still.
    """

    def __init__(self, path: Path, wait_s: float = 0.0) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        until = time.monotonic() + wait_s
        while not self._taken():
            if time.monotonic() >= until:
                os.close(self._file)
                raise BlockingIOError(f"{path} is held by another process")
            time.sleep(0.1)

    def _taken(self) -> bool:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(self._file, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let go."""
        os.close(self._file)

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
