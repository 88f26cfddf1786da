"""Several modalities: what is held, read, fed, standardised, hidden; a run on CMU-MOSI's layout from end to end."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.datasets import Index, one_hot
from mien.datasets.faces import FaceSet
from mien.datasets.media import Arrays, Pictures
from mien.datasets.streams import Streams, exchanged, padded
from mien.errors import DataError, MienError, RecipeError

torch = pytest.importorskip("torch")

from mien.features import FEATURES  # noqa: E402
from mien.models.composite import create  # noqa: E402
from mien.train import streams as reading  # noqa: E402
from mien.train.feed import StreamFeed, blanked, scales, stretch  # noqa: E402
from mien.train.prepare import fingerprint, read_faces  # noqa: E402
from mien.train.recipe import Modalities, Recipe  # noqa: E402
from mien.train.views import as_inputs, predict  # noqa: E402


def some(rows: int = 6, steps: int = 4, seed: int = 0) -> Streams:
    random = np.random.default_rng(seed)
    there = np.arange(steps) < random.integers(1, steps + 1, rows)[:, None]
    audio = (random.normal(3, 2, (rows, steps, 5)) * there[:, :, None]).astype(np.float32)
    face = random.integers(0, 255, (rows, 8, 8)).astype(np.uint8)
    return Streams({"audio": audio, "face": face}, {"audio": there, "face": np.ones((rows, 1), bool)})


def test_rows_absence_and_exchange() -> None:
    streams = some()
    rows = np.array([4, 1])
    assert np.array_equal(streams[rows].items["audio"], streams.items["audio"][rows])
    assert np.array_equal(streams[rows].masks["audio"], streams.masks["audio"][rows])
    assert streams.shapes == {"audio": [4, 5], "face": [1, 8, 8]}
    gone = streams.without("audio")
    assert not gone.masks["audio"].any()
    assert not gone.items["audio"].any()
    assert gone.masks["face"].all()
    other = streams.wrong("face", seed=3)
    assert np.array_equal(other.items["audio"], streams.items["audio"])
    same = (other.items["face"] == streams.items["face"]).all((1, 2))
    assert not same.any()
    assert sorted(map(bytes, other.items["face"])) == sorted(map(bytes, streams.items["face"]))
    with pytest.raises(DataError, match="no modality text; there are audio, face"):
        streams.without("text")
    with pytest.raises(ValueError, match="unequal length"):
        Streams({"a": np.zeros((2, 1, 1), np.float32)}, {"a": np.ones((3, 1), bool)})


def test_copies_are_equal_in_all_modalities() -> None:
    streams = some()
    rows = np.array([0, 1, 0])
    prints = streams[rows].prints()
    assert prints[0] == prints[2] != prints[1]
    half = Streams({**streams.items, "face": streams.items["face"][::-1]}, streams.masks)
    assert not set(half.prints()) & set(streams.prints())


def test_padding_keeps_the_middle() -> None:
    long = np.arange(10, dtype=np.float32)[:, None]
    features, there = padded([long, long[:2]], longest=4)
    assert features[0, :, 0].tolist() == [3, 4, 5, 6]
    assert there.tolist() == [[True] * 4, [True, True, False, False]]
    with pytest.raises(DataError, match="2, 3 numbers a step"):
        padded([np.zeros((1, 2)), np.zeros((1, 3))])


def test_scales_leave_out_what_is_missing() -> None:
    streams = some(rows=40)
    mean, deviation = scales(streams)["audio"]
    values = [
        row for item, mask in zip(streams.items["audio"], streams.masks["audio"], strict=True) for row in item[mask]
    ]
    assert np.allclose(mean, np.mean(values, 0), atol=1e-5)
    assert np.allclose(deviation, np.std(values, 0), atol=1e-5)
    assert "face" not in scales(streams)
    constant = Streams({"a": np.full((3, 1, 2), 7, np.float32)}, {"a": np.ones((3, 1), bool)})
    assert scales(constant)["a"][1].tolist() == [1, 1]


def test_stretches_hide_no_more_than_they_may() -> None:
    there = torch.tensor([[True] * 10, [True] * 4 + [False] * 6, [False] * 10]).repeat(60, 1)
    hidden = stretch(there, 0.5, torch.Generator().manual_seed(0))
    assert not (hidden & ~there).any()
    share = hidden.sum(1)
    assert share[0::3].max() == 5
    assert share[1::3].max() == 2
    assert share[2::3].max() == 0
    assert share[0::3].min() == 0
    for row in hidden[0::3].numpy().astype(int):
        assert (np.diff(np.concatenate([[0], row, [0]])) == 1).sum() <= 1  # one stretch
    one = torch.ones(30, 1, dtype=torch.bool)
    assert not stretch(one, 0.9, torch.Generator()).any()


def recipe(**changes: object) -> Recipe:
    values: dict[str, object] = {"name": "x", "model": "joint-fusion", "modalities": ("audio", "face"), "size": (8, 8)}
    return Recipe(**{**values, **changes})  # type: ignore[arg-type]


def test_modalities_are_hidden_but_never_all() -> None:
    streams, n = some(rows=50), 50
    how = Modalities(dropout=0.5)
    feed = StreamFeed(recipe(streams=how), streams, torch.eye(2)[torch.zeros(n).long()], torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    lost = np.zeros(2)
    for _ in range(20):
        given = feed(torch.arange(n), 8, generator).inputs
        audio, face = given["audio_mask"].any(1), given["face_mask"].any(1)
        assert (audio | face).all()
        assert not given["audio"][~audio].any()
        assert not given["face"][~face].any()
        lost += [float((~audio).float().mean()) / 20, float((~face).float().mean()) / 20]
    # each is hidden with 0.5, but for the half of those rows in which it is the one that stays
    assert np.allclose(lost, 0.25, atol=0.05)


def test_plain_feed_is_the_data_and_noise_has_its_size() -> None:
    streams = some(rows=400)
    targets = torch.eye(2)[torch.zeros(400).long()]
    alone = Streams({"audio": streams.items["audio"]}, {"audio": streams.masks["audio"]})
    plain = StreamFeed(recipe(modalities=("audio",)), alone, targets, torch.device("cpu"))
    assert torch.equal(
        plain(torch.arange(400), 8, torch.Generator()).inputs["audio"], torch.from_numpy(alone.items["audio"])
    )
    noisy = StreamFeed(recipe(streams=Modalities(noise=0.3)), alone, targets, torch.device("cpu"))
    added = noisy(torch.arange(400), 8, torch.Generator().manual_seed(1)).inputs["audio"].numpy() - alone.items["audio"]
    size = added[alone.masks["audio"]].std(0)
    assert np.allclose(size, 0.3 * scales(alone)["audio"][1], rtol=0.12)
    assert not added[~alone.masks["audio"]].any()


def test_blanking_fits_every_shape() -> None:
    there = torch.tensor([[True], [False]])
    for shape in ((2, 1, 3), (2, 3, 4, 4), (2, 5, 1, 4, 4)):
        x = blanked(torch.ones(shape), there)
        assert x[0].all()
        assert not x[1].any()


def faces_of(media: dict[str, object], **changes: object) -> FaceSet:
    rows = len(next(iter(media.values())))  # type: ignore[arg-type]
    targets, majority = one_hot(["a", "b"] * (rows // 2), ("a", "b"))
    index = Index(("a", "b"), targets, majority, np.zeros(rows, np.int64), np.full(rows, ""), media)  # type: ignore[arg-type]
    return reading.read_streams(recipe(**changes), index)


def test_media_of_every_kind_are_read() -> None:
    random = np.random.default_rng(0)
    vector, series = random.random((4, 3)), [random.random((n, 2)) for n in (1, 2, 5, 3)]
    maps = random.random((4, 2, 6, 6))
    faces = random.integers(0, 255, (4, 10, 10, 3)).astype(np.uint8)
    clips = random.integers(0, 255, (4, 6, 10, 10)).astype(np.uint8)
    media = {"a": vector, "b": series, "c": maps, "d": faces, "e": clips}
    found = faces_of({k: Arrays(v) for k, v in media.items()}, modalities=tuple("abcde"))
    assert found.streams is not None
    shapes = {"a": [1, 3], "b": [5, 2], "c": [2, 6, 6], "d": [1, 8, 8], "e": [16, 1, 8, 8]}
    assert found.streams.shapes == shapes
    given = as_inputs(found.streams)
    assert {name: list(x.shape[1:]) for name, x in given.items() if "mask" not in name} == shapes
    assert np.allclose(given["b"][2].numpy(), series[2])
    assert given["b_mask"].sum(1).tolist() == [1, 2, 5, 3]
    assert float(given["d"].max()) <= 1
    with pytest.raises(RecipeError, match="has no text; it has a"):
        faces_of({"a": Arrays(vector)}, modalities=("text",))
    with pytest.raises(RecipeError, match="several kinds"):
        faces_of({"a": Arrays([vector, maps[0], vector, vector])}, modalities=("a",))
    with pytest.raises(DataError, match="'hello' is no array of numbers; name an extractor"):
        faces_of({"a": Arrays(["hello", "you"])}, modalities=("a",))


def test_missing_items_are_masked() -> None:
    series = [np.ones((2, 3)), np.zeros((0, 3)), np.full((2, 3), np.nan), np.ones((1, 3))]
    found = faces_of({"a": Arrays(series)}, modalities=("a",)).streams
    assert found is not None
    assert found.masks["a"].any(1).tolist() == [True, False, False, True]
    assert np.isfinite(found.items["a"]).all()


def test_features_are_kept_until_something_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def double(by: float = 2.0) -> object:
        def extract(item: np.ndarray) -> np.ndarray:
            asked.append(float(item[0]))
            return np.asarray(item[None] * by)

        return extract

    monkeypatch.setitem(FEATURES._factories, "double", double)
    monkeypatch.setitem(FEATURES._facts, "double", {"name": "double", "version": 1})
    media = Arrays([np.array([1.0]), np.array([2.0]), np.array([1.0])])
    first = reading.extract(media, "double", tmp_path)
    assert [float(x[0, 0]) for x in first] == [2, 4, 2]
    assert sorted(asked) == [1, 2]
    again = reading.extract(media, "double", tmp_path)
    assert [float(x[0, 0]) for x in again] == [2, 4, 2]
    assert len(asked) == 2
    other = reading.extract(media, {"name": "double", "by": 3.0}, tmp_path)
    assert [float(x[0, 0]) for x in other] == [3, 6, 3]
    assert len(asked) == 4
    turned = reading.extract(media.take(np.array([1, 0, 0])), "double", tmp_path)
    assert [float(x[0, 0]) for x in turned] == [4, 2, 2]
    monkeypatch.setitem(FEATURES._facts, "double", {"name": "double", "version": 2})
    reading.extract(media, "double", tmp_path)
    assert len(asked) == 8
    with pytest.raises(RecipeError, match="unexpected keyword argument 'of'"):
        reading.extractor({"name": "double", "of": 1})


def test_files_stand_for_their_items(tmp_path: Path, portrait: np.ndarray) -> None:
    import cv2

    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), portrait[:40, :40])
    media = Pictures([tmp_path / "a.png", tmp_path / "b.png"], boxes=[None, (0, 0, 20, 20)])
    marks = reading._marks(media)
    assert marks != reading._marks(Pictures(media.paths))
    assert marks == reading._marks(media)
    with pytest.raises(DataError, match=r"gone\.png is missing"):
        reading._marks(Pictures([tmp_path / "gone.png"]))


def test_embeddings_of_faces_are_features(portrait: np.ndarray) -> None:
    pytest.importorskip("onnx")
    face = portrait[60:260, 130:330]
    read, line = reading.extractor("embed:mien-s")
    still, clip = read(face), read(np.stack([face, face[:, ::-1]]))
    assert still.ndim == 2
    assert len(still) == 1
    assert len(clip) == 2
    assert np.allclose(still, clip[:1], atol=1e-4)
    assert "embed, what mien-s" in line
    assert len(line.split(", ")[-1]) == 64
    with pytest.raises(DataError, match="embed reads faces uint8"):
        read(np.zeros(3))


def test_recipes_are_checked(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"\[features\] text; modalities are audio, face"):
        recipe(features={"text": "as-is"})
    with pytest.raises(RecipeError, match=r"dropout = 1.0; it must lie in \[0, 1\)"):
        recipe(streams=Modalities(dropout=1.0))
    with pytest.raises(RecipeError, match="joint-fusion reads streams; the recipe lacks modalities"):
        read_faces(Recipe("x", "joint-fusion"), tmp_path)
    with pytest.raises(RecipeError, match="mini-s reads face; the recipe has modalities"):
        read_faces(Recipe("x", "mini-s", modalities=("face",)), tmp_path)


def test_standardised_network_is_built_again_from_its_facts() -> None:
    shapes = {"audio": [4, 5]}
    facts = {
        "model": "joint-fusion",
        "classes": 2,
        "arguments": {"shapes": shapes, "tiny": True},
        "scaled": {"audio": 5},
    }
    torch.manual_seed(0)
    network = create(facts).eval()
    network.scale.set({"audio": ([3.0] * 5, [2.0] * 5)})
    again = create(facts).eval()
    again.load_state_dict(network.state_dict())
    streams = some()
    alone = Streams({"audio": streams.items["audio"]}, {"audio": streams.masks["audio"]})
    said = predict(again, alone, torch.device("cpu"))
    by_hand = (alone.items["audio"] - 3) / 2 * alone.masks["audio"][:, :, None]
    plain = predict(network.net, Streams({"audio": by_hand}, alone.masks), torch.device("cpu"))
    assert np.allclose(said, plain, atol=1e-5)
    assert np.ptp(said) > 0
    longer = {
        k: np.concatenate([v, np.zeros_like(v)], 1)
        for k, v in (("a", alone.items["audio"]), ("m", alone.masks["audio"]))
    }
    same = predict(again, Streams({"audio": longer["a"]}, {"audio": longer["m"]}), torch.device("cpu"))
    assert np.allclose(said, same, atol=1e-5)  # what is padded says nothing


def test_fingerprint_sees_every_modality() -> None:
    found = faces_of({"a": Arrays(np.ones((4, 3))), "b": Arrays(np.ones((4, 2)))}, modalities=("a", "b"))
    other = faces_of({"a": Arrays(np.ones((4, 3))), "b": Arrays(np.zeros((4, 2)))}, modalities=("a", "b"))
    assert fingerprint(found) != fingerprint(other) == fingerprint(other)


def small_runs(folder: Path, names: list[str], **changes: str) -> list[str]:
    """Recipes of the package, cut short, in files."""
    from mien.train.recipe import FOLDER

    found = []
    for name in names:
        text = (FOLDER / f"{name}.toml").read_text().replace("epochs = 12", "epochs = 1")
        for key, value in changes.items():
            lines = [line for line in text.splitlines() if not line.startswith(f"{key} =")]
            text = f"{key} = {value}\n" + "\n".join(lines)
        (folder / f"{name}.toml").write_text(text)
        found.append(str(folder / f"{name}.toml"))
    return found


SINGLE = ["mosi-audio", "mosi-video", "mosi-text"]


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fake of CMU-MOSI in `mosi` and finished runs of its single modalities in `runs`."""
    from mien.datasets import DATASETS, FAKES
    from mien.train.recipe import load_recipe
    from mien.train.study import Study

    folder = tmp_path_factory.mktemp("fused")
    DATASETS.names()
    FAKES["mosi"](folder / "mosi")
    for name in small_runs(folder, SINGLE):
        Study.open(load_recipe(name), folder, folder / "runs", torch.device("cpu")).train(lambda _: None)
    return folder


