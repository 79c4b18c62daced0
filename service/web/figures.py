"""Numbers and times as people read them. Never rounds across a target, and never up to 100 %."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from markupsafe import Markup, escape

from evaluators import durations

NBSP: Final = "\N{NO-BREAK SPACE}"
MINUS: Final = "\N{MINUS SIGN}"
TIMES: Final = "\N{MULTIPLICATION SIGN}"
NOTHING: Final = "\N{EN DASH}"
_MOST_DECIMALS: Final = 6
_A_GREATER_UNIT: Final = 60
_SAFE_SCHEMES: Final = frozenset({"http", "https"})


def percent(ratio: float | None, decimals: int = 2) -> str:
    """`0.9995` -> `99.95 %`, rounded down: what is shown is never better than what was counted."""
    if ratio is None or not math.isfinite(ratio):
        return NOTHING
    value = Decimal(repr(float(ratio))) * 100
    text = f"{value.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_FLOOR):,f}"
    return f"{text.replace('-', MINUS)}{NBSP}%"


def target(ratio: float) -> str:
    """A target with just the digits that it was written with: `99.9 %`, `99.95 %`."""
    value = (Decimal(repr(float(ratio))) * 100).normalize()
    return f"{value:f}{NBSP}%".replace("-", MINUS)


def decimals_for(ratio: float) -> int:
    """How many decimals tell an SLI apart from this target: two more than the target itself has."""
    exponent = (Decimal(repr(float(ratio))) * 100).normalize().as_tuple().exponent
    return min(_MOST_DECIMALS, max(0, -int(exponent)) + 2)


def share(ratio: float | None) -> str:
    """A share of a budget, one decimal, rounded down; whole from 100 on: `29.8 %`, `-70.3 %` with a real minus, `100 %`."""
    if ratio is None or not math.isfinite(ratio):
        return NOTHING
    if abs(ratio) >= 1:
        return percent(ratio, 0)
    return percent(ratio, 1)


def overspent(ratio: float) -> str:
    """How far over the budget, rounded up, of a budget that is below zero: `70.2 %`."""
    value = -Decimal(repr(float(ratio))) * 100
    step = Decimal(1) if value >= 100 else Decimal("0.1")
    return f"{value.quantize(step, rounding=ROUND_CEILING):,f}{NBSP}%"


def burn(rate: float | None) -> str:
    """A burn rate: `14.9x`, `0.04x`, `1,204x` with a real times sign."""
    if rate is None or not math.isfinite(rate):
        return NOTHING
    if rate == 0:
        return f"0{TIMES}"
    if rate < 0.01:
        return f"<0.01{TIMES}"
    decimals = 2 if rate < 1 else 1 if rate < 100 else 0
    return f"{rate:,.{decimals}f}{TIMES}"


def count(number: float | None) -> str:
    """`1204` -> `1,204`; fractions of an event only where there are few: `997.7`."""
    if number is None or not math.isfinite(number):
        return NOTHING
    if float(number).is_integer() or abs(number) >= 10_000:
        return f"{number:,.0f}".replace("-", MINUS)
    return f"{number:,.1f}".replace("-", MINUS)


def span(us: int) -> str:
    """A duration in its two greatest units: `43 min 12 s`."""
    return durations.in_words(us).replace(" ", NBSP)


def whole_span(us: int) -> str:
    """A duration that somebody wrote down, in a sentence: `30 days` rather than `30 d`."""
    for scale, name in ((durations.DAY, "day"), (durations.HOUR, "hour"), (durations.MINUTE, "minute")):
        if us >= scale and us % scale == 0:
            number = us // scale
            return f"{number}{NBSP}{name}{'' if number == 1 else 's'}"
    return span(us)


def window(name: str) -> str:
    """A window's name in units that people think in: `1008m` -> `16h 48m`, `70s` -> `1m 10s`."""
    number, unit = name[:-1], name[-1:]
    greater = {"m": "h", "s": "m"}.get(unit)
    if greater is None or not number.isdecimal() or int(number) <= _A_GREATER_UNIT:
        return name
    whole, rest = divmod(int(number), _A_GREATER_UNIT)
    return f"{whole}{greater}{NBSP}{rest}{unit}" if rest else f"{whole}{greater}"


