"""Networks over voice and face: the family on tiny ones, padding, what is missing, the forest, export."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from mien.datasets import DATASETS, FAKES  # noqa: E402
from mien.errors import RecipeError  # noqa: E402
from mien.layers.forest import Forest  # noqa: E402
from mien.layers.masked_lstm import MaskedLSTM  # noqa: E402
from mien.layers.speech import resampled  # noqa: E402
from mien.models import MODELS  # noqa: E402
from mien.models.gabor_deep_av import GaborBank  # noqa: E402
from mien.train.checkpoint import load_network  # noqa: E402
from mien.train.recipe import load_recipe  # noqa: E402
from mien.train.stages.forest import Grower, GrowForest, answer  # noqa: E402
from mien.train.study import Study  # noqa: E402
from models_kit import count, stirred, tiny  # noqa: E402

NETWORKS = ["voice-net", "cai-av", "vgg19-av", "gabor-deep-av", "lbp-forest-av"]
BOTH = NETWORKS[1:]
DEEP = NETWORKS[:-1]


def inputs_of(name: str, n: int = 3, steps: int = 0, seed: int = 1) -> dict[str, Tensor]:
    """Sound of three lengths and faces."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for kind, shape in MODELS.facts(name)["shapes"].items():
        size = (steps or min(shape[0], 60), shape[1]) if kind == "audio" else shape
        found[kind] = torch.rand(n, *size, generator=generator)
        there = torch.ones(n, size[0] if kind == "audio" else 1, dtype=torch.bool)
        if kind == "audio" and size[0] > 1:
            there[1, 37:] = False
        found[f"{kind}_mask"] = there
        found[kind] *= there.reshape([*there.shape, *[1] * (found[kind].ndim - 2)])
    return found


def grown(name: str, **arguments: object) -> nn.Module:
    """A tiny network away from where it starts; a forest with grown trees."""
    network = stirred(tiny(name, **arguments))
    if name == "lbp-forest-av":
        x = network.describe(inputs_of(name, 40, seed=5)).numpy()
        random = np.random.default_rng(0)
        grower = Grower(x, random.integers(0, 8, 40), 8, network.forest.depth, network.forest.nodes, GrowForest())
        for number in range(5):
            network.forest.plant(number, grower.grow(np.arange(40), random))
    return network


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("classes", [7, 8])
def test_shapes_gradients_and_single_rows(name: str, classes: int) -> None:
    network, x = tiny(name, classes), inputs_of(name)
    output = network(x)
    assert output.logits.shape == (3, classes)
    output.logits.square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    network = stirred(network).eval()
    with torch.no_grad():
        alone = network({key: value[1:2] for key, value in x.items()})
        whole = network(x)
    assert torch.allclose(whole.logits[1], alone.logits[0], atol=1e-5)
    assert whole.embedding.shape[0] == 3


@pytest.mark.parametrize("name", NETWORKS)
def test_counts_are_declared(name: str) -> None:
    assert count(name) == MODELS.facts(name)["parameters"]


@pytest.mark.parametrize("name", DEEP)
def test_padding_changes_nothing(name: str) -> None:
    network = stirred(tiny(name)).eval()
    short, long = inputs_of(name, steps=60), inputs_of(name, steps=60)
    long["audio"] = nn.functional.pad(short["audio"], (0, 0, 0, 23))
    long["audio_mask"] = nn.functional.pad(short["audio_mask"], (0, 23))
    with torch.no_grad():
        assert torch.allclose(network(short).logits, network(long).logits, atol=1e-5)


@pytest.mark.parametrize("name", BOTH)
def test_what_is_missing_says_nothing_and_one_modality_is_enough(name: str) -> None:
    network = grown(name).eval()
    x, other = inputs_of(name), inputs_of(name, seed=9)
    for kind in ("audio", "face"):
        without = {**x, kind: other[kind] * 0, f"{kind}_mask": torch.zeros_like(x[f"{kind}_mask"])}
        strange = {**without, kind: other[kind]}
        with torch.no_grad():
            assert torch.isfinite(network(without).logits).all()
            assert torch.allclose(network(without).logits, network(strange).logits, atol=1e-5)
            if name != "lbp-forest-av":
                assert not torch.allclose(network(without).logits, network(x).logits, atol=1e-4)
        alone = tiny(name, shapes={kind: MODELS.facts(name)["shapes"][kind]}).eval()
        assert alone({kind: x[kind]}).logits.shape == (3, 8)
    with pytest.raises(RecipeError, match="reads audio as"):
        tiny(name, shapes={"audio": (3, 48, 48)})
    with pytest.raises(RecipeError, match="reads"):
        tiny(name)({"face": x["face"]})


