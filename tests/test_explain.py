"""What a network looks at: the maps of every network, of nets made to look at one quarter, and the sheet of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import data_folder
from mien.cli import app
from mien.datasets import DATASETS, FAKES
from mien.errors import DataError
from mien.explain.choose import choose
from mien.explain.occlusion import occlusion
from mien.report.explain import Shown, explain_figure, overlay

torch = pytest.importorskip("torch")
from torch import Tensor, nn  # noqa: E402

from mien.errors import WeightsError  # noqa: E402
from mien.explain.cam import grad_cam  # noqa: E402
from mien.explain.maps import last_map, watch  # noqa: E402
from mien.explain.run import FinishedRun  # noqa: E402
from mien.models import MODELS, Output  # noqa: E402
from mien.train.recipe import Recipe, load_recipe  # noqa: E402
from mien.train.study import Study  # noqa: E402

CPU = torch.device("cpu")
FACES = [name for name in MODELS.names() if MODELS.facts(name)["modality"] == "face"]
QUARTERS = {"upper left": (0, 0), "upper right": (0, 1), "lower left": (1, 0), "lower right": (1, 1)}


def tiny(name: str) -> nn.Module:
    torch.manual_seed(0)
    try:
        return MODELS.create(name, tiny=True).eval()
    except TypeError:  # small as it is
        return MODELS.create(name).eval()


@pytest.mark.parametrize("name", FACES)
def test_every_network_gives_a_map_of_the_face(name: str) -> None:
    network, side = tiny(name), MODELS.facts(name)["size"]
    faces = np.random.default_rng(0).integers(0, 255, (2, side, side), dtype=np.uint8)
    x = torch.from_numpy(faces)[:, None].float() / 255
    maps = grad_cam(network, x, torch.tensor([0, 1]))
    if maps is None:
        assert name in ("dae", "dbn", "frr-cnn"), "only without a feature map, or with one of six copies"

        def score(pixels: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return torch.softmax(network(torch.from_numpy(pixels)[:, None].float() / 255).logits, 1).numpy()

        maps = torch.from_numpy(occlusion(score, faces, np.array([0, 1])))
    assert maps.shape == (2, side, side)
    assert torch.isfinite(maps).all()
    assert float(maps.min()) >= 0
    assert float(maps.max()) <= 1


class Quarter(nn.Module):
    """Class 1 is how bright one quarter of the face is."""

    def __init__(self, down: int, across: int, side: int = 16) -> None:
        super().__init__()
        mask = torch.zeros(1, 1, side, side)
        half = side // 2
        mask[:, :, half * down : half * (down + 1), half * across : half * (across + 1)] = 1
        self.register_buffer("mask", mask)
        self.blank = nn.Identity()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.pool = nn.AvgPool2d(4)
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            self.conv.weight.fill_(1.0)
            self.head.weight.copy_(torch.tensor([[0.0, 0.0], [20.0, 20.0]]))
            self.head.bias.copy_(torch.tensor([2.0, 0.0]))

    def forward(self, x: Tensor) -> Output:
        embedding = self.pool(self.conv(x * self.mask)).mean((2, 3))
        return Output(self.head(embedding), embedding)


def quarter_of(heat: np.ndarray) -> tuple[int, int]:
    down, across = np.unravel_index(heat.argmax(), heat.shape)
    return int(down >= heat.shape[0] // 2), int(across >= heat.shape[1] // 2)


@pytest.mark.parametrize("place", QUARTERS.values(), ids=list(QUARTERS))
def test_both_methods_find_the_quarter_that_matters(place: tuple[int, int]) -> None:
    network = Quarter(*place)
    random = np.random.default_rng(1)
    face = random.integers(100, 140, (1, 16, 16), dtype=np.uint8)
    half = (slice(8 * place[0], 8 * place[0] + 8), slice(8 * place[1], 8 * place[1] + 8))
    face[0][half] += 100
    x = torch.from_numpy(face)[:, None].float() / 255
    cam = grad_cam(network, x, torch.tensor([1]))
    assert cam is not None
    heat = cam[0].numpy()
    assert heat.max() == pytest.approx(1)
    assert quarter_of(heat) == place
    inside = heat[half].sum() / heat.sum()
    assert inside > 0.6

    def score(pixels: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return torch.softmax(network(torch.from_numpy(pixels)[:, None].float() / 255).logits, 1).numpy()

    hidden = occlusion(score, face, np.array([1]))[0]
    assert quarter_of(hidden) == place
    assert hidden[half].sum() / hidden.sum() > 0.6
    # nothing in the face speaks for the class that only the bias favours
    none = grad_cam(network, x, torch.tensor([0]))
    assert none is not None
    assert float(none.max()) == 0


def test_occlusion_is_that_of_a_slow_loop() -> None:
    face = np.full((1, 8, 8), 200, np.uint8)
    face[0, :, :4] = 40
    grey = round(float(face.mean()))

    def score(pixels: np.ndarray) -> np.ndarray:
        bright = pixels[:, :, 4:].reshape(len(pixels), -1).mean(1) / 255
        return np.stack([1 - bright, bright], 1)

    heat = occlusion(score, face, np.array([1]), patch=4, step=4)[0]
    falls = np.zeros((3, 3))
    for i, y in enumerate((0, 4, 8)):
        for j, x in enumerate((0, 4, 8)):
            copy = face.copy()
            copy[0, max(0, y - 2) : y + 2, max(0, x - 2) : x + 2] = grey
            falls[i, j] = score(face)[0, 1] - score(copy)[0, 1]
    assert heat[3, 7] == heat.max() == pytest.approx(1)  # nearest to the middle of the right edge
    # half a pixel off the patch's place at (4, 8): an eighth of the way to its neighbours, up and left
    near = 0.875 * (0.875 * falls[1, 2] + 0.125 * falls[0, 2]) + 0.125 * (0.875 * falls[1, 1] + 0.125 * falls[0, 1])
    up = 0.875 * (0.875 * falls[0, 2] + 0.125 * falls[1, 2]) + 0.125 * (0.875 * falls[0, 1] + 0.125 * falls[1, 1])
    assert heat[0, 7] / heat[3, 7] == pytest.approx(up / near, rel=1e-5)
    assert heat[:, 0].max() < 0.15


class Tokens(nn.Module):
    """A transformer's end without a two-dimensional map: class 1 is what token `place` says."""

    def __init__(self, place: int, class_token: bool) -> None:
        super().__init__()
        self.patch = nn.Linear(16, 4)
        nn.init.ones_(self.patch.weight)
        nn.init.zeros_(self.patch.bias)
        self.head = nn.Linear(4, 2, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[-1.0] * 4, [1.0] * 4]))
        self.place, self.first = place, int(class_token)

    def forward(self, x: Tensor) -> Output:
        parts = nn.functional.unfold(x, 4, stride=4).transpose(1, 2)
        tokens = self.patch(parts)
        tokens = torch.cat([tokens[:, :1] * 0, tokens], 1) if self.first else tokens
        embedding = tokens[:, self.first + self.place] + 0.01 * tokens.mean(1)
        return Output(self.head(embedding), embedding, {"features": tokens})


