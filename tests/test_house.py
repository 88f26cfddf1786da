"""The rules of the house: layers import downward, using mien never imports torch, names and help are pinned."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mien

SOURCE = Path(mien.__file__).parent
LAYERS = [
    {"cli", "__main__"},
    {"server"},
    {"bench"},
    {"train", "export", "explain"},
    {"catalog", "report", "engines"},
    {"analysis"},
    {"pipeline", "weights"},
    {"models", "losses", "datasets", "augment", "features"},
    {"layers"},
    {"faces", "metrics", "protocols", "table", "events", "fusions"},
    {"types", "spec", "labels", "registry", "errors", "media"},
]
# what a lower layer may take from a higher one, and why
ALLOWED = {
    ("faces", "pipeline"),  # landmark and YuNet detectors run weight files
    ("features", "pipeline"),  # embeddings and scores of weight files as features
    ("features", "train"),
    ("analysis", "__init__"),
    ("types", "report"),  # a notebook asks a result for its picture
}
TORCH_ROOMS = {"models", "losses", "layers", "train", "export", "augment", "explain"}


def modules() -> list[tuple[str, Path]]:
    return [(".".join(p.relative_to(SOURCE).with_suffix("").parts), p) for p in sorted(SOURCE.rglob("*.py"))]


def imports(path: Path) -> set[str]:
    """Absolute names of everything that a file imports, wherever it stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def rank(room: str) -> int | None:
    return next((i for i, layer in enumerate(LAYERS) if room in layer), None)


def test_imports_go_downward() -> None:
    wrong = []
    for name, path in modules():
        room = name.split(".")[0]
        if room == "__init__":
            continue
        assert rank(room) is not None, f"{room} stands in no layer"
        for target in imports(path):
            if not target.startswith("mien."):
                continue
            other = target.split(".")[1]
            upward = (rank(other) or 0) < (rank(room) or 0)
            if upward and (room, other) not in ALLOWED:
                wrong.append(f"{name} imports {target}")
    assert not wrong


def test_torch_stays_in_its_rooms() -> None:
    outside = [
        name
        for name, path in modules()
        if name.split(".")[0] not in TORCH_ROOMS and any(n.split(".")[0] in ("torch", "onnx") for n in imports(path))
    ]
    assert not outside


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_analysing_imports_no_torch_and_import_is_light() -> None:
    code = (
        "import sys, mien; print([m for m in ('torch', 'cv2', 'onnxruntime', 'matplotlib', 'av') if m in sys.modules])"
    )
    assert run(code).strip() == "[]"
    code = "import sys, mien; mien.load(); import mien.analysis; print('torch' in sys.modules, 'pandas' in sys.modules)"
    assert run(code).strip() == "False False"


def test_public_names() -> None:
    assert mien.__all__ == ["Faces", "MienError", "Model", "Spec", "Table", "analyze", "load", "stream"]
    assert len(mien.__all__) <= 8
    for name in mien.__all__:
        assert getattr(mien, name).__doc__, name
    with pytest.raises(AttributeError, match="nothing_here"):
        mien.nothing_here  # noqa: B018


def test_files_stay_small() -> None:
    long = {name: n for name, path in modules() if (n := len(path.read_text().splitlines())) > 500}
    assert not long


def test_every_data_set_is_in_the_docs() -> None:
    from mien.datasets import DATASETS

    page = SOURCE.parent.parent / "docs" / "datasets.md"
    if not page.is_file():
        pytest.skip("docs are not beside an installed package")
    listed = [line.split("`")[1] for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert listed == DATASETS.names(), "run python scripts/make_datasets_page.py"


def test_every_verb_is_in_the_docs() -> None:
    from typer.main import get_command

    docs = SOURCE.parent.parent / "docs" / "cli.md"
    if not docs.is_file():
        pytest.skip("docs are not beside an installed package")
    from mien.cli import app

    text = docs.read_text(encoding="utf-8")
    root = get_command(app)
    for verb, command in root.commands.items():  # type: ignore[attr-defined]
        assert f"mien {verb}" in text, verb
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("--") and option != "--help":
                    assert option in text, f"{verb} {option}"
