"""Ensembles: each rule against an oracle, runs from end to end, refusals, ONNX, and what is left in the folder."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.bench.results import run_bench  # noqa: E402
from mien.datasets import DATASETS, FAKES  # noqa: E402
from mien.errors import DataError, RecipeError  # noqa: E402
from mien.metrics.calibration import log_softmax  # noqa: E402
from mien.models import MODELS  # noqa: E402
from mien.models.ensemble import Ensemble, mean_score, vote_score, weighted_score  # noqa: E402
from mien.protocols import Fold  # noqa: E402
from mien.report.members import members_figure  # noqa: E402
from mien.train.checkpoint import load_network, load_state  # noqa: E402
from mien.train.ensemble import ensemble_logits  # noqa: E402
from mien.train.ensemble_fit import L2, fit_features, fit_weights  # noqa: E402
from mien.train.members import check_member, find_member  # noqa: E402
from mien.train.recipe import RULES, load_recipe, recipes, with_seed  # noqa: E402
from mien.train.study import Study  # noqa: E402
from mien.train.views import predict  # noqa: E402

DATASETS.names()
CPU = torch.device("cpu")
NETS = {"one": "widths = [4, 6], depths = [1, 1]", "two": "widths = [6, 8], depths = [1, 1], stem = 4"}


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(log_softmax(logits)))


def drawn(n: int = 40, m: int = 3, k: int = 4) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, m, k)).astype(np.float32) * 2


# --- the rules on made-up scores ---


def test_mean_and_weights_against_numpy() -> None:
    z = drawn()
    scores = softmax(z)
    assert mean_score(torch.from_numpy(z)).exp().numpy() == pytest.approx(scores.mean(1), abs=1e-6)
    mix = np.array([0.5, -1.0, 2.0], np.float32)
    weights = np.exp(mix) / np.exp(mix).sum()
    found = weighted_score(torch.from_numpy(z), torch.from_numpy(mix)).exp().numpy()
    assert found == pytest.approx(np.einsum("m,nmk->nk", weights, scores), abs=1e-6)


@pytest.mark.parametrize("members", [1, 2, 3, 4, 5])
def test_majority_against_a_loop(members: int) -> None:
    z = drawn(200, members, 3)
    tied = 0
    for row, found in zip(z, vote_score(torch.from_numpy(z)).exp().numpy(), strict=True):
        votes = [sum(int(np.argmax(said) == k) for said in row) for k in range(3)]
        mean = softmax(row).mean(0)
        most = [k for k in range(3) if votes[k] == max(votes)]
        tied += len(most) > 1
        assert found.argmax() == max(most, key=lambda k: mean[k])
        assert found.sum() == pytest.approx(1, abs=1e-5)
    assert members == 1 or tied > 5


def test_votes_stay_finite_where_scores_vanish() -> None:
    z = torch.tensor([[[500.0, 0, 0], [400.0, 0, 0]]])
    assert torch.isfinite(vote_score(z)).all()
    assert torch.isfinite(mean_score(z)).all()


def test_learnt_weights_are_the_least_cross_entropy_of_all_mixtures() -> None:
    random = np.random.default_rng(1)
    truth = random.integers(0, 4, 300)
    targets = np.eye(4)[truth]
    # the first member knows something, the second a little less, the third nothing
    z = random.normal(size=(300, 3, 4)) + targets[:, None] * np.array([2.5, 1.5, 0.0])[None, :, None]
    steps: list[float] = []
    mix = fit_weights(z, targets, lambda loss, _: steps.append(loss))
    found = np.exp(mix) / np.exp(mix).sum()
    # expectation maximisation finds the same mixture by another way
    right = softmax(z)[np.arange(300), :, truth]
    weights = np.full(3, 1 / 3)
    for _ in range(20_000):
        weights = (weights * right / (right @ weights)[:, None]).mean(0)
    assert found == pytest.approx(weights, abs=2e-3)
    assert steps[-1] == pytest.approx(-np.log(right @ weights).mean(), abs=1e-6)
    assert steps == sorted(steps, reverse=True)
    assert found[0] > found[1] > found[2]
    assert np.array_equal(mix, fit_weights(z, targets))


def test_features_are_scikit_learns_regression() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    random = np.random.default_rng(2)
    truth = random.integers(0, 3, 240)
    x = random.normal(size=(240, 6)) * [1, 5, 0.1, 1, 1, 0] + np.array([3, 0, 0, 0, 0, 7])
    x[:, 0] += truth
    train, val = slice(0, 160), slice(160, None)

    def measure(logits: np.ndarray) -> dict[str, Any]:
        share = float((logits.argmax(1) == truth[val]).mean())
        return {"val_accuracy": share, "selected": share}

    found = fit_features(x[train].astype(np.float32), np.eye(3)[truth[train]], x[val].astype(np.float32), measure)
    assert [line["l2"] for line in found.tried] == list(L2)
    scores = [line["selected"] for line in found.tried]
    assert found.l2 == L2[int(np.argmax(scores))]
    shown = (x - found.centre) / found.scale
    theirs = linear.LogisticRegression(C=1 / (found.l2 * 160), tol=1e-8, max_iter=5000).fit(shown[train], truth[train])
    ours = softmax(shown[val] @ found.weight.T + found.bias)
    assert np.abs(ours - theirs.predict_proba(shown[val])).max() < 1e-3


# --- the network ---


@pytest.mark.parametrize("rule", RULES)
def test_grey_colour_and_other_sizes(rule: str) -> None:
    torch.manual_seed(0)
    small = {"model": "mini-s", "arguments": {"widths": (4, 6), "depths": (1, 1)}}
    colour = {"model": "mini-s", "arguments": {"widths": (4, 6), "depths": (1, 1), "channels": 3}}
    network = Ensemble(5, [{**small, "size": 40}, {**colour, "size": 64, "channels": 3}], rule).eval()
    grey = torch.rand(2, 1, 48, 48)
    with torch.no_grad():
        one, other = network(grey), network(grey.repeat(1, 3, 1, 1))
        assert one.logits.shape == (2, 5)
        assert one.aux["members"].shape == (2, 2, 5)
        # a grey face as RGB is the same face
        assert torch.allclose(one.logits, other.logits, atol=1e-4)
        wanted = network.members[0].network(torch.nn.functional.interpolate(grey, (40, 40), mode="bilinear")).logits
        assert torch.allclose(one.aux["members"][:, 0], wanted, atol=1e-5)


def test_one_layer_gives_the_mean_of_the_members_logits() -> None:
    torch.manual_seed(1)
    narrow = {"model": "mini-s", "arguments": {"widths": (4, 6), "depths": (1, 1)}}
    broad = {"model": "mini-s", "arguments": {"widths": (5, 9), "depths": (1, 1)}}
    network = Ensemble(5, [narrow, broad, narrow], "logits").eval()
    for member in network.members:
        member.bias.normal_()
        torch.nn.init.normal_(member.network.head.weight)
    network.join_heads()
    with torch.no_grad():
        output = network(torch.rand(3, 1, 48, 48))
    assert output.embedding.shape == (3, 6 + 9 + 6)
    assert torch.allclose(output.logits, output.aux["members"].mean(1), atol=1e-5)
    network.members[1].network.head = torch.nn.Identity()
    with pytest.raises(RecipeError, match="member 2 ends in no linear layer"):
        network.join_heads()


def test_ensembles_are_refused_without_members_or_rule() -> None:
    with pytest.raises(RecipeError, match="needs members"):
        Ensemble(7, [])
    with pytest.raises(RecipeError, match="not 'median'"):
        MODELS.create("ensemble", tiny=True, rule="median")


# --- recipes ---


def test_recipes_name_members_and_rules(tmp_path: Path) -> None:
    ours = {load_recipe(name).ensemble.rule: load_recipe(name) for name in recipes() if "-ensemble-" in name}
    assert set(ours) == set(RULES)
    assert len({recipe.ensemble.members for recipe in ours.values()}) == 1
    known = set(recipes())
    for member in ours["mean"].ensemble.members:
        assert member in known or member.rpartition("-seed")[0] in known
    path = tmp_path / "r.toml"
    for text, words in (
        ('model = "ensemble"\n[ensemble]\nmembers = ["a"]\nrule = "median"', "choose one of mean, logits, majority"),
        ('model = "ensemble"', "members go with"),
        ('model = "mini-s"\n[ensemble]\nmembers = ["a"]', "members go with"),
        ('model = "ensemble"\n[ensemble]\nmembers = "a"', "ensemble"),
    ):
        path.write_text(f'name = "x"\n{text}\n')
        with pytest.raises(RecipeError, match=words):
            load_recipe(path)
    path.write_text('name = "x"\nmodel = "ensemble"\n[ensemble]\nmembers = ["a", "b-seed3"]\n')
    assert with_seed(load_recipe(path), 2).ensemble.members == ("a-seed2", "b-seed3")


# --- from end to end ---


def member_file(folder: Path, name: str, dataset: str = "fer2013", more: str = "") -> str:
    path = folder / f"{name}.toml"
    path.write_text(
        f'name = "{name}"\nmodel = "mini-s"\ndataset = "{dataset}"\nlabels = "majority"\nselect = "accuracy"\n'
        f"epochs = 1\nbatch = 16\n{more}\narguments = {{ {NETS[name[:3]]} }}\n"
    )
    return str(path)


def ensemble_file(folder: Path, rule: str, dataset: str = "fer2013", more: str = "", members: str = "one two") -> str:
    path = folder / f"joined-{rule}.toml"
    names = ", ".join(f'"{name}"' for name in members.split())
    path.write_text(
        f'name = "joined-{rule}"\nmodel = "ensemble"\ndataset = "{dataset}"\nlabels = "majority"\nepochs = 0\n'
        f'select = "accuracy"\nviews = "mirror"\n{more}\n[ensemble]\nmembers = [{names}]\nrule = "{rule}"\n'
    )
    return str(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and two finished runs, the second of which adjusts its logits for rare classes."""
    folder = tmp_path_factory.mktemp("ensemble")
    FAKES["fer2013"](folder / "data", rows=100)
    files = [member_file(folder, "one"), member_file(folder, "two", more="tau = 0.7")]
    run_bench(files, [1], folder / "data", folder / "runs", folder / "members.jsonl", say=lambda _: None)
    return folder


