"""Faces degraded to measure, and accuracy on them."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import data_folder
from mien.bench import robust as bench
from mien.bench.robust import FaceMap, Row, compare, conditions, copies, gain, measure, rows, sample, spoil, wilson
from mien.cli import app
from mien.datasets.faces import FaceSet
from mien.datasets.fer2013 import fake
from mien.errors import DataError, MienError, UnknownName, WeightsError
from mien.faces.degrade import HARMS, OCCLUDERS, degrade, face_area, occlude
from mien.faces.degrade.turn import yaw_map
from mien.faces.frontal import yaw_of
from mien.faces.head import MEAN
from mien.faces.solid import MIDDLE, UNIT
from mien.pipeline.model import load
from mien.report.robust import panels, robust_figure, write_rows

SIDE = 48


def faces(count: int = 6, colour: bool = False, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    small = random.integers(40, 216, (count, 10, 10, 3) if colour else (count, 10, 10)).astype(np.uint8)
    return np.stack([cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for face in small])


# occluders


@pytest.mark.parametrize("kind", OCCLUDERS)
@pytest.mark.parametrize("share", [0.1, 0.35, 0.6])
def test_each_occluder_hides_just_its_share_of_the_face(kind: str, share: float) -> None:
    grey = faces(12)
    hidden, mask = occlude(grey, share, np.random.default_rng(1), [kind])
    inside = face_area(SIDE)
    total = sum(bool(v) for row in inside.tolist() for v in row)
    for m in mask:
        count = sum(m[i, j] for i in range(SIDE) for j in range(SIDE) if inside[i, j])
        assert abs(count / total - share) < 0.02  # a level can hold a few equal places
    assert np.array_equal(hidden[~mask], grey[~mask])
    assert np.abs(hidden[mask].astype(int) - grey[mask]).mean() > 15
    assert len({m.tobytes() for m in mask}) > 6  # drawn anew for each face


def test_occluders_stand_where_such_things_stand() -> None:
    random, grey = np.random.default_rng(0), faces(30)
    middle = {k: occlude(grey, 0.2, random, [k])[1].mean(0) for k in ("sunglasses", "mask", "scarf")}
    eyes, mouth = (slice(17, 23), slice(12, 21)), (slice(34, 40), slice(19, 29))
    assert middle["sunglasses"][eyes].mean() > 0.7 > 0.05 > middle["sunglasses"][mouth].mean()
    assert middle["mask"][mouth].mean() > 0.9 > 0.02 > middle["mask"][eyes].mean()
    rows_of_scarf = middle["scarf"].mean(1)
    assert (np.diff(rows_of_scarf) >= -1e-9).all()
    assert rows_of_scarf[-1] == 1


def test_occluders_are_the_same_for_the_same_seed_and_take_colour_and_ranges() -> None:
    colour = faces(40, colour=True)
    first, second = (occlude(colour, (0.1, 0.5), np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert first[0].shape == colour.shape
    shares = first[1][:, face_area(SIDE)].mean(1)
    assert 0.09 < shares.min() < 0.2 < 0.4 < shares.max() < 0.52
    hidden = first[0][first[1]].astype(int)
    assert (np.ptp(hidden, axis=1) > 20).mean() > 0.3  # varied colours
    kept = colour.copy()
    occlude(colour, 0.4, np.random.default_rng(0))
    assert np.array_equal(colour, kept)
    assert occlude(colour[:0], 0.3, np.random.default_rng(0))[1].shape == (0, SIDE, SIDE)


@pytest.mark.parametrize(
    ("share", "kinds", "word"),
    [(0, ["block"], "share"), ((0.5, 0.2), ["block"], "share"), (0.2, ["cat"], "kinds"), (0.2, [], "kinds")],
)
def test_occluders_say_what_they_take(share: Any, kinds: list[str], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        occlude(faces(1), share, np.random.default_rng(0), kinds)
    with pytest.raises(ValueError, match="uint8"):
        occlude(faces(1) / 255, 0.2, np.random.default_rng(0))


# the other degradations


@pytest.mark.parametrize("name", HARMS)
def test_every_degradation_harms_more_and_more(name: str) -> None:
    clean = faces(8)
    away = []
    for strength in HARMS[name].strengths:
        spoilt = degrade(clean, name, strength, np.random.default_rng(3))
        assert spoilt.shape == clean.shape
        assert spoilt.dtype == np.uint8
        assert np.array_equal(spoilt, degrade(clean, name, strength, np.random.default_rng(3)))
        away.append(float(np.abs(spoilt.astype(int) - clean).mean()))
    assert away[0] > 0.3
    assert away[-1] > 1.5 * away[0]
    colour = degrade(faces(2, colour=True), name, HARMS[name].strengths[0], np.random.default_rng(0))
    assert colour.shape == (2, SIDE, SIDE, 3)


def test_unknown_degradation() -> None:
    with pytest.raises(UnknownName, match="side-light"):
        degrade(faces(1), "rain", 1, np.random.default_rng(0))


def test_light_is_halved_with_each_stop() -> None:
    flat = np.full((1, 64, 64), 200, np.uint8)
    for stops in (1, 3):
        for name, sign in (("dark", -1), ("bright", 1)):
            out = degrade(flat, name, stops, np.random.default_rng(0))
            wanted = min(1.0, (200 / 255) ** 2.2 * 2.0 ** (sign * stops))
            assert ((out / 255) ** 2.2).mean() == pytest.approx(wanted, rel=0.03)
    # shot noise: the variance of the electrons is their mean, and 2 squared more
    dark = (degrade(flat, "dark", 2, np.random.default_rng(0)) / 255) ** 2.2 * 1000
    assert dark.var() == pytest.approx(dark.mean() + 4, rel=0.1)


def test_side_light_falls_off_across_the_face() -> None:
    flat = np.full((40, SIDE, SIDE), 200, np.uint8)
    out = (degrade(flat, "side-light", 4, np.random.default_rng(0)) / 255) ** 2.2
    soft = np.stack([cv2.blur(o, (9, 9)) for o in out])
    ratio = soft.reshape(40, -1).max(1) / soft.reshape(40, -1).min(1)
    assert ((ratio > 2**2.5) & (ratio < 2**5)).all()


def test_blur_and_shrinking_against_their_own_sums() -> None:
    point = np.zeros((1, SIDE, SIDE), np.uint8)
    point[0, 24, 24] = 255
    width = 0.03 * SIDE
    out = degrade(point, "blur", 0.03, np.random.default_rng(0))[0]
    y, x = np.mgrid[:SIDE, :SIDE] - 24
    expected = 255 * np.exp(-(x**2 + y**2) / (2 * width**2)) / (2 * np.pi * width**2)
    assert np.abs(out - expected).max() <= 1.5
    half = degrade(faces(1), "small", 2, np.random.default_rng(0))[0]
    blocks = faces(1)[0].reshape(24, 2, 24, 2).mean((1, 3))
    assert np.abs(cv2.resize(half, (24, 24), interpolation=cv2.INTER_AREA) - blocks).mean() < 6
    assert np.abs(half.astype(float) - cv2.resize(blocks.round().astype(np.uint8), (SIDE, SIDE))).max() <= 1


def test_roll_turns_to_both_sides() -> None:
    bar = np.zeros((20, SIDE, SIDE), np.uint8)
    bar[:, :, 21:27] = 255
    out = degrade(bar, "roll", 30, np.random.default_rng(0))
    angles = []
    for face in out:
        y, x = np.nonzero(face[8:40, 8:40] > 127)
        angles.append(math.degrees(math.atan(np.polyfit(y, x, 1)[0])))
    assert np.allclose(np.abs(angles), 30, atol=2)
    assert len({a > 0 for a in angles}) == 2


@pytest.mark.parametrize("degrees", [-40, 20])
def test_yaw_moves_the_mean_heads_points_as_a_turn_does(degrees: float) -> None:
    """Where the map says that pixels come from, against the projection of the points themselves."""
    x, y = yaw_map(SIDE, float(degrees))
    angle = math.radians(degrees)
    before = (MEAN[:, :2] * UNIT + MIDDLE) * SIDE
    column = ((math.cos(angle) * MEAN[:, 0] + math.sin(angle) * (MEAN[:, 2] - 0.15)) * UNIT + MIDDLE[0]) * SIDE
    # points of the midline and the nearer half of the inner face are seen for certain
    near = [i for i in range(17, 68) if MEAN[i, 0] * np.sign(degrees) <= 0.1]
    for i in near:
        row, place = int(before[i, 1]), int(np.clip(column[i], 0, SIDE - 1))
        assert abs(x[row, place] + 0.5 - before[i, 0]) < 2.0
        assert y[row, place] == row
    turned = MEAN @ np.array([[math.cos(angle), 0, -math.sin(angle)], [0, 1, 0], [math.sin(angle), 0, math.cos(angle)]])
    assert yaw_of(turned[:, :2] * 100) == pytest.approx(degrees, abs=0.1)


# measuring


def face_set(count: int = 24, seed: int = 0) -> FaceSet:
    labels = load("mien-s").spec.labels
    truth = np.random.default_rng(seed).integers(0, len(labels), count)
    truth[0] = -1
    targets = np.eye(len(labels), dtype=np.float32)[truth]
    split = np.full(count, 2)
    return FaceSet(faces(count, seed=seed), targets, truth, split, labels, np.arange(count), {})


def restorer_file(path: Path, side: int | None = None, outputs: int = 1) -> Path:
    """A network that turns faces into their negatives."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    shape = ["n", 1, side or "s", side or "s"]
    nodes = [helper.make_node("Neg", ["face"], ["minus"]), helper.make_node("Add", ["minus", "one"], ["out"])]
    if outputs == 2:
        nodes.append(helper.make_node("Concat", ["out", "out"], ["both"], axis=1))
    name, wide = ("out", 1) if outputs == 1 else ("both", 2)
    graph = helper.make_graph(
        nodes,
        "negative",
        [helper.make_tensor_value_info("face", kind, shape)],
        [helper.make_tensor_value_info(name, kind, ["n", wide, *shape[2:]])],
        [helper.make_tensor("one", kind, [1], [1.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_restorer_runs_any_file_of_its_kind(tmp_path: Path) -> None:
    grey = faces(5)
    restore = FaceMap(restorer_file(tmp_path / "negative.onnx"), 1)
    assert np.array_equal(restore(grey, batch=2), 255 - grey)
    assert restore(grey[:0]).shape == (0, SIDE, SIDE)
    fixed = FaceMap(restorer_file(tmp_path / "fixed.onnx", side=24), 1)
    assert fixed(grey).shape == grey.shape
    colour = restore(faces(2, colour=True))
    assert colour.shape == (2, SIDE, SIDE, 3)
    luma = [cv2.cvtColor(c, cv2.COLOR_RGB2GRAY).mean() for c in (faces(2, colour=True)[0], colour[0])]
    assert abs(sum(luma) - 255) < 12
    with pytest.raises(WeightsError, match="no such file"):
        FaceMap(tmp_path / "none.onnx")
    with pytest.raises(WeightsError, match="same shape"):
        FaceMap(restorer_file(tmp_path / "two.onnx", outputs=2))(grey)
    from mien.pipeline.store import find_file

    with pytest.raises(WeightsError, match="restorer takes"):
        FaceMap(find_file("mien-s"))


def test_conditions_and_what_is_drawn() -> None:
    everything = conditions()
    assert everything[0] == ("clean", 0.0)
    assert len(everything) == 1 + sum(len(h.strengths) for h in HARMS.values())
    assert conditions(["jpeg"]) == [("clean", 0.0)] + [("jpeg", s) for s in HARMS["jpeg"].strengths]
    with pytest.raises(UnknownName):
        conditions(["fog"])
    grey = faces(4)
    assert spoil(grey, "clean", 0.0, 0) is grey
    assert np.array_equal(spoil(grey, "dark", 2, 5), spoil(grey, "dark", 2, 5))
    assert not np.array_equal(spoil(grey, "dark", 2, 5), spoil(grey, "dark", 2, 6))
    kept = sample(face_set(), 10, 0)
    assert len(kept) == 10
    assert (kept.majority >= 0).all()
    assert len(sample(face_set(), 0, 0)) == 23


def test_measure_scores_goes_on_and_refuses_other_faces(tmp_path: Path) -> None:
    model, some = load("mien-s", threads=1), sample(face_set(), 0, 0)
    calls: list[str] = []
    ways = {"darker": lambda crops: crops // 2, "noise": lambda crops: faces(len(crops), seed=9)}
    known = measure({"mien-s": model}, some, ways, tmp_path, harms=["blur"], seed=1, say=calls.append)
    assert len(known) == len(calls) == 6 * 3
    spoilt = spoil(some.pixels, "blur", 0.02, 1)
    assert np.array_equal(known["mien-s", "blur", 0.02, "plain"], [int(model([face]).argmax()) for face in spoilt])
    darker = [int(model([face // 2]).argmax()) for face in spoilt]
    assert np.array_equal(known["mien-s", "blur", 0.02, "darker"], darker)
    # a run that was broken off: the last line is lost, and only that is made again
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    calls.clear()
    again = measure({"mien-s": model}, some, ways, tmp_path, harms=["blur"], seed=1, say=calls.append)
    assert len(calls) == 1
    assert all(np.array_equal(again[key], known[key]) for key in known)
    for other, stamp in ((sample(face_set(seed=3), 0, 0), {}), (some, {"darker": "another file"})):
        with pytest.raises(DataError, match="another --out"):
            measure({"mien-s": model}, other, ways, tmp_path, harms=["blur"], seed=1, stamps=stamp)
    strange = FaceSet(some.pixels, some.targets, some.majority, some.split, ("cross", *some.labels[1:]), some.group, {})
    with pytest.raises(DataError, match="does not know cross"):
        measure({"mien-s": model}, strange, {}, tmp_path / "strange")


def test_rows_against_loops() -> None:
    some = sample(face_set(40), 0, 0)
    random, n = np.random.default_rng(0), 39
    plain = np.where(random.random(n) < 0.5, some.majority, 0)
    other = np.where(random.random(n) < 0.7, some.majority, 1)
    copied = random.random(n) < 0.3
    answers = {("w", "dark", 1.0, "plain"): plain, ("w", "dark", 1.0, "calm"): other}
    first, second = rows(answers, some, copied)
    right = [int(a == t) for a, t in zip(other, some.majority, strict=True)]
    before = [int(a == t) for a, t in zip(plain, some.majority, strict=True)]
    assert second.accuracy == pytest.approx(sum(right) / n)
    assert second.distinct == pytest.approx(np.mean([r for r, c in zip(right, copied, strict=True) if not c]))
    assert second.gain == pytest.approx(100 * (sum(right) - sum(before)) / n)
    assert (first.gain, first.p) == (0.0, 1.0)
    recall = pytest.importorskip("sklearn.metrics").balanced_accuracy_score(some.majority, other)
    assert second.uar == pytest.approx(recall)
    shared = sum((r - b) ** 2 for r, b in zip(right, before, strict=True)) / n
    error = math.sqrt((shared - ((sum(right) - sum(before)) / n) ** 2) / n)
    assert second.gain_high - second.gain == pytest.approx(196 * error)
    scipy = pytest.importorskip("scipy.stats")
    inside = scipy.binomtest(sum(right), n).proportion_ci(0.95, "wilson")
    assert wilson(sum(right), n) == pytest.approx((inside.low, inside.high), abs=1e-4)
    lost = sum(b and not r for r, b in zip(right, before, strict=True))
    won = sum(r and not b for r, b in zip(right, before, strict=True))
    assert second.p == pytest.approx(scipy.binomtest(won, won + lost).pvalue)


def test_gain_of_equal_answers_is_nothing() -> None:
    truth = np.arange(5)
    assert gain(truth, truth, truth) == (0.0, 0.0, 0.0)


def test_copies_are_those_of_another_split() -> None:
    base = face_set(6)
    extra = {"same_pixels_as": np.array([0, 1, 1, 3, 3, 5])}
    split = np.array([0, 0, 2, 2, 2, 2])
    truth = np.array([0, 1, 1, 2, 2, -1])
    everything = FaceSet(base.pixels, base.targets, truth, split, base.labels, base.group, extra)
    # row 2 is row 1's copy; 3 and 4 are each other's, in one split; 5 has no label
    assert copies(everything, 2).tolist() == [True, False, False]
    assert not copies(base, 2).any()


def made_rows() -> list[Row]:
    blank = (40, 0.5, 0.4, 0.6, 0.45, float("nan"), 0.0, 0.0, 0.0, 1.0)
    made = [Row("s", "clean", 0.0, "", way, *blank) for way in ("plain", "clahe")]
    for harm in ("dark", "blur"):
        made += [
            Row("s", harm, x, HARMS[harm].unit, w, *blank) for x in HARMS[harm].strengths for w in ("plain", "clahe")
        ]
    return made


def test_figure_and_files(tmp_path: Path) -> None:
    made = made_rows()
    found = panels(made)
    assert list(found) == ["dark", "blur"]
    assert list(found["dark"].lines) == ["s", "s, clahe"]
    assert found["blur"].lines["s"] == [(x, 0.5) for x in HARMS["blur"].strengths]
    robust_figure(made, tmp_path / "robust.png")
    picture = cv2.imread(str(tmp_path / "robust.png"))
    assert picture.shape[1] == 1800
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
    write_rows(made, {"data": "made"}, tmp_path)
    with open(tmp_path / "robust.csv", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(made)
    assert (table[2]["harm"], table[2]["accuracy"], table[2]["distinct"]) == ("dark", "0.5", "")
    told = json.loads((tmp_path / "robust.json").read_text())
    assert told["data"] == "made"
    assert told["rows"][0]["distinct"] is None
    with pytest.raises(DataError, match="at least one degradation"):
        robust_figure(made[:2], tmp_path / "none.png")
    with pytest.raises(DataError, match="nothing"):
        write_rows([], {}, tmp_path)


def test_the_verb_on_a_fake(tmp_path: Path) -> None:
    fake(tmp_path / "data")
    out = tmp_path / "out"
    line = ["bench", "robust", "mien-s", "--data", str(tmp_path / "data"), "--out", str(out), "--harm", "jpeg"]
    line += ["--light", "clahe", "--pose", "upright", "--threads", "1"]
    line += ["--restore", str(restorer_file(tmp_path / "negative.onnx"))]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    assert "| mien-s | jpeg | 50 | clahe |" in done.output
    told = json.loads((out / "robust.json").read_text())
    assert len(told["rows"]) == 6 * 4
    assert {row["way"] for row in told["rows"]} == {"plain", "clahe", "upright", "restore"}
    for wrong in (["--split", "train"], ["--light", "candle"], ["--harm", "fog"], ["--pose", "back"]):
        with pytest.raises(MienError):
            CliRunner().invoke(app, [*line, *wrong], catch_exceptions=False)


def test_accuracy_falls_on_real_faces(tmp_path: Path) -> None:
    """Validation faces: hiding more costs more, and the clean figure is that of the model's card."""
    data = data_folder("fer2013")
    made = compare(["mien-s"], data, tmp_path, split="val", count=120, harms=["occluders"], threads=1)
    shown = [row.accuracy for row in made]
    assert shown[0] > 0.78
    assert shown[0] > shown[3] > shown[6]
    assert shown[6] < 0.6
    assert made[0].way == bench.PLAIN
