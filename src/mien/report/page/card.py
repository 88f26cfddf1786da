"""What is known of the weights: their Spec, and the tables of their card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mien.errors import MienError
from mien.pipeline.store import PACKAGED, find_file
from mien.spec import Spec

RECALL = "Recall"


@dataclass(frozen=True)
class Figure:
    """A line of the card: accuracy on some data."""

    data: str
    faces: str
    accuracy: str
    uar: str


@dataclass(frozen=True)
class Card:
    """The weights that made the scores.

    Attributes:
        name, sha256: as the results state them.
        spec: None where the very file is not here.
        figures: accuracy on test data; empty where there is no card.
        recalls: (data, recall of each class by name, None where the data lack it), first the data most like training.
    """

    name: str
    sha256: str
    spec: Spec | None
    figures: tuple[Figure, ...] = ()
    recalls: tuple[tuple[str, dict[str, float | None]], ...] = ()


def read_card(name: str, digest: str, path: str) -> Card:
    """The card of the weights that the results name; of another file of the same name nothing is told.

    Args:
        name: of the weights.
        digest: SHA-256 of the file that made the scores.
        path: as the option `--model` named it.
    """
    from mien.pipeline.model import Model

    try:
        model = Model(find_file(path), threads=1)
        same = model.sha256 == digest
    except MienError:
        same = False
    if not same:
        return Card(name, digest, None)
    text = PACKAGED / f"{model.path.stem}.md"
    lines = text.read_text(encoding="utf-8").splitlines() if model.path.parent == PACKAGED and text.is_file() else []
    tables = _tables(lines)
    figures = tuple(
        Figure(row[0], row[1], row[2], row[3]) for table in tables if table[0][0] == "data" for row in table[1:]
    )
    recalls = tuple(
        (row[0], {label: _number(cell) for label, cell in zip(table[0][1:], row[1:], strict=False)})
        for table in tables
        if table[0][0] == RECALL
        for row in table[1:]
    )
    return Card(name, digest, model.spec, figures, recalls)


def landmarks_digest() -> str:
    """SHA-256 of the installed landmark weights, or empty."""
    from mien.pipeline.store import sha256

    path = Path(PACKAGED / "landmarks68.onnx")
    return sha256(path) if path.is_file() else ""


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _tables(lines: list[str]) -> list[list[list[str]]]:
    """Tables of a Markdown text as rows of cells, without the line below the heading."""
    tables: list[list[list[str]]] = []
    inside = False
    for line in lines:
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not inside:
            tables.append([])
            inside = True
        if not set("".join(cells)) <= set("-: "):
            tables[-1].append(cells)
    return tables
