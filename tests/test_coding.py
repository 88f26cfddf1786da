"""Human coding read from ELAN, BORIS and CSV, written for ELAN, and compared with what mien saw."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import mien
from events_kit import event, made, table_rows
from mien.cli.coding import agree
from mien.errors import InputError
from mien.events import find_events
from mien.events.coding import Bout, read_coding
from mien.events.compare import Sides, bout_iou, compare, counts, covers, kappa, match, states
from mien.events.eaf import write_eaf
from mien.events.event import COLUMNS, Event, events_csv
from mien.labels import FERPLUS8
from mien.table import columns

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
    <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/x/clip.mp4" MIME_TYPE="video/mp4" RELATIVE_MEDIA_URL="../x/clip.mp4"/>
  </HEADER>
  <TIME_ORDER>
    <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1000"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="2500"/>
    <TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="4000"/><TIME_SLOT TIME_SLOT_ID="ts4"/>
    <TIME_SLOT TIME_SLOT_ID="ts5" TIME_VALUE="6000"/>
  </TIME_ORDER>
  <TIER LINGUISTIC_TYPE_REF="x" TIER_ID="face">
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
      <ANNOTATION_VALUE>Smile &amp; more</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
      <ANNOTATION_VALUE>Frown</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts4" TIME_SLOT_REF2="ts5">
      <ANNOTATION_VALUE></ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
  </TIER>
  <TIER LINGUISTIC_TYPE_REF="y" PARENT_REF="face" TIER_ID="kind">
    <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a4" ANNOTATION_REF="a1">
      <ANNOTATION_VALUE>posed</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
    <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a5" ANNOTATION_REF="a1" PREVIOUS_ANNOTATION="a4">
      <ANNOTATION_VALUE>felt</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
  </TIER>
</ANNOTATION_DOCUMENT>
"""
AGGREGATED = (
    "Observation id,Observation date,Media file,Total length,FPS,Subject,Behavior,Behavioral category,Modifiers,"
    "Behavior type,Start (s),Stop (s),Duration (s),Comment start,Comment stop\n"
    "day 1,2024-01-01,D:/v/clip.mp4,20,25,No focal subject,happiness,,,STATE,1.000,2.500,1.500,,\n"
    'day 1,2024-01-01,D:/v/clip.mp4,20,25,Ann,fear,,"a,b",POINT,4.200,4.200,NA,,\n'
)
TABULAR = (
    "Observation id\tday 1\t\t\t\nPlayer #1\tC:\\v\\clip.mp4\t\t\t\n\t\t\t\t\n"
    "Time\tSubject\tBehavior\tComment\tStatus\n"
    "1.0\tAnn\thappiness\t\tSTART\n1.5\tAnn\tfear\t\tPOINT\n2.5\tAnn\thappiness\t\tSTOP\n3.0\tAnn\tanger\t\tSTART\n"
)
ELAN_TEXT = (
    "Tier\tParticipant\tBegin Time - hh:mm:ss.ms\tBegin Time - ss.msec\tEnd Time - hh:mm:ss.ms\tEnd Time - ss.msec\t"
    "Duration - ss.msec\tAnnotation\nface\t\t00:01:02.500\t62.5\t00:01:03.000\t63.0\t0.5\thappiness\n"
)
ELAN_WIDE = "Begin Time - hh:mm:ss.ms\tEnd Time - hh:mm:ss.ms\tleft\tright\n00:01:02.500\t00:01:03.000\tfear\t\n"


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def boris_project(**observation: Any) -> str:
    events = [[1.0, "Ann", "happiness", "", ""], [1.2, "", "fear", "", "", 30], [2.5, "Ann", "happiness", "m", ""]]
    behaviours = [{"code": "happiness", "type": "State event"}, {"code": "fear", "type": "Point event"}]
    one = {"file": {"1": ["/v/clip.mp4"], "2": []}, "events": events, "time offset": 0.0, **observation}
    return json.dumps({"behaviors_conf": dict(enumerate(behaviours)), "observations": {"day 1": one}})