@pytest.mark.parametrize("rule", RULES)
def test_a_run_joins_its_members_and_stands_alone(made: Path, tmp_path: Path, rule: str) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(made / "runs", runs)
    (line,) = run_bench(
        [ensemble_file(tmp_path, rule)], [1], made / "data", runs, tmp_path / "r.jsonl", say=lambda _: None
    )
    assert line["members"] == ["one", "two"]
    assert line["model"] == "ensemble"
    assert line["epochs"] == 0
    run = runs / f"joined-{rule}"
    for left in ("best.pt", "log.jsonl", "run.json", "curves.csv", "card.md", "members.png", "predictions.npz"):
        assert (run / left).stat().st_size > 20, left
    log = [json.loads(text) for text in (run / "log.jsonl").read_text().splitlines()]
    assert [entry["member"] for entry in log[:2]] == ["one", "two"]
    learnt = rule in ("weights", "features")
    assert (run / "curves.png").is_file() == learnt
    rows = list(csv.DictReader((run / "curves.csv").read_text().splitlines()))
    assert len(rows) == sum("epoch" in entry for entry in log)
    card = (run / "card.md").read_text()
    assert "| one | mini-s |" in card
    assert ("Nothing was learnt" in card) != learnt
    assert "The test faces were not looked at" in card
    # from the run's own folder, the members gone
    kept = np.load(run / "predictions.npz")["scores"]
    for member in ("one", "two"):
        shutil.rmtree(runs / member)
    network = load_network(run, CPU)
    assert line["parameters"] == sum(p.numel() for p in network.parameters())
    before = (run / "best.pt").stat().st_mtime_ns
    said: list[str] = []
    study = Study.open(load_recipe(tmp_path / f"joined-{rule}.toml"), made / "data", runs, CPU)
    study.train(said.append)
    assert (run / "best.pt").stat().st_mtime_ns == before
    assert any("no longer" in text for text in said)
    assert study.test()["figures"] == line["figures"]
    assert np.load(run / "predictions.npz")["scores"] == pytest.approx(kept)


