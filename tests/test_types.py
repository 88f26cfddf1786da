"""Frame, Faces, Spec, registry: what they refuse and how they index."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import MissingExtra, UnknownName, WeightsError, require
from mien.registry import Registry
from mien.spec import Geometry, Spec
from mien.types import Faces, Frame


def three() -> Faces:
    box = np.array([[0, 0, 10, 10], [20, 0, 40, 20], [50, 50, 90, 95]])
    return Faces(box, np.array([0.9, 0.5, 0.7]), quality={"blur": np.arange(3.0)}, scores=np.eye(3, dtype=np.float32))


def test_faces_index_every_array_alike() -> None:
    faces = three()[np.array([True, False, True])]
    assert len(faces) == 2
    assert faces.quality["blur"].tolist() == [0, 2]
    assert faces.scores.argmax(1).tolist() == [0, 2]
    assert faces.track.tolist() == [-1, -1]
    assert faces.landmarks.shape == (2, 0, 2)
    assert len(three()[[2, 0]]) == 2
    assert three()[1:].detection.tolist() == pytest.approx([0.5, 0.7])


def test_faces_refuse_unequal_lengths() -> None:
    with pytest.raises(ValueError, match="detection has 2 rows, box has 3"):
        Faces(np.zeros((3, 4)), np.zeros(2))
    with pytest.raises(ValueError, match="blur"):
        three().with_(quality={"blur": np.zeros(2)})


def test_no_faces_can_be_indexed() -> None:
    assert len(Faces.none()[np.zeros(0, bool)]) == 0


def test_frame_refuses_other_pictures() -> None:
    with pytest.raises(ValueError, match="uint8"):
        Frame(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match=r"\[4, 4\]"):
        Frame(np.zeros((4, 4), np.uint8))


def test_spec_survives_the_journey() -> None:
    spec = Spec(
        "x", labels=("a", "b"), geometry=Geometry(scale=1.2, detectors={"yunet": (0.9, 0.1)}), figures={"f": 0.5}
    )
    back = Spec.from_json(spec.to_json())
    assert back == Spec.from_json(back.to_json())
    assert back.labels == ("a", "b")
    assert back.geometry.for_detector("yunet") == (0.9, 0.1)
    assert back.geometry.for_detector("other") == (1.2, 0.0)


def test_spec_ignores_keys_of_later_versions() -> None:
    text = Spec("x").to_json().replace('"name"', '"later": 1, "name"')
    assert Spec.from_json(text).name == "x"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"name": "x", "size": 1}', '{"name": "x", "colour": "cmyk"}']
)
def test_spec_refuses_nonsense(text: str) -> None:
    with pytest.raises(WeightsError):
        Spec.from_json(text)


def test_registry_names_what_it_knows() -> None:
    things: Registry[int] = Registry("thing")
    things.register("one", fact=3)(lambda: 1)
    assert things.create("one") == 1
    assert things.facts("one") == {"name": "one", "fact": 3}
    with pytest.raises(UnknownName, match="no thing is called 'two'; there are: one"):
        things.create("two")
    with pytest.raises(ValueError, match="twice"):
        things.register("one")(lambda: 2)


def test_missing_extra_says_how_to_install() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'mien\[table\]'"):
        require("no_such_package_anywhere", "table")
