"""Peers side by side in one run: each in an environment of its own, made by pip, driven by a program of its own."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from mien.bench.speed import check_clip
from mien.errors import InputError, MienError

DRIVERS = Path(__file__).parent / "drivers"
READY = "mien-peer.json"
"""In an environment that is whole: what was installed."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Peer:
    """A program to be measured.

    Attributes:
        pip: arguments of each `pip install`, in order.
        driver: file in `drivers/`; empty: nothing but its installation is tried.
        ask: Python that must run once it is installed, where there is no driver; it shows whether the peer's weights
            can be had.
    """

    name: str
    pip: tuple[tuple[str, ...], ...]
    driver: str = ""
    ask: str = ""


_FER = (
    "ai-edge-litert",
    "opencv-python-headless<5",
    "setuptools<81",
    "pandas",
    "requests",
    "tqdm",
    "pillow",
    "matplotlib",
)
PEERS = (
    # without its own requirements (TensorFlow, torch, moviepy < 2), of which a clip without sound needs the interpreter
    Peer("fer", (("--no-deps", "fer==25.10.3"), _FER), "run_fer.py"),
    Peer("PyEmotion", (("PyEmotion==1.0.0",),), "run_pyemotion.py"),
    Peer(
        "deepface",
        (("deepface", "flask"),),
        ask="import numpy; from deepface import DeepFace; "
        "DeepFace.analyze(numpy.zeros((96, 96, 3), 'uint8'), ['emotion'], detector_backend='skip')",
    ),
    Peer("py-feat", (("py-feat",),), ask="from feat import Detector; Detector(device='cpu')"),
    Peer("libreface", (("libreface",),), ask="import libreface"),
    Peer("what-the-face", (("what-the-face",),), ask="import what_the_face"),
)


@dataclass
class Standing:
    """What came of a peer.

    Attributes:
        ms: of the network on one crop, milliseconds, every timed call of all rounds.
        rates: frames of the clip for each second of processor time, one of each round: on one core that is the time it
            takes, but for what other programs take of the core meanwhile.
        reason: why it was not measured; empty if it was.
    """

    name: str
    ms: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    faces: int = 0
    frames: int = 0
    reason: str = ""


def install(peer: Peer, folder: Path, minutes: float, say: Say = print) -> Path:
    """The Python of the peer's environment, which is made if it is not there.

    Raises:
        MienError: pip failed or took too long; the sentence ends with what it said.
    """
    place = folder / peer.name
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = [list(step) for step in peer.pip]
    if (place / READY).is_file() and json.loads((place / READY).read_text(encoding="utf-8")) == wanted:
        return python
    say(f"{peer.name}: making its environment in {place}")
    venv.create(place, with_pip=True, clear=True)
    try:
        for step in peer.pip:
            _call([str(python), "-m", "pip", "install", "--no-input", "--quiet", *step], 60 * minutes)
    except MienError:
        shutil.rmtree(place, ignore_errors=True)  # half an environment can be gigabytes
        raise
    (place / READY).write_text(json.dumps(wanted), encoding="utf-8")
    return python


def _call(command: list[str], seconds: float) -> str:
    """What a program printed.

    Raises:
        MienError: it failed, or had to be ended.
    """
    lone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    lone.pop("PYTHONPATH", None)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=lone, errors="replace")
    except subprocess.TimeoutExpired:
        raise MienError(f"not done after {seconds / 60:g} minutes") from None
    if done.returncode:
        raise MienError(_last_words(done.stderr or done.stdout) or f"ended with status {done.returncode}")
    return done.stdout


