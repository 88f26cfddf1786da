"""Readers of laboratory stills and sequences, and of the user's own folder: layouts, labels, splits, error messages."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from conftest import data_folder
from mien.datasets import DATASETS, FAKES, NO_SPLIT, SPLITS
from mien.datasets.ckplus import ckplus, ckplus_stills
from mien.datasets.folder import folder, label_name
from mien.datasets.matfile import read_mat, write_mat
from mien.datasets.mmi import mmi
from mien.datasets.multipie import multipie
from mien.datasets.oulu_casia import LIGHTS, oulu_casia
from mien.datasets.tfd import CODES, tfd
from mien.datasets.trees import locate, write_noise
from mien.errors import DataError


def write_pictures(root: Path, *names: str) -> None:
    random = np.random.default_rng(0)
    for name in names:
        write_noise(root / name, random)


def write_lines(path: Path, *lines: str, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding=encoding)


def test_locate_finds_a_folder_in_and_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "deep").mkdir(parents=True)
    assert locate(tmp_path, "deep") == tmp_path / "a" / "b" / "deep"
    assert locate(tmp_path / "a" / "b" / "deep", "deep") == tmp_path / "a" / "b" / "deep"
    assert locate(tmp_path, "none", "b") == tmp_path / "a" / "b"
    assert locate(tmp_path, "deep", depth=1) is None
    assert locate(tmp_path / "nowhere", "deep") is None


class TestFolder:
    @pytest.mark.parametrize(
        ("found", "name"),
        [("Happy", "happiness"), ("AFRAID", "fear"), ("surprised", "surprise"), ("Pain_Relief", "pain relief")],
    )
    def test_synonyms(self, found: str, name: str) -> None:
        assert label_name(found) == name

    def test_class_folders_nested_any_suffix(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, "happy/anna/1.JPG", "Happiness/2.png", "sad/x/y/3.bmp", ".cache/4.png", "sad/.5.png")
        (tmp_path / "sad" / "notes.txt").write_text("no picture")
        index = folder(tmp_path)
        assert index.labels == ("happiness", "sadness")
        assert sorted(index.majority.tolist()) == [0, 0, 1]
        assert (index.split == NO_SPLIT).all()
        assert set(index.media) == {"face"}

    def test_splits(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, "Training/happy/1.png", "validation/sad/2.png", "test/sad/3.png")
        index = folder(tmp_path)
        assert sorted(index.split.tolist()) == [0, 1, 2]
        assert len(index.part("train")) == 1

    def test_labels_of_the_user_and_numbers(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, "0/1.png", "1/2.png", "happy/3.png")
        index = folder(tmp_path, labels=("sadness", "happiness"))
        assert index.labels == ("sadness", "happiness")
        assert index.majority.tolist() == [0, 1, 1]
        assert folder(tmp_path).labels == ("0", "1", "happiness")
        with pytest.raises(DataError, match="label 'happy' is none of sadness, fear"):
            folder(tmp_path, labels=("sadness", "fear"))

    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
    def test_table(self, tmp_path: Path, delimiter: str, encoding: str) -> None:
        write_pictures(tmp_path, "a/1.png", "a/2.png", "ü 3.png", "4.png")
        lines = [
            "Image,Emotion,Split,Person,Valence,Arousal,Sequence",
            "a/1.png,Happy,Train,anna,0.5,-1,s1",
            "a\\2.png,sad,,anna,,,s1",
            "",
            "ü 3.png,sad,TEST,bert,1e-1,0,",
            "4.png,angry,dev,bert,0,0,",
        ]
        write_lines(tmp_path / "my table.csv", *(line.replace(",", delimiter) for line in lines), encoding=encoding)
        index = folder(tmp_path)
        assert index.labels == ("anger", "happiness", "sadness")
        assert index.majority.tolist() == [1, 2, 2, 0]
        assert index.split.tolist() == [0, NO_SPLIT, 2, 1]
        assert index.subject.tolist() == ["anna", "anna", "bert", "bert"]
        assert np.allclose(index.extra["valence"], [0.5, np.nan, 0.1, 0], equal_nan=True)
        assert index.extra["sequence"].tolist() == ["s1", "s1", "sample 2", "sample 3"]
        assert index.media["face"][2].shape == (24, 24, 3)

    def test_table_of_valence_without_labels(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, "1.png", "2.png")
        write_lines(tmp_path / "labels.csv", "file,valence,arousal", "1.png,0.1,0.2", "2.png,-0.1,0.3")
        index = folder(tmp_path)
        assert index.labels == ()
        assert index.majority.tolist() == [-1, -1]
        assert index.targets.shape == (2, 0)

    def test_labels_csv_comes_before_other_tables_and_folders(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, "happy/1.png", "happy/2.png")
        write_lines(tmp_path / "other.csv", "path,label", "happy/1.png,fear")
        write_lines(tmp_path / "Labels.csv", "path,label", "happy/2.png,sad")
        assert folder(tmp_path).labels == ("sadness",)

    def test_a_table_of_something_else_is_passed_over(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, "happy/1.png")
        write_lines(tmp_path / "notes.csv", "date,weather", "today,rain")
        assert folder(tmp_path).labels == ("happiness",)

    def test_clips(self, tmp_path: Path, clip: Path) -> None:
        data = tmp_path / "data"
        for name in ("happy/1.mp4", "sad/2.MP4"):
            (data / name).parent.mkdir(parents=True)
            (data / name).write_bytes(clip.read_bytes())
        index = folder(data)
        assert set(index.media) == {"frames"}
        assert index.media["frames"][1].shape == (12, 400, 480, 3)
        write_pictures(data, "sad/3.png")
        with pytest.raises(DataError, match=r"mixes pictures \(3.png\) and clips \(1.mp4\)"):
            folder(data)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("gone.png,sad,,", "line 3: gone.png is no file"),
            (",sad,,", "line 3: an empty path is no file"),
            ("1.png,,,", "line 3: 1.png has no label"),
            ("1.png,sad,later,", "line 3: unknown split 'later'"),
            ("1.png,sad,,much", "line 3: valence 'much' is not a number"),
            ("1.png,sad", "line 3: 2 columns"),
            ("notes.txt,sad,,", "line 3: notes.txt is neither a picture nor a clip"),
        ],
    )
    def test_bad_lines_are_named(self, tmp_path: Path, line: str, message: str) -> None:
        write_pictures(tmp_path, "1.png")
        (tmp_path / "notes.txt").write_text("no picture")
        write_lines(tmp_path / "labels.csv", "path,label,split,valence", "1.png,sad,train,0", line)
        with pytest.raises(DataError, match="labels.csv, " + message):
            folder(tmp_path)

    def test_a_table_without_columns_or_in_another_encoding(self, tmp_path: Path) -> None:
        write_lines(tmp_path / "labels.csv", "a,b", "1,2")
        with pytest.raises(DataError, match="must name the columns"):
            folder(tmp_path)
        write_lines(tmp_path / "labels.csv", "path,label", "ü.png,sad", encoding="latin-1")
        with pytest.raises(DataError, match="UTF-8"):
            folder(tmp_path)
        (tmp_path / "labels.csv").write_text("")
        with pytest.raises(DataError, match="must name the columns"):
            folder(tmp_path)

    def test_two_tables_are_ambiguous(self, tmp_path: Path) -> None:
        for name in ("a.csv", "b.csv"):
            write_lines(tmp_path / name, "path,label")
        with pytest.raises(DataError, match="call the one to read"):
            folder(tmp_path)

    def test_pictures_without_a_label(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, "1.png", "happy/2.png")
        with pytest.raises(DataError, match=r"1.png has no label"):
            folder(tmp_path)

    def test_splits_beside_labels(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, "train/happy/1.png", "sad/2.png")
        with pytest.raises(DataError, match="holds train and also sad"):
            folder(tmp_path)

    def test_class_folders_of_real_faces(self) -> None:
        root = data_folder("ck48")
        mine, theirs = folder(root / "CK+48"), DATASETS.create("ck48", root=root)
        assert mine.labels == theirs.labels
        assert np.array_equal(mine.majority, theirs.majority)

    def test_splits_of_real_faces(self) -> None:
        index = folder(data_folder("rafdb") / "DATASET")
        assert np.bincount(index.split).tolist() == [12271, 0, 3068]
        assert index.labels == tuple("1234567")


class TestCkPlus:
    def test_sequences_units_and_stills(self, ck: Path) -> None:
        index = ckplus(ck)
        assert len(index) == 9
        assert index.labels == tuple(sorted(index.labels))
        assert index.subject.tolist() == ["S005"] * 7 + ["S010"] * 2
        assert index.labels[index.majority[0]] == "anger"
        assert index.extra["sequence"][0] == "S005_002"
        assert index.media["frames"][0].shape == (4, 20, 24, 3)
        assert index.extra["apex"].tolist() == [3] * 9
        assert np.flatnonzero(index.extra["action_units"][0]).tolist() == [3]
        assert index.extra["action_unit_intensity"][:, 3].tolist() == [1, 2, 3, 4, 5, 0, 1, 1, 5]
        assert len(ckplus(ck, unlabelled=True)) == 10
        next((ck / "FACS" / "S005" / "002").iterdir()).unlink()
        assert set(ckplus(ck).extra["action_units"][0]) == {-1}
        assert "contempt" not in ckplus(ck, contempt=False).labels

    def test_stills(self, ck: Path) -> None:
        seven, eight = ckplus_stills(ck), ckplus_stills(ck, neutral=True)
        assert (len(seven), len(eight)) == (27, 36)
        assert eight.labels[eight.majority[0]] == "neutral"
        assert eight.extra["frame"].tolist()[:4] == [0, 1, 2, 3]
        assert seven.media["face"][0].shape[0] < 20  # cut to the landmarks
        shutil.rmtree(ck / "Landmarks")
        assert ckplus_stills(ck).media["face"][0].shape == (20, 24, 3)

    def test_the_folder_above_will_do(self, ck: Path) -> None:
        assert len(ckplus(ck.parent)) == 9

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("Emotion/S005/002/S005_002_00000004_emotion.txt", "anger\n", "line 1: expected 1 number"),
            ("Emotion/S005/002/S005_002_00000004_emotion.txt", "9.0\n", "line 1: expected one number from 0 to 7"),
            ("Emotion/S005/002/S005_002_00000004_emotion.txt", "\n", "expected one number from 0 to 7"),
            ("FACS/S005/002/S005_002_00000004_facs.txt", "4.0 1.0\n12.0\n", "line 2: expected 2 number"),
            ("FACS/S005/002/S005_002_00000004_facs.txt", "99 1\n", "action unit 99"),
        ],
    )
    def test_malformed_annotations(self, ck: Path, name: str, text: str, message: str) -> None:
        (ck / name).write_text(text)
        with pytest.raises(DataError, match=message):
            ckplus(ck)

    def test_missing_parts(self, ck: Path) -> None:
        for path in (ck / "cohn-kanade-images" / "S005" / "002").iterdir():
            path.unlink()
        with pytest.raises(DataError, match="002 holds no pictures"):
            ckplus(ck)
        shutil.rmtree(ck / "Emotion")
        with pytest.raises(DataError, match="lacks Emotion"):
            ckplus(ck)


@pytest.fixture
def ck(tmp_path: Path) -> Path:
    FAKES["ckplus"](tmp_path / "CK+")
    return tmp_path / "CK+"


def test_jaffe_names(tmp_path: Path) -> None:
    write_pictures(tmp_path, "x/KA.AN1.39.tiff", "x/YM.SU2.59.png", "x/README.png", "KR.NE3.73.tiff.bmp")
    index = DATASETS.create("jaffe", root=tmp_path)
    assert index.subject.tolist() == ["KR", "KA", "YM"]
    assert [index.labels[k] for k in index.majority] == ["neutral", "anger", "surprise"]
    assert index.media["face"][0].ndim == 2


def test_rafd_names(tmp_path: Path) -> None:
    write_pictures(tmp_path, "a/Rafd135_63_Kid_female_contemptuous_left.jpg", "Rafd090_07_Moroccan_male_sad_right.jpg")
    index = DATASETS.create("rafd", root=tmp_path)
    assert index.subject.tolist() == ["07", "63"]
    assert index.extra["pose"].tolist() == [0, 45]
    assert index.extra["gaze"].tolist() == ["right", "left"]
    assert [index.labels[k] for k in index.majority] == ["sadness", "contempt"]
    assert len(DATASETS.create("rafd-frontal", root=tmp_path)) == 1


def test_kdef_sessions_are_one_person_and_averages_none(tmp_path: Path) -> None:
    write_pictures(
        tmp_path, "KDEF/AF01/AF01AFS.JPG", "KDEF/BF01/BF01SUHL.JPG", "AKDEF/AFAFS.JPG", "KDEF/AM31/AM31H.JPG"
    )
    index = DATASETS.create("kdef", root=tmp_path)
    assert index.subject.tolist() == ["F01", "F01"]
    assert [index.labels[k] for k in index.majority] == ["fear", "surprise"]
    assert index.extra["pose"].tolist() == [0, -45]
    assert index.extra["session"].tolist() == ["A", "B"]


class TestMultiPie:
    def test_expression_depends_on_session_and_recording(self, tmp_path: Path) -> None:
        names = ("01_01", "01_02", "02_02", "02_03", "03_02", "03_03", "04_02")
        write_pictures(tmp_path, *(f"005_{name}_051_07.png" for name in names), "005_01_01_240_00_crop_128.png")
        index = multipie(tmp_path)
        found = [index.labels[k] for k in index.majority]
        assert found == ["neutral", "neutral", "smile", "surprise", "squint", "smile", "disgust", "scream"]
        assert index.extra["pose"].tolist() == [0, 90] + [0] * 6
        assert index.group[0] == index.group[1] == "005"
        assert len(multipie(tmp_path, cameras=("051",), lights=("07",))) == 7
        with pytest.raises(DataError, match=r"cameras \('999',\)"):
            multipie(tmp_path, cameras=("999",))

    def test_a_recording_that_was_not_made(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, "005_01_03_051_07.png")
        with pytest.raises(DataError, match="session 01 has 2 recordings, not 03"):
            multipie(tmp_path)


class TestOulu:
    def test_lights_cameras_stills(self, tmp_path: Path) -> None:
        FAKES["oulu-casia"](tmp_path)
        assert len(oulu_casia(tmp_path)) == 12
        assert len(oulu_casia(tmp_path, camera="NIR", lights=LIGHTS)) == 18
        stills = oulu_casia(tmp_path, last=3)
        assert len(stills) == 36
        assert [path.name for row in range(3) for path in stills.media["face"].files(row)] == [
            "001.jpeg",
            "002.jpeg",
            "003.jpeg",
        ]
        with pytest.raises(DataError, match="Weak/P001/Anger"):
            oulu_casia(tmp_path, lights=("Weak",))

    def test_the_authors_crops(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, "PreProcess Img/VL_Acropped/Strong/P003/Anger/000.jpeg")
        assert oulu_casia(tmp_path).subject.tolist() == ["P003"]
        (tmp_path / "PreProcess Img" / "VL_Acropped" / "Strong" / "P003" / "Fear").mkdir()
        with pytest.raises(DataError, match="Fear holds no pictures"):
            oulu_casia(tmp_path)


class TestSfew:
    def test_splits_and_the_hidden_test(self, tmp_path: Path) -> None:
        FAKES["sfew"](tmp_path)
        index = DATASETS.create("sfew", root=tmp_path)
        assert np.bincount(index.split).tolist() == [14, 7, 3]
        assert (index.part("test").majority == -1).all()
        assert (index.part("val").majority >= 0).all()
        assert index.extra["sequence"][0] == "Film0_000425240"

    def test_other_places(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, "Train_Aligned_Faces/Happy/a_1_1.png", "Val/Sad/b_2_1.png", "Test/Fear/c_3_1.png")
        index = DATASETS.create("sfew", root=tmp_path)
        assert index.split.tolist() == [0, 1, 2]
        assert [index.labels[k] for k in index.majority] == ["happiness", "sadness", "fear"]

    def test_a_face_without_an_emotion(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, "Train/Happy/a_1_1.png", "Train/Joyous/a_1_2.png")
        with pytest.raises(DataError, match=r"a_1_2\.png lies in none of the folders Angry"):
            DATASETS.create("sfew", root=tmp_path)


class TestMatFiles:
    ARRAYS: ClassVar = {
        "images": np.arange(60, dtype=np.uint8).reshape(3, 4, 5),
        "labs_ex": np.array([[1.0], [-1.0], [7.0]]),
        "x": np.array([[1, -2]], np.int16),
    }

    @pytest.mark.parametrize("compress", [False, True])
    def test_written_and_read(self, tmp_path: Path, compress: bool) -> None:
        write_mat(tmp_path / "a.mat", self.ARRAYS, compress)
        found = read_mat(tmp_path / "a.mat", ("labs_ex", "images", "x"))
        for name, array in self.ARRAYS.items():
            assert np.array_equal(found[name], array)
            assert found[name].dtype == array.dtype

    @pytest.mark.parametrize("compress", [False, True])
    def test_scipy_agrees(self, tmp_path: Path, compress: bool) -> None:
        io = pytest.importorskip("scipy.io")
        io.savemat(tmp_path / "a.mat", {**self.ARRAYS, "text": "a string"}, do_compression=compress)
        found = read_mat(tmp_path / "a.mat", tuple(self.ARRAYS))
        write_mat(tmp_path / "b.mat", self.ARRAYS, compress)
        theirs = io.loadmat(tmp_path / "b.mat")
        for name, array in self.ARRAYS.items():
            assert np.array_equal(found[name], array)
            assert np.array_equal(theirs[name], array)

    def test_numbers_stored_in_fewer_bytes(self, tmp_path: Path) -> None:
        """MATLAB keeps whole doubles as int8, and up to four bytes of them inside the tag."""
        flags, shape = struct.pack("<4I", 6, 8, 6, 0), struct.pack("<2I2i", 5, 8, 3, 1)
        body = flags + shape + struct.pack("<I4s", 1 | 1 << 16, b"a") + struct.pack("<I3bx", 1 | 3 << 16, 1, -1, 7)
        header = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM"
        (tmp_path / "a.mat").write_bytes(header + struct.pack("<II", 14, len(body)) + body)
        assert read_mat(tmp_path / "a.mat", ("a",))["a"].tolist() == [[1.0], [-1.0], [7.0]]

    def test_what_is_wrong_is_said(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mat"
        write_mat(path, self.ARRAYS, compress=True)
        with pytest.raises(DataError, match="holds no array called folds"):
            read_mat(path, ("folds",))
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(DataError, match=r"a\.mat is missing or no readable"):
            read_mat(path, ("images",))
        for content, message in ((b"MATLAB 7.3 MAT-file".ljust(200), "-v7"), (b"text", "no MATLAB file")):
            path.write_bytes(content)
            with pytest.raises(DataError, match=message):
                read_mat(path, ("images",))


class TestTfd:
    def test_folds_labels_people(self, tmp_path: Path) -> None:
        FAKES["tfd"](tmp_path)
        index = tfd(tmp_path)
        assert len(index) == 28
        assert [index.labels[k] for k in index.majority[:7]] == list(CODES)
        for fold in range(5):
            other = tfd(tmp_path, fold=fold)
            people = [set(other.part(split).subject) for split in SPLITS]
            assert all(people)
            assert not people[0] & people[1] | people[0] & people[2] | people[1] & people[2]
        everything = tfd(tmp_path, unlabelled=True)
        assert len(everything) == 32
        assert everything.split[-1] == NO_SPLIT
        assert everything.majority[-1] == -1
        images = read_mat(tmp_path / "TFD_48x48.mat", ("images",))["images"]
        assert np.array_equal(everything[np.array([30, 2])].media["face"][0], images[30])

    def test_bad_files(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="size 50"):
            tfd(tmp_path, size=50)
        arrays = {"labs_ex": np.ones((4, 1)), "labs_id": np.ones((4, 1)), "folds": np.ones((4, 3))}
        write_mat(tmp_path / "TFD_96x96.mat", arrays)
        with pytest.raises(DataError, match=r"folds \(4, 3\)"):
            tfd(tmp_path)
        write_mat(tmp_path / "TFD_96x96.mat", {**arrays, "folds": np.full((4, 5), 9)})
        with pytest.raises(DataError, match="folds to 9"):
            tfd(tmp_path)
        write_mat(tmp_path / "TFD_96x96.mat", {**arrays, "folds": np.ones((4, 5)), "images": np.ones((2, 3))})
        with pytest.raises(DataError, match=r"images has shape \(2, 3\)"):
            tfd(tmp_path).media["face"][0]


class TestMmi:
    def test_six_expressions_views_phases(self, tmp_path: Path) -> None:
        FAKES["mmi"](tmp_path)
        index, frontal = mmi(tmp_path), mmi(tmp_path, frontal=True)
        assert (len(index), len(frontal)) == (12, 11)
        assert set(index.subject) == {"S002", "S017"}
        assert index.extra["view"].tolist().count(1) == 1
        assert (index.extra["onset"][0], index.extra["apex"][0], index.extra["offset"][0]) == (2, 4, 6)
        assert index.extra["onset"][1] == -1
        assert index.media["frames"][0].shape == (8, 32, 32, 3)

    def test_frames_in_place_of_clips(self, tmp_path: Path) -> None:
        for number in (1, 2):
            folder = tmp_path / "Sessions" / str(number)
            write_pictures(folder, *(f"S003-00{number}/S003-00{number}_{frame:05d}.jpg" for frame in range(3)))
            write_lines(folder / "session.xml", '<session><track view="2"/></session>')
            write_lines(folder / "S003.xml", '<a><Metatag Name="Emotion" Value="4"/></a>')
        index = mmi(tmp_path)
        assert index.media["frames"][0].shape == (3, 24, 24, 3)
        assert index.subject.tolist() == ["S003", "S003"]
        (tmp_path / "Sessions" / "1" / "S003-001.avi").write_bytes(b"")
        with pytest.raises(DataError, match="some as frames"):
            mmi(tmp_path)

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("S002-100.xml", "<a>\n<b></a>", "S002-100.xml, line 2: not well-formed"),
            ("session.xml", '<session><track view="side"/></session>', "session.xml: track has view 'side'"),
            ("S002-100-oao_aucs.xml", '<c><ActionUnit><Marker Type="1"/></ActionUnit></c>', "Marker has Frame ''"),
        ],
    )
    def test_malformed_xml(self, tmp_path: Path, name: str, text: str, message: str) -> None:
        FAKES["mmi"](tmp_path)
        (tmp_path / "Sessions" / "200" / name).write_text(text)
        with pytest.raises(DataError, match=message):
            mmi(tmp_path)

    def test_sessions_without_an_expression(self, tmp_path: Path) -> None:
        write_lines(tmp_path / "Sessions" / "1" / "session.xml", "<session/>")
        with pytest.raises(DataError, match=r"holds 1 Sessions/<n>/session\.xml, none of a clip"):
            mmi(tmp_path)
