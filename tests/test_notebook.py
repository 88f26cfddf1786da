"""What a notebook shows, and that the example notebook runs from top to bottom."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.events import Event
from mien.table import SHOWN, Table, columns
from mien.types import Faces, Frame, FrameResult
from notebook_kit import cells, run, shown

EXAMPLES = Path(__file__).parent.parent / "examples"
LABELS = ("anger", "happiness")


class Cells(HTMLParser):
    """Texts of the cells of a table, row by row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.styles: list[str] = []
        self.text = ""
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != "script"
        if tag == "tr":
            self.rows.append([])
        self._inside = tag in ("td", "th")
        if self._inside:
            self.rows[-1].append("")
            self.styles.append(dict(attrs).get("style") or "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._inside:
            self.rows[-1][-1] += data


def rows(count: int, source: str = "a/b.mp4") -> list[dict[str, object]]:
    empty = dict.fromkeys(columns(LABELS))
    verdict = {"label": "happiness", "score": 0.75, "unsure": False, "p_anger": 0.25, "p_happiness": 0.75}
    return [
        {**empty, "source": source, "frame": i, "time_s": i / 25, "face": 0, "track": 3, **verdict}
        for i in range(count)
    ]


def test_a_table_shows_its_first_rows_counts_and_columns() -> None:
    event = Event("a/b.mp4", 3, "happiness", 0, 1, 2, 0, 1, 2, 0.9, 2)
    page = Cells(Table(columns(LABELS), rows(1234), [event])._repr_html_())
    assert page.text.startswith("Table: 1,234 rows, 20 columns, 1 event")
    head, *body = page.rows
    assert head == ["source", "frame", "time_s", "face", "track", "label", "score", "unsure", "p_anger", "p_happiness"]
    assert len(body) == SHOWN
    assert body[2] == ["b.mp4", "2", "0.08", "0", "3", "happiness", "0.75", "False", "0.25", "0.75"]
    assert f"and {1234 - SHOWN:,} more rows; further columns: x1, y1, x2, y2, detection, face_px" in page.text
    assert "background:#e8a33d96" in page.styles  # 0.75 of 200 is 150, 96 in hex


def test_a_table_without_rows_and_with_odd_names() -> None:
    assert "Table: 0 rows, 0 columns" in Cells(Table(())._repr_html_()).text
    odd = Table(columns(LABELS), rows(1, "<script>alert(1)</script>"))._repr_html_()
    assert "<script" not in odd
    assert Cells(odd).rows[1][0] == "script>"  # the part after the last slash
    assert "1 row, " in odd


def result(image: np.ndarray) -> FrameResult:
    faces = Faces(np.array([[100, 60, 300, 320]]), np.ones(1), scores=np.array([[0.2, 0.8]], np.float32))
    return FrameResult(Frame(image, source="a.jpg"), faces, LABELS, np.array([False]))


def test_a_result_shows_its_annotated_frame() -> None:
    image = np.full((700, 1920, 3), 90, np.uint8)
    made = shown(result(image))
    assert made["text/plain"] == "FrameResult(a.jpg: happiness)"
    seen = cv2.cvtColor(cv2.imdecode(np.frombuffer(made["image/jpeg"], np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert seen.shape == (350, 960, 3)
    edge = seen[90, 46:55].astype(int)  # x = 100 of the frame is 50 here
    assert (edge[:, 0] - edge[:, 2]).max() > 60  # the box is drawn there, in the orange of happiness
    assert np.abs(seen[330, 900].astype(int) - 90).max() < 3
    gone = result(np.zeros((0, 0, 3), np.uint8))
    assert set(shown(gone)) == {"text/plain"}
    assert repr(FrameResult(Frame(image, 3, 0.12, "b"), Faces.none(), LABELS, np.zeros(0, bool))) == (
        "FrameResult(b at 0.120 s: no face)"
    )


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.stem)
def test_examples_are_whole_notebooks_with_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    assert outputs, "run it once, so that readers see what comes out"
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert path.stat().st_size < 400_000


def test_first_steps_run_from_top_to_bottom(
    tmp_path: Path,
    portrait: np.ndarray,
    portrait_file: Path,
    make_clip: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = EXAMPLES / "first-steps.ipynb"
    if not path.is_file():
        pytest.skip("examples are not beside an installed package")
    shutil.copy(portrait_file, tmp_path / "photo.jpg")
    frames = [np.ascontiguousarray(np.roll(portrait[:400], i, axis=1)[:, :480]) for i in range(20)]
    make_clip(tmp_path / "talk.mp4", frames)
    monkeypatch.chdir(tmp_path)
    values = run(path)
    assert len(values) == len(cells(path))
    picture, table = (value for value in values if value is not None)
    assert picture.top == ["happiness"]
    assert set(shown(picture)) == {"text/plain", "image/jpeg"}
    assert Cells(shown(table)["text/html"]).text.startswith("Table: 20 rows")
    assert [event.label for event in table.events] == ["happiness"]
    assert "person 0: happiness from 0.00 to 0.76 s" in capsys.readouterr().out
    assert (tmp_path / "results" / "report.html").is_file()