@pytest.mark.parametrize("class_token", [False, True])
def test_tokens_are_folded_back(class_token: bool) -> None:
    x = torch.zeros(1, 1, 16, 16)
    x[:, :, 4:8, 12:16] = 1  # the eighth of sixteen patches
    maps = grad_cam(Tokens(7, class_token), x, torch.tensor([1]))
    assert maps is not None
    down, across = np.unravel_index(maps[0].numpy().argmax(), (16, 16))
    assert 4 <= down < 8
    assert across >= 12


def test_the_last_map_is_the_one_that_everything_passes() -> None:
    x = torch.rand(2, 1, 48, 48)
    for name, module in (("irnet", "narrow"), ("aren", "fusion"), ("alexnet-emotion", "layers"), ("mini-s", "stages")):
        item = last_map(*watch(tiny(name), x))
        assert item is not None
        assert item.name == module
    assert last_map(*watch(tiny("dbn"), x)) is None


def test_faces_are_chosen_alike_each_time_and_half_of_them_wrong() -> None:
    random = np.random.default_rng(3)
    truth, predicted = random.integers(-1, 3, 400), random.integers(0, 3, 400)
    first, again = choose(truth, predicted, 3, 6), choose(truth, predicted, 3, 6)
    for k, (rows, same) in enumerate(zip(first, again, strict=True)):
        assert rows.tolist() == same.tolist()
        assert len(set(rows.tolist())) == 6
        assert (truth[rows] == k).all()
        assert (predicted[rows] == k).tolist() == [True] * 3 + [False] * 3
    assert [len(rows) for rows in choose(np.array([0, 0, 1]), np.array([1, 1, 1]), 3, 4)] == [2, 1, 0]


