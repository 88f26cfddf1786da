"""Every data set reads its own fake; the index and its media keep their promises; real trees where they are at hand."""

from __future__ import annotations

import filecmp
from pathlib import Path

import numpy as np
import pytest

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.faces import load_faces
from mien.datasets.media import Arrays, Pictures
from mien.errors import DataError

FACTS = {name: DATASETS.facts(name) for name in DATASETS.names()}


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A fake of every data set."""
    roots = {name: tmp_path_factory.mktemp(name) for name in FACTS}
    for name, root in roots.items():
        FAKES[name](root)
    return roots


@pytest.mark.parametrize("name", FACTS)
def test_every_data_set_reads_its_fake(name: str, fakes: dict[str, Path]) -> None:
    facts, index = FACTS[name], DATASETS.create(name, root=fakes[name])
    assert len(index) > 5
    assert facts["licence"]
    assert facts["samples"] > 0
    assert tuple(facts["labels"]) == index.labels or facts["labels"] == "yours"
    assert set(facts["modalities"]) == set(index.media) or facts["labels"] == "yours"
    assert index.split.min() >= NO_SPLIT
    assert index.split.max() <= 2
    totals = index.targets.sum(1)
    assert np.all((np.abs(totals - 1) < 1e-5) | (totals == 0))
    labelled = index.majority >= 0
    if index.labels:
        assert labelled.any()
        assert (index.targets[labelled, index.majority[labelled]] > 0).all()
    assert (index.subject != "").any() == bool(facts.get("subjects")) or facts["labels"] == "yours"


@pytest.mark.parametrize("name", FACTS)
def test_every_fake_has_readable_media(name: str, fakes: dict[str, Path]) -> None:
    index = DATASETS.create(name, root=fakes[name])
    for modality, media in index.media.items():
        for row in (0, len(index) - 1):
            item = media[row]
            if modality == "text" and isinstance(item, str):
                assert item
                continue
            assert item.size > 0
            if modality in ("face", "frames"):
                assert item.dtype == np.uint8
                grey_or_colour = (2, 3) if modality == "face" else (3, 4)
                assert item.ndim in grey_or_colour
            if modality == "audio":
                assert item.dtype == np.float32
                assert np.abs(item).max() <= 1.5
            assert all(path.is_file() for path in media.files(row))
    last = index[np.arange(len(index)) == len(index) - 1]
    assert len(last) == 1
    for modality, media in last.media.items():
        assert np.array_equal(media[0], index.media[modality][len(index) - 1])


@pytest.mark.parametrize("name", FACTS)
def test_a_folder_of_something_else_is_refused(name: str, tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError) as caught:
            DATASETS.create(name, root=root)
        assert str(root) in str(caught.value)


@pytest.mark.parametrize("name", FACTS)
def test_fakes_are_the_same_each_time(name: str, fakes: dict[str, Path], tmp_path: Path) -> None:
    FAKES[name](tmp_path)
    one = sorted(p.relative_to(fakes[name]) for p in fakes[name].rglob("*") if p.is_file() and p.name[0] != ".")
    two = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    assert one == two
    _, wrong, errors = filecmp.cmpfiles(fakes[name], tmp_path, [str(p) for p in two], shallow=False)
    # containers stamp the time of writing
    assert [w for w in wrong if not w.endswith((".mp4", ".avi", ".mov", ".npz", ".mat"))] == errors == []


def test_an_index_checks_itself() -> None:
    targets, majority = one_hot(["a", "b", "c"], ("a", "b"))
    assert majority.tolist() == [0, 1, -1]
    assert targets.tolist() == [[1, 0], [0, 1], [0, 0]]
    none, media = np.full(3, ""), {"face": Arrays(np.zeros((3, 4, 4), np.uint8))}
    index = Index(("a", "b"), targets, majority, np.array([0, 1, -1]), none, media)
    assert len(index.part("train")) == 1
    assert index.group.tolist() == ["#0", "#1", "#2"]
    with pytest.raises(ValueError, match="split has 2 rows"):
        Index(("a", "b"), targets, majority, np.zeros(2), none, media)
    with pytest.raises(ValueError, match="columns"):
        Index(("a",), targets, majority, np.zeros(3), none, media)


def test_pictures_say_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    pictures = Pictures([tmp_path / "text.jpg", tmp_path / "none.png"])
    for row, name in enumerate(("text.jpg", "none.png")):
        with pytest.raises(DataError, match=name):
            pictures[row]


def test_faces_are_read_to_one_size(fakes: dict[str, Path]) -> None:
    faces = load_faces(DATASETS.create("rafdb", root=fakes["rafdb"]), 48)
    assert faces.pixels.shape[1:] == (48, 48, 3)
    sound = Index(("a",), np.ones((1, 1)), np.zeros(1, int), np.zeros(1), np.full(1, ""), {"audio": Arrays([1])})
    with pytest.raises(DataError, match="no stills"):
        load_faces(sound)


def test_a_clip_is_thinned_and_cut(tmp_path: Path) -> None:
    import av

    from mien.datasets.media import Clips

    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for level in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 10 * level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    levels = [round(float(f.mean()) / 10) for f in Clips([path])[0]]
    assert levels == list(range(20))
    assert [round(float(f.mean()) / 10) for f in Clips([path], most=3)[0]] == [0, 10, 19]
    assert [round(float(f.mean()) / 10) for f in Clips([path], most=3, spans=[(4, 8)])[0]] == [4, 6, 8]
    assert len(Clips([path], most=99)[0]) == 20
    with pytest.raises(DataError, match="no frames in 30"):
        Clips([path], spans=[(30, 40)])[0]
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(DataError, match=r"text\.mp4"):
        Clips([tmp_path / "text.mp4"])[0]
