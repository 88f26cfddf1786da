"""Micro-expressions, signals, speech and text: layout facts, label maps, malformed lines, real trees where at hand."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import data_folder
from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.bdf import read_bdf, write_bdf
from mien.datasets.deap import MIDDLE
from mien.datasets.micro import frame_number
from mien.datasets.pickles import load_arrays
from mien.datasets.seed4 import ORDER, TRIALS
from mien.datasets.workbooks import integer, read_rows, read_table, write_xlsx
from mien.errors import DataError


def made(name: str, root: Path) -> Index:
    """The fake of a data set, read."""
    DATASETS.names()
    FAKES[name](root)
    return DATASETS.create(name, root=root)


def counts(index: Index) -> dict[str, int]:
    """Samples of each class."""
    return {index.labels[k]: n for k, n in Counter(index.majority.tolist()).items() if k >= 0}


def edit(path: Path, change: Callable[[str], str]) -> None:
    """Rewrite a text file."""
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


# workbooks, pickles, BDF


def test_a_workbook_comes_back(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "a.xlsx", [["Remark & <so>"], ["Sub ject", "", "Onset"], ["01", "", 46], ["", "", ""]])
    assert read_rows(tmp_path / "a.xlsx")[1:3] == [(2, ["Sub ject", "", "Onset"]), (3, ["01", "", "46"])]
    assert read_table(tmp_path / "a.xlsx", ["Subject", "onset"]) == [(3, {"subject": "01", "onset": "46"})]
    with pytest.raises(DataError, match=r"a\.xlsx has no row with the columns Apex"):
        read_table(tmp_path / "a.xlsx", ["Apex"])
    assert "Remark & <so>" in read_rows(tmp_path / "a.xlsx")[0][1]


def test_workbooks_of_other_writers(tmp_path: Path) -> None:
    """Text in the cell, text in runs, a gap in rows and columns, a sheet that is not called sheet1."""
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    link = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
    parts = {
        "xl/workbook.xml": f'<workbook {space} {link}><sheets><sheet name="A" r:id="r9"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": '<Relationships><Relationship Id="r9" Target="/xl/worksheets/data.xml"/>'
        "</Relationships>",
        "xl/sharedStrings.xml": f"<sst {space}><si><r><t>Onset</t></r><r><t> Frame</t></r><rPh><t>x</t></rPh></si>"
        "</sst>",
        "xl/worksheets/data.xml": f'<worksheet {space}><sheetData><row r="3"><c r="B3" t="s"><v>0</v></c>'
        '<c r="AA3" t="inlineStr"><is><t>Apex</t></is></c></row><row r="7"><c r="B7"><v>46.0</v></c></row>'
        "</sheetData></worksheet>",
    }
    with zipfile.ZipFile(tmp_path / "c.xlsx", "w") as book:
        for name, text in parts.items():
            book.writestr(name, text)
    ((row, cells),) = read_table(tmp_path / "c.xlsx", ["Onset Frame", "Apex"])
    assert (row, cells) == (7, {"onsetframe": "46.0", "apex": ""})
    assert integer(cells, "Onset Frame", tmp_path, row) == 46


def test_a_damaged_workbook_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.xlsx").write_bytes(b"no zip")
    for name in ("bad.xlsx", "none.xlsx", "none.csv"):
        with pytest.raises(DataError, match=name):
            read_rows(tmp_path / name)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_pickles_hold_arrays_only(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "a.pkl"
    content = {"data": np.arange(6.0).reshape(2, 3), "id": np.array(["a", "b"], object), "n": np.float64(2), "b": b"x"}
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    found = load_arrays(path)
    assert np.array_equal(found["data"], content["data"])
    assert found["id"].tolist() == ["a", "b"]
    assert (found["n"], found["b"]) == (2, b"x")


class Bad:
    """Runs a command when a careless reader loads it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("harmed",)


def test_a_hostile_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps({"data": Bad()}))
    with pytest.raises(DataError, match="mkdir"):
        load_arrays(path)
    assert not Path("harmed").exists()
    path.write_bytes(b"\x80\x04 nonsense")
    with pytest.raises(DataError, match=r"bad\.pkl"):
        load_arrays(path)


