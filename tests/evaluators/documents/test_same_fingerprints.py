"""However an objective is written, its fingerprint is that of what it counts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evaluators.durations import DAY, MINUTE
from evaluators.fingerprints import indicator_fingerprint
from tests.evaluators.documents.objective_text import agreement, objective
from tests.examples import examples

NAMES = st.sampled_from(["m", "n", "http_requests"])
LABELS = st.sampled_from(["a", "b", "zone"])
OPS = st.sampled_from(["=", "!=", "=~", "!~"])
VALUES = st.sampled_from(["", "x", "5..", "a b", "it's", "{", ","])
MATCHERS = st.frozensets(st.tuples(LABELS, OPS, VALUES), max_size=3)
SELECTORS = st.tuples(NAMES, MATCHERS)
NUMBERS = st.sampled_from([0.25, 0.5, 1, 2, 1000])
COMPARISONS = st.sampled_from(["lt", "lte", "gt", "gte"])
SLICES = st.sampled_from([MINUTE, 60 * MINUTE, DAY])
DURATIONS = st.sampled_from([MINUTE, 90 * MINUTE, DAY])

KINDS = [
    st.fixed_dictionaries({"total": SELECTORS, "bad": SELECTORS}).map(lambda each: ("ratio", each)),
    st.fixed_dictionaries({"total": SELECTORS, "good": SELECTORS}).map(lambda each: ("ratio", each)),
    st.fixed_dictionaries({"metric": SELECTORS, "op": COMPARISONS, "value": NUMBERS}).map(
        lambda each: ("threshold", each)
    ),
    st.fixed_dictionaries({"metric": SELECTORS, "le": NUMBERS}).map(lambda each: ("histogram", each)),
    st.fixed_dictionaries(
        {
            "metric": SELECTORS,
            "q": st.sampled_from([0.5, 0.99]),
            "op": COMPARISONS,
            "value": NUMBERS,
            "window": SLICES,
        }
    ).map(lambda each: ("quantile", each)),
    st.fixed_dictionaries(
        {"state": SELECTORS, "staleAfter": DURATIONS, "quorum": st.sampled_from(["any", "majority", "all"])}
    ).map(lambda each: ("uptime", each)),
    st.fixed_dictionaries({"metric": SELECTORS, "op": COMPARISONS, "perSecond": NUMBERS, "window": SLICES}).map(
        lambda each: ("throughput", each)
    ),
    st.fixed_dictionaries({"metric": SELECTORS, "maxGap": DURATIONS}).map(lambda each: ("freshness", each)),
    st.fixed_dictionaries(
        {
            "opened": SELECTORS.map(lambda each: ("opened", each[1])),
            "closed": SELECTORS.map(lambda each: ("closed", each[1])),
            "key": st.sampled_from(["ticket", "id"]),
            "op": st.sampled_from(["lt", "lte"]),
            "within": DURATIONS,
        }
    ).map(lambda each: ("response", each)),
]
EMPTY = st.sampled_from(["ignored", "good", "bad"])
BUDGETS = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {
            "budgetingMethod": st.just("Timeslices"),
            "timeSliceTarget": st.sampled_from([0.5, 1]),
            "timeSliceWindow": SLICES,
            "emptySlices": EMPTY,
        }
    ),
    st.fixed_dictionaries(
        {"budgetingMethod": st.just("RatioTimeslices"), "timeSliceWindow": SLICES, "emptySlices": EMPTY}
    ),
)
OF_TIME = {"window", "staleAfter", "maxGap", "within", "timeSliceWindow"}


def written(draw: st.DrawFn, key: str, value: Any) -> str:
    """One value in one of the ways in which people write it."""
    if isinstance(value, tuple):
        return json.dumps(selector(draw, *value))
    if key in OF_TIME:
        seconds = f"{value // 1_000_000}s"
        return draw(st.sampled_from([seconds, f"{value // MINUTE}m", f"'{seconds}'"]))
    if isinstance(value, str):
        return draw(st.sampled_from([value, f"'{value}'", f'"{value}"']))
    return draw(st.sampled_from([f"{value}", f"{float(value)}", f"{float(value):e}", f"{float(value):.3f}"]))


def selector(draw: st.DrawFn, name: str, matchers: frozenset[tuple[str, str, str]]) -> str:
    """Matchers in any order, some of them twice, with quotes and spaces of any kind, the name before or within."""
    parts = [*draw(st.permutations(sorted(matchers))), *draw(st.lists(st.sampled_from(sorted(matchers) or [()])))]
    space = st.sampled_from(["", " ", "  "])
    texts = [f"{draw(space)}{each[0]}{draw(space)}{each[1]}{quoted(draw, each[2])}" for each in parts if each]
    if draw(st.booleans()):
        return f"{name}{{{','.join(texts)}}}"
    return "{" + ",".join(draw(st.permutations([*texts, f"__name__={quoted(draw, name)}"]))) + "}"


def quoted(draw: st.DrawFn, value: str) -> str:
    quotes = ['"', "`"] if "'" in value else ['"', "`", "'"]
    quote = draw(st.sampled_from(quotes))
    return f"{quote}{value}{quote}"


def mapping(draw: st.DrawFn, pairs: dict[str, Any]) -> list[str]:
    return [f"{key}: {written(draw, key, pairs[key])}" for key in draw(st.permutations(sorted(pairs)))]


def text_of(draw: st.DrawFn, kind: str, indicator: dict[str, Any], budget: dict[str, Any]) -> str:
    """The agreement, with the indicator in braces or in lines of its own."""
    pairs, lines = mapping(draw, indicator), mapping(draw, budget)
    if draw(st.booleans()):
        return agreement(f"{{{kind}: {{{', '.join(pairs)}}}}}", *lines)
    rest = "".join(f"\n          {pair}" for pair in pairs)
    return agreement(f"\n        {kind}:{rest}", *lines)


@st.composite
def written_twice(draw: st.DrawFn) -> tuple[str, str]:
    kind, indicator = draw(st.one_of(KINDS))
    budget = {} if kind in {"quantile", "throughput"} else draw(BUDGETS)
    return text_of(draw, kind, indicator, budget), text_of(draw, kind, indicator, budget)


@st.composite
def two_counts(draw: st.DrawFn) -> tuple[bool, str, str]:
    """Two objectives that differ in one part, if at all: whether they are the same, and their texts."""
    kinds = draw(st.sampled_from(KINDS))
    (kind, indicator), (_, other) = draw(kinds), draw(kinds)
    key = draw(st.sampled_from(sorted(indicator)))
    other = {**indicator, key: other[key]}
    budget = {} if kind in {"quantile", "throughput"} else draw(BUDGETS)
    changed = {} if not budget else draw(st.sampled_from([budget, draw(BUDGETS)]))
    texts = text_of(draw, kind, indicator, budget), text_of(draw, kind, other, changed)
    return (indicator, budget) == (other, changed), *texts


@given(written_twice())
@examples()
def test_formatting_leaves_a_fingerprint_as_it_is(texts: tuple[str, str]) -> None:
    """Order, quotes, spaces, units, braces or lines."""
    one, other = (objective(text) for text in texts)

    assert indicator_fingerprint(one) == indicator_fingerprint(other)
    assert indicator_fingerprint(replace(one, name="p", target=0.5, alerts=("x",))) == indicator_fingerprint(other)


@given(two_counts())
@examples(200)
def test_fingerprints_are_equal_only_where_the_same_is_counted(counts: tuple[bool, str, str]) -> None:
    """Each part of an indicator and of a budget is in it."""
    same, one, other = counts
    fingerprints = {indicator_fingerprint(objective(text)) for text in (one, other)}

    assert (len(fingerprints) == 1) == same
