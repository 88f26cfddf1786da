"""Every recipe for two epochs on a made tree of noise in its data set's layout, so that none breaks where time is dear.

    python scripts/try_recipes.py [NAME...]

Two epochs, few faces, the full network. Earlier runs that a recipe starts from or learns from are left out where this
machine has none (--runs FOLDER). Exit code 1 if one breaks.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from pathlib import Path

import torch

from mien.datasets import DATASETS, FAKES
from mien.train.loop import pick_device
from mien.train.recipe import Recipe, load_recipe, recipes
from mien.train.study import Study


def shortened(name: str, runs: Path) -> Recipe:
    """Two epochs, batches that the few faces fill, and no earlier run that is not there."""
    recipe = load_recipe(name, epochs=2, stop=0)
    there = (runs / recipe.init / "last.pt").is_file()
    teachers = tuple(t for t in recipe.distill.teachers if (runs / t / "best.pt").is_file())
    inputs = tuple(i for i in recipe.inputs if not i.startswith("run:"))
    # a stage that needs a face network is left out with it
    stages = tuple(s for s in recipe.stage if (runs / str(s.arguments.get("run", "."))).is_dir())
    return dataclasses.replace(
        recipe,
        batch=8,
        folds=2,
        init=recipe.init if there else "",
        inputs=inputs,
        stage=stages,
        distill=dataclasses.replace(recipe.distill, teachers=teachers),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", help="recipes (default: all but ensembles and fusions, which join finished runs)"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of earlier runs")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    DATASETS.names()
    broken = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in given.names or [n for n in recipes() if not load_recipe(n).joins]:
            recipe = shortened(name, given.runs)
            data = Path(folder) / recipe.dataset
            if not data.is_dir():
                FAKES[recipe.dataset](data)
            start = time.perf_counter()
            try:
                study = Study.open(recipe, data, Path(folder) / "runs", pick_device(given.device))
                study.train(lambda _: None)
                said = f"{time.perf_counter() - start:.1f} s"
            except Exception as error:
                broken += 1
                said = f"BROKEN: {type(error).__name__}: {error}"
            print(f"{name}: {said}", flush=True)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