def test_scores_are_those_of_the_members_own_tests(made: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(made / "runs", runs)
    for name in ("one", "two"):
        file = tmp_path / f"{name}.toml"
        file.write_text((made / f"{name}.toml").read_text() + 'views = "mirror"\n')
        Study.open(load_recipe(file), made / "data", runs, CPU).test()
    alone = np.stack([np.load(runs / name / "predictions.npz")["scores"] for name in ("one", "two")], 1)
    files = [ensemble_file(tmp_path, rule) for rule in ("mean", "weights")]
    run_bench(files, [1], made / "data", runs, tmp_path / "r.jsonl", say=lambda _: None)
    found = np.load(runs / "joined-mean" / "predictions.npz")["scores"]
    assert found == pytest.approx(alone.mean(1), abs=1e-5)
    state = load_state(runs / "joined-weights" / "best.pt")
    assert state is not None
    weights = np.array([line["weight"] for line in state["joined"]])
    found = np.load(runs / "joined-weights" / "predictions.npz")["scores"]
    assert found == pytest.approx(np.einsum("m,nmk->nk", weights, alone), abs=2e-3)
    assert weights.sum() == pytest.approx(1, abs=1e-3)


def test_members_trained_anew_are_joined_anew(made: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(made / "runs", runs)
    recipe = load_recipe(ensemble_file(tmp_path, "mean"))
    study = Study.open(recipe, made / "data", runs, CPU)
    study.train(lambda _: None)
    first = (runs / "joined-mean" / "best.pt").read_bytes()
    study.train(lambda _: None)
    assert (runs / "joined-mean" / "best.pt").read_bytes() == first
    state = load_state(runs / "one" / "best.pt")
    assert state is not None
    key = next(key for key in state["state"] if key.endswith("head.bias"))
    state["state"][key] += torch.arange(7.0)
    torch.save(state, runs / "one" / "best.pt")
    study.train(lambda _: None)
    changed = load_state(runs / "joined-mean" / "best.pt")
    assert changed is not None
    assert torch.equal(changed["state"]["members.0.network." + key], state["state"][key])


def test_views_are_averaged_before_the_vote(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "runs", tmp_path / "runs")
    recipe = load_recipe(ensemble_file(tmp_path, "majority", members="one"))
    study = Study.open(recipe, made / "data", tmp_path / "runs", CPU)
    study.train(lambda _: None)
    network = load_network(tmp_path / "runs" / "joined-majority", CPU)
    assert isinstance(network, Ensemble)
    val = study.faces.part("val")
    scores = softmax(ensemble_logits(network, val, CPU, "mirror"))
    state = load_state(study.folder / "best.pt")
    assert state is not None
    assert state["line"]["loss"] == pytest.approx(-np.log(scores[np.arange(len(val)), val.majority]).mean(), abs=1e-5)
    faces = study.faces
    alone = predict(load_network(tmp_path / "runs" / "one", CPU), faces.pixels, CPU, views="ten")
    assert np.array_equal(ensemble_logits(network, faces, CPU, "ten").argmax(1), alone.argmax(1))


# --- refusals ---


def test_bad_members_are_refused(made: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(made / "runs", runs)

    def refused(words: str, rule: str = "mean", data: Path = made / "data", **options: str) -> None:
        study = Study.open(load_recipe(ensemble_file(tmp_path, rule, **options)), data, runs, CPU)
        with pytest.raises(RecipeError, match=words):
            study.train(lambda _: None)

    refused("'three' has no finished run", members="one three")
    refused("name each run once", members="one one")
    refused("not this one", members="one joined-mean")
    FAKES["fer2013"](tmp_path / "other", rows=104)
    refused("other data", data=tmp_path / "other")
    FAKES["ferplus"](tmp_path / "plus", rows=100)
    refused("learnt fer2013, not ferplus", dataset="ferplus", data=tmp_path / "plus")
    record = json.loads((runs / "one" / "run.json").read_text())
    record["recipe"]["colour"] = True
    (runs / "one" / "run.json").write_text(json.dumps(record))
    refused("set colour = true")
    (runs / "two" / "run.json").unlink()
    refused("'two' has no finished run", members="two")


def test_a_member_that_has_seen_a_folds_test_rows_is_refused(tmp_path: Path) -> None:
    data, runs = tmp_path / "data", tmp_path / "runs"
    FAKES["ck48"](data, subjects=4)
    folds = 'protocol = "kfold"\nfolds = 2\n'
    files = [member_file(tmp_path, "one", "ck48", folds), member_file(tmp_path, "two", "ck48", folds + "seed = 5")]
    run_bench(files[:1], [1], data, runs, tmp_path / "r.jsonl", say=lambda _: None)
    Study.open(load_recipe(files[1]), data, runs, CPU).train(lambda _: None)
    leaky = Study.open(load_recipe(ensemble_file(tmp_path, "mean", "ck48", folds)), data, runs, CPU)
    with pytest.raises(RecipeError, match=r"'two' was not trained on the rows of fold 1 of 2: it has seen [1-9]\d* of"):
        leaky.train(lambda _: None)
    sound = load_recipe(ensemble_file(tmp_path, "mean", "ck48", folds, members="one"))
    study = Study.open(sound, data, runs, CPU)
    study.train(lambda _: None)
    line = study.test()
    assert len(line["per_fold"]) == 2
    member = find_member("one", sound, study.folder, study.place(0, 2))
    first, second = study.train(lambda _: None)
    check_member(member, sound, study.faces, first, 0, study._read)
    with pytest.raises(RecipeError, match="has seen"):
        check_member(member, sound, study.faces, second, 0, study._read)
    swapped = Fold(first.name, first.train, first.val, second.test)
    with pytest.raises(RecipeError, match="has seen"):
        check_member(member, sound, study.faces, swapped, 0, study._read)
    path = Path(ensemble_file(tmp_path, "weights", "ck48", folds, members="one"))
    path.write_text(path.read_text().replace('select = "accuracy"', 'select = "last"'))
    with pytest.raises(RecipeError, match="leaves none"):
        Study.open(load_recipe(path), data, runs, CPU).train(lambda _: None)


def test_members_of_other_sizes_are_checked_on_their_own_faces(made: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(made / "runs", runs)
    file = member_file(tmp_path, "one", more="size = [40]")
    Study.open(load_recipe(file, name="one-small"), made / "data", runs, CPU).train(lambda _: None)
    recipe = load_recipe(ensemble_file(tmp_path, "features", members="one-small two"))
    study = Study.open(recipe, made / "data", runs, CPU)
    study.train(lambda _: None)
    assert 0 <= study.test()["figures"]["fer2013"]["accuracy"] <= 1
    network = load_network(study.folder, CPU)
    assert [member.resize.side for member in network.members] == [40, 48]
    shut = Study(recipe, study.faces, tmp_path / "runs" / "again", CPU, study.team)
    with pytest.raises(RecipeError, match=r"Study\.open"):
        shut.train(lambda _: None)


# --- export ---


@pytest.mark.parametrize("rule", RULES)
def test_export_agrees_with_torch(tmp_path: Path, rule: str, made_plus: Path) -> None:
    pytest.importorskip("onnx")
    from mien.export.onnx import export_run
    from mien.pipeline.model import load

    shutil.copytree(made_plus / "runs", tmp_path / "runs")
    study = Study.open(
        load_recipe(ensemble_file(tmp_path, rule, "ferplus")), made_plus / "data", tmp_path / "runs", CPU
    )
    study.train(lambda _: None)
    out = tmp_path / f"{rule}.onnx"
    # writing compares the file with the network and refuses a gap above 1e-4
    facts = export_run(study.folder, made_plus / "data", out, name=rule, half=False, prior_share=0.0)
    model, faces = load(out), study.faces
    assert model.spec.architecture == "ensemble of mini-s, mini-s"
    network = load_network(study.folder, CPU)
    with torch.no_grad():
        logits = network(torch.from_numpy(faces.pixels)[:, None].float() / 255).logits.numpy()
    expected = softmax(logits / facts["temperature"])
    assert np.abs(model(list(faces.pixels)) - expected).max() < 1e-4


@pytest.fixture(scope="module")
def made_plus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plus")
    FAKES["ferplus"](folder / "data", rows=100)
    for name in NETS:
        recipe = load_recipe(member_file(folder, name, "ferplus"), epochs=1)
        Study.open(recipe, folder / "data", folder / "runs", CPU).train(lambda _: None)
    return folder


def test_the_figure_wants_members_and_as_many_weights(tmp_path: Path) -> None:
    for alone, weights in (({}, []), ({"a": 0.5, "b": 0.6}, [1.0])):
        with pytest.raises(DataError, match="members and as many weights"):
            members_figure(alone, 0.5, 10, tmp_path / "x.png", weights=weights)
