"""Readers of video, acted speech on video, and scanned faces: layouts, label codes, folds, votes, broken files."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import data_folder
from mien.datasets import DATASETS, FAKES, SPLITS, Index
from mien.datasets.afew import afew, afew_faces
from mien.datasets.baum1s import baum1s, baum1s_six
from mien.datasets.bu3dfe import bu3dfe
from mien.datasets.bu4dfe import bu4dfe
from mien.datasets.cremad import cremad, cremad_speech
from mien.datasets.dfab4 import dfab4
from mien.datasets.dfew import dfew
from mien.datasets.media import Clips, Sounds
from mien.datasets.pedfe import pedfe
from mien.datasets.ravdess import ravdess, ravdess_speech, ravdess_video
from mien.datasets.recordings import FrameFolders, find, read_csv, write_clip, write_sound
from mien.datasets.rml import rml
from mien.datasets.savee import savee, savee_speech
from mien.datasets.scans import write_scan
from mien.datasets.workbooks import read_rows, write_xlsx
from mien.errors import DataError

NAMES = ["afew", "afew-faces", "baum1s", "baum1s-6", "bu3dfe", "bu4dfe", "4dfab", "cremad", "cremad-speech", "dfew"]
NAMES += ["pedfe", "ravdess", "ravdess-speech", "ravdess-video", "rml", "savee", "savee-speech"]


def fake(name: str, root: Path) -> Path:
    FAKES[name](root)
    return root


def named(index: Index) -> list[str]:
    """The label of each sample, "" for none."""
    return [index.labels[k] if k >= 0 else "" for k in index.majority]


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def noise() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("name", NAMES)
def test_indices_travel_to_other_processes(name: str, tmp_path: Path) -> None:
    index = DATASETS.create(name, root=fake(name, tmp_path))
    again = pickle.loads(pickle.dumps(index[np.arange(1)]))
    for modality, media in again.media.items():
        assert np.array_equal(media[0], index.media[modality][0])


@pytest.mark.parametrize("name", [*NAMES, "dfew-1", "dfew-5"])
def test_fakes_are_small(name: str, tmp_path: Path) -> None:
    fake(name, tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 300_000


@pytest.mark.parametrize("name", NAMES)
def test_an_index_opens_no_media(name: str, tmp_path: Path) -> None:
    fake(name, tmp_path)
    for path in tmp_path.rglob("*.*"):
        if path.suffix in (".avi", ".mp4", ".flv", ".wav", ".jpg", ".bmp", ".wrl", ".obj", ".bnd"):
            path.write_bytes(b"")
    index = DATASETS.create(name, root=tmp_path)
    for media in index.media.values():
        with pytest.raises(DataError):
            media[0]


class TestRecordings:
    def test_the_nearest_copy_is_read_once(self, tmp_path: Path) -> None:
        for folder in ("a", "a/a"):
            write_sound(tmp_path / folder / "x.wav", noise())
        assert find(tmp_path, ("a/*.wav", "a/*/*.wav"), "sound") == [tmp_path / "a" / "x.wav"]
        with pytest.raises(DataError, match=r"holds no b/\*"):
            find(tmp_path, ("b/*",), "b/*")

    def test_csv_errors_name_file_and_line(self, tmp_path: Path) -> None:
        path = tmp_path / "t.csv"
        path.write_text("a,b\n1,2\n3\n")
        with pytest.raises(DataError, match=r"t\.csv, line 3: expected values for a, b"):
            list(read_csv(path, ("a", "b")))
        with pytest.raises(DataError, match=r"line 1: no column c"):
            list(read_csv(path, ("a", "c")))
        path.write_bytes(b"a,b\n\xff\xfe,2\n")
        with pytest.raises(DataError, match="UTF-8"):
            list(read_csv(path, ("a",)))

    def test_frames_come_in_order_of_their_numbers(self, tmp_path: Path) -> None:
        for number in (1, 2, 10):
            cv2.imwrite(str(tmp_path / f"7_{number}.png"), np.full((4, 4, 3), 20 * number, np.uint8))
        frames = FrameFolders([tmp_path])
        assert frames[0][:, 0, 0, 0].tolist() == [20, 40, 200]
        assert FrameFolders([tmp_path], most=2)[0][:, 0, 0, 0].tolist() == [20, 200]
        cv2.imwrite(str(tmp_path / "7_11.png"), np.zeros((5, 4, 3), np.uint8))
        with pytest.raises(DataError, match="different sizes"):
            frames[0]
        with pytest.raises(DataError, match=r"nowhere is missing or holds no \.jpg"):
            FrameFolders([tmp_path / "nowhere"])[0]


class TestPedfe:
    def test_codes(self, tmp_path: Path) -> None:
        index = pedfe(fake("pedfe", tmp_path))
        at = [path.stem for path in index.media["frames"].paths].index("11_pg_1")  # type: ignore[attr-defined]
        assert (named(index)[at], index.subject[at], index.extra["genuine"][at]) == ("fear", "11", True)
        assert index.extra["genuine"].sum() == len(index) / 2
        assert index.extra["frames"][at] == len(index.media["frames"][at])
        assert np.isfinite(index.extra["intensity"]).all()
        again = pedfe(tmp_path / "PEDFE_set_clips")
        assert np.array_equal(again.extra["seconds"], index.extra["seconds"])

    def test_scores_are_optional_but_well_formed(self, tmp_path: Path) -> None:
        table = fake("pedfe", tmp_path) / "Supplemental_Material_T1.csv"
        lines = table.read_text().splitlines()
        table.write_text("\n".join([lines[0], *lines[2:]]))
        assert np.isnan(pedfe(tmp_path).extra["genuineness"]).sum() == 1
        table.write_text("\n".join([lines[0], lines[1].rsplit(",", 1)[0] + ",long"]))
        with pytest.raises(DataError, match=r"T1\.csv, line 2: Duration\(s\) is 'long'"):
            pedfe(tmp_path)
        table.unlink()
        (tmp_path / "frames.csv").unlink()
        index = pedfe(tmp_path)
        assert np.isnan(index.extra["genuineness"]).all()
        assert not index.extra["frames"].any()

    def test_a_strange_name(self, tmp_path: Path) -> None:
        write_clip(fake("pedfe", tmp_path) / "PEDFE_set_clips" / "1_xg_1.avi", noise())
        with pytest.raises(DataError, match=r"1_xg_1\.avi is not named <subject>"):
            pedfe(tmp_path)

    def test_the_real_tree(self) -> None:
        index = pedfe(data_folder("pedfe"))
        assert len(index) == 1161
        assert len(set(index.subject)) == 45
        counts = dict(zip(index.labels, np.bincount(index.majority).tolist(), strict=True))
        assert counts == {
            "anger": 129, "disgust": 237, "fear": 121, "happiness": 296, "sadness": 207, "surprise": 171,
        }  # fmt: skip
        assert index.extra["genuine"].sum() == 560
        assert np.isfinite(index.extra["hit_emotion"]).all()
        assert len(index.media["frames"][0]) == index.extra["frames"][0]


class TestRavdess:
    def test_codes(self, tmp_path: Path) -> None:
        fake("ravdess", tmp_path)
        for index in (ravdess(tmp_path), ravdess_video(tmp_path), ravdess_speech(tmp_path)):
            assert named(index)[:3] == ["neutral", "calm", "happiness"]
            assert index.subject.tolist() == ["01"] * 8 + ["02"] * 8
            assert index.extra["gender"].tolist() == ["M"] * 8 + ["F"] * 8
            assert index.extra["intensity"].tolist() == [1] * 9 + [2] * 7
        with pytest.raises(DataError, match=r"02-01-.* has no readable sound"):
            Sounds(ravdess_video(tmp_path).media["frames"].files(0))[0]

    def test_a_copy_inside_and_a_strange_name(self, tmp_path: Path) -> None:
        inside = fake("ravdess", tmp_path / "a") / "Audio_Speech_Actors_01-24"
        shutil.copytree(inside, tmp_path / "b")
        shutil.copytree(inside, tmp_path / "b" / "copy")
        assert len(ravdess_speech(tmp_path / "b")) == 16
        write_sound(inside / "Actor_01" / "03-01-09-01-01-01-01.wav", noise())
        with pytest.raises(DataError, match="03-01-09"):
            ravdess_speech(tmp_path / "a")

    def test_the_real_tree(self) -> None:
        index = ravdess_speech(data_folder("ravdess"))
        assert len(index) == 1440
        assert len(set(index.subject)) == 24
        counts = dict(zip(index.labels, np.bincount(index.majority).tolist(), strict=True))
        assert counts.pop("neutral") == 96
        assert set(counts.values()) == {192}
        sound = index.media["audio"][700]
        assert 2 < len(sound) / 16000 < 6
        assert 0.001 < np.sqrt((sound**2).mean()) < 0.5


class TestAfew:
    def test_splits(self, tmp_path: Path) -> None:
        index = afew(fake("afew", tmp_path))
        assert [len(index.part(split)) for split in SPLITS] == [7, 7, 2]
        assert named(index.part("test")) == ["", ""]
        assert set(named(index.part("train"))) == set(index.labels)
        assert not index.part("test").targets.any()

    def test_aligned_faces(self, tmp_path: Path) -> None:
        fake("afew", tmp_path)
        shutil.rmtree(tmp_path / "Val_AFEW" / "AlignedFaces_LBPTOP_Points_Val" / "Faces" / "100002240")
        index, whole = afew_faces(tmp_path), afew(tmp_path)
        assert len(index) == len(whole) - 1
        rest = whole.extra["clip"] != "100002240"
        assert named(index) == named(whole[rest])
        assert index.media["frames"][0].shape == (2, 128, 128, 3)
        for part in ("Train", "Val", "Test"):
            shutil.rmtree(next((tmp_path / f"{part}_AFEW").glob("Aligned*")))
        with pytest.raises(DataError, match="AlignedFaces"):
            afew_faces(tmp_path)

    def test_older_folder_names_and_a_strange_emotion(self, tmp_path: Path) -> None:
        fake("afew", tmp_path)
        (tmp_path / "Train_AFEW").rename(tmp_path / "Train")
        assert len(afew(tmp_path)) == 16
        (tmp_path / "Train" / "Angry").rename(tmp_path / "Train" / "Cross")
        with pytest.raises(DataError, match="unknown emotion folders Cross"):
            afew(tmp_path)


class TestRml:
    def test_languages(self, tmp_path: Path) -> None:
        index = rml(fake("rml", tmp_path))
        assert sorted(set(index.subject)) == ["s1", "s2", "s6"]
        assert set(index.extra["language"][index.subject == "s1"]) == {"English", "Mandarin"}
        assert set(index.extra["language"][index.subject == "s2"]) == {""}
        assert len(rml(tmp_path / "rml-1")) == 18
        (tmp_path / "rml-2" / "s6" / "an1.avi").rename(tmp_path / "rml-2" / "s6" / "xx1.avi")
        with pytest.raises(DataError, match=r"xx1\.avi"):
            rml(tmp_path)


class TestSavee:
    def test_both_layouts_of_the_sound(self, tmp_path: Path) -> None:
        fake("savee", tmp_path)
        index = savee_speech(tmp_path)
        assert named(savee(tmp_path)) == named(index)
        (tmp_path / "b" / "ALL").mkdir(parents=True)
        for path in (tmp_path / "AudioData").glob("*/*.wav"):
            shutil.copy(path, tmp_path / "b" / "ALL" / f"{path.parent.name}_{path.name}")
        again = savee_speech(tmp_path / "b")
        assert (again.subject.tolist(), named(again)) == (index.subject.tolist(), named(index))
        assert dict(zip(range(7), named(index), strict=False))[5] == "sadness"

    def test_a_strange_person(self, tmp_path: Path) -> None:
        fake("savee", tmp_path)
        (tmp_path / "AudioData" / "DC").rename(tmp_path / "AudioData" / "XX")
        with pytest.raises(DataError, match="unknown person XX"):
            savee_speech(tmp_path)


class TestDfew:
    def test_five_folds(self, tmp_path: Path) -> None:
        fake("dfew", tmp_path)
        folds = [DATASETS.create(f"dfew-{fold}", root=tmp_path) for fold in range(1, 6)]
        tests = [set(index.part("test").extra["clip"].tolist()) for index in folds]
        assert set.union(*tests) == set(range(1, 16))
        assert sum(map(len, tests)) == 15
        assert all(len(index) == 15 for index in folds)
        with pytest.raises(DataError, match="no fold 6"):
            dfew(tmp_path, 6)

    def test_votes(self, tmp_path: Path) -> None:
        fake("dfew", tmp_path)
        index = dfew(tmp_path / "EmoLabel_DataSplit" / "..")
        assert (index.extra["votes"].argmax(1) == index.majority).all()
        assert sorted(set(np.round(index.targets.max(1), 3))) == [0.8]
        shutil.rmtree(tmp_path / "Annotation")
        index = dfew(tmp_path)
        assert set(index.targets.max(1)) == {1}
        assert not index.extra["votes"].any()

    def test_the_order_of_the_labels(self, tmp_path: Path) -> None:
        index = dfew(fake("dfew", tmp_path))
        label = dict(zip(index.extra["clip"].tolist(), named(index), strict=True))
        assert [label[clip] for clip in range(7, 14)] == [
            "happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear",
        ]  # fmt: skip

    def test_other_forms_of_the_clips(self, tmp_path: Path) -> None:
        fake("dfew", tmp_path)
        clips = tmp_path / "Clip" / "clip_224x224"
        whole = dfew(tmp_path).media["frames"][3]
        (clips / "clip_224x224_part_1").mkdir()
        for clip in range(1, 16):
            (clips / f"{clip:05d}").rename(clips / "clip_224x224_part_1" / f"{clip:05d}")
        assert np.array_equal(dfew(tmp_path).media["frames"][3], whole)
        shutil.rmtree(clips)
        write_clip(tmp_path / "Clip" / "original" / "1.mp4", noise())
        index = dfew(tmp_path)
        at = index.extra["clip"].tolist().index(1)
        assert isinstance(index.media["frames"], Clips)
        assert len(index.media["frames"][at]) == 5
        with pytest.raises(DataError, match="is missing"):
            index.media["frames"][at + 1]

    def test_broken_lists(self, tmp_path: Path) -> None:
        fake("dfew", tmp_path)
        path = tmp_path / "EmoLabel_DataSplit" / "train(single-labeled)" / "set_2.csv"
        change(path, "3,4", "3,8")
        with pytest.raises(DataError, match=r"set_2\.csv, line 3: '3', '8'; expected"):
            dfew(tmp_path, 2)
        table = tmp_path / "Annotation" / "annotation.xlsx"
        rows: list[list[str | int]] = [[*range(7), "00001", 2], ["a", *range(6), "00002", 3]]
        write_xlsx(table, rows)
        with pytest.raises(DataError, match=r"annotation\.xlsx, line 2: expected seven numbers"):
            dfew(tmp_path)
        table.write_bytes(b"no workbook")
        with pytest.raises(DataError, match=r"annotation\.xlsx"):
            dfew(tmp_path)
        table.unlink()
        shutil.rmtree(tmp_path / "Clip")
        with pytest.raises(DataError, match="clip_224x224"):
            dfew(tmp_path)


def rewrite(path: Path, edit: Callable[[list[list[str | int]]], None]) -> None:
    """Edit a workbook's rows."""
    rows: list[list[str | int]] = [list(row) for _, row in read_rows(path)]
    edit(rows)
    write_xlsx(path, rows)


