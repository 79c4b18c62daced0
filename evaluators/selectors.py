"""Series selectors in PromQL: which samples an indicator reads.

A library parses them; regular expressions are RE2, fully anchored, and `.` matches a newline too, as in Prometheus 3.
A label that a sample lacks has the empty value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, Self, cast

import promql_parser
import re2

LONGEST_TEXT: Final = 4_000
LONGEST_PATTERN: Final = 1_000
_PATTERN_MEMORY: Final = 1 << 20  # bytes RE2 may take for one compiled pattern: time and space stay linear in it
_COMPILED_KEPT: Final = 8_192

METRIC_LABEL: Final = "__name__"

_PatternError = cast("type[Exception]", cast("Any", re2).error)

Op = Literal["=", "!=", "=~", "!~"]

_QUOTED: Final = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`', re.DOTALL)
_OPERATORS: Final = re.compile(r"[-+*/%^<>]|==")
_DOTTED: Final = re.compile(r"^\s*([A-Za-z_:][\w:]*(?:[.-][\w:.-]+)+)\s*(?:\{|$)", re.ASCII)
_SHAPE: Final = 'a metric name and label matchers, such as http_requests{service="checkout",status=~"5.."}'


class SelectorError(ValueError):
    """The text is no selector that Upheld can use; the message says what is, and how to mend it."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label matcher; `name` may be `__name__`, which stands for the metric."""

    name: str
    op: Op
    value: str

    def holds(self, actual: str) -> bool:
        if self.op == "=":
            return actual == self.value
        if self.op == "!=":
            return actual != self.value
        return _full_match(self.value, actual) == (self.op == "=~")

    def mismatch(self, actual: str | None) -> str:
        """Why this matcher does not hold for `actual`, in words; None is a label that is not there."""
        if actual is None:
            seen = f"label {self.name} is missing"
        elif self.name == METRIC_LABEL:
            seen = f'the metric is "{actual}"'
        else:
            seen = f'label {self.name} is "{actual}"'
        wanted = {
            "=": f'wanted "{self.value}"',
            "!=": f'wanted anything but "{self.value}"',
            "=~": f'wanted a match of "{self.value}"',
            "!~": f'wanted no match of "{self.value}"',
        }
        return f"{seen}, {wanted[self.op]}"


@dataclass(frozen=True, slots=True)
class Selector:
    """`metric` is the one metric that can match, None if the selector does not pin it; `matchers` holds all the rest."""

    text: str
    metric: str | None
    matchers: tuple[Matcher, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a PromQL series selector.

        Raises:
            SelectorError: for anything but a plain series selector.
        """
        vector = _parsed(text)
        matchers = [_matcher(matcher) for matcher in vector.matchers.matchers]
        metric = cast("str | None", vector.name)
        if metric is None:
            pinned = next((each for each in matchers if each.name == METRIC_LABEL and each.op == "="), None)
            if pinned is not None:
                metric = pinned.value
                matchers.remove(pinned)
        return cls(text=text, metric=metric, matchers=tuple(matchers))

    def matches(self, metric: str, labels: Mapping[str, str]) -> bool:
        if self.metric is not None and self.metric != metric:
            return False
        return all(
            each.holds(metric if each.name == METRIC_LABEL else labels.get(each.name, "")) for each in self.matchers
        )

    def mismatches(self, metric: str, labels: Mapping[str, str]) -> list[str]:
        """Everything that keeps a sample out, in words; empty where it matches."""
        reasons: list[str] = []
        if self.metric is not None and self.metric != metric:
            reasons.append(f'the metric is "{metric}", wanted "{self.metric}"')
        for each in self.matchers:
            actual = metric if each.name == METRIC_LABEL else labels.get(each.name)
            if not each.holds(actual or ""):
                reasons.append(each.mismatch(actual))
        return reasons

    def pinned(self) -> dict[str, str]:
        """Labels that can have one value only."""
        return {each.name: each.value for each in self.matchers if each.op == "=" and each.name != METRIC_LABEL}


def _parsed(text: str) -> Any:
    """The library's vector selector, without what it allows and we do not."""
    _refuse_unusable(text)
    try:
        parsed = promql_parser.parse(_QUOTED.sub(_double_quoted, text))
    except ValueError as error:
        raise SelectorError(f"not a PromQL selector ({_library_message(error)}): write {_SHAPE}") from None
    if not isinstance(parsed, promql_parser.VectorSelector):
        raise SelectorError(f"more, or other, than one series selector: write {_SHAPE}")
    vector = cast("Any", parsed)  # the library's stubs leave the matchers out
    if vector.offset is not None or vector.at is not None:
        raise SelectorError("offset and @ cannot be used: samples count at their own event time")
    if vector.matchers.or_matchers:
        raise SelectorError('`or` between matchers cannot be used: alternatives of one label are =~"a|b"')
    return vector


def _refuse_unusable(text: str) -> None:
    """Looked at before the library does: deep nesting costs it seconds, and it names the construct less plainly."""
    if len(text) > LONGEST_TEXT:
        raise SelectorError(f"the selector is too long: at most {LONGEST_TEXT:,} characters")
    if not text.strip():
        raise SelectorError(f"the selector is empty: write {_SHAPE}")
    bare = _QUOTED.sub('""', text)
    dotted = _DOTTED.match(bare)
    if dotted:
        raise SelectorError(f'the metric name needs quotes inside the braces: {{"{dotted[1]}"}}')
    if "(" in bare:
        raise SelectorError(f"functions and parentheses cannot be used: write only {_SHAPE}")
    if "[" in bare:
        raise SelectorError("a range cannot be used: write the selector without [...]; the objective's period sets it")
    if len(_OPERATORS.findall(bare)) > 1:
        raise SelectorError(f"operators cannot be used: write only {_SHAPE}")


def _double_quoted(found: re.Match[str]) -> str:
    """Raw strings in backticks as double-quoted ones: the library takes escapes in them for its own."""
    text = found[0]
    if not text.startswith("`"):
        return text
    body = text[1:-1].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{body}"'


def _matcher(parsed: Any) -> Matcher:
    op = _OPS[str(parsed.op)]
    value = cast("str", parsed.value)
    if op in ("=~", "!~"):
        if len(value) > LONGEST_PATTERN:
            raise SelectorError(
                f"the pattern of label {parsed.name} is too long: at most {LONGEST_PATTERN:,} characters"
            )
        try:
            _compiled(value)
        except _PatternError as error:
            raise SelectorError(f'the pattern "{value}" cannot be used: {_library_message(error)} (RE2)') from None
    return Matcher(cast("str", parsed.name), op, value)


_OPS: Final[Mapping[str, Op]] = {
    str(promql_parser.MatchOp.Equal): "=",
    str(promql_parser.MatchOp.NotEqual): "!=",
    str(promql_parser.MatchOp.Re): "=~",
    str(promql_parser.MatchOp.NotRe): "!~",
}


@lru_cache(maxsize=_COMPILED_KEPT)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.max_mem = _PATTERN_MEMORY
    options.log_errors = False
    options.dot_nl = True
    options.never_capture = True
    return cast("Any", re2).compile(pattern, options)


def _full_match(pattern: str, value: str) -> bool:
    # Bytes, since a label may hold half a surrogate pair, which has no UTF-8; it becomes a "?".
    return _compiled(pattern).fullmatch(value.encode("utf-8", "replace")) is not None


def _library_message(error: Exception) -> str:
    detail = error.args[0] if error.args else error
    text = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(error)
    return text.partition("\n")[0][:200]
