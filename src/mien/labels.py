"""Label sets of the field. Order matters: it is the order of a network's outputs.

>>> len(FERPLUS8), FERPLUS8[0]
(8, 'anger')
"""

from __future__ import annotations

BASIC6 = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
"""Ekman's six basic expressions."""

BASIC7 = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""The six and neutral (FER2013, RAF-DB)."""

FERPLUS8 = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""The seven and contempt (FER+, AffectNet-8, CK+ with neutral)."""

COLOURS = {
    "anger": "#d1495b",
    "contempt": "#8d6a9f",
    "disgust": "#5b8e3e",
    "fear": "#6f5fb3",
    "happiness": "#e8a33d",
    "neutral": "#8a8f98",
    "sadness": "#3d7ea6",
    "surprise": "#2fa39a",
}
"""One colour per label, the same in every plot, overlay and page."""

_SPARE = ("#7a5c3e", "#3e6f7a", "#a05c8f", "#5c7a3e", "#7a3e4b", "#4b3e7a")


def colour(label: str) -> str:
    """Hex colour of a label; a label outside the eight gets a steady one of its own."""
    return COLOURS.get(label) or _SPARE[sum(label.encode()) % len(_SPARE)]