def test_bdf_samples_come_back(tmp_path: Path) -> None:
    digital = np.array([[-8388608, -1, 0, 1, 2, 8388607], [32, 64, 96, 128, 160, 192], [0, 0, 0, 5, 0, 0]], np.int32)
    write_bdf(tmp_path / "a.bdf", ["Fp1", "EXG1", "Status"], digital, 3)
    names, rate, signals = read_bdf(tmp_path / "a.bdf", lambda name: name != "Status")
    assert (names, rate, signals.dtype) == (("Fp1", "EXG1"), 3.0, np.float32)
    # the header maps 2 ** 24 - 1 steps to 2 ** 19 microvolts
    assert np.allclose(signals, digital[:2] / 32, atol=0.1)
    (tmp_path / "b.bdf").write_bytes(b"0       ")
    for name, wanted in (("a.bdf", "Cz"), ("b.bdf", "Fp1"), ("c.bdf", "Fp1")):
        with pytest.raises(DataError, match=name):
            read_bdf(tmp_path / name, lambda label, wanted=wanted: label == wanted)


# micro-expressions


def test_frames_are_sorted_by_number() -> None:
    names = ["reg_img100.jpg", "reg_img46.jpg", "reg_img5.jpg"]
    assert [frame_number(Path(name)) for name in names] == [100, 46, 5]
    assert frame_number(Path("cover.jpg")) == -1


def test_casme2_codes(tmp_path: Path) -> None:
    index = made("casme2", tmp_path)
    assert counts(index) == dict.fromkeys(("disgust", "happiness", "others", "repression", "surprise"), 2)
    assert [path.name for path in index.media["frames"].files(0)] == [f"reg_img{n}.jpg" for n in range(40, 45)]
    assert index.media["frames"][0].shape == (5, 28, 23, 3)
    assert (index.extra["onset"][0], index.extra["apex"][0], index.extra["offset"][0]) == (40, 42, 44)
    assert index.extra["apex_index"].tolist()[:4] == [2, 2, 2, -1]
    three = DATASETS.create("casme2-3", root=tmp_path)
    assert counts(three) == {"positive": 2, "negative": 4, "surprise": 2}
    assert set(index.subject) == {"sub01", "sub02", "sub03"}


def test_casme2_survives_the_slips_of_its_sheet(tmp_path: Path) -> None:
    FAKES["casme2"](tmp_path)
    header = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Estimated Emotion"]
    write_xlsx(tmp_path / "CASME2-coding-20140508.xlsx", [header, [1, "EP00_01f", 41, 42, 30, "surprise"]])
    index = DATASETS.create("casme2", root=tmp_path)
    assert [path.name for path in index.media["frames"].files(0)] == [f"reg_img{n}.jpg" for n in range(41, 46)]
    write_xlsx(tmp_path / "CASME2-coding-20140508.xlsx", [header, [1, "EP00_01f", "early", 42, 44, "surprise"]])
    with pytest.raises(DataError, match=r"xlsx, row 2: OnsetFrame is 'early'"):
        DATASETS.create("casme2", root=tmp_path)
    write_xlsx(tmp_path / "CASME2-coding-20140508.xlsx", [header, [1, "EP77_01f", 41, 42, 44, "surprise"]])
    with pytest.raises(DataError, match="EP77_01f is missing"):
        DATASETS.create("casme2", root=tmp_path)


def test_samm_reads_below_its_remarks(tmp_path: Path) -> None:
    index = made("samm", tmp_path)
    assert counts(index) == dict.fromkeys(("anger", "contempt", "happiness", "others", "surprise"), 2)
    assert counts(DATASETS.create("samm-3", root=tmp_path)) == {"negative": 10, "positive": 2, "surprise": 2}
    assert len(DATASETS.create("samm-8", root=tmp_path)) == 16
    assert index.media["frames"].files(0)[0].name == "006_05560.jpg"
    assert set(index.extra["apex_index"]) == {2}


