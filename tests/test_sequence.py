"""Sequences of scores: a run over clips is exported, and reads events as a whole."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from typer.testing import CliRunner  # noqa: E402

from mien.cli import app  # noqa: E402
from mien.datasets.clips import fake  # noqa: E402
from mien.errors import WeightsError  # noqa: E402
from mien.events.event import Event  # noqa: E402
from mien.events.sequence import Stretches  # noqa: E402
from mien.export.sequence import SequenceScorer, export_sequence  # noqa: E402
from mien.pipeline.sequence import SequenceModel  # noqa: E402
from mien.table import read_rows  # noqa: E402
from mien.train.checkpoint import load_network  # noqa: E402
from mien.train.embed import log_scores  # noqa: E402
from mien.train.recipe import Clips, Recipe  # noqa: E402
from mien.train.study import Study  # noqa: E402

CPU = torch.device("cpu")
MODELS = ["irnn-attention", "frame-attention", "cnn-rnn-last", "cnn-lstm-transformer", "frame-aggregation"]


@pytest.fixture(scope="module")
def strips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("strips")
    fake(root)
    return root


def trained(model: str, strips: Path, runs: Path, reads: str = "scores") -> Path:
    """The first fold of a short run over the fake strips."""
    sized = {} if model == "frame-aggregation" else {"hidden": 8}
    recipe = Recipe(f"{model}-{reads}", model, sized, dataset="pedfe-clips", protocol="kfold", folds=2)
    recipe = replace(recipe, labels="majority", select="last", epochs=2, batch=8, size=(24, 24))
    recipe = replace(recipe, clips=Clips(4, embed="mien-s", reads=reads))
    Study.open(recipe, strips, runs, CPU).train(lambda _: None)
    return runs / recipe.name / "fold-01"


@pytest.mark.parametrize("model", MODELS)
def test_every_network_over_scores_is_exported(model: str, strips: Path, tmp_path: Path) -> None:
    run = trained(model, strips, tmp_path)
    call = ["export", str(run), "--data", str(strips), "--out", str(tmp_path / "moving.onnx"), "--full"]
    result = CliRunner().invoke(app, [*call, "--name", "moving"])
    assert result.exit_code == 0, result.output
    found = SequenceModel(tmp_path / "moving.onnx")
    assert (found.spec.name, found.spec.frames, found.spec.weights) == ("moving", 4, "mien-s")
    assert found.spec.labels == ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
    assert len(found.spec.reads) == 8
    random = np.random.default_rng(0)
    scores = random.dirichlet(np.full(8, 0.3), (5, 4)).astype(np.float32)
    expected = torch.softmax(load_network(run, CPU)(torch.from_numpy(log_scores(scores))).logits, 1).detach().numpy()
    assert np.abs(found(scores) - expected).max() < 1e-4
    assert np.ptp(expected, 0).max() > 1e-5  # the stretches are told apart
    with pytest.raises(ValueError, match=r"expected \[N, 4, 8\]"):
        found(scores[:, :3])


def test_other_runs_are_refused(strips: Path, tmp_path: Path) -> None:
    run = trained("frame-aggregation", strips, tmp_path, "embeddings")
    with pytest.raises(WeightsError, match="reads no scores"):
        export_sequence(run, strips, tmp_path / "x.onnx", name="x")
    with pytest.raises(WeightsError, match="is for expression, not for sequences"):
        SequenceModel("mien-s")
    scores = trained("frame-aggregation", strips, tmp_path)
    result = CliRunner().invoke(
        app, ["export", str(scores), "--data", str(strips), "-o", str(tmp_path / "x.onnx"), "--int8"]
    )
    assert result.exit_code == 2
    assert "--int8: not for networks over clips" in result.output


def test_other_weights_are_named(strips: Path, tmp_path: Path) -> None:
    run = trained("frame-aggregation", strips, tmp_path)
    export_sequence(run, strips, tmp_path / "moving.onnx", name="moving")
    found = SequenceModel(tmp_path / "moving.onnx")
    assert found.check(found.spec.reads, "mien-s") == ""
    assert "learnt from the scores of mien-s, not of mien-m" in found.check(found.spec.reads, "mien-m")
    with pytest.raises(WeightsError, match="lacks contempt; analyse with --model mien-s"):
        found.check(tuple(label for label in found.spec.reads if label != "contempt"), "mine")


def test_scores_are_cut_off_before_their_logarithm() -> None:
    scores = torch.tensor([[[1.0, 0.0], [0.5, 0.5]]])
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> object:
            seen.append(x)
            return type("Output", (), {"logits": x.mean(1)})

    SequenceScorer(Spy(), 2.0)(scores)
    assert np.allclose(seen[0].numpy(), log_scores(scores.numpy()))
    assert seen[0].min() == pytest.approx(np.log(1e-4))


def row(time_s: float, track: int, happiness: float, source: str = "a.mp4") -> dict[str, object]:
    scores = {"p_happiness": happiness, "p_neutral": 1 - happiness}
    return {"source": source, "frame": round(time_s * 10), "time_s": time_s, "track": track, **scores}


def test_events_are_read_at_evenly_spread_moments() -> None:
    events = [Event("a.mp4", 1, "happiness", 1.0, 1.5, 2.0, 10, 15, 20, 0.9, 1.0)]
    events.append(replace(events[0], track=7))
    rows = [row(t / 10, track, t / 100) for t in range(40) for track in (1, 2)]
    rows += [row(1.5, 1, 0.99, "b.mp4"), {**row(1.5, 1, 0.99), "time_s": None}]
    stretches = Stretches(events, 3, ("happiness", "neutral"), lambda r, event: r["track"] == event.track)
    stretches.add(rows)
    assert np.allclose(stretches.found[0], [[0.10, 0.90], [0.15, 0.85], [0.20, 0.80]])
    given = []

    def model(scores: np.ndarray) -> np.ndarray:
        given.append(scores)
        return scores.mean(1)

    first, absent = stretches.read(model, ("posed", "genuine"))
    assert given[0].shape == (1, 3, 2)
    assert first == {"sequence_posed": 0.15, "sequence_genuine": 0.85}
    assert absent == {"sequence_posed": None, "sequence_genuine": None}


def test_analyze_reads_events_as_a_whole(strips: Path, clip: Path, tmp_path: Path) -> None:
    run = trained("cnn-rnn-last", strips, tmp_path)
    export_sequence(run, strips, tmp_path / "moving.onnx", name="moving")
    out = tmp_path / "out"
    call = ["analyze", str(clip), "--out", str(out), "--event-min-seconds", "0.2", "--threads", "1"]
    plain = CliRunner().invoke(app, call)
    assert plain.exit_code == 0, plain.output
    before = list(csv.DictReader((out / "events.csv").read_text().splitlines()))
    done = CliRunner().invoke(app, [*call, "--resume", "--sequence", str(tmp_path / "moving.onnx")])
    assert done.exit_code == 0, done.output
    (event,) = csv.DictReader((out / "events.csv").read_text().splitlines())
    added = {key: float(value) for key, value in event.items() if key.startswith("sequence_")}
    assert list(added) == [
        f"sequence_{label}" for label in ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
    ]
    assert sum(added.values()) == pytest.approx(1, abs=1e-3)
    assert {key: value for key, value in event.items() if key not in added} == before[0]
    # what the model says of the rows of the event, read by hand
    found = SequenceModel(tmp_path / "moving.onnx")
    rows = [
        r for r in read_rows(out / "faces.csv") if float(event["onset_s"]) <= r["time_s"] <= float(event["offset_s"])
    ]
    wanted = np.linspace(float(event["onset_s"]), float(event["offset_s"]), 4)
    chosen = [min(rows, key=lambda r, t=t: abs(r["time_s"] - t)) for t in wanted]
    scores = np.array([[[r[f"p_{label}"] for label in found.spec.reads] for r in chosen]], np.float32)
    assert np.allclose(found(scores)[0], list(added.values()), atol=1e-3)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["sequence"]["name"] == "moving"
    again = CliRunner().invoke(app, [*call, "--resume"])
    assert again.exit_code == 0
    assert list(csv.DictReader((out / "events.csv").read_text().splitlines())) == before
    wrong = CliRunner().invoke(app, [*call, "--resume", "--sequence", "mien-s"])
    assert wrong.exit_code == 1
    assert "not for sequences" in str(wrong.exception)
