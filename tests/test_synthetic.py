"""Synthetic clips: the same bytes from the same seed, truth that agrees with the mesh; event matching by hand."""

from __future__ import annotations

import csv
import filecmp
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import data_folder
from mien.bench import events as bench
from mien.bench.events import Span, Tally, match
from mien.cli import app
from mien.datasets import DATASETS
from mien.datasets.ict import FaceModel
from mien.datasets.ict_paint import Painter
from mien.datasets.synthetic import COLUMNS, fake, fake_model, read_truth, synthesise
from mien.datasets.synthetic_motion import MACRO, MICRO, Pulse, draw_course, draw_pulse
from mien.datasets.synthetic_recipes import ACTION_UNITS, RECIPES, coefficients, shapes_of
from mien.datasets.synthetic_scene import OCCLUDERS, Settings, draw_person, frames, occlude, plan, still
from mien.errors import DataError
from mien.events.event import temporal_iou
from mien.labels import CKPLUS7

RUN = CliRunner()
TINY = Settings(people=1, clips=2, fps=10, size=48, noise=4.0, motion=1.0, light=1.0, occluder="glasses", depth=True)


@pytest.fixture(scope="module")
def ict(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ict")
    fake_model(root)
    return root


@pytest.fixture(scope="module")
def made(ict: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    assert [kept for _, kept in synthesise(ict, root, TINY)] == [False, False]
    return root


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_the_same_seed_gives_the_same_bytes(ict: Path, made: Path, tmp_path: Path) -> None:
    list(synthesise(ict, tmp_path / "again", TINY))
    list(synthesise(ict, tmp_path / "other", replace(TINY, seed=1)))
    names = files(made)
    assert len(names) == 2 + 2 * 4
    assert files(tmp_path / "again") == names
    same, different, errors = filecmp.cmpfiles(made, tmp_path / "again", names, shallow=False)
    assert (len(same), different, errors) == (len(names), [], [])
    assert not filecmp.cmp(made / "truth.csv", tmp_path / "other" / "truth.csv", shallow=False)


def test_the_bytes_do_not_depend_on_what_was_in_memory(made: Path, ict: Path, tmp_path: Path) -> None:
    script = "import sys; from mien.cli import app; app(sys.argv[1:])"
    options = ["--people", "1", "--clips", "1", "--fps", "10", "--size", "48", "--noise", "4", "--motion", "1"]
    options += ["--light", "1", "--occluder", "glasses"]
    for fill in (3, 170, 255):
        out = tmp_path / str(fill)
        command = [sys.executable, "-c", script, "data", "synthesise", str(ict), "--out", str(out), *options]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "MALLOC_PERTURB_": str(fill)})
        name = "clips/000-000-anger.mp4"
        assert filecmp.cmp(made / name, out / name, shallow=False), fill


def test_a_clip_does_not_depend_on_how_many_others_there_are(ict: Path, made: Path, tmp_path: Path) -> None:
    list(synthesise(ict, tmp_path, replace(TINY, clips=1)))
    for name in files(tmp_path):
        if Path(name).stem.startswith("000-"):
            assert filecmp.cmp(made / name, tmp_path / name, shallow=False), name


def test_a_stopped_run_goes_on_and_other_settings_are_refused(ict: Path, made: Path, tmp_path: Path) -> None:
    run = synthesise(ict, tmp_path, TINY)
    next(run)
    run.close()
    assert len(read_truth(tmp_path)) == 1
    steps = list(synthesise(ict, tmp_path, TINY))
    assert [kept for _, kept in steps] == [True, False]
    (tmp_path / "stills" / f"{steps[0][0]}.png").unlink()
    assert [kept for _, kept in synthesise(ict, tmp_path, TINY)] == [False, True]
    assert all(filecmp.cmp(made / name, tmp_path / name, shallow=False) for name in files(made))
    with pytest.raises(DataError, match="was made with"):
        list(synthesise(ict, tmp_path, replace(TINY, noise=5.0)))


@pytest.mark.parametrize("micro", [False, True])
def test_curves_are_smooth_and_their_truth_exact(micro: bool) -> None:
    fps = 100 if micro else 25
    low, high = (sum(part[k] for part in (MICRO if micro else MACRO)[1:4]) for k in (0, 1))
    for seed in range(50):
        pulse = draw_pulse(np.random.default_rng(seed), fps, micro)
        curve = pulse.curve()
        moving = np.flatnonzero(curve > 0)
        assert moving[0] == pulse.onset + 1
        assert moving[-1] == pulse.offset - 1
        assert np.flatnonzero(curve == curve.max()).tolist() == [pulse.apex]
        assert curve[pulse.apex] == pytest.approx(1)
        assert curve.min() >= 0
        rise = np.diff(curve[: pulse.apex + 1])
        assert rise.min() >= 0
        assert np.diff(curve[pulse.apex :]).max() <= 0
        # the steepest step of a minimum-jerk rise is 1.875 of the mean one
        assert np.abs(np.diff(curve)).max() <= 1.9 / min(pulse.rise, pulse.fall)
        assert low - 2 / fps <= (pulse.offset - pulse.onset) / fps <= high + 2 / fps
        assert pulse.offset < pulse.frames