def test_a_run_from_end_to_end(fused: Path) -> None:
    from mien.bench.results import run_bench

    own = small_runs(fused, ["mosi-joint"])
    given = {"device": "cpu", "say": lambda _: None}
    line = run_bench(own, [1], fused, fused / "runs", fused / "r.jsonl", **given)[0]
    missing = line["figures"]["missing"]
    assert set(missing) == {"audio", "video", "text"}
    assert set(missing["text"]) == {"absent", "wrong"}
    assert line["figures"]["mosi"]["faces"] == 6
    log = (fused / "runs" / "mosi-joint" / "log.jsonl").read_text()
    again = run_bench(own, [1], fused, fused / "runs", fused / "other.jsonl", **given)[0]
    assert again["figures"] == line["figures"]
    assert log == (fused / "runs" / "mosi-joint" / "log.jsonl").read_text()


def joined(fused: Path, rule: str) -> tuple[Any, Any]:
    """A finished fusion of the single modalities, and its only fold."""
    from mien.train.recipe import load_recipe
    from mien.train.study import Study

    recipe = load_recipe(small_runs(fused, [f"mosi-{rule}"])[0])
    if rule in ("feature", "hybrid"):
        recipe = dataclasses.replace(recipe, fusion=dataclasses.replace(recipe.fusion, arguments={"l2": 2.0}))
    study = Study.open(recipe, fused, fused / "runs", torch.device("cpu"))
    return study, study.train(lambda _: None)[0]


