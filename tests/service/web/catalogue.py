"""A small company's service levels, made up: every state that a page can be in, and labels that mean harm."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evaluators.agreements import (
    Agreement,
    AgreementType,
    BurnRateCondition,
    CalendarPeriod,
    Objective,
    Party,
    RatioIndicator,
    RollingPeriod,
    SilentCondition,
    ThresholdIndicator,
)
from evaluators.durations import DAY, HOUR, MINUTE, SECOND
from evaluators.incidents import Incident
from evaluators.selectors import Selector
from evaluators.standings import DataState, SeriesIdentity, Standing, Verdict, ViewNumbers
from service.web.ports import (
    IncidentRecord,
    IncidentState,
)

NOW = int(os.environ.get("MADE_UP_NOW_US", 1_795_449_010 * SECOND))  # 2026-11-23T15:50:10Z
HOSTILE = '<img src=x onerror="alert(1)">'
HOSTILE_REASON = '</p><script>alert("reason")</script>'
TOKEN = "let-me-in"

CONDITIONS = (
    BurnRateCondition(HOUR, 5 * MINUTE, 14.4, "page"),
    BurnRateCondition(6 * HOUR, 30 * MINUTE, 6.0, "page"),
    BurnRateCondition(DAY, 2 * HOUR, 3.0, "ticket"),
    BurnRateCondition(3 * DAY, 6 * HOUR, 1.0, "ticket"),
    SilentCondition(10 * MINUTE, "ticket"),
)


@dataclass(frozen=True)
class Shape:
    """How one series is doing: share of the budget left, burn over 1h, and what else differs from the ordinary."""

    left: float | None
    burn: float = 0.4
    data: DataState = DataState.LIVE
    firing: str | None = None
    rate: float = 2.1
    labels: tuple[tuple[str, str], ...] = ()


def _ratio(service: str, condition: str = 'status=~"5.."') -> RatioIndicator:
    total = f'http_request_duration_seconds{{service="{service}"}}'
    bad = f'http_request_duration_seconds{{service="{service}",{condition}}}'
    return RatioIndicator(Selector.parse(total), bad=Selector.parse(bad))


def _objective(
    name: str,
    service: str,
    target: float,
    *,
    latency: float | None = None,
    by: tuple[str, ...] = (),
    month: bool = False,
) -> Objective:
    indicator = (
        _ratio(service)
        if latency is None
        else ThresholdIndicator(Selector.parse(f'http_request_duration_seconds{{service="{service}"}}'), "lte", latency)
    )
    period = CalendarPeriod("month", "Europe/Berlin") if month else RollingPeriod(30 * DAY)
    runbook = f"https://runbooks.example.com/{service}"
    return Objective(name, indicator, target, period, service, by, runbook=runbook)


def _agreement(
    name: str, title: str, kind: AgreementType, provider: str, customer: str, objectives: Sequence[Objective]
) -> Agreement:
    return Agreement(
        name,
        title,
        kind,
        Party(provider),
        Party(customer),
        NOW - 200 * DAY,
        None,
        "Europe/Berlin",
        tuple(objectives),
        ("oncall",),
    )


REGIONS = ("eu-central", "eu-west", "us-east", "us-west", "ap-south", "ap-east", "sa-east", "af-south")
TIERS = ("free", "team", "enterprise")


def catalogue() -> list[tuple[Agreement, list[list[Shape]]]]:
    region = lambda value: (("region", value),)  # noqa: E731
    edge = [
        Shape(
            random.Random(place).uniform(0.4, 0.97),
            random.Random(place + 99).uniform(0.05, 0.8),
            labels=(("region", place_name), ("tier", tier)),
        )
        for place, (place_name, tier) in enumerate((r, t) for r in REGIONS for t in TIERS)
    ]
    edge[4] = replace(edge[4], left=0.08, burn=6.7, firing="page")
    edge[13] = replace(edge[13], left=None, burn=0.0, data=DataState.SILENT)
    return [
        (
            _agreement(
                "checkout-gold",
                "Checkout, gold plan",
                AgreementType.SLA,
                "Example Cloud",
                "Example Shop",
                [
                    _objective("availability", "checkout", 0.999, by=("region",)),
                    _objective("latency", "checkout", 0.99, latency=0.3, month=True),
                    _objective("payment-success", "payments", 0.9995),
                ],
            ),
            [
                [
                    Shape(0.298, 14.9, firing="page", labels=region("eu")),
                    Shape(0.912, 0.1, labels=region("us")),
                    Shape(0.847, 0.6, labels=region("ap")),
                ],
                [Shape(0.641, 0.8)],
                [Shape(-0.7021, 21.3, firing="page")],
            ],
        ),
        (
            _agreement(
                "search-platform",
                "Search platform",
                AgreementType.OLA,
                "Search team",
                "Storefront team",
                [
                    _objective("availability", "search", 0.995),
                    _objective("fresh-index", "indexer", 0.95, latency=60),
                    _objective("suggestions", "suggest", 0.99, latency=0.08),
                ],
            ),
            [[Shape(0.874, 0.3)], [Shape(0.55, 0.0, data=DataState.SILENT)], [Shape(0.734, 1.2)]],
        ),
        (
            _agreement(
                "edge-network",
                "Edge network",
                AgreementType.UC,
                "Northwind CDN",
                "Example Cloud",
                [
                    _objective("cache-hits", "edge", 0.9, by=("region", "tier")),
                    _objective("tls-handshake", "edge", 0.999, latency=0.15),
                ],
            ),
            [edge, [Shape(0.66, 0.9, data=DataState.BLIND)]],
        ),
        (
            _agreement(
                "mail",
                "Mail relay",
                AgreementType.OLA,
                "Messaging team",
                "Everybody",
                [
                    _objective("delivered", "mail", 0.99, by=("route",)),
                    _objective("bounces", "mail", 0.98),
                ],
            ),
            [
                [Shape(0.93, 0.2, labels=(("route", HOSTILE),)), Shape(0.81, 0.5, labels=(("route", "a" * 120),))],
                [Shape(None)],
            ],
        ),
    ]


def _verdict(shape: Shape) -> Verdict | None:
    if shape.left is None:
        return None
    if shape.left < 0:
        return Verdict.BREACHED
    return Verdict.AT_RISK if shape.firing else Verdict.MET


def _reason(shape: Shape) -> str:
    if shape.left is None:
        return "nothing was counted in this period yet"
    if shape.left < 0:
        return f"the error budget is gone: {-shape.left:.0%} more was spent than allowed (contractual)"
    if shape.firing:
        return f"burning {shape.burn}x over 1h and {shape.burn * 1.09:.1f}x over 5m (contractual); budget gone in 14 h 30 min at this rate"
    return f"{shape.left:.1%} of the error budget left; burning {shape.burn:.1f}x over 6h"


def _view(shape: Shape, target: float, total: int, *, worse: float = 0.0) -> ViewNumbers:
    if shape.left is None:
        return ViewNumbers(0, 0, None, None, dict.fromkeys(("5m", "30m", "1h", "2h", "6h", "1d", "3d"), None))
    left = shape.left - worse
    bad = round((1 - left) * (1 - target) * total)
    rates: dict[str, float | None] = {
        "5m": shape.burn * 1.09,
        "30m": shape.burn * 0.6,
        "1h": shape.burn,
        "2h": shape.burn * 0.5,
        "6h": shape.burn * 0.21 + 0.1,
        "1d": shape.burn * 0.06 + 0.3,
        "3d": 1 - max(-0.6, left) * 0.6,
    }
    if shape.data is not DataState.LIVE:
        rates["5m"] = rates["30m"] = rates["1h"] = rates["2h"] = None
    return ViewNumbers(total - bad, total, (total - bad) / total, left, rates)


def standing_of(identity: SeriesIdentity, shape: Shape, period: tuple[int, int]) -> Standing:
    total = round(shape.rate * 30 * DAY / SECOND / 5)
    contractual = _view(shape, identity.target, total)
    experienced = _view(shape, identity.target, round(total * 1.001), worse=0.06 if shape.firing else 0.0)
    return Standing(
        identity,
        _verdict(shape),
        shape.data,
        shape.firing,  # type: ignore[arg-type]
        NOW - (8 * MINUTE + 50 * SECOND) if shape.firing else NOW - 12 * DAY,
        HOSTILE_REASON if any(HOSTILE in value for _, value in shape.labels) else _reason(shape),
        NOW,
        *period,
        "projected" if identity.period_kind == "calendar" else "observed",
        (1 - identity.target) * contractual.total,
        contractual.total - contractual.good,
        contractual,
        experienced,
        0.998,
        NOW + 14 * HOUR + 30 * MINUTE if shape.firing and (shape.left or 0) > 0 else None,
    )


def incidents_of(rows: Sequence[Standing]) -> list[IncidentRecord]:
    records = [
        _incident(row, NOW - 10 * MINUTE, None, acknowledged=row.identity.agreement == "edge-network")
        for row in rows
        if row.firing is not None
    ]
    for place, row in enumerate(rows):
        if place % 4 == 1 and row.verdict is not None:
            started = NOW - (3 + place * 1.7 % 24) * DAY
            records.append(_incident(row, int(started), int(started + (14 + place) * MINUTE), withdrawn=place == 5))
    hurt = next(row for row in rows if row.identity.objective == "payment-success")
    records.append(_incident(hurt, NOW - 9 * DAY, NOW - 9 * DAY + 3 * HOUR))
    return sorted(records, key=lambda record: -record.incident.detected_us)


def _incident(
    row: Standing, started: int, resolved: int | None, *, acknowledged: bool = False, withdrawn: bool = False
) -> IncidentRecord:
    identity = row.identity
    incident = Incident(
        f"inc_{identity.agreement[:4]}{identity.series_id:02d}{started // DAY}",
        identity.series_id,
        identity.agreement,
        identity.objective,
        identity.service,
        identity.labels,
        "page" if row.firing == "page" or resolved is None else "ticket",
        started,
        started + 70 * SECOND,
        resolved,
        row.reason if resolved is None else "burning 15.2x over 1h and 18.0x over 5m (contractual)",
        {"long": "1h", "short": "5m", "factor": 14.4, "view": "contractual"},
        {"1h": 14.9, "5m": 16.2},
        row.contractual.budget_remaining,
        row.exhausted_us,
        'javascript:alert("runbook")' if identity.agreement == "mail" else identity.runbook,
        notify=("oncall",),
    )
    state: IncidentState = "open" if resolved is None else "withdrawn" if withdrawn else "resolved"
    return IncidentRecord(incident, state, "mira" if acknowledged else None, NOW - 4 * MINUTE if acknowledged else None)
