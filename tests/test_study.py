"""A recipe under its protocol: folds, guards, records, results."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from typer.testing import CliRunner  # noqa: E402

from mien.bench.results import read_lines, recipe_key, run_bench, spread, table, waiting  # noqa: E402
from mien.cli import app  # noqa: E402
from mien.datasets import DATASETS, FAKES  # noqa: E402
from mien.datasets.faces import load_faces  # noqa: E402
from mien.errors import DataError, LeakError, RecipeError  # noqa: E402
from mien.train.prepare import fingerprint, in_grey, read_faces  # noqa: E402
from mien.train.recipe import Recipe, load_recipe  # noqa: E402
from mien.train.study import Study, folds_of  # noqa: E402
from mien.train.views import predict, ten_crops  # noqa: E402

DATASETS.names()
CPU = torch.device("cpu")
PLAIN = 'name = "{name}"\nmodel = "mini-s"\ndataset = "{dataset}"\nepochs = 2\nbatch = 16\n{more}'


def recipe_file(folder: Path, name: str, dataset: str, more: str = "") -> str:
    path = folder / f"{name}.toml"
    path.write_text(PLAIN.format(name=name, dataset=dataset, more=more))
    return str(path)


def test_official_study_leaves_everything_and_reports_both_figures(tmp_path: Path) -> None:
    data = tmp_path / "data"
    FAKES["fer2013"](data, rows=80)
    lines = (data / "fer2013.csv").read_text().splitlines()
    pixels = lines[1].split(",")[1]  # a test face that training has seen
    emotion, _, usage = lines[-1].split(",")
    (data / "fer2013.csv").write_text("\n".join([*lines[:-1], f"{emotion},{pixels},{usage}"]) + "\n")
    name = recipe_file(tmp_path, "small", "fer2013", 'labels = "majority"\nviews = "mirror"')
    results, said = tmp_path / "results.jsonl", []
    (line,) = run_bench([name], [1], data, tmp_path / "runs", results, say=said.append)
    assert any("1 of 20 test rows have an exact copy" in text for text in said)
    assert line["figures"]["without_copies"]["copies"] == 1
    assert 0 <= line["figures"]["fer2013"]["accuracy"] <= 1
    run = tmp_path / "runs" / "small"
    for left in ("best.pt", "last.pt", "log.jsonl", "run.json", "curves.csv", "curves.png", "card.md"):
        assert (run / left).stat().st_size > 20, left
    record = json.loads((run / "run.json").read_text())
    assert record["data"]["sha256"] == fingerprint(read_faces(load_recipe(name), data))
    assert record["recipe"]["labels"] == "majority"
    assert len(list(csv.DictReader((run / "curves.csv").read_text().splitlines()))) == 2
    kept = np.load(run / "predictions.npz")
    assert kept["scores"].sum(1) == pytest.approx(np.ones(20))
    # the same again reads the file and trains nothing
    before = (run / "last.pt").stat().st_mtime_ns
    assert run_bench([name], [1], data, tmp_path / "runs", results, say=said.append) == [line]
    assert (run / "last.pt").stat().st_mtime_ns == before
    assert "already in" in said[-1]
    run_bench([name], [2], data, tmp_path / "runs", results, say=said.append)
    assert (tmp_path / "runs" / "small-seed2").is_dir()
    assert len(read_lines(results)) == 2
    made = table(read_lines(results))
    assert "### fer2013, official" in made
    assert " ± " in made
    shown = CliRunner().invoke(app, ["bench", "table", "--results", str(results)])
    assert shown.output == table(read_lines(results), waits=waiting(read_lines(results)))


def test_folds_by_person_test_every_face_once(tmp_path: Path) -> None:
    FAKES["ck48"](tmp_path / "data", subjects=4)
    name = recipe_file(tmp_path, "folds", "ck48", 'protocol = "kfold"\nfolds = 2\nselect = "last"\nepochs = 1'[:-11])
    (line,) = run_bench([name], [1], tmp_path / "data", tmp_path / "runs", tmp_path / "r.jsonl", say=lambda _: None)
    assert line["protocol"] == "kfold, 2 folds"
    assert len(line["per_fold"]) == 2
    kept = np.load(tmp_path / "runs" / "folds" / "predictions.npz")
    faces = load_faces(DATASETS.create("ck48", root=tmp_path / "data"))
    assert sorted(kept["rows"].tolist()) == list(range(len(faces)))
    people = [set(faces.group[kept["rows"][kept["fold"] == i]]) for i in range(2)]
    assert not people[0] & people[1]


def test_protocols_refuse_what_the_data_cannot_give(tmp_path: Path) -> None:
    FAKES["rafdb"](tmp_path)
    recipe = Recipe("x", "mini-s", dataset="rafdb", protocol="loso")
    faces = read_faces(recipe, tmp_path)
    with pytest.raises(DataError, match="does not say who"):
        folds_of(recipe, faces)
    FAKES["ck48"](tmp_path / "ck")
    recipe = Recipe("x", "mini-s", dataset="ck48")
    with pytest.raises(DataError, match="kfold or loso"):
        folds_of(recipe, read_faces(recipe, tmp_path / "ck"))
    recipe = Recipe("x", "mini-s", dataset="ck48", protocol="loso")
    faces = read_faces(recipe, tmp_path / "ck")
    faces.pixels[faces.group == faces.group[0]] = 7
    faces.pixels[faces.group != faces.group[0]] = 7
    with pytest.raises(LeakError, match="identical"):
        folds_of(recipe, faces)


def test_a_run_on_other_data_is_refused(tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file(tmp_path, "one", "ferplus"))
    for number, rows in enumerate((60, 64)):
        FAKES["ferplus"](tmp_path / f"data{number}", rows=rows)
    Study.open(recipe, tmp_path / "data0", tmp_path / "runs", CPU).train(lambda _: None)
    with pytest.raises(RecipeError, match="other data"):
        Study.open(recipe, tmp_path / "data1", tmp_path / "runs", CPU).train(lambda _: None)


def test_data_are_found_one_folder_down_and_made_grey(tmp_path: Path) -> None:
    FAKES["rafdb"](tmp_path / "rafdb")
    faces = read_faces(Recipe("x", "mini-s", dataset="rafdb"), tmp_path)
    assert faces.pixels.shape[1:] == (48, 48)
    colour = read_faces(Recipe("x", "mini-s", dataset="rafdb", colour=True), tmp_path)
    assert colour.pixels.shape[1:] == (48, 48, 3)
    theirs = cv2.cvtColor(colour.pixels[0], cv2.COLOR_RGB2GRAY)
    assert np.abs(in_grey(colour.pixels)[0].astype(int) - theirs).max() <= 1
    with pytest.raises(DataError, match="nowhere"):
        read_faces(Recipe("x", "mini-s", dataset="rafdb"), tmp_path / "nowhere")


def test_recipes_build_on_others(tmp_path: Path) -> None:
    recipe_file(tmp_path, "first", "ferplus", "[optimiser]\nlr = 0.5\nema = 0.9")
    path = tmp_path / "second.toml"
    path.write_text('name = "second"\nbase = "first"\nepochs = 7\n[optimiser]\nema = 0.1\n')
    recipe = load_recipe(path)
    assert (recipe.name, recipe.epochs, recipe.optimiser.lr, recipe.optimiser.ema) == ("second", 7, 0.5, 0.1)
    path.write_text('name = "second"\nbase = "second"\n')
    with pytest.raises(RecipeError, match="base = 'second'"):
        load_recipe(path)
    path.write_text('name = "x"\nmodel = "mini-s"\nviews = "many"\n')
    with pytest.raises(RecipeError, match="choose one of one, mirror, ten"):
        load_recipe(path)
    path.write_text('name = "x"\nmodel = "mini-s"\n[[loss]]\nname = "center"\nweigth = 1.0\n')
    with pytest.raises(RecipeError, match="unknown key 'weigth'"):
        load_recipe(path)


def test_names_and_papers_do_not_alter_a_key() -> None:
    one = load_recipe("ablation")
    assert recipe_key(one) == recipe_key(load_recipe("ablation", name="other"))
    assert recipe_key(one) != recipe_key(load_recipe("ablation-no-ema"))
    assert spread([0.5]) == "50.0"


def test_two_terms_of_loss_train_and_resume(tmp_path: Path) -> None:
    FAKES["ferplus"](tmp_path / "data")
    more = '[[loss]]\nname = "soft-cross-entropy"\n[[loss]]\nname = "center"\nweight = 0.01\n'
    recipe = load_recipe(recipe_file(tmp_path, "two", "ferplus", more))
    study = Study.open(recipe, tmp_path / "data", tmp_path / "runs", CPU)
    study.train(lambda _: None)
    state = torch.load(tmp_path / "runs" / "two" / "last.pt", weights_only=True)
    assert any(key.startswith("1.") and float(value.abs().sum()) > 0 for key, value in state["losses"].items())
    bad = load_recipe(recipe_file(tmp_path, "bad", "ferplus", '[[loss]]\nname = "focal"\narguments = {gama = 2.0}\n'))
    with pytest.raises(RecipeError, match="gama"):
        Study.open(bad, tmp_path / "data", tmp_path / "runs", CPU).train(lambda _: None)


def test_views_average_crops_and_mirror_images() -> None:
    x = torch.rand(2, 1, 40, 40)
    crops = ten_crops(x)
    assert len(crops) == 10
    assert all(crop.shape == x.shape for crop in crops)
    assert torch.equal(crops[5], crops[0].flip(3))

    class Mean(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> object:
            from mien.models import Output

            left = x[:, :, :, :20].mean((1, 2, 3))
            return Output(torch.stack([left, -left], 1), left[:, None])

    pixels = np.random.default_rng(0).integers(0, 255, (3, 40, 40), dtype=np.uint8)
    mirrored = predict(Mean(), pixels, CPU, views="mirror")
    assert np.abs(mirrored[:, 0] - pixels.mean((1, 2)) / 255).max() < 5e-3


def test_a_margin_loss_trains_the_head_it_gives(tmp_path: Path) -> None:
    FAKES["ferplus"](tmp_path / "data")
    recipe = load_recipe(recipe_file(tmp_path, "margin", "ferplus", '[[loss]]\nname = "cosface"\n'))
    study = Study.open(recipe, tmp_path / "data", tmp_path / "runs", CPU)
    study.train(lambda _: None)
    state = torch.load(tmp_path / "runs" / "margin" / "last.pt", weights_only=True)
    heads = [k for k in state["model"] if "head" in k]
    assert heads
    assert study.test()["figures"]["ferplus"]["accuracy"] >= 0
    alone = load_recipe(recipe_file(tmp_path, "alone", "ferplus", '[[loss]]\nname = "center"\n'))
    with pytest.raises(RecipeError, match="trains the classifier"):
        Study.open(alone, tmp_path / "data", tmp_path / "runs", CPU).train(lambda _: None)


def test_a_short_run_on_few_faces_says_so_and_leaves_the_full_one_alone(tmp_path: Path) -> None:
    FAKES["fer2013"](tmp_path / "data", rows=80)
    name = recipe_file(tmp_path, "small", "fer2013", 'labels = "majority"\n[[stage]]\nname = "autoencode"\nepochs = 9')
    changes = {"epochs": 1, "faces": 20}
    recipe = load_recipe(name, **changes)
    assert (recipe.name, recipe.stage[0].epochs) == ("small-20-faces", 1)
    plain = recipe_file(tmp_path, "plain", "fer2013", 'labels = "majority"')
    (line,) = run_bench([plain], [1], tmp_path / "data", tmp_path / "runs", tmp_path / "r.jsonl", changes=changes)
    assert (line["faces_trained"], line["faces_split"]) == (20, 40)
    assert not (tmp_path / "runs" / "plain").exists()
    made = table([line])
    assert "20 of 40 faces" in made


def test_the_table_shows_what_has_not_been_trained(tmp_path: Path) -> None:
    figures = {"fer2013": {"accuracy": 0.6, "uar": 0.5, "macro_f1": 0.4}}
    line = {"recipe": "fer2013-mini", "seed": 1, "model": "mini-s-fine", "parameters": 5, "dataset": "fer2013"}
    line |= {"protocol": "official", "figures": figures, "paper": {"source": "", "figure": 0, "warning": ""}}
    line |= {"epochs": 100, "seconds": 60.0, "machine": "2-core x86_64, Linux, no GPU", "members": ["a", "b"]}
    waits = waiting([line])
    names = {recipe.name for recipe in waits}
    assert "fer2013-vgg-se" in names
    assert not {"fer2013-mini", "fer2013-ensemble-mean", "mien-s-face", "ablation"} & names
    cost = {"vgg-se": {"parameters": 1234, "macs": 5e6, "ms": 1.5}}
    rows = table([line], cost, "fer2013", waits).splitlines()
    first = next(i for i, row in enumerate(rows) if row.startswith("| fer2013-mini |"))
    later = next(i for i, row in enumerate(rows) if row.startswith("| fer2013-vgg-se | vgg-se | 1,234 | 5.0 | 1.5 |"))
    assert first < later
    assert "not trained yet" in rows[later]
    assert "of a, b" in rows[first]
    assert not any("rafdb" in row for row in rows)


def test_flow_is_trained_one_subject_left_out(tmp_path: Path) -> None:
    FAKES["megc2019"](tmp_path / "data")
    path = tmp_path / "micro.toml"
    text = 'name = "micro"\nmodel = "ststnet"\ndataset = "megc2019"\nprotocol = "loso"\nepochs = 1\nselect = "last"\n'
    path.write_text(text + 'size = [28, 28]\nlabels = "majority"\n[augment]\nflip = 0.0\n')
    results = tmp_path / "r.jsonl"
    (line,) = run_bench([str(path)], [1], tmp_path / "data", tmp_path / "runs", results, say=lambda _: None)
    faces = read_faces(load_recipe(path), tmp_path / "data")
    assert faces.pixels.shape[1:] == (28, 28, 3)
    assert line["figures"]["megc2019"]["faces"] == len(faces)
    assert line["protocol"] == f"loso, {len(set(faces.group))} folds"


def test_another_task_has_a_table_of_its_own() -> None:
    line = {"recipe": "mine", "key": "1", "seed": 1, "model": "mini-s", "parameters": 100, "dataset": "pedfe-clips"}
    line |= {"protocol": "kfold, 5 folds", "figures": {"pedfe-clips": {"accuracy": 0.6, "uar": 0.5, "macro_f1": 0.4}}}
    line |= {"paper": {"source": "", "figure": 0, "warning": ""}, "epochs": 1, "seconds": 60.0}
    line |= {"machine": "2-core x86_64, Linux, no GPU"}
    text = table([line, {**line, "recipe": "other", "target": "genuine"}])
    first, second = text.split("### pedfe-clips: genuine, kfold, 5 folds")
    assert "| mine |" in first
    assert "| other |" in second


def test_costs_of_another_width_are_not_shown() -> None:
    figures = {"fer2013": {"accuracy": 0.6, "uar": 0.5, "macro_f1": 0.4}}
    line = {"recipe": "mine", "seed": 1, "model": "mini-s", "parameters": 100, "dataset": "fer2013"}
    line |= {"protocol": "official", "figures": figures, "paper": {"source": "", "figure": 0, "warning": ""}}
    line |= {"epochs": 1, "seconds": 60.0, "machine": "2-core x86_64, Linux, no GPU"}
    assert "| 7.0 | 1.5 |" in table([line], {"mini-s": {"parameters": 101, "macs": 7e6, "ms": 1.5}})
    assert "| 7.0 | 1.5 |" not in table([line], {"mini-s": {"parameters": 900, "macs": 7e6, "ms": 1.5}})


def test_the_oracle_stands_beside_the_figures_and_changes_nothing(tmp_path: Path) -> None:
    FAKES["megc2019"](tmp_path / "data")
    base = 'name = "NAME"\nmodel = "ststnet"\ndataset = "megc2019"\nprotocol = "loso"\nepochs = 4\nselect = "last"\n'
    base += 'size = [28, 28]\nlabels = "majority"\n'
    lines = {}
    for name, more in (("plain", ""), ("watched", "oracle = true\n")):
        path = tmp_path / f"{name}.toml"
        path.write_text(base.replace("NAME", name) + more + "[augment]\nflip = 0.0\n")
        results = tmp_path / f"{name}.jsonl"
        (lines[name],) = run_bench([str(path)], [1], tmp_path / "data", tmp_path / "runs", results, say=lambda _: None)
    assert lines["watched"]["figures"]["megc2019"] == lines["plain"]["figures"]["megc2019"]
    assert lines["watched"]["key"] == lines["plain"]["key"]
    oracle = lines["watched"]["figures"]["oracle"]
    assert "oracle" not in lines["plain"]["figures"]
    assert oracle["accuracy"] >= lines["watched"]["figures"]["megc2019"]["accuracy"]
    with np.load(tmp_path / "runs" / "watched" / "fold-01" / "oracle.npz") as held:
        assert held.files == ["1", "2", "3", "4"]
    (row,) = [row for row in table([lines["watched"]]).splitlines() if row.startswith("| watched |")]
    assert "oracle, each fold's best epoch on its test rows, no result" in row