def test_elan_files_are_read(tmp_path: Path) -> None:
    coding = read_coding(written(tmp_path, "a.eaf", EAF))
    assert coding.kind == "ELAN"
    assert coding.names("media") == ["clip.mp4"]
    found = [(b.label, b.onset_s, b.offset_s, b.tier) for b in coding.bouts]
    assert found == [
        ("posed", 1.0, 1.75, "kind"),
        ("Smile & more", 1.0, 2.5, "face"),
        ("felt", 1.75, 2.5, "kind"),
        ("Frown", 4.0, 5.0, "face"),  # the border without a time lies midway
        ("face", 5.0, 6.0, "face"),  # an annotation without a value
    ]
    assert [b.label for b in coding.of_tiers(["kind"]).bouts] == ["posed", "felt"]
    with pytest.raises(InputError, match=r"no tier 'mouth'; there are: 'kind', 'face'"):
        coding.of_tiers(["mouth"])


@pytest.mark.parametrize(
    ("name", "text", "kind", "expected"),
    [
        ("b.csv", AGGREGATED, "BORIS", [("happiness", 1.0, 2.5, ""), ("fear", 4.2, 4.2, "Ann")]),
        ("b.tsv", AGGREGATED.replace(",", "\t").replace('"a\tb"', "a"), "BORIS", [("happiness", 1.0, 2.5, "")]),
        ("t.tsv", TABULAR, "BORIS", [("happiness", 1.0, 2.5, "Ann"), ("fear", 1.5, 1.5, "Ann")]),
        ("p.boris", boris_project(), "BORIS", [("happiness", 1.0, 2.5, "Ann"), ("fear", 1.2, 1.2, "")]),
        ("e.txt", ELAN_TEXT, "ELAN", [("happiness", 62.5, 63.0, "face")]),
        ("w.txt", ELAN_WIDE, "ELAN", [("fear", 62.5, 63.0, "left")]),
        ("c.csv", "onset_s;offset_s;label;apex_s\n1,5;2;anger;1,75\n", "CSV", [("anger", 1.5, 2.0, "")]),
    ],
)
def test_other_files_are_read(name: str, text: str, kind: str, expected: list[tuple[Any, ...]], tmp_path: Path) -> None:
    coding = read_coding(written(tmp_path, name, "\ufeff" + text if kind != "BORIS" else text))
    assert coding.kind == kind
    assert [(b.label, b.onset_s, b.offset_s, b.tier) for b in coding.bouts][: len(expected)] == expected
    assert set(coding.names("media")) <= {"clip.mp4", ""}
    if name == "t.tsv":
        assert coding.notes == ("left out: anger starts at 3 s and never stops",)


def test_events_csv_is_a_coding_too(tmp_path: Path) -> None:
    rows = [replace(event("fear", 1, 2, 3), source="x/clip.mp4").__dict__]
    (bout,) = read_coding(written(tmp_path, "events.csv", events_csv(rows))).bouts
    assert bout == Bout("fear", 1.0, 3.0, 2.0, "track 0", "x/clip.mp4")


