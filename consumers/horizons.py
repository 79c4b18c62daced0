"""On which topics duplicates are recognised, and how far back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

DEFAULT_HORIZON: Final = 100_000
LARGEST_HORIZON: Final = 5_000_000
"""Records of a partition whose ids are kept, about 160 bytes each, and read again after every assignment."""


@dataclass(frozen=True, slots=True)
class Horizons:
    """Topics and how many offsets back an event's id is looked for. A topic without one takes every event as it comes."""

    by_topic: Mapping[str, int] = field(default_factory=dict[str, int])

    def of(self, topic: str) -> int | None:
        return self.by_topic.get(topic)
