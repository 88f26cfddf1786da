"""`mien data`: what it says of good, damaged and doubtful trees."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from mien.cli import app
from mien.datasets import DATASETS, FAKES, Index, one_hot
from mien.datasets.media import Arrays
from mien.datasets.survey import check, counts, survey
from mien.report.contact import as_thumbnail, contact_sheet

RUN = CliRunner()


def test_fake_then_check_then_stats(tmp_path: Path) -> None:
    root, out = tmp_path / "fake", tmp_path / "out"
    assert RUN.invoke(app, ["data", "fake", "rafdb", str(root)]).exit_code == 0
    refused = RUN.invoke(app, ["data", "fake", "rafdb", str(root)])
    assert "not empty" in str(refused.exception)
    said = RUN.invoke(app, ["data", "check", "rafdb", str(root)])
    assert said.exit_code == 0
    assert "15,339 were published" in said.output
    result = RUN.invoke(app, ["data", "stats", "rafdb", str(root), "--json", "-o", str(out)])
    facts = json.loads(result.output)
    assert facts["samples"] == sum(sum(row.values()) for row in facts["counts"].values())
    assert cv2.imread(facts["sheets"][0]).std() > 10
    assert RUN.invoke(app, ["data", "stats", "rafdb", str(root)]).exit_code == 0


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    FAKES["rafdb"](tmp_path)
    index = DATASETS.create("rafdb", root=tmp_path)
    paths = [index.media["face"].files(row)[0] for row in (0, 1, 2)]
    paths[0].unlink()
    paths[1].write_text("no picture")
    cv2.imwrite(str(paths[2]), np.full((100, 100, 3), 7, np.uint8))
    grave = [r.text for r in check("rafdb", index) if r.grave]
    assert len(grave) == 1
    assert paths[0].name in grave[0]
    found = survey(index, "face")
    assert len(found.broken) == 2
    assert found.flat == (2,)


def test_copies_are_counted_where_they_stand() -> None:
    pixels = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    pixels[:, 0, 0] = 99
    pixels[3], pixels[4] = pixels[0], pixels[1]  # train and test; train and train, with another label
    targets, majority = one_hot(["a", "a", "b", "a", "b", "b"], ("a", "b"))
    split = np.array([0, 0, 0, 2, 0, -1])
    people = np.array(["p", "q", "", "p", "q", ""])
    index = Index(("a", "b"), targets, majority, split, people, {"face": Arrays(pixels)})
    copies = survey(index, "face").copies(index)
    assert copies == {"within": 1, "across": {"train and test": 1}, "other_label": 1}
    assert counts(index)["train"] == {"a": 2, "b": 2, "unlabelled": 0}
    assert list(counts(index)) == ["none", "train", "test"]
    assert any("stand in more than one split: p" in r.text for r in check("folder", index))


@pytest.mark.parametrize(
    "item",
    [
        np.zeros((5, 7), np.uint8),
        np.zeros((5, 7, 3), np.uint8),
        np.zeros((4, 5, 7, 3), np.uint8),
        np.zeros((4, 5, 7), np.uint8),
        np.random.default_rng(0).normal(size=16000).astype(np.float32),
        np.random.default_rng(0).normal(size=(40, 310)),
        np.zeros(3),
    ],
)
def test_thumbnails_of_every_kind(item: np.ndarray) -> None:
    assert as_thumbnail(item).shape == (72, 72, 3)


def test_a_sheet_survives_unreadable_samples(tmp_path: Path) -> None:
    FAKES["rafdb"](tmp_path)
    index = DATASETS.create("rafdb", root=tmp_path)
    index.media["face"].files(0)[0].unlink()
    contact_sheet(index, "face", tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 1000
