"""Label sets of the field, and the maps between them. Order matters: it is the order of a network's outputs.

A map says for every label of one set which label of another it becomes, or None where it becomes none; why is written
beside it. A label that stands in both sets is itself.

>>> len(FERPLUS8), FERPLUS8[0]
(8, 'anger')
>>> map_labels("emodb7", "basic7")
('anger', None, 'disgust', 'fear', 'happiness', 'neutral', 'sadness')
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mien.errors import DataError

BASIC6 = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
"""Ekman's six basic expressions."""

BASIC7 = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""The six and neutral (FER2013, RAF-DB)."""

FERPLUS8 = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""The seven and contempt (FER+, AffectNet-8, CK+ with neutral)."""

CKPLUS7 = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
"""The six and contempt (CK+ without neutral)."""

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

EMOTIONET23 = (
    "happiness",
    "sadness",
    "fear",
    "anger",
    "surprise",
    "disgust",
    "happily sad",
    "happily surprised",
    "happily disgusted",
    "sadly fearful",
    "sadly angry",
    "sadly surprised",
    "sadly disgusted",
    "fearfully angry",
    "fearfully surprised",
    "fearfully disgusted",
    "angrily surprised",
    "disgustedly surprised",
    "happily fearful",
    "angrily disgusted",
    "awe",
    "appalled",
    "hatred",
)
"""EmotioNet's six basic and seventeen compound categories; its happy, sad ... are called by their nouns here."""

MICRO3 = ("negative", "positive", "surprise")
"""The composite classes of the Micro-Expression Grand Challenge 2019."""

MICRO5 = ("disgust", "happiness", "others", "repression", "surprise")
"""CASME II, the five classes commonly used of it."""

SAMM8 = ("anger", "contempt", "disgust", "fear", "happiness", "others", "sadness", "surprise")
"""SAMM's estimated emotions; its Other is called others, as in CASME II."""

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

IEMOCAP10 = (
    "anger",
    "disgust",
    "excitement",
    "fear",
    "frustration",
    "happiness",
    "neutral",
    "other",
    "sadness",
    "surprise",
)
"""IEMOCAP, all that its raters could choose."""

CHEAVD8 = ("anger", "anxiety", "disgust", "happiness", "neutral", "sadness", "surprise", "worry")
"""CHEAVD's eight major emotions."""

BAUM13 = (
    "anger",
    "boredom",
    "bother",
    "concentration",
    "contempt",
    "disgust",
    "fear",
    "happiness",
    "neutral",
    "sadness",
    "surprise",
    "thinking",
    "uncertainty",
)
"""BAUM-1s: emotions and mental states."""

SENTIMENT2 = ("negative", "positive")
SENTIMENT3 = ("negative", "neutral", "positive")
"""Sentiment of utterances (CMU-MOSI, CMU-MOSEI, News Rover)."""

QUADRANTS4 = ("HVHA", "HVLA", "LVHA", "LVLA")
"""High or low valence, then high or low arousal: the quarters of Russell's circumplex (DEAP, MAHNOB-HCI)."""

TAXONOMIES: dict[str, tuple[str, ...]] = {
    "basic6": BASIC6,
    "basic7": BASIC7,
    "ferplus8": FERPLUS8,
    "ckplus7": CKPLUS7,
    "raf12": RAF_COMPOUND,
    "emotionet23": EMOTIONET23,
    "micro3": MICRO3,
    "micro5": MICRO5,
    "samm8": SAMM8,
    "multipie6": MULTIPIE6,
    "ravdess8": RAVDESS8,
    "emodb7": EMODB7,
    "seed4": SEED4,
    "mahnob9": MAHNOB9,
    "iemocap10": IEMOCAP10,
    "cheavd8": CHEAVD8,
    "baum13": BAUM13,
    "sentiment2": SENTIMENT2,
    "sentiment3": SENTIMENT3,
    "quadrants4": QUADRANTS4,
}
"""Every label set by name."""

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


@dataclass(frozen=True)
class LabelMap:
    """What the labels of one set become in another.

    Attributes:
        to: for each label of the source, in its order, the label of the target or None.
        why: the reason for every label that does not keep its name.
    """

    to: Mapping[str, str | None]
    why: str

    @property
    def lossless(self) -> bool:
        """No label is left out and no two become one."""
        return None not in self.to.values() and len(set(self.to.values())) == len(self.to)


MAPS: dict[tuple[str, str], LabelMap] = {}
"""(source, target) -> the stated map."""


def _state(sources: str, targets: str, changes: Mapping[str, str | None], why: str) -> None:
    """Write down one map for each pair of names; a label outside `changes` keeps its name."""
    for source in sources.split():
        for target in targets.split():
            to = {name: changes.get(name, name) for name in TAXONOMIES[source]}
            MAPS[source, target] = LabelMap(to, why)


