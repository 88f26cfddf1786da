"""News Rover Sentiment: 929 sentences of named people in television news, judged by crowd workers.

Paper: Ellis, Jou, Chang, "Why we watch the news: a dataset for exploring sentiment in broadcast video news", ICMI 2014.
Layout: the paper tells what the release holds (a film a sentence, its transcript, the speaker's name, the sentiment of
    the film and that of the words alone), but how its files are called could not be confirmed. This reader finds the
    films by name anywhere below the folder, and everything else in one table (.csv or .xlsx) with the columns `video`,
    `sentiment`, `transcript` and, optionally, `person` and `text_sentiment`. Untried on the real tree: a release with
    other names needs its table written so.
Labels: negative, neutral, positive (or -1, 0, 1).
Licence: research only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Arrays, Clips, Media, Sounds
from mien.datasets.recordings import write_clip
from mien.datasets.workbooks import read_table
from mien.errors import DataError
from mien.labels import SENTIMENT3

WORDS = {"-1": "negative", "0": "neutral", "1": "positive", **{name: name for name in SENTIMENT3}}
COLUMNS = ("video", "sentiment", "transcript")
FILMS = (".mp4", ".avi", ".mov", ".flv", ".mpg")


def _sentiment(cells: dict[str, str], column: str, table: Path, row: int) -> str:
    text = cells[column].lower()
    if text not in WORDS:
        raise DataError(f"{table}, row {row}: {column} is {cells[column]!r}, expected one of {', '.join(WORDS)}")
    return WORDS[text]


@DATASETS.register(
    "rover", samples=929, modalities=("frames", "audio", "text"), labels=SENTIMENT3, licence="research only"
)
def rover(root: Path) -> Index:
    """News Rover Sentiment: `frames`, `audio` and `text` of each sentence; the class is that of the film.

    `extra` holds `text_sentiment` (what the words alone were taken for, "" unknown) and, as `sequence`, the person
    where the table names one, so that folds are made by person. No official split.

    Raises:
        DataError: no table or film is found, or a row is malformed.
    """
    root = Path(root)
    tables = sorted(path for path in root.glob("*") if path.suffix.lower() in (".csv", ".xlsx"))
    if len(tables) != 1:
        raise DataError(f"{root} holds {len(tables)} tables; expected one .csv or .xlsx with {', '.join(COLUMNS)}")
    films = {path.stem: path for path in sorted(root.rglob("*")) if path.suffix.lower() in FILMS}
    rows = read_table(tables[0], COLUMNS)
    if not rows:
        raise DataError(f"{tables[0]} has no rows under its header")
    names, paths, apart = [], [], []
    for row, cells in rows:
        film = films.get(Path(cells["video"]).stem)
        if film is None:
            raise DataError(f"{tables[0]}, row {row}: no film is called {cells['video']!r} below {root}")
        names.append(_sentiment(cells, "sentiment", tables[0], row))
        apart.append(_sentiment(cells, "text_sentiment", tables[0], row) if cells.get("text_sentiment") else "")
        paths.append(film)
    targets, majority = one_hot(names, SENTIMENT3)
    people = [cells.get("person") or f"#{row}" for row, cells in rows]
    extra = {"sequence": np.array(people), "text_sentiment": np.array(apart)}
    text = Arrays([cells["transcript"] for _, cells in rows])
    media: dict[str, Media] = {"frames": Clips(paths), "audio": Sounds(paths), "text": text}
    split = np.full(len(rows), NO_SPLIT)
    return Index(SENTIMENT3, targets, majority, split, np.full(len(rows), ""), media, extra)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree in the layout above."""
    random = np.random.default_rng(seed)
    lines = ["video,person,sentiment,text_sentiment,transcript"]
    for number in range(9):
        sentiment, person = SENTIMENT3[number % 3], ("Anchor One", "Guest Two")[number % 2]
        write_clip(Path(root) / "videos" / f"segment_{number:03d}.mp4", random, frames=3)
        lines.append(f'segment_{number:03d}.mp4,{person},{sentiment},neutral,"Well, we shall see, number {number}."')
    (Path(root) / "annotations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


FAKES["rover"] = fake