def moment(us: int) -> datetime:
    """The edge between microseconds and the calendar."""
    return datetime.fromtimestamp(us // 1_000_000, tz=UTC)


def iso(us: int) -> str:
    """`2026-11-23T15:50:10Z`."""
    return moment(us).strftime("%Y-%m-%dT%H:%M:%SZ")


def full(us: int) -> str:
    """`Mon 23 Nov 2026 15:50:10 UTC`."""
    return moment(us).strftime("%a %-d %b %Y %H:%M:%S UTC")


def short(us: int, now_us: int | None = None) -> str:
    """Just enough beside `now`: `15:50:10` on the same day, `21 Nov 15:50` in the same year, else with the year."""
    then = moment(us)
    now = moment(now_us) if now_us is not None else None
    if now is not None and then.date() == now.date():
        return then.strftime("%H:%M:%S")
    if now is None or then.year == now.year:
        return then.strftime("%-d %b %H:%M").replace(" ", NBSP)
    return then.strftime("%-d %b %Y %H:%M").replace(" ", NBSP)


def when(us: int | None, now_us: int | None = None) -> Markup:
    """A `<time>` with the full moment in its title, which a script replaces by local time on hover."""
    if us is None:
        return escape(NOTHING)
    element = Markup('<time datetime="{}" title="{}">{}</time>')
    return element.format(iso(us), full(us), short(us, now_us))


def group_label(labels: Iterable[tuple[str, str]]) -> str:
    """`region=eu, tier=gold`."""
    return ", ".join(f"{name}={value}" for name, value in labels)


def objective_url(agreement: str, objective: str, labels: Iterable[tuple[str, str]] = (), span_name: str = "") -> str:
    """The page of an objective, or of one group of it."""
    query = [("group", f"{name}={value}") for name, value in labels]
    if span_name:
        query.append(("range", span_name))
    path = f"/agreements/{quote(agreement, safe='')}/objectives/{quote(objective, safe='')}"
    return f"{path}?{urlencode(query)}" if query else path


def incident_url(incident_id: str) -> str:
    return f"/incidents/{quote(incident_id, safe='')}"


def overview_url(**query: str | None) -> str:
    """The overview with its filters, those that are set."""
    given = {name: value for name, value in query.items() if value}
    return f"/?{urlencode(given)}" if given else "/"


def safe_link(url: str | None) -> str | None:
    """The address, where a browser may follow it: http and https only, never `javascript:`."""
    if not url:
        return None
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return None
    return url.strip() if parts.scheme.lower() in _SAFE_SCHEMES and parts.netloc else None


def sentence(words: str | None) -> str:
    """A reason as a sentence of its own."""
    if not words:
        return ""
    return words[0].upper() + words[1:] + ("" if words.endswith((".", "!", "?")) else ".")


def condition_words(condition: Mapping[str, object]) -> str:
    """A condition as a page carries it, in words: `burn rate at or above 14.4x over 1h and 5m, contractual view`."""
    view = f", {condition['view']} view" if condition.get("view") else ""
    match condition:
        case {"breached": True}:
            return "the promise was broken: nothing of the error budget is left"
        case {"factor": int() | float() as factor, "long": long, "short": short}:
            return (
                f"burn rate at or above {factor:g}{TIMES} over both {window(str(long))} and {window(str(short))}{view}"
            )
        case {"silent": after}:
            return f"no samples for {after}"
        case {"budgetRemaining": int() | float() as below}:
            return f"error budget left below {share(below)}{view}"
        case {"exhaustion": within}:
            return f"error budget gone within {within}{view}"
        case _:
            return ", ".join(f"{name} {value}" for name, value in condition.items())
