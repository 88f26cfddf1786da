"""What there is to list and show: kinds of things, and the facts of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mien.errors import UnknownName

Facts = dict[str, Any]


def weights() -> list[Facts]:
    """Facts of every weight file, shipped or fetched."""
    from mien.pipeline.model import Model
    from mien.pipeline.store import DEFAULT, REMOTE, find_file, packaged, user_folder

    rows: list[Facts] = []
    for name in packaged():
        path = find_file(name)
        spec = Model(path, threads=1).spec
        rows.append(
            {
                "name": name,
                "task": spec.task,
                "default": name == DEFAULT,
                "parameters": spec.parameters,
                "megabytes": round(path.stat().st_size / 1e6, 2),
                "labels": list(spec.labels),
                "trained_on": list(spec.trained_on),
                "licence": spec.licence,
                "figures": spec.figures,
                "here": True,
            }
        )
    for name, remote in REMOTE.items():
        here = (user_folder() / remote.file).is_file()
        rows.append({"name": name, "task": "detection", "about": remote.about, "licence": remote.licence, "here": here})
    return rows


def _registered(module: str, registry: str) -> Callable[[], list[Facts]]:
    def facts() -> list[Facts]:
        import importlib

        from mien.errors import MissingExtra

        try:
            table = getattr(importlib.import_module(module), registry)
            return [table.facts(name) for name in table.names()]
        except ModuleNotFoundError as error:
            raise MissingExtra(str(error.name), "train") from error

    return facts


KINDS: dict[str, Callable[[], list[Facts]]] = {
    "weights": weights,
    "detectors": _registered("mien.faces", "DETECTORS"),
    "models": _registered("mien.models", "MODELS"),
    "datasets": _registered("mien.datasets", "DATASETS"),
    "losses": _registered("mien.losses", "LOSSES"),
    "features": _registered("mien.features", "FEATURES"),
    "fusions": _registered("mien.fusions", "FUSIONS"),
}


def listing(kind: str) -> list[Facts]:
    """Facts of all things of a kind.

    Raises:
        UnknownName: there is no such kind.
    """
    if kind not in KINDS:
        raise UnknownName("kind", kind, KINDS)
    return KINDS[kind]()


def find(name: str) -> tuple[str, Facts]:
    """Kind and facts of the thing called `name`, whatever its kind.

    Raises:
        UnknownName: nothing has that name.
    """
    from mien.errors import MissingExtra

    known: list[str] = []
    for kind in KINDS:
        try:
            rows = listing(kind)
        except MissingExtra:
            continue
        for row in rows:
            if row["name"] == name:
                return kind, row
            known.append(row["name"])
    raise UnknownName("thing", name, set(known))
