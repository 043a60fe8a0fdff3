"""One shop's way through one run. Every step reads it, and most have nothing else to do: it imports nothing."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

State = Literal["running", "unchanged", "published", "beside", "superseded", "held", "failed gate", "set aside"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One shop's way through one run: small enough to travel as a Metaflow artifact. Keys, counts, scores only."""

    shop: str
    model: str = ""
    state: State = "running"
    reason: str = ""
    asof: str = ""  # when the feed was read, ISO 8601 UTC: a release never gives way to an older one
    snapshot: str = ""  # id of the shop's canonical rows
    validation: str = ""  # key prefix of what validation made of them
    release: str = ""  # id of the release being built
    files: dict[str, Any] = field(default_factory=dict)  # of that release: name -> sha256 and size
    input_key: str = ""  # sha256 of everything the release is a function of
    counts: dict[str, int] = field(default_factory=dict)  # rows, accepted, quarantined, embedded, reused ...
    scores: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)  # per stage
    size_bytes: dict[str, int] = field(default_factory=dict)  # written, per stage

    def after(self, stage: str, size_bytes: int, counts: dict[str, int], **changes: Any) -> "Job":
        """This job once a stage is done with it."""
        written = self.size_bytes | {stage: size_bytes}
        return replace(self, counts=self.counts | counts, size_bytes=written, **changes)

    def spent(self, stage: str, seconds: float) -> "Job":
        """This job with seconds that were spent on it together with others."""
        return replace(self, seconds=self.seconds | {stage: self.seconds.get(stage, 0.0) + seconds})
