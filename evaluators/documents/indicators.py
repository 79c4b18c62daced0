"""Reads the indicators of objectives: which samples count, and when one is good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, get_args

from evaluators.agreements import (
    Comparison,
    FreshnessIndicator,
    HistogramIndicator,
    Indicator,
    QuantileIndicator,
    Quorum,
    RatioIndicator,
    ResponseIndicator,
    ThresholdIndicator,
    ThroughputIndicator,
    UptimeIndicator,
)
from evaluators.documents import shares, slices
from evaluators.documents.fields import NOTHING, Field, Section
from evaluators.documents.tree import shown
from evaluators.durations import DAY, MINUTE, SECOND
from evaluators.selectors import Selector

COMPARISONS: Final[tuple[Comparison, ...]] = get_args(Comparison)
AT_MOST: Final[tuple[Literal["lt", "lte"], ...]] = ("lt", "lte")
QUORUMS: Final[tuple[Quorum, ...]] = get_args(Quorum)
SHORTEST_STALE: Final = 10 * SECOND
LONGEST_STALE: Final = DAY
SHORTEST_GAP: Final = MINUTE
LONGEST_GAP: Final = 7 * DAY
SHORTEST_RESPONSE: Final = SECOND
LONGEST_RESPONSE: Final = 90 * DAY
BUCKET_LABEL: Final = "le"
EXAMPLE: Final = "{ratio: {bad: 'http_requests{status=~\"5..\"}', total: http_requests}}"
_LATENCY: Final = "http_request_duration_seconds"
_SYMBOLS: Final = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte", "≤": "lte", "≥": "gte", "le": "lte", "ge": "gte"}
_SYMBOLS_AT_MOST: Final = {symbol: op for symbol, op in _SYMBOLS.items() if op in AT_MOST}
_QUORUM_WORDS: Final = {"one": "any", "most": "majority", "half": "majority", "every": "all", "each": "all"}
_SERIES_OF_A_HISTOGRAM: Final = ("_bucket", "_count", "_sum")


def read(section: Section, period_us: int) -> Indicator:
    """The one indicator there; `period_us` bounds the slices of those that are counted by slices."""
    kind = section.one_of(_READERS, (), EXAMPLE)
    section.close()
    if kind is None:
        return RatioIndicator(NOTHING)
    inner = kind.section()
    indicator = _READERS[kind.path.rpartition(".")[2]](inner, period_us)
    inner.close()
    return indicator


def _ratio(inner: Section, _period_us: int) -> RatioIndicator:
    total = inner.need("total", "http_requests").selector(metric=True)
    part = inner.one_of(("good", "bad"), (), "bad: 'http_requests{status=~\"5..\"}'")
    if part is None:
        return RatioIndicator(total)
    selector = part.selector(metric=True)
    if part.path.endswith(".good"):
        return RatioIndicator(total, good=selector)
    return RatioIndicator(total, bad=selector)


def _threshold(inner: Section, _period_us: int) -> ThresholdIndicator:
    metric = inner.need("metric", _LATENCY).selector(metric=True)
    return ThresholdIndicator(metric, _comparison(inner, "lte"), inner.need("value", "0.3").number())


def _histogram(inner: Section, _period_us: int) -> HistogramIndicator:
    metric, bound = inner.need("metric", _LATENCY), inner.need("le", "0.3")
    return HistogramIndicator(_of_a_histogram(metric), bound.number())


def _of_a_histogram(field: Field) -> Selector:
    """A selector by the histogram's own name, which does not choose among its buckets."""
    selector = field.selector(metric=True)
    name = selector.metric or ""
    suffix = next((each for each in _SERIES_OF_A_HISTOGRAM if name.endswith(each)), None)
    if suffix is not None:
        mend = f"did you mean {name.removesuffix(suffix)}?"
        field.error(f"{shown(name)} is one series of a histogram: name the histogram itself", mend)
    elif any(each.name == BUCKET_LABEL for each in selector.matchers):
        field.error(f"chooses among buckets by the label {BUCKET_LABEL}", "the bound says which: le, beside metric")
    return selector