def _last_words(text: str) -> str:
    """The line that says most about a failure: pip's first error, or the last line.

    >>> _last_words("Traceback\\n  line\\nValueError: no weights\\n")
    'ValueError: no weights'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip() and "notice" not in line]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines[-1:] or [""])[0].removeprefix("ERROR: ")[:240]


def drive(python: Path, driver: str, *arguments: str, seconds: float = 600) -> dict[str, Any]:
    """What a driver measured.

    Raises:
        MienError: it failed.
    """
    lines = _call([str(python), str(DRIVERS / driver), *arguments], seconds).strip().splitlines()
    try:
        found: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, json.JSONDecodeError) as error:
        raise MienError(f"{driver} printed no figures") from error
    return found


def cut_clip(clip: Path, out: Path, seconds: float) -> Path:
    """The beginning of the picture track, without re-encoding.

    Raises:
        InputError: it has none, or cannot be opened.
    """
    check_clip(clip)
    with av.open(str(clip)) as source, av.open(str(out), "w") as target:
        stream = source.streams.video[0]
        added = target.add_stream_from_template(stream)
        added.time_base = stream.time_base
        limit = seconds / float(stream.time_base or Fraction(1)) + (stream.start_time or 0)
        for packet in source.demux(stream):
            if packet.dts is None or packet.pts is None:
                continue
            if packet.pts < limit:
                packet.stream = added
                target.mux(packet)
    return out


def compare(
    clip: Path,
    folder: Path,
    *,
    peers: Sequence[str] = (),
    rounds: int = 3,
    minutes: float = 10,
    say: Say = print,
) -> list[Standing]:
    """mien and its peers in turn, round after round, so that all meet the same state of the machine; one core each.

    A first round warms up and is not counted.

    Args:
        clip: read anew by each in each round.
        folder: of the environments.
        peers: names among `PEERS`; all of them if empty.
        minutes: that an installation may take.

    Raises:
        InputError: an unknown peer is named.
    """
    check_clip(clip)
    unknown = set(peers) - {peer.name for peer in PEERS}
    if unknown:
        raise InputError(f"no peer is called {sorted(unknown)[0]!r}; there are: {', '.join(p.name for p in PEERS)}")
    standings = [Standing("mien (mien-s)")]
    driven: list[tuple[Standing, Path, str]] = [(standings[0], Path(sys.executable), "run_mien.py")]
    for peer in (peer for peer in PEERS if not peers or peer.name in peers):
        standing = Standing(peer.name)
        standings.append(standing)
        try:
            python = install(peer, folder, minutes, say)
            if peer.driver:
                driven.append((standing, python, peer.driver))
            else:
                _call([str(python), "-c", peer.ask], 60 * minutes)
                standing.reason = "installs, and its weights load; no driver is written for it"
        except MienError as error:
            standing.reason = str(error)
            say(f"{peer.name}: {error}")
    for number in range(rounds + 1):
        for standing, python, driver in driven:
            _measure(standing, python, driver, clip, counts=number > 0)
        say(f"round {number} of {rounds}" + (" (warm-up)" if not number else ""))
    return standings


def _measure(standing: Standing, python: Path, driver: str, clip: Path, *, counts: bool) -> None:
    if standing.reason:
        return
    try:
        network, video = drive(python, driver, "net"), drive(python, driver, "clip", str(clip))
    except MienError as error:
        standing.reason = str(error)
        return
    standing.frames, standing.faces = video["frames"], video["faces"]
    if counts:
        standing.ms += network["ms"]
        standing.rates.append(video["frames"] / video["cpu_s"])


def rows(standings: Sequence[Standing]) -> list[list[str]]:
    """Cells of those that were measured: medians, and ratios to the first one."""
    measured = [one for one in standings if one.ms]
    if not measured:
        return []
    first = statistics.median(measured[0].ms), statistics.median(measured[0].rates)
    cells = []
    for one in measured:
        ms, rate = statistics.median(one.ms), statistics.median(one.rates)
        cells.append(
            [one.name, f"{ms:.3f}", f"{first[0] / ms:.2f}", f"{one.faces} in {one.frames}", f"{rate:.1f}",
             f"{min(one.rates):.1f}-{max(one.rates):.1f}", f"{rate / first[1]:.3f}"]
        )  # fmt: skip
    return cells