def test_the_sheet_shows_the_faces_and_their_maps(tmp_path: Path) -> None:
    face = np.full((48, 48), 120, np.uint8)
    heat = np.zeros((48, 48), np.float32)
    heat[:24, 24:] = 1
    laid = overlay(face, heat, 96).astype(int)
    assert laid.shape == (96, 96, 3)
    assert laid[10, 86].sum() > laid[86, 10].sum() + 60, "what matters is brighter than what does not"
    assert (laid[10, 86, 0] - laid[10, 86, 2]) > 30, "and warm"
    colour = np.dstack([face, face, face])
    assert np.abs(overlay(colour, heat, 96).astype(int) - laid).max() <= 1
    rows = {
        "anger": [Shown(face, heat, "anger", 0.9, True), Shown(face, heat, "fear", 0.6, False)],
        "fear": [],
        "neutral": [Shown(colour, heat, "neutral", 0.5, True)] * 5,
    }
    explain_figure(rows, tmp_path / "sheet.png", title="a", method="b", shares={"anger": 0.5})
    picture = cv2.imread(str(tmp_path / "sheet.png"))
    assert picture is not None
    warm = picture[..., 2].astype(int) - picture[..., 0]
    assert (warm > 40).mean() > 0.01
    lines = (picture.min(2) < 130).any(1)
    bands = int((np.diff(lines[250:].astype(int)) == 1).sum())
    assert bands >= 3, "one line for anger, two for five neutral faces"
    with pytest.raises(DataError, match="no labelled face"):
        explain_figure({"anger": []}, tmp_path / "none.png", title="a", method="b")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on FER+ and one of two folds on CK+48, both on made data."""
    root = tmp_path_factory.mktemp("runs")
    DATASETS.names()
    FAKES["ferplus"](root / "ferplus")
    FAKES["ck48"](root / "ck48", subjects=4)
    plain = 'name = "{0}"\nmodel = "mini-s-fine"\nepochs = 1\nbatch = 32\ndataset = "{1}"\nviews = "mirror"\n{2}'
    for name, dataset, more in (
        ("one", "ferplus", "tau = 0.5\n"),
        ("two", "ck48", 'protocol = "kfold"\nfolds = 2\nselect = "last"\n'),
    ):
        (root / f"{name}.toml").write_text(plain.format(name, dataset, more))
        study = Study.open(load_recipe(root / f"{name}.toml"), root / dataset, root, CPU)
        study.train(lambda _: None)
        study.test()
    return root


def test_a_run_scores_as_its_study_did(runs: Path) -> None:
    for folder, dataset, fold in ((runs / "one", "ferplus", 0), (runs / "two" / "fold-02", "ck48", 1)):
        kept = np.load((folder.parent if fold else folder) / "predictions.npz")
        run = FinishedRun(folder, CPU)
        faces = run.faces(dataset, runs, "test")
        assert run.dataset == dataset
        mine = kept["fold"] == fold
        assert faces.majority.tolist() == kept["truth"][mine].tolist()
        assert run.scores(faces) == pytest.approx(kept["scores"][mine], abs=1e-6)
    assert run.name == "two, fold 2 of 2"
    rows = {split: len(run.faces("ck48", runs, split)) for split in ("train", "test", "all")}
    assert rows["train"] + rows["test"] == rows["all"]


def test_eval_of_a_run_draws_what_it_looks_at(runs: Path, tmp_path: Path) -> None:
    call = ["eval", str(runs / "one"), "--data", str(runs), "--split", "val", "--explain", "4", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, [*call, "--device", "cpu", "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.output)
    assert figures["split"] == "val"
    assert {"confusion.png", "reliability.png", "explain.png"} <= {path.name for path in tmp_path.iterdir()}
    assert cv2.imread(str(tmp_path / "explain.png")).shape[1] > 1000
    run = FinishedRun(runs / "one", CPU)
    faces = run.faces("ferplus", runs, "val")
    maps = run.maps(faces, np.zeros(len(faces), np.int64))
    assert maps.shape == faces.pixels.shape
    assert "Grad-CAM" in run.method
    assert "`stages` (6×6)" in run.method


def test_eval_of_a_run_without_a_map_hides_parts(runs: Path) -> None:
    recipe = Recipe("flat", "dae", dataset="ferplus", epochs=1, arguments={"widths": [8], "size": 12})
    Study.open(recipe, runs, runs, CPU).train(lambda _: None)
    run = FinishedRun(runs / "flat", CPU)
    faces = run.faces("ferplus", runs, "test")[np.arange(2)]
    maps = run.maps(faces, run.scores(faces).argmax(1))
    assert "occlusion" in run.method
    assert maps.max() == pytest.approx(1)


def test_wrong_calls_say_what_to_do(runs: Path, tmp_path: Path) -> None:
    def fail(*arguments: object) -> str:
        done = CliRunner().invoke(app, ["eval", *map(str, arguments)])
        assert done.exit_code
        return f"{done.output} {done.exception}"

    assert "--out" in fail(runs / "one", "--data", runs, "--explain", "2")
    assert "name one of them, such as" in fail(runs / "two", "--data", runs)
    assert "no run.json" in fail(tmp_path, "--data", runs)
    assert "no val rows" in fail(runs / "two" / "fold-01", "--data", runs, "--split", "val")
    (tmp_path / "run.json").write_text("{}")
    assert "not the record of a run" in fail(tmp_path, "--data", runs)
    (tmp_path / "run.json").write_text((runs / "one" / "run.json").read_text())
    with pytest.raises(WeightsError, match=r"no best\.pt; train that run first"):
        FinishedRun(tmp_path, CPU)


def test_weight_files_are_explained_without_torch(runs: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from mien.cli import app\n"
        f"app(['eval', 'mien-s', '--data', {str(runs / 'ferplus')!r}, '--split', 'val', '--explain', '2', "
        f"'--out', {str(tmp_path)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
    assert (tmp_path / "explain.png").stat().st_size > 20_000


def test_real_faces_matter_more_than_their_margins() -> None:
    from mien.explain.subject import WeightFile

    subject = WeightFile("mien-s")
    faces = subject.faces("ferplus", data_folder("fer2013"), "val")[np.arange(100)]
    scores = subject.scores(faces)
    sure = np.flatnonzero((faces.majority >= 0) & (scores.argmax(1) == faces.majority) & (scores.max(1) < 0.9))[:12]
    maps = subject.maps(faces[sure], faces.majority[sure])
    middle = maps[:, 6:42, 6:42].mean()
    assert middle > 1.5 * (maps.sum() - maps[:, 6:42, 6:42].sum()) / (maps.size - 36 * 36 * len(sure))
