"""Networks, losses, recipes, the loop and export, on tiny fakes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.augment import Augment  # noqa: E402
from mien.datasets import DATASETS, FAKES  # noqa: E402
from mien.datasets.faces import load_faces  # noqa: E402
from mien.datasets.fer2013 import ferplus, same_pixels_as  # noqa: E402
from mien.errors import RecipeError, WeightsError  # noqa: E402
from mien.losses import LOSSES  # noqa: E402
from mien.models import MODELS  # noqa: E402
from mien.train.loop import Trainer, learning_rate, side_at  # noqa: E402
from mien.train.prepare import sampling, soft_targets  # noqa: E402
from mien.train.recipe import Recipe, load_recipe, recipes  # noqa: E402
from mien.train.study import Study  # noqa: E402

CPU = torch.device("cpu")
EXPRESSION = [n for n in MODELS.names() if MODELS.facts(n)["modality"] == "face" and not n.startswith("landmark")]


@pytest.mark.parametrize("name", EXPRESSION)
@pytest.mark.parametrize("classes", [7, 8])
def test_every_network_gives_the_right_shape_and_gradients(name: str, classes: int) -> None:
    torch.manual_seed(0)
    facts = MODELS.facts(name)
    model = MODELS.create(name, classes=classes)
    x = torch.rand(3, 1, facts["size"], facts["size"])
    output = model(x)
    assert output.logits.shape == (3, classes)
    assert output.embedding.shape[0] == 3
    output.logits.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    if classes == facts.get("classes", 8):
        assert sum(p.numel() for p in model.parameters()) == facts["parameters"]
    model.eval()
    with torch.no_grad():
        assert torch.allclose(model(x).logits[1], model({"face": x[1:2]}).logits[0], atol=1e-5)


def test_soft_cross_entropy_against_a_loop() -> None:
    random = np.random.default_rng(0)
    z, t = random.normal(size=(4, 3)), random.dirichlet(np.ones(3), 4)
    prior, tau = np.array([0.6, 0.3, 0.1]), 0.7
    slow = 0.0
    for row in range(4):
        adjusted = [z[row, k] + tau * np.log(prior[k]) for k in range(3)]
        bottom = np.log(sum(np.exp(a) for a in adjusted))
        slow -= sum(t[row, k] * (adjusted[k] - bottom) for k in range(3)) / 4
    loss = LOSSES.create("soft-cross-entropy", prior=prior, tau=tau)
    assert float(loss(torch.tensor(z), torch.tensor(t))) == pytest.approx(slow, rel=1e-5)


def test_soft_cross_entropy_gradient() -> None:
    loss = LOSSES.create("soft-cross-entropy", prior=[0.5, 0.5], tau=1.0, smoothing=0.1)
    loss.log_prior = loss.log_prior.double()
    z = torch.randn(3, 2, dtype=torch.double, requires_grad=True)
    t = torch.softmax(torch.randn(3, 2, dtype=torch.double), 1)

    def call(logits: torch.Tensor) -> torch.Tensor:
        scores = torch.log_softmax(logits + loss.tau * loss.log_prior, 1)
        return -((t * 0.9 + 0.05) * scores).sum(1).mean()

    ours = torch.autograd.grad(loss(z, t), z)[0]
    assert torch.allclose(ours, torch.autograd.grad(call(z), z)[0], atol=1e-6)
    assert torch.autograd.gradcheck(call, (z,))


def test_recipes_are_read_strictly(tmp_path: Path) -> None:
    assert {"mien-s", "mien-m", "mien-s-base", "mien-m-base"} <= set(recipes())
    for name in recipes():
        recipe = load_recipe(name)
        assert recipe.model in MODELS.names() or recipe.fusion.members
        assert recipe.dataset in DATASETS.names()
    path = tmp_path / "r.toml"
    for text, words in (
        ('name = "x"\nmodel = "mini-s"\nepoch = 3', "unknown key 'epoch'"),
        ('name = "x"\nmodel = "mini-s"\nepochs = "many"', "epochs: expected int"),
        ('name = "x"', "model missing"),
        ('name = "x"\nmodel = "mini-s"\naugment = 3', "must be a table"),
        ("name = ", "not TOML"),
    ):
        path.write_text(text)
        with pytest.raises(RecipeError, match=words):
            load_recipe(path)
    with pytest.raises(RecipeError, match="no recipe 'none'"):
        load_recipe("none")


def test_schedules() -> None:
    rates = [learning_rate(s, 100, 10, 1.0) for s in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] < 0.001
    assert [side_at(e, 30, (32, 48)) for e in (0, 10, 20, 29)] == [32, 40, 48, 48]


def test_targets_and_sampling(tmp_path: Path) -> None:
    FAKES["ferplus"](tmp_path)
    faces = load_faces(ferplus(tmp_path).part("train"))
    plain = soft_targets(faces, Recipe("x", "mini-s"))
    joined = soft_targets(faces, Recipe("x", "mini-s", second_opinion=2.0))
    assert joined.sum(1) == pytest.approx(np.ones(len(faces)))
    row, label = 0, faces.extra["fer2013"][0]
    assert joined[row, label] == pytest.approx((10 * plain[row, label] + 2) / 12)
    votes = faces.extra["votes"]
    sharp = soft_targets(faces, Recipe("x", "mini-s", least_votes=3))
    assert ((sharp > 0) == ((votes >= 3) | ((votes > 0) & (votes.max(1, keepdims=True) < 3)))).all()
    assert sharp.sum(1) == pytest.approx(np.ones(len(faces)))
    targets = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    weight, prior = sampling(targets, 1.0)
    assert prior == pytest.approx([0.5, 0.5])
    assert weight == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert sampling(targets, 0.0)[1] == pytest.approx([0.75, 0.25])


def test_augmentation_keeps_shape_range_and_seed() -> None:
    x = torch.rand(6, 1, 48, 48)
    one, two = (Augment()(x, 40, torch.Generator().manual_seed(3)) for _ in range(2))
    assert one.shape == (6, 1, 40, 40)
    assert torch.equal(one, two)
    assert 0 <= float(one.min()) <= float(one.max()) <= 1
    still = Augment(roll=0, scale=0, shift=0, stretch=0, flip=0, contrast=0, blur=0, noise=0, erase=0)
    assert torch.allclose(still(x, 48, torch.Generator()), x, atol=1e-5)
    mirror = Augment(roll=0, scale=0, shift=0, stretch=0, flip=1, contrast=0, blur=0, noise=0, erase=0)
    assert torch.allclose(mirror(x, 48, torch.Generator()), x.flip(3), atol=1e-5)


def test_mixup_blends_targets_like_faces() -> None:
    x, t = torch.rand(8, 1, 4, 4), torch.eye(8)
    mixed, (targets,) = Augment(mixup=1.0, mix_share=1.0).mix(x, [t], torch.Generator().manual_seed(0))
    assert targets.sum(1) == pytest.approx(torch.ones(8))
    assert torch.allclose(mixed, torch.einsum("nm,mchw->nchw", targets, x), atol=1e-5)


def test_ferplus_rules(tmp_path: Path) -> None:
    header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
    faces = "emotion,pixels,Usage\n" + "".join(f"3,{' '.join([str(i)] * 2304)},Training\n" for i in (1, 2, 3, 1))
    votes = ("5,5,0,0,0,0,0,0,0,0", "0,4,0,0,0,0,0,0,6,0", "0,0,0,0,0,0,0,0,0,10", "0,6,0,0,0,0,0,4,0,0")
    (tmp_path / "fer2013.csv").write_text(faces)
    (tmp_path / "fer2013new.csv").write_text(header + "".join(f"Training,f.png,{v}\n" for v in votes))
    got = ferplus(tmp_path)
    assert len(got) == 3  # the row with no vote for an expression is gone
    names = [got.labels[m] if m >= 0 else None for m in got.majority]
    assert names == ["neutral", None, "happiness"]  # a tie goes to the first column; unknown wins the second
    assert [got.labels[c] if c >= 0 else None for c in got.extra["clean7"]] == [None, None, "happiness"]
    assert got.targets[1, got.labels.index("happiness")] == 1
    assert same_pixels_as(load_faces(got).pixels).tolist() == [0, 1, 0]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Data and a finished run of two epochs."""
    data, runs = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("runs")
    FAKES["ferplus"](data, rows=140)
    recipe = load_recipe("mien-s-base", name="tiny", model="mini-s", epochs=2, batch=32)
    lines: list[str] = []
    Study.open(recipe, data, runs, CPU).train(lines.append)
    lines = [line for line in lines if line.startswith("{")]
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    return data, runs / "tiny"


