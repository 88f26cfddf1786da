"""Made faces for the tests of events: scores over time with known truth, and their rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mien.events import Event, EventOptions
from mien.events.baseline import FLOOR, REST
from mien.labels import FERPLUS8
from mien.table import Row, columns

NEUTRAL = FERPLUS8.index("neutral")
Truth = tuple[str, float, float]  # expression, onset and offset at the low threshold
RAMP_S, HEIGHT = 0.4, 0.9


def times_of(kind: str, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Presentation times: 25 frames/s, each fifth of these, or steps between 15 and 90 ms."""
    if kind == "variable":
        times = np.cumsum(rng.uniform(0.015, 0.09, int(seconds / 0.05)))
        return times[times < seconds]
    return np.arange(0, seconds, 0.2 if kind == "every 5" else 0.04)


def made(times: np.ndarray, truth: Sequence[Truth], rng: np.random.Generator, noise: float = 0.0) -> np.ndarray:
    """Scores [T, 8] of a neutral face with expressions that rise and fall within RAMP_S."""
    curves = np.full((len(times), len(FERPLUS8)), 0.005)
    lead = RAMP_S * EventOptions().low / HEIGHT  # from where the curve leaves zero to the low threshold
    for label, onset, offset in truth:
        begin, end = onset - lead, offset + lead
        curve = HEIGHT * np.clip(np.minimum(times - begin, end - times) / RAMP_S, 0, 1)
        k = FERPLUS8.index(label)
        curves[:, k] = np.maximum(curves[:, k], curve)
    curves[:, NEUTRAL] = np.maximum(1 - curves.sum(1), 0.005)
    logits = np.log(curves) + noise * rng.standard_normal(curves.shape)
    scores = np.exp(logits)
    return np.asarray(scores / scores.sum(1, keepdims=True))


def rest_scores(rng: np.random.Generator, count: int, noise: float = 0.1) -> np.ndarray:
    """Frames of a face at rest as most people's."""
    logits = np.log([REST.get(label, FLOOR) for label in FERPLUS8]) + noise * rng.standard_normal((count, 8))
    return np.asarray(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))


def table_rows(people: dict[int, tuple[np.ndarray, np.ndarray]], source: str = "a.mp4", every: int = 1) -> list[Row]:
    """Rows in order of time for people with times [T] and scores [T, 8], on a grid of 25 frames/s."""
    rows: list[Row] = []
    for track, (times, scores) in people.items():
        for time_s, score in zip(times.tolist(), scores, strict=True):
            best = int(score.argmax())
            row: Row = dict.fromkeys(columns(FERPLUS8), 1.0)
            row |= {"source": source, "frame": round(time_s * 25), "time_s": round(time_s, 6), "face": 0}
            row |= {"track": track, "label": FERPLUS8[best], "score": round(float(score[best]), 4), "unsure": False}
            row |= {f"p_{name}": round(float(p), 4) for name, p in zip(FERPLUS8, score, strict=True)}
            if row["frame"] % every == 0:
                rows.append(row)
    return sorted(rows, key=lambda row: (row["frame"], row["track"]))


def event(label: str, onset: float, apex: float, offset: float, track: int = 0) -> Event:
    frames = [round(t * 25) for t in (onset, apex, offset)]
    return Event("a.mp4", track, label, onset, apex, offset, *frames, 0.9, round(offset - onset, 6))
