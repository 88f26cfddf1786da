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

RAF_COMPOUND = (
    "happily surprised",
    "happily disgusted",
    "sadly fearful",
    "sadly angry",
    "sadly surprised",
    "sadly disgusted",
    "fearfully angry",
    "fearfully surprised",
    "angrily surprised",
    "angrily disgusted",
    "disgustedly surprised",
    "fearfully disgusted",
)
"""RAF-DB's compound expressions; its release leaves out the last."""

MICRO3 = ("negative", "positive", "surprise")
"""The composite classes of the Micro-Expression Grand Challenge 2019."""

MICRO5 = ("disgust", "happiness", "others", "repression", "surprise")
"""CASME II."""

MULTIPIE6 = ("disgust", "neutral", "scream", "smile", "squint", "surprise")
"""The recorded expressions of CMU Multi-PIE."""

RAVDESS8 = ("anger", "calm", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""RAVDESS: the seven and calm."""

EMODB7 = ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness")
"""EMO-DB."""

SEED4 = ("fear", "happiness", "neutral", "sadness")
"""SEED-IV."""

MAHNOB9 = ("amusement", "anger", "anxiety", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""MAHNOB-HCI: its joy is called happiness here."""

SENTIMENT2 = ("negative", "positive")
SENTIMENT3 = ("negative", "neutral", "positive")
"""Sentiment of utterances (CMU-MOSI, CMU-MOSEI, News Rover)."""

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