BOMB = '<!DOCTYPE a [<!ENTITY b "cccc"><!ENTITY d "&b;&b;">]><ANNOTATION_DOCUMENT>&d;</ANNOTATION_DOCUMENT>'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "declares a document type"),
        ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><ANNOTATION_DOCUMENT/>', "declares a document type"),
        ("<ANNOTATION_DOCUMENT>", "no whole XML file"),
        ("<svg/>", "no ELAN file (its root is svg)"),
        ("<ANNOTATION_DOCUMENT/>", "holds no coded bout"),
        (EAF.replace('ANNOTATION_REF="a1"', 'ANNOTATION_REF="a5"'), "refers to an annotation 'a5' that is not there"),
        (EAF.replace('TIME_VALUE="6000"', ""), "a2 of tier 'face' has no time"),
        (EAF.replace("UTF-8", "UFT-8"), "no whole XML file (unknown encoding: UFT-8)"),
        (EAF.replace('"6000"', '"nan"'), "a time is 'nan'"),
        (EAF.replace("RELATIVE", 'TIME_ORIGIN="x" RELATIVE'), "a time is 'x'"),
        ("<a>" * 50_000 + "</a>" * 50_000, "no ELAN file"),
        ("<a>" * 50_000, "no whole XML file"),
        (EAF.replace("milliseconds", "fathoms"), "times in 'fathoms'"),
        ('{"a": 1}', "lacks behaviors_conf or observations"),
        (boris_project(events=[["soon", "", "fear"]]), "'day 1' cannot be read"),
        (boris_project(events=[[float("nan"), "", "fear"]]), "'day 1' cannot be read"),
        ("[" * 100_000, "columns that are known here"),
        ('{"a":' * 100_000, "lacks behaviors_conf"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "neither XML, JSON nor a table"),
        ("time,name\n1,2\n", "no line names columns that are known here"),
        ("onset_s,offset_s,label\nsoon,2,fear\n", "line 2: onset_s is 'soon'"),
        ("onset_s,offset_s,label\n3,2,fear\n", "line 2: the offset, 2 s, lies before the onset"),
        (ELAN_WIDE.replace("00:01:03", "9" * 400 + ":01:03"), "expected a time"),
        (boris_project(events=[[10**400, "", "fear"]]), "'day 1' cannot be read"),
        (EAF.replace("6000", "6" * 400), "expected a whole number"),
        (AGGREGATED.replace("1.000", "inf"), "line 2: Start (s) is 'inf'"),
        ("Begin Time - PAL\tEnd Time - PAL\n1\t2\n", "needs begin and end times as msec"),
        ("", "no line names columns"),
        (None, "cannot be read (No such file"),
    ],
)
def test_bad_files_are_one_sentence(text: str | bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.eaf" if text is None else written(tmp_path, "x.eaf", text)
    with pytest.raises(InputError) as caught:
        read_coding(path)
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_events_go_to_elan_and_back(tmp_path: Path) -> None:
    events = [
        event("happiness", 1, 2, 4),
        event("fear", 3.5, 3.6, 5),  # overlaps: needs a tier of its own
        event("anger", 1, 1.5, 2, track=7),
        replace(event("anger", 8, 8.5, 9, track=3), person="Ann & Bob"),
    ]
    media = tmp_path / "v" / "a clip.mp4"
    text = write_eaf(events, media, tmp_path / "out")
    coding = read_coding(written(tmp_path, "a.eaf", text))
    back = {(b.label, b.onset_s, b.apex_s, b.offset_s, b.tier) for b in coding.bouts}
    tiers = ["track 0", "track 0 (2)", "track 7", "Ann & Bob"]
    assert back == {(e.label, e.onset_s, e.apex_s, e.offset_s, t) for e, t in zip(events, tiers, strict=True)}
    assert coding.names("media") == ["a clip.mp4"]
    root = ElementTree.fromstring(text)
    assert [child.tag for child in root][:2] == ["HEADER", "TIME_ORDER"]
    assert [child.tag for child in root][-1] == "LINGUISTIC_TYPE"
    medium = root.find("HEADER/MEDIA_DESCRIPTOR")
    assert medium is not None
    assert medium.get("MEDIA_URL") == media.resolve().as_uri()
    assert medium.get("RELATIVE_MEDIA_URL") == "../v/a clip.mp4"
    for tier in root.iter("TIER"):  # one tier cannot hold two annotations at a time
        values = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE", "")) for slot in root.iter("TIME_SLOT")}
        spans = sorted(
            (values[a.get("TIME_SLOT_REF1")], values[a.get("TIME_SLOT_REF2")])
            for a in tier.iter("ALIGNABLE_ANNOTATION")
        )
        assert all(a < z for a, z in spans)
        assert all(one[1] <= two[0] for one, two in pairwise(spans))
    assert "TIER" in write_eaf([], media, tmp_path)  # a video without an event can be opened too


def test_kappa_is_scikit_learns() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, 300), rng.integers(0, 4, 300)
    b[:180] = a[:180]
    assert kappa(a, b, 4) == pytest.approx(sklearn.cohen_kappa_score(a, b), abs=1e-4)
    assert (counts(a, b, 4) == sklearn.confusion_matrix(a, b)).all()
    assert kappa(np.zeros(5, int), np.zeros(5, int), 2) is None