def alone(fused: Path, fold: Any) -> dict[str, np.ndarray]:
    """Scores of the test rows by each single modality, asked without a fusion."""
    from mien.train.recipe import read_record
    from mien.train.study import Study

    found = {}
    for name in SINGLE:
        folder = fused / "runs" / name
        study = Study.open(read_record(folder)[0], fused, fused / "runs", torch.device("cpu"))
        found[name] = study.scores(fold, folder)
    return found


def test_finished_runs_are_joined(fused: Path) -> None:
    study, fold = joined(fused, "mean")
    said = alone(fused, fold)
    assert np.allclose(study.scores(fold, study.folder), np.mean(list(said.values()), 0), atol=1e-6)
    gone = study.scores(fold, study.folder, absent="text")
    assert np.allclose(gone, (said["mosi-audio"] + said["mosi-video"]) / 2, atol=1e-6)
    moved = said["mosi-text"][exchanged(len(fold.test))]
    other = study.scores(fold, study.folder, wrong="text")
    assert np.allclose(other, (said["mosi-audio"] + said["mosi-video"] + moved) / 3, atol=1e-6)


def test_a_fusion_has_figures_and_a_card(fused: Path) -> None:
    study, _ = joined(fused, "weights")
    figures = study.test()
    assert figures["members"] == SINGLE
    assert set(figures["learnt"][0]["weights"]) == set(SINGLE)
    assert set(figures["figures"]["missing"]) == {"audio", "video", "text"}
    for file in ("run.json", "card.md", "members.png", "confusion.png"):
        assert (study.folder / file).is_file()
    assert json.loads((study.folder / "run.json").read_text())["parameters"] == 9026 + 10754 + 10754


