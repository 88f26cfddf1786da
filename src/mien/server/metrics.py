"""Counts for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """One set per server; nothing in it tells who sent what."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "mien_requests", "Answers by route and status.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "mien_request_seconds", "Time to the answer.", ("route",), buckets=SECONDS, registry=self.registry
        )
        self.refused = Counter("mien_refused", "Requests refused, by reason.", ("reason",), registry=self.registry)
        self.received = Counter("mien_received_bytes", "Bytes of uploads.", registry=self.registry)
        self.faces = Counter("mien_faces", "Faces found in pictures and frames.", registry=self.registry)
        self.busy = Gauge("mien_workers_busy", "Workers for pictures that are at work.", registry=self.registry)
        self.waiting = Gauge("mien_requests_waiting", "Pictures and frames that wait.", registry=self.registry)
        self.workers_lost = Counter(
            "mien_workers_lost", "Workers that crashed or hung and were replaced.", ("how",), registry=self.registry
        )
        self.jobs = Gauge("mien_jobs", "Jobs by state.", ("state",), registry=self.registry)
        self.jobs_over = Counter("mien_jobs_over", "Jobs that came to an end.", ("state",), registry=self.registry)
        self.live = Gauge("mien_live_connections", "Live cameras.", registry=self.registry)
        self.frames = Counter("mien_live_frames", "Live frames, answered or dropped.", ("how",), registry=self.registry)

    def text(self) -> bytes:
        """In Prometheus' own format."""
        return generate_latest(self.registry)
