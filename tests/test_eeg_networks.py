"""Networks over EEG, body signals and faces: layers against slow loops, missing modalities, recipes on stand-ins."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from mien.datasets import DATASETS, FAKES  # noqa: E402
from mien.errors import RecipeError  # noqa: E402
from mien.layers.attend_steps import AttendSteps, at_least_one, to_front  # noqa: E402
from mien.layers.bilinear import BilinearNetwork, bilinear_pool  # noqa: E402
from mien.layers.lbp_histogram import BINS, HistogramEqualisation, LBPHistograms, uniform_bins  # noqa: E402
from mien.models import MODELS  # noqa: E402
from mien.models.physio import channel_sizes  # noqa: E402
from mien.train.recipe import Recipe, load_recipe, recipes, with_seed  # noqa: E402
from mien.train.study import Study  # noqa: E402
from models_kit import count, export_gap, stirred, tiny  # noqa: E402

NETWORKS = ["bcn-eeg", "eeg-net", "histeq-lbp-eeg", "physio"]
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "bcn-eeg": {"face": (1, 16, 16), "eeg": (5, 192)},
    "eeg-net": {"eeg": (5, 12)},
    "histeq-lbp-eeg": {"face": (1, 16, 16), "eeg": (5, 12)},
    "physio": {"physio": (5, 27), "eeg": (5, 12)},
}
OWN = [name for name in recipes() if name.startswith(("seed4-", "deap-", "mahnob-", "iemocap-motion"))]
PAIRS = [name for name in recipes() if name.startswith(("pairs-seed4-", "pairs-mahnob-"))]


def made(name: str, seed: int = 0, classes: int = 4, **arguments: object) -> nn.Module:
    return tiny(name, classes, seed, shapes=SHAPES[name], **arguments)


def inputs_of(name: str, n: int = 4, seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = {}
    for modality, shape in SHAPES[name].items():
        if modality == "face":
            coarse = torch.rand(n, 1, 5, 5, generator=generator)
            inputs[modality] = functional.interpolate(coarse, shape[1:], mode="bilinear", align_corners=False)
        else:
            inputs[modality] = torch.randn(n, *shape, generator=generator)
    return inputs


def masks_of(name: str, n: int = 4) -> dict[str, Tensor]:
    """The first row whole, then a gap, a short one, and one that lacks the last modality."""
    masks = {}
    for modality, shape in SHAPES[name].items():
        masks[modality] = torch.ones(n, shape[0] if len(shape) == 2 else 1, dtype=torch.bool)
        if len(shape) == 2:
            masks[modality][1, 1:3] = False
            masks[modality][2, 2:] = False
    if len(masks) > 1:
        masks[list(masks)[-1]][3] = False
    return {f"{modality}_mask": mask for modality, mask in masks.items()}


# --- layers ---


def test_equalisation_is_opencvs() -> None:
    generator = np.random.default_rng(0)
    faces = np.stack([(generator.beta(2, 5, (20, 20)) * 255).astype(np.uint8), np.full((20, 20), 90, np.uint8)])
    found = HistogramEqualisation()(torch.from_numpy(faces[:, None] / np.float32(255)))
    expected = cv2.equalizeHist(faces[0]) / 255
    assert np.abs(found[0, 0].numpy() - expected).max() < 0.6 / 255  # OpenCV rounds
    assert float(found[1].abs().max()) == 0


def test_uniform_patterns_change_twice_at_most() -> None:
    bins = uniform_bins()
    for code in range(256):
        ring = f"{code:08b}"
        changes = sum(a != b for a, b in zip(ring, ring[1:] + ring[0], strict=True))
        assert (int(bins[code]) < 58) == (changes <= 2)
    assert sorted(bins[bins < 58].tolist()) == list(range(58))


def test_histograms_against_a_slow_loop() -> None:
    faces = np.random.default_rng(1).random((2, 1, 13, 13)).astype(np.float32)
    found = LBPHistograms(2, equalise=False)(torch.from_numpy(faces)).reshape(2, 2, 2, BINS)
    bins, ring = uniform_bins(), ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
    for row in range(2):
        expected = np.zeros((2, 2, BINS))
        for y in range(12):  # the thirteenth row and column do not fill a cell
            for x in range(12):
                near = [faces[row, 0, min(max(y + dy, 0), 12), min(max(x + dx, 0), 12)] for dy, dx in ring]
                code = sum(2**bit for bit, value in enumerate(near) if value >= faces[row, 0, y, x])
                expected[y // 6, x // 6, bins[code]] += 1 / 36
        assert np.allclose(found[row].numpy(), np.sqrt(expected), atol=1e-6)
    with pytest.raises(RecipeError, match="no 20 x 20 cells"):
        LBPHistograms(20)(torch.from_numpy(faces))


def test_light_hardly_changes_the_histograms() -> None:
    face = inputs_of("histeq-lbp-eeg")["face"]
    layer = LBPHistograms(2)
    assert float((layer(face) - layer(0.5 * face + 0.2)).abs().mean()) < 0.02
    assert float((layer(face)[0] - layer(face)[1]).abs().mean()) > 0.02


def test_bilinear_pooling_against_a_slow_loop() -> None:
    a, b = torch.randn(2, 3, 4, 5), torch.randn(2, 2, 4, 5)
    found = bilinear_pool(a, b)
    for row in range(2):
        joint = np.zeros((3, 2))
        for y in range(4):
            for x in range(5):
                joint += np.outer(a[row, :, y, x], b[row, :, y, x]) / 20
        rooted = np.sign(joint) * np.sqrt(np.abs(joint))
        assert np.allclose(found[row], (rooted / np.linalg.norm(rooted)).reshape(-1), atol=1e-3)
    with pytest.raises(RecipeError, match="at least one width"):
        BilinearNetwork(1, (), 8)


def test_attention_over_what_is_there() -> None:
    layer, x = AttendSteps(6), torch.randn(3, 4, 6)
    there = torch.tensor([[True] * 4, [False, True, False, True], [False] * 4])
    pooled, weight = layer(x, there)
    assert torch.allclose(weight.sum(1), torch.tensor([1.0, 1.0, 0.0]), atol=1e-6)
    assert float(weight[~there].detach().abs().max()) == 0
    assert torch.equal(pooled[2], torch.zeros(6))
    alone, _ = layer(x[1:2, [1, 3]], torch.ones(1, 2, dtype=torch.bool))
    assert torch.allclose(pooled[1], alone[0], atol=1e-6)
    moved, front = to_front(x, there)
    assert torch.equal(moved[1, :2], x[1, [1, 3]])
    assert float(moved[~front].abs().max()) == 0
    assert front.sum(1).tolist() == [4, 2, 0]
    assert at_least_one(there).sum(1).tolist() == [4, 2, 1]


# --- the family ---


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("classes", [2, 7])
def test_shapes_and_a_gradient_for_every_parameter(name: str, classes: int) -> None:
    given, waiting = {**inputs_of(name), **masks_of(name)}, None
    for seed in range(4):
        network = stirred(made(name, seed, classes, dropout=0.0))
        output = network(given)
        assert output.logits.shape == (4, classes)
        assert output.embedding.shape == (4, network.head.in_features)
        functional.cross_entropy(output.logits, torch.arange(4) % classes).backward()
        none = set()
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key
            none |= {key} if float(parameter.grad.abs().max()) == 0 else set()
        waiting = none if waiting is None else waiting & none
    assert not waiting


@pytest.mark.parametrize("name", NETWORKS)
def test_declared_parameters(name: str) -> None:
    facts = MODELS.facts(name)
    assert count(name, classes=facts["classes"]) == facts["parameters"]
    assert (facts["modality"], bool(facts["paper"])) == ("streams", True)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_agrees_with_single_ones(name: str) -> None:
    network, given = stirred(made(name)).eval(), {**inputs_of(name), **masks_of(name)}
    with torch.no_grad():
        together = network(given).logits
        for row in range(4):
            alone = network({key: value[row : row + 1] for key, value in given.items()}).logits
            assert torch.allclose(together[row], alone[0], atol=1e-5)
        bare = network(inputs_of(name)).logits
    assert torch.allclose(together[0], bare[0], atol=1e-5)  # without masks all is there
    assert (bare - together).abs().amax(1)[1:3].gt(1e-5).all()  # and the masks are read


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_missing_changes_nothing(name: str) -> None:
    network, given, masks = stirred(made(name)).eval(), inputs_of(name), masks_of(name)
    spoilt = {key: x.clone() for key, x in given.items()}
    for key, x in spoilt.items():
        x[~masks[f"{key}_mask"] if x.ndim == 3 else ~masks[f"{key}_mask"][:, 0]] = 3.0
    with torch.no_grad():
        clean, other = network({**given, **masks}).logits, network({**spoilt, **masks}).logits
        assert torch.allclose(clean, other, atol=1e-5)
        nothing = network({**given, **{key: torch.zeros_like(mask) for key, mask in masks.items()}}).logits
    assert torch.isfinite(nothing).all()
    assert torch.allclose(nothing, nothing[:1].expand_as(nothing), atol=1e-5)


@pytest.mark.parametrize("name", ["bcn-eeg", "physio"])
def test_missing_steps_stay_out_of_training_too(name: str) -> None:
    found = []
    for filler in (0.0, 7.0):
        network = stirred(made(name, dropout=0.0)).train()
        given, masks = inputs_of(name), masks_of(name)
        given["eeg"][1, 1:3] = filler
        network({**given, **masks}).logits.square().sum().backward()
        found.append(network)
    for (key, one), two in zip(found[0].named_buffers(), found[1].buffers(), strict=True):
        assert torch.equal(one, two), key
    for (key, one), two in zip(found[0].named_parameters(), found[1].parameters(), strict=True):
        assert torch.allclose(one.grad, two.grad, atol=1e-5), key


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("eeg-net", {"eeg": (5, 12)}),
        ("histeq-lbp-eeg", {"face": (1, 16, 16)}),
        ("bcn-eeg", {"eeg": (1, 192)}),
        ("physio", {"physio": (5, 27)}),
    ],
)
def test_onnx_agrees(name: str, shapes: dict[str, tuple[int, ...]]) -> None:
    network = stirred(tiny(name, 4, shapes=shapes)).eval()
    modality, shape = next(iter(shapes.items()))
    x = torch.rand(5, *shape, generator=torch.Generator().manual_seed(4))
    assert export_gap(network, x[:2], x, modality) < 1e-4


def test_bcn_reads_film_as_well() -> None:
    network = stirred(tiny("bcn-eeg", 4, shapes={"frames": (3, 1, 16, 16), "eeg": (5, 192)})).eval()
    frames, eeg = torch.rand(2, 3, 1, 16, 16), torch.randn(2, 5, 192)
    masks = {"frames_mask": torch.tensor([[True], [False]]), "eeg_mask": torch.ones(2, 5, dtype=torch.bool)}
    with torch.no_grad():
        output = network({"frames": frames, "eeg": eeg, **masks})
        spoilt = network({"frames": frames.flip(0), "eeg": eeg, **masks})
    assert output.aux["attention:frames"].shape == (2, 3)
    assert torch.allclose(output.logits[1], spoilt.logits[1], atol=1e-6)
    assert not torch.allclose(output.logits[0], spoilt.logits[0], atol=1e-6)


def test_body_signals_have_a_token_each() -> None:
    assert channel_sizes("mahnob", 23) == [4, 4, 4, 5, 3, 3]
    assert channel_sizes("", 165) == [165]
    for layout, numbers, match in (
        ("x", 27, "layout 'x'"),
        ("deap", 26, "27 statistics a window, .* 26"),
    ):
        with pytest.raises(RecipeError, match=match):
            channel_sizes(layout, numbers)
    network = stirred(made("physio")).eval()
    assert len(network.steps) == 9


@pytest.mark.parametrize(
    ("name", "shapes", "match"),
    [
        ("eeg-net", {"eeg": (1, 4), "face": (1, 4)}, "reads one modality"),
        ("eeg-net", {"face": (1, 48, 48)}, "name an extractor"),
        ("histeq-lbp-eeg", {"face": (1, 128)}, "reads a face as a picture"),
        ("bcn-eeg", {"eeg": (4, 310)}, "are not 3 square pictures"),
        ("physio", {"physio": (1, 48, 48)}, "name an extractor"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, shapes: dict[str, tuple[int, ...]], match: str) -> None:
    with pytest.raises(RecipeError, match=match):
        tiny(name, shapes=shapes)
    with pytest.raises(RecipeError, match="pools by"):
        tiny("eeg-net", shapes=SHAPES["eeg-net"], pool="median")


def test_learns_which_band_is_strong() -> None:
    torch.manual_seed(0)
    x = torch.randn(96, 5, 12)
    y = torch.arange(96) % 4
    x[torch.arange(96), :, y] += 2.5
    network = made("eeg-net", dropout=0.0)
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(40):
        optimiser.zero_grad()
        functional.cross_entropy(network({"eeg": x[:64]}).logits, y[:64]).backward()
        optimiser.step()
    right = (network.eval()({"eeg": x[64:]}).logits.argmax(1) == y[64:]).float().mean()
    assert float(right) > 0.8


# --- recipes ---


def test_recipes_name_what_there_is() -> None:
    assert len(OWN) >= 14
    assert len(PAIRS) >= 9
    for name in (*OWN, *PAIRS):
        recipe = load_recipe(name)
        assert set(recipe.modalities) <= set(DATASETS.facts(recipe.dataset)["modalities"]), name
        if recipe.model == "fusion":
            assert {load_recipe(member).dataset for member in recipe.fusion.members} == {recipe.dataset}, name
        else:
            assert MODELS.facts(recipe.model)["modality"] == "streams", name
    for name in PAIRS:
        text = (Path(load_recipe.__globals__["FOLDER"]) / f"{name}.toml").read_text()
        assert "Class-matched pairs of different people" in text, name


def test_a_data_sets_name_is_no_seed() -> None:
    other = with_seed(load_recipe("pairs-seed4-mean"), 2)
    assert other.name == "pairs-seed4-mean-seed2"
    assert other.fusion.members == ("pairs-seed4-eeg-seed2", "pairs-seed4-face-seed2")
    assert with_seed(other, 3).name == "pairs-seed4-mean-seed2"


def stand_in(recipe: Recipe, root: Path, seed: int = 0) -> Recipe:
    """The recipe cut short, and a stand-in of its data set in the authors' layout under `root`."""
    DATASETS.facts(recipe.dataset)  # fills FAKES
    FAKES[recipe.dataset](root, seed=seed)
    short = {"epochs": 1, "folds": 2, "batch": 4, "select": "last"}
    if recipe.protocol == "loso":
        short["protocol"] = "kfold"
    small = dataclasses.replace(recipe, **short)  # type: ignore[arg-type]
    return dataclasses.replace(small, arguments={**recipe.arguments, "tiny": True})


@pytest.mark.parametrize(
    "name",
    ["deap-eeg-physio", "mahnob-physio", "mahnob-bcn-eeg", "iemocap-motion", "pairs-seed4-histeq"],
)
def test_a_run_from_end_to_end_on_a_stand_in(name: str, tmp_path: Path) -> None:
    recipe = stand_in(load_recipe(name), tmp_path / "data")
    study = Study.open(recipe, tmp_path / "data", tmp_path / "runs", torch.device("cpu"))
    study.train(lambda line: None)
    figures = study.test()["figures"]
    assert math.isfinite(figures[recipe.dataset]["uar"])
    assert ("missing" in figures) == (len(recipe.modalities) > 1)