class TestBaum1s:
    def test_thirteen_states_and_six_emotions(self, tmp_path: Path) -> None:
        index = baum1s(fake("baum1s", tmp_path))
        assert named(index)[:13] == list(index.labels)
        assert index.subject.tolist() == ["s001"] * 13 + ["s002"] * 13
        assert set(index.extra["gender"][:13]) == {"F"}
        six = baum1s_six(tmp_path)
        assert len(six) == 12
        assert set(named(six)) == set(six.labels)

    def test_name_and_code_that_disagree(self, tmp_path: Path) -> None:
        table = fake("baum1s", tmp_path) / "Annotations_BAUM1s.xlsx"

        def edit(rows: list[list[str | int]]) -> None:
            rows[1][4] = "Happy"  # with the code of anger
            rows[2][4] = "Bored"
            rows[5][4] = "Concentrating"  # with the code of contempt
            rows[3][4] = "a word we do not know"

        rewrite(table, edit)
        assert named(baum1s(tmp_path))[:5] == ["", "boredom", "bother", "concentration", "contempt"]
        rewrite(table, lambda rows: rows.pop(2))
        assert named(baum1s(tmp_path))[1] == ""

    def test_broken_tables(self, tmp_path: Path) -> None:
        table = fake("baum1s", tmp_path) / "Annotations_BAUM1s.xlsx"
        rewrite(table, lambda rows: rows[3].__setitem__(5, "14"))
        with pytest.raises(DataError, match=r"line 4: emotion code '14' after S001_003"):
            baum1s(tmp_path)
        write_xlsx(table, [["nothing"]])
        with pytest.raises(DataError, match="no row with a clip"):
            baum1s(tmp_path)


