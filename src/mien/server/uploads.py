"""Bodies of requests, streamed to disk: never in memory, never more than allowed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from mien.pipeline.sources import PICTURES, VIDEOS
from mien.server.refusal import Refusal

MOST_FILES, DRAIN_BYTES, DRAIN_S = 100, 32_000_000, 2.0


@dataclass
class Upload:
    """What came.

    Attributes:
        files: in the order in which they came.
        bytes: of the whole body.
    """

    files: list[Path] = field(default_factory=list)
    bytes: int = 0


def safe_name(sent: str, taken: set[str]) -> str:
    """A file name that no file system minds: the sender's last path part, tamed, and with a known suffix or none.

    >>> safe_name("../../etc/pass wd.MP4", set()), safe_name("a.mp4", {"a.mp4"}), safe_name(".htaccess", set())
    ('pass wd.mp4', 'a-2.mp4', 'htaccess')
    """
    last = re.split(r"[/\\]", sent)[-1]
    stem, dot, suffix = last.rpartition(".")
    suffix = f".{suffix.lower()}" if dot and f".{suffix.lower()}" in PICTURES | VIDEOS else ""
    stem = (stem if suffix else last).strip(". ")
    stem = re.sub(r"[^\w .()+-]", "_", stem)[:80].strip(". ").lstrip("+-") or "file"
    name, number = f"{stem}{suffix}", 2
    while name.lower() in {other.lower() for other in taken}:
        name, number = f"{stem}-{number}{suffix}", number + 1
    return name


async def save(request: Request, folder: Path, *, max_bytes: int, timeout_s: float, most: int = MOST_FILES) -> Upload:
    """Write the body's files into a folder.

    A body of the type multipart/form-data holds one file or more, each in a field `file`; any other is one file itself.

    Args:
        folder: there already, and empty.
        max_bytes: of the whole body.
        timeout_s: longest wait for the next piece.
        most: number of files.

    Raises:
        Refusal: 408 too slow, 413 too large, 415 packed, 422 no file or a damaged form, 507 no room.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refusal(415, "packed bodies are not unpacked; send the file as it is, without Content-Encoding")
    stated = request.headers.get("content-length", "0")
    if not re.fullmatch("[0-9]{1,15}", stated):
        raise Refusal(400, f"Content-Length is {stated[:40]!r}; expected the number of bytes of the body")
    if int(stated) > max_bytes:
        await drain(request)
        raise _too_large(max_bytes, int(stated))
    kind, options = parse_options_header(request.headers.get("content-type"))
    sink: _Form | _Plain | None = None
    count = 0
    try:
        form = kind == b"multipart/form-data"
        sink = _Form(folder, options.get(b"boundary", b""), most) if form else _Plain(folder)
        async for piece in _pieces(request, timeout_s):
            count += len(piece)
            if count > max_bytes:
                await drain(request)
                raise _too_large(max_bytes, count)
            # writing may wait for the disk; other requests must not
            await asyncio.to_thread(sink.write, piece)
        files = sink.finish()
    except FormParserError as error:
        raise Refusal(422, "the form is damaged; send each file in a field `file` of multipart/form-data") from error
    except OSError as error:
        raise Refusal(507, f"the upload could not be written ({error.strerror})", reason="disk") from error
    finally:
        if sink is not None:
            sink.close()
    if not files or not all(path.stat().st_size for path in files):
        raise Refusal(422, "no file came, or an empty one; send it as the body, or in a form's field `file`")
    return Upload(files, count)


def _too_large(max_bytes: int, came: int) -> Refusal:
    sentence = (
        f"the body has {came} bytes or more, over the limit of {max_bytes}; send a smaller file, or ask whoever runs "
        "this server to raise --max-upload"
    )
    return Refusal(413, sentence, reason="size")


async def _pieces(request: Request, timeout_s: float) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            yield await asyncio.wait_for(anext(stream), timeout_s)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise Refusal(408, f"nothing came for {timeout_s:g} s; send the file again", reason="slow") from error
        except ClientDisconnect as error:
            raise Refusal(400, "the sender went away", reason="gone") from error


async def drain(request: Request) -> None:
    """Read on for a moment, or a sender in the middle of its body would see a broken connection and not the answer."""

    async def rest() -> None:
        count = 0
        async for piece in request.stream():
            count += len(piece)
            if count > DRAIN_BYTES:
                return

    try:
        await asyncio.wait_for(rest(), DRAIN_S)
    except (TimeoutError, ClientDisconnect, RuntimeError):
        return


class _Plain:
    """The body is the file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "file"
        self._file = open(self._path, "wb")  # noqa: SIM115

    def write(self, piece: bytes) -> None:
        self._file.write(piece)

    def finish(self) -> list[Path]:
        self._file.close()
        return [self._path]

    def close(self) -> None:
        self._file.close()


class _Form:
    """The files of a form, written while they come."""

    def __init__(self, folder: Path, boundary: bytes, most: int) -> None:
        if not boundary:
            raise Refusal(422, "the form has no boundary in its Content-Type; let your HTTP client set that header")
        self._folder, self._most = folder, most
        self._files: list[Path] = []
        self._file: BinaryIO | None = None
        self._name, self._value, self._headers = b"", b"", dict[bytes, bytes]()
        self._whole = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._open,
                "on_part_data": self._data,
                "on_part_end": self.close,
                "on_end": self._end,
            },
        )

    def write(self, piece: bytes) -> None:
        self._parser.write(piece)

    def finish(self) -> list[Path]:
        self._parser.finalize()
        if not self._whole:
            raise FormParserError("the form is cut short")
        return self._files

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._headers = {}

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        field_name = options.get(b"name", b"").decode("utf-8", "replace")
        if field_name != "file":
            raise Refusal(
                422, f"the form has a field {field_name[:40]!r}; files go into fields `file`, options into the URL"
            )
        if len(self._files) == self._most:
            raise Refusal(422, f"too many files in one request, the limit is {self._most}; send them one by one")
        if b"filename" not in options:
            raise Refusal(422, "a field `file` of the form has no file name; send it as a file (curl: -F file=@NAME)")
        sent = options[b"filename"].decode("utf-8", "replace")
        path = self._folder / safe_name(sent, {file.name for file in self._files})
        self._file = open(path, "wb")  # noqa: SIM115
        self._files.append(path)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])

    def _end(self) -> None:
        self._whole = True
