"""Strict reading of a document's fields: each gives its value, or reports what is wrong and gives a harmless one.

So one reading finds every error; what was read counts only if none was reported.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeVar, cast

from evaluators import durations
from evaluators.documents.problems import Problem
from evaluators.documents.tree import Fault, Node, Place, Scalar, Sequence, joined, plain, shown
from evaluators.documents.tree import Mapping as MappingNode
from evaluators.durations import DurationError
from evaluators.selectors import METRIC_LABEL, Selector, SelectorError

NOTHING: Final = Selector("", None, ())
"""Stands where a selector was reported."""

LONGEST_NAME: Final = 63
LONGEST_LINE: Final = 500
LONGEST_PROSE: Final = 10_000

_NAME: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?", re.ASCII)
_LABEL_NAME: Final = re.compile(r"[A-Za-z_][\w.-]{0,127}", re.ASCII)
_URL: Final = re.compile(
    r"https?://(?:\[[0-9A-Fa-f:.]+\]|(?P<host>[^\s/?#@:\[\]\\]+))(?::[0-9]{1,5})?(?:[/?#]\S*)?", re.IGNORECASE
)
_URL_WITH_PASSWORD: Final = re.compile(r"[a-z]+://[^/?#]*@", re.IGNORECASE)
_PUNYCODE: Final = "xn--"
_CLOSE_ENOUGH: Final = 0.6

Word = TypeVar("Word", bound=str)


class Report:
    """Collects the problems of one document."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    @property
    def failed(self) -> bool:
        return any(each.level == "error" for each in self.problems)

    def error(self, place: Place, path: str, message: str, mend: str = "") -> None:
        self.problems.append(Problem(self.file, place.line, place.column, path, message, mend))

    def fault(self, fault: Fault) -> None:
        self.error(fault.place, fault.path, fault.message, fault.mend)