def test_features_are_learnt_on_training_rows(fused: Path) -> None:
    from mien.fusions import FUSIONS

    study, fold = joined(fused, "feature")
    index = read_faces(Recipe("x", "joint-fusion", dataset="mosi", modalities=("audio", "video", "text")), fused)
    assert index.streams is not None
    parts = {name: array[:, 0].astype(float) for name, array in index.streams.items.items()}
    feature = FUSIONS.create("feature", l2=2.0)
    feature.fit_features({name: array[fold.train] for name, array in parts.items()}, index.majority[fold.train])
    tested = {name: array[fold.test] for name, array in parts.items()}
    assert np.allclose(study.scores(fold, study.folder), feature({}, tested), atol=1e-6)
    hybrid, _ = joined(fused, "hybrid")
    both = [*alone(fused, fold).values(), feature({}, tested)]
    assert np.allclose(hybrid.scores(fold, hybrid.folder), np.mean(both, 0), atol=1e-6)


def test_members_must_share_their_rows(fused: Path) -> None:
    from mien.train.recipe import load_recipe
    from mien.train.study import Study

    own = load_recipe(small_runs(fused, ["mosi-mean"])[0])
    cpu = torch.device("cpu")
    for changes, words in (
        ({"seed": 2}, "member 'mosi-audio' was trained with seed = 1"),
        ({"select": "last"}, "member 'mosi-audio' was trained with select = 'balanced'"),
        ({"members": ("nobody",)}, "member 'nobody' has no finished run"),
        ({"members": ("mosi-audio", "mosi-audio")}, "name each run once"),
        ({"rule": "best"}, "no fusion is called 'best'"),
        ({"arguments": {"power": 2}}, r"\[fusion\] mean: .* no arguments"),
    ):
        outer = {key: value for key, value in changes.items() if key in ("seed", "select")}
        inner = dataclasses.replace(own.fusion, **{k: v for k, v in changes.items() if k not in outer})
        changed = dataclasses.replace(own, fusion=inner, **outer)
        with pytest.raises(MienError, match=words):
            Study.open(changed, fused, fused / "runs", cpu).train(lambda _: None)
    with pytest.raises(RecipeError, match='go with model = "fusion"'):
        Recipe("x", "fusion")


