"""Reads the spec of an Agreement."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Final

from evaluators import calendars
from evaluators.agreements import Agreement, AgreementType, LabelExclusion, Objective, Party
from evaluators.documents import objectives
from evaluators.documents.fields import NOTHING, Field, Section, closest
from evaluators.documents.tree import shown
from evaluators.durations import DAY, LONGEST

LATER_KEYS: Final = ("serviceHours", "supportedBy", "credits")
LATER_EXCLUSION_KEYS: Final = ("start", "end", "duration", "recurrence", "timeZone")
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2199

_MOMENT: Final = re.compile(
    r"([0-9]{4})-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?)?",
    re.ASCII,
)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MOMENT_EXAMPLE: Final = "such as 2026-01-01 or 2026-01-01T08:00"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def read(name: str, display_name: str | None, spec: Section) -> Agreement:
    time_zone = _time_zone(spec.get("timeZone"))
    effective_from, effective_until = _effective(spec.need("effective", "{from: 2026-01-01}").section(), time_zone)
    service, description = spec.get("service"), spec.get("description")
    found = _objectives(spec, time_zone)
    if service is None and any(each.service is None for each in found):
        spec.need("service", "checkout")
    agreement = Agreement(
        name=name,
        display_name=display_name or name,
        type=AgreementType(spec.need("type", "SLA").choice([each.value for each in AgreementType])),
        provider=_party(spec.need("provider", "{name: Example Cloud}").section()),
        customer=_party(spec.need("customer", "{name: Example Shop}").section()),
        effective_from_us=effective_from,
        effective_until_us=effective_until,
        time_zone=time_zone,
        objectives=found,
        notify=spec.need("notify", "[oncall]").names("[oncall]", least=0),
        exclusions=_exclusions(spec.get("exclusions")),
        service=None if service is None else service.text(),
        description=None if description is None else description.prose(),
    )
    _review(spec.get("review"))
    spec.refuse(LATER_KEYS)
    spec.close()
    return agreement


def _objectives(spec: Section, time_zone: str) -> tuple[Objective, ...]:
    example = "a list of {name, indicator, target, period}"
    fields = spec.need("objectives", example).items(example)
    found = tuple(objectives.read(each, time_zone) for each in fields)
    _once((each.name for each in found), fields, "objective")
    return found


def _party(section: Section) -> Party:
    contact = section.get("contact")
    party = Party(section.need("name", "Example Cloud").text(), None if contact is None else contact.text())
    section.close()
    return party


def _exclusions(field: Field | None) -> tuple[LabelExclusion, ...]:
    if field is None:
        return ()
    fields = field.items("[{name: not-ours, cause: customer, where: '{status=~\"4..\"}'}]", least=0)
    found = tuple(_exclusion(each.section()) for each in fields)
    _once((each.name for each in found), fields, "exclusion")
    return found


def _exclusion(section: Section) -> LabelExclusion:
    name = section.need("name", "not-ours").name()
    cause = section.need("cause", "customer").text()
    section.refuse(LATER_EXCLUSION_KEYS)
    by_time = section.has(LATER_EXCLUSION_KEYS)
    where = section.get("where") if by_time else section.need("where", "'{status=~\"4..\"}'")
    selector = NOTHING if where is None else where.selector(metric=False)
    section.close()
    return LabelExclusion(name, cause, selector)


def _once(names: Iterable[str], fields: list[Field], what: str) -> None:
    seen: set[str] = set()
    for name, field in zip(names, fields, strict=True):
        if name and name in seen:
            field.error(f"is the second {what} called {shown(name)}", "give each its own name")
        seen.add(name)


def _time_zone(field: Field | None) -> str:
    if field is None:
        return "UTC"
    name = field.text()
    if name and name not in calendars.time_zones():
        meant = closest(name, calendars.time_zones())
        field.error(
            f"{shown(name)} is no IANA time zone", f"did you mean {meant}?" if meant else "such as Europe/Berlin"
        )
        return "UTC"
    return name or "UTC"


def _effective(section: Section, time_zone: str) -> tuple[int, int | None]:
    begins = _moment(section.need("from", "2026-01-01"), time_zone)
    until = section.get("until")
    ends = None if until is None else _moment(until, time_zone)
    if until is not None and begins is not None and ends is not None and ends <= begins:
        until.error("must be after from", "the agreement ends just before this moment")
    section.close()
    return begins or 0, ends


def _moment(field: Field, time_zone: str) -> int | None:
    """Microseconds; a date is its midnight, and a time without offset is one, in the agreement's zone."""
    text = field.text()
    if not text:
        return None
    parts = _MOMENT.fullmatch(text)
    moment = _parsed(text) if parts else None
    if parts is None or moment is None:
        field.error(f"{shown(text)} is neither a date nor a time", _MOMENT_EXAMPLE)
        return None
    if not FIRST_YEAR <= int(parts[1]) <= LAST_YEAR:
        field.error(f"must be from {FIRST_YEAR} to {LAST_YEAR}")
        return None
    if parts["zone"]:
        delta = moment - _EPOCH
        return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
    return calendars.instant(moment, time_zone)


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _review(field: Field | None) -> None:
    """Information for people: checked, kept in the document, not acted on yet."""
    if field is None:
        return
    section = field.section()
    section.need("every", "90d").duration(DAY, LONGEST)
    section.need("owner", "payments-team").text()
    last = section.get("last")
    if last is not None:
        text = last.text()
        if text and not (_DATE.fullmatch(text) and _is_date(text)):
            last.error(f"{shown(text)} is no date", "such as 2026-10-01")
    section.close()


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
