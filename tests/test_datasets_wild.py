"""Stills in the wild and faces for pre-training: layouts, splits, label codes, malformed lines, and the real trees."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest

from conftest import data_folder
from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.affectnet import affectnet_eight, affectnet_seven
from mien.datasets.cfw import cfw
from mien.datasets.emotionet import PROTOTYPES, category, emotionet, emotionet_sixteen
from mien.datasets.expw import expw
from mien.datasets.facescrub import facescrub
from mien.datasets.fer2013 import VOTES, Rule, fer2013, ferplus, paper_targets, vote_targets
from mien.datasets.fer2013_folders import fer2013_folders, ferplus_folders
from mien.datasets.rafdb import LIST, ORDER, rafdb
from mien.datasets.rafdb_compound import rafdb_compound
from mien.datasets.webface import webface
from mien.datasets.workbooks import read_rows
from mien.errors import DataError
from mien.labels import FERPLUS8


def make(name: str, root: Path) -> Path:
    FAKES[name](root)
    return root


def by_name(index: Index) -> dict[str, tuple[str, int]]:
    names = [index.media["face"].files(row)[0].name for row in range(len(index))]
    labels = [index.labels[k] for k in index.majority]
    return dict(zip(names, zip(labels, index.split.tolist(), strict=True), strict=True))


def per_class(index: Index) -> dict[str, int]:
    counted = np.bincount(index.majority[index.majority >= 0], minlength=len(index.labels))
    return dict(zip(index.labels, counted.tolist(), strict=True))


def official(source: Path, root: Path) -> Path:
    """RAF-DB's class folders laid out as the authors publish them, pictures as links."""
    basic = root / "basic"
    (basic / "Image" / "aligned").mkdir(parents=True)
    (basic / "EmoLabel").mkdir()
    lines = []
    for path in sorted(source.glob("DATASET/*/*/*.jpg")):
        os.symlink(path, basic / "Image" / "aligned" / path.name)
        lines.append(f"{path.name.replace('_aligned', '')} {path.parent.name}\n")
    (basic / LIST).write_text("".join(lines))
    return root


