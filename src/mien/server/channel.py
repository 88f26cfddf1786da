"""Messages between the server and its workers: a length, a line of JSON, and bytes that belong to it."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
from typing import Any, BinaryIO

Message = tuple[dict[str, Any], bytes]
_HEAD = struct.Struct("<II")


def pack(fields: dict[str, Any], payload: bytes = b"") -> bytes:
    """One message.

    >>> pack({"a": 1}, b"xy")[8:]
    b'{"a": 1}xy'
    """
    text = json.dumps(fields).encode()
    return _HEAD.pack(len(text), len(payload)) + text + payload


def read(file: BinaryIO) -> Message | None:
    """The next message; None where the other side has gone."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    text, payload = _HEAD.unpack(head)
    body = file.read(text + payload)
    if len(body) < text + payload:
        return None
    return json.loads(body[:text]), body[text:]


async def receive(stream: asyncio.StreamReader) -> Message:
    """The next message.

    Raises:
        asyncio.IncompleteReadError: the other side has gone.
    """
    text, payload = _HEAD.unpack(await stream.readexactly(_HEAD.size))
    fields = json.loads(await stream.readexactly(text))
    return fields, await stream.readexactly(payload)


def take_stdout() -> BinaryIO:
    """Standard output for messages alone: what a library prints goes nowhere, and so cannot spoil them."""
    own = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    return own
