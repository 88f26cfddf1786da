"""The tables of docs/cluster.md: short clips by the plain loop, by a local Ray, with a worker killed; prints Markdown.

    python scripts/measure_cluster.py CLIP... [--clips 200] [--seconds 2] [--folder FOLDER]

The clips are cut from the given ones at random places with a fixed seed, 640x360, H.264, and kept in FOLDER (default: a
temporary one). Each way is a process of `mien analyze` from its start to its end, in turn; one worker of the last is
killed when a quarter of the clips is whole. Rows are compared with those of the plain loop.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import pyarrow.parquet as parquet

from mien.pipeline.sources import Source, length

WIDTH, HEIGHT = 640, 360
HOURS = 1_000_000
FPS = 25
PRICE = 0.04
"""US dollars for an hour of a core: an assumption, of the order of large clouds' list prices on demand."""
Key = tuple[str, int, int]


def make_clips(media: list[Path], folder: Path, count: int, seconds: float) -> None:
    """Cut clips, unless they are there."""
    chance, frames = random.Random(1), round(seconds * FPS)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {path: _read(path) for path in media}
    for number in range(count):
        path = folder / f"{number:04d}.mp4"
        source = pictures[media[number % len(media)]]
        begin = chance.randrange(max(1, len(source) - frames))
        if path.is_file():
            continue
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=FPS)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.options = {"crf": "23", "preset": "veryfast"}
            for picture in source[begin : begin + frames]:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())


def _read(path: Path) -> list:
    """Frames of a clip, padded to 16:9 and scaled."""
    pictures = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            picture = frame.to_ndarray(format="rgb24")
            height, width = picture.shape[:2]
            scale = min(WIDTH / width, HEIGHT / height)
            small = cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
            right, below = WIDTH - small.shape[1], HEIGHT - small.shape[0]
            pictures.append(cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_CONSTANT))
    return pictures


@dataclass
class Way:
    """How one way of analysing went."""

    name: str
    seconds: float
    work_s: float
    rows: Counter[Key]
    killed: int = 0


def analyse(name: str, clips: Path, out: Path, words: list[str], kill_at: int = 0) -> Way:
    """One process of `mien analyze`; kills one worker when so many parts are whole."""
    command = [sys.executable, "-m", "mien", "analyze", str(clips), "-o", str(out), *words]
    begin = time.monotonic()
    first: list[float] = []
    killed: list[int] = []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    watching = threading.Thread(target=_watch, args=(process, out, kill_at, first, killed), daemon=True)
    watching.start()
    process.communicate()
    seconds = time.monotonic() - begin
    watching.join()
    if process.returncode:
        raise SystemExit(f"{name}: exit {process.returncode}")
    work_s = begin + seconds - (first[0] if first else begin)
    return Way(name, seconds, work_s, rows_of(out), len(killed))


def _watch(process: subprocess.Popen[str], out: Path, kill_at: int, first: list[float], killed: list[int]) -> None:
    """Note when the first rows are there, and kill a worker at its clip."""
    while process.poll() is None:
        parts = len(list((out / "faces").glob("*.parquet")))
        rows = out / "faces.csv"
        if not first and (parts or (rows.is_file() and rows.stat().st_size > 1000)):
            first.append(time.monotonic())
        if kill_at and parts >= kill_at and not killed:
            for path in (out / ".cluster" / "tries").glob("*.json"):
                try:
                    facts = json.loads(path.read_text())
                except (OSError, ValueError):
                    continue
                if facts["at"] is not None:
                    os.kill(facts["pid"], signal.SIGKILL)
                    killed.append(facts["pid"])
                    break
        time.sleep(0.02)


def rows_of(out: Path) -> Counter[Key]:
    """How often each source, frame and face stands in a result."""
    names = ("source", "frame", "face")
    if (out / "faces.csv").is_file():
        with open(out / "faces.csv", newline="") as file:
            return Counter((row["source"], int(row["frame"]), int(row["face"])) for row in csv.DictReader(file))
    columns = parquet.read_table(out / "faces", columns=list(names)).to_pydict()
    return Counter(zip(*(columns[name] for name in names), strict=True))


def estimate(rate: float, cores: int, start_s: float) -> list[str]:
    """A million hours of video from frames a second on so many cores; on paper."""
    frames = HOURS * 3600 * FPS
    core_hours = frames / (rate / cores) / 3600
    lines = []
    for machines in (10, 100, 1000):
        hours = core_hours / (machines * 64)
        lines.append(
            f"| {machines:,} of 64 cores | {hours:,.0f} h ({hours / 24:,.1f} days) | {core_hours * PRICE:,.0f} |"
        )
    return [
        f"{HOURS:,} hours at {FPS} frames/s are {frames:,} frames: at {rate / cores:.1f} frames/s a core, "
        f"{core_hours:,.0f} core hours. Starting ({start_s:.0f} s) is left out.",
        "",
        f"| machines | time | US dollars, at {PRICE} a core hour (assumed) |",
        "| --- | --- | --- |",
        *lines,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("media", nargs="+", type=Path)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only-clips", action="store_true", help="make the clips, and stop")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch) / "clips"
        make_clips(given.media, folder, given.clips, given.seconds)
        if given.only_clips:
            return
        cores = len(os.sched_getaffinity(0))
        ray = ["--engine", "ray", "--cpus", str(cores)]
        ways = [
            analyse(f"plain loop, {cores} threads", folder, Path(scratch) / "all", []),
            analyse(f"Ray, {cores} workers", folder, Path(scratch) / "ray", ray),
            analyse(f"Ray, {cores} workers, one killed", folder, Path(scratch) / "kill", ray, given.clips // 4),
        ]
        total = sum(length(Source(str(path), "video"))[0] for path in folder.glob("*.mp4"))
    tell(ways, total, given.clips, cores)


def tell(ways: list[Way], total: int, clips: int, cores: int) -> None:
    """The tables."""
    base = ways[0]
    print(f"{clips} clips, {total:,} frames, {base.rows.total():,} rows, {time.strftime('%Y-%m-%d')}.\n")
    print(
        "| way | seconds | frames/s | before the first rows, s | frames/s after | ratio | rows lacking | rows twice |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for way in ways:
        lacking = sum((base.rows - way.rows).values())
        twice = sum(count - 1 for count in way.rows.values())
        start = way.seconds - way.work_s
        ratio = base.seconds / way.seconds
        print(
            f"| {way.name} | {way.seconds:.1f} | {total / way.seconds:.1f} | {start:.1f} | {total / way.work_s:.1f} | "
            f"{ratio:.2f} | {lacking} | {twice} |"
        )
    print(f"\nWorkers killed: {ways[2].killed}.\n")
    print("\n".join(estimate(total / ways[1].work_s, cores, ways[1].seconds - ways[1].work_s)))


if __name__ == "__main__":
    main()
