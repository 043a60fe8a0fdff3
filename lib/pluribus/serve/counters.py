"""What an operator watches, in Prometheus' words. A shop is a label only once its key was accepted."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Counters:
    """All counters of one service."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        labels = ["shop", "use"]
        self._requests = Counter("pluribus_requests", "answers", [*labels, "status"], registry=own)
        self._seconds = Histogram(
            "pluribus_request_seconds", "time of an answer", ["use"], registry=own, buckets=SECONDS
        )
        self._releases = Counter(
            "pluribus_releases", "releases opened, swapped, refused, put away", ["shop", "outcome"], registry=own
        )
        self._trouble = Gauge(
            "pluribus_release_trouble", "1: its newest release cannot be served", ["shop"], registry=own
        )
        self._held = Gauge("pluribus_releases_held_bytes", "memory of all open releases", registry=own)
        self._open = Gauge("pluribus_releases_open", "open releases", registry=own)
        self._batches = Histogram("pluribus_encode_batch", "texts encoded together", registry=own, buckets=BATCHES)
        self._remembered = Counter("pluribus_encode_remembered", "texts that needed no encoding", registry=own)

    def answered(self, shop: str, use: str, status: int, seconds: float) -> None:
        """One answer; `shop` is blank where no key was accepted."""
        self._requests.labels(shop, use, str(status)).inc()
        self._seconds.labels(use).observe(seconds)

    def release(self, shop: str, outcome: str) -> None:
        """What became of a release."""
        self._releases.labels(shop, outcome).inc()

    def trouble(self, shop: str, there_is: bool) -> None:
        """Whether a shop serves less than its newest release."""
        self._trouble.labels(shop).set(there_is)

    def held(self, size_bytes: int, number: int) -> None:
        """What open releases take."""
        self._held.set(size_bytes)
        self._open.set(number)

    def encoded(self, batch: int, remembered: int) -> None:
        """Texts encoded in one go, and texts that were known."""
        if batch:
            self._batches.observe(batch)
        if remembered:
            self._remembered.inc(remembered)

    def page(self) -> bytes:
        """Everything, as Prometheus reads it."""
        text: Any = generate_latest(self._registry)
        return bytes(text)
