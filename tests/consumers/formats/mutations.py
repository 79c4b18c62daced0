"""Records with something wrong in them, and what every reader owes them: samples, or a reason that shows nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from hypothesis import strategies as st

from consumers.formats.catalogue import Reader
from consumers.formats.samples import Payload, Sample
from consumers.formats.unusable import Unusable
from tests.consumers.formats.readers import payload

SECRET = "hunter2"
"""Stands in mutated records; no reason may show it."""

ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, -1, 0.5, 1e308, 10**400, 10**5_000),
        *("", SECRET, "NaN", "-Inf", "\ud800", "\x00"),
        *([], [[]], {}, {SECRET: SECRET}, [{SECRET: None}], [SECRET, 1], {"a": [{}]}),
    ]
)
_TOKENS = ("{", "}", "[", "]", ",", ":", '"', "NaN", "1e999", "9" * 5_000, "\n", "\\ud800", "[" * 3_000)


@st.composite
def mutated(draw: st.DrawFn, *good: Any) -> bytes:
    """Some bytes, or one of the good records with another value somewhere, a field missing, other text, or cut off."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=40))
    tree = json.loads(json.dumps(draw(st.sampled_from(good))))
    for _ in range(draw(st.integers(0, 2))):
        tree = _changed(draw, tree)
    text = _text(tree)
    if draw(st.booleans()):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.sampled_from(("", *_TOKENS))) + text[place + draw(st.integers(0, 2)) :]
    if draw(st.integers(0, 3)) == 0:
        text = text[: draw(st.integers(0, len(text)))]
    value = text.encode("utf-8", "surrogatepass")
    return value.replace(b"e", b"\xff", 1) if draw(st.integers(0, 9)) == 0 else value


def judged(reader: Reader, value: bytes, headers: Mapping[str, bytes] | None = None) -> None:
    """Fails for any other error, and for a reason that is empty or shows the payload."""
    found, reason = _outcome(reader, payload(value, headers))
    assert reason is None or (reason and SECRET not in reason)
    assert all(isinstance(each, Sample) and isinstance(each.time_us, int) for each in found)


def _outcome(reader: Reader, record: Payload) -> tuple[Sequence[Sample], str | None]:
    try:
        return reader.read(record) or (), None
    except Unusable as error:
        return (), error.reason


def _changed(draw: st.DrawFn, tree: Any) -> Any:
    places = _places(tree)
    if not places or draw(st.integers(0, 5)) == 0:
        return copy.deepcopy(draw(ODD))  # another change may be within it
    place = draw(st.sampled_from(places))
    if draw(st.integers(0, 7)) == 0:
        del tree[place]
    else:
        tree[place] = _changed(draw, tree[place])
    return tree


def _places(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return sorted(cast("dict[str, Any]", tree))
    return list(range(len(cast("list[Any]", tree)))) if isinstance(tree, list) else []


def _text(tree: Any) -> str:
    """Numbers of any length, which Python's own writer would not write."""
    if isinstance(tree, dict):
        fields = cast("dict[str, Any]", tree)
        return "{" + ",".join(f"{json.dumps(name)}:{_text(value)}" for name, value in fields.items()) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(map(_text, cast("list[Any]", tree))) + "]"
    if isinstance(tree, int) and not isinstance(tree, bool) and tree >= 10**4_000:
        return "1" + "0" * 5_000
    return json.dumps(tree)
