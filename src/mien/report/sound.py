"""The sound of a video carried over into its annotated copy."""

from __future__ import annotations

from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

COPIED = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
"""Codecs whose packets every MP4 player expects; others are encoded again as AAC."""

_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)


class Sound:
    """Copies or re-encodes the first sound track; a damaged track ends early and never stops the pictures.

    Attributes:
        stream: the track of the source; None where there is none, or none that can be read.
    """

    def __init__(self, source: InputContainer, target: OutputContainer) -> None:
        self.stream: AudioStream | None = source.streams.audio[0] if source.streams.audio else None
        self._target = target
        self._last = -(2**62)
        if self.stream is None:
            return
        context = self.stream.codec_context
        self._copies = context.name in COPIED
        try:
            if self._copies:
                self._out = target.add_stream_from_template(self.stream)
            else:
                rate = context.sample_rate if context.sample_rate in _RATES else 48000
                layout = "mono" if context.layout.nb_channels == 1 else "stereo"
                self._out = target.add_stream("aac", rate=rate, layout=layout)
        except (av.FFmpegError, ValueError):
            self.stream = None

    def add(self, packet: Packet[Any]) -> None:
        """Take one packet of `stream`; the last one, empty, flushes."""
        if self.stream is None:
            return
        try:
            if self._copies:
                self._mux(packet)
            else:
                for frame in self.stream.codec_context.decode(packet if packet.size else None):
                    for out in self._out.encode(frame):
                        self._mux(out)
        except (av.FFmpegError, ValueError):
            self.stream = None

    def close(self) -> None:
        """Write what the encoder still holds."""
        if self.stream is not None and not self._copies:
            try:
                for packet in self._out.encode(None):
                    self._mux(packet)
            except (av.FFmpegError, ValueError):
                self.stream = None

    def _mux(self, packet: Packet[Any]) -> None:
        if packet.dts is None or packet.dts <= self._last:
            return
        self._last = packet.dts
        packet.stream = self._out
        self._target.mux(packet)