def test_rafdb_reads_alike_in_every_layout(tmp_path: Path) -> None:
    source = make("rafdb", tmp_path / "kaggle")
    folders = rafdb(source)
    root = official(source, tmp_path / "official")
    flat = tmp_path / "flat"
    for split in ("train", "test"):
        (flat / "DATASET" / split).mkdir(parents=True)
        with open(flat / f"{split}_labels.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["image", "label"])
            for path in sorted(source.glob(f"DATASET/{split}/*/*.jpg")):
                os.symlink(path, flat / "DATASET" / split / path.name)
                rows.writerow([path.name, path.parent.name])
    for other in (rafdb(root), rafdb(root / "basic"), rafdb(source / "DATASET"), rafdb(flat)):
        assert by_name(other) == by_name(folders)
        assert other.media["face"][0].shape == (100, 100, 3)


def test_rafdb_reads_attributes_and_misses_a_picture_only_when_asked(tmp_path: Path) -> None:
    root = official(make("rafdb", tmp_path / "kaggle"), tmp_path / "official")
    manual = root / "basic" / "Annotation" / "manual"
    manual.mkdir(parents=True)
    names = list(by_name(rafdb(root)))
    stem = names[0].removesuffix("_aligned.jpg")
    (manual / f"{stem}_manu_attri.txt").write_text("30.1\t40.2\n" * 5 + "1\n2\n4\n")
    index = rafdb(root)
    assert [index.extra[k][0] for k in ("gender", "race", "age")] == ["female", "Asian", "70+"]
    assert index.extra["gender"][1] == ""
    (root / "basic" / "Image" / "aligned" / names[2]).unlink()
    assert len(rafdb(root)) == len(index)
    with pytest.raises(DataError, match=names[2]):
        rafdb(root).media["face"][2]
    (manual / f"{stem}_manu_attri.txt").write_text("30.1\t40.2\n" * 5 + "7\n2\n4\n")
    with pytest.raises(DataError, match=stem):
        rafdb(root)


@pytest.mark.parametrize(
    ("line", "says"),
    [("train_00001.jpg", "name and a label"), ("train_00001.jpg 8", "1..7"), ("valid_1.jpg 2", "split is unknown")],
)
def test_rafdb_names_the_malformed_line(line: str, says: str, tmp_path: Path) -> None:
    (tmp_path / LIST.parent).mkdir()
    (tmp_path / LIST).write_text(f"train_00001.jpg 5\n{line}\n")
    with pytest.raises(DataError, match=rf"line 2.*{says}"):
        rafdb(tmp_path)


def test_rafdb_compound_is_not_taken_for_the_basic_part(tmp_path: Path) -> None:
    root = make("rafdb-compound", tmp_path / "c")
    index = rafdb_compound(root)
    assert index.labels[0] == "happily surprised"
    assert index.labels[10] == "disgustedly surprised"
    assert index.majority[:11].tolist() == list(range(11))
    assert by_name(rafdb_compound(root / "compound")) == by_name(index)
    assert set(index.extra) == {"gender", "race", "age"}
    with pytest.raises(DataError, match="label '8'"):
        rafdb(root / "compound")
    basic = official(make("rafdb", tmp_path / "kaggle"), tmp_path / "official")
    with pytest.raises(DataError, match="basic part"):
        rafdb_compound(basic / "basic")


@pytest.mark.slow
def test_rafdb_of_real_pictures_has_the_published_counts(tmp_path: Path) -> None:
    source = data_folder("rafdb")
    index = rafdb(source)
    published = {"train": (1290, 281, 717, 4772, 1982, 705, 2524), "test": (329, 74, 160, 1185, 478, 162, 680)}
    for split, counts in published.items():
        assert per_class(index.part(split)) == dict(zip(ORDER, counts, strict=True))
        with open(source / f"{split}_labels.csv", newline="") as file:
            listed = {row["image"]: ORDER[int(row["label"]) - 1] for row in csv.DictReader(file)}
        assert {name: label for name, (label, _) in by_name(index.part(split)).items()} == listed
    again = rafdb(official(source, tmp_path / "official"))
    assert by_name(again) == by_name(index)
    assert again.media["face"][7].shape == (100, 100, 3)


def test_fer2013_reads_the_columns_with_spaces(tmp_path: Path) -> None:
    plain = make("fer2013", tmp_path / "a")
    spaced = tmp_path / "b"
    spaced.mkdir()
    with open(plain / "fer2013.csv", newline="") as file, open(spaced / "icml_face_data.csv", "w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["emotion", " Usage", " pixels"])
        rows.writerows([row["emotion"], row["Usage"], row["pixels"]] for row in csv.DictReader(file))
    one, two = fer2013(plain), fer2013(spaced)
    assert np.array_equal(one.media["face"].items, two.media["face"].items)  # type: ignore[attr-defined]
    assert np.array_equal(one.majority, two.majority)
    assert np.array_equal(one.split, two.split)
    cache = next(plain.glob(".fer2013-*.npz"))
    cache.write_bytes(b"cut short")
    assert len(fer2013(plain)) == len(one)
    assert np.array_equal(fer2013(plain).majority, one.majority)


@pytest.mark.parametrize("change", [("0,", "7,"), ("Training", "Train"), ("0,", "-1,"), (" ", " 256 "), (" ", "")])
def test_fer2013_names_the_malformed_line(change: tuple[str, str], tmp_path: Path) -> None:
    path = make("fer2013", tmp_path) / "fer2013.csv"
    header, first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([header, first.replace(*change, 1), *rest]))
    with pytest.raises(DataError, match="line 2"):
        fer2013(tmp_path)


def test_ferplus_needs_votes_in_the_same_order(tmp_path: Path) -> None:
    path = make("ferplus", tmp_path) / "fer2013new.csv"
    header, *rows = path.read_text().splitlines()
    for lines, says in (
        ([header, *rows[::-1]], "Usage"),
        ([header, *rows[1:]], "59 rows"),
        ([header, rows[0].replace(",8", ",x"), *rows[1:]], "line 2"),
        (["a,b", *rows], "line 2"),
    ):
        path.write_text("\n".join(lines))
        with pytest.raises(DataError, match=says):
            ferplus(tmp_path)


def votes(**counts: int) -> np.ndarray:
    return np.array([[counts.get(name, 0) for name in VOTES]])


def shares(votes: np.ndarray, rule: Rule) -> dict[str, float]:
    row = paper_targets(votes, rule)[0]
    return {name: round(float(share), 3) for name, share in zip(FERPLUS8, row, strict=True) if share}


@pytest.mark.parametrize(
    ("given", "majority", "probability", "multilabel"),
    [
        # a single vote is dropped, so that five of the nine left are more than half
        (
            votes(happiness=5, neutral=4, fear=1),
            {"happiness": 1},
            {"happiness": 0.556, "neutral": 0.444},
            {"happiness": 0.556, "neutral": 0.444},
        ),
        (votes(happiness=5, neutral=5), {}, {"happiness": 0.5, "neutral": 0.5}, {"happiness": 0.5, "neutral": 0.5}),
        (votes(anger=8, disgust=2), {"anger": 1}, {"anger": 1}, {"anger": 1}),
        (votes(NF=6, neutral=4), {}, {}, {}),
        # `unknown` second: probability stops at the four of ten, too few
        (
            votes(neutral=4, unknown=3, sadness=3),
            {},
            {"neutral": 0.571, "sadness": 0.429},
            {"neutral": 0.4 / 0.7, "sadness": 0.429},
        ),
        (votes(neutral=5, unknown=3, sadness=2), {}, {}, {"neutral": 1}),
        # four are level: too many
        (votes(neutral=2, happiness=2, anger=2, sadness=2, fear=2), {}, {}, {}),
        (np.ones((1, 10), int), {}, {}, {}),
    ],
)
def test_the_label_rules_of_the_ferplus_paper(
    given: np.ndarray, majority: dict[str, float], probability: dict[str, float], multilabel: dict[str, float]
) -> None:
    assert shares(given, "majority") == majority
    assert shares(given, "probability") == probability
    assert shares(given, "multilabel") == {name: round(share, 3) for name, share in multilabel.items()}


def test_ferplus_of_real_votes() -> None:
    root = data_folder("fer2013")
    base = fer2013(root)
    assert per_class(base.part("train"))["disgust"] == 436
    assert per_class(base.part("test")) == dict(zip(base.labels, (491, 55, 528, 879, 626, 594, 416), strict=True))
    if not (root / "fer2013new.csv").is_file():
        pytest.skip("MIEN_DATA holds no fer2013new.csv")
    with open(root / "fer2013new.csv", newline="") as file:
        given = np.array([[int(row[name]) for name in VOTES] for row in csv.DictReader(file)])
    kept = {"plain": vote_targets(given)[0].any(1)}
    kept |= {rule: paper_targets(given, rule).any(1) for rule in get_args(Rule)}
    assert {rule: np.bincount(base.split[rows]).tolist() for rule, rows in kept.items()} == {
        "plain": [28559, 3579, 3573],
        "majority": [25060, 3199, 3153],
        "probability": [27956, 3505, 3505],
        "multilabel": [27671, 3472, 3472],
    }
    assert {rule: int(rows.sum()) for rule, rows in kept.items() if rule != "plain"} == {
        rule: DATASETS.facts(f"ferplus-{rule}")["samples"] for rule in get_args(Rule)
    }


def test_fer2013_folders_have_no_val(tmp_path: Path) -> None:
    index = fer2013_folders(make("fer2013-folders", tmp_path))
    assert len(index.part("val")) == 0
    assert set(index.part("test").extra["usage"]) == {"PublicTest", "PrivateTest"}
    assert set(index.part("train").extra["usage"]) == {"Training"}
    assert index.media["face"][0].shape == (48, 48)
    (tmp_path / "train" / "bored").mkdir()
    with pytest.raises(DataError, match="bored"):
        fer2013_folders(tmp_path)


def test_ferplus_folders_read_with_and_without_the_box(tmp_path: Path) -> None:
    root = make("ferplus-folders", tmp_path / "data")
    index = ferplus_folders(tmp_path)
    for part in ("FER2013Train", "FER2013Valid", "FER2013Test"):
        path = root / part / "label.csv"
        path.write_text(path.read_text().replace('"(0, 0, 48, 48)",', ""))
    again = ferplus_folders(root)
    assert np.array_equal(index.targets, again.targets)
    assert index.split.tolist() == again.split.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert again.media["face"][3].shape == (48, 48)
    path = root / "FER2013Valid" / "label.csv"
    path.write_text(path.read_text() + 'fer1.png,"(0, 0, 48)",1,2,3,4,5,6,7,8,9,10\n')
    with pytest.raises(DataError, match=r"FER2013Valid.*line 11"):
        ferplus_folders(root)


@pytest.mark.parametrize("writer", ["affectnet-7", "affectnet-8"])
def test_affectnet_reads_both_releases(writer: str, tmp_path: Path) -> None:
    make(writer, tmp_path)
    eight, seven = affectnet_eight(tmp_path), affectnet_seven(tmp_path)
    assert [len(eight.part(s)) for s in ("train", "val", "test")] == [8, 8, 0]
    assert len(seven) == 14
    order = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
    assert [eight.labels[k] for k in eight.majority] == list(order) * 2
    assert np.abs(eight.extra["valence"]).max() <= 1
    assert eight.media["face"][0].shape == ((50, 50, 3) if writer == "affectnet-7" else (56, 56, 3))
    again = affectnet_eight(tmp_path)
    assert np.array_equal(again.extra["arousal"], eight.extra["arousal"])


def test_affectnet_says_what_is_malformed(tmp_path: Path) -> None:
    root = make("affectnet-7", tmp_path / "csv")
    path = root / "Manually_Annotated_file_lists" / "validation.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[1:]))  # one release has no header there
    assert len(affectnet_eight(root)) == 16
    path.write_text("\n".join([*lines[:3], "2/a.jpg,1,2,3,4,,11,0,0"]))
    with pytest.raises(DataError, match=r"validation.csv, line 4"):
        affectnet_eight(root)
    root = make("affectnet-8", tmp_path / "npy")
    (root / "val_set" / "annotations" / "3_val.npy").unlink()
    with pytest.raises(DataError, match="3_val"):
        affectnet_eight(root)


def test_expw_cuts_by_top_left_right_bottom(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    picture = np.zeros((30, 40, 3), np.uint8)
    picture[4:10, 20:30] = (0, 0, 255)
    cv2.imwrite(str(tmp_path / "image" / "a.png"), picture)
    (tmp_path / "label.lst").write_text("a.png 0 4 20 30 10 60.5 3\na.png 1 0 0 8 8 9 6\n")
    index = expw(tmp_path)
    assert index.media["face"][0].tolist() == [[[255, 0, 0]] * 10] * 6
    assert [index.labels[k] for k in index.majority] == ["happiness", "neutral"]
    assert index.group.tolist() == ["#a.png", "#a.png"]
    for line in ("a.png 0 4 20 30 10 60.5", "a.png 0 4 20 30 10 60.5 7", "a.png 0 4 20 30 x 60.5 1"):
        (tmp_path / "label.lst").write_text(f"a.png 0 4 20 30 10 60.5 3\n{line}\n")
        with pytest.raises(DataError, match="line 2"):
            expw(tmp_path)


def test_emotionet_categories_are_the_largest_prototype() -> None:
    assert len(PROTOTYPES) == 23
    assert all(category(units) == name for name, units in PROTOTYPES.items())
    assert len({frozenset(units) for units in PROTOTYPES.values()}) == 23
    assert category([1, 2, 5, 10, 25]) == ""  # awe and disgustedly surprised fit alike
    assert category([]) == ""


def test_emotionet_leaves_out_dead_addresses(tmp_path: Path) -> None:
    index = emotionet(make("emotionet", tmp_path))
    assert [len(index.part(s)) for s in ("train", "val", "test")] == [23, 23, 0]
    assert [index.labels[k] for k in index.majority[:23]] == list(PROTOTYPES)
    units = index.extra["action_units"]
    assert units.shape == (46, 60)
    assert units[0, [11, 24]].tolist() == [1, 1]
    assert (units[:, 56:] == -1).all()
    sheet = emotionet_sixteen(tmp_path)
    assert len(sheet) == 16
    assert sheet.majority.tolist() == list(range(16))
    listing = tmp_path / "dataFile_1000.txt"
    listing.write_text(listing.read_text() + "http://x/N_1/a.jpg\thttp://y\t0\t2\n")
    with pytest.raises(DataError, match=r"dataFile_1000.txt, line 25"):
        emotionet(tmp_path)
    rows = [cells for _, cells in read_rows(tmp_path / "URLsWithEmotionCat_aws.xlsx")]
    (tmp_path / "URLsWithEmotionCat_aws.xlsx").unlink()
    with open(tmp_path / "URLsWithEmotionCat.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    assert np.array_equal(emotionet_sixteen(tmp_path).majority, sheet.majority)
    with open(tmp_path / "URLsWithEmotionCat.csv", "a", newline="") as file:
        csv.writer(file).writerow(["http://x/N_1/a.jpg", "http://y", *"1" * 16])
    with pytest.raises(DataError, match="row 18"):
        emotionet_sixteen(tmp_path)


@pytest.mark.parametrize("reader", [webface, cfw, facescrub])
def test_identities_are_people(reader: Callable[[Path], Index], tmp_path: Path) -> None:
    name = {webface: "casia-webface"}.get(reader, reader.__name__)
    index = reader(make(name, tmp_path))
    assert index.labels == ()
    assert index.targets.shape == (9, 0)
    assert index.extra["identity"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert len(set(zip(index.subject, index.extra["identity"], strict=True))) == 3
    assert np.array_equal(index.group, index.subject)


def test_cfw_scales_the_box_to_the_thumbnail(tmp_path: Path) -> None:
    person = tmp_path / "some body"
    person.mkdir()
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[10:30, 20:50] = 255
    cv2.imwrite(str(person / "1.png"), picture)
    (person / "filelist_LBP.txt").write_text("1.png\t80\t40\t200\t120\t320\t240\r\n1.png\t20\t10\t50\t30\r\n")
    index = cfw(tmp_path)
    assert [index.media["face"][row].shape for row in (0, 1)] == [(20, 30, 3)] * 2
    assert all(index.media["face"][row].min() == 255 for row in (0, 1))
    for line in ("1.png\t80\t40\t200", "1.png\t80\t40\t200\t120\t320", "1.png 80 40 200 120"):
        (person / "filelist_LBP.txt").write_text(f"{line}\n")
        with pytest.raises(DataError, match="line 1"):
            cfw(tmp_path)
    (person / "filelist_LBP.txt").write_text("1.png\t800\t40\t900\t120\t320\t240\n")
    with pytest.raises(DataError, match="outside"):
        cfw(tmp_path).media["face"][0]


def test_facescrub_prefers_the_face_that_is_cut_out(tmp_path: Path) -> None:
    index = facescrub(make("facescrub", tmp_path))
    assert set(index.extra["gender"][index.subject == "Cat O'Example"]) == {"female"}
    kinds = [index.media["face"].files(row)[0].parts[-3] for row in range(len(index))]
    assert kinds == ["images"] * 6 + ["faces"] * 3
    assert {index.media["face"][row].shape for row in range(len(index))} == {(40, 40, 3)}
    path = tmp_path / "facescrub_actors.txt"
    path.write_text(path.read_text().replace("10,5,50,45", "10,5,50", 1))
    with pytest.raises(DataError, match=r"facescrub_actors.txt, line 2"):
        facescrub(tmp_path)
    path.write_text("name\timage_id\tface_id\turl\tbbox\tsha256\n")
    (tmp_path / "facescrub_actresses.txt").unlink()
    with pytest.raises(DataError, match="no picture"):
        facescrub(tmp_path)