def test_smic_cameras(tmp_path: Path) -> None:
    index = made("smic", tmp_path)
    assert counts(index) == {"negative": 4, "positive": 4, "surprise": 4}
    assert set(index.subject) == {"s03", "s11"}
    assert set(index.extra["apex"]) == {-1}
    assert "NIR" in str(DATASETS.create("smic-nir", root=tmp_path).media["frames"].files(0)[0])
    (tmp_path / "SMIC_all_cropped" / "HS" / "s03" / "micro" / "bored" / "s3_bo_01").mkdir(parents=True)
    with pytest.raises(DataError, match="bored"):
        DATASETS.create("smic", root=tmp_path)


def test_the_two_lists_of_the_composite_agree(tmp_path: Path) -> None:
    first = made("megc2019", tmp_path)
    assert counts(first) == {"negative": 3, "positive": 3, "surprise": 3}
    assert set(first.subject) == {"samm-006", "casme2-sub01", "smic-s01"}
    assert first.media["flow"].files(0)[0].name.endswith(" .png")
    (tmp_path / "labels.csv").unlink()
    lines = [f"samm,6,006_1_{n + 2},{n}" for n in range(3)]
    lines += [f"casme2,sub01,EP19_0{n + 2},{n}" for n in range(3)] + [f"smic,s01,s1_ne_0{n + 2},{n}" for n in range(3)]
    (tmp_path / "combined_3class_gt.csv").write_text("\n".join(lines))
    second = DATASETS.create("megc2019", root=tmp_path)
    assert second.subject.tolist() == first.subject.tolist()
    for modality in ("flow", "face"):
        assert [second.media[modality].files(i) for i in range(9)] == [first.media[modality].files(i) for i in range(9)]
    edit(tmp_path / "combined_3class_gt.csv", lambda text: text.replace("samm,6,006_1_3,1", "samm,6,006_1_3,7"))
    with pytest.raises(DataError, match=r"row 2.*class '7'"):
        DATASETS.create("megc2019", root=tmp_path)


# EEG


def test_seed4_reads_the_official_files(tmp_path: Path) -> None:
    scipy = pytest.importorskip("scipy.io")
    random = np.random.default_rng(0)
    cubes = {f"de_LDS{trial}": random.normal(size=(62, 3 + trial, 5)) for trial in range(1, 25)}
    for session in (1, 2, 3):
        folder = tmp_path / "eeg_feature_smooth" / str(session)
        folder.mkdir(parents=True)
        scipy.savemat(folder / "12_20150725.mat", cubes)
    index = DATASETS.create("seed-iv", root=tmp_path)
    assert len(index) == 72
    assert counts(index) == dict.fromkeys(("neutral", "sadness", "fear", "happiness"), 18)
    trial = index.media["eeg"][1]
    assert trial.shape == (5, 310)
    assert np.allclose(trial[4, 5 * 61 + 3], cubes["de_LDS2"][61, 4, 3])
    (tmp_path / "eeg_feature_smooth" / "3" / "12_20150725.mat").write_bytes(b"")
    with pytest.raises(DataError, match=r"12_20150725\.mat is (missing or )?no (readable )?MATLAB file"):
        index.media["eeg"][71]
    scipy.savemat(folder / "12_20150725.mat", {key: cube[:, :, :4] for key, cube in cubes.items()})
    with pytest.raises(DataError, match=r"12_20150725\.mat: its trials are not 62 channels"):
        DATASETS.create("seed-iv", root=tmp_path).media["eeg"][70]
    (tmp_path / "eeg_feature_smooth" / "1" / "notes.mat").write_text("")
    with pytest.raises(DataError, match=r"notes\.mat"):
        DATASETS.create("seed-iv", root=tmp_path)


