"""Strategies that any network can be given: input maps, cascades, further heads, maps of changing angles."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.augment import Augment  # noqa: E402
from mien.datasets import DATASETS, FAKES  # noqa: E402
from mien.datasets.faces import FaceSet  # noqa: E402
from mien.errors import RecipeError, WeightsError  # noqa: E402
from mien.faces.angles import MIRROR  # noqa: E402
from mien.layers.input_maps import LBP, MAPS, Gabor, Gradient  # noqa: E402
from mien.models.composite import Composite, core  # noqa: E402
from mien.train.checkpoint import load_network, load_state  # noqa: E402
from mien.train.feed import Feed, angles_of  # noqa: E402
from mien.train.loop import Trainer  # noqa: E402
from mien.train.prepare import read_faces  # noqa: E402
from mien.train.recipe import Distill, Head, Recipe, Stage, Term, load_recipe  # noqa: E402
from mien.train.study import Study  # noqa: E402
from mien.train.tasks import TASKS, Identity, Points, Pose, make, moved  # noqa: E402
from mien.train.views import predict  # noqa: E402

DATASETS.names()
CPU = torch.device("cpu")
HARD = (Term("cross-entropy"),)
TINY = {"widths": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "stem": 8}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    FAKES["fer2013"](folder, rows=80)
    return folder


def recipe(name: str, **changes: object) -> Recipe:
    plain = Recipe(name, "mini-s", TINY, "fer2013", epochs=2, batch=16, labels="majority", loss=HARD)
    return dataclasses.replace(plain, **changes)


def test_lbp_against_a_loop() -> None:
    x = torch.randint(0, 4, (1, 1, 5, 6)).float()
    padded = np.pad(x[0, 0].numpy(), 1, mode="edge")
    for row in range(5):
        for column in range(6):
            patch = padded[row : row + 3, column : column + 3]
            ring = [
                patch[0, 0],
                patch[0, 1],
                patch[0, 2],
                patch[1, 2],
                patch[2, 2],
                patch[2, 1],
                patch[2, 0],
                patch[1, 0],
            ]
            code = sum(2**bit for bit, value in enumerate(ring) if value >= patch[1, 1])
            assert float(LBP()(x)[0, 0, row, column]) * 255 == pytest.approx(code, abs=1e-3)


def test_gabor_answers_to_its_own_orientation() -> None:
    line = torch.arange(48).float()
    for number in range(4):
        turn = np.pi * number / 4
        wave = torch.cos(2 * np.pi / 8 * (line[None] * np.cos(turn) + line[:, None] * np.sin(turn)))
        answers = Gabor()(0.5 + 0.5 * wave[None, None])[0, :, 12:36, 12:36].mean((1, 2))
        assert int(answers.argmax()) == number
    assert float(Gabor()(torch.full((1, 1, 20, 20), 0.7)).max()) < 1e-3


def test_gradient_of_a_step_and_of_nothing() -> None:
    x = torch.zeros(1, 1, 8, 8)
    x[..., 4:] = 1
    answer = Gradient()(x)[0, 0]
    assert answer[:, 3:5] == pytest.approx(torch.ones(8, 2), abs=1e-4)
    assert float(answer[:, :2].abs().max()) < 1e-4


def test_every_map_has_the_channels_it_names_and_takes_part() -> None:
    x = torch.rand(2, 1, 48, 48)
    for name, kind in MAPS.items():
        made = kind()
        assert made(x).shape == (2, made.channels, 48, 48), name
    model = Composite("mini-s", 7, TINY, inputs=("grey", "lbp", "gabor", "gradient", "angles"), heads={"pose": 2})
    output = model.eval()({"face": x, "angles": torch.rand(2, 1, 68, 68)})
    assert output.logits.shape == (2, 7)
    assert output.aux["head:pose"].shape == (2, 2)
    assert not torch.allclose(output.logits, model(x).logits)
    with pytest.raises(RecipeError, match="'sift' is unknown; use grey, lbp"):
        Composite("mini-s", 7, TINY, inputs=("sift",))


def test_points_follow_the_warp() -> None:
    """A bright spot that is warped with the face lies where its point is said to lie."""
    spot = torch.zeros(1, 1, 48, 48)
    spot[0, 0, 14, 30] = 1.0
    place = (torch.tensor([30.0, 14.0]) + 0.5) * 2 / 48 - 1
    generator = torch.Generator().manual_seed(4)
    strong = Augment(roll=20, scale=0.3, shift=0.1, flip=0.5, contrast=0, blur=0, noise=0, erase=0)
    seen = set()
    for _ in range(8):
        x, theta = strong.transform(spot, 48, generator)
        # all 68 points at the same place, so that swapping left and right does not matter
        x_at, y_at = (((moved(place.expand(1, 68, 2), theta)[0, 0] + 1) * 48 - 1) / 2).tolist()
        mass = x[0, 0] / x.sum()
        line = torch.arange(48).float()
        assert float((mass.sum(0) * line).sum()) == pytest.approx(x_at, abs=0.6)
        assert float((mass.sum(1) * line).sum()) == pytest.approx(y_at, abs=0.6)
        seen.add(bool(torch.linalg.det(theta[:, :, :2])[0] < 0))
    assert seen == {True, False}


def test_mirroring_swaps_points_and_pose_knows_the_turn() -> None:
    points = torch.randn(1, 68, 2)
    flip = torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]])
    assert torch.allclose(moved(points, flip)[0, :, 0], -points[0, MIRROR, 0], atol=1e-5)
    face = torch.zeros(1, 68, 2)
    face[:, 36:42, 0], face[:, 42:48, 0], face[:, 30, 0] = -0.4, 0.4, 0.48 * np.tan(np.radians(20))
    turn = np.radians(10)
    turned = face @ torch.tensor([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]).float()
    wanted = torch.tensor([[turn, np.radians(20)]]).float()
    assert float(Pose().loss(wanted, turned)) == pytest.approx(0, abs=1e-5)
    assert float(Pose().loss(wanted + 0.1, turned)) > 0.01
    assert float(Points().loss(face.flatten(1), face)) == 0


def test_identity_needs_people() -> None:
    def faces(group: np.ndarray) -> FaceSet:
        n = len(group)
        return FaceSet(np.zeros((n, 8, 8), np.uint8), np.eye(n, 2), np.zeros(n), np.zeros(n), ("a", "b"), group)

    task = Identity()
    assert task.targets(faces(np.array(["x", "y", "x", "y", "x"]))).argmax(1).tolist() == [0, 1, 0, 1, 0]
    assert task.units == 2
    with pytest.raises(RecipeError, match="does not say who"):
        task.targets(faces(np.array(["#1", "#2", "#3"])))
    with pytest.raises(RecipeError, match="task 'age' is unknown; use points"):
        make("age")


@pytest.mark.parametrize("task", ["points", "pose", "votes"])
def test_a_head_learns(task: str) -> None:
    """A linear head on the points themselves comes to say what its loss wants."""
    torch.manual_seed(0)
    made = TASKS[task]()
    points = torch.randn(64, 68, 2) * 0.3
    targets = torch.softmax(torch.randn(64, 5), 1) if task == "votes" else points
    if task == "votes":
        made.units = 5
    head = torch.nn.Linear(136, made.units)
    optimiser = torch.optim.Adam(head.parameters(), 0.02)
    floor = float(-(targets * targets.log()).sum(1).mean()) if task == "votes" else 0.0
    losses = []
    for _ in range(60):
        loss = made.loss(head(points.flatten(1)), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()) - floor)
    assert losses[-1] < 0.75 * losses[0]


def test_a_run_with_maps_heads_and_an_earlier_run(data: Path, tmp_path: Path) -> None:
    Study.open(recipe("first"), data, tmp_path, CPU).train(lambda _: None)
    second = recipe("second", inputs=("grey", "lbp", "run:first"), head=(Head("points", 0.5), Head("pose", 0.1)))
    study = Study.open(second, data, tmp_path, CPU)
    study.train(lambda _: None)
    first = load_state(tmp_path / "first" / "best.pt")
    model = load_network(tmp_path / "second", CPU)
    kept = model.maps[2].network.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in first["state"].items()), "the earlier net was trained"
    assert not model.maps[2].network.training
    facts = study.test()
    assert facts["figures"]["fer2013"]["faces"] == 20
    # a third run starts from what stands inside the second
    third = dataclasses.replace(second, name="third", init="second", epochs=1)
    started = Trainer(third, read_faces(third, data), tmp_path / "third", CPU)
    last = load_state(tmp_path / "second" / "last.pt")["ema"]
    for name, value in core(started.model).state_dict().items():
        assert torch.equal(value, last[f"net.{name}"]), name


def test_a_composite_survives_export(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    import io
    import warnings

    from mien.export.onnx import Scorer
    from mien.pipeline.session import open_session

    model = Composite("mini-s", 7, TINY, inputs=("grey", "lbp", "gabor", "gradient")).eval()
    x, buffer = torch.rand(3, 1, 48, 48), io.BytesIO()
    scorer = Scorer(model, np.zeros(7), 1.0).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(scorer, (x,), buffer, input_names=["face"], opset_version=17, dynamo=False)
    got = open_session(buffer.getvalue(), 1).run(None, {"face": x.numpy()})[0]
    assert got == pytest.approx(scorer(x).detach().numpy(), abs=1e-4)


def test_what_cannot_be_is_refused(data: Path, tmp_path: Path) -> None:
    def start(**changes: object) -> Trainer:
        made = recipe("bad", **changes)
        return Trainer(made, read_faces(made, data), tmp_path / "bad", CPU)

    with pytest.raises(WeightsError, match="run:nobody is missing"):
        start(inputs=("grey", "run:nobody"))
    with pytest.raises(RecipeError, match="fer2013 has no earlier frame"):
        start(inputs=("grey", "angles"))
    with pytest.raises(RecipeError, match="'age' is unknown"):
        start(head=(Head("age"),))
    with pytest.raises(RecipeError, match="leave out inputs"):
        start(inputs=("grey", "lbp"), stage=(Stage("autoencode"),)).run(lambda _: None)


def test_angles_reach_the_network_and_are_mirrored_with_the_face() -> None:
    random = np.random.default_rng(0)
    n = 12
    angles = random.normal(0, 0.1, (n, 1, 68, 68)).astype(np.float32)
    faces = FaceSet(
        random.integers(0, 255, (n, 48, 48), np.uint8),
        np.eye(7, dtype=np.float32)[np.arange(n) % 7],
        np.arange(n) % 7,
        np.zeros(n, np.int64),
        tuple("abcdefg"),
        np.arange(n).astype(str),
        {"angles": angles},
    )
    made = Recipe("x", "alexnet-emotion", {"tiny": True}, loss=HARD, augment=Augment(flip=0.5, mix_share=0.0))
    assert angles_of(made, faces) is angles
    assert angles_of(dataclasses.replace(made, arguments={"angles": 0}), faces) is None
    assert angles_of(dataclasses.replace(made, model="mini-s", arguments={}), faces) is None
    feed = Feed(made, torch.from_numpy(faces.pixels), torch.from_numpy(faces.targets), angles, {}, CPU)
    given = feed(torch.arange(n), 48, torch.Generator().manual_seed(0))
    maps = given.inputs["angles"].numpy()
    plain = np.isclose(maps, angles).all((1, 2, 3))
    turned = np.isclose(maps, -angles[..., MIRROR, :][..., MIRROR]).all((1, 2, 3))
    assert (plain ^ turned).all()
    assert plain.any()
    assert turned.any()
    from mien.models import MODELS

    torch.manual_seed(0)
    model = MODELS.create("alexnet-emotion", classes=7, tiny=True)
    with_maps = predict(model, faces.pixels, CPU, views="mirror", angles=angles * 20)
    without = predict(model, faces.pixels, CPU, views="mirror")
    assert not np.allclose(with_maps, without)


def test_the_recipes_of_the_strategies_are_read() -> None:
    assert load_recipe("strategies-diverse").inputs == ("grey", "lbp", "gradient", "gabor")
    assert [head.task for head in load_recipe("strategies-multitask").head] == ["points", "pose"]
    assert load_recipe("strategies-cascade").inputs[1] == "run:strategies"


def test_a_teacher_is_asked_once(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Study.open(recipe("old", epochs=1), data, tmp_path, CPU).train(lambda _: None)
    taught = recipe("new", distill=Distill(("old",), 0.5))

    def start() -> Trainer:
        return Trainer(taught, read_faces(taught, data), tmp_path / "new", CPU)

    first = start().targets
    assert len(list(tmp_path.glob("scores-old-*.npy"))) == 1
    monkeypatch.setattr("mien.train.loop.predict", None)
    assert torch.equal(start().targets, first)
    monkeypatch.undo()
    # another teacher of that name is asked again
    state = load_state(tmp_path / "old" / "best.pt")
    state["state"]["head.bias"] += torch.arange(7) * 1.0
    torch.save(state, tmp_path / "old" / "best.pt")
    assert not torch.allclose(start().targets, first)
