"""The page in the browser: written as files, built from the present source, its engine held to the same answers."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from mien.cli import app
from mien.export.web import MODELS, PAGE, write_page
from mien.labels import COLOURS
from mien.pipeline.model import load

ROOT = Path(__file__).parent.parent
WEB = ROOT / "web"
FIXTURE = WEB / "tests" / "fixture.json"


def made_now() -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("make_web_fixture", ROOT / "scripts" / "make_web_fixture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return json.loads(json.dumps(module.fixture()))  # type: ignore[no-any-return]


def test_the_fixture_of_the_browsers_tests_is_what_python_answers() -> None:
    pytest.importorskip("skimage.data")
    kept, now = json.loads(FIXTURE.read_text()), made_now()
    assert kept["labels"] == now["labels"]
    assert kept["tiles"] == now["tiles"]
    for name in ("crops", "picture"):
        shown = [np.frombuffer(base64.b64decode(f[name]["bytes"]), np.uint8).astype(int) for f in (kept, now)]
        assert np.abs(shown[0] - shown[1]).max() <= 1, "resampling of another OpenCV may round otherwise"
    shape, data = kept["crops"]["shape"], base64.b64decode(kept["crops"]["bytes"])
    crops = np.frombuffer(data, np.uint8).reshape(shape)
    for name, scores in kept["scores"].items():
        assert np.abs(load(name)(crops) - np.array(scores)).max() < 1e-3
    assert np.abs(np.array(kept["found"]["box"]) - now["found"]["box"]).max() < 0.5
    assert np.abs(np.array(kept["found"]["points"]) - now["found"]["points"]).max() < 0.5


def test_the_page_in_the_package_was_built_from_this_source() -> None:
    if not WEB.is_dir():
        pytest.skip("no checkout")
    listed = dict(line.split("  ") for line in (PAGE / "sources.txt").read_text().splitlines())
    found = {"index.html", "package-lock.json", "vite.config.ts"}
    found |= {str(p.relative_to(WEB)) for folder in ("src", "public") for p in (WEB / folder).rglob("*") if p.is_file()}
    assert set(listed) == found, "build it anew: npm run build in web/"
    for name, digest in listed.items():
        assert hashlib.sha256((WEB / name).read_bytes()).hexdigest() == digest, f"{name} has changed: npm run build"


def test_the_page_asks_nobody_and_its_policy_says_so() -> None:
    page = (PAGE / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy"\s+content="([^"]+)"', page)
    assert policy is not None
    assert "default-src 'none'" in policy.group(1)
    assert "connect-src 'self'" in policy.group(1)
    assert "unsafe-inline" not in policy.group(1)
    assert not re.findall(r'(?:src|href)="(?!\./|#)[^"]*"', page), "everything comes from beside the page"


def test_colours_are_the_packages() -> None:
    text = (WEB / "src" / "labels.ts").read_text()
    assert dict(re.findall(r"(\w+): \"(#[0-9a-f]{6})\"", text)) == COLOURS


def test_export_web_writes_page_and_weights(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", "--web", str(tmp_path / "site")])
    assert done.exit_code == 0, done.output
    for name in MODELS:
        assert (tmp_path / "site" / "models" / f"{name}.onnx").is_file()
    assert (tmp_path / "site" / "index.html").is_file()
    assert list((tmp_path / "site" / "assets").glob("*.wasm"))


def test_export_web_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(Exception, match="not an empty folder"):
        write_page(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "kept"


def test_export_without_anything_says_what_is_missing() -> None:
    done = CliRunner().invoke(app, ["export"])
    assert done.exit_code == 2
    assert "--web" in done.output


@pytest.mark.slow
def test_the_engine_in_typescript() -> None:
    if shutil.which("npx") is None or not (WEB / "node_modules").is_dir():
        pytest.skip("npm ci has not been run in web/")
    done = subprocess.run(["npx", "vitest", "run"], cwd=WEB, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