def test_deap_ratings_from_the_table_or_the_signals(tmp_path: Path) -> None:
    index = made("deap", tmp_path)
    assert index.media["eeg"][0].shape == (32, 64)
    assert index.media["physio"][0].shape == (8, 64)
    assert (index.majority == (index.extra["valence"] > 0)).all()
    assert np.abs(index.extra["arousal"]).max() <= 1
    again = DATASETS.create("deap", root=tmp_path)  # from the cache
    assert np.array_equal(again.extra["valence"], index.extra["valence"])
    header = "Participant_id,Trial,Experiment_id,Start_time,Valence,Arousal,Dominance,Liking,Familiarity"
    rows = [f"{p},{6 - v},{v},0,{v},{9 - v},5,5,1" for p in (1, 2) for v in (5, 4, 3, 2, 1)]
    (tmp_path / "participant_ratings.csv").write_text("\n".join([header, *rows]))
    table = DATASETS.create("deap", root=tmp_path)
    # in the order of the videos, as the signals are
    assert np.allclose(table.extra["valence"][:5], (np.arange(1, 6) - MIDDLE) / 4)
    edit(tmp_path / "participant_ratings.csv", lambda text: text.replace("2,1,5,0,5", "2,1,5,0,good"))
    with pytest.raises(DataError, match="row 7: a rating is no number"):
        DATASETS.create("deap", root=tmp_path)


def test_damaged_signals_are_named(tmp_path: Path) -> None:
    index = made("seed-iv", tmp_path / "seed")
    archive = tmp_path / "seed" / "seed_iv_de_lds.npz"
    for content in (b"", b"PK\x03\x04 cut short"):
        archive.write_bytes(content)
        for read in (lambda: index.media["eeg"][0], lambda: DATASETS.create("seed-iv", root=tmp_path / "seed")):
            with pytest.raises(DataError, match=r"seed_iv_de_lds\.npz"):
                read()
    made("deap", tmp_path / "deap")
    folder = tmp_path / "deap" / "data_preprocessed_python"
    for cache in folder.glob(".ratings*"):
        cache.write_bytes(b"half written")
    assert len(DATASETS.create("deap", root=tmp_path / "deap")) == 10
    (folder / "s03.dat").write_bytes(pickle.dumps({"data": np.zeros((5, 3, 2)), "labels": np.zeros((5, 4))}))
    with pytest.raises(DataError, match=r"s03\.dat: data \(5, 3, 2\)"):
        DATASETS.create("deap", root=tmp_path / "deap")


@pytest.mark.parametrize("name", ["deap-features", "mahnob-features"])
def test_features_name_a_bad_line(name: str, tmp_path: Path) -> None:
    made(name, tmp_path)
    (folder,) = tmp_path.iterdir()
    edit(folder / "valence_arousal_label.txt", lambda text: "3" + text[1:])
    with pytest.raises(DataError, match=r"valence_arousal_label\.txt, row 1: 3"):
        DATASETS.create(name, root=tmp_path)
    edit(folder / "subject_video.txt", lambda text: text.replace("\t2\n", "\ttwo\n"))
    with pytest.raises(DataError, match=r"subject_video\.txt, line 2"):
        DATASETS.create(name, root=tmp_path)


def test_mahnob_sessions(tmp_path: Path) -> None:
    index = made("mahnob", tmp_path)
    assert len(index) == 8  # the ninth is of the tagging experiment
    assert index.majority.tolist().count(-1) == 1  # an emotion outside the nine
    assert index.media["eeg"][0].shape == (32, 64)
    assert index.media["physio"][0].shape == (7, 64)
    assert index.extra["valence"].tolist()[:2] == [1.0, 0.75]
    edit(tmp_path / "Sessions" / "2" / "session.xml", lambda text: text.replace('feltArsl="1"', 'feltArsl="low"'))
    with pytest.raises(DataError, match="feltArsl is 'low'"):
        DATASETS.create("mahnob", root=tmp_path)


# speech


def test_emodb_names(tmp_path: Path) -> None:
    index = made("emodb", tmp_path)
    assert set(counts(index).values()) == {2}
    assert index.extra["gender"].tolist()[0] == "male"
    assert index.extra["gender"].tolist()[-1] == "female"
    (tmp_path / "wav" / "03a01Xa.wav").write_bytes(b"")
    with pytest.raises(DataError, match="03a01Xa"):
        DATASETS.create("emodb", root=tmp_path)


def test_casia_folders(tmp_path: Path) -> None:
    index = made("casia-speech", tmp_path / "CASIA database")
    assert len(DATASETS.create("casia-speech", root=tmp_path)) == len(index) == 12
    assert set(index.subject) == {"liuchanhg", "wangzhe"}
    (tmp_path / "CASIA database" / "wangzhe" / "bored").mkdir()
    (tmp_path / "CASIA database" / "wangzhe" / "bored" / "201.wav").write_bytes(b"")
    with pytest.raises(DataError, match="bored"):
        DATASETS.create("casia-speech", root=tmp_path)