class Field:
    """A value where it stands. A field without a node was reported as missing: it stays silent from then on."""

    def __init__(self, node: Node | None, path: str, report: Report) -> None:
        self.node = node
        self.path = path
        self.sound = node is not None
        self._report = report

    def error(self, message: str, mend: str = "") -> None:
        """Reports about this value, which is not `sound` then; silent where it is missing, which was reported before."""
        self.sound = False
        if self.node is not None:
            self._report.error(self.node.place, self.path, message, mend)

    def text(self, longest: int = LONGEST_LINE) -> str:
        value = self._scalar("text")
        if isinstance(value, str):
            if not value.strip():
                self.error("is empty", "give it a value, or leave it out")
            elif len(value) > longest:
                self.error(f"is too long: at most {longest:,} characters")
            return value
        if value is not None:
            self.error(f"must be text, is {_what(value)}", f'put it in quotes: "{self.written()}"')
        return ""

    def prose(self) -> str:
        return self.text(LONGEST_PROSE)

    def name(self) -> str:
        """An RFC 1123 label."""
        value = self.text()
        if value and not (_NAME.fullmatch(value) and len(value) <= LONGEST_NAME):
            like = re.sub(r"[^a-z0-9]+", "-", value.lower())[:LONGEST_NAME].strip("-")
            rule = f"is no name: lower-case letters, digits and hyphens, at most {LONGEST_NAME}, with a letter or digit at both ends"
            self.error(rule, f"did you mean {like}?" if like else "such as checkout-gold")
        return value

    def label(self, example: str) -> str:
        """The name of a label; the metric's own is none."""
        value = self.text()
        if value and (value == METRIC_LABEL or not _LABEL_NAME.fullmatch(value)):
            self.error(f"{shown(value)} is no label name", f"such as {example}")
        return value

    def choice(self, options: Iterable[Word], hints: Mapping[str, str] | None = None) -> Word:
        """One of the options; `hints` are mends for values that people often write instead."""
        words = list(options)
        value = self.text()
        if value and value not in words:
            listed = f"must be {_listed(words)}, is {shown(value)}"
            meant = (hints or {}).get(value) or closest(value, words)
            self.error(listed, f"did you mean {meant}?" if meant else "")
        return cast("Word", value) if value in words else words[0]

    def number(self) -> float:
        """NaN where it is none."""
        value = self._scalar("a number")
        if isinstance(value, bool) or (value is not None and not isinstance(value, int | float)):
            self.error(f"must be a number, is {_what(value)}", "write it without quotes" if _is_number(value) else "")
            return math.nan
        return math.nan if value is None else float(value)

    def whole_number(self, least: int, most: int) -> int:
        value = self._scalar("a whole number")
        if isinstance(value, bool) or (value is not None and not isinstance(value, int)):
            self.error(f"must be a whole number, is {_what(value)}")
        elif value is not None and not least <= value <= most:
            self.error(f"must be from {least:,} to {most:,}, is {value:,}")
        else:
            return least if value is None else value
        return least

    def duration(self, least: int, most: int) -> int:
        """Microseconds."""
        value = self._scalar("a duration")
        if value is None:
            return least
        try:
            us = durations.parse(self.written())
        except DurationError as error:
            self.error(str(error))
            return least
        if not least <= us <= most:
            self.error(f"must be from {durations.format(least)} to {durations.format(most)}, is {durations.format(us)}")
        return us

    def selector(self, *, metric: bool) -> Selector:
        """A PromQL series selector; `metric` asks for one that names its metric."""
        value = self.prose()
        if not value:
            return NOTHING
        try:
            selector = Selector.parse(value)
        except SelectorError as error:
            self.error(str(error))
            return NOTHING
        if metric and selector.metric is None:
            self.error("must name its metric", 'write the name before the brace, as in http_requests{status=~"5.."}')
        return selector

    def url(self) -> str:
        value = self.text(LONGEST_PROSE)
        if _URL_WITH_PASSWORD.match(value):
            # Documents are stored and shown: the message must not repeat what is in this one.
            self.error("holds a user or password, which everybody who reads the document would see", "leave them out")
        elif value and not _is_url(value):
            self.error("must be an http or https address", "such as https://example.com/hook")
        return value

    def section(self) -> Section:
        """The mapping here; an empty one that reports nothing where there is none."""
        if isinstance(self.node, MappingNode):
            return Section(self.node, self.path, self._report)
        self.error(f"must be a mapping, is {_kind(self.node)}", "write key: value pairs, indented below it")
        return Section(None, self.path, self._report)

    def items(self, example: str, *, least: int = 1) -> list[Field]:
        """The values of the list here; at least `least`."""
        if isinstance(self.node, Sequence):
            if len(self.node.items) < least:
                self.error("is empty", f"such as {example}")
            return [Field(each, joined(self.path, index), self._report) for index, each in enumerate(self.node.items)]
        self.error(f"must be a list, is {_kind(self.node)}", f"such as {example}")
        return []

    def names(self, example: str, *, least: int = 1) -> tuple[str, ...]:
        """A list of names, each once."""
        seen: list[str] = []
        for item in self.items(example, least=least):
            name = item.name()
            if name in seen:
                item.error(f"{shown(name)} stands in this list twice")
            seen.append(name)
        return tuple(seen)

    def _scalar(self, wanted: str) -> str | int | float | bool | None:
        """None where there is nothing to judge any more."""
        if isinstance(self.node, Scalar):
            if self.node.value is None:
                self.error("is empty", "give it a value, or leave it out")
            return self.node.value
        self.error(f"must be {wanted}, is {_kind(self.node)}")
        return None

    def written(self) -> str:
        """A scalar as it stands in the text, without quotes; empty for anything else."""
        return self.node.text if isinstance(self.node, Scalar) else ""


