"""mien reads facial expressions in pictures, video and live cameras.

>>> import mien
>>> model = mien.load()
>>> len(model.spec.labels)
8
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "analyze": "mien.analysis",
    "stream": "mien.analysis",
    "load": "mien.pipeline.model",
    "Model": "mien.pipeline.model",
    "Table": "mien.table",
    "Spec": "mien.spec",
    "Faces": "mien.types",
    "MienError": "mien.errors",
}

__all__ = ["Faces", "MienError", "Model", "Spec", "Table", "analyze", "load", "stream"]

if TYPE_CHECKING:
    from mien.analysis import analyze, stream
    from mien.errors import MienError
    from mien.pipeline.model import Model, load
    from mien.spec import Spec
    from mien.table import Table
    from mien.types import Faces


def __getattr__(name: str) -> Any:
    # names are imported when first used, so that `import mien` is quick
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'mien' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