def test_matches_are_one_to_one_and_the_best_first() -> None:
    first = [Bout("fear", 0, 4), Bout("fear", 5, 6), Bout("anger", 5, 6)]
    second = [Bout("fear", 3, 6), Bout("fear", 0.2, 4), Bout("anger", 5.5, 5.5)]
    pairs = match(first, second)
    assert [(p.first, p.second) for p in pairs] == [
        (first[0], second[1]),
        (first[1], second[0]),
        (first[2], second[2]),
    ]
    assert pairs[0].apart_ms("onset") == -200
    assert pairs[2].apart_ms("onset") is None  # a point has no onset
    assert len(match(first, second, 0.5)) == 2  # (5, 6) and (3, 6) share a third
    assert bout_iou(Bout("x", 0, 1), Bout("x", 1, 2)) == 0
    with pytest.raises(InputError, match="--iou 0"):
        match(first, second, 0)


def slow_state(bouts: list[Bout], time_s: float, rest: str) -> str:
    there = [b for b in bouts if b.onset_s <= time_s <= b.offset_s]
    return max(there, key=lambda b: b.onset_s).label if there else rest


def test_states_are_those_of_a_slow_loop() -> None:
    rng = np.random.default_rng(1)
    labels = ("anger", "fear", "none")
    times = np.sort(rng.uniform(0, 30, 400))
    starts = rng.uniform(0, 28, 12)
    bouts = [Bout(labels[i % 2], float(s), float(s + rng.uniform(0.1, 3))) for i, s in enumerate(starts)]
    found = states(bouts, times, labels, 2)
    assert [labels[k] for k in found] == [slow_state(bouts, t, "none") for t in times]
    fear = [any(b.label == "fear" and b.onset_s <= t <= b.offset_s for b in bouts) for t in times]
    assert covers(bouts, times, "fear").tolist() == fear