class Section:
    """A mapping whose keys are asked for one by one; `close` reports those that nobody asked for."""

    def __init__(self, node: MappingNode | None, path: str, report: Report) -> None:
        self.node = node
        self.path = path
        self._report = report
        self._asked: list[str] = []

    def has(self, keys: Iterable[str]) -> bool:
        return self.node is not None and any(key in self.node.entries for key in keys)

    def get(self, key: str) -> Field | None:
        """An optional value."""
        self._asked.append(key)
        if self.node is None or key not in self.node.entries:
            return None
        return Field(self.node.entries[key].node, joined(self.path, key), self._report)

    def need(self, key: str, example: str) -> Field:
        """A required value; its absence is reported here."""
        found = self.get(key)
        if found is not None:
            return found
        if self.node is not None:
            self._report.error(self.node.place, joined(self.path, key), "is missing", f"add {key}: {example}")
        return Field(None, joined(self.path, key), self._report)

    def one_of(self, known: Iterable[str], later: Iterable[str], example: str) -> Field | None:
        """The only value that is there, of several kinds; kinds that come later are reported as such.

        Ask for the section's other keys first: a key that is not known then is left to `close`, which says what was meant.
        """
        kinds, deferred = list(known), list(later)
        self.refuse(deferred)
        found = {kind: each for kind in kinds if (each := self.get(kind)) is not None}
        if len(found) > 1:
            self._error(f"holds {_listed(found, 'and')}", "keep one of them")
        if found:
            return next(iter(found.values()))
        written = set[str]() if self.node is None else set(self.node.entries)
        if not written & set(deferred) and written <= set(self._asked):
            self._error(f"needs {_listed(kinds)}", f"such as {example}")
        return None

    def refuse(self, keys: Iterable[str]) -> None:
        """Keys of the format whose meaning is not built yet: never ignored, since a reader would rely on them."""
        for key in keys:
            found = self.get(key)
            if found is not None:
                found.error("is not supported yet", "leave it out")

    def close(self) -> None:
        if self.node is None:
            return
        for key, entry in self.node.entries.items():
            if key not in self._asked:
                self._report.error(
                    entry.place, joined(self.path, key), "is not a known key", self._mend(key, entry.node)
                )

    def words(self) -> dict[str, str]:
        """A mapping of free keys to text, as information."""
        if self.node is None:
            return {}
        return {
            key: Field(entry.node, joined(self.path, key), self._report).prose()
            for key, entry in self.node.entries.items()
        }

    def _error(self, message: str, mend: str) -> None:
        if self.node is not None:
            self._report.error(self.node.place, self.path, message, mend)

    def _mend(self, key: str, node: Node) -> str:
        if self.node is not None and self.node.in_braces and plain(node) is None:
            return "a comma between braces ends a value: put text that holds one in quotes"
        meant = closest(key, self._asked)
        return f"did you mean {meant}?" if meant else f"known here: {', '.join(self._asked)}"


def _is_url(value: str) -> bool:
    found = _URL.fullmatch(value)
    if found is None:
        return False
    host: str | None = found["host"]  # none where it is an IPv6 address
    return host is None or all(_is_host_label(label) for label in host.removesuffix(".").split("."))


def _is_host_label(label: str) -> bool:
    """Punycode must decode to what can be shown: HTTP clients raise for anything else."""
    if not 0 < len(label) <= LONGEST_NAME:
        return False
    if not label.lower().startswith(_PUNYCODE):
        return True
    try:
        return label[len(_PUNYCODE) :].encode("ascii").decode("punycode").isprintable()
    except UnicodeError:
        return False


def closest(word: str, options: Iterable[str]) -> str | None:
    """The option that somebody most likely meant."""
    alike = {_bare(option): option for option in options}
    near = difflib.get_close_matches(_bare(word[:LONGEST_NAME]), alike, n=1, cutoff=_CLOSE_ENOUGH)
    return alike[near[0]] if near else None


def _bare(word: str) -> str:
    return re.sub(r"[-_ ]", "", word).lower()


def _listed(words: Iterable[str], conjunction: Literal["or", "and"] = "or") -> str:
    *most, last = words
    return f"{', '.join(most)} {conjunction} {last}" if most else last


def _kind(node: Node | None) -> str:
    if isinstance(node, Scalar):
        return _what(node.value)
    return "a list" if isinstance(node, Sequence) else "a mapping"


def _what(value: str | float | bool | None) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true or false"
    return f"the text {shown(value)}" if isinstance(value, str) else "a number"


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, str) and math.isfinite(float(value))
    except ValueError:
        return False