def test_truth_agrees_with_the_mesh(ict: Path) -> None:
    model = FaceModel(ict)
    settings = Settings(people=1, clips=1, fps=25, size=48)
    clip = plan(settings)[0]
    person = draw_person(Painter(model), 0, 0, 48)
    drawn = [r.expression for r in frames(model, person, clip, settings)]
    away = [np.linalg.norm(model.shape(person.identity, e) - person.rest, axis=1).mean() for e in drawn]
    assert len(away) == clip.pulse.frames
    assert int(np.argmax(away)) == clip.pulse.apex
    moved = np.flatnonzero(np.array(away) > 1e-3 * max(away))
    assert abs(moved[0] - clip.pulse.onset) <= 2
    assert abs(moved[-1] - clip.pulse.offset) <= 2


def test_a_still_head_keeps_its_place_when_the_jaw_opens(ict: Path) -> None:
    model = FaceModel(ict)
    person = draw_person(Painter(model), 0, 0, 96)
    values = np.zeros(len(model.expressions))
    values[0] = 1
    rest, opened = (model.render(person.identity, v, size=96, rest=person.rest).landmarks for v in (values * 0, values))
    low = model.neutral[model.landmarks, 1] < -2
    assert low.any()
    np.testing.assert_allclose(opened[~low], rest[~low], atol=1e-3)
    assert (opened[low, 1] > rest[low, 1] + 1).all()


def test_recipes_name_known_units_and_follow_their_sources() -> None:
    assert tuple(RECIPES) == CKPLUS7
    units = {label: [part.unit for part in parts] for label, parts in RECIPES.items()}
    assert units["happiness"] == [6, 12]
    assert {1, 4, 15} <= set(units["sadness"])
    assert units["surprise"] == [1, 2, 5, 26]
    assert units["fear"] == [1, 2, 4, 5, 7, 20, 26]
    assert {4, 5, 7, 23} <= set(units["anger"])
    assert {9, 15, 17} <= set(units["disgust"])
    assert all(part.unit in ACTION_UNITS for parts in RECIPES.values() for part in parts)
    assert all(name.endswith("_R") for name in shapes_of("contempt"))
    both = coefficients(("mouthSmile_L", "mouthDimple_R", "mouthSmile_R"), "contempt", 0.5)
    np.testing.assert_allclose(both, [0, 0.5, 0.3], atol=1e-6)
    with pytest.raises(DataError, match="no recipe for 'joy'"):
        shapes_of("joy")
    with pytest.raises(DataError, match="no shape mouthSmile_R"):
        coefficients(("mouthDimple_R",), "contempt")


def test_motion_is_smooth_and_off_where_it_is_not_wanted() -> None:
    times = np.arange(200) / 25
    still_ = draw_course(np.random.default_rng(0), times, 100, 0, 0)
    assert all(not getattr(still_, name).any() for name in ("pose", "shift", "light"))
    assert (still_.zoom == 1).all()
    assert (still_.gain == 1).all()
    poses = [draw_course(np.random.default_rng(seed), times, 100, 1, 1).pose for seed in range(30)]
    assert 5 < np.std([pose[:, 0] for pose in poses]) < 11
    assert max(np.abs(np.diff(pose, axis=0)).max() for pose in poses) < 3


