"""Numbers in place of classes: a recipe with `dimensions`, from the columns to the figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.media import Arrays
from mien.errors import RecipeError, WeightsError

torch = pytest.importorskip("torch")

from mien.bench.results import grouped, numbers, read_lines, run_bench, table  # noqa: E402
from mien.metrics.regression import ccc, pearson, rmse  # noqa: E402
from mien.train.dimensions import dimensioned, figures, mean_ccc  # noqa: E402
from mien.train.recipe import FOLDER, Recipe, Term, load_recipe  # noqa: E402

CCC = (Term("ccc"),)


def made(root: Path) -> Index:
    """Two numbers that two modalities tell, of which one row in ten states none; ten people."""
    random = np.random.default_rng(0)
    state = random.normal(0, 1, (200, 2)).astype(np.float32)
    one, two = state @ random.normal(0, 1, (2, 6)), state @ random.normal(0, 1, (2, 4))
    media = {"audio": Arrays(one[:, None].astype(np.float32)), "eeg": Arrays(two[:, None].astype(np.float32))}
    valence, arousal = state[:, 0].copy(), state[:, 1] * 3 + 5
    valence[::10] = np.nan
    arousal[::20] = np.nan
    people = np.array([f"p{row % 10}" for row in range(200)])
    nobody = np.full(200, -1)
    extra = {"valence": valence, "arousal": arousal, "name": people}
    return Index(("a",), np.zeros((200, 1), np.float32), nobody, nobody, people, media, extra)


def test_columns_become_targets() -> None:
    index = dimensioned(made(Path()), Recipe("x", "muse-fusion", dimensions=("arousal", "valence"), loss=CCC))
    assert index.labels == ("arousal", "valence")
    assert np.array_equal(index.targets[:, 1], made(Path()).extra["valence"], equal_nan=True)
    assert (index.majority == -1).sum() == 10  # both unknown in every twentieth row
    with pytest.raises(RecipeError, match=r"'name', which is no column of numbers of .* are valence, arousal"):
        dimensioned(made(Path()), Recipe("x", "muse-fusion", dimensions=("name",), loss=CCC))
    with pytest.raises(RecipeError, match="'soft-cross-entropy' is for classes; dimensions take ccc or mse"):
        dimensioned(made(Path()), Recipe("x", "muse-fusion", dimensions=("valence",)))
    with pytest.raises(RecipeError, match="leave out target"):
        Recipe("x", "muse-fusion", dimensions=("valence",), target="genuine")


def test_figures_are_of_what_is_known() -> None:
    random = np.random.default_rng(1)
    truth = random.normal(0, 1, (50, 2))
    said = truth + random.normal(0, 0.5, (50, 2))
    truth[:5, 0] = np.nan
    truth[:2, 1] = np.nan
    found = figures(truth, said, ("v", "a"), np.arange(50) // 5)
    assert found["faces"] == 48
    for k, (name, first) in enumerate((("v", 5), ("a", 2))):
        t, p = truth[first:, k], said[first:, k]
        assert found[name]["ccc"] == round(ccc(t, p), 4)
        assert found[name]["pearson"] == round(pearson(t, p), 4)
        assert found[name]["rmse"] == round(rmse(t, p), 4)
        assert found[name]["low"] < found[name]["ccc"] < found[name]["high"]
    assert found["ccc"] == pytest.approx((found["v"]["ccc"] + found["a"]["ccc"]) / 2, abs=1e-4)
    assert mean_ccc(truth, np.zeros_like(said)) == 0
    assert mean_ccc(truth * np.nan, said) == 0


def test_a_run_learns_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS._factories, "made", lambda root: made(root))
    monkeypatch.setitem(DATASETS._facts, "made", {"name": "made"})
    (tmp_path / "own.toml").write_text(
        'name = "own"\nmodel = "muse-fusion"\ndataset = "made"\ndimensions = ["valence", "arousal"]\n'
        'modalities = ["audio", "eeg"]\nprotocol = "kfold"\nfolds = 2\nepochs = 25\nbatch = 20\n'
        'arguments = { fusion = "early", width = 16, drop = 0.0 }\n[[loss]]\nname = "ccc"\n'
        '[optimiser]\nkind = "adamw"\nlr = 0.06\nhalf = false\nema = 0.9\n'
    )
    results, say = tmp_path / "r.jsonl", []
    lines = run_bench(
        [str(tmp_path / "own.toml")], [1], tmp_path, tmp_path / "runs", results, device="cpu", say=say.append
    )
    figure = lines[0]["figures"]["made"]
    assert figure["faces"] == 190
    assert figure["valence"]["ccc"] > 0.8
    assert figure["arousal"]["ccc"] > 0.8
    assert say[-1] == f"own: ccc {figure['ccc']:.4f} on the test rows"
    missing = lines[0]["figures"]["missing"]
    assert missing["audio"]["wrong"]["ccc"] < figure["ccc"]
    held = np.load(tmp_path / "runs" / "own" / "predictions.npz")
    assert mean_ccc(held["truth"], held["scores"]) == pytest.approx(figure["ccc"], abs=1e-4)
    log = [json.loads(line) for line in (tmp_path / "runs" / "own" / "fold-01" / "log.jsonl").read_text().splitlines()]
    assert {"train_ccc", "val_ccc", "selected"} <= log[-1].keys()
    assert "numbers for valence, arousal" in (tmp_path / "runs" / "own" / "fold-01" / "card.md").read_text()
    known = read_lines(results)
    assert not grouped(known)
    assert f"| made | own | muse-fusion | 1 | arousal | {figure['arousal']['ccc']:.3f} |" in numbers(known)
    assert table(known).startswith("### Numbers, not classes")
    from mien.explain.run import FinishedRun

    with pytest.raises(WeightsError, match="predicts valence, arousal; score it with mien bench run"):
        FinishedRun(tmp_path / "runs" / "own" / "fold-01", torch.device("cpu"))


def test_the_recipe_for_mosei_runs_on_its_layout(tmp_path: Path) -> None:
    DATASETS.names()
    FAKES["mosei"](tmp_path / "mosei")
    text = (FOLDER / "mosei-muse-valence.toml").read_text().replace("epochs = 20", "epochs = 1")
    (tmp_path / "own.toml").write_text(text.replace('fusion = "attention"', 'fusion = "attention"\ntiny = true'))
    line: dict[str, Any] = run_bench(
        [str(tmp_path / "own.toml")], [1], tmp_path, tmp_path / "runs", tmp_path / "r.jsonl", device="cpu", say=str
    )[0]
    assert set(line["figures"]["mosei"]["valence"]) == {"ccc", "low", "high", "pearson", "rmse"}
    assert set(line["figures"]["missing"]) == {"audio", "video", "text"}
    assert load_recipe("mosei-muse-valence").dimensions == ("valence",)
