"""Documents as stored: every version of each, read back into values."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from evaluators import documents
from evaluators.agreements import Document
from evaluators.documents import InvalidDocuments
from service.errors import CheckFailed

KINDS = ("Agreement", "AlertPolicy", "NotificationTarget")

_COLUMNS = """kind, name, version, source, spec, in_force_from_us, applied_by,
           (extract(epoch FROM applied_at) * 1000000)::bigint AS applied_us"""
_ALL = text(
    f"""
    SELECT {_COLUMNS} FROM documents WHERE kind = ANY(CAST(:kinds AS text[])) ORDER BY kind, name, version
    """  # noqa: S608 - the columns above
)
_NEWEST = text(
    f"""
    SELECT DISTINCT ON (kind, name) {_COLUMNS} FROM documents WHERE kind = ANY(CAST(:kinds AS text[]))
    ORDER BY kind, name, version DESC
    """  # noqa: S608
)
_VERSIONS = text(f"SELECT {_COLUMNS} FROM documents WHERE kind = :kind AND name = :name ORDER BY version")  # noqa: S608


class SourcedDocument(Protocol):
    """A valid document with its own text and the same as JSON-able values; see `evaluators.documents.Sourced`."""

    @property
    def document(self) -> Document: ...
    @property
    def source(self) -> str: ...
    @property
    def spec(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """One version of one document. In force from `in_force_from_us` of event time until the next version is."""

    kind: str
    name: str
    version: int
    document: Document
    source: str
    spec: dict[str, Any]
    in_force_from_us: int
    applied_by: str
    applied_us: int


class UnreadableDocument(CheckFailed):
    """A stored document does not pass the rules of this version."""


class StoredDocuments:
    """Reads versions back. Reading a document costs milliseconds, so each version is read once."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, str, int], StoredDocument] = {}

    async def all(self, connection: AsyncConnection, kinds: Sequence[str] = KINDS) -> list[StoredDocument]:
        """Every version, by kind, name and version. Raises UnreadableDocument."""
        return await self.read(await connection.execute(_ALL, {"kinds": list(kinds)}))

    async def newest(self, connection: AsyncConnection, kinds: Sequence[str] = KINDS) -> list[StoredDocument]:
        """The newest version of each, by kind and name. Raises UnreadableDocument."""
        return await self.read(await newest_rows(connection, kinds))

    async def versions(self, connection: AsyncConnection, kind: str, name: str) -> list[StoredDocument]:
        """Every version of one document, oldest first; empty if there is none. Raises UnreadableDocument."""
        return await self.read(await connection.execute(_VERSIONS, {"kind": kind, "name": name}))

    async def read(self, rows: Iterable[Any]) -> list[StoredDocument]:
        """Rows as values, in their order. Raises UnreadableDocument."""
        found = list(rows)
        fresh = [row for row in found if (row.kind, row.name, row.version) not in self._read]
        if fresh:  # on a thread: reading YAML would hold the event loop up
            for stored in await asyncio.to_thread(lambda: [_stored(row) for row in fresh]):
                self._read[stored.kind, stored.name, stored.version] = stored
        return [self._read[row.kind, row.name, row.version] for row in found]


async def newest_rows(connection: AsyncConnection, kinds: Sequence[str] = KINDS) -> list[Any]:
    """The newest version of each as rows, whether their text can be read or not."""
    return list(await connection.execute(_NEWEST, {"kinds": list(kinds)}))


def canonical(spec: dict[str, Any]) -> str:
    """The same text for the same content, whatever the order of keys."""
    return json.dumps(spec, sort_keys=True, separators=(",", ":"))


def storable(value: Any) -> bool:
    """Whether PostgreSQL can hold it: no NUL and no half of a surrogate pair in any text."""
    if isinstance(value, str):
        return "\x00" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        return all(storable(key) and storable(item) for key, item in value.items())  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return all(storable(item) for item in value)  # pyright: ignore[reportUnknownVariableType]
    return True


def _stored(row: Any) -> StoredDocument:
    try:
        document = documents.read(row.source)
    except InvalidDocuments as error:
        raise UnreadableDocument(
            f"version {row.version} of {row.kind} {row.name}, as stored, does not pass the rules of this version: {error}"
        ) from error
    return StoredDocument(
        kind=row.kind,
        name=row.name,
        version=row.version,
        document=document,
        source=row.source,
        spec=row.spec,
        in_force_from_us=row.in_force_from_us,
        applied_by=row.applied_by,
        applied_us=row.applied_us,
    )
