"""Schemas of Avro, as a registry gives them, made ready to read by; what one record may cost is known beforehand.

Specified in Apache Avro 1.12. Whatever a body says, decoding it ends and stays within memory:

- A schema that contains itself is refused: the decoder follows it as deep as a body says, and the stack has an end.
- So is an array of what takes no bytes: a body of a few bytes could hold any number of them.
- Everything else takes at least one byte of the body, so that its length bounds what can come of it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

import fastavro
from fastavro.types import Schema as Parsed

from consumers.formats.unusable import Unusable

MOST_MEMORY: Final = 256 * 1024 * 1024
"""What one record may take once it is decoded, at the worst."""
DEEPEST: Final = 32
"""Levels of a schema: records in arrays in records."""

# Bytes that CPython needs for values, not too few. Text takes up to 4 bytes a character, and so a byte, beside that.
_VALUE: Final = 64
_TEXT: Final = 4
_RECORD: Final = 184
_FIELD: Final = 48
_ITEM: Final = 16
_ENTRY: Final = 164

_LEAST: Final = {"null": 0, "boolean": 1, "int": 1, "long": 1, "float": 4, "double": 8, "bytes": 1, "string": 1}
"""Bytes that a value of a primitive type takes in a body at least."""
_NAMED: Final = ("record", "error", "enum", "fixed")


_READ: Final = cast("Callable[[io.BytesIO, Parsed, None], object]", fastavro.schemaless_reader)  # pyright: ignore[reportUnknownMemberType]


class Cost(NamedTuple):
    """Of a value of one type: bytes of memory without what arrays and maps hold, and bytes of the body at least."""

    memory: int
    least: int


@dataclass(frozen=True, slots=True)
class Schema:
    """A writer's schema. A body of n bytes takes at most `memory + per_byte * n` once it is decoded."""

    parsed: Parsed
    memory: int
    per_byte: float

    @classmethod
    def of(cls, texts: Sequence[str]) -> Schema:
        """Of the last of the texts; the ones before it hold types that it refers to. Raises Unusable
        (unsupported_schema).
        """
        try:
            documents = [json.loads(text) for text in texts]
        except (ValueError, RecursionError) as error:
            raise _unsupported("it is not JSON") from error
        walk = _Walk(documents)
        plain, cost = walk.type_of(documents[-1], "", 0)
        try:
            parsed = fastavro.parse_schema(plain)
        except Exception as error:  # a library's refusal of what somebody else wrote: of many kinds
            raise _unsupported(f"Avro does not take it ({type(error).__name__})") from error
        return cls(parsed, cost.memory, walk.per_byte + _TEXT)

    def decoded(self, body: bytes) -> object:
        """The value that a body holds. Raises Unusable (too_large, not_utf8, not_avro)."""
        if self.memory + self.per_byte * len(body) > MOST_MEMORY:
            most = max(int((MOST_MEMORY - self.memory) / self.per_byte), 0)
            raise Unusable(
                "too_large", f"the record is larger than {most:,} bytes, the most that is read by its schema"
            )
        source = io.BytesIO(body)
        try:
            value = _READ(source, self.parsed, None)
        except UnicodeDecodeError as error:
            raise Unusable("not_utf8", "a text is not UTF-8") from error
        except Exception as error:  # a library's refusal of what somebody else wrote: of many kinds
            raise Unusable("not_avro", "the record is not what its schema says") from error
        if source.tell() != len(body):
            raise Unusable("not_avro", "the record goes on after what its schema says")
        return value


