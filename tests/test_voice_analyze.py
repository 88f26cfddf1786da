"""`mien analyze --audio`: windows of sound, columns of voice and face, what is missing, the exported network."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("librosa")

from mien.errors import InputError, WeightsError
from mien.pipeline.sound import RATE, Block, blocks, has_sound
from mien.pipeline.voice import Heard, fuse, listen, with_voice

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from typer.testing import CliRunner  # noqa: E402

import mien  # noqa: E402
from mien.cli import app  # noqa: E402
from mien.export.onnx import write  # noqa: E402
from mien.pipeline.voice import VoiceModel  # noqa: E402
from mien.spec import Spec  # noqa: E402

LABELS = ("anger", "calm", "happiness")
RUNNER = CliRunner()


def voice_like(hertz: float, seconds: float) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.2 * sum(np.sin(2 * np.pi * k * hertz * t) / k for k in range(1, 6))).astype(np.float32)


def film(path: Path, sound: np.ndarray | None, pictures: list[np.ndarray], rate: int = 5, late_s: float = 0) -> Path:
    """A film with a sound track, which may begin later than the pictures."""
    with av.open(str(path), "w") as container:
        # mbtree reads memory that was never written
        video = container.add_stream("libx264", rate=rate, options={"x264-params": "mbtree=0"})
        video.height, video.width = pictures[0].shape[:2]
        video.pix_fmt = "yuv420p"
        voice = container.add_stream("pcm_s16le", RATE, layout="mono") if sound is not None else None
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None:
            for start in range(0, len(sound), 1600):
                samples = (sound[start : start + 1600] * 32767).astype(np.int16)[None]
                piece = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
                piece.sample_rate, piece.pts = RATE, start + round(late_s * RATE)
                container.mux(voice.encode(piece))
            container.mux(voice.encode(None))
    return path


class Brightness(torch.nn.Module):
    """High voices are happy, low ones angry."""

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        low, high = sound[:, :, :3].exp().mean((1, 2)), sound[:, :, 3:].exp().mean((1, 2))
        z = torch.stack([(low / (low + high)) * 20 - 10, torch.zeros_like(low) - 3, 10 - (low / (low + high)) * 20], 1)
        return torch.softmax(z, 1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("voice") / "voice.onnx"
    spec = Spec("test-voice", task="voice", labels=LABELS, sound={"name": "log-mel", "bands": 32, "version": 1})
    write(Brightness(), spec, path, half=False, given=("sound", torch.rand(8, 300, 32)), axes={1: "t"})
    return path


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory, portrait: np.ndarray) -> Path:
    """Nine seconds: three of silence, three of a low voice, three of a high one; the face all along."""
    sound = np.concatenate([np.zeros(3 * RATE, np.float32), voice_like(110, 3), voice_like(480, 3)])
    face = np.ascontiguousarray(portrait[:256, 90:346])
    return film(tmp_path_factory.mktemp("talk") / "talk.mkv", sound, [face] * 45)


def test_blocks_are_the_sound_and_overlap(talk: Path) -> None:
    found = list(blocks(talk, seconds=4.0, overlap=1.0))
    assert [round(block.start_s, 3) for block in found] == [0, 3, 6]
    assert [len(block.samples) / RATE for block in found] == [4, 4, 3]
    whole = next(blocks(talk)).samples
    for block in found:
        start = round(block.start_s * RATE)
        assert np.array_equal(block.samples, whole[start : start + len(block.samples)])
    assert has_sound(talk)


def test_sound_that_begins_late_keeps_its_time(tmp_path: Path, portrait: np.ndarray, weights: Path) -> None:
    face = np.ascontiguousarray(portrait[:64, :64])
    path = film(tmp_path / "late.mkv", voice_like(110, 3), [face] * 30, late_s=2.0)
    assert next(blocks(path)).start_s == pytest.approx(2.0, abs=0.01)
    heard = listen(str(path), VoiceModel(weights))
    assert heard.times[0] == pytest.approx(2.0, abs=0.01)
    assert heard.at(0.5) == -1
    assert heard.at(2.2) == 0


def test_windows_follow_who_speaks(talk: Path, weights: Path) -> None:
    heard = listen(str(talk), VoiceModel(weights))
    assert np.allclose(np.diff(heard.times), 0.5)
    assert heard.times[[0, -1]].tolist() == [0, 9]
    said = dict(zip(heard.times.tolist(), heard.spoken.tolist(), strict=True))
    assert not said[0.5]
    assert not said[1.0]
    assert said[3.0]
    assert said[8.0]
    top = [LABELS[k] for k in np.nan_to_num(heard.scores).argmax(1)]
    assert top[list(said).index(4.5)] == "anger"
    assert top[list(said).index(8.5)] == "happiness"
    assert np.isnan(heard.scores[~heard.spoken]).all()
    assert np.allclose(heard.scores[heard.spoken].sum(1), 1, atol=1e-3)


@pytest.mark.parametrize("seconds", [30.0, 29.9, 54.0])
def test_the_last_moment_is_heard_whatever_the_length(
    seconds: float, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = voice_like(110, seconds)

    def given(path: str, size: float, overlap: float) -> Iterator[Block]:
        start = 0.0
        while len(sound) / RATE - start >= size:
            yield Block(start, sound[round(start * RATE) : round((start + size) * RATE)])
            start += size - overlap
        yield Block(start, sound[round(start * RATE) :])

    monkeypatch.setattr("mien.pipeline.voice.blocks", given)
    heard = listen("any", VoiceModel(weights))
    assert np.allclose(np.diff(heard.times), 0.5)
    assert seconds - 0.5 < heard.times[-1] <= seconds
    assert heard.spoken.all()


def test_a_gap_in_the_track_is_silence(tmp_path: Path, portrait: np.ndarray) -> None:
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as container:
        voice = container.add_stream("pcm_s16le", RATE, layout="mono")
        for start in (0, 1600, 40 * RATE):
            piece = av.AudioFrame.from_ndarray(np.full((1, 1600), 9999, np.int16), format="s16", layout="mono")
            piece.sample_rate, piece.pts = RATE, start
            container.mux(voice.encode(piece))
        container.mux(voice.encode(None))
    found = list(blocks(path, seconds=100.0))
    assert len(found) == 1
    loud = np.flatnonzero(found[0].samples > 0.1)
    assert len(found[0].samples) == 40 * RATE + 1600
    assert set(loud.tolist()) == {*range(3200), *range(40 * RATE, 40 * RATE + 1600)}


def test_long_sound_is_heard_in_pieces_as_in_one(tmp_path: Path, portrait: np.ndarray, weights: Path) -> None:
    face = np.ascontiguousarray(portrait[:64, :64])
    sound = np.concatenate([voice_like(hertz, 3.7) for hertz in (110, 480) * 9])
    path = film(tmp_path / "long.mkv", sound, [face] * 20, rate=1)
    model = VoiceModel(weights)
    heard = listen(str(path), model)
    assert np.allclose(np.diff(heard.times), 0.5)
    assert heard.times[-1] == pytest.approx(len(sound) / RATE, abs=0.5)
    track = np.concatenate([sound])
    for place in (7, 48, 55, 63, 101):
        middle = heard.times[place]
        window = track[round((middle - 1.5) * RATE) : round((middle + 1.5) * RATE)]
        assert np.allclose(heard.scores[place], model([window])[0], atol=0.02)


def test_faces_get_the_voice_of_their_time(talk: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = RUNNER.invoke(
        app, ["analyze", str(talk), "-o", str(out), "--detector", "none", "--audio", str(weights), "--json"]
    )
    assert done.exit_code == 0, done.output
    with open(out / "faces.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["voice"] for row in (rows[0], rows[20], rows[40])] == ["silent", "spoken", "spoken"]
    assert [rows[k]["voice_label"] for k in (0, 22, 42)] == ["", "anger", "happiness"]
    assert [rows[k]["fused_from"] for k in (0, 22)] == ["face", "both"]
    for row in (rows[0], rows[22], rows[42]):
        voice = {name: float(row[f"voice_p_{name}"] or 0) for name in ("anger", "happiness")}
        sums = {name: float(row[f"p_{name}"]) + voice[name] for name in voice}
        for name in voice:
            assert float(row[f"fused_p_{name}"]) == pytest.approx(sums[name] / sum(sums.values()), abs=2e-3)
        assert row["fused_label"] == max(sums, key=lambda name: sums[name])
    with open(out / "voice.csv", newline="", encoding="utf-8") as file:
        windows = list(csv.DictReader(file))
    assert len(windows) == 19
    assert windows[9]["voice_label"] == "anger"
    summary = json.loads((out / "summary.json").read_text())
    assert summary["voice"]["name"] == "test-voice"
    assert summary["sources"][0]["voice"]["spoken_seconds"] == pytest.approx(7, abs=0.6)
    assert (out / "events.csv").is_file()
    table = mien.analyze(talk, detector="none", audio=weights)
    assert table.columns == tuple(rows[0])
    assert [row["voice_label"] for row in table.rows] == [row["voice_label"] or None for row in rows]
    # an analysis without a voice leaves none behind
    again = RUNNER.invoke(app, ["analyze", str(talk), "-o", str(out), "--detector", "none", "--every", "20", "--json"])
    assert again.exit_code == 0
    assert not (out / "voice.csv").exists()
    assert "voice" not in (out / "faces.csv").read_text().splitlines()[0]


def test_no_sound_no_face_and_pictures_are_flagged(
    weights: Path, portrait: np.ndarray, portrait_file: Path, tmp_path: Path
) -> None:
    face, grey = np.ascontiguousarray(portrait[:256, 90:346]), np.full((64, 64, 3), 90, np.uint8)
    silent = film(tmp_path / "silent.mkv", None, [face] * 3)
    nobody = film(tmp_path / "nobody.mkv", voice_like(110, 4), [grey] * 20)
    out = tmp_path / "out"
    done = RUNNER.invoke(
        app,
        ["analyze", str(silent), str(nobody), str(portrait_file), "-o", str(out), "--audio", str(weights), "--json"],
    )
    assert done.exit_code == 0, done.output
    with open(out / "faces.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    of = {Path(row["source"]).name: row for row in rows}
    assert of["silent.mkv"]["voice"] == "none"
    assert of["silent.mkv"]["fused_from"] == "face"
    assert float(of["silent.mkv"]["fused_p_happiness"]) > 0.9
    assert of["astronaut.jpg"]["voice"] == ""
    assert "nobody.mkv" not in of
    entries = {Path(entry["source"]).name: entry for entry in json.loads((out / "summary.json").read_text())["sources"]}
    assert entries["silent.mkv"]["voice"]["note"] == "has no sound track"
    assert entries["nobody.mkv"]["voice"]["spoken_seconds"] > 3
    with open(out / "voice.csv", newline="", encoding="utf-8") as file:
        assert {Path(row["source"]).name for row in csv.DictReader(file)} == {"nobody.mkv"}


def test_with_two_faces_nobody_knows_who_speaks() -> None:
    scores = np.array([[0.8, 0.1, 0.1]])
    heard = Heard(LABELS, np.zeros(1), np.ones(1), np.ones(1, bool), scores)
    base = {"source": "a", "time_s": 0.0, "p_anger": 0.1, "p_happiness": 0.6}
    rows = [{**base, "frame": 0, "face": 0}, {**base, "frame": 0, "face": 1}, {**base, "frame": 1, "face": 0}]
    found = list(with_voice(rows, ("anger", "happiness"), {"a": heard}))
    assert [row["fused_from"] for row in found] == ["face", "face", "both"]
    assert [row["voice_label"] for row in found] == ["anger"] * 3
    assert found[0]["fused_label"] == "happiness"
    assert found[2]["fused_label"] == "anger"
    assert fuse({"anger": 0.0, "happiness": 0.0}, None) == ("face", {"anger": 0.5, "happiness": 0.5})


def test_what_cannot_be_heard_is_refused_in_one_sentence(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(WeightsError, match="is for expression, not for voices"):
        VoiceModel("mien-s")
    (tmp_path / "text.mkv").write_text("no film")
    with pytest.raises(InputError, match="cannot be read"):
        next(blocks(tmp_path / "text.mkv"))
    assert not has_sound(tmp_path / "text.mkv")
    assert "cannot be read" in listen(str(tmp_path / "text.mkv"), VoiceModel(weights)).trouble
    old = tmp_path / "old.onnx"
    spec = Spec("old", task="voice", labels=LABELS, sound={"name": "log-mel", "bands": 32, "version": 99})
    write(Brightness(), spec, old, half=False, given=("sound", torch.rand(8, 300, 32)), axes={1: "t"})
    with pytest.raises(WeightsError, match="train it again"):
        VoiceModel(old)


READS = {
    "ravdess-voice": {"name": "log-mel", "bands": 40, "pace": 2},
    "ravdess-voice-statistics": {"name": "voice-statistics"},
}


@pytest.mark.parametrize("name", READS)
def test_a_run_over_sound_is_exported_and_heard(name: str, tmp_path: Path) -> None:
    from mien.datasets.ravdess import fake
    from mien.features import FEATURES
    from mien.train.checkpoint import load_network
    from mien.train.recipe import load_recipe
    from mien.train.study import Study

    fake(tmp_path / "data")
    changes = {"epochs": 1, "protocol": "kfold", "folds": 2, "select": "last", "arguments": {"tiny": True}}
    recipe = load_recipe(name, **changes)
    study = Study.open(recipe, tmp_path / "data", tmp_path / "runs", torch.device("cpu"))
    study.train(lambda text: None)
    run = tmp_path / "runs" / name / "fold-01"
    done = RUNNER.invoke(
        app, ["export", str(run), "--data", str(tmp_path / "data"), "-o", str(tmp_path / "v.onnx"), "--name", "v"]
    )
    assert done.exit_code == 0, done.output
    assert "not calibrated" in done.output
    model = VoiceModel(tmp_path / "v.onnx")
    assert model.spec.sound == {**READS[name], "version": 1}
    assert model.spec.licence.startswith("that of the training data: CC BY-NC-SA")
    sounds = [voice_like(110, seconds) for seconds in (3, 1.5, 3)]
    found = model(sounds)
    assert np.allclose(found[1], model(sounds[1:2])[0], atol=1e-5)
    network = load_network(run, torch.device("cpu"))
    how = {key: value for key, value in READS[name].items() if key != "name"}
    read = np.atleast_2d(FEATURES.create(READS[name]["name"], **how)(sounds[0]))
    with torch.no_grad():
        expected = torch.softmax(network({"audio": torch.from_numpy(read)[None]}).logits, 1).numpy()
    assert np.allclose(found[0], expected[0], atol=2e-3)
    refused = RUNNER.invoke(
        app, ["export", str(run), "--data", str(tmp_path / "data"), "-o", str(tmp_path / "v.onnx"), "--mirror"]
    )
    assert refused.exit_code == 2
