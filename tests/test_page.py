"""The report: counts by hand, geometry, effect sizes against slow loops, hostile names, nothing loaded."""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from mien.errors import InputError
from mien.faces.align import box_square, cut
from mien.labels import FERPLUS8, TAXONOMIES
from mien.pipeline.summary import summarise
from mien.report.bins import Series
from mien.report.page import PageOptions, methods, panels, shades, view, write_report
from mien.report.page.card import read_card
from mien.report.page.folder import Happening, open_folder
from mien.report.page.gather import Recording, gather
from mien.table import Table, columns
from page_kit import EVENT, LABELS, make_folder, row

VOID = {"meta", "img", "br", "path"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording of 101 frames (happy in 26 of them, away in 20), and two pictures."""
    rows = [row("a.mp4", i, 1 if 25 <= i <= 50 else 2) for i in range(101) if not 60 <= i < 80]
    rows += [row("b.jpg", 0, 0, time=False, track=None, unsure=True), row("c.jpg", 0, 2, time=False, track=None)]
    return make_folder(tmp_path / "out", rows, [["a.mp4", *EVENT]])


class Page(HTMLParser):
    """Elements of a page; complains where they are not nested well."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.text, self._open = "", []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += f" {' '.join(data.split())}" if data.strip() else ""

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.found if name == tag]


def assert_alone(page: Page) -> None:
    """Nothing is loaded, nothing runs."""
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in page.found}
    for tag, attributes in page.found:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert attributes.get("href", "#").startswith("#")
        assert attributes.get("src", "data:").startswith("data:image/jpeg;base64,") or "src" not in attributes
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


def test_page_stands_alone_and_can_be_heard(folder: Path) -> None:
    path = write_report(folder)
    assert path == folder / "report.html"
    page = Page(path)
    assert_alone(page)
    assert "url(" not in path.read_text()
    tags = [tag for tag, _ in page.found]
    assert tags.count("h1") == tags.count("main") == 1
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h\d", tag)]
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert tags.count("caption") == tags.count("table")
    assert all(th.get("scope") for th in page.all("th"))
    ids = [a["id"] for _, a in page.found if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.all("a")} <= set(ids)
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in page.all("svg"))
    assert "prefers-color-scheme: dark" in path.read_text()
    assert "@page { size: A4" in path.read_text()


def test_counts_by_hand(folder: Path) -> None:
    results = open_folder(folder)
    found = gather(results.rows(), LABELS, {"a.mp4": {50}}, {"a.mp4": 0.04})
    assert found.faces == [81, 2]
    assert found.tops == [{"neutral": 55, "happiness": 26}, {"anger": 1, "neutral": 1}]
    assert found.unsure == [0, 1]
    # 60 frames, then 21: the first of either stretch stands for one step
    assert found.seen["a.mp4", "0"] == pytest.approx(81 * 0.04)
    assert found.boxes["a.mp4", 50, "0"] == (10, 10, 60, 70)
    assert len(found.near["a.mp4", 50]) == 25  # 35 to 65, of which 60 to 65 are not there
    size, turn = found.quality[0], found.quality[1]
    assert size.faces == [0, 83, 0, 0, 0, 0]
    assert size.unsure == [0, 1, 0, 0, 0, 0]
    assert turn.faces == [0, 0, 0, 83, 0]
    page = Page(write_report(folder)).text
    assert "Seen most often: neutral (67 %), happiness (31 %). Of all faces 1 % are unsure." in page
    assert "Person 0 0 to 4 s, seen for 3.2 s, 1 event" in page
    assert "happiness Person 0 1.00 2.00 2.00 0.90" in page
    assert "are turned by 45° or more" in page


def series(values: list[float], times: list[float]) -> Series:
    scores = np.array([[v, 0.0, 1 - v] for v in values])
    return Series(0, len(values), np.array(times), scores, np.array([v < 0.62 for v in values]))


def test_timeline_is_where_time_and_score_say() -> None:
    drawn = series([0.0, 1.0, 1.0, 0.5], [0.0, 1.0, 2.0, 10.0])
    event = Happening("a", 0, "anger", 2.5, 5.0, 7.5, 0, 1, 2, 0.8, 5.0)
    made = panels.timeline(Recording([drawn], 2, 20.0, 1.0), LABELS, [event], 10.0, 0.62, {"0": 4.0})
    panel = made.panels[0]
    anger = next(line for line in panel.lines if line.k == 0)
    # height 200 for a score of 1.1: 1 stands at 200 / 11 from the top
    assert anger.path == "M0 200l100-182 100 0 800 91"
    assert anger.area == "M0 200L0 200l100-182 100 0 800 91L1000 200z"
    assert [line.k for line in panel.lines] == [0, 2]  # the one that is always 0 is not drawn
    bar = panel.lanes[0][0]
    assert (bar.left, bar.width, bar.apex, bar.name) == (25.0, 50.0, 50.0, "anger")
    assert panel.threshold == pytest.approx(100 * (1 - 0.62 / 1.1), abs=0.01)
    assert made.notes == ["2 more tracks, seen less, are not drawn", "each point is the mean of 1 s"]
    assert [tick.text for tick in made.ticks][-1] == "10"


