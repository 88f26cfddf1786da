"""Text in CSV files that a spreadsheet opens: what looks like a formula there is kept from being one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_QUOTE, _SPECIAL = '"', re.compile('[",\r\n]')
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def guarded(value: Any) -> Any:
    """A value for a CSV file: text that a spreadsheet would take for a formula gets an apostrophe in front.

    Text that has apostrophes before such a beginning gets one more, so that `unguarded` always finds the text again.

    >>> guarded("=1+1"), guarded("'-x"), guarded("it's"), guarded(-1.5)
    ("'=1+1", "''-x", "it's", -1.5)
    """
    return f"'{value}" if isinstance(value, str) and value.lstrip("'").startswith(FORMULA) else value


def unguarded(text: str) -> str:
    """The text that `guarded` was given.

    >>> unguarded("'=1+1"), unguarded("'quoted'")
    ('=1+1', "'quoted'")
    """
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(FORMULA) else text


def csv_line(values: Iterable[Any]) -> str:
    """One line of a CSV file; a lone carriage return is quoted too, which Python's own writer forgets before 3.13.

    >>> csv_line(["a,b", 1.5, "x\\ry", ""])
    '"a,b",1.5,"x\\ry",\\n'
    """
    texts = (value if isinstance(value, str) else str(value) for value in values)
    return ",".join(f'"{text.replace(_QUOTE, _QUOTE * 2)}"' if _SPECIAL.search(text) else text for text in texts) + "\n"
