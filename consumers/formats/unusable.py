"""Why a record cannot be used: a stable code for machines, a reason in words for people. Neither holds payload text."""

from __future__ import annotations

from typing import Literal

Code = Literal[
    "empty",
    "too_large",
    "too_deep",
    "not_utf8",
    "not_json",
    "not_an_object",
    "missing_metric",
    "bad_metric",
    "bad_time",
    "future_time",
    "bad_labels",
    "bad_value",
    "bad_count",
    "bad_kind",
    "unsupported_kind",
    "missing_value",
    "bad_line",
    "not_protobuf",
    "not_avro",
    "no_registry",
    "unknown_schema",
    "unsupported_schema",
]


class Unusable(Exception):
    """A record, whole, cannot be used. Caught where the record is at hand, and made a dead letter there."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code: Code = code
        self.reason = reason
