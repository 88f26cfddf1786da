"""What a server allows: one frozen set of limits, checked when made."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

from mien.errors import InputError
from mien.pipeline.store import DEFAULT

TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,256}")
PAGE = Path(__file__).parent / "page"
ROOM_BYTES, PIXEL_BYTES = 2 << 30, 64
"""Memory that a worker may take: that of the libraries and models, and that of each allowed pixel."""


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_folder() -> Path:
    """Where jobs lie if nobody says otherwise: the user's folder for state."""
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "mien" / "jobs"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "mien" / "jobs"


def read_tokens(path: Path) -> tuple[str, ...]:
    """Bearer tokens, one a line; empty lines and lines that begin with # are passed over.

    Raises:
        InputError: the file cannot be read, holds no token, or one that is short or has odd characters.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the tokens cannot be read ({error}); give a text file, one token a line") from error
    tokens = tuple(line for line in lines if line and not line.startswith("#"))
    for number, token in enumerate(tokens, 1):
        if not TOKEN.fullmatch(token):
            raise InputError(
                f"{path}: token {number} must be 16 to 256 of the characters A-Z a-z 0-9 . _ ~ -; "
                "`python -c 'import secrets; print(secrets.token_urlsafe(24))'` makes one"
            )
    if not tokens:
        raise InputError(f"{path}: holds no token; write one a line, or leave --token-file out to ask for none")
    return tokens


@dataclass(frozen=True)
class Settings:
    """Limits and places of a server.

    Attributes:
        host, port: where it listens; port 0 takes a free one.
        model: weights for requests that name none; a path is allowed here, and only here.
        device: that networks run on.
        jobs: folder of uploads, results and, by default, of the queue.
        database: SQLAlchemy URL of the queue; empty: SQLite in `jobs`.
        retain_h: hours for which a finished job is kept.
        tokens: one of them must come with each request; empty: none is asked for.
        max_upload_mb: size of a body, 10**6 bytes.
        max_pixels: width times height of a picture or of a video's frame.
        max_duration_s: of a video, seconds.
        queue: jobs that may wait, and pictures that may wait.
        workers: pictures analysed at a time, and jobs.
        timeout_s: longest wait for a picture's answer, for the next piece of a body and for a sign of life of a job.
        pages: folder of static pages for `/`; None: a plain page.
        origins: other sites whose pages may call this server; none by default.
    """

    host: str = "127.0.0.1"
    port: int = 8642
    model: str = DEFAULT
    device: str = "cpu"
    jobs: Path = Path("jobs")
    database: str = ""
    retain_h: float = 24.0
    tokens: tuple[str, ...] = ()
    max_upload_mb: float = 500.0
    max_pixels: int = 40_000_000
    max_duration_s: float = 3600.0
    queue: int = 16
    workers: int = 1
    timeout_s: float = 60.0
    pages: Path | None = None
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        above_zero = {
            "retain": self.retain_h,
            "max-upload": self.max_upload_mb,
            "max-pixels": self.max_pixels,
            "max-duration": self.max_duration_s,
            "workers": self.workers,
            "timeout": self.timeout_s,
        }
        for name, value in above_zero.items():
            if not 0 < value < math.inf:
                raise InputError(f"--{name} {value:g}: must be more than 0")
        if self.queue < 0:
            raise InputError(f"--queue {self.queue}: must be 0 or more")
        if self.pages is not None and not (self.pages / "index.html").is_file():
            raise InputError(f"{self.pages}: holds no index.html; build the page first, or leave --pages out")

    @property
    def max_bytes(self) -> int:
        """Largest body, bytes."""
        return int(self.max_upload_mb * 1e6)

    @property
    def model_name(self) -> str:
        """What requests call the server's own model: never its path."""
        return Path(self.model).name if self.model.endswith(".onnx") else self.model

    def weights(self, name: str) -> str:
        """What `load` takes for the model that a request calls `name`."""
        return str(Path(self.model).resolve()) if name == self.model_name != self.model else name

    @property
    def threads(self) -> int:
        """Threads of one worker."""
        return max(1, cores() // self.workers)

    @property
    def memory_bytes(self) -> int:
        """Most memory that one worker may take."""
        return ROOM_BYTES + PIXEL_BYTES * self.max_pixels