def test_cheavd_splits(tmp_path: Path) -> None:
    index = made("cheavd", tmp_path)
    assert [len(index.part(split)) for split in ("train", "val", "test")] == [8, 4, 4]
    edit(tmp_path / "val" / "val_label.txt", lambda text: text.replace("anxious", "blissful"))
    with pytest.raises(DataError, match=r"val_label\.txt, line 2: 'val_0002 blissful'"):
        DATASETS.create("cheavd", root=tmp_path)
    edit(tmp_path / "val" / "val_label.txt", lambda text: text.replace("blissful", "sad").replace("val_0004", "lost"))
    with pytest.raises(DataError, match=r"line 4: .* no film lost"):
        DATASETS.create("cheavd", root=tmp_path)


def test_iemocap_classes_and_turns(tmp_path: Path) -> None:
    index = made("iemocap", tmp_path)
    assert len(index) == 16
    assert index.majority.tolist().count(-1) == 2  # xxx
    assert index.media["text"][0] == "Excuse me, number 0."
    assert set(index.subject) == {"Ses01F", "Ses01M", "Ses02F", "Ses02M"}
    assert set(index.extra["session"]) == {1, 2}
    assert np.allclose(index.extra["valence"], -0.25)
    four = DATASETS.create("iemocap-4", root=tmp_path)
    assert counts(four) == {"neutral": 4, "anger": 2, "happiness": 4, "sadness": 2}
    marked = DATASETS.create("iemocap-mocap", root=tmp_path)
    assert marked.media["points"][0].shape == (4, 55, 3)
    assert marked.extra["marked"].all()
    path = tmp_path / "Session2" / "dialog" / "EmoEvaluation" / "Ses02F_impro01.txt"
    edit(path, lambda text: text.replace("\tang\t", "\tmad\t"))
    with pytest.raises(DataError, match=r"Ses02F_impro01\.txt, line 7: .*mad"):
        DATASETS.create("iemocap", root=tmp_path)


# text and features


def test_mosi_rows_are_aligned(tmp_path: Path) -> None:
    index = made("mosi", tmp_path)
    assert (len(index.part("train")), len(index.part("test"))) == (6, 6)
    assert index.extra["sequence"].tolist()[:4] == ["video0", "video0", "video0", "video1"]
    path = tmp_path / "data" / "audio" / "audio_test0.csv"
    edit(path, lambda text: text.replace('"0"\n', '"1"\n', 1))
    with pytest.raises(DataError, match="of one release"):
        DATASETS.create("mosi", root=tmp_path)
    edit(path, lambda text: '"loud",' + text)
    with pytest.raises(DataError, match=r"audio_test0\.csv, line 1"):
        DATASETS.create("mosi", root=tmp_path)


def test_mosei_classes(tmp_path: Path) -> None:
    index = made("mosei", tmp_path)
    assert [len(index.part(split)) for split in ("train", "val", "test")] == [6, 3, 3]
    assert counts(index) == {"negative": 4, "neutral": 4, "positive": 4}
    assert index.extra["sequence"].tolist()[:3] == ["train0", "train0", "train1"]
    assert np.isfinite(index.media["audio"][0]).all()
    two = DATASETS.create("mosei-2", root=tmp_path)
    assert counts(two) == {"negative": 4, "positive": 4}
    assert np.isclose(two.extra["valence"][0], -2 / 3)