def test_the_figures_of_a_known_pair() -> None:
    times = np.round(np.arange(0, 10, 0.1), 1)
    first = [Bout("fear", 1.0, 2.9, 1.5), Bout("fear", 5.0, 5.9), Bout("anger", 8, 9)]
    second = [Bout("fear", 1.5, 2.9, 1.6), Bout("anger", 5.0, 5.9), Bout("neutral", 6, 7)]
    figures, pairs = compare(Sides(first, second, ("anger", "fear", "neutral"), "neutral", times))
    assert len(pairs) == 1
    events = figures["events"]
    assert (events["precision"], events["recall"], events["f1"]) == (0.3333, 0.5, 0.4)
    assert events["times"]["onset"] == {"count": 1, "median_ms": -500.0, "median_size_ms": 500.0}
    assert events["times"]["apex"]["median_ms"] == -100
    fear = figures["per_label"]["fear"]["overlap"]
    assert fear == {"first_s": 2.8, "second_s": 1.4, "both_s": 1.4, "jaccard": 0.5}
    table = np.array(figures["frames"]["events"]["confusion"])
    assert table.tolist() == [[0, 0, 11], [10, 15, 5], [0, 0, 59]]
    assert figures["frames"]["events"]["agreement"] == 0.74


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A finished run over made scores: one happy and one fearful stretch of one face."""
    times = np.round(np.arange(0, 20, 0.04), 2)
    truth = [("happiness", 2.0, 5.0), ("fear", 9.0, 12.0)]
    scores = made(times, truth, np.random.default_rng(0))
    folder = tmp_path / "run"
    folder.mkdir()
    source = "videos/clip.mp4"
    mien.Table(columns(FERPLUS8), table_rows({0: (times, scores)}, source)).to_csv(folder / "faces.csv")
    events = find_events(times, scores, FERPLUS8)
    rows = [replace(e, source=source, track=0).__dict__ for e in events]
    (folder / "events.csv").write_text(events_csv(rows, COLUMNS))
    summary = {"labels": FERPLUS8, "sources": [{"source": source, "seconds": 19.96}, {"source": "photo.jpg"}]}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


APP = typer.Typer()
APP.command()(agree)


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(APP, [str(a) for a in arguments], catch_exceptions=False)


def coder(folder: Path, shift: float = 0.0, name: str = "coder.csv") -> Path:
    rows = [(2.1, 4.9, "Smile"), (9.0, 11.8, "fear"), (15.0, 16.0, "anger"), (17.0, 17.5, "Blink")]
    lines = "".join(f"{a + shift},{z + shift},{label}\n" for a, z, label in rows)
    return written(folder, name, "onset_s,offset_s,label\n" + lines)


def test_the_command_line_end_to_end(results: Path, tmp_path: Path) -> None:
    coding, out = coder(tmp_path, 3.0), tmp_path / "out"
    more = ("--map", "Smile=happiness,Blink=", "--clock-offset", "-3", "--out", out)
    done = run(results, coding, *more, "--json")
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures == json.loads((out / "agreement.json").read_text())
    assert figures["frames"]["count"] == 500
    assert figures["frames"]["top_label"]["kappa"] > 0.8
    assert (figures["events"]["first"], figures["events"]["second"], figures["events"]["matched"]) == (2, 3, 2)
    assert (figures["events"]["precision"], figures["events"]["recall"]) == (1.0, 0.6667)
    assert abs(figures["per_label"]["happiness"]["times"]["onset"]["median_ms"] + 100) <= 40
    assert len((out / "matches.csv").read_text().splitlines()) == 4
    assert len((out / "confusion.csv").read_text().splitlines()) == 9
    image = cv2.imread(str(out / "agreement.png"))
    assert image is not None
    assert image.shape[1] == 1800
    plain = run(results, coding, *more)
    assert max(map(len, plain.output.splitlines()[:7])) <= 80
    assert "of the events over 500 frames with this face" in plain.output.replace("\n", " ")


def test_coder_against_coder(results: Path, tmp_path: Path) -> None:
    one, two = coder(tmp_path), coder(tmp_path, 0.1, "other.csv")
    figures = json.loads(run(one, two, "--json").stdout)
    assert figures["events"]["f1"] == 1.0
    assert figures["events"]["times"]["onset"]["median_ms"] == -100
    assert 0.8 < figures["frames"]["events"]["kappa"] < 1
    assert json.loads(run(one, one, "--json").stdout)["frames"]["events"]["kappa"] == 1.0
    assert "top_label" not in figures["frames"]
    # what mien wrote for ELAN agrees with mien
    events = read_coding(results / "events.csv").bouts
    assert len(events) == 2
    as_events = [Event("clip.mp4", 0, b.label, b.onset_s, b.apex_s or 0, b.offset_s, 0, 0, 0, 1, 1) for b in events]
    elan = written(tmp_path, "clip.eaf", write_eaf(as_events, tmp_path / "clip.mp4", tmp_path))
    same = json.loads(run(results, elan, "--json").stdout)
    assert same["events"]["f1"] == 1.0
    assert {t["median_ms"] for t in same["events"]["times"].values()} == {0.0}
    within = json.loads(run(results, elan, "--json", "--begin", "0", "--end", "7").stdout)
    assert (within["frames"]["count"], within["events"]["first"]) == (176, 1)


def test_mistakes_are_one_sentence(results: Path, tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    coding = coder(tmp_path)
    cases = [
        ((results, coding), "'Smile' (and 1 more) is none of anger"),
        ((results, coding, "--map", "Smile=joy,Blink="), "--map names 'joy'"),
        ((results, coding, "--map", "Smile=happiness,Blink=", "--clock-offset", "60"), "mend the clock with"),
        ((results, coding, "--map", "Smile=happiness,Blink=", "--track", "5"), "clip.mp4 has track 0, 500 frames"),
        ((results, coding, "--map", "Smile=happiness,Blink=", "--source", "b.mp4"), "none of the videos there"),
        ((results, coding, "--map", "Smile=happiness,Blink=", "--iou", "2"), "--iou 2"),
        ((results, coding, "--map", "Smile=happiness,Blink=", "--begin", "50"), "nothing lies between"),
        ((results, coding, "--map", "Smile=,Blink=,fear=,anger="), "no bout is left"),
        ((tmp_path, coding), "holds no summary.json"),
        ((coding, coder(tmp_path, 100, "far.csv")), "mend the clock with"),
    ]
    for arguments, words in cases:
        with pytest.raises(InputError) as caught:
            run(*arguments)
        assert words in str(caught.value)
    assert run(results, coding, "--map", "Smile").exit_code == 2
    two = read_coding(written(tmp_path, "two.csv", AGGREGATED + AGGREGATED.splitlines()[1].replace("clip", "b") + "\n"))
    assert len(two.of_media("x/clip.mp4").bouts) == 2
    with pytest.raises(InputError, match="holds several recordings"):
        two.of_media("c.mp4")
