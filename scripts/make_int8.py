"""An 8-bit version of weights that are there: python scripts/make_int8.py mien-s FER2013_FOLDER OUT.onnx

Ranges are taken from every 64th training face of FER+; the file is checked on the validation faces, and refused where it
disagrees with the float file on more than 3 % of them. docs/speed.md says what is gained.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import onnx

from mien.export.int8 import compare, quantise
from mien.export.onnx import label, replace_whole
from mien.pipeline.model import load
from mien.train.evaluate import load_split


def main(name: str, data: str, out: str) -> None:
    """Quantise, check, write."""
    model = load(name)
    content = model.path.read_bytes()
    training = load_split("ferplus", Path(data), "train").pixels[::64]
    val = load_split("ferplus", Path(data), "val")
    val = val[val.majority >= 0]
    small = onnx.load_from_string(quantise(content, training))
    facts = {"n_training": len(training), "n_val": len(val)}
    facts |= compare(content, small.SerializeToString(), val.pixels, val.majority)
    figures = {f"int8_{key}": float(value) for key, value in facts.items()}
    spec = dataclasses.replace(
        model.spec,
        name=Path(out).stem,
        architecture=f"{model.spec.architecture}, 8-bit",
        command=f"python scripts/make_int8.py {name} DATA/fer2013 {Path(out).name}",
        figures={**model.spec.figures, **figures},
    )
    label(small, spec)
    replace_whole(Path(out), small.SerializeToString())
    print(json.dumps({**facts, "megabytes": round(Path(out).stat().st_size / 1e6, 2)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
