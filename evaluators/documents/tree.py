"""YAML text as trees that know where everything stands.

YAML 1.2, core schema: `NO`, `18:00` and `2026-01-01` are text. A library reads the text into events; the trees are made of
them here, so that everything is bounded: text, depth, and nodes after aliases are followed, since ten lines of aliases can
stand for a thousand million nodes. Merge keys are not in YAML 1.2. Tags other than `!!str` are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

LONGEST_TEXT: Final = 1_000_000  # characters; the parser reads about 300,000 in a second
MOST_NODES: Final = 100_000
DEEPEST: Final = 32

_SHOWN: Final = 60
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}", re.ASCII)
_OTHER_BASE: Final = re.compile(r"0o[0-7]{1,21}|0x[0-9a-fA-F]{1,16}", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_LONGEST_NUMBER: Final = 64
_STRING_TAG: Final = "tag:yaml.org,2002:str"
_PLAIN_KEY: Final = re.compile(r"[\w-]+")
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_MENDS: Final = (
    ("\\t", "indent with spaces, not tabs"),
    ("mapping values are not allowed", "check the indentation, and put text that holds ': ' in quotes"),
    ("block end", "check the indentation"),
    ("expected ',' or", "a bracket or brace is not closed, or a comma is missing"),
    ("<stream end>", "a bracket or brace is not closed"),
    ("found unexpected end of stream", "a quote is not closed"),
    ("cannot start any token", "put text that begins with this character in quotes"),
)


class Place(NamedTuple):
    """Counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """`text` is as written, without quotes; `value` what the core schema makes of it."""

    place: Place
    value: str | int | float | bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Sequence:
    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping, where the key stands, and its value."""

    place: Place
    node: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    place: Place
    entries: dict[str, Entry]
    in_braces: bool


Node = Scalar | Sequence | Mapping


@dataclass(frozen=True, slots=True)
class Fault:
    """What YAML itself does not allow."""

    place: Place
    path: str
    message: str
    mend: str


@dataclass(frozen=True, slots=True)
class RawDocument:
    """One document of a stream; `root` None where it holds nothing but comments. `source` is its own text."""

    root: Node | None
    source: str
    faults: tuple[Fault, ...]


@dataclass(slots=True)
class RawDocuments:
    """What could be read; a fault that stopped reading is in `stopped`, and what came before it is kept."""

    documents: list[RawDocument] = field(default_factory=list[RawDocument])
    stopped: Fault | None = None


def grow(text: str) -> RawDocuments:
    """Every document of the text; never raises."""
    text = text.removeprefix("\ufeff")
    raw = RawDocuments()
    if len(text) > LONGEST_TEXT:
        message = f"the text is too long: {len(text):,} characters, at most {LONGEST_TEXT:,}"
        raw.stopped = Fault(Place(1, 1), "", message, "split it into several files")
        return raw
    try:
        _read_into(raw, text)
    except _Stopped as stop:
        raw.stopped = stop.fault
    except MarkedYAMLError as error:
        raw.stopped = _syntax_fault(error)
    except Exception as error:  # noqa: BLE001 - of odd escapes and characters the library raises anything
        raw.stopped = Fault(Place(1, 1), "", f"this is not YAML: {shown(str(error))}", "")
    return raw


def plain(node: Node) -> Any:
    """The node as JSON-able values."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [plain(each) for each in node.items]
    return {key: plain(entry.node) for key, entry in node.entries.items()}


def shown(text: str) -> str:
    """Part of a document in a message: in quotes, on one line, without control characters, not too long."""
    cut = text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
    return '"' + "".join(each if each.isprintable() else " " for each in cut) + '"'


