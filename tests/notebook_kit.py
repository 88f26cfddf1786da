"""Runs a notebook's code cells one after the other, as Jupyter does: the last line's value is what a cell shows."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

MIMES = {"_repr_html_": "text/html", "_repr_jpeg_": "image/jpeg", "_repr_png_": "image/png"}


def cells(path: Path) -> list[str]:
    """Sources of the code cells."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run(path: Path) -> list[Any]:
    """Run all code cells in one namespace, in the current folder; what each of them shows, None for nothing."""
    names: dict[str, Any] = {"__name__": "__main__"}
    return [_cell(source, f"{path.name}[{i}]", names) for i, source in enumerate(cells(path))]


def _cell(source: str, name: str, names: dict[str, Any]) -> Any:
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), name, "eval"), names)


def shown(value: Any) -> dict[str, Any]:
    """What a notebook would display of a value, by MIME type."""
    rich = {mime: getattr(value, method)() for method, mime in MIMES.items() if hasattr(value, method)}
    return {"text/plain": repr(value), **{mime: made for mime, made in rich.items() if made is not None}}