def test_a_finished_run_is_scored_without_a_modality(fused: Path) -> None:
    from typer.testing import CliRunner

    from mien.cli import app
    from mien.train.recipe import load_recipe
    from mien.train.study import Study

    own = load_recipe("mosi-joint", epochs=1)
    study = Study.open(own, fused, fused / "runs", torch.device("cpu"))
    fold = study.train(lambda _: None)[0]
    run, data = str(study.folder), str(fused / "mosi")

    def ask(*words: str) -> Any:
        return CliRunner().invoke(app, ["eval", *words, "--data", data, "--json"])

    right = (study.scores(fold, study.folder, absent="text").argmax(1) == study.faces.majority[fold.test]).mean()
    assert json.loads(ask(run, "--absent", "text").stdout)["mosi"]["accuracy"] == pytest.approx(right, abs=1e-4)
    for words, said in (
        ((run, "--absent", "smell"), "does not read 'smell'; it reads audio, video, text"),
        ((run, "--explain", "1", "--out", str(fused / "out")), "--explain shows faces"),
    ):
        assert said in str(ask(*words).exception)
    joined(fused, "mean")
    assert "score it with mien bench run" in str(ask(str(fused / "runs" / "mosi-mean")).exception)
    from mien.export.onnx import export_run

    with pytest.raises(MienError, match="reads audio, video, text"):
        export_run(study.folder, fused / "mosi", fused / "x.onnx", name="x")


