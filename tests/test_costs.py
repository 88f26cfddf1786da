"""Costs of networks: counts against sums by hand, receptive fields, the diagram, and what the command line shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import Tensor, nn  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from mien.bench import results  # noqa: E402
from mien.bench.costs import measure, read_costs, with_recipe  # noqa: E402
from mien.bench.measured import FOLDERS, measured  # noqa: E402
from mien.bench.results import of_network, paper_of, shortened, table  # noqa: E402
from mien.cli import app  # noqa: E402
from mien.errors import DataError, UnknownName  # noqa: E402
from mien.explain.anatomy import SHOWN, anatomy, described, example  # noqa: E402
from mien.explain.diagram import MOST, rows, text  # noqa: E402
from mien.explain.macs import trace  # noqa: E402
from mien.explain.receptive import receptive_field  # noqa: E402
from mien.layers.cbam import CBAM  # noqa: E402
from mien.layers.deform import DeformConv2d  # noqa: E402
from mien.layers.encoder_block import EncoderBlock  # noqa: E402
from mien.layers.involution import Involution  # noqa: E402
from mien.layers.self_attention import SelfAttention2d  # noqa: E402
from mien.layers.standardise import Standardise  # noqa: E402
from mien.models import MODELS, Output  # noqa: E402

KNOWN = [name for name in MODELS.names() if MODELS.facts(name)["modality"] in SHOWN]


class Net(nn.Module):
    """Layers, the mean over places, a linear head."""

    def __init__(self, *layers: nn.Module, width: int = 4) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Output:
        embedding = self.layers(x).mean((2, 3))
        return Output(self.head(embedding), embedding)


def macs(module: nn.Module, *shape: int) -> int:
    return trace(module, torch.rand(shape))[0].macs


def test_counts_of_single_layers_are_those_by_hand() -> None:
    assert macs(nn.Conv2d(3, 5, 3, 2, 1), 1, 3, 8, 8) == 4 * 4 * 5 * 3 * 9
    assert macs(nn.Conv2d(6, 6, 3, 1, 1, groups=6), 1, 6, 8, 8) == 8 * 8 * 6 * 9
    assert macs(nn.Conv2d(6, 4, (1, 3), groups=2), 1, 6, 8, 8) == 8 * 6 * 4 * 3 * 3
    assert macs(nn.ConvTranspose2d(3, 5, 2, 2), 1, 3, 4, 4) == 4 * 4 * 3 * 5 * 4
    assert macs(nn.Linear(7, 3), 1, 7) == 21
    assert macs(nn.Linear(7, 3), 1, 5, 7) == 5 * 21
    assert macs(nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)), 1, 3, 8, 8) == 0


def test_counts_of_recurrent_layers_are_those_by_hand() -> None:
    steps, batch, inputs, hidden = 3, 2, 4, 5
    for layer, gates in ((nn.LSTM(inputs, hidden), 4), (nn.GRU(inputs, hidden), 3), (nn.RNN(inputs, hidden), 1)):
        assert macs(layer, steps, batch, inputs) == steps * batch * gates * hidden * (inputs + hidden)
    both = nn.LSTM(inputs, hidden, 2, bidirectional=True)
    first = 2 * 4 * hidden * (inputs + hidden)
    second = 2 * 4 * hidden * (2 * hidden + hidden)
    assert macs(both, steps, batch, inputs) == steps * batch * (first + second)


def test_counts_of_attention_are_those_by_hand() -> None:
    tokens, dim, heads = 5, 8, 2
    block = EncoderBlock(dim, heads)
    projections = tokens * dim * 3 * dim + tokens * dim * dim
    products = 2 * heads * tokens * tokens * (dim // heads)
    perceptron = 2 * tokens * dim * 4 * dim
    call, attends = trace(block, torch.rand(1, tokens, dim))
    assert attends
    assert call.macs == projections + products + perceptron
    over_places = SelfAttention2d(8, 2)  # queries and keys are twice as many numbers as the values' half
    places = 16
    ask, value = places * 8 * 16, places * 8 * 8
    products = places * places * 8 + places * places * 8
    assert macs(over_places, 1, 8, 4, 4) == ask + value + products


def test_counts_of_deformable_convolution_and_involution_are_those_by_hand() -> None:
    places = 36
    offsets = places * 4 * 9 * 18
    sampling = 4 * places * 4 * 9
    mixing = places * 4 * 9 * 6
    assert macs(DeformConv2d(4, 6), 1, 4, 6, 6) == offsets + sampling + mixing
    layer = Involution(8, kernel=3, group=4, reduction=2)
    kernels = places * 8 * 4 + places * 4 * 9 * 2
    assert macs(layer, 1, 8, 6, 6) == kernels + places * 8 * 9


def test_mobilenet_at_224_px_counts_what_its_paper_says() -> None:
    network = MODELS.create("mobilenet-v1", classes=1000, channels=3)
    call, attends = trace(network, torch.rand(1, 3, 224, 224))
    assert call.macs / 1e6 == pytest.approx(569, abs=1)  # Howard et al., table 8: 569 million
    assert call.parameters / 1e6 == pytest.approx(4.2, abs=0.05)
    assert not attends


@pytest.mark.parametrize("name", KNOWN)
def test_every_diagram_adds_up(name: str) -> None:
    facts = MODELS.facts(name)
    network = MODELS.create(name)
    root, _ = trace(network, example(name))
    lines = rows(root)
    assert len(lines) <= MOST
    assert sum(row.parameters for row in lines) == facts["parameters"]
    assert sum(row.macs for row in lines) == root.macs > 1000
    said = text(lines)
    assert f"{facts['parameters']:,}" in said[-1]
    assert max(map(len, said)) <= 120


def test_repeated_groups_stand_once() -> None:
    pair = [[nn.Conv2d(4, 4, 3, 1, 1, groups=4), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU()] for _ in range(3)]
    lines = rows(
        trace(Net(nn.Conv2d(1, 4, 3), *[layer for layers in pair for layer in layers]), torch.rand(1, 1, 8, 8))[0]
    )
    assert [(row.kind, row.repeats, row.group) for row in lines] == [
        ("conv 3×3", 1, ""),
        ("depthwise 3×3, ReLU", 3, "first"),
        ("conv 1×1, ReLU", 3, "last"),
        ("linear", 1, ""),
    ]
    assert lines[1].macs == 3 * 36 * 4 * 9
    assert lines[1].parameters == 3 * 40


def test_a_part_that_runs_twice_holds_its_weights_once() -> None:
    twice = nn.Conv2d(4, 4, 3, 1, 1)
    root, _ = trace(Net(nn.Conv2d(1, 4, 1), twice, twice), torch.rand(1, 1, 8, 8))
    assert root.parameters == 8 + (4 * 4 * 9 + 4) + 10
    assert root.macs == 64 * 4 + 2 * 64 * 4 * 4 * 9 + 8


def seen(*layers: nn.Module, side: int = 24) -> tuple[int | None, int | None]:
    found = receptive_field(Net(*layers), torch.rand(1, 1, side, side))
    assert found is not None
    return found.height, found.width


def test_receptive_fields_are_those_by_hand() -> None:
    conv = nn.Conv2d(1, 4, 3, 1, 1)
    assert seen(conv) == (3, 3)
    stack = (conv, nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, 1, 1))
    assert seen(*stack) == (8, 8)  # 3, then 3 + 1, then 4 + 2 * 2
    assert seen(*stack, nn.ReLU6(), nn.Conv2d(4, 4, 3, 2, 1)) == (12, 12)
    assert seen(conv, nn.Conv2d(4, 4, (1, 5), padding=(0, 2))) == (3, 7)
    assert seen(conv, nn.Conv2d(4, 4, 3, 1, 2, dilation=2)) == (7, 7)
    assert seen(conv, DeformConv2d(4, 4)) == (5, 5)
    assert seen(conv, Involution(4, kernel=5, group=2)) == (7, 7)


def test_gates_and_standardisation_do_not_widen_a_field_and_attention_does() -> None:
    conv = nn.Conv2d(1, 4, 3, 1, 1)
    assert seen(Standardise(), conv, CBAM(4)) == (3, 3)
    assert seen(conv, SelfAttention2d(4, 2)) == (0, 0)
    vgg16: list[nn.Module] = []
    for depth in (2, 2, 3, 3, 3):
        vgg16 += [nn.Conv2d(4 if vgg16 else 1, 4, 3, 1, 1), *[nn.Conv2d(4, 4, 3, 1, 1) for _ in range(depth - 1)]]
        vgg16.append(nn.MaxPool2d(2))
    assert seen(*vgg16, side=64) == (212, 212)
    assert seen(nn.Conv2d(1, 4, 5, 2, 2), *[nn.Conv2d(4, 4, 3, 1, 1) for _ in range(3)]) == (17, 17)


def test_registered_networks_say_what_a_unit_sees() -> None:
    assert "315 × 315 px" in anatomy("mobilenet-v1").sees()  # 3 and twelve more 3x3, five of stride 2
    assert anatomy("resnet-vit").sees().startswith("whole picture, by attention; before it")
    assert anatomy("dae").sees().startswith("whole picture: linear layers")
    assert anatomy("derl").sees().endswith("the network runs at 48 px only")
    flow = anatomy("ststnet")
    assert (flow.input, flow.unit()) == ((1, 3, 28, 28), "a flow image of 28 px")
    said = described(MODELS.create("vgg-se", tiny=True))
    assert "squeeze-and-excitation" in said["about"]
    assert said["paper"].startswith("Gan et al.")
    assert "48 px" in said["differs"]
    assert "Args" not in said["differs"]


LINE: dict[str, Any] = {
    "recipe": "fer2013-mini",
    "key": "k",
    "seed": 1,
    "model": "mini-s-fine",
    "parameters": 687_540,
    "dataset": "fer2013",
    "protocol": "official",
    "epochs": 3,
    "figures": {"fer2013": {"accuracy": 0.5, "uar": 0.4, "macro_f1": 0.4}},
    "paper": {"source": "Someone 1999", "figure": 70.0, "warning": "other faces"},
    "machine": "2-core x86_64, Linux, no GPU",
    "seconds": 120.0,
}


def test_show_says_all_of_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = [LINE, LINE | {"recipe": "my-own"}]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    cost = {"parameters": 687_540, "macs": 51_357_952, "size": 48, "ms": 0.75, "date": "2026-01-01", "machine": "a box"}
    (tmp_path / "costs.json").write_text(json.dumps({"mini-s-fine": cost}))
    monkeypatch.setattr("mien.bench.measured.FOLDERS", (tmp_path,))
    done = CliRunner().invoke(app, ["show", "mini-s-fine"])
    assert done.exit_code == 0, done.output
    for words in (
        "Paper: He et al.",
        "Differs: each picture",
        "parameters       687,540",
        "MACs             51.4 million",
        "0.75 ms a face",
        "receptive field  97 × 97 px",
        "fer2013-mini: 50.0 % accuracy, 40.0 % UAR (fer2013, official; 1 seed); short run: 3 of",
        "my-own: 50.0 % accuracy",
        "70 % in the paper: Someone 1999; other faces",
        "mien-s-face: not benchmarked yet (ferplus)",
    ):
        assert words in done.output, words
    facts = json.loads(CliRunner().invoke(app, ["show", "mini-s-fine", "--json"]).output)
    assert facts["parameters"] == sum(row["parameters"] for row in facts["blocks"])
    assert facts["macs"] == cost["macs"]
    assert facts["receptive_field"] == [97, 97]
    assert facts["cost"]["ms"] == 0.75
    assert facts["results"][0]["accuracy"] == "50.0"


def test_measured_figures_are_found_in_the_checkout_or_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert [folder.parts[-2:] for folder in FOLDERS] == [("docs", "measured"), ("bench", "figures")]
    monkeypatch.setattr("mien.bench.measured.FOLDERS", (tmp_path / "none", tmp_path))
    assert measured("x.json") == tmp_path / "x.json"
    assert read_costs(measured("x.json")) == {}
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "x.json").write_text("{}")
    assert measured("x.json") == tmp_path / "none" / "x.json"


def test_costs_are_measured_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "costs.json"
    said: list[str] = []
    measure(["audn"], path, rounds=1, say=said.append)
    first = read_costs(path)["audn"]
    assert (first["parameters"], first["macs"], first["size"]) == (548_072, 2_863_872, 48)
    assert 0 < first["ms"] < 100
    assert first["ms_low"] <= first["ms"] <= first["ms_high"]
    done = CliRunner().invoke(app, ["bench", "costs", "landmark-68", "--rounds", "1", "--costs", str(path)])
    assert done.exit_code == 0, done.output
    assert "| landmark-68 | 273,925 | 9.4 |" in done.output
    assert sorted(read_costs(path)) == ["audn", "landmark-68"]
    assert read_costs(path)["audn"] == first
    with pytest.raises(UnknownName, match="no model is called 'nothing'"):
        measure(["nothing"], path)
    path.write_text("[")
    with pytest.raises(DataError, match="delete it"):
        read_costs(path)
    assert {"alexnet", "mobilenet-v1"} <= set(with_recipe())
    assert "ensemble" not in with_recipe()


def test_a_network_that_cannot_be_exported_keeps_its_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no operator for that\nmore")

    monkeypatch.setattr("mien.bench.costs.write", refuse)
    said: list[str] = []
    row = measure(["audn"], tmp_path / "costs.json", say=said.append)["audn"]
    assert row["ms"] is None
    assert row["note"] == "no operator for that"
    assert "not timed: no operator for that" in said[0]
    line = LINE | {"model": "audn", "parameters": row["parameters"]}
    assert "| 2.9 |  |" in table([line], read_costs(tmp_path / "costs.json"))


def test_the_table_shows_costs_and_short_runs() -> None:
    whole = results.load_recipe("fer2013-mini").epochs
    assert shortened(LINE) == [f"short run: 3 of {whole} epochs"]
    assert shortened(LINE | {"epochs": whole}) == []
    assert shortened(LINE | {"epochs": whole, "faces_trained": 500}) == ["trained on 500 faces only"]
    assert shortened(LINE | {"epochs": whole, "faces_trained": 500, "faces_split": 28_709}) == [
        "trained on 500 of 28,709 faces"
    ]
    assert shortened(LINE | {"epochs": whole, "faces_trained": 500, "faces_split": 500}) == []
    assert shortened(LINE | {"recipe": "my-own"}) == []
    costs = {"mini-s-fine": {"macs": 51_357_952, "ms": 0.75}}
    other = LINE | {"recipe": "rafdb-aren", "dataset": "rafdb", "machine": "NVIDIA H200", "seconds": 7200.0}
    made = table([LINE, other | {"figures": {"rafdb": LINE["figures"]["fer2013"]}}], costs)
    lines = made.splitlines()
    head = next(line for line in lines if line.startswith("| recipe"))
    row = next(line for line in lines if "fer2013-mini" in line)
    cells = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    assert (cells["MACs (M)"], cells["ms per face"], cells["epochs"], cells["minutes"]) == ("51.4", "0.75", "3", "2.0")
    assert cells["device"] == "CPU"
    assert cells["note |"] == f"short run: 3 of {whole} epochs |"
    assert "| 120 | H200 |" in made
    # a short run does not take the place of a whole one
    both = table([LINE | {"epochs": whole}, LINE])
    assert both.count("fer2013-mini") == 2
    assert both.count("short run") == 1
    assert table([LINE, LINE | {"seconds": 600.0}]).count("fer2013-mini") == 1
    one = table([LINE, other], costs, "fer2013")
    assert "### fer2013" in one
    assert "rafdb" not in one
    with pytest.raises(UnknownName, match="there are: fer2013"):
        table([LINE], None, "rafdb")


def test_what_is_said_of_a_paper_is_what_the_recipe_says_now() -> None:
    now = results.load_recipe("fer2013-mobilenet").paper
    line = LINE | {"recipe": "fer2013-mobilenet", "model": "mobilenet-v1"}
    assert paper_of(line) == {"source": now.source, "figure": now.figure, "warning": now.warning}
    made = table([line])
    assert f"| {now.figure:g} |" in made
    assert f"{now.source}; {now.warning} |" in made
    assert "Someone 1999" not in made
    # a recipe of one's own, one that has gone, and one of the same name as the package's
    for own in ({"recipe": "my-own"}, {"recipe": "fer2013-mobilenet", "model": "mini-s"}):
        assert paper_of(LINE | own) == LINE["paper"]
        assert "Someone 1999; other faces |" in table([LINE | own])


def test_the_table_finds_the_figures_of_the_folder_or_else_of_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package, here = tmp_path / "package", tmp_path / "here"
    package.mkdir()
    here.mkdir()
    (package / "results.jsonl").write_text(json.dumps(LINE | {"recipe": "of-the-package"}) + "\n")
    costs = {"mini-s-fine": {"parameters": 687_540, "macs": 51_357_952, "ms": 0.75}}
    (package / "costs.json").write_text(json.dumps(costs))
    monkeypatch.setattr("mien.bench.measured.FOLDERS", (tmp_path / "no-checkout", package))
    monkeypatch.chdir(here)
    done = CliRunner().invoke(app, ["bench", "table"])
    assert done.exit_code == 0, done.output
    assert "| of-the-package | mini-s-fine | 687,540 | 51.4 | 0.75 |" in done.output
    own = here / "docs" / "measured" / "results.jsonl"
    own.parent.mkdir(parents=True)
    own.write_text(json.dumps(LINE | {"recipe": "of-the-folder"}) + "\n")
    done = CliRunner().invoke(app, ["bench", "table"])
    assert "of-the-folder" in done.output
    assert "of-the-package" not in done.output
    monkeypatch.chdir(package)
    (package / "results.jsonl").unlink()
    done = CliRunner().invoke(app, ["bench", "table"])
    assert "holds no results yet" in str(done.exception)


def test_results_of_a_network_stand_beside_its_papers() -> None:
    found = of_network("mini-s-fine", [LINE, LINE | {"seed": 2}, LINE | {"model": "alexnet", "recipe": "other"}])
    assert found[0]["accuracy"] == "50.0 ± 0.0"
    assert found[0]["seeds"] == 2
    assert all(row["recipe"] != "other" for row in found)
    assert any(row["seeds"] == 0 for row in found)
    (mobile,) = (row for row in of_network("mobilenet-v1", []) if row["recipe"] == "fer2013-mobilenet")
    assert mobile["paper"]["figure"] == 64.81
    assert "chosen on the same faces" in mobile["paper"]["warning"]
