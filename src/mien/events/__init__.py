"""Expressions as events in time: smoothing, a baseline for each person, onset, apex and offset. numpy only.

    scores -> baseline -> smoothing -> thresholds with hysteresis -> Event

Everything works on presentation times, so that a variable frame rate or `--every N` changes no meaning.
"""

from mien.events.event import Event, EventOptions
from mien.events.find import find_events
from mien.events.markers import Marker, read_markers
from mien.events.people import People, read_people
from mien.events.smooth import smooth

__all__ = ["Event", "EventOptions", "Marker", "People", "find_events", "read_markers", "read_people", "smooth"]