class _Walk:
    """Goes through a schema once. What comes out is plain: names in full, without defaults, aliases and logical types,
    whose values would be built at a cost of their own (decimals); times are numbers without them.
    """

    def __init__(self, documents: Sequence[object]) -> None:
        self.per_byte: float = 0
        self._types: dict[str, Mapping[str, Any]] = {}
        self._costs: dict[str, Cost] = {}
        self._open: set[str] = set()
        for document in documents:
            for name, found in _named_types(document, "", 0):
                if self._types.setdefault(name, found) != found:
                    raise _unsupported("two types have one name")

    def type_of(self, found: object, namespace: str, depth: int) -> tuple[Any, Cost]:
        """The plain schema of a type, and its cost. Raises Unusable (unsupported_schema)."""
        if depth > DEEPEST:
            raise _unsupported(f"it is nested more than {DEEPEST} levels deep")
        if isinstance(found, str):
            return self._by_name(found, namespace, depth)
        if isinstance(found, list):
            return self._union(cast("list[object]", found), namespace, depth)
        if not isinstance(found, dict):
            raise _unsupported("a type is missing")
        schema = cast("dict[str, Any]", found)
        kind: object = schema.get("type")
        if kind == "array":
            return self._array(schema, namespace, depth)
        if kind == "map":
            return self._map(schema, namespace, depth)
        if kind in _NAMED:
            return self._named(_full(schema, namespace), depth)
        return self.type_of(kind, namespace, depth + 1)

    def _by_name(self, name: str, namespace: str, depth: int) -> tuple[Any, Cost]:
        if name in _LEAST:
            return name, Cost(_VALUE, _LEAST[name])
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        return self._named(full if full in self._types else name, depth)

    def _named(self, name: str, depth: int) -> tuple[Any, Cost]:
        if name in self._open:
            raise _unsupported("a type contains itself")
        if name in self._costs:
            return name, self._costs[name]
        if name not in self._types:
            raise _unsupported("it refers to a type that is not there")
        self._open.add(name)
        plain, cost = self._defined(name, self._types[name], depth)
        self._open.remove(name)
        self._costs[name] = cost
        return plain, cost

    def _defined(self, name: str, schema: Mapping[str, Any], depth: int) -> tuple[Any, Cost]:
        if schema["type"] == "enum":
            return {"type": "enum", "name": name, "symbols": schema.get("symbols")}, Cost(_VALUE, 1)
        if schema["type"] == "fixed":
            size: object = schema.get("size")
            if not isinstance(size, int) or size < 0:
                raise _unsupported("a fixed type has no size")
            return {"type": "fixed", "name": name, "size": size}, Cost(_VALUE, size)
        return self._record(name, schema, depth)

    def _record(self, name: str, schema: Mapping[str, Any], depth: int) -> tuple[Any, Cost]:
        fields: list[dict[str, Any]] = []
        memory, least = _RECORD, 0
        for field in _fields(schema):
            plain, cost = self.type_of(field.get("type"), _namespace(name), depth + 1)
            fields.append({"name": field.get("name"), "type": plain})
            memory += cost.memory + _FIELD
            least += cost.least
        return {"type": "record", "name": name, "fields": fields}, Cost(memory, least)

    def _union(self, branches: Sequence[object], namespace: str, depth: int) -> tuple[Any, Cost]:
        found = [self.type_of(branch, namespace, depth + 1) for branch in branches]
        if not found:
            raise _unsupported("a union has no branches")
        memory = max(cost.memory for _, cost in found)
        return [plain for plain, _ in found], Cost(memory, 1 + min(cost.least for _, cost in found))

    def _array(self, schema: Mapping[str, Any], namespace: str, depth: int) -> tuple[Any, Cost]:
        plain, cost = self.type_of(schema.get("items"), namespace, depth + 1)
        if not cost.least:
            raise _unsupported("it has an array of what takes no bytes")
        self.per_byte = max(self.per_byte, (cost.memory + _ITEM) / cost.least)
        return {"type": "array", "items": plain}, Cost(_VALUE, 1)

    def _map(self, schema: Mapping[str, Any], namespace: str, depth: int) -> tuple[Any, Cost]:
        plain, cost = self.type_of(schema.get("values"), namespace, depth + 1)
        self.per_byte = max(self.per_byte, (cost.memory + _ENTRY) / (1 + cost.least))
        return {"type": "map", "values": plain}, Cost(_VALUE, 1)


def _named_types(found: object, namespace: str, depth: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every definition of a name, with the name in full."""
    if depth > DEEPEST:
        raise _unsupported(f"it is nested more than {DEEPEST} levels deep")
    if isinstance(found, list):
        for each in cast("list[object]", found):
            yield from _named_types(each, namespace, depth + 1)
    if not isinstance(found, dict):
        return
    schema = cast("dict[str, Any]", found)
    if schema.get("type") in _NAMED:
        name = _full(schema, namespace)
        yield name, schema
        for field in _fields(schema):
            yield from _named_types(field.get("type"), _namespace(name), depth + 1)
        return
    for part in ("type", "items", "values"):
        yield from _named_types(schema.get(part), namespace, depth + 1)


def _full(schema: Mapping[str, Any], namespace: str) -> str:
    name: object = schema.get("name")
    if not isinstance(name, str):
        raise _unsupported("a type has no name")
    own: object = schema.get("namespace", namespace)
    return name if "." in name or not own or not isinstance(own, str) else f"{own}.{name}"


def _namespace(name: str) -> str:
    """The one that a type's name in full is in, and so what is in the type."""
    return name.rpartition(".")[0]


def _fields(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if schema["type"] not in ("record", "error"):
        return
    fields: object = schema.get("fields")
    if not isinstance(fields, list):
        raise _unsupported("a record has no fields")
    for field in cast("list[object]", fields):
        if not isinstance(field, dict):
            raise _unsupported("a field has no type")
        yield cast("dict[str, Any]", field)


def _unsupported(reason: str) -> Unusable:
    return Unusable("unsupported_schema", f"the record's schema cannot be read by: {reason}")
