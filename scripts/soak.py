"""Does anything grow? One long looped video through `mien analyze`, requests and jobs against `mien serve`, a camera on
the page.

    python scripts/soak.py analyze MINUTES CLIP --out FOLDER
    python scripts/soak.py server MINUTES CLIP --picture PICTURE --out FOLDER [--senders 2] [--job-hours 1]
    python scripts/soak.py page MINUTES CLIP --site SITE --out FOLDER

CLIP is the looped video; for the page the Motion JPEG that Chromium takes for a camera, in a folder beside the other
files that scripts/make_web_media.py writes. SITE is what `mien export --web` wrote.

Memory, open files and threads of the process and all its children are read every few seconds from /proc (Linux). What
the first tenth of the time loads does not count: figures are the medians of the next tenth and of the last tenth, and
the slope of the least-squares line between. FOLDER gets samples.csv and soak.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mien.bench.speed import loop_clip

ROOT = Path(__file__).resolve().parent.parent
WHAT = ("memory_mb", "files", "threads", "processes")


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        try:
            for tasks in Path(f"/proc/{one}/task").glob("*/children"):
                found += [int(child) for child in tasks.read_text().split()]
        except OSError:
            continue  # it has just ended
    return found


def look(pid: int) -> dict[str, float]:
    """What a process and all below it hold: private and shared memory in MB, open files, threads, processes."""
    seen = dict.fromkeys(WHAT, 0.0)
    for one in family(pid):
        try:
            status = dict(line.split(":", 1) for line in Path(f"/proc/{one}/status").read_text().splitlines())
            if "VmRSS" not in status:
                continue
            files = len(os.listdir(f"/proc/{one}/fd"))
        except OSError:
            continue
        seen["memory_mb"] += int(status["VmRSS"].split()[0]) / 1024
        seen["threads"] += int(status["Threads"])
        seen["files"] += files
        seen["processes"] += 1
    return seen


def figures(samples: list[dict[str, float]], name: str) -> dict[str, float]:
    """Median of the second and of the last tenth, the largest value, and the slope an hour after the first tenth."""
    times = np.array([sample["seconds"] for sample in samples])
    values = np.array([sample[name] for sample in samples])
    end = times[-1]
    after = times >= 0.1 * end
    first, last = values[after & (times < 0.2 * end)], values[times >= 0.9 * end]
    slope = np.polyfit(times[after] / 3600, values[after], 1)[0]
    rounded = [round(float(v), 1) for v in (np.median(first), np.median(last), values.max(), slope)]
    return dict(zip(("start", "end", "most", "slope_an_hour"), rounded, strict=True))


def watch(pid: int, minutes: float, every_s: float, more: Callable[[], dict[str, float]]) -> list[dict[str, float]]:
    """Samples until the time is over or the process has ended."""
    begin, samples = time.monotonic(), []
    while (spent := time.monotonic() - begin) < 60 * minutes and Path(f"/proc/{pid}/fd").is_dir():
        seen = look(pid)
        if not seen["processes"]:
            break
        samples.append({"seconds": round(spent, 1), **seen, **more()})
        time.sleep(every_s)
    return samples


def write(out: Path, samples: list[dict[str, float]], facts: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "samples.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(samples[0]))
        table.writeheader()
        table.writerows(samples)
    rows = {name: figures(samples, name) for name in WHAT}
    told = {"seconds": samples[-1]["seconds"], **facts, "samples": len(samples), "figures": rows}
    (out / "soak.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({**facts, "seconds": samples[-1]["seconds"]}))
    print("| what | second tenth | last tenth | most | slope an hour |\n| --- | --- | --- | --- | --- |")
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{value:g}" for value in row.values()) + " |")


def frames_noted(folder: Path) -> dict[str, float]:
    """Frames that a running analysis has noted."""
    try:
        note = json.loads((folder / ".progress.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"frames": 0}
    return {"frames": sum(state["frames"] for state in note["sources"].values())}


def soak_analyze(args: argparse.Namespace) -> None:
    """Ends as a user would end it, by Ctrl-C, and then looks at what was written."""
    results = args.out / "results"
    shutil.rmtree(results, ignore_errors=True)
    args.out.mkdir(parents=True, exist_ok=True)
    looped = loop_clip(args.clip, args.out / "looped.mp4", args.hours * 3600)
    command = [sys.executable, "-m", "mien", "analyze", str(looped), "--out", str(results), "--json"]
    # a shell that starts this in the background has its children ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(args.out / "log.txt", "w") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        samples = watch(child.pid, args.minutes, args.every, lambda: frames_noted(results))
        running = child.poll() is None
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
        status = child.wait()
    looped.unlink()
    summary = json.loads((results / "summary.json").read_text(encoding="utf-8"))
    rows = (results / "faces.csv").read_bytes().count(b"\n") - 1
    frames = summary["sources"][0]["frames"]
    write(args.out, samples, {"what": "analyze", "frames": frames, "rows": rows, "cut": running, "status": status})


class Load:
    """Senders of pictures without a pause, and one of jobs: a job sent, awaited, its table fetched, removed."""

    def __init__(self, url: str, picture: bytes, clip: Path, senders: int) -> None:
        self.url, self.picture, self.clip = url, picture, clip
        self.counts: Counter[str] = Counter()
        self.over = threading.Event()
        self.tables: set[str] = set()
        self.threads = [threading.Thread(target=work) for work in (*[self.pictures] * senders, self.jobs)]

    def pictures(self) -> None:
        import httpx

        with httpx.Client(base_url=self.url, timeout=120) as client:
            while not self.over.is_set():
                answer = client.post("/v1/analyze", content=self.picture)
                self.counts[f"pictures {answer.status_code}"] += 1
                if answer.status_code == 429:
                    self.over.wait(float(answer.headers["retry-after"]))

    def jobs(self) -> None:
        import hashlib

        import httpx

        with httpx.Client(base_url=self.url, timeout=120) as client:
            while not self.over.is_set():
                with open(self.clip, "rb") as file:
                    name = client.post("/v1/jobs", content=file).json()["id"]
                state = "queued"
                while state in ("queued", "running") and not self.over.wait(0.5):
                    state = client.get(f"/v1/jobs/{name}").json()["state"]
                if state == "done":
                    table = client.get(f"/v1/jobs/{name}/result/faces.csv").content
                    self.tables.add(hashlib.sha256(table).hexdigest())
                client.delete(f"/v1/jobs/{name}")
                self.counts[f"jobs {state}"] += 1

    def more(self) -> dict[str, float]:
        return {
            "pictures": float(self.counts["pictures 200"]),
            "jobs": float(self.counts["jobs done"]),
        }


def soak_server(args: argparse.Namespace) -> None:
    jobs = args.out / "jobs"
    shutil.rmtree(jobs, ignore_errors=True)
    args.out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "mien", "serve", "--port", "0", "--jobs", str(jobs)]
    clip = args.clip
    if args.job_hours:
        clip = loop_clip(clip, args.out / "looped.mp4", args.job_hours * 3600)
        command += ["--max-duration", str(round(args.job_hours * 3600 + 60)), "--max-upload", "4000"]
    with open(args.out / "log.txt", "w") as log:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert child.stdout is not None
        url = child.stdout.readline().split()[-1]
        load = Load(url, args.picture.read_bytes(), clip, args.senders)
        for thread in load.threads:
            thread.start()
        samples = watch(child.pid, args.minutes, args.every, load.more)
        load.over.set()
        for thread in load.threads:
            thread.join()
    finally:
        child.send_signal(signal.SIGTERM)
        status = child.wait()
    left = sorted(path.name for path in (jobs / "jobs").iterdir())
    facts = {"what": "server", **load.counts, "different_tables": len(load.tables), "folders_left": len(left)}
    write(args.out, samples, {**facts, "status": status})


def soak_page(args: argparse.Namespace) -> None:
    """The page's own browser run, whose last part is a camera for the given time; it fails if anything went wrong."""
    args.out.mkdir(parents=True, exist_ok=True)
    words = [str(path.resolve()) for path in (args.site, args.clip.parent, args.out / "shots")]
    command = ["node", "tests/browser.mjs", *words, "--minutes", str(args.minutes)]
    with open(args.out / "log.txt", "w") as log:
        child = subprocess.Popen(command, cwd=ROOT / "web", stdout=log, stderr=log)
    # the family is Node and all of Chromium's processes; the rest of the run takes a minute or two
    samples = watch(child.pid, args.minutes + 30, args.every, dict)
    status = child.wait()
    said = (args.out / "log.txt").read_text(encoding="utf-8")
    facts: dict[str, Any] = {"what": "page", "status": status}
    if status == 0:
        report = json.loads(said)
        facts |= {"frames": report["frames"], "heap_mb": report["memory_mb"]}
    write(args.out, samples, facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("analyze", "server", "page"))
    parser.add_argument("minutes", type=float)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--picture", type=Path, help="for the server")
    parser.add_argument("--site", type=Path, help="for the page")
    parser.add_argument("--senders", type=int, default=2, help="of pictures to the server")
    parser.add_argument("--job-hours", type=float, default=0.0, help="loop the server's clip to this length")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks")
    parser.add_argument("--hours", type=float, default=3.0, help="length of the looped video")
    args = parser.parse_args()
    if args.what == "server" and args.picture is None:
        parser.error("the server needs a --picture")
    if args.what == "page" and args.site is None:
        parser.error("the page needs a --site")
    {"analyze": soak_analyze, "server": soak_server, "page": soak_page}[args.what](args)


if __name__ == "__main__":
    main()