def test_mosei_reads_the_tool_kits_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    content = {}
    for part in ("train", "valid", "test"):
        features = {key: random.normal(size=(2, 3, 4)) for key in ("text", "audio", "vision")}
        ids, text = np.array([f"{part}$_$0", f"{part}$_$1"]), np.array(["so", "no"])
        content[part] = {**features, "id": ids, "raw_text": text, "regression_labels": np.array([-1.0, 3.0])}
    path = tmp_path / "aligned_50.pkl"
    path.write_bytes(pickle.dumps(content))
    index = DATASETS.create("mosei", root=tmp_path)
    assert index.extra["sequence"].tolist() == ["train"] * 2 + ["valid"] * 2 + ["test"] * 2
    assert index.extra["transcript"].tolist()[:2] == ["so", "no"]
    assert index.media["video"][0].dtype == np.float32
    content["test"]["regression_labels"] = np.array([-1.0, 4.0])
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match="label 1 of test is 4"):
        DATASETS.create("mosei", root=tmp_path)
    del content["valid"]
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match="no parts"):
        DATASETS.create("mosei", root=tmp_path)


def test_rover_table(tmp_path: Path) -> None:
    index = made("rover", tmp_path)
    assert counts(index) == {"negative": 3, "neutral": 3, "positive": 3}
    assert set(index.group) == {"#Anchor One", "#Guest Two"}
    edit(tmp_path / "annotations.csv", lambda text: text.replace("One,neutral,neutral", "One,angry,neutral", 1))
    with pytest.raises(DataError, match=r"annotations\.csv, row \d+: sentiment is 'angry'"):
        DATASETS.create("rover", root=tmp_path)


# real trees


def test_real_megc2019() -> None:
    index = DATASETS.create("megc2019", root=data_folder("megc2019_htnet"))
    assert counts(index) == {"negative": 250, "positive": 109, "surprise": 83}
    assert Counter(index.extra["part"].tolist()) == {"smic": 164, "casme2": 145, "samm": 133}
    assert len(set(index.subject)) == 68
    flow = np.stack([index.media["flow"][row] for row in range(0, 442, 20)])
    assert flow.shape[1:] == (28, 28, 3)
    # u and v lie about the middle of the range; strain, the third, is small almost everywhere
    assert np.median(flow[..., 2]) < 40 < 100 < np.median(flow[..., :2])
    assert index.media["face"][441].shape == (224, 224, 3)
    assert all(index.media["flow"].files(row)[0].is_file() for row in range(442))


def test_real_seed4() -> None:
    index = DATASETS.create("seed-iv", root=data_folder("seed4"))
    assert counts(index) == dict.fromkeys(("neutral", "sadness", "fear", "happiness"), 270)
    assert Counter(index.subject.tolist()) == {f"s{person:02d}": 72 for person in range(1, 16)}
    session, trial = index.extra["session"], index.extra["trial"]
    printed = [index.labels.index(ORDER[TRIALS[s][t - 1]]) for s, t in zip(session, trial, strict=True)]
    assert index.majority.tolist() == printed
    assert index.media["eeg"][0].shape == (42, 310)


def test_real_features() -> None:
    root = data_folder("eeg")
    deap = DATASETS.create("deap-features", root=root)
    assert (len(deap), len(set(deap.subject)), len(set(deap.extra["video"]))) == (1216, 32, 38)
    mahnob = DATASETS.create("mahnob-features", root=root / "MAHNOB-HCI")
    assert (len(mahnob), len(set(mahnob.subject)), len(set(mahnob.extra["video"]))) == (533, 27, 20)
    assert len(counts(mahnob)) == 9
    with pytest.raises(DataError, match="mahnob-features"):
        DATASETS.create("deap-features", root=root / "MAHNOB-HCI")


def test_real_emodb() -> None:
    index = DATASETS.create("emodb", root=data_folder("emodb"))
    found = counts(index)
    assert [found[name] for name in index.labels] == [127, 81, 46, 69, 71, 79, 62]
    assert (len(set(index.subject)), len(set(index.extra["sentence"]))) == (10, 10)
    sound = index.media["audio"][0]
    assert 1.5 < len(sound) / 16000 < 2.5


def test_real_mosi() -> None:
    index = DATASETS.create("mosi", root=data_folder("mosi"))
    train, test = index.part("train"), index.part("test")
    assert (len(train), len(test)) == (1447, 752)
    assert (counts(train)["positive"], counts(test)["positive"]) == (709, 467)
    videos = set(train.extra["sequence"]), set(test.extra["sequence"])
    assert (len(videos[0]), len(videos[1]), videos[0] & videos[1]) == (62, 31, set())
