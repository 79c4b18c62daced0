"""A schema registry over HTTP, as Confluent's API has it; Karapace, Redpanda and Apicurio (its `ccompat`) speak it too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from consumers.errors import RegistryUnavailable
from consumers.formats.unusable import Unusable

ANSWER_WITHIN_S: Final = 5.0
LARGEST_ANSWER: Final = 1 << 20
MOST_REFERENCES: Final = 50
"""Schemas that one refers to, and these to others."""

_ACCEPT: Final = "application/vnd.schemaregistry.v1+json, application/json"
_NOT_THERE: Final = range(40401, 40404)
"""What the API calls a subject, a version or a schema that it has not. A 404 without it is somebody else's."""


class _Reference(msgspec.Struct, frozen=True):
    subject: str
    version: int


class _Answer(msgspec.Struct):
    schema: str
    schema_type: str = msgspec.field(default="AVRO", name="schemaType")
    references: list[_Reference] | None = None


class _Error(msgspec.Struct):
    error_code: int = 0


class _NotThere(Exception):
    """The registry has no such thing, and says so."""


_DECODE: Final = msgspec.json.Decoder(_Answer).decode
_DECODE_ERROR: Final = msgspec.json.Decoder(_Error).decode


class SchemaRegistry:
    """Asks one registry. A password file is read for every question: they are few, and it may have changed."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        username: str | None = None,
        password: str | None = None,
        password_file: Path | None = None,
    ) -> None:
        self._client = client
        self._username = username
        self._password = password
        self._password_file = password_file

    async def schema(self, number: int) -> Sequence[str]:
        """See `consumers.schemas.Registry`."""
        try:
            answer = await self._get(f"schemas/ids/{number}")
        except _NotThere:
            raise Unusable("unknown_schema", f"the schema registry has no schema of the id {number}") from None
        return await self._with_references(answer)

    async def _with_references(self, answer: _Answer) -> Sequence[str]:
        """The schema itself comes last; the order of the others does not matter to who reads them."""
        texts, seen = [answer.schema], set[_Reference]()
        waiting = list(answer.references or ())
        for each in waiting:  # grows
            if each in seen:
                continue
            if len(seen) == MOST_REFERENCES:
                raise Unusable("unsupported_schema", f"the record's schema needs more than {MOST_REFERENCES} others")
            seen.add(each)
            try:
                found = await self._get(f"subjects/{quote(each.subject, safe='')}/versions/{each.version}")
            except _NotThere:
                reason = "the record's schema refers to one that the registry has not"
                raise Unusable("unsupported_schema", reason) from None
            texts.append(found.schema)
            waiting.extend(found.references or ())
        return texts[::-1]

    async def _get(self, path: str) -> _Answer:
        """Raises _NotThere, Unusable, RegistryUnavailable."""
        status, body = await self._asked(path)
        if len(body) > LARGEST_ANSWER:
            raise Unusable("unsupported_schema", f"the record's schema is larger than {LARGEST_ANSWER:,} bytes")
        if status == 404 and _error_code(body) in _NOT_THERE:
            raise _NotThere
        if status != 200:
            raise RegistryUnavailable(_refusal(status))
        try:
            answer = _DECODE(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise RegistryUnavailable("what answers is no schema registry") from None
        if answer.schema_type != "AVRO":
            raise Unusable("unsupported_schema", "the record's schema is not of the type AVRO; no other is read")
        return answer

    async def _asked(self, path: str) -> tuple[int, bytes]:
        """The status, and the body up to what is too much of it."""
        body = bytearray()
        try:
            async with (
                asyncio.timeout(ANSWER_WITHIN_S),
                self._client.stream("GET", path, auth=self._login(), headers={"accept": _ACCEPT}) as response,
            ):
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > LARGEST_ANSWER:
                        break
                return response.status_code, bytes(body)
        except TimeoutError:
            raise RegistryUnavailable(f"no answer within {ANSWER_WITHIN_S:g} s") from None
        except httpx.HTTPError as error:
            raise RegistryUnavailable(_words(error)) from None

    def _login(self) -> httpx.Auth | None:
        if self._username is None:
            return None
        password = self._password or ""
        if self._password_file is not None:
            try:
                password = self._password_file.read_text("utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError):
                raise RegistryUnavailable(f"the password cannot be read from {self._password_file}") from None
        return httpx.BasicAuth(self._username, password)


@asynccontextmanager
async def connected(url: str, verify: Any, **login: Any) -> AsyncGenerator[SchemaRegistry, None]:
    """A registry at `url`, under which the API's paths are. `verify`: an SSL context, or whether to verify at all."""
    limits = httpx.Limits(max_connections=16, keepalive_expiry=30.0)
    async with httpx.AsyncClient(
        base_url=url, verify=verify, limits=limits, timeout=ANSWER_WITHIN_S, headers={"user-agent": "upheld"}
    ) as client:
        yield SchemaRegistry(client, **login)


def _error_code(body: bytes) -> int:
    try:
        return _DECODE_ERROR(body).error_code
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0


def _refusal(status: int) -> str:
    if status in (401, 403):
        return f"it refuses our login (status {status}): see UPHELD_SCHEMA_REGISTRY_USERNAME"
    if status == 404:
        return "what answers is no schema registry (status 404): see UPHELD_SCHEMA_REGISTRY_URL"
    return f"status {status}"


def _words(error: httpx.HTTPError) -> str:
    """In words, without the request: its headers hold the login."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