_FIRST = {"happily": "happiness", "sadly": "sadness", "fearfully": "fear", "angrily": "anger", "disgustedly": "disgust"}
_SECOND = {
    "surprised": "surprise",
    "disgusted": "disgust",
    "fearful": "fear",
    "angry": "anger",
    "sad": "sadness",
}
_PARTS = {
    **{name: (_FIRST[name.split()[0]], _SECOND[name.split()[1]]) for name in EMOTIONET23 if " " in name},
    "appalled": ("disgust", "anger"),
    "awe": ("surprise", "fear"),
    "hatred": ("anger", "disgust"),
}


def parts(label: str) -> tuple[str, ...]:
    """The basic expressions in a label: two for a compound, the first the stronger, else the label itself.

    Du, Tao and Martinez (PNAS 2014) put the weight on disgust in appalled, on surprise in awe, on anger in hatred.

    >>> parts("happily surprised"), parts("fear")
    (('happiness', 'surprise'), ('fear',))
    """
    return _PARTS.get(label, (label,))


_state("ferplus8 ckplus7", "basic7", {"contempt": None}, "contempt is none of the six and no shade of another")
_state(
    "ferplus8 ckplus7 basic7",
    "basic6",
    {"contempt": None, "neutral": None},
    "neutral is no emotion and contempt none of the six",
)
_state("ferplus8 basic7", "ckplus7", {"neutral": None}, "CK+ labels no neutral sequence")
_state(
    "raf12",
    "basic6 basic7 ferplus8",
    {name: parts(name)[0] for name in RAF_COMPOUND},
    "a compound becomes its first part; NOT lossless: the second part is as much in the face, and surprise, which only "
    "ever stands second here, gets no example",
)
_state(
    "emotionet23",
    "basic6 basic7 ferplus8",
    {name: parts(name)[0] for name in EMOTIONET23},
    "a compound becomes its first part, or the part its authors stress (appalled disgust, awe surprise, hatred "
    "anger); NOT lossless",
)
_state(
    "emotionet23",
    "raf12",
    {name: None for name in EMOTIONET23 if name not in RAF_COMPOUND},
    "RAF-DB's compound set has no single emotion, and not these five compounds",
)
_state(
    "multipie6",
    "basic7 ferplus8",
    {"smile": "happiness", "scream": None, "squint": None},
    "a smile on request counts as happiness; scream and squint are movements that fit fear, anger and disgust alike",
)
_state(
    "multipie6",
    "basic6",
    {"neutral": None, "smile": "happiness", "scream": None, "squint": None},
    "as for basic7; neutral is no emotion",
)
_state(
    "ravdess8",
    "basic7 ferplus8 emodb7",
    {"calm": "neutral"},
    "calm was recorded as a second baseline beside neutral, so the two are one class",
)
MAPS["ravdess8", "emodb7"] = LabelMap(
    {**MAPS["ravdess8", "emodb7"].to, "surprise": None}, "calm is a second neutral; EMO-DB has no surprise"
)
_state("ravdess8", "basic6", {"calm": None, "neutral": None}, "calm and neutral are baselines, not emotions")
_state("emodb7", "basic7 ferplus8 ravdess8", {"boredom": None}, "boredom is no basic expression and not neutral either")
_state("emodb7", "basic6", {"boredom": None, "neutral": None}, "neither is one of the six")
_state(
    "mahnob9",
    "basic7 ferplus8",
    {"amusement": "happiness", "anxiety": None},
    "amusement shows as laughter, with happiness; anxiety is a mood without a face of its own, and is not fear",
)
_state(
    "mahnob9",
    "basic6",
    {"amusement": "happiness", "anxiety": None, "neutral": None},
    "as for basic7; neutral is no emotion",
)

_state(
    "iemocap10",
    "basic7 ferplus8",
    {"excitement": "happiness", "frustration": None, "other": None},
    "excitement counts as happiness, as in the four classes commonly read; frustration is no shade of one alone",
)
_state(
    "iemocap10",
    "basic6",
    {"excitement": "happiness", "frustration": None, "other": None, "neutral": None},
    "as for basic7; neutral is no emotion",
)
_state(
    "cheavd8", "basic7 ferplus8", {"anxiety": None, "worry": None}, "moods without a face of their own, and not fear"
)
_state("cheavd8", "basic6", {"anxiety": None, "worry": None, "neutral": None}, "as for basic7; neutral is no emotion")
_MENTAL = dict.fromkeys(("boredom", "bother", "concentration", "thinking", "uncertainty"))
_state("baum13", "basic7", {**_MENTAL, "contempt": None}, "mental states are no emotions; contempt is none of the six")
_state("baum13", "ferplus8", _MENTAL, "mental states are no emotions")
_state(
    "baum13",
    "basic6",
    {**_MENTAL, "contempt": None, "neutral": None},
    "as for basic7; neutral is no emotion",
)