def test_absence_cuts_lines_and_straight_lines_need_no_points() -> None:
    drawn = series([0.5] * 6, [0, 1, 2, 7, 8, 9])
    panel = panels.timeline(Recording([drawn], 0, 3.0, 0.01), LABELS, [], 9.0, 0.0, {}).panels[0]
    assert panel.lines[0].path == "M0 109l222 0M778 109l222 0"
    assert panel.threshold is None
    ((k, unsure, _),) = panel.strip
    assert (k, unsure) == (0, True)


@pytest.mark.parametrize("label", sorted({label for labels in TAXONOMIES.values() for label in labels}))
def test_text_can_be_read_in_both_themes(label: str) -> None:
    def rgb(text: str) -> tuple[int, int, int]:
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)

    made = shades.shade(label)
    assert shades.contrast(rgb(made.on), rgb(made.fill)) >= 4.5
    assert shades.contrast(rgb(made.light), (255, 255, 255)) >= 4.5
    assert shades.contrast(rgb(made.dark), shades.PAPER[1]) >= 4.5


def test_greys_of_the_page_can_be_read() -> None:
    css = (Path(shades.__file__).parent / "page.css").read_text()
    for rules in re.findall(r":root \{([^}]*)\}", css):
        named = dict(re.findall(r"--([\w-]+): (#\w+)", rules))
        full = {n: v if len(v) == 7 else "#" + "".join(2 * c for c in v[1:]) for n, v in named.items()}
        tones = {n: tuple(int(v[i : i + 2], 16) for i in (1, 3, 5)) for n, v in full.items()}
        for text in ("ink", "soft", "bad"):
            for ground in ("paper", "ground"):
                assert shades.contrast(tones[text], tones[ground]) >= 4.5, (text, ground)  # type: ignore[arg-type]


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def test_names_are_harmless(tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "\N{DIVISION SLASH}") + ".mp4"
    rows = [row(name, i, 1, person=HOSTILE) for i in range(30)]
    rows += [row(f"x{name}.jpg", 0, 0, time=False, track=None)]
    problems = [{"source": HOSTILE, "reason": "</style><script>1</script>"}]
    model = {"name": HOSTILE, "sha256": HOSTILE, "unsure_below": 0.62}
    folder = make_folder(tmp_path / "out", rows, [[name, *EVENT]], problems=problems, model=model)
    compare = ("x*=<b>", "*.mp4=</table>")
    page = Page(write_report(folder, None, PageOptions(title=HOSTILE, compare=compare)))
    assert_alone(page)
    assert not page.all("img")
    assert page.text.count("alert(1)") > 5


def test_a_name_that_is_no_unicode_is_shown(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "out", [row("a.mp4", i, 1) for i in range(5)])
    text = (folder / "summary.json").read_text().replace("a.mp4", "a\\udce9.mp4")
    (folder / "summary.json").write_text(text)
    assert "a?.mp4" in write_report(folder).read_text()


def test_no_face_at_all(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "out", [row("a.mp4", i, 1) for i in range(3)])
    Table(columns(LABELS)).to_csv(folder / "faces.csv")
    summary = json.loads((folder / "summary.json").read_text())
    summary["sources"] = summarise([], LABELS, {"a.mp4": {"frames": 3, "seconds": 1.0, "complete": False}})
    (folder / "summary.json").write_text(json.dumps(summary))
    page = Page(write_report(folder)).text
    assert "No face was found." in page
    assert "not finished; go on with --resume" in page