@pytest.mark.parametrize("kind", OCCLUDERS)
def test_occluders_follow_the_face(kind: str, ict: Path) -> None:
    model = FaceModel(ict)
    picture = still(model, draw_person(Painter(model), 0, 0, 96), "happiness", size=96)
    points = np.array([[30 + 40 * (k % 8) / 8, 30 + 40 * (k // 8) / 8] for k in range(68)], np.float32)
    here, there = picture.image.copy(), picture.image.copy()
    occlude(here, points, kind, np.random.default_rng(1))
    occlude(there, points + np.float32([5, 0]), kind, np.random.default_rng(1))
    covered = [np.argwhere((image != picture.image).any(2)) for image in (here, there)]
    if kind == "none":
        assert not len(covered[0])
    else:
        assert len(covered[0]) > 20
        assert covered[1][:, 1].mean() - covered[0][:, 1].mean() == pytest.approx(5, abs=0.7)


def test_the_reader(made: Path) -> None:
    index = DATASETS.create("synthetic", root=made)
    assert index.labels == CKPLUS7
    assert [index.labels[k] for k in index.majority] == list(CKPLUS7[:2])
    clip, points, depth = (index.media[name][0] for name in ("frames", "points", "depth"))
    assert points.shape == (len(clip), 68, 2)
    assert index.media["face"][0].shape == clip.shape[1:] == (48, 48, 3)
    assert depth.shape == (48, 48)
    assert 0 < np.isfinite(depth).mean() < 1
    assert 40 < depth[np.isfinite(depth)].min() < 110
    pulse = plan(TINY)[0].pulse
    assert [int(index.extra[name][0]) for name in ("onset", "apex", "offset")] == [
        pulse.onset, pulse.apex, pulse.offset,
    ]  # fmt: skip
    assert index.extra["apex_s"][0] == pytest.approx(pulse.apex / 10)


def test_damage_is_named(tmp_path: Path) -> None:
    fake(tmp_path)
    text = (tmp_path / "truth.csv").read_text()
    for old, new, words in (
        (",anger,", ",rage,", "line 2: label 'rage'"),
        (",5\n", ",many\n", "fps is 'many'"),
        (text[text.index("\n") + 1 :], "", "lists no clip"),
    ):
        (tmp_path / "truth.csv").write_text(text.replace(old, new))
        with pytest.raises(DataError, match=words):
            read_truth(tmp_path)
    (tmp_path / "truth.csv").write_text(text)
    index = DATASETS.create("synthetic", root=tmp_path)
    np.save(index.media["points"].files(0)[0], np.zeros((3, 2)))
    index.media["points"].files(1)[0].write_text("no array")
    for row, words in ((0, r"shape \[3, 2\]"), (1, "damaged")):
        with pytest.raises(DataError, match=words):
            index.media["points"][row]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"intensity": 1.5}, "intensity 1.5: expected"),
        ({"people": 0}, "people 0: expected"),
        ({"size": 65}, "size 65: H.264 wants an even number, such as 66"),
        ({"occluder": "scarf"}, "occluder 'scarf': expected one of none, block"),
        ({"micro": True}, "give --fps 100"),
    ],
)
def test_settings_say_what_is_wrong(changes: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        replace(Settings(), **changes)  # type: ignore[arg-type]


def test_the_command_makes_clips(ict: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call = ["data", "synthesise", str(ict), "-o", str(out), "--people", "1", "--clips", "1", "--size", "48", "--micro"]
    assert RUN.invoke(app, call).exit_code == 0
    assert "(1 were here)" in RUN.invoke(app, call).output
    with open(out / "truth.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert (rows[0]["fps"], rows[0]["intensity"]) == ("100", "0.2")
    assert 0.1 <= float(rows[0]["offset_s"]) - float(rows[0]["onset_s"]) < 0.5


def test_overlap_and_matching_by_hand() -> None:
    true = [Span("fear", 1.0, 1.5, 2.0), Span("anger", 4.0, 4.5, 5.0)]
    assert temporal_iou(true[0], Span("x", 1.5, 2, 2.5)) == pytest.approx(0.5 / 1.5)
    assert temporal_iou(true[0], true[1]) == 0
    assert temporal_iou(Span("x", 1, 1, 1), Span("x", 1, 1, 1)) == 0
    found = [
        Span("fear", 0.9, 2.9, 3.0),  # half of it overlaps not: 1 / 2.1, and its apex lies outside
        Span("fear", 1.2, 1.4, 1.9),  # overlap 0.7
        Span("sadness", 1.0, 1.5, 2.0),  # the best, of another label
        Span("anger", 4.4, 4.95, 6.3),  # overlap 0.32: by its apex alone
        Span("anger", 4.0, 6.0, 5.2),  # overlap 1 / 1.2
    ]
    assert sorted(match(found, true)) == [(1, 0), (4, 1)]
    assert sorted(match(found, true, labels=False)) == [(2, 0), (4, 1)]
    assert match(found[:1], true) == []
    assert match(found[3:4], true) == [(0, 1)]
    assert match([Span("anger", 0.0, 4.5, 9.0)], true) == []  # the whole clip finds nothing
    assert match([], true) == match(found, []) == []


def test_a_tally_by_hand() -> None:
    tally = Tally()
    assert [tally.facts()[name] for name in ("precision", "recall", "f1", "apex_ms")] == [None] * 4
    tally.add([Span("a", 1.1, 1.5, 2.0), Span("b", 3, 3, 3)], [Span("a", 1.0, 1.6, 2.0)])
    tally.add([], [Span("a", 1.0, 1.6, 2.0)])
    tally.add([Span("a", 0.9, 1.6, 2.3)], [Span("a", 1.0, 1.6, 2.0)])
    facts = tally.facts()
    assert (facts["found"], facts["true"], facts["hits"]) == (3, 3, 2)
    assert facts["precision"] == facts["recall"] == facts["f1"] == pytest.approx(2 / 3, abs=1e-4)
    assert facts["errors_ms"] == [(100, -100, 0), (-100, 0, 300)]
    assert facts["onset_ms"] == [100, 100]
    assert facts["offset_ms"] == [150, 270]


def scripted(monkeypatch: pytest.MonkeyPatch, row: dict[str, str]) -> None:
    """Rows as if the pipeline had read the clip right, but for a delay of one frame."""
    pulse = next(c.pulse for c in plan(Settings(people=2, clips=4, fps=5, size=48)) if c.name in row["source"])
    share = np.clip(np.roll(Pulse.curve(pulse), 1), 0, 1)
    labels = (*CKPLUS7, "neutral")

    def read(path: Path, options: object) -> tuple[list[dict[str, object]], tuple[str, ...]]:
        rows = []
        for t, value in enumerate(share.tolist()):
            scores = dict.fromkeys((f"p_{label}" for label in labels), 0.0)
            scores |= {f"p_{row['label']}": value, "p_neutral": 1 - value}
            best = row["label"] if value > 0.4 else "neutral"
            rows.append({"source": str(path), "frame": t, "time_s": t / 5, "track": 0, "label": best, **scores})
        return rows, labels

    monkeypatch.setattr(bench, "read_clip", read)


def test_measuring_finds_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path)
    row = read_truth(tmp_path)[0]
    scripted(monkeypatch, row)
    lines = (tmp_path / "truth.csv").read_text().splitlines()
    (tmp_path / "truth.csv").write_text("\n".join(lines[:2]) + "\n")
    results = bench.measure(tmp_path)
    plain = {r["rule"]: r for r in results if r["way"] == "defaults"}
    assert [plain[rule]["f1"] for rule in bench.RULES] == [1, 1, 1, 1]
    assert plain["labels"]["rest_neutral"] > 0.9  # the delay costs a frame
    assert plain["labels"]["at_apex"] == [["anger", "anger"]]
    apex = plain["labels"]["errors_ms"][0][1]
    assert 0 <= apex <= 400
    (tmp_path / "truth.csv").write_text("\n".join([lines[0], lines[1].replace(",anger,", ",fear,")]) + "\n")
    wrong = {r["rule"]: r["f1"] for r in bench.measure(tmp_path) if r["way"] == "defaults"}
    assert wrong == {"labels": 0, "any label": 1, "activity": 1, "change": 1}


def test_the_bench_command(tmp_path: Path) -> None:
    made = tmp_path / "made"
    fake(made)
    out = tmp_path / "results.json"
    said = RUN.invoke(app, ["bench", "events", str(made), "--results", str(out), "--threads", "1"])
    assert said.exit_code == 0, said.output
    rows = json.loads(out.read_text())
    assert {row["rule"] for row in rows} == set(bench.RULES)
    assert {row["clips"] for row in rows} == {8}
    assert said.output.count("| made | defaults |") >= 1
    assert said.output.count("of 8, ") == len(rows)
    refused = RUN.invoke(app, ["bench", "events", str(tmp_path)])
    assert "holds no clips" in str(refused.exception)


def test_the_real_model_shows_what_its_recipes_say() -> None:
    model = FaceModel(data_folder("ict_facekit"))
    person = draw_person(Painter(model), 0, 0, 128)
    rest = still(model, person, size=128).landmarks

    def moved(label: str) -> np.ndarray:
        return still(model, person, label, size=128).landmarks - rest

    smile, sad, surprise, anger = (moved(label) for label in ("happiness", "sadness", "surprise", "anger"))
    assert (smile[[48, 54], 1] < -1).all()  # corners up and apart
    assert smile[54, 0] - smile[48, 0] > 2
    assert (sad[[48, 54], 1] > 1).all()
    assert (sad[[21, 22], 1] < -0.5).all()
    assert surprise[57, 1] > 4
    assert (surprise[17:27, 1] < -0.5).all()
    assert (anger[[20, 21, 22, 23], 1] > 0.5).all()
    one = moved("contempt")
    assert np.linalg.norm(one[48]) > 3 * np.linalg.norm(one[54])


def test_the_page_shows_the_recipes() -> None:
    page = Path(__file__).parent.parent / "docs" / "synthetic.md"
    if not page.is_file():
        pytest.skip("docs are not beside an installed package")
    lines = [line.split("|")[1:3] for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    shown = {name.strip(): text for name, text in lines}
    for label, parts in RECIPES.items():
        for part in parts:
            weight = r"(?! \()" if part.weight == 1 else rf" \({part.weight:g}\)"
            assert re.search(rf"\b{part.unit}\b{weight}", shown[label]), (label, part)
        units = re.findall(r"\d+", re.sub(r"\([\d.]+\)", "", shown[label]))
        assert [int(unit) for unit in units] == [part.unit for part in parts]
