"""DFDN: streams of maps, missing ones, the gate against a loop; its recipes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.errors import RecipeError

torch = pytest.importorskip("torch")

from mien.layers.gated_streams import SharedWarp, StreamGate  # noqa: E402
from mien.models import MODELS  # noqa: E402
from mien.train.recipe import load_recipe  # noqa: E402
from mien.train.study import Study  # noqa: E402
from models_kit import count, export_gap, settled, stirred, tiny  # noqa: E402

CPU = torch.device("cpu")


def rows(n: int = 4, side: int = 32) -> dict[str, torch.Tensor]:
    return {"face": torch.rand(n, 3, side, side), "depth": torch.rand(n, 1, side, side)}


@pytest.mark.parametrize("classes", [7, 8])
@pytest.mark.parametrize("names", [("face", "depth"), ("depth",), ("face", "depth", "maps")])
def test_shapes_gradients_and_single_rows(classes: int, names: tuple[str, ...]) -> None:
    x = rows() | {"maps": torch.rand(4, 7, 32, 32)}
    x = {name: x[name] for name in names}
    model = tiny("dfdn-depth", classes=classes, shapes={name: part.shape[1:] for name, part in x.items()})
    output = model(x)
    assert output.logits.shape == (4, classes)
    output.logits.square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    stirred(model).eval()
    with torch.no_grad():
        assert torch.allclose(model(x).logits[1:2], model({k: v[1:2] for k, v in x.items()}).logits, atol=1e-5)


def test_declared_counts() -> None:
    assert count("dfdn-depth") == MODELS.facts("dfdn-depth")["parameters"]
    assert count("map-clip") == MODELS.facts("map-clip")["parameters"]


def test_a_missing_stream_weighs_nothing() -> None:
    x = rows()
    model = stirred(tiny("dfdn-depth")).eval()
    none = torch.zeros(4, 1, dtype=torch.bool)
    with torch.no_grad():
        absent = model({"face": x["face"]})
        hidden = model({**x, "depth_mask": none})
        bare = model(x["face"])
        whole = model(x)
    assert torch.equal(absent.logits, hidden.logits)
    assert torch.equal(absent.logits, bare.logits)
    assert not torch.allclose(whole.logits, hidden.logits, atol=1e-3)
    assert (hidden.aux["gate:depth"] == 0).all()
    assert torch.allclose(hidden.aux["gate:face"], torch.ones(4))
    assert torch.allclose(whole.aux["gate:face"] + whole.aux["gate:depth"], torch.ones(4), atol=1e-6)
    with torch.no_grad():
        nothing = model({**x, "depth_mask": none, "face_mask": none})
    assert torch.isfinite(nothing.logits).all()
    with pytest.raises(RecipeError, match="reads face, depth; the input holds audio"):
        model({"audio": x["face"]})


def test_missing_rows_leave_the_statistics_alone() -> None:
    x, there = rows(6), torch.tensor([[True], [False], [True], [True], [False], [True]])
    found = []
    for inputs in ({**x, "depth_mask": there}, {name: part[there[:, 0]] for name, part in x.items()}):
        model = tiny("dfdn-depth", warp=False).train()
        model(inputs)
        found.append({k: v for k, v in model.trunks["depth"].named_buffers() if "running" in k})
    assert found[0].keys() == found[1].keys()
    assert all(torch.allclose(found[0][k], found[1][k], atol=1e-6) for k in found[0])


def test_gate_against_a_loop() -> None:
    torch.manual_seed(0)
    gate = stirred(StreamGate(3, 2))
    a, b = torch.rand(2, 2, 3, 4, 4)
    with torch.no_grad():
        fused, weights = gate([a, b], torch.ones(2, 2, dtype=torch.bool))
    kernel, bias = gate.gate.weight[:, :, 0, 0].detach(), gate.gate.bias.detach()
    for n in range(2):
        for i in range(4):
            for j in range(4):
                both = torch.cat([a[n, :, i, j], b[n, :, i, j]])
                for c in range(3):
                    first, second = float(kernel[c] @ both + bias[c]), float(kernel[3 + c] @ both + bias[3 + c])
                    g = 1 / (1 + np.exp(second - first))
                    assert float(weights[n, 0, c, i, j]) == pytest.approx(g, abs=1e-5)
                    expected = g * float(a[n, c, i, j]) + (1 - g) * float(b[n, c, i, j])
                    assert float(fused[n, c, i, j]) == pytest.approx(expected, abs=1e-5)


def test_warp_moves_streams_alike_and_turns_normals() -> None:
    torch.manual_seed(3)
    x = torch.rand(8, 2, 12, 12)
    warp = SharedWarp(odd={"b": [1]}).train()
    moved = warp({"a": x, "b": x})
    assert torch.equal(moved["a"][:, 0], moved["b"][:, 0])
    signs = torch.stack([torch.sign((a * b).sum()) for a, b in zip(moved["a"][:, 1], moved["b"][:, 1], strict=True)])
    assert set(signs.tolist()) == {-1.0, 1.0}  # mirrored and not
    assert not torch.equal(moved["a"], x)
    only = SharedWarp(shift=0, zoom=0, flip=1, odd={"b": [1]}).train()({"a": x, "b": x})
    assert torch.allclose(only["a"], x.flip(3), atol=1e-5)
    assert torch.allclose(only["b"][:, 1], -x.flip(3)[:, 1], atol=1e-5)
    assert torch.equal(warp.eval()({"a": x})["a"], x)


def test_onnx_agrees_from_one_stream() -> None:
    model = settled(stirred(tiny("dfdn-depth", shapes={"depth": (1, 32, 32)})), torch.rand(8, 1, 32, 32))
    assert export_gap(model, torch.rand(1, 1, 32, 32), torch.rand(3, 1, 32, 32), "depth") < 1e-4


def test_streams_that_do_not_fit_are_refused() -> None:
    for arguments, words in (
        ({"shapes": {"face": (3, 32, 32), "depth": (1, 16, 16)}}, "of one size"),
        ({"shapes": {"audio": (40, 64)}}, "reads pictures or maps"),
        ({"first": 5}, "first = 5"),
    ):
        with pytest.raises(RecipeError, match=words):
            tiny("dfdn-depth", **arguments)
    with pytest.raises(RecipeError, match="mend channels"):
        tiny("map-clip", channels=5)


def test_map_clip_reads_moment_by_moment() -> None:
    model = stirred(tiny("map-clip", classes=6, shapes={"depth": (6, 24, 24)}, channels=2)).eval()
    x = torch.rand(3, 6, 24, 24)
    with torch.no_grad():
        output = model({"depth": x})
        moments = [model.net.encoder.network({"face": x[:, t : t + 2]}).embedding for t in (0, 2, 4)]
        expected = model.net({"embeddings": torch.stack(moments, 1)}).logits
    assert output.logits.shape == (3, 6)
    assert torch.allclose(output.logits, expected, atol=1e-5)


# --- recipes


@pytest.mark.parametrize("name", ["bu3dfe-dfdn-maps", "depth-dynamic"])
def test_recipes_train_on_fakes(name: str, tmp_path: Path) -> None:
    from mien.datasets import FAKES

    recipe = load_recipe(name, epochs=1)
    FAKES[recipe.dataset](tmp_path / "data")
    recipe = replace(recipe, folds=2, batch=8)
    study = Study.open(recipe, tmp_path / "data", tmp_path / "runs", CPU)
    study.train(say=lambda text: None)
    figures = study.test()["figures"]
    assert 0 <= next(iter(figures.values()))["accuracy"] <= 1
    assert ("missing" in figures) == (len(recipe.modalities) > 1)
