"""How well micro-expressions are found: `mien analyze --micro` on SYNTHETIC clips whose truth is known to the frame.

    python scripts/measure_micro.py ICT_FOLDER CLIPS_FOLDER [--people 5] [--seed 11] [--results FILE.json]

Clips in CLIPS_FOLDER are not made again. A spot is right if it overlaps the true [onset, offset] by at least half
(intersection over union); each truth is met once. Clips of intensity 0.01 show nothing: all spots there are false.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.analysis import Run
from mien.datasets.synthetic import read_truth, synthesise
from mien.datasets.synthetic_scene import Settings
from mien.events.micro import Spot
from mien.pipeline.flow import Flow, Options
from mien.pipeline.micro import spot_video
from mien.pipeline.sources import Source
from mien.table import Row

LEAST = 0.5
NOTHING = 0.01


def conditions(people: int, seed: int) -> dict[str, Settings]:
    """What is measured."""
    base = Settings(people=people, clips=1, seed=seed, fps=100, size=320, micro=True, noise=3, intensity=0.2)
    return {
        "intensity 0.2": base,
        "intensity 0.1": replace(base, intensity=0.1),
        "0.2, noise 12": replace(base, noise=12),
        "0.2, head turns by some 8 degrees": replace(base, motion=1.0),
        "nothing": replace(base, intensity=NOTHING),
        "nothing, head turns, light changes": replace(base, intensity=NOTHING, motion=1.0, light=1.0),
    }


def spots(flow: Flow, clip: Path, folder: Path) -> list[Spot]:
    """Of all tracks, as the command line finds them."""
    run = Run(flow, folder)
    run.analyze([str(clip)])
    (source,) = run.sources

    def rows() -> Iterator[Row]:
        return run.rows(source)

    found = spot_video(Source(str(clip), "video"), rows, flow.landmarks, flow.detector.name, threads=1)
    return [spot for mine in found.values() for spot in mine]


def overlap(spot: Spot, onset: int, offset: int) -> float:
    """Intersection over union of frames."""
    both = min(spot.offset_frame, offset) - max(spot.onset_frame, onset)
    return max(0, both) / (max(spot.offset_frame, offset) - min(spot.onset_frame, onset))


def measure(flow: Flow, name: str, settings: Settings, model: Path, folder: Path) -> dict[str, Any]:
    """All figures of one condition."""
    for _ in synthesise(model, folder, settings):
        pass
    shows = settings.intensity > NOTHING
    right = false = 0
    seconds, apart = 0.0, {"onset": [], "apex": [], "offset": []}  # type: dict[str, list[float]]
    truth = list(read_truth(folder))
    for row in truth:
        places = {part: int(row[f"{part}_frame"]) for part in apart}
        found = spots(flow, folder / str(row["source"]), folder / "out")
        hits = [s for s in found if shows and overlap(s, places["onset"], places["offset"]) >= LEAST]
        right, false = right + bool(hits), false + len(found) - len(hits[:1])
        seconds += int(row["frames"]) / settings.fps
        for spot in hits[:1]:
            for part, frame in places.items():
                apart[part].append((getattr(spot, f"{part}_frame") - frame) * 1000 / settings.fps)
        print(name, row["source"], places, [(s.onset_frame, s.apex_frame, s.offset_frame) for s in found], flush=True)
    figures: dict[str, Any] = {"condition": name, "true": len(truth) * shows, "found": right, "false": false}
    figures["seconds"] = round(seconds, 1)
    for part, values in apart.items():
        figures[f"{part}_ms"] = [float(np.median(values)), float(np.median(np.abs(values)))] if values else None
    return figures


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| clips | shown | found | false | in | onset | apex | offset |", "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        times = [row[f"{part}_ms"] for part in ("onset", "apex", "offset")]
        cells = ["-" if t is None else f"{t[0]:+.0f} ({t[1]:.0f}) ms" for t in times]
        head = [row["condition"], row["true"] or "-", row["found"] if row["true"] else "-", row["false"]]
        lines.append("| " + " | ".join(map(str, [*head, f"{row['seconds']:g} s", *cells])) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--people", type=int, default=5)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    flow, rows = Flow(Options(threads=1)), []
    for number, (name, settings) in enumerate(conditions(given.people, given.seed).items()):
        rows.append(measure(flow, name, settings, given.model, given.clips / f"{number}"))
        if given.results:
            given.results.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