def test_size_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = []
    for name, frames in (("short", 3000), ("long", 12000)):
        tops = rng.integers(0, 3, frames)
        rows = [row("a.mp4", i, int(tops[i])) for i in range(frames)]
        folder = make_folder(tmp_path / name, rows, [["a.mp4", *EVENT]] * (frames // 10))
        sizes.append(write_report(folder).stat().st_size)
    assert sizes[1] < 250_000
    assert sizes[1] < 1.3 * sizes[0]


def test_other_forms_of_the_rows_give_the_same_page(folder: Path) -> None:
    first = write_report(folder).read_text()
    table = Table(columns(LABELS), open_folder(folder).rows())
    (folder / "faces.csv").unlink()
    table.to_jsonl(folder / "faces.jsonl")
    assert write_report(folder).read_text() == first


# groups and effect sizes


def test_comparison_says_how_many(folder: Path) -> None:
    page = Page(write_report(folder, None, PageOptions(compare=("a*=film", "*.jpg=still")))).text
    assert "3 comparisons are shown" in page
    assert "about 0.15 of the 95 % intervals" in page
    assert "With fewer than 3 files in a group no interval can be given." in page
    assert "film n = 1, still n = 2" in page


def test_micro_expressions_stand_among_the_events(folder: Path) -> None:
    times = "onset_s,apex_s,offset_s,onset_frame,apex_frame,offset_frame"
    text = f"source,track,{times},strength,duration_s,region\na.mp4,0,1.1,1.2,1.3,28,30,33,2.25,0.2,left brow\n"
    (folder / "micro.csv").write_text(text)
    page = Page(write_report(folder))
    assert "micro-expression Person 0 1.10 1.20 0.20 2.2 % left brow" in page.text
    assert "Moilanen, A." in page.text
    assert [a for a in page.all("span") if "event micro" in a.get("class", "") and "strength" in a["title"]]


# the weights, methods


def test_methods_name_weights_and_their_accuracy_only_if_they_are_the_same(folder: Path) -> None:
    from mien.pipeline.model import load

    digest = load("mien-s", threads=1).sha256
    card = read_card("mien-s", digest, "mien-s")
    assert card.spec is not None
    data, recalls = card.recalls[0]
    assert data == "FER+ PrivateTest, 8 classes"
    assert set(recalls) == set(FERPLUS8)
    assert dict(card.recalls)["FER+ PrivateTest: FER+7"]["contempt"] is None
    summary = open_folder(folder).summary
    text = methods.paragraph(summary, card, 0.25, 200)
    assert f"accuracy is {card.figures[0].accuracy}" in text
    assert "(25 % of 200 faces)" in text
    assert digest[:12] in text
    assert "of each recording and in each picture" in text
    other = read_card("mien-s", "0" * 64, "mien-s")
    assert other.spec is None
    assert "accuracy" not in methods.paragraph(summary, other, 0.25, 200)
    assert "are not on this computer" in Page(write_report(folder)).text


def test_agreement_with_a_coder_is_told_and_folders_are_not(folder: Path) -> None:
    figures = {
        "events": {"f1": 0.8, "matched": 4, "first": 5, "second": 5},
        "frames": {"count": 1234, "events": {"kappa": None}},
    }
    (folder / "agreement.json").write_text(json.dumps(figures))
    summary = json.loads((folder / "summary.json").read_text())
    summary["options"]["restore"] = "/home/ann/mend.onnx"
    summary["problems"] = [{"source": "/home/ann/broken.mp4", "reason": "not a video"}]
    (folder / "summary.json").write_text(json.dumps(summary).replace("a.mp4", "/home/ann/a.mp4"))
    for name in ("faces.csv", "events.csv"):
        (folder / name).write_text((folder / name).read_text().replace("a.mp4", "/home/ann/a.mp4"))
    path = write_report(folder)
    text = Page(path).text
    assert "F1 is 0.80 (4 matched, 5 of mien, 5 of the coder)" in text
    assert "kappa over 1,234 times is not defined" in text
    assert "broken.mp4 : not a video" in text
    assert "/home/ann" not in path.read_text()


def test_voice_and_restoration_are_told(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    summary["voice"] = {"name": "v", "sha256": "ab" * 32, "labels": ["calm"], "window_s": 2.0, "step_s": 0.5}
    summary["options"]["restore"] = "models/mend.onnx"
    summary["sources"][0]["voice"] = {"seconds": 4.0, "spoken_seconds": 1.5, "mean_scores": {"calm": 1.0}}
    summary["sources"][1]["voice"] = {"seconds": 0.0, "spoken_seconds": 0.0, "note": "has no sound"}
    (folder / "summary.json").write_text(json.dumps(summary))
    page = Page(write_report(folder))
    assert "a.mp4 4.0 s 1.5 s calm" in page.text
    assert "b.jpg 0.0 s 0.0 s has no sound" in page.text
    assert "voice network v (SHA-256 abababababab…) in windows of 2 s, one every 0.5 s" in page.text
    assert "painted over by the generator mend.onnx" in page.text
    assert ".e3{--c:" in (folder / "report.html").read_text()


def test_citation_file_is_read() -> None:
    text = (
        'cff-version: 1.2.0\ntitle: "mien"\nauthors:\n  - family-names: Doe\n    given-names: Ann\n'
        "  - name: The team\ndoi: 10.1/x\nreferences:\n  - title: other\n"
    )
    assert methods._cff(text) == {"title": "mien", "doi": "10.1/x", "authors": "Doe, Ann; The team"}


def test_short_names_tell_files_apart() -> None:
    names = view.short_names(["a/x.mp4", "b/x.mp4", "c/y.mp4"])
    assert list(names.values()) == ["a/x.mp4", "b/x.mp4", "y.mp4"]


# pictures of faces, the command line


def images(path: Path) -> Iterator[np.ndarray]:
    for found in Page(path).all("img"):
        data = base64.b64decode(found["src"].partition(",")[2])
        assert found["alt"]
        yield cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def test_thumbnails_are_the_faces_and_blur_hides_them(
    tmp_path: Path, portrait: np.ndarray, portrait_file: Path, make_clip: Callable[..., Path]
) -> None:
    def moved(i: int) -> np.ndarray:
        return np.ascontiguousarray(np.roll(portrait[:400], 2 * i, axis=1)[:, :480])

    clip = str(make_clip(tmp_path / "clip.mp4", [moved(i) for i in range(20)]))
    box = {"x1": 170.0, "y1": 60.0, "x2": 270.0, "y2": 190.0}
    rows = [row(clip, i, 1, **box) for i in range(20)]
    rows += [row(str(portrait_file), 0, 1, time=False, track=None, **box)]
    event = [0, "happiness", 0.0, 15 / 25, 19 / 25, 0, 15, 19, 0.9, 0.76]
    gone = [row("gone.mp4", i, 1) for i in range(20)]
    folder = make_folder(tmp_path / "out", rows + gone, [[clip, *event], ["gone.mp4", *event]])
    assert not list(images(write_report(folder)))
    path = write_report(folder, None, PageOptions(thumbnails=True))
    film, still = images(path)
    square = box_square(np.array([170.0, 60.0, 270.0, 190.0]), 1.5, 0.0)
    assert np.abs(film.astype(int) - cut(moved(15), square, 144)).mean() < 6  # of the very frame: two pixels each
    assert np.abs(film.astype(int) - cut(moved(13), square, 144)).mean() > 8
    assert np.abs(still.astype(int) - cut(portrait, square, 144)).mean() < 6
    assert "no longer where it was or cannot be read: gone.mp4" in Page(path).text
    for clear, hidden in zip(
        (film, still), images(write_report(folder, None, PageOptions(thumbnails=True, blur=True))), strict=True
    ):
        middle = np.s_[36:108, 36:108]
        detail = [cv2.Laplacian(cv2.cvtColor(i, cv2.COLOR_RGB2GRAY), cv2.CV_64F)[middle].var() for i in (clear, hidden)]
        assert detail[1] < 0.05 * detail[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: (f / "summary.json").unlink(), "holds no summary.json"),
        (lambda f: (f / "summary.json").write_text('{"sources": [{}], "labels": [], "model": {}}'), "lacks parts"),
        (lambda f: (f / "faces.csv").unlink(), "holds no faces.csv"),
        (lambda f: (f / "faces.csv").write_text("source,frame,time_s\na.mp4,x,1\n"), "damaged after row 0"),
        (lambda f: (f / "faces.csv").write_text("source,frame,time_s\na.mp4,1,1\n"), "lacks the column"),
        (lambda f: (f / "events.csv").write_text("source,track\na,1\n"), "events.csv, line 2: no event"),
    ],
)
def test_damaged_results_are_one_sentence(folder: Path, make: Callable[[Path], object], message: str) -> None:
    from mien.cli import app

    make(folder)
    done = CliRunner().invoke(app, ["report", str(folder)])
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)


def test_command_line(folder: Path, tmp_path: Path, portrait_file: Path) -> None:
    from mien.cli import app

    run = CliRunner().invoke
    pair = ("--compare", "a*=x", "--compare", "b*=y")
    done = run(app, ["report", str(folder), "-o", str(tmp_path / "new" / "r.html"), *pair])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "new" / "r.html").is_file()
    assert run(app, ["report", str(folder), "--blur"]).exit_code == 2
    assert "file, person" in str(run(app, ["report", str(folder), "--unit", "x", *pair]).exception)
    assert "give --groups" in str(run(app, ["report", str(folder), "--unit", "file"]).exception)
    done = run(app, ["analyze", str(portrait_file), "--out", str(tmp_path / "run"), "--report", "--threads", "1"])
    assert done.exit_code == 0, done.output
    page = Page(tmp_path / "run" / "report.html")
    assert_alone(page)
    assert "How often each expression is recognised" in page.text