_NEGATIVE: dict[str, str | None] = dict.fromkeys(("anger", "contempt", "disgust", "fear", "sadness"), "negative")
_state(
    "micro5 samm8",
    "micro3",
    {**_NEGATIVE, "repression": "negative", "happiness": "positive", "others": None},
    "the rule of the Micro-Expression Grand Challenge 2019, which leaves out others",
)
_state(
    "basic6 basic7 ferplus8 ckplus7",
    "micro3",
    {**_NEGATIVE, "happiness": "positive", "neutral": None},
    "the rule of the Micro-Expression Grand Challenge 2019; it has no neutral class",
)
_state(
    "basic6 basic7 ferplus8 ckplus7",
    "sentiment2",
    {**_NEGATIVE, "happiness": "positive", "neutral": None, "surprise": None},
    "surprise may please or not, and neutral does neither",
)
_state(
    "basic6 basic7 ferplus8 ckplus7",
    "sentiment3",
    {**_NEGATIVE, "happiness": "positive", "surprise": None},
    "surprise may please or not, which is not neutral",
)
_state("micro3", "sentiment2 sentiment3", {"surprise": None}, "surprise may please or not")
_state("sentiment3", "sentiment2", {"neutral": None}, "neutral has no sign")
_state(
    "quadrants4",
    "sentiment2",
    {"HVHA": "positive", "HVLA": "positive", "LVHA": "negative", "LVLA": "negative"},
    "the sign of valence; arousal has no part in it",
)
_state(
    "basic6 basic7 ferplus8 ckplus7 ravdess8 emodb7 seed4 mahnob9",
    "quadrants4",
    {
        "happiness": "HVHA",
        "amusement": "HVHA",
        "calm": "HVLA",
        "anger": "LVHA",
        "fear": "LVHA",
        "anxiety": "LVHA",
        "sadness": "LVLA",
        "boredom": "LVLA",
        **dict.fromkeys(("contempt", "disgust", "neutral", "surprise")),
    },
    "by Russell's circumplex; the arousal of disgust and contempt and the valence of surprise are not agreed on, and "
    "neutral lies in the middle",
)

Labels = str | Sequence[str]
"""A label set: its name in `TAXONOMIES`, or the labels themselves."""


def _resolve(labels: Labels) -> tuple[str, tuple[str, ...]]:
    """Name ("" if it has none) and labels of a set."""
    if isinstance(labels, str):
        if labels not in TAXONOMIES:
            raise DataError(f"no label set is called {labels!r}; there are: {', '.join(sorted(TAXONOMIES))}")
        return labels, TAXONOMIES[labels]
    chosen = tuple(labels)
    return next((name for name, known in TAXONOMIES.items() if known == chosen), ""), chosen


def map_labels(source: Labels, target: Labels) -> tuple[str | None, ...]:
    """The label of `target` that each label of `source` becomes, None for one that becomes none.

    A label that stands in both sets is itself. For any other, a map to `target` must be stated in which it occurs; no
    two stated maps to one set disagree about a label, so that a part of a named set, in any order, is mapped alike.

    Raises:
        DataError: no such set, or nothing is stated about a label.
    """
    (source_name, old), (target_name, new) = _resolve(source), _resolve(target)
    stated = {name: to for (_, end), m in MAPS.items() if end == target_name for name, to in m.to.items()}
    missing = [name for name in old if name not in new and name not in stated]
    if missing:
        known = ", ".join(sorted({end for start, end in MAPS if start == source_name})) or "nowhere"
        raise DataError(
            f"no map is stated from {source_name or ', '.join(old)} to {target_name or ', '.join(new)} for "
            f"{', '.join(missing)}; stated maps from there lead to: {known}; state a new one in mien.labels.MAPS"
        )
    return tuple(name if name in new else stated[name] for name in old)


def map_indices(indices: np.ndarray, source: Labels, target: Labels) -> np.ndarray:
    """Labels as places in `source` [N] turned into places in `target` [N]; -1 stays, and stands for None."""
    new = _resolve(target)[1]
    places = [-1 if name is None else new.index(name) for name in map_labels(source, target)]
    return np.asarray(np.array([*places, -1], np.int64)[indices])


def map_scores(scores: np.ndarray, source: Labels, target: Labels) -> np.ndarray:
    """Scores over `source` [N, K] turned into scores over `target` [N, L]: merged ones summed, then renormalised.

    A row whose whole mass lies on labels that become none is all zeros.

    >>> map_scores(np.array([[0.2, 0.5, 0.3]]), "sentiment3", "sentiment2").tolist()
    [[0.4, 0.6]]
    """
    new = _resolve(target)[1]
    merged = np.zeros((len(scores), len(new)), np.result_type(scores, np.float32))
    for k, name in enumerate(map_labels(source, target)):
        if name is not None:
            merged[:, new.index(name)] += scores[:, k]
    total = merged.sum(1, keepdims=True)
    return np.asarray(np.divide(merged, total, out=np.zeros_like(merged), where=total > 0))


def quadrants(valence: np.ndarray, arousal: np.ndarray, middle: float = 0.0) -> np.ndarray:
    """Place in `QUADRANTS4` [N] of valence and arousal [N]; the middle itself counts as low (5 on DEAP's 1 to 9).

    >>> quadrants(np.array([0.5, -0.5]), np.array([-0.1, 0.1])).tolist()
    [1, 2]
    """
    return np.asarray(2 * (np.asarray(valence) <= middle) + (np.asarray(arousal) <= middle))
