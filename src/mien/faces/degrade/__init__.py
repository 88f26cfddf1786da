"""What spoils pictures of faces, made to measure: things in front of them, light, blur, compression, turns."""

from __future__ import annotations

from mien.faces.degrade.occluders import OCCLUDERS, face_area, occlude

__all__ = ["OCCLUDERS", "face_area", "occlude"]
