"""Kills analyze, train, bench and serve at random points, many times, and looks at what is left.

    python scripts/campaign_kill.py FOLDER [--analyze 40] [--train 20] [--bench 10] [--serve 10] [--seed 0]

Each run of analyze, train and bench is a fork of this process that is ended by SIGKILL: half of them after a random
time of the processor, half just before a random change of a file in its folder (`os.replace` and `unlink` among them),
where luck alone would rarely strike. Then it is started again, and killed again, until it ends by itself. After each
death every file must be whole or absent (of the table: whole rows, the first of those of an unbroken run); at the end
all must be the bytes of an unbroken run (of training: the same weights and the same lines but for times), and no
process may be left. Analyses note how far they are every 0.05 s here, in place of 2 s, so that there is something to go
on from.
Ends with 1 at the first fault. Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

CHANGES = ("open", "os.rename", "os.remove", "os.truncate", "os.mkdir")
ENDED, KILLED = "ended", "killed"


class Fault(Exception):
    """What should never be found."""


def forked(
    arguments: list[str], folder: Path, *, cpu_s: float = 0.0, change: int = 0, log: Path
) -> tuple[str, float, int]:
    """Run `mien ARGUMENTS` in a fork: how it ended, its processor time, and how many changes of files it came to.

    Args:
        cpu_s: kill it after so much time of the processor; 0: do not.
        change: kill it just before its so many-th change of a file; 0: do not.
    """
    counts, told = os.pipe()
    if not (pid := os.fork()):
        os.close(counts)
        os.setsid()
        _child(arguments, folder, change, told, log)
    os.close(told)
    spent, status = 0.0, None
    while status is None:
        found, code = os.waitpid(pid, os.WNOHANG)
        if found:
            status = code
            break
        spent = _processor_time(pid) or spent
        if cpu_s and spent >= cpu_s:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.003)
    with os.fdopen(counts, "rb") as pipe:
        changes = len(pipe.read())
    _nobody_left(pid)
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) != signal.SIGKILL:
            raise Fault(f"{' '.join(arguments)}: ended by signal {os.WTERMSIG(status)}; see {log}")
        return KILLED, spent, changes
    if os.WEXITSTATUS(status):
        raise Fault(f"{' '.join(arguments)}: exit {os.WEXITSTATUS(status)}; {log.read_text()[-600:]}")
    return ENDED, spent, changes


def _child(arguments: list[str], folder: Path, change: int, told: int, log: Path) -> None:
    """Never returns."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    inside, left = str(folder), [change]

    def watch(event: str, found: tuple[Any, ...]) -> None:
        if event not in CHANGES or not str(found[0]).startswith(inside):
            return
        if event == "open" and not (found[2] or 0) & (os.O_WRONLY | os.O_RDWR):
            return
        os.write(told, b".")
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    from mien.cli import main

    sys.argv = ["mien", *arguments]
    try:
        main()
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 0)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(70)
    os._exit(0)