def test_a_voice_that_is_not_there_gives_a_finite_answer() -> None:
    network = stirred(tiny("voice-net")).eval()
    nothing = torch.zeros(2, 40, dtype=torch.bool)
    assert torch.isfinite(network({"audio": torch.rand(2, 40, 64), "audio_mask": nothing}).logits).all()
    with pytest.raises(RecipeError, match="one modality"):
        tiny("voice-net", shapes={"audio": (9, 64), "face": (1, 48, 48)})


def test_the_backward_direction_begins_at_the_last_step_there() -> None:
    torch.manual_seed(0)
    layer, x = MaskedLSTM(3, 4), torch.randn(2, 6, 3)
    there = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 0, 1, 1, 1, 1]], dtype=torch.bool)
    found = layer(x, there)
    for row, length in ((0, 4), (1, 6)):
        kept = x[row, :length] * there[row, :length, None]
        assert torch.allclose(found[row, :length, :4], layer.onward(kept[None])[0][0], atol=1e-6)
        assert torch.allclose(found[row, :length, 4:], layer.back(kept.flip(0)[None])[0][0].flip(0), atol=1e-6)
    assert (found[0, 4:] == 0).all()


def test_resampling_is_a_mean_over_shares() -> None:
    x = torch.rand(2, 12, 2, dtype=torch.double)
    there = torch.ones(2, 12, dtype=torch.bool)
    there[1, 7:] = False
    found = resampled(x, there, 4)
    for row, length in ((0, 12), (1, 7)):
        fine = x[row, :length].repeat_interleave(4, 0)  # length x 4 places, so that shares are whole
        slow = torch.stack([part.mean(0) for part in fine.chunk(4)])
        assert torch.allclose(found[row], slow, atol=1e-9)


def test_the_gabor_bank_answers_to_its_own_wave() -> None:
    bank = GaborBank(stride=1)
    assert bank(torch.zeros(1, 1, 48, 48)).shape == (1, 40, 48, 48)
    u = torch.arange(48.0)
    for scale, wavelength in enumerate([4, 4 * 2**0.5, 8, 8 * 2**0.5, 16]):
        waves = {0: u[None].expand(48, 48), 4: u[:, None].expand(48, 48)}
        for turn, along in waves.items():
            answers = bank(torch.sin(2 * torch.pi * along / wavelength)[None, None])[0, :, 24, 24]
            assert int(answers.argmax()) == scale * 8 + turn


