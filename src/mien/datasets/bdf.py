"""BioSemi's BDF files: many channels of 24-bit samples in records of a few seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.errors import DataError

_MAGIC = b"\xffBIOSEMI"
_WIDTHS = {"label": 16, "transducer": 80, "unit": 8, "lowest": 8, "highest": 8, "digital_lowest": 8}
_FIELDS = {**_WIDTHS, "digital_highest": 8, "filter": 80, "samples": 8, "reserved": 32}


@dataclass(frozen=True)
class Header:
    """What stands before the samples.

    Attributes:
        labels: name of each channel.
        samples: samples of each channel in one record.
        scale: physical unit per digital step, [channels].
        offset: physical value of digital zero, [channels].
        records: how many records follow; -1 where the recorder did not say.
        seconds: length of a record.
    """

    labels: tuple[str, ...]
    samples: tuple[int, ...]
    scale: np.ndarray
    offset: np.ndarray
    records: int
    seconds: float

    @property
    def size(self) -> int:
        """Bytes of the header itself."""
        return 256 * (len(self.labels) + 1)


def _header(data: bytes) -> Header:
    if not data.startswith(_MAGIC):
        raise ValueError("it does not start as a BDF file does")
    channels = int(data[252:256])
    fields: dict[str, list[str]] = {}
    place = 256
    for name, width in _FIELDS.items():
        block = data[place : place + width * channels].decode("latin1")
        fields[name] = [block[width * i : width * (i + 1)].strip() for i in range(channels)]
        place += width * channels
    low, high, bottom, top = (
        np.array(fields[name], float) for name in ("lowest", "highest", "digital_lowest", "digital_highest")
    )
    if (top == bottom).any():
        raise ValueError("a channel's digital range is empty")
    scale = (high - low) / (top - bottom)
    samples = tuple(int(count) for count in fields["samples"])
    return Header(
        tuple(fields["label"]), samples, scale, low - scale * bottom, int(data[236:244]), float(data[244:252])
    )


def read_bdf(path: Path, wanted: Callable[[str], bool]) -> tuple[tuple[str, ...], float, np.ndarray]:
    """Names, rate in Hz and float32 [channels, samples] in physical units of the channels whose name is wanted.

    Raises:
        DataError: the file is missing or damaged, or the wanted channels are none or of different rates.
    """
    try:
        data = path.read_bytes()
        header = _header(data)
        per_record = sum(header.samples)
        body = np.frombuffer(data, np.uint8, offset=header.size)
        records = len(body) // (3 * per_record)
        body = body[: records * 3 * per_record].reshape(records, per_record, 3).astype(np.int32)
        digital = body[..., 0] | body[..., 1] << 8 | (body[..., 2] ^ 0x80) - 0x80 << 16
    except (OSError, ValueError, ZeroDivisionError) as error:
        raise DataError(f"{path} is missing or not a readable BDF file ({error})") from error
    chosen = [i for i, label in enumerate(header.labels) if wanted(label)]
    if not chosen or not records or len({header.samples[i] for i in chosen}) > 1:
        raise DataError(f"{path} holds {records} records of {', '.join(header.labels)}; no such channels of one rate")
    starts = np.cumsum((0, *header.samples))
    signals = [header.scale[i] * digital[:, starts[i] : starts[i + 1]].reshape(-1) + header.offset[i] for i in chosen]
    rate = header.samples[chosen[0]] / header.seconds if header.seconds > 0 else float("nan")
    return tuple(header.labels[i] for i in chosen), rate, np.stack(signals).astype(np.float32)


class Signals:
    """One BDF file a sample: float32 [channels, samples] of the channels whose name is wanted."""

    def __init__(self, paths: Sequence[Path], wanted: Callable[[str], bool]) -> None:
        self.paths = tuple(Path(path) for path in paths)
        self.wanted = wanted

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> np.ndarray:
        return read_bdf(self.paths[row], self.wanted)[2]

    def take(self, rows: np.ndarray) -> Signals:
        return Signals([self.paths[int(row)] for row in rows], self.wanted)

    def files(self, row: int) -> tuple[Path, ...]:
        return (self.paths[row],)


def write_bdf(path: Path, labels: Sequence[str], digital: np.ndarray, rate: int) -> None:
    """Write int32 [channels, samples] of whole seconds, 1/32 of a microvolt a step, in records of one second."""
    channels, length = digital.shape
    columns = {
        "unit": "uV",
        "lowest": "-262144",
        "highest": "262144",
        "digital_lowest": "-8388608",
        "digital_highest": "8388608",
        "samples": str(rate),
    }
    head = _MAGIC + b" " * 160 + b"01.01.0100.00.00" + f"{256 * (channels + 1):<8}".encode() + b"24BIT".ljust(44)
    head += f"{length // rate:<8}{1:<8}{channels:<4}".encode()
    for name, width in _FIELDS.items():
        texts = labels if name == "label" else [columns.get(name, "")] * channels
        head += "".join(text.ljust(width) for text in texts).encode("latin1")
    records = digital.reshape(channels, -1, rate).swapaxes(0, 1)
    body = np.stack([records >> shift & 0xFF for shift in (0, 8, 16)], -1).astype(np.uint8)
    path.write_bytes(head + body.tobytes())
