"""Clips: cut to the face, sampled, embedded, learnt from in time and in random order."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")

from conftest import write_clip  # noqa: E402
from mien.cli import app  # noqa: E402
from mien.datasets import DATASETS, FAKES  # noqa: E402
from mien.datasets.clips import read_folder  # noqa: E402
from mien.datasets.faces import FaceSet  # noqa: E402
from mien.errors import DataError, RecipeError  # noqa: E402
from mien.pipeline.model import load  # noqa: E402
from mien.train.clips import REACH, evenly, jittered, made_clip  # noqa: E402
from mien.train.embed import Embedder, embed_clips  # noqa: E402
from mien.train.evaluate import clip_scores, rated_intensity  # noqa: E402
from mien.train.loop import Trainer  # noqa: E402
from mien.train.prepare import read_faces  # noqa: E402
from mien.train.recipe import Clips, Optimiser, Recipe, Term, load_recipe, with_seed  # noqa: E402
from mien.train.study import Study  # noqa: E402
from mien.train.views import predict, to_tensor  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def strips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("strips")
    FAKES["pedfe-clips"](root)
    return root


def small(**changes: object) -> Recipe:
    """A recipe over the fake strips."""
    recipe = Recipe("small", "irnn-attention", dataset="pedfe-clips", protocol="kfold", folds=2, labels="majority")
    recipe = replace(recipe, select="last", epochs=1, batch=8, size=(24, 24), clips=Clips(frames=4))
    return replace(recipe, **changes)  # type: ignore[arg-type]


def test_faces_are_cut_out_of_clips(portrait: np.ndarray, tmp_path: Path) -> None:
    clips = tmp_path / "PEDFE_set_clips"
    clips.mkdir()
    shown = [np.roll(portrait[:320, 60:380], step, 1) for step in range(0, 18, 2)]
    write_clip(clips / "1_fg_1.avi", shown[:4] + [np.zeros_like(shown[0])] * 2 + shown[4:])
    write_clip(clips / "1_fs_1.avi", [np.zeros_like(shown[0])] * 4)
    out = tmp_path / "cut"
    call = ["data", "clips", "pedfe", str(tmp_path), "--out", str(out), "--frames", "6", "--size", "32", "--json"]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 1
    facts = json.loads(result.stdout)
    assert facts["clips"] == 1
    assert list(facts["skipped"]) == ["1_fs_1"]
    index = read_folder(out, "pedfe")
    frames = index.media["frames"][0]
    assert frames.shape == (6, 32, 32)
    assert index.labels[index.majority[0]] == "happiness"
    assert index.extra["genuine"].tolist() == [True]
    row = (out / "clips.csv").read_text().splitlines()[1].split(",")
    assert row[3] == "0;2;4;6;8;10"
    assert row[4] == "5"  # frame 4 is black: the nearest face stands there
    assert any(np.array_equal(frames[2], frames[other]) for other in (1, 3))
    # the face moved across the picture, not across the strip
    assert np.abs(frames[0].astype(int) - frames[5]).mean() < 12
    again = CliRunner().invoke(app, call)
    assert json.loads(again.stdout)["kept"] == 1
    other = CliRunner().invoke(app, [*call[:-1], "--frames", "8"])
    assert other.exit_code == 1
    assert "name another --out" in str(other.exception)


def test_strips_of_something_else_are_refused(strips: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds clips of pedfe, not of ravdess"):
        read_folder(strips, "ravdess")
    (tmp_path / "clips.json").write_text("{}")
    (tmp_path / "clips.csv").write_text("clip\n")
    with pytest.raises(DataError, match=r"clips\.json is damaged"):
        read_folder(tmp_path)
    assert len(DATASETS.create("clips", root=strips)) == len(read_folder(strips)) == 24


def test_frames_are_spread_and_jittered_in_order() -> None:
    last = np.array([31, 7, 3, 0])
    even = evenly(last, 8)
    assert even[0].tolist() == [0, 4, 9, 13, 18, 22, 27, 31]
    assert even[1].tolist() == list(range(8))
    assert even[3].tolist() == [0] * 8
    moved = torch.stack([jittered(torch.from_numpy(last), 8, torch.Generator().manual_seed(s)) for s in range(50)])
    assert (moved.diff(dim=2) >= 0).all()
    assert (moved >= 0).all()
    assert (moved <= torch.from_numpy(last)[:, None]).all()
    assert len({tuple(draw[0].tolist()) for draw in moved}) > 40
    assert np.abs(moved[:, 0].float().mean(0).numpy()[1:-1] - even[0, 1:-1]).max() < 1.0


def test_clips_are_read_as_the_recipe_says(strips: Path) -> None:
    faces = read_faces(small(), strips)
    assert faces.pixels.shape == (24, 4, 24, 24)
    assert to_tensor(torch.from_numpy(faces.pixels)).shape == (24, 4, 1, 24, 24)
    assert faces.extra["every"].shape == (24, 6, 24, 24)
    mixed = read_faces(small(clips=Clips(frames=6, order="shuffled")), strips)
    ordered = read_faces(small(clips=Clips(frames=6)), strips)
    assert not np.array_equal(mixed.pixels, ordered.pixels)
    brightness = [np.sort(set_.pixels.mean((2, 3)), axis=1) for set_ in (mixed, ordered)]
    assert np.array_equal(*brightness)
    told = read_faces(small(target="genuine"), strips)
    assert told.labels == ("not genuine", "genuine")
    assert told.majority.tolist() == ordered.extra["genuine"].astype(int).tolist()
    with pytest.raises(
        RecipeError, match="target = 'intensity' is no column of classes of pedfe-clips; there are genuine"
    ):
        read_faces(small(target="intensity"), strips)
    with pytest.raises(RecipeError, match="clips have one"):
        read_faces(small(views="mirror", clips=Clips(embed="mien-s")), strips)


def test_raw_video_names_the_cure(tmp_path: Path) -> None:
    FAKES["pedfe"](tmp_path)
    with pytest.raises(RecipeError, match="mien data clips pedfe FOLDER --out CUT"):
        read_faces(small(dataset="pedfe"), tmp_path)


@pytest.mark.parametrize("weights", ["mien-s", "mien-m"])
def test_embeddings_are_what_the_last_layer_reads(weights: str) -> None:
    onnx = pytest.importorskip("onnx")
    faces = np.random.default_rng(0).integers(0, 255, (5, 40, 40), dtype=np.uint8)
    found, model = Embedder(weights)(faces), load(weights)
    graph = onnx.load(str(model.path)).graph
    held = {tensor.name: onnx.numpy_helper.to_array(tensor).astype(np.float64) for tensor in graph.initializer}
    made = {name: node for node in graph.node for name in node.output}

    def value(name: str) -> np.ndarray:
        while name not in held:
            name = made[name].input[0]  # stored in half precision, cast on the way
        return np.asarray(held[name])

    head = next(node for node in graph.node if node.op_type == "Gemm")
    logits = found @ value(head.input[1]).T + value(head.input[2]) + value("bias")
    scores = model(list(faces))
    # up to the temperature, logits are the logarithm of the scores
    slope = np.polyfit(logits.ravel() - logits.mean(1).repeat(logits.shape[1]), _centred(scores).ravel(), 1)
    assert np.allclose(_centred(scores), slope[0] * (logits - logits.mean(1, keepdims=True)), atol=1e-4)


def _centred(scores: np.ndarray) -> np.ndarray:
    logs = np.log(scores.astype(np.float64))
    return np.asarray(logs - logs.mean(1, keepdims=True))


def test_embeddings_are_kept(tmp_path: Path) -> None:
    clips = np.random.default_rng(0).integers(0, 255, (3, 4, 24, 24), dtype=np.uint8)
    first = embed_clips(clips, "mien-s", tmp_path)
    assert first.shape == (3, 4, 128)
    (kept,) = tmp_path.glob("embeddings-mien-s-*.npy")
    np.save(kept, first + 1)
    assert np.allclose(embed_clips(clips, "mien-s", tmp_path), first + 1)
    assert np.allclose(embed_clips(clips[::-1], "mien-s", tmp_path)[::-1], first, atol=1e-5)


def directions(frames: int = 8, people: int = 40) -> FaceSet:
    """Embeddings that move one way or back: only their order tells which."""
    random = np.random.default_rng(0)
    up = np.linspace(-1, 1, frames)[None, :, None] * random.uniform(0.5, 1.5, (people, 1, 6))
    noise = random.normal(0, 0.2, (2 * people, frames, 6))
    clips = (np.concatenate([up, -up]) + noise).astype(np.float32)
    truth = np.repeat([0, 1], people)
    targets = np.eye(2, dtype=np.float32)[truth]
    group = np.tile(np.arange(people), 2).astype(str)
    extra = {"every": np.stack([clips, clips], 1), "last": np.full(len(clips), frames - 1)}
    return FaceSet(clips, targets, truth, np.full(len(clips), -1), ("up", "down"), group, extra)


@pytest.mark.parametrize("model", ["irnn-attention", "cnn-rnn-last", "cnn-lstm-transformer"])
def test_order_is_learnt_and_lost_when_shuffled(model: str, tmp_path: Path) -> None:
    faces = directions()
    reached = {}
    for order in ("time", "shuffled"):
        recipe = Recipe(order, model, {"hidden": 16}, dataset="clips", labels="majority", select="last", epochs=30)
        recipe = replace(recipe, batch=16, loss=(Term("cross-entropy"),), clips=Clips(8, order, "end", "mien-s"))
        recipe = replace(recipe, optimiser=Optimiser("adamw", lr=5e-3, half=False, weight_decay=0.0, ema=0.9))
        recipe = replace(recipe, augment=replace(recipe.augment, mix_share=0.0))
        train, test = np.arange(0, 80, 2), np.arange(1, 80, 2)
        shown = faces
        if order == "shuffled":
            mixed = np.random.default_rng(1).permuted(np.tile(np.arange(8), (80, 1)), axis=1)
            shown = replace(faces, pixels=faces.pixels[np.arange(80)[:, None], mixed])
        trainer = Trainer(recipe, shown, tmp_path / order, CPU, rows=(train, train[:0]))
        trainer.run(lambda _: None)
        logits = predict(trainer.ema, shown.pixels[test], CPU)
        reached[order] = float((logits.argmax(1) == faces.majority[test]).mean())
    assert reached["time"] > 0.9
    assert reached["shuffled"] < 0.75


def test_clips_are_trained_by_person_as_pixels_and_embedded(strips: Path, tmp_path: Path) -> None:
    tiny = {"encoder": "mini-s", "encoder_arguments": {"widths": [4, 6], "depths": [1, 1]}, "hidden": 8}
    embedded = small(name="embedded", arguments={"hidden": 8}, clips=Clips(4, embed="mien-s"))
    for recipe in (small(arguments=tiny), embedded):
        study = Study.open(recipe, strips, tmp_path, CPU)
        study.train(lambda _: None)
        figures = study.test()["figures"]
        assert figures["pedfe-clips"]["faces"] == 24
    assert list(tmp_path.glob("embeddings-mien-s-*.npy"))
    state = torch.load(tmp_path / "embedded" / "fold-01" / "best.pt", weights_only=True)
    assert state["arguments"]["dim"] == 128
    assert not any(key.startswith("encoder.") for key in state["state"])


def test_a_still_network_becomes_the_encoder(strips: Path, tmp_path: Path) -> None:
    arguments = {"widths": [4, 6], "depths": [1, 1]}
    FAKES["pedfe-apex"](tmp_path / "stills")
    still = Recipe("still", "mini-s", arguments, dataset="pedfe-apex", protocol="kfold", folds=2, labels="majority")
    still = replace(still, select="last", epochs=1, batch=8, size=(24, 24))
    faces = read_faces(still, tmp_path / "stills")
    Trainer(still, faces, tmp_path / "still", CPU, rows=(np.arange(24), np.arange(0))).run(lambda _: None)
    recipe = small(arguments={"encoder": "mini-s", "encoder_arguments": arguments}, init="still", epochs=0)
    clips = read_faces(recipe, strips)
    trainer = Trainer(recipe, clips, tmp_path / "moving", CPU, rows=(np.arange(24), np.arange(0)))
    first = torch.load(tmp_path / "still" / "last.pt", weights_only=True)["ema"]
    own = trainer.model.state_dict()
    shared = [key for key in first if not key.startswith("head.")]
    assert len(shared) > 5
    assert all(torch.equal(first[key], own[f"encoder.network.{key}"]) for key in shared)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_what_was(tmp_path: Path) -> None:
    faces = directions(people=8)
    recipe = Recipe("lost", "cnn-rnn-last", {"hidden": 4}, dataset="clips", labels="majority", select="last", epochs=2)
    recipe = replace(recipe, batch=8, clips=Clips(8, embed="mien-s"), loss=(Term("cross-entropy"),))
    rows = np.arange(16), np.arange(0)
    Trainer(replace(recipe, stop=1), faces, tmp_path, CPU, rows=rows).run(lambda _: None)
    kept = (tmp_path / "last.pt").read_bytes()
    trainer = Trainer(recipe, faces, tmp_path, CPU, rows=rows)
    trainer.feed.every[:] = float("nan")  # type: ignore[union-attr]
    with pytest.raises(RecipeError, match="lost: the loss is nan in epoch 2; what came before is kept"):
        trainer.run(lambda _: None)
    assert (tmp_path / "last.pt").read_bytes() == kept


def test_a_clip_made_of_a_face_and_its_flow() -> None:
    face = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))
    flow = np.full((28, 28, 3), 100, np.uint8)
    flow[8:20, 8:20, 0] = 250  # u: to the right
    clip = made_clip(face, flow, 5, 64)
    assert clip.shape == (5, 64, 64)
    assert np.array_equal(clip[0], face)
    # a ramp of 4 grey values a pixel, moved to the right, grows darker
    drop = face[32, 32].astype(float) - clip[:, 32, 32]
    assert np.allclose(drop, 4 * REACH * 64 * np.linspace(0, 1, 5), atol=1.0)
    assert np.array_equal(clip[4][:8, :8], face[:8, :8])


def test_still_weights_are_scored_on_clips(strips: Path) -> None:
    result = CliRunner().invoke(
        app, ["eval", "mien-s", "--data", str(strips), "--dataset", "pedfe-clips", "--split", "all", "--json"]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["pedfe-clips"]["faces"] == 24
    assert json.loads(result.stdout)["intensity"]["rows"] == 24
    empty = CliRunner().invoke(app, ["eval", "mien-s", "--data", str(strips), "--dataset", "pedfe-clips"])
    assert empty.exit_code == 1
    assert "take --split all" in str(empty.exception)
    clips = np.random.default_rng(0).integers(0, 255, (2, 3, 48, 48), dtype=np.uint8)
    each = load("mien-s")(list(clips[0]))
    assert np.allclose(clip_scores(load("mien-s"), clips)[0], each.mean(0), atol=1e-5)
    peak = each.max(0)
    assert np.allclose(clip_scores(load("mien-s"), clips, "peak")[0], peak / peak.sum(), atol=1e-5)


def test_rated_intensity_is_compared_with_what_is_seen() -> None:
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(0)
    rated = random.integers(0, 8, 60).astype(np.float32)
    rated[:5] = np.nan
    neutral = 1 / (1 + np.exp(np.nan_to_num(rated) / 4 + random.normal(0, 0.5, 60)))
    scores = np.stack([1 - neutral, neutral], 1)
    faces = FaceSet(
        np.zeros((60, 2, 4, 4), np.uint8), scores, scores.argmax(1), np.zeros(60), ("joy", "neutral"), rated
    )
    found = rated_intensity(scores, ("joy", "neutral"), replace(faces, extra={"intensity": rated}))
    assert found["rows"] == 55
    assert found["spearman"] == pytest.approx(stats.spearmanr(rated[5:], 1 - neutral[5:]).statistic, abs=1e-4)
    assert found["pearson"] == pytest.approx(stats.pearsonr(rated[5:], 1 - neutral[5:]).statistic, abs=1e-4)
    assert found["signal"] == "1 - neutral"
    assert rated_intensity(scores, ("joy", "cross"), faces) == {}


def test_recipes_over_clips_in_the_package_agree_with_their_names() -> None:
    for name in ("pedfe-irnn-attention-shuffled", "pedfe-genuine-irnn-attention-shuffled"):
        assert load_recipe(name).clips == Clips(16, "shuffled", "end", "mien-s")
    assert load_recipe("pedfe-genuine-frame-mean").target == "genuine"
    with pytest.raises(RecipeError, match="order = 'backwards'; choose one of time, shuffled"):
        small(clips=Clips(order="backwards"))
    assert with_seed(small(inputs=("grey", "run:first")), 3).inputs == ("grey", "run:first-seed3")
