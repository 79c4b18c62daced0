"""Which format a record is in, by its headers or its shape. What nothing speaks for is taken to be native."""

from __future__ import annotations

from collections.abc import Mapping


def recognised(value: bytes, headers: Mapping[str, bytes]) -> str | None:
    """The name of the format; None: native, or nothing that is known."""
    return None