def _processor_time(pid: int) -> float:
    try:
        parts = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def _nobody_left(session: int, patience_s: float = 20.0) -> None:
    """Processes that the killed one had started must end by themselves."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise Fault(f"a process of group {session} is still there {patience_s:g} s after its parent was killed")


def campaign(
    what: str,
    arguments: Callable[[Path], list[str]],
    folder: Path,
    kills: int,
    whole: Callable[[Path, Path], None],
    same: Callable[[Path, Path], None],
    rng: random.Random,
) -> dict[str, Any]:
    """Chains of runs, each killed and started again until it ends, until so many kills have struck.

    Args:
        arguments: of a run into a folder; `--resume` is added from the second start on where the verb knows it.
        whole: (folder, folder of the unbroken run) -> None, or Fault, after each death.
        same: the same, after the end.
    """
    log, reference = folder / f"{what}.log", folder / f"{what}-unbroken"
    _, cpu_s, changes = forked(arguments(reference), reference, log=log)
    struck, chains, begin = {"time": 0, "change": 0}, 0, time.monotonic()
    while sum(struck.values()) < kills:
        out, chains, starts = folder / f"{what}-broken", chains + 1, 0
        shutil.rmtree(out, ignore_errors=True)
        while True:
            by = rng.choice(("time", "change")) if sum(struck.values()) < kills else ""
            point: dict[str, Any] = {}
            if by == "time":
                point = {"cpu_s": rng.uniform(0.02, cpu_s)}
            elif by:
                point = {"change": rng.randint(1, changes)}
            again = ["--resume"] if starts and what.startswith("analyze") else []
            how, _, _ = forked([*arguments(out), *again], out, log=log, **point)
            starts += 1
            if how == ENDED:
                break
            struck[by] += 1
            whole(out, reference)
        same(out, reference)
    facts = {"what": what, "kills": sum(struck.values()), **struck, "chains": chains, "changes_of_files": changes}
    return {**facts, "cpu_s": round(cpu_s, 2), "minutes": round((time.monotonic() - begin) / 60, 1)}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Fault(f"{path} is torn ({error})") from error


def analysis_whole(out: Path, unbroken: Path) -> None:
    if not out.is_dir():
        return
    for name in (".progress.json", "summary.json"):
        if (out / name).is_file():
            _json(out / name)
    expected = unbroken / "faces.csv"
    lines = expected if expected.is_file() else unbroken.parent / f"{unbroken.name}.jsonl"
    for name in ("faces.csv", "faces.jsonl"):
        if not (out / name).is_file():
            continue
        text = (out / name).read_bytes()
        if not lines.read_bytes().startswith(text) or (text and not text.endswith(b"\n")):
            raise Fault(f"{out / name} does not hold the first whole rows of the unbroken run")
    for name in ("events.csv", "faces.parquet"):
        if (out / name).is_file() and (out / name).read_bytes() != (unbroken / name).read_bytes():
            raise Fault(f"{out / name} is neither absent nor that of the unbroken run")
    for copy in out.glob("*.overlay.*"):
        if copy.suffix == ".mp4":
            capture = cv2.VideoCapture(str(copy))
            if not capture.isOpened() or not capture.read()[0]:
                raise Fault(f"{copy} cannot be played")


def analysis_same(out: Path, unbroken: Path) -> None:
    names = sorted(path.name for path in unbroken.iterdir())
    if sorted(path.name for path in out.iterdir()) != names:
        raise Fault(f"{sorted(path.name for path in out.iterdir())} is not {names}")
    for name in names:
        one, other = (folder / name for folder in (out, unbroken))
        if one.suffix != ".mp4" and name != ".progress.json" and one.read_bytes() != other.read_bytes():
            raise Fault(f"{one} is not the file of the unbroken run")


def training_whole(out: Path, unbroken: Path) -> None:
    """`out` holds runs, and results.jsonl where there are some."""
    from mien.bench.results import read_lines
    from mien.train.checkpoint import load_state

    for path in out.rglob("*.pt"):
        load_state(path)
    for path in out.rglob("run.json"):
        _json(path)
    for path in out.rglob("log.jsonl"):
        if sum(1 for _ in map(json.loads, path.read_text().splitlines())) > 3 or not path.read_text().endswith("\n"):
            raise Fault(f"{path} has lines of more epochs than there are, or a torn one")
    for path in out.rglob("predictions.npz"):
        with np.load(path) as held:
            [held[name] for name in held.files]
    lines = read_lines(out / "results.jsonl")
    if len({line["key"] for line in lines}) < len(lines):
        raise Fault(f"{out}: a result stands there twice")


def _digest(path: Path) -> str:
    from mien.train.checkpoint import load_state

    digest = hashlib.sha256()
    for name, tensor in sorted((load_state(path) or {})["ema" if path.name == "last.pt" else "state"].items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def _lines_without_times(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "date", "finished")} for line in lines]


def training_same(out: Path, unbroken: Path) -> None:
    training_whole(out, unbroken)
    ours = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
    theirs = {path.relative_to(unbroken) for path in unbroken.rglob("*") if path.is_file()}
    if ours != theirs:
        raise Fault(f"{out}: {sorted(map(str, ours ^ theirs))} is in one of the two runs alone")
    for name in ours:
        if name.suffix == ".pt" and _digest(out / name) != _digest(unbroken / name):
            raise Fault(f"{out / name} has other weights than the unbroken run")
        if name.suffix == ".jsonl" and _lines_without_times(out / name) != _lines_without_times(unbroken / name):
            raise Fault(f"{out / name} has other lines than the unbroken run")


def serve_campaign(folder: Path, clip: Path, kills: int, rng: random.Random) -> dict[str, Any]:
    """A server with two jobs is killed and started again; then both must be over, once, with the rows of one run."""
    import httpx

    def start() -> tuple[subprocess.Popen[str], httpx.Client]:
        command = [sys.executable, "-m", "mien", "serve", "--port", "0", "--jobs", str(folder / "jobs")]
        with open(folder / "serve.log", "a") as log:
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
        assert server.stdout is not None
        return server, httpx.Client(base_url=server.stdout.readline().split()[-1], timeout=60)

    tables, struck, rounds, begin = set(), 0, 0, time.monotonic()
    while struck < kills:
        rounds += 1
        server, client = start()
        send = [
            client.post("/v1/jobs", content=clip.read_bytes(), headers={"Idempotency-Key": f"{rounds}-{i}"})
            for i in (0, 1)
        ]
        jobs = [answer.json()["id"] for answer in send]
        # a job is given up at the third death of its server
        for _ in range(2):
            if struck == kills:
                break
            time.sleep(rng.uniform(0.0, 8.0))
            server.kill()
            server.wait()
            _nobody_left(server.pid, 30)
            struck += 1
            server, client = start()
        end = time.monotonic() + 300
        states: list[str] = []
        while time.monotonic() < end and not (states and all(s in ("done", "failed") for s in states)):
            states = [client.get(f"/v1/jobs/{job}").json()["state"] for job in jobs]
            time.sleep(0.3)
        if states != ["done", "done"]:
            raise Fault(f"jobs ended as {states}")
        tables |= {hashlib.sha256(client.get(f"/v1/jobs/{job}/result/faces.csv").content).hexdigest() for job in jobs}
        for job in jobs:
            client.delete(f"/v1/jobs/{job}")
        server.terminate()
        server.wait()
        if left := list((folder / "jobs" / "jobs").iterdir()):
            raise Fault(f"{left} belong to no job")
    if len(tables) > 1:
        raise Fault(f"{len(tables)} different tables of one clip")
    return {"what": "serve", "kills": struck, "rounds": rounds, "minutes": round((time.monotonic() - begin) / 60, 1)}


def inputs(folder: Path) -> tuple[Path, Path]:
    """A folder of three pictures and a clip, and the faces of a data set, all made here."""
    from mien.datasets import DATASETS, FAKES

    data, media = folder / "data", folder / "media"
    if not media.is_dir():
        subprocess.run([sys.executable, Path(__file__).with_name("make_sample.py"), media], check=True)
        picture = cv2.imread(str(media / "astronaut.jpg"))
        for number in range(2):
            cv2.imwrite(str(media / f"more{number}.png"), np.roll(picture, 20 * number, 1))
    if not data.is_dir():
        DATASETS.names()
        FAKES["fer2013"](data, rows=80)
    return media, data


def preload() -> None:
    """What a run imports, so that forks need not; nothing that starts threads."""
    import av  # noqa: F401
    import onnxruntime  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import torch

    import mien.analysis
    import mien.cli
    import mien.train.study

    torch.set_num_threads(1)
    run = mien.analysis.Run
    plain = run.analyze

    def often(self: Any, *names: Any, **more: Any) -> None:
        self.interval_s = 0.05
        plain(self, *names, **more)

    run.analyze = often  # type: ignore[method-assign]


def analyze_campaigns(folder: Path, kills: int, rng: random.Random) -> list[dict[str, Any]]:
    media, _ = inputs(folder)
    found, kinds = [], {"csv": ["--overlay"], "jsonl": [], "parquet": []}
    for number, (form, more) in enumerate(kinds.items()):
        what = f"analyze-{form}"

        def arguments(out: Path, form: str = form, more: list[str] = more) -> list[str]:
            return ["analyze", str(media), "--out", str(out), "--format", form, "--every", "3", "--json", *more]

        if form == "parquet":  # its working file has the lines of the run before
            shutil.copy(folder / "analyze-jsonl-unbroken" / "faces.jsonl", folder / f"{what}-unbroken.jsonl")
        if form == "jsonl":
            forked(arguments(folder / "lines"), folder / "lines", log=folder / "lines.log")
            shutil.copy(folder / "lines" / "faces.jsonl", folder / f"{what}-unbroken.jsonl")
        share = kills // 3 + (number < kills % 3)
        found.append(campaign(what, arguments, folder, share, analysis_whole, analysis_same, rng))
        print(json.dumps(found[-1]), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name, number in (("analyze", 40), ("train", 20), ("bench", 10), ("serve", 10)):
        parser.add_argument(f"--{name}", type=int, default=number, help="so many kills")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    folder, rng = args.folder.resolve(), random.Random(args.seed)
    media, data = inputs(folder)
    preload()
    found = []
    with contextlib.suppress(FileNotFoundError):
        (folder / "campaign.json").unlink()
    if args.analyze:
        found += analyze_campaigns(folder, args.analyze, rng)
    recipe = folder / "tiny.toml"
    recipe.write_text(
        'name = "tiny"\nmodel = "mini-s"\ndataset = "fer2013"\nepochs = 3\nbatch = 16\nlabels = "majority"\n'
    )
    verbs: dict[str, Callable[[Path], list[str]]] = {
        "train": lambda out: ["train", str(recipe), "--data", str(data), "--runs", str(out)],
        "bench": lambda out: [
            *("bench", "run", str(recipe), "--data", str(data), "--runs", str(out), "--seed", "1", "--seed", "2"),
            *("--results", str(out / "results.jsonl")),
        ],
    }
    for what, arguments in verbs.items():
        if kills := getattr(args, what):
            found.append(campaign(what, arguments, folder, kills, training_whole, training_same, rng))
            print(json.dumps(found[-1]), flush=True)
    if args.serve:
        found.append(serve_campaign(folder, media / "astronaut.mp4", args.serve, rng))
        print(json.dumps(found[-1]), flush=True)
    (folder / "campaign.json").write_text(json.dumps({"seed": args.seed, "runs": found}, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except Fault as fault:
        sys.exit(f"FAULT: {fault}")