def joined(path: str, key: str | int) -> str:
    """The path of a value inside the one at `path`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{shown(key)}]"
    return f"{path}.{key}" if path else key


class _Stopped(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def _read_into(raw: RawDocuments, text: str) -> None:
    events = cast("Iterator[Any]", cast("Any", YAML(typ="safe", pure=True)).parse(text))
    budget = _Budget(MOST_NODES)
    begins = 0
    pending: tuple[Node | None, list[Fault]] | None = None
    for event in events:
        kind = type(event).__name__
        if kind == "DocumentStartEvent":
            begins = event.end_mark.index if event.explicit else begins
            builder = _Builder(events, budget)
            node = builder.node(next(events), "", 0)
            pending = (None if isinstance(node, Scalar) and node.value is None else node), builder.faults
        elif kind == "DocumentEndEvent" and pending is not None:
            ends = event.start_mark.index
            raw.documents.append(RawDocument(pending[0], _source(text[begins:ends]), tuple(pending[1])))
            begins = event.end_mark.index


def _source(text: str) -> str:
    lines = text.rstrip().split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    return "\n".join(lines) + "\n"


@dataclass(slots=True)
class _Budget:
    """Nodes left for the whole text."""

    left: int

    def take(self, count: int, place: Place) -> None:
        self.left -= count
        if self.left < 0:
            message = f"the text holds more than {MOST_NODES:,} values once its aliases are followed"
            raise _Stopped(Fault(place, "", message, "split it into several files, and write less with aliases"))


class _Builder:
    """Makes one document's tree of the events that follow."""

    def __init__(self, events: Iterator[Any], budget: _Budget) -> None:
        self.faults: list[Fault] = []
        self._events = events
        self._budget = budget
        self._anchored: dict[str, tuple[Node, int]] = {}

    def node(self, event: Any, path: str, depth: int) -> Node:
        return self._sized(event, path, depth)[0]

    def _sized(self, event: Any, path: str, depth: int) -> tuple[Node, int]:
        """The node and how many it stands for."""
        place = Place(event.start_mark.line + 1, event.start_mark.column + 1)
        if depth > DEEPEST:
            raise _Stopped(Fault(place, path, f"values are nested more than {DEEPEST} deep", ""))
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self._alias(event.anchor, place, path)
        self._budget.take(1, place)
        self._refuse_tag(event, place, path)
        if kind == "ScalarEvent":
            self._refuse_characters(event.value, place, path)
            sized: tuple[Node, int] = _scalar(event, place), 1
        elif kind == "SequenceStartEvent":
            sized = self._sequence(place, path, depth)
        else:
            sized = self._mapping(event, place, path, depth)
        if event.anchor:
            self._anchored[event.anchor] = sized
        return sized

    def _alias(self, anchor: str, place: Place, path: str) -> tuple[Node, int]:
        if anchor not in self._anchored:
            message = f"no anchor called {shown(anchor)} ends before this alias"
            raise _Stopped(Fault(place, path, message, "put text that begins with * in quotes"))
        node, size = self._anchored[anchor]
        self._budget.take(size, place)
        return node, size

    def _refuse_tag(self, event: Any, place: Place, path: str) -> None:
        if event.tag not in (None, _STRING_TAG):
            self.faults.append(
                Fault(place, path, f"tags such as {shown(str(event.tag))} cannot be used", "leave it out")
            )

    def _refuse_characters(self, text: str, place: Place, path: str) -> None:
        """What no database column of text takes: an escape can write it."""
        if _UNSTORABLE.search(text):
            self.faults.append(Fault(place, path, "holds a NUL character or half a surrogate pair", "leave it out"))

    def _sequence(self, place: Place, path: str, depth: int) -> tuple[Node, int]:
        items: list[Node] = []
        size = 1
        while type(event := next(self._events)).__name__ != "SequenceEndEvent":
            node, count = self._sized(event, joined(path, len(items)), depth + 1)
            items.append(node)
            size += count
        return Sequence(place, tuple(items)), size

    def _mapping(self, start: Any, place: Place, path: str, depth: int) -> tuple[Node, int]:
        entries: dict[str, Entry] = {}
        size = 1
        while type(event := next(self._events)).__name__ != "MappingEndEvent":
            key, key_size = self._sized(event, path, depth + 1)
            name = key.text if isinstance(key, Scalar) else ""
            node, count = self._sized(next(self._events), joined(path, name), depth + 1)
            size += key_size + count
            at = Place(event.start_mark.line + 1, event.start_mark.column + 1)
            if not isinstance(key, Scalar):
                self.faults.append(Fault(at, path, "a key must be text", "put it in quotes"))
            elif name in entries:
                first = entries[name].place.line
                message = f"the key {shown(name)} stands here twice"
                self.faults.append(Fault(at, joined(path, name), message, f"it is on line {first} already: keep one"))
            else:
                entries[name] = Entry(at, _where_its_key_is(node, at))
        return Mapping(place, entries, in_braces=bool(start.flow_style)), size


def _where_its_key_is(node: Node, key: Place) -> Node:
    """A value that is not there stands, for the library, wherever the next thing begins."""
    if isinstance(node, Scalar) and node.value is None and not node.text:
        return Scalar(key, None, "")
    return node


def _scalar(event: Any, place: Place) -> Scalar:
    text = cast("str", event.value)
    is_plain = event.style is None and event.tag is None
    return Scalar(place, _resolved(text) if is_plain else text, text)


def _resolved(text: str) -> str | int | float | bool | None:
    """The core schema, https://yaml.org/spec/1.2.2/#103-core-schema; what no number of ours can hold stays text."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if len(text) <= _LONGEST_NUMBER and _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


def _syntax_fault(error: MarkedYAMLError) -> Fault:
    marked = cast("Any", error)
    mark = marked.problem_mark or marked.context_mark
    place = Place(mark.line + 1, mark.column + 1)
    what = ", ".join(str(each) for each in (marked.context, marked.problem) if each)
    mend = next((mend for part, mend in _MENDS if part in what), "")
    return Fault(place, "", f"this is not YAML: {' '.join(what.split())}", mend)
