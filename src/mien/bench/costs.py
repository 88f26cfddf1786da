"""What each network costs to use: parameters, multiply-accumulates, and milliseconds per face on one core."""

from __future__ import annotations

import datetime
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mien.bench.speed import Timing, interleaved
from mien.errors import DataError, UnknownName
from mien.explain.anatomy import costs
from mien.export.onnx import Scorer, write
from mien.models import MODELS
from mien.pipeline.model import Model
from mien.report.video import whole_file
from mien.spec import Spec
from mien.train.loop import pick_device
from mien.train.recipe import load_recipe, recipes
from mien.train.study import machine

Costs = dict[str, dict[str, Any]]


def with_recipe(prefix: str = "fer2013-") -> list[str]:
    """Networks that a recipe of that beginning trains, by name."""
    found = [load_recipe(name) for name in recipes() if name.startswith(prefix)]
    # what an ensemble costs is what its members cost
    return sorted({recipe.model for recipe in found if not recipe.joins})


def read_costs(path: Path) -> Costs:
    """Costs by network; none where there is no file.

    Raises:
        DataError: the file is not what `mien bench costs` writes.
    """
    if not path.is_file():
        return {}
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not JSON ({error}); delete it and run `mien bench costs`") from error
    if not isinstance(known, dict):
        raise DataError(f"{path} holds no table of networks; delete it and run `mien bench costs`")
    return known


def measure(names: Sequence[str], path: Path, *, rounds: int = 30, say: Callable[[str], None] = print) -> Costs:
    """Measure networks one after another, each as it would be used, and write each one's costs as soon as known.

    Weights are as a new network has them, for time does not depend on them; each is exported to ONNX in 32 bits and
    run by ONNX Runtime on one thread, one face at a time. A network that cannot be exported keeps an empty time.

    Args:
        names: registered networks; empty for all that a recipe `fer2013-*` trains.
        path: of the file, of which other networks' entries are kept.
        rounds: of three timed runs, after one for warming up.

    Raises:
        UnknownName: a network is not registered.
    """
    wanted = list(names) or with_recipe()
    for name in wanted:
        if name not in MODELS.names():
            raise UnknownName("model", name, MODELS.names())
    for name in wanted:
        row = _measure(name, rounds)
        known = {**read_costs(path), name: row}
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            lines = (f"{json.dumps(key)}: {json.dumps(known[key])}" for key in sorted(known))
            part.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        time = f"{row['ms']} ms a face" if row["ms"] is not None else f"not timed: {row['note']}"
        say(f"{name}: {row['parameters']:,} parameters, {row['macs'] / 1e6:.1f} million MACs, {time}")
    return {name: row for name, row in read_costs(path).items() if name in wanted}


def _measure(name: str, rounds: int) -> dict[str, Any]:
    network, macs = costs(name)
    size = int(MODELS.facts(name)["size"])
    row: dict[str, Any] = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "macs": macs,
        "size": size,
        "ms": None,
        "date": datetime.date.today().isoformat(),
        "machine": machine(pick_device("cpu")),
    }
    if MODELS.facts(name)["modality"] != "face":
        return {**row, "note": "only networks of single faces are timed"}
    classes = int(MODELS.facts(name).get("classes", 8))
    labels = tuple(f"class {number}" for number in range(classes))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        try:
            scorer = Scorer(network, np.zeros(classes), 1.0)
            write(scorer, Spec(name, labels=labels, size=size), file, half=False)
        except Exception as error:  # whatever the exporter cannot do
            return {**row, "note": str(error).splitlines()[0][:120] if str(error) else type(error).__name__}
        timing = _time(name, file, rounds)
    return {**row, "ms": _round(timing.median), "ms_low": _round(timing.low), "ms_high": _round(timing.high)}


def _time(name: str, file: Path, rounds: int) -> Timing:
    model = Model(file, threads=1)
    size = model.spec.size
    x = model.prepare(np.random.default_rng(0).integers(0, 255, (1, size, size), dtype=np.uint8))
    for _ in range(3):
        model.run(x)
    return interleaved({(name, 1): lambda: model.run(x)}, rounds)[0]


def _round(value: float) -> float:
    """Three digits.

    >>> _round(0.123456), _round(12.3456)
    (0.123, 12.3)
    """
    return float(f"{value:.3g}")
