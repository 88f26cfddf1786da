"""Readers of laboratory stills and sequences, and of the user's own folder: layouts, labels, splits, error messages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.datasets import NO_SPLIT
from mien.datasets.folder import folder, label_name
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
