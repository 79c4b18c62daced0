"""Which topics are read: some by name, others by a regular expression."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Final

DEAD_LETTERS: Final = ".dlq"
"""Behind the name of a topic: that of its dead letters."""
_INTERNAL: Final = "__"  # Kafka's own, and those of tools around it
_NOTHING: Final = "(?!)"
_UNUSABLE: Final = (re.error, OverflowError, RecursionError)
"""What `re` raises: the latter two of a repetition or a nesting beyond its bounds."""


class BadPattern(ValueError):
    """It is no regular expression."""


@dataclass(frozen=True)
class TopicChoice:
    """Topics by name, whatever their names, and by `pattern`: those whose whole name matches (Python's syntax).

    Topics of dead letters and internal ones match no pattern. Raises BadPattern.
    """

    names: tuple[str, ...]
    pattern: str | None = None

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern or "")
        except _UNUSABLE as error:
            raise BadPattern(f"is no regular expression: {error}") from None
        try:
            re.compile(self.expression)
        except _UNUSABLE:  # it stands alone, but not behind the names
            raise BadPattern("has flags for the whole expression: write (?i:...) instead of (?i)...") from None

    @cached_property
    def expression(self) -> str:
        """For `re.match`: one that matches the names too."""
        named = "|".join(re.escape(name) for name in self.names)
        parts = [rf"(?:{named})\Z"] if named else []
        if self.pattern is not None:
            parts.append(rf"(?!{_INTERNAL})(?!.*{re.escape(DEAD_LETTERS)}\Z)(?:{self.pattern})\Z")
        return "|".join(parts) or _NOTHING

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.expression)

    def matches(self, topic: str) -> bool:
        """Whether the topic is read."""
        return self._compiled.match(topic) is not None

    def found_among(self, topics: Collection[str]) -> frozenset[str]:
        """Those of the topics that only the pattern chooses."""
        return frozenset(topic for topic in set(topics).difference(self.names) if self.matches(topic))