class TestCremad:
    def test_codes_and_votes(self, tmp_path: Path) -> None:
        index = cremad(fake("cremad", tmp_path))
        assert named(index)[:6] == list(index.labels)
        assert index.extra["intensity"][:4].tolist() == [0, 1, 2, 3]
        assert (index.extra["votes_face"].argmax(1) == index.majority).all()
        assert index.extra["votes_both"][0].tolist() == [8, 0, 0, 0, 1, 0]
        assert (index.extra["age"][0], index.extra["gender"][0], index.extra["race"][-1]) == (51, "M", "Asian")
        (tmp_path / "processedResults" / "tabulatedVotes.csv").unlink()
        winners = cremad_speech(tmp_path)
        assert winners.extra["votes_voice"][0].tolist() == [0, 0, 0, 0, 1, 0]
        assert winners.extra["votes_both"][0].tolist() == [1, 0, 0, 0, 1, 0]
        shutil.rmtree(tmp_path / "processedResults")
        assert "votes_both" not in cremad(tmp_path).extra

    def test_sound_of_the_video_where_there_is_no_other(self, tmp_path: Path) -> None:
        fake("cremad", tmp_path)
        assert cremad(tmp_path).media["audio"].files(0)[0].suffix == ".wav"
        shutil.rmtree(tmp_path / "AudioWAV")
        index = cremad(tmp_path / "VideoFlash")
        assert index.media["audio"].files(0)[0].suffix == ".flv"
        assert index.media["audio"][0].size > 1000

    def test_git_lfs_pointers(self, tmp_path: Path) -> None:
        path = next((fake("cremad", tmp_path) / "VideoFlash").glob("*.flv"))
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
        index = cremad(tmp_path)
        at = [file.name for file in index.media["frames"].paths].index(path.name)  # type: ignore[attr-defined]
        with pytest.raises(DataError, match=path.name):
            index.media["frames"][at]

    def test_broken_tables(self, tmp_path: Path) -> None:
        folder = fake("cremad", tmp_path) / "processedResults"
        change(folder / "tabulatedVotes.csv", '"200003",0', '"200003",NA')
        with pytest.raises(DataError, match=r"tabulatedVotes\.csv, line 16: expected a key"):
            cremad(tmp_path)
        (folder / "tabulatedVotes.csv").unlink()
        change(folder / "summaryTable.csv", '"N","71.6"', '"X","71.6"')
        with pytest.raises(DataError, match=r"summaryTable\.csv, line 2: VoiceVote is 'X'"):
            cremad(tmp_path)
        change(folder / "summaryTable.csv", '"X","71.6"', '"NA","71.6"')
        assert not cremad(tmp_path).extra["votes_voice"][0].any()
        change(tmp_path / "VideoDemographics.csv", "1002", "1003")
        with pytest.raises(DataError, match="no row for actor 1002"):
            cremad(tmp_path)