def _quantile(inner: Section, period_us: int) -> QuantileIndicator:
    return QuantileIndicator(
        metric=inner.need("metric", _LATENCY).selector(metric=True),
        q=shares.quantile(inner.need("q", "0.99")),
        op=_comparison(inner, "lte"),
        bound=inner.need("value", "0.3").number(),
        window_us=_window(inner, period_us),
    )


def _uptime(inner: Section, _period_us: int) -> UptimeIndicator:
    state, stale, quorum = inner.need("state", "probe_success"), inner.need("staleAfter", "2m"), inner.get("quorum")
    return UptimeIndicator(
        state=state.selector(metric=True),
        stale_after_us=stale.duration(SHORTEST_STALE, LONGEST_STALE),
        quorum="majority" if quorum is None else quorum.choice(QUORUMS, _QUORUM_WORDS),
    )


def _throughput(inner: Section, period_us: int) -> ThroughputIndicator:
    metric = inner.need("metric", "messages_processed").selector(metric=True)
    op, rate = _comparison(inner, "gte"), inner.need("perSecond", "5")
    per_second = rate.number()
    if per_second < 0:
        rate.error("is below 0, which no rate is", "such as 5, or 0.1 for six a minute")
    elif per_second == 0 and op in ("lt", "gte"):
        never = op == "lt"
        rate.error(
            f"{'no' if never else 'every'} rate is {'below' if never else 'at least'} 0",
            f"did you mean op: {'lte' if never else 'gt'}?",
        )
    return ThroughputIndicator(metric, op, per_second, _window(inner, period_us))


def _freshness(inner: Section, _period_us: int) -> FreshnessIndicator:
    metric, gap = inner.need("metric", "backup_finished"), inner.need("maxGap", "1h")
    return FreshnessIndicator(metric.selector(metric=True), gap.duration(SHORTEST_GAP, LONGEST_GAP))


def _response(inner: Section, _period_us: int) -> ResponseIndicator:
    opened, closed = _distinct(inner.need("opened", "ticket_opened"), inner.need("closed", "ticket_resolved"))
    paused, resumed = _pauses(inner)
    return ResponseIndicator(
        opened=opened,
        closed=closed,
        key=inner.need("key", "ticket").label("ticket"),
        op=inner.need("op", "lte").choice(AT_MOST, _SYMBOLS_AT_MOST),
        within_us=inner.need("within", "4h").duration(SHORTEST_RESPONSE, LONGEST_RESPONSE),
        paused=paused,
        resumed=resumed,
    )


def _pauses(inner: Section) -> tuple[Selector | None, Selector | None]:
    """What stops a response's clock and what lets it go on: both or none."""
    paused, resumed = inner.get("paused"), inner.get("resumed")
    if paused is not None and resumed is not None:
        return _distinct(paused, resumed)
    if paused is not None:
        paused.error("needs resumed beside it: a clock that stops must go on", "add resumed: ticket_resumed")
    if resumed is not None:
        resumed.error("needs paused beside it: nothing stops the clock", "add paused: ticket_paused")
    return None, None


def _distinct(begin: Field, end: Field) -> tuple[Selector, Selector]:
    """Selectors of two moments, which one sample cannot both be."""
    begins, ends = begin.selector(metric=True), end.selector(metric=True)
    if begin.sound and end.sound and (begins.metric, set(begins.matchers)) == (ends.metric, set(ends.matchers)):
        other = begin.path.rpartition(".")[2]
        end.error(f"selects the same samples as {other}", "tell them apart by metric or by a label")
    return begins, ends


def _comparison(inner: Section, example: Comparison) -> Comparison:
    return inner.need("op", example).choice(COMPARISONS, _SYMBOLS)


def _window(inner: Section, period_us: int) -> int:
    field = inner.get("window")
    return slices.SHORTEST if field is None else slices.window(field, period_us)


_READERS: Final[Mapping[str, Callable[[Section, int], Indicator]]] = {
    "ratio": _ratio,
    "threshold": _threshold,
    "histogram": _histogram,
    "quantile": _quantile,
    "uptime": _uptime,
    "throughput": _throughput,
    "freshness": _freshness,
    "response": _response,
}
