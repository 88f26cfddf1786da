"""Colours of the expressions on a light and on a dark page: fills as everywhere, text dark or light enough to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mien.labels import colour
from mien.report.paint import Colour, ink, mix, rgb

PAPER: tuple[Colour, Colour] = (255, 255, 255), (22, 24, 28)
READABLE = 4.5
"""Contrast that text needs (WCAG 2, level AA)."""


class Shade(NamedTuple):
    """One expression: its colour, text on it, and text in its colour on the light and the dark page."""

    fill: str
    on: str
    light: str
    dark: str


def luminance(colour: Colour) -> float:
    """Relative luminance as WCAG 2 defines it, in [0, 1]."""
    parts = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: Colour, other: Colour) -> float:
    """Contrast of two colours, 1 to 21.

    >>> contrast((0, 0, 0), (255, 255, 255))
    21.0
    """
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def shade(label: str) -> Shade:
    """The shades of a label."""
    fill = rgb(colour(label))
    return Shade(colour(label), _hex(_on(fill)), _hex(_readable(fill, 0)), _hex(_readable(fill, 1)))


def _on(fill: Colour) -> Colour:
    """Text on the fill: the house's black or white where it reads well enough, else the better one."""
    chosen = ink(fill)
    if contrast(chosen, fill) >= READABLE:
        return chosen
    return max(((0, 0, 0), (255, 255, 255)), key=lambda c: contrast(c, fill))


def _readable(fill: Colour, dark: int) -> Colour:
    """The colour moved towards black, or white on the dark page, until it reads as text."""
    end: Colour = (255, 255, 255) if dark else (0, 0, 0)
    for step in range(21):
        moved = mix(fill, end, step / 20)
        if contrast(moved, PAPER[dark]) >= READABLE + 0.3:
            return moved
    return end


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def style(labels: Sequence[str]) -> tuple[str, str]:
    """Rules that give classes `e0`, `e1` ... the colours of the labels: for the light page, changes for the dark."""
    shades = [shade(label) for label in labels]
    light = "".join(f".e{k}{{--c:{s.fill};--on:{s.on};--t:{s.light}}}" for k, s in enumerate(shades))
    return light, "".join(f".e{k}{{--t:{s.dark}}}" for k, s in enumerate(shades))