def test_words_are_counted_where_their_hash_says() -> None:
    import zlib

    read, _ = reading.extractor({"name": "words", "size": 64})
    found = read("It's GOOD, really good! It's")
    terms = ["it's", "good", "really", "good", "it's", "it's good", "good really", "really good", "good it's"]
    slow = [0.0] * 64
    for term in terms:
        code = zlib.crc32(term.encode())
        slow[(code // 2) % 64] += 1 if code % 2 else -1
    slow = [np.sign(v) * abs(v) ** 0.5 for v in slow]
    assert np.allclose(found[0], np.array(slow) / np.linalg.norm(slow), atol=1e-6)
    assert np.array_equal(found, read("it's good really GOOD it's"))
    assert read(" ... ").shape == (0, 64)
    with pytest.raises(DataError, match="words reads text, not int"):
        read(3)
    with pytest.raises(RecipeError, match="size = 1"):
        reading.extractor({"name": "words", "size": 1})
    texts = Arrays(["good", "", "bad bad", "good"])
    streams = faces_of({"text": texts}, modalities=("text",), features={"text": "words"}).streams
    assert streams is not None
    assert streams.shapes == {"text": [1, 2048]}
    assert streams.masks["text"][:, 0].tolist() == [True, False, True, True]
    assert np.array_equal(streams.items["text"][0], streams.items["text"][3])