class TestBinghamton:
    def test_names_of_3dfe(self, tmp_path: Path) -> None:
        index = bu3dfe(fake("bu3dfe", tmp_path))
        assert named(index)[:3] == ["anger", "anger", "disgust"]
        assert index.extra["intensity"][:3].tolist() == [1, 4, 1]
        assert (index.extra["intensity"] == 0).tolist() == [label == "neutral" for label in named(index)]
        assert index.extra["race"][-1] == "East Asian"
        assert index.extra["gender"].tolist() == ["F"] * 13 + ["M"] * 13
        assert index.media["points"][0].shape == (83, 3)
        write_scan(tmp_path / "F0001" / "F0001_XX01WH_F3D.wrl", noise())
        with pytest.raises(DataError, match="XX01WH"):
            bu3dfe(tmp_path)

    def test_sequences_of_4dfe(self, tmp_path: Path) -> None:
        index = bu4dfe(fake("bu4dfe", tmp_path), most=2)
        assert index.subject[0] == "F001"
        assert index.media["points"][0].shape == (2, 2048, 3)
        assert index.media["depth"][0].shape == (2, 112, 112)
        whole = bu4dfe(tmp_path, most=0)
        assert np.array_equal(whole.media["depth"][0][[0, 2]], index.media["depth"][0])
        assert np.array_equal(whole.media["frames"][0][[0, 2]], index.media["frames"][0])
        (tmp_path / "F001" / "Happy").rename(tmp_path / "F001" / "Glad")
        with pytest.raises(DataError, match="unknown folders Glad"):
            bu4dfe(tmp_path)

    def test_sessions_of_4dfab(self, tmp_path: Path) -> None:
        index = dfab4(fake("4dfab", tmp_path))
        assert index.extra["session"].tolist() == [1] * 6 + [2] * 6 + [1] * 6
        assert sorted(set(index.subject)) == ["001", "002"]
        (tmp_path / "002" / "1" / "anger").rename(tmp_path / "002" / "1" / "words")
        assert len(dfab4(tmp_path)) == len(index) - 1
