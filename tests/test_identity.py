"""Whose face it is: the recognition network that the tracker asks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import media_folder
from mien.faces.identity import GEOMETRY, SIDE, SMALLEST, Identity
from mien.faces.track import Tracker
from mien.pipeline.flow import Flow, Options
from mien.pipeline.sources import read_picture
from mien.spec import KEY, Spec
from mien.types import Faces

WEIGHTS = Path(__file__).parent.parent / "src" / "mien" / "weights" / "identity.onnx"


@pytest.fixture(scope="module")
def flow() -> Flow:
    return Flow(Options(threads=1, detector="blazeface"))


def described(flow: Flow, image: np.ndarray) -> np.ndarray:
    """Descriptor of the one face of a picture."""
    identity = Identity(1)
    crops = [crop for crop in identity.crops(image, flow.find(image)[:1], flow.boxes) if crop is not None]
    return identity.describe(crops)[0]


def test_a_face_stays_itself_in_other_light_size_place_and_roll(flow: Flow, portrait: np.ndarray) -> None:
    face = described(flow, portrait)
    turn = cv2.getRotationMatrix2D((256, 256), 20, 0.7)
    others = {
        "dark": (portrait * 0.5).astype(np.uint8),
        "mirrored": np.ascontiguousarray(portrait[:, ::-1]),
        "small": cv2.resize(portrait, (256, 256), interpolation=cv2.INTER_AREA),
        "turned": cv2.warpAffine(portrait, turn, (512, 512)),
    }
    apart = {name: float(np.linalg.norm(described(flow, image) - face)) for name, image in others.items()}
    assert max(apart.values()) < Tracker.SAME, apart


def test_small_faces_are_not_described(portrait: np.ndarray) -> None:
    side = SMALLEST - 1
    faces = Faces(np.array([[200.0, 60.0, 200.0 + side, 130.0], [170.0, 40.0, 290.0, 180.0]]), np.ones(2))
    small, large = Identity(1).crops(portrait, faces, "blazeface")
    assert small is None
    assert large is not None
    assert large.shape == (SIDE, SIDE, 3)


def test_people_are_told_apart(flow: Flow) -> None:
    """Eight people, at rest and smiling: each smile is nearest to the same person at rest, and within the limit."""
    portraits = sorted((media_folder() / "faces").glob("*_neutral.jpg"))[:8]
    rest = np.stack([described(flow, read_picture(path)) for path in portraits])
    smiles = [path.with_name(path.name.replace("_neutral", "_happy")) for path in portraits]
    smile = np.stack([described(flow, read_picture(path)) for path in smiles])
    apart = np.linalg.norm(rest[:, None] - smile[None], axis=2)
    assert (apart.argmin(1) == np.arange(8)).all()
    assert np.diag(apart).max() < Tracker.SAME
    assert (apart[~np.eye(8, dtype=bool)] > Tracker.SAME).mean() > 0.95


def test_the_file_says_how_faces_are_cut() -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(WEIGHTS), providers=["CPUExecutionProvider"])
    spec = Spec.from_json(session.get_modelmeta().custom_metadata_map[KEY])
    assert (spec.task, spec.size, spec.geometry, spec.licence) == ("identity", SIDE, GEOMETRY, "CC0-1.0")


def test_the_network_to_fine_tune_is_the_one_of_the_file() -> None:
    """`face-resnet` with the file's kernels gives, for grey pictures, the file's descriptors."""
    onnx = pytest.importorskip("onnx")
    torch = pytest.importorskip("torch")
    import onnxruntime
    from onnx import numpy_helper

    from mien.models.face_resnet import FaceResNet

    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(WEIGHTS)).graph.initializer}
    convs = [name.removesuffix("/packed") for name in stored if name.endswith("/packed")]
    kernels = [stored[f"{name}/packed"] * stored[f"{name}/step"] for name in convs]
    kernels[0] = kernels[0].sum(1, keepdims=True)
    network = FaceResNet().eval()
    network.standardise = torch.nn.Identity()
    layers = [m for m in network.layers.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(layers) == len(convs) == 29
    with torch.no_grad():
        for layer, name, kernel in zip(layers, convs, kernels, strict=True):
            layer.weight.copy_(torch.from_numpy(kernel.astype(np.float32)))
            layer.bias.copy_(torch.from_numpy(stored[f"{name}/bias"].copy()))
        x = np.random.default_rng(0).normal(0, 0.2, (2, 1, SIDE, SIDE)).astype(np.float32)
        ours = network({"face": torch.from_numpy(x)}).embedding.numpy() @ stored["fc"]
    session = onnxruntime.InferenceSession(str(WEIGHTS), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(ours, session.run(None, {"input": x.repeat(3, 1)})[0], atol=1e-4)