def slow_answer(tree: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    node = 0
    while tree["left"][node] != node:
        node = tree["left" if x[tree["feature"][node]] <= tree["threshold"][node] else "right"][node]
    return tree["share"][node]


def test_a_tree_takes_the_best_split_and_answers_as_a_loop() -> None:
    random = np.random.default_rng(3)
    x = random.integers(0, 9, (60, 4)).astype(np.float32)
    truth = (x[:, 2] > 4).astype(int) + (x[:, 0] > 6)
    grower = Grower(x, truth, 3, 5, 63, GrowForest(features=4, least=1, balanced=False))
    tree = grower.grow(np.arange(60), random)

    def gini(part: np.ndarray) -> float:
        shares = np.bincount(part, minlength=3) / max(1, len(part))
        return len(part) * (1 - (shares**2).sum())

    gains = {
        (f, e): gini(truth) - gini(truth[x[:, f] <= e]) - gini(truth[x[:, f] > e]) for f in range(4) for e in range(9)
    }
    assert gains[tree["feature"][0], tree["threshold"][0]] == pytest.approx(max(gains.values()))
    shares = answer(tree, x, 5)
    assert np.allclose(shares, [slow_answer(tree, row) for row in x])
    assert (shares.argmax(1) == truth).all()
    forest = Forest(3, 1, 5, 63)
    forest.plant(0, tree)
    assert np.allclose(forest(torch.from_numpy(x)).numpy(), shares, atol=1e-6)
    with pytest.raises(RecipeError, match="room for 3"):
        Forest(3, 1, 5, 3).plant(0, tree)


def test_the_forest_is_as_good_as_scikit_learns() -> None:
    sklearn = pytest.importorskip("sklearn.ensemble")
    random = np.random.default_rng(0)
    centres = random.normal(0, 1, (4, 20))
    truth = random.integers(0, 4, 600)
    x = (centres[truth] * 0.7 + random.normal(0, 1.2, (600, 20))).astype(np.float32)
    train, test = np.arange(300), np.arange(300, 600)
    theirs = sklearn.RandomForestClassifier(40, min_samples_leaf=2, max_depth=12, random_state=0, n_jobs=1)
    expected = (theirs.fit(x[train], truth[train]).predict(x[test]) == truth[test]).mean()
    grower = Grower(x[train], truth[train], 4, 12, 511, GrowForest(balanced=False))
    votes = sum(answer(grower.grow(random.integers(0, 300, 300), random), x[test], 12) for _ in range(40))
    ours = (votes.argmax(1) == truth[test]).mean()
    assert expected > 0.7
    assert ours == pytest.approx(expected, abs=0.05)


class Scores(nn.Module):
    def __init__(self, network: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *given: Tensor) -> Tensor:
        logits: Tensor = self.network(dict(zip(self.names, given, strict=True))).logits
        return logits


@pytest.mark.parametrize("name", NETWORKS)
def test_the_onnx_file_says_the_same(name: str) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    network, x = grown(name).eval(), inputs_of(name, 3)
    names, buffer = list(x), io.BytesIO()
    axes = {key: {0: "n", **({1: "t"} if key.startswith("audio") else {})} for key in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own age
        torch.onnx.export(
            Scores(network, names).eval(), tuple(x.values()), buffer, input_names=names, output_names=["logits"],
            dynamic_axes=axes, opset_version=17, dynamo=False,
        )  # fmt: skip
    other = inputs_of(name, 2, steps=0 if name == "lbp-forest-av" else 80, seed=4)
    with torch.no_grad():
        expected = network(other).logits.numpy()
    assert expected.std(0).max() > 1e-3
    session = runtime.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])
    found = session.run(None, {key: value.numpy() for key, value in other.items()})[0]
    assert np.abs(found - expected).max() < 1e-4


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("librosa")
    root = tmp_path_factory.mktemp("pairs")
    DATASETS.names()
    FAKES["pairs-ravdess-rafdb"](root)
    return root


@pytest.mark.parametrize("name", ["pairs-ravdess-lbp-forest", "pairs-ravdess-cai", "pairs-ravdess-joint"])
def test_recipes_over_pairs_train_and_tell_what_is_missing(name: str, pairs: Path, tmp_path: Path) -> None:
    changes = {"epochs": 1, "folds": 2, "select": "last", "arguments": {"tiny": True}}
    recipe = load_recipe(name, **changes)
    few = tuple(replace(stage, arguments={"least": 1}) for stage in recipe.stage)  # a fold of the fake has eight rows
    study = Study.open(replace(recipe, stage=few), pairs, tmp_path, torch.device("cpu"))
    folds = study.train(lambda text: None)
    people = [set(study.faces.group[fold.test]) for fold in folds]
    assert not people[0] & people[1]
    figures = study.test()["figures"]
    assert set(figures["missing"]) == {"audio", "face"}
    assert set(figures["missing"]["audio"]) == {"absent", "wrong"}
    if name.endswith("forest"):
        network = load_network(tmp_path / name / "fold-01", torch.device("cpu"))
        assert (network.forest.left[:, 0] != 0).all()  # every tree has split
        assert float(network.forest.share.sum(2).min()) == pytest.approx(1, abs=1e-4)


def test_a_forest_needs_a_forest(pairs: Path, tmp_path: Path) -> None:
    stage = load_recipe("pairs-ravdess-lbp-forest").stage
    changes = {"epochs": 1, "folds": 2, "select": "last", "arguments": {"tiny": True}, "stage": stage}
    study = Study.open(load_recipe("pairs-ravdess-joint", **changes), pairs, tmp_path, torch.device("cpu"))
    with pytest.raises(RecipeError, match="'forest'"):
        study.train(lambda text: None)
