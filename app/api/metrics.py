"""Prometheus metrics: the common `ai_*` names, and our own beside them. Labels are bounded: only names that exist."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Metrics:
    """One registry per server."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter("ai_requests_total", "Requests that ended", ["endpoint", "model", "status"], registry=registry)
        self.seconds = Histogram(
            "ai_request_duration_seconds", "From request to its last byte", ["endpoint", "model"], buckets=_BUCKETS, registry=registry
        )
        self.active = Gauge("ai_active_connections", "Requests under way", registry=registry)
        self.errors = Counter("ai_errors_total", "Requests that failed", ["endpoint", "code"], registry=registry)
        self.tokens = Counter("ondol_tokens_total", "Tokens in and out", ["model", "kind"], registry=registry)
        self.first = Histogram("ondol_first_text_seconds", "From request to the first text", ["model"], buckets=_BUCKETS, registry=registry)
        self.part = Gauge("ondol_part_up", "1 where a part is ready, 0 where it is not", ["part"], registry=registry)
        self.running = Gauge("ondol_engine_running", "Requests that the local models work on", registry=registry)
        self.waiting = Gauge("ondol_engine_waiting", "Requests that wait for a local model", registry=registry)
        self.pending = Gauge("ondol_index_pending", "Changes that the vector index has not taken in yet", ["store"], registry=registry)

    def text(self) -> bytes:
        """Prometheus's text format."""
        return generate_latest(self.registry)