def test_a_run_broken_off_goes_on_to_the_same_end(run: tuple[Path, Path], tmp_path: Path) -> None:
    data, whole = run
    recipe = load_recipe("mien-s-base", name="tiny", model="mini-s", epochs=2, batch=32)

    class StopError(Exception):
        pass

    def stop(_: str) -> None:
        raise StopError

    with pytest.raises(StopError):
        Trainer(recipe, data, tmp_path, CPU).run(stop)
    Trainer(recipe, data, tmp_path, CPU).run(lambda _: None)
    one, two = (torch.load(p / "last.pt", weights_only=True) for p in (whole, tmp_path))
    assert one["epoch"] == two["epoch"] == 2
    for key, value in one["ema"].items():
        assert torch.allclose(value.float(), two["ema"][key].float(), atol=2e-2), key


def test_export_agrees_with_torch_and_carries_its_spec(run: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from mien.export.onnx import Scorer, export_run, float_logits
    from mien.pipeline.model import load
    from mien.train.checkpoint import load_network

    data, folder = run
    for half, mirror, gap in ((False, False, 1e-4), (True, True, 1e-3)):
        out = tmp_path / f"{half}.onnx"
        facts = export_run(folder, data, out, name="tiny", half=half, mirror=mirror)
        model = load(out)
        faces = load_faces(ferplus(data))
        network = load_network(folder, CPU)
        best = torch.load(folder / "best.pt", weights_only=True)
        bias = facts["prior_share"] * best["tau"] * np.log(np.array(best["prior"]))
        with torch.no_grad():
            x = torch.from_numpy(faces.pixels)[:, None].float() / 255
            expected = Scorer(network, bias, facts["temperature"], mirror)(x).numpy()
        scores = model(list(faces.pixels))
        assert np.abs(scores - expected).max() < gap * (1 if not half else 5)
        assert scores.sum(1) == pytest.approx(np.ones(len(faces)), abs=1e-5)
        assert model.spec.labels == faces.labels
        assert model.spec.parameters == sum(p.numel() for p in network.parameters())
        assert float_logits(network, faces.pixels[:3]).shape == (3, 8)
    assert (tmp_path / "True.onnx").stat().st_size < 0.6 * (tmp_path / "False.onnx").stat().st_size


def test_rare_classes_count_as_frequent_as_asked(run: tuple[Path, Path]) -> None:
    from mien.train.checkpoint import average_runs

    _, folder = run
    best = torch.load(folder / "best.pt", weights_only=True)
    prior, tau = np.array(best["prior"]), best["tau"]
    least = float(np.median(prior))
    found = np.log(average_runs([folder], least)[1]["adjustment"])
    assert found == pytest.approx(tau * np.log(np.maximum(prior, least)))
    assert np.log(average_runs([folder])[1]["adjustment"]) == pytest.approx(tau * np.log(prior))


def test_means_over_even_sides_are_not_rounded_up() -> None:
    from mien.export.onnx import _whole_pools

    network = torch.nn.Sequential(torch.nn.AvgPool2d(2, ceil_mode=True), torch.nn.AvgPool2d(2, ceil_mode=True))
    x = torch.rand(2, 1, 12, 10)
    before = network(x)
    _whole_pools(network, x)
    assert [pool.ceil_mode for pool in network] == [False, True]  # 12 x 10, then 6 x 5
    assert torch.equal(network(x), before)


def test_8_bit_export_agrees_or_is_refused(
    run: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx")
    from mien.export import int8
    from mien.export.onnx import export_run
    from mien.pipeline.model import load

    data, folder = run
    out = tmp_path / "small.onnx"
    # two epochs on noise leave scores that hardly differ, so that agreement says little here
    monkeypatch.setattr(int8, "LEAST_AGREEMENT", 0.3)
    facts = export_run(folder, data, out, name="tiny", int8=True, start="nothing")
    assert 0.3 <= facts["agreement"] <= 1
    assert facts["largest_gap"] < 0.2
    model = load(out)
    assert "8-bit" in model.spec.architecture
    assert "nothing" in model.spec.trained_on
    assert model([np.zeros((48, 48, 3), np.uint8)]).sum() == pytest.approx(1, abs=1e-3)
    full = tmp_path / "full.onnx"
    export_run(folder, data, full, name="tiny", half=False)
    assert out.stat().st_size < 0.4 * full.stat().st_size
    monkeypatch.setattr(int8, "LEAST_AGREEMENT", 1.01)
    with pytest.raises(WeightsError, match="export with --half"):
        export_run(folder, data, out, name="tiny", int8=True)
    assert not out.exists()


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    from mien.train.checkpoint import load_network, load_state

    (tmp_path / "best.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match=r"best\.pt is not a readable checkpoint"):
        load_state(tmp_path / "best.pt")
    with pytest.raises(WeightsError, match="train that run first"):
        load_network(tmp_path / "none", CPU)
