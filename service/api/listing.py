"""Lists on the wire: `{"items": [...], "next": cursor | null}`, and the cursors that go with them.

A cursor names the last item that was given, not a position: what comes and goes between two pages moves nothing.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from fastapi import Query
from pydantic import BaseModel, Field

from service.api.problems import invalid

DEFAULT_LIMIT: Final = 100
MOST: Final = 1000
_LONGEST_CURSOR: Final = 4096

Item = TypeVar("Item")
Key = TypeVar("Key")

Limit = Annotated[int, Query(ge=1, le=MOST, description="How many items at most.")]
Cursor = Annotated[str | None, Query(max_length=_LONGEST_CURSOR, description="`next` of the page before.")]


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next: str | None = Field(description="Cursor of the next page; null on the last.", examples=[None])


def cursor_of(key: object) -> str:
    """The cursor behind the item with this key."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def key_of(cursor: str, kind: Any) -> Any:
    """The key in a cursor, as `kind`. Raises Problem 422 for what is none of our cursors."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded.encode("ascii")), type=kind)
    except (binascii.Error, ValueError, RecursionError):
        raise invalid("query", "cursor", "Not a cursor of this list: take `next` as it was given.") from None
