"""What is installed, shipped and pinned: locks, weights, bill of materials, the wheel."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from mien.cli import app
from mien.pipeline import store

ROOT = Path(__file__).parent.parent
checkout = pytest.mark.skipif(not (ROOT / "scripts").is_dir(), reason="no checkout")


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_weights_are_the_pinned_ones() -> None:
    """Cure: `cd src/mien/weights && sha256sum *.onnx > SHA256SUMS`, and `python scripts/make_sbom.py`."""
    assert store.pinned() == {name: store.sha256(store.find_file(name)) for name in store.packaged()}


@pytest.mark.parametrize("name", ["mien-s", "mien-m"])
def test_the_cards_speak_of_these_files(name: str) -> None:
    assert store.pinned()[name] in (store.PACKAGED / f"{name}.md").read_text(encoding="utf-8")


def test_verify_finds_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that opens, but is not the one of the release."""
    shutil.copytree(store.PACKAGED, tmp_path / "weights")
    shutil.copy(tmp_path / "weights" / "mien-s.onnx", tmp_path / "weights" / "mien-m.onnx")
    assert CliRunner().invoke(app, ["weights", "verify"]).exit_code == 0
    monkeypatch.setattr(store, "PACKAGED", tmp_path / "weights")
    done = CliRunner().invoke(app, ["weights", "verify"])
    assert done.exit_code == 1
    assert "mien-m: is not the file of this release" in done.output
    assert "mien-s: whole" in done.output


def pins(name: str) -> dict[str, tuple[str, int]]:
    """Package -> (version, number of hashes)."""
    text = (ROOT / "scripts" / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and line[0] != "#"]
    found = {}
    for line in lines:
        match = re.match(r"([a-z0-9][\w.-]*)==(\S+)", line)
        assert match, line
        found[match[1]] = (match[2], len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", line)))
    return found


@checkout
@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("locked.txt", ("dev", "table", "audio", "eeg", "serve", "postgres")),
        ("locked-train.txt", ("dev", "table", "audio", "eeg", "serve", "postgres", "train")),
    ],
)
def test_the_lock_names_all_with_hashes_and_no_host(name: str, extras: tuple[str, ...]) -> None:
    """Cure: scripts/lock.sh."""
    own = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*own["dependencies"], *(line for extra in extras for line in own["optional-dependencies"][extra])]
    found = pins(name)
    for line in wanted:
        match = re.match(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?(?:>=([\d.]+))?", line)
        assert match
        version, hashes = found[match[1].lower().replace("_", "-")]
        assert hashes >= 1
        least = [int(part) for part in (match[2] or "0").split(".")]
        assert [int(part) for part in re.findall(r"\d+", version)[: len(least)]] >= least, line
    assert all(hashes for _, hashes in found.values())
    assert "://" not in (ROOT / "scripts" / name).read_text(encoding="utf-8")


@checkout
def test_the_bill_of_materials_is_of_this_tree() -> None:
    """Cure: python scripts/make_sbom.py."""

    def plain(bill: dict) -> str:
        for part in bill["components"]:
            part.pop("licenses", None)  # as installed where it was made
        return json.dumps(bill, indent=1)

    kept = json.loads((ROOT / "sbom.cdx.json").read_text(encoding="utf-8"))
    assert plain(kept) == plain(script("make_sbom").bill())
    names = {part["name"] for part in kept["components"]}
    assert {"mien-s.onnx", "onnxruntime-web", "numpy", "torch", "opencv-python-headless"} <= names
    references = [part["bom-ref"] for part in kept["components"]]
    assert len(references) == len(set(references))
    assert all(part["hashes"] for part in kept["components"])


@checkout
def test_the_check_of_a_wheel_sees_what_is_wrong(tmp_path: Path) -> None:
    check = script("check_wheel")
    path = tmp_path / "mien-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name in (*check.NEEDED, "mien-1.dist-info/METADATA", "mien-1.dist-info/licenses/LICENSE"):
            wheel.writestr(name, "")
        for name in ("mien/face.jpg", "tests/test_a.py", "mien/odd.xyz", "mien/weights/more.onnx"):
            wheel.writestr(name, "x")
        wheel.writestr("mien/train/last.pt", "x")
    said = "\n".join(check.faults(path))
    for fault in (
        "mien-1.dist-info/entry_points.txt is missing",
        "mien/face.jpg does not belong",
        "tests/test_a.py lies outside",
        "mien/odd.xyz is of an unknown kind",
        "mien/weights/more.onnx is not pinned",
        "mien/train/last.pt does not belong",
    ):
        assert fault in said


@checkout
@pytest.mark.slow
def test_the_wheel_is_as_it_should_be(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    assert script("check_wheel").faults(wheel) == []
