"""What spoils pictures of faces, made to measure: things in front of them, light, blur, compression, turns.

Each degradation takes uint8 crops, a strength and a random generator, and is the same again for the same generator.
"""

from __future__ import annotations

from mien.faces.degrade.harms import HARMS, Harm, degrade
from mien.faces.degrade.occluders import OCCLUDERS, face_area, occlude

__all__ = ["HARMS", "OCCLUDERS", "Harm", "degrade", "face_area", "occlude"]
