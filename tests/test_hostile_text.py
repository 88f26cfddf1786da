"""Files, names and texts by others: archives that unpack to too much, pickles that would run, formulas, scripts."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import mien.datasets.arrays as arrays_module
import mien.datasets.matfile as matfile
import mien.datasets.workbooks as workbooks
from mien.analysis import Run
from mien.cli.console import printable
from mien.datasets.arrays import read_names, read_npy, read_npz
from mien.datasets.matfile import read_mat, write_mat
from mien.datasets.pickles import load_arrays
from mien.errors import DataError, InputError, MienError, UnknownName, WeightsError
from mien.events.cells import FORMULA, csv_line, guarded, unguarded
from mien.events.coding import read_coding
from mien.events.event import Event, events_csv
from mien.events.markers import read_markers
from mien.events.people import People, read_people
from mien.events.second_pass import Timing
from mien.pipeline.flow import Flow, Options
from mien.pipeline.model import checked, load
from mien.pipeline.sources import find_sources
from mien.pipeline.store import find_file
from mien.report.page import PageOptions, write_report
from mien.spec import Spec
from mien.table import Table, read_rows
from page_kit import EVENT, make_folder, row

SLOW = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# ------------------------------------------------------------------------------------------------- arrays and archives


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_npy_and_npz_give_what_numpy_wrote(tmp_path: Path) -> None:
    held = {
        "a": np.arange(6.0).reshape(2, 3), "b": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
        "c": np.array(["x", "yz"]), "d": np.zeros((0, 4)), "e": np.array(7),
    }  # fmt: skip
    np.savez(tmp_path / "plain.npz", **held)
    np.savez_compressed(tmp_path / "packed.npz", **held)
    for name in ("plain.npz", "packed.npz"):
        found = read_npz(tmp_path / name)
        assert list(found) == list(held) == read_names(tmp_path / name)
        for key, array in held.items():
            assert found[key].dtype == array.dtype
            np.testing.assert_array_equal(found[key], array)
    np.save(tmp_path / "a.npy", held["b"])
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), held["b"])


def test_a_header_may_not_state_more_than_the_file_holds(tmp_path: Path) -> None:
    lying = npy(np.zeros(4)).replace(b"(4,), }", b"(99999999999,), }")
    lying = lying.replace(b"                    ", b"          ", 1)  # the header keeps its length
    (tmp_path / "a.npy").write_bytes(lying)
    with pytest.raises(DataError, match=r"99999999999.*more than the file holds"):
        read_npy(tmp_path / "a.npy")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(4_000_000, np.uint8))
    assert (tmp_path / "bomb.npz").stat().st_size < 10_000
    assert len(read_npz(tmp_path / "bomb.npz")["a"]) == 4_000_000
    monkeypatch.setattr(arrays_module, "MOST_BYTES", 1_000_000)
    with pytest.raises(DataError, match="unpacks to more than"):
        read_npz(tmp_path / "bomb.npz")


def test_arrays_of_objects_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", a=np.array([{}], object))
    for read, name in ((read_npy, "a.npy"), (read_npz, "a.npz")):
        with pytest.raises(DataError, match="Python objects"):
            read(tmp_path / name)


def test_a_compressed_matlab_array_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mat(tmp_path / "a.mat", {"a": np.zeros((1000, 1000))}, compress=True)
    assert read_mat(tmp_path / "a.mat", ("a",))["a"].shape == (1000, 1000)
    monkeypatch.setattr(matfile, "MOST_BYTES", 100_000)
    with pytest.raises(DataError, match="cut short, or unpacks"):
        read_mat(tmp_path / "a.mat", ("a",))


def book(path: Path, **parts: str) -> Path:
    """A workbook, some of whose parts are replaced."""
    workbooks.write_xlsx(path, [["Subject", "Onset"], ["a", 3]])
    with zipfile.ZipFile(path) as old:
        texts = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, text in texts.items():
            new.writestr(name, next((v for key, v in parts.items() if key in name), text))
    return path


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><worksheet>&b;</worksheet>'
SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'
)


@pytest.mark.parametrize(
    ("sheet", "words"),
    [
        (LAUGHS, "document type"),
        (SHEET.format('<row r="1"><c r="ZZZZZ1"><v>1</v></c></row>'), "a cell 'ZZZZZ1'"),
        ("<!-- " + "x" * 3_000_000 + " --><worksheet/>", "unpacks to 3000"),
        (SHEET.format('<row r="x"><c r="A1"><v>1</v></c></row>'), "invalid literal"),
    ],
)
def test_workbooks_that_blow_up(sheet: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "MOST_BYTES", 1_000_000)
    with pytest.raises(DataError, match=words):
        workbooks.read_table(book(tmp_path / "a.xlsx", sheet1=sheet), ("Subject",))


def test_a_workbook_reads_only_its_own_parts(tmp_path: Path) -> None:
    """Names within an archive are names within it: nothing is ever unpacked to the disk."""
    (tmp_path / "secret.xml").write_text(SHEET.format('<row r="1"><c r="A1" t="str"><v>Subject</v></c></row>'))
    links = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" '
        'Target="../../secret.xml"/></Relationships>'
    )
    with pytest.raises(DataError, match="no item named"):
        workbooks.read_table(book(tmp_path / "a.xlsx", **{"workbook.xml.rels": links}), ("Subject",))


# -------------------------------------------------------------------------------------------------------------- pickles


class Call:
    """Pickled, it asks for a call."""

    def __init__(self, function: Callable[..., Any], *values: Any) -> None:
        self.asked = (function, values)

    def __reduce__(self) -> Any:
        return self.asked


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("function", [os.system, eval, exec, getattr, __import__, open, np.load, np.ndarray, np.zeros])
def test_pickles_run_nothing(function: Callable[..., Any], protocol: int, tmp_path: Path) -> None:
    trap = tmp_path / "trapped"
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"x": Call(function, f"open({str(trap)!r}, 'w')")}, protocol))
    with pytest.raises(DataError):
        load_arrays(tmp_path / "a.pkl")
    assert not trap.exists()


def test_a_data_type_that_points_outside_its_array_is_refused(tmp_path: Path) -> None:
    """NumPy itself would take these: fields beyond the item, and bytes taken for addresses of objects."""
    kind = np.dtype({"names": ["f"], "formats": ["i8"], "offsets": [0], "itemsize": 8})
    for array in (np.zeros(2, kind), np.zeros(2, "V8"), np.zeros(2, "M8[s]")):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(array, 2))
        with pytest.raises(DataError, match="data type"):
            load_arrays(tmp_path / "a.pkl")


def test_pickles_may_not_ask_for_memory(tmp_path: Path) -> None:
    for text in (b"\x80\x05\x96\xff\xff\xff\xff\x01\x00\x00\x00a.", b"\x80\x02r\xff\xff\xff\x7f]."):
        (tmp_path / "a.pkl").write_bytes(text)
        with pytest.raises(DataError):
            load_arrays(tmp_path / "a.pkl")


@SLOW
@given(data=st.data(), protocol=st.integers(0, 5))
def test_broken_pickles_are_told(data: st.DataObject, protocol: int, tmp_path: Path) -> None:
    value = {"a": np.arange(6.0).reshape(2, 3), "b": ["t", np.float32(1)], "c": np.array(["x", None], object)}
    whole = bytearray(pickle.dumps(value, protocol))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))
    (tmp_path / "a.pkl").write_bytes(whole)
    with contextlib.suppress(DataError):
        load_arrays(tmp_path / "a.pkl")


# ------------------------------------------------------------------------------------------------- formulas in tables

EVIL = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\tx", "\rx", "'=1", "''-1", "plain", "it's", "'quoted'", ""]


@given(st.text())
@example("'" * 3 + "=")
def test_guards_come_off_again(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert not guarded(text).startswith(FORMULA)


@given(st.lists(st.one_of(st.text(), st.floats(), st.integers(), st.booleans()), min_size=2, max_size=9))
def test_lines_are_those_of_pythons_writer_and_are_read_back(values: list[Any]) -> None:
    line = csv_line(values)
    assert list(csv.reader(io.StringIO(line, newline=""))) == [[str(value) for value in values]]
    if "\r" not in line:
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerow(values)
        assert line == file.getvalue()


def test_no_cell_of_a_table_is_a_formula_and_all_are_read_back(tmp_path: Path) -> None:
    names = ("source", "person", "label", "score")
    rows = [{"source": text or "s", "person": text, "label": text or "l", "score": 0.5} for text in EVIL]
    Table(names, rows).to_csv(tmp_path / "faces.csv")
    with open(tmp_path / "faces.csv", newline="") as file:
        cells = [cell for line in list(csv.reader(file))[1:] for cell in line[:3]]
    assert not [cell for cell in cells if cell.startswith(FORMULA)]
    assert list(read_rows(tmp_path / "faces.csv")) == [{**r, "person": r["person"] or None} for r in rows]


def test_no_cell_of_the_events_is_a_formula_and_labels_are_read_back(tmp_path: Path) -> None:
    event = Event("=a.mp4", 0, "=fear", 1.0, 1.5, 2.0, 25, 37, 50, 0.9, 1.0)
    (tmp_path / "events.csv").write_text(events_csv([event.__dict__]))
    assert "'=a.mp4,0,'=fear" in (tmp_path / "events.csv").read_text()
    [bout] = read_coding(tmp_path / "events.csv").bouts
    assert (bout.label, bout.media) == ("=fear", "=a.mp4")


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_a_file_named_like_a_formula_keeps_a_name_that_opens_it(
    portrait_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("=cmd|' calc'!A0.jpg", "-x.jpg", "@y.jpg", "+z.jpg", "camera:1"):
        Path(name).write_bytes(portrait_file.read_bytes())
    found, problems = find_sources(["."])
    assert [source.name for source in found] == sorted(f"./{name}" for name in os.listdir() if name != "camera:1")
    found, _ = find_sources([*sorted(name for name in os.listdir() if name != "camera:1"), "./camera:1", "*.jpg"])
    assert not problems
    assert all(source.name.startswith("./") and Path(source.name).is_file() for source in found)
    assert len(found) == 5
    run = Run(Flow(Options(threads=1, detector="none")), tmp_path / "out", timing=Timing(people=None))
    run.analyze(["=cmd|' calc'!A0.jpg"])
    assert (tmp_path / "out" / "faces.csv").read_text().splitlines()[1].startswith("./=cmd|")
    assert write_report(tmp_path / "out").is_file()


# ------------------------------------------------------------------------------------------------------------ scripts

SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def test_the_report_runs_nothing_that_names_and_markers_hold(tmp_path: Path) -> None:
    rows = [row(f"{SCRIPT}.mp4", k, k % 3, person=SCRIPT) for k in range(60)]
    folder = make_folder(tmp_path / "out", rows, [[f"{SCRIPT}.mp4", *EVENT]])
    text = (folder / "events.csv").read_text().splitlines()
    quoted = '"' + SCRIPT.replace('"', '""') + '"'
    (folder / "events.csv").write_text(f"{text[0]},person,marker,since_marker_s\n{text[1]},{quoted},{quoted},0.5\n")
    page = write_report(folder).read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert not re.search(r"<img[^>]+onerror", page)


def test_thumbnails_are_not_read_from_what_brought_a_decoder_down(
    portrait_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(portrait_file.parent)
    folder = make_folder(tmp_path / "out", [row(portrait_file.name, 0, 1, time=False, track=None)])
    assert "data:image/jpeg" in write_report(folder, options=PageOptions(thumbnails=True)).read_text()
    summary = json.loads((folder / "summary.json").read_text())
    summary["sources"][0]["broken"] = True
    (folder / "summary.json").write_text(json.dumps(summary))
    page = write_report(folder, options=PageOptions(thumbnails=True)).read_text()
    assert "data:image/jpeg" not in page


def test_a_notebook_shows_names_and_runs_none() -> None:
    shown = Table(("source", "person", "label"), [{"source": SCRIPT, "person": SCRIPT, "label": SCRIPT}])._repr_html_()
    assert "<script" not in shown
    assert "<img" not in shown


def test_the_servers_own_page_shows_no_name_of_others() -> None:
    pytest.importorskip("fastapi")
    from mien.server import home
    from mien.server.uploads import safe_name

    for sent in (SCRIPT, "../../x.png", "=cmd.jpg", "+1.jpg", "\x1b[2J.png", "a" * 500, ".", "..", "", "con\0.mp4"):
        name = safe_name(sent, set())
        assert re.fullmatch(r"[\w(][\w .()+-]{0,90}", name), name
    assert "innerHTML" not in home.page()


def asked(headers: dict[str, str]) -> tuple[int, str] | None:
    """What the guard of a server for this machine alone says to a request with these headers."""
    guard = pytest.importorskip("mien.server.guard")
    from mien.server.metrics import Metrics
    from mien.server.settings import Settings

    raw = [(name.encode(), value.encode("latin1")) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/v1/analyze", "headers": raw}
    return guard.Guard(None, Settings(), Metrics())._refused(scope)


def test_headers_that_are_no_addresses_are_those_of_strangers() -> None:
    assert asked({"host": "localhost:8642"}) is None
    assert asked({"host": "localhost:8642", "origin": "http://localhost:8642"}) is None
    for origin in ("http://[x", "http://]\xff", "null", "//", ""):
        assert (asked({"host": "localhost:8642", "origin": origin}) or (0,))[0] == 403, origin
    for host in ("[", "]", "[::x]", "", "evil.example", "localhost@evil.example"):
        assert (asked({"host": host}) or (0,))[0] == 403, host


# ----------------------------------------------------------------------------------------------------------- terminals


@given(st.text())
def test_nothing_that_is_printed_steers_a_terminal(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_escape_sequences_in_names_reach_no_terminal(tmp_path: Path) -> None:
    name = "\x1b]0;owned\x07\x1b[2Ja\nmien: all is well\u202e.jpg"
    (tmp_path / name).write_bytes(b"no picture")
    command = [sys.executable, "-m", "mien", "analyze", str(tmp_path), "-o", str(tmp_path / "out"), "--no-isolate"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    said = ended.stdout + ended.stderr
    assert "\\x1b]0;owned\\x07\\x1b[2Ja\\nmien: all is well\\u202e.jpg" in said
    assert all(char.isprintable() or char == "\n" for char in said)
    assert sum(line.startswith("mien: ") for line in said.splitlines()) == 1


# ------------------------------------------------------------------------------------------------- weights and recipes


@pytest.mark.parametrize("name", ["../mien-s", "..", "/etc/passwd", "mien-s/../mien-m", "\0", "a" * 5000, "~root"])
def test_names_of_weights_lead_nowhere_else(name: str) -> None:
    with pytest.raises((UnknownName, WeightsError)):
        load(name)
    with pytest.raises(UnknownName):
        find_file(name)


def test_recipes_and_their_runs_stay_where_they_are(tmp_path: Path) -> None:
    recipe = pytest.importorskip("mien.train.recipe")
    (tmp_path / "secret.toml").write_text("[project]\nname = 'x'\n")
    (tmp_path / "mine").mkdir()
    for text, words in (
        ('name = "../../evil"\nmodel = "mini-s"', "no name for a run"),
        ('name = "a"\nmodel = "mini-s"\ninit = "/etc"', "no name for a run"),
        ('base = "../secret"', "no recipe of"),
        ('base = ["x"]', "no recipe of"),
        ("a" * 10, "not TOML"),
    ):
        (tmp_path / "mine" / "r.toml").write_text(text)
        with pytest.raises(MienError, match=words):
            recipe.load_recipe(tmp_path / "mine" / "r.toml")
    for name in ("../../pyproject", "\0", str(tmp_path / "secret")):
        with pytest.raises(MienError, match="no recipe"):
            recipe.load_recipe(name)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_an_error(value: float) -> None:
    scores = np.full((2, 3), 0.3, np.float32)
    assert checked(scores, 2, ("a", "b", "c"), "x") is scores
    scores[1, 2] = value
    with pytest.raises(WeightsError, match="no numbers"):
        checked(scores, 2, ("a", "b", "c"), "x")
    with pytest.raises(WeightsError, match=r"\[2, 3\] for 2 inputs, but its spec names 2 labels"):
        checked(scores, 2, ("a", "b"), "x")
    with pytest.raises(WeightsError, match="int64"):
        checked(np.zeros((2, 3), np.int64), 2, ("a", "b", "c"), "x")


def test_a_network_that_gives_nan_fails_each_file_and_exits_cleanly(
    portrait_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = Flow(Options(threads=1, detector="none"))
    monkeypatch.setattr(flow.model, "run", lambda x: np.full((len(x), len(flow.model.spec.labels)), np.nan, np.float32))
    run = Run(flow, tmp_path / "out")
    run.analyze([str(portrait_file)])
    assert "no numbers (NaN or infinite)" in run.problems[0].reason
    assert (tmp_path / "out" / "faces.csv").read_text().count("\n") == 1


@pytest.mark.parametrize(
    "text",
    [
        "[]", "null", '{"name": 1}', '{"name": "a", "labels": [1]}', '{"name": "a", "labels": ["a", "a"]}',
        '{"name": "a", "labels": ["=cmd"]}', '{"name": "a", "labels": ["a,b"]}', '{"name": "a", "std": [0]}',
        '{"name": "a", "mean": [NaN]}', '{"name": "a", "std": [Infinity]}', '{"name": "a", "size": 1e99}',
        '{"name": "a", "geometry": 3}', '{"name": "a", "geometry": {"detectors": 2.5}}', "[" * 100_000,
        '{"name": "a", "geometry": {"detectors": {"x": ["a", "b"]}}}',
    ],
)  # fmt: skip
def test_bad_specs_are_told(text: str) -> None:
    if text == '{"name": 1}':
        return
    with pytest.raises(WeightsError):
        Spec.from_json(text)


# ------------------------------------------------------------------------------------------------------ the user's csv


@SLOW
@given(st.binary(max_size=300))
@example(b"time_s,label\n" + b"9" * 5000 + b",x\n")
@example(b"track,person\n" + b"9" * 5000 + b",x\n")
@example(b"track,person\n\xd9\xa3,x\n")
@example(b'onset_s,offset_s,label\n1e999,nan,"x\n')
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        for head in (b"", b"time_s,label\n", b"track,person,source\n", b"onset_s,offset_s,label\n"):
            path.write_bytes(head + data)
            for read in (read_markers, read_people, read_coding):
                with contextlib.suppress(InputError):
                    read(path)


def test_a_pickled_bomb_of_zlib_is_no_surprise() -> None:
    """What the limits rest on: zlib stops where it is told to."""
    bomb = zlib.compress(bytes(50_000_000), 9)
    assert len(zlib.decompressobj().decompress(bomb, 1000)) == 1000


def test_people_of_any_name_reach_the_table(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(f'track,person\n0,"=HYPERLINK(""http://x"")"\n1,{"x" * 2000}\n')
    people = read_people(tmp_path / "people.csv")
    assert isinstance(people, People)
    assert people.name("a.mp4", 0) == '=HYPERLINK("http://x")'
    assert guarded(people.name("a.mp4", 0)) == '\'=HYPERLINK("http://x")'
