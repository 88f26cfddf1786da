"""Text of others on a terminal: names of files and people may hold characters that steer it."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with everything that a terminal would obey, or cannot show, as a backslash and a code.

    Letters of all scripts stay; control characters, line breaks, marks that turn the direction of writing and half
    characters (of names that are no UTF-8) do not.

    >>> printable("a\\x1b[2Jb\\nc"), printable("Zoë 北京")
    ('a\\\\x1b[2Jb\\\\nc', 'Zoë 北京')
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
