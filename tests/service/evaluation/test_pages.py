"""Who is paged for what: cases by name, then a receiver's view of any history."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evaluators.incidents import ChangeKind, Incident, IncidentChange
from service.evaluation.pages import Announcer, Paging
from service.storage.incidents import State, Told

S = 1_000_000
T0 = 1_795_448_410 * S  # 2026-11-23T15:40:10Z
BASE = Incident(
    id="inc_one",
    series_id=7,
    agreement="checkout-gold",
    objective="availability",
    service="checkout",
    labels=(("region", "eu"),),
    severity="page",
    started_us=T0,
    detected_us=T0 + 70 * S,
    resolved_us=None,
    reason="burning 14.9x over 1h",
    condition={"long": "1h", "short": "5m", "factor": 14.4, "view": "contractual"},
    burn_rates={"1h": 14.9, "5m": 16.2},
    budget_remaining=0.298,
    exhausted_us=T0 + 3600 * S,
    runbook="https://runbooks.example.com/checkout",
    notify=("oncall", "audit", "oncall"),
)
DUE = Announcer(due=True, clock_us=T0 + 77 * S + 123_456, public_url="https://upheld.example.com/")
HELD = replace(DUE, due=False)


def change(kind: ChangeKind, incident: Incident = BASE, at_us: int = T0 + 70 * S) -> IncidentChange:
    if kind == "resolved":
        incident = replace(incident, resolved_us=at_us)
    return IncidentChange(kind, at_us, incident)


def types(paging: Paging) -> list[str]:
    """What one target gets."""
    return [row.type for row in paging.outbox if row.target == "oncall"]


def test_an_opened_incident_pages_each_target_once() -> None:
    """A target named twice is one target."""
    paging = DUE.record([change("opened")], {}, [BASE])

    assert [(row.type, row.target, row.idempotency_key) for row in paging.outbox] == [
        ("incident.opened", "oncall", "inc_one.1.oncall"),
        ("incident.opened", "audit", "inc_one.1.audit"),
    ]
    assert [(one.state, one.announced) for one in paging.incidents] == [("open", "page")]
    assert not paging.held


def test_the_payload_is_what_the_contract_shows() -> None:
    """Names, order and times of the page are a promise to receivers."""
    payload = DUE.record([change("opened")], {}, [BASE]).outbox[0].payload

    assert json.loads(json.dumps(payload)) == {
        "type": "incident.opened",
        "timestamp": "2026-11-23T15:41:27Z",
        "data": {
            "id": "inc_one",
            "severity": "page",
            "agreement": "checkout-gold",
            "objective": "availability",
            "service": "checkout",
            "group": {"region": "eu"},
            "started_at": "2026-11-23T15:40:10Z",
            "detected_at": "2026-11-23T15:41:20Z",
            "resolved_at": None,
            "reason": "burning 14.9x over 1h",
            "condition": {"long": "1h", "short": "5m", "factor": 14.4, "view": "contractual"},
            "burn_rates": {"1h": 14.9, "5m": 16.2},
            "budget_remaining": 0.298,
            "exhausted_at": "2026-11-23T16:40:10Z",
            "runbook": "https://runbooks.example.com/checkout",
            "url": "https://upheld.example.com/incidents/inc_one",
        },
    }


def test_numbers_that_json_does_not_know_become_null() -> None:
    """A payload that cannot be stored would stop the shard."""
    strange = replace(BASE, burn_rates={"5m": math.nan}, budget_remaining=-math.inf, exhausted_us=None)
    data = DUE.record([change("opened", strange)], {}, [strange]).outbox[0].payload["data"]
    assert (data["burn_rates"], data["budget_remaining"], data["exhausted_at"]) == ({"5m": None}, None, None)


def test_every_change_is_a_line_of_the_timeline() -> None:
    """Lines count on from what is stored."""
    changes = [change("escalated"), change("resolved")]
    paging = DUE.record(changes, {"inc_one": Told("open", "ticket", 4)}, [])
    assert [(line.seq, line.type) for line in paging.events] == [(5, "escalated"), (6, "resolved")]


def test_a_page_that_escalates_pages_again() -> None:
    """A promise that is now broken, or an outage that came back, is news."""
    before = {"inc_one": Told("open", "page", 1)}
    worse = replace(BASE, reason="budget spent: 1,204 of 1,000 allowed failures this month")

    paging = DUE.record([change("escalated", worse)], before, [worse])

    assert [(row.type, row.idempotency_key) for row in paging.outbox if row.target == "oncall"] == [
        ("incident.escalated", "inc_one.2.oncall")
    ]
    assert paging.outbox[0].payload["data"]["reason"] == worse.reason


@pytest.mark.parametrize("known", ["ticket", "page"])
def test_what_grew_graver_while_pages_were_held_is_told_once_they_are_due(known: str) -> None:
    """If it is still open then: a catch-up pages for nothing that is over, and keeps nothing back that is not."""
    before = {"inc_one": Told("open", known, 1)}
    first = HELD.record([change("escalated")], before, [BASE])
    assert (types(first), first.held) == ([], True)
    assert (first.incidents[0].announced, first.incidents[0].owed) == (known, 2)

    owing = {"inc_one": Told("open", known, 2, owed=2)}
    later = DUE.record([], owing, [BASE])
    assert (types(later), later.held, later.incidents[0].announced) == (["incident.escalated"], False, "page")
    over = DUE.record([change("resolved")], owing, [])
    assert (types(over), over.incidents[0].owed) == (["incident.resolved"], None)


def test_an_acknowledgement_meanwhile_does_not_use_up_the_key_of_what_is_owed() -> None:
    """Its line was told under a key of its own; the same key again would stop the shard for good."""
    owing = {"inc_one": Told("open", "ticket", 3, owed=2)}
    (row, _) = DUE.record([], owing, [BASE]).outbox
    assert row.idempotency_key == "inc_one.2.oncall"


@pytest.mark.parametrize("announcer", [HELD, DUE])
def test_a_rise_that_late_data_takes_back_pages_nobody(announcer: Announcer) -> None:
    """What the targets know is what is so again."""
    lower = replace(BASE, severity="ticket")
    owing = {"inc_one": Told("open", "ticket", 2, owed=2)}
    paging = announcer.record([change("amended", lower)], owing, [lower])
    assert (types(paging), paging.held, paging.incidents[0].announced) == ([], False, "ticket")


def test_what_opened_while_pages_are_held_pages_once_they_are_due() -> None:
    """A replay must not page for last week, but what is still open is today's."""
    first = HELD.record([change("opened")], {}, [BASE])
    assert (types(first), first.held, first.incidents[0].announced) == ([], True, None)

    later = DUE.record([], {"inc_one": Told("open", None, 1, owed=1)}, [BASE])
    assert (types(later), later.held, later.incidents[0].announced) == (["incident.opened"], False, "page")


def test_what_opened_and_resolved_while_pages_were_held_pages_nobody() -> None:
    """It is over."""
    paging = DUE.record([change("resolved")], {"inc_one": Told("open", None, 1)}, [])
    assert (types(paging), paging.incidents[0].state) == ([], "resolved")


def test_what_opened_and_resolved_within_one_commit_pages_nobody() -> None:
    """Only a catch-up evaluates that much event time at once."""
    paging = DUE.record([change("opened"), change("resolved")], {}, [])
    assert types(paging) == []
    assert [line.type for line in paging.events] == ["opened", "resolved"]


def test_a_resolve_comes_even_when_pages_are_held() -> None:
    """Whoever was woken is told that it is over."""
    paging = HELD.record([change("resolved")], {"inc_one": Told("open", "page", 1)}, [])
    assert types(paging) == ["incident.resolved"]


def test_an_amended_incident_pages_nobody() -> None:
    """Its times moved; nobody has to do anything."""
    moved = replace(BASE, started_us=T0 - 60 * S)
    paging = DUE.record([change("amended", moved)], {"inc_one": Told("open", "page", 1)}, [moved])
    assert (types(paging), paging.incidents[0].incident.started_us) == ([], T0 - 60 * S)


def test_a_withdrawn_incident_is_taken_back_from_those_who_were_told() -> None:
    """Also after its resolve."""
    for before in (Told("open", "page", 1), Told("resolved", "page", 2)):
        assert types(DUE.record([change("withdrawn")], {"inc_one": before}, [])) == ["incident.withdrawn"]
    assert types(DUE.record([change("withdrawn")], {"inc_one": Told("open", None, 1)}, [])) == []


def test_an_incident_that_comes_back_pages_again() -> None:
    """Late data may withdraw an incident and later data bring it back."""
    again = DUE.record([change("opened")], {"inc_one": Told("withdrawn", "page", 2)}, [BASE])
    assert (types(again), again.outbox[0].idempotency_key) == (["incident.opened"], "inc_one.3.oncall")


def test_an_open_incident_that_is_known_already_is_left_alone() -> None:
    """A commit without changes writes nothing about incidents."""
    assert DUE.record([], {}, [BASE]) == Paging()


@dataclass
class Receiver:
    """What a target believes; complains about any message out of turn."""

    believes: str = "nothing"
    severity: str = ""
    keys: set[str] = field(default_factory=set)

    def take(self, paging: Paging) -> None:
        for row in paging.outbox:
            if row.target != "oncall":
                continue
            assert row.idempotency_key not in self.keys
            self.keys.add(row.idempotency_key)
            match row.type:
                case "incident.opened":
                    assert self.believes != "open"
                    self.believes = "open"
                case "incident.escalated":
                    assert (self.believes, row.severity) == ("open", "page")
                case "incident.resolved":
                    assert self.believes == "open"
                    self.believes = "resolved"
                case "incident.withdrawn":
                    assert self.believes in {"open", "resolved"}
                    self.believes = "withdrawn"
                case other:
                    pytest.fail(other)
            self.severity = row.severity


@dataclass
class Stored:
    """The database as far as these decisions see it."""

    told: dict[str, Told] = field(default_factory=dict)

    def write(self, paging: Paging) -> None:
        for found in paging.incidents:
            lines = [line.seq for line in paging.events if line.incident_id == found.incident.id]
            before = self.told.get(found.incident.id)
            last = lines[-1] if lines else before.last_seq if before else 0
            self.told[found.incident.id] = Told(found.state, found.announced, last, found.owed)

    def acknowledge(self) -> set[str]:
        """The keys of what an acknowledgement sends: it tells those who know of the incident."""
        self.told = {name: replace(told, last_seq=told.last_seq + 1) for name, told in self.told.items()}
        return {f"{name}.{told.last_seq}.oncall" for name, told in self.told.items() if told.announced is not None}


moves = st.lists(st.sampled_from(["open", "raise", "again", "lower", "resolve", "withdraw", "move"]), max_size=3)
steps = st.lists(st.tuples(moves, st.booleans(), st.booleans()), min_size=1, max_size=8)


def played(state: State | None, severity: str, moved: list[str]) -> tuple[list[IncidentChange], State | None, str]:
    """The moves that the engine can make from here, as changes."""
    changes: list[IncidentChange] = []
    for move in moved:
        kind: ChangeKind
        match move, state:
            case "open", None | "withdrawn":
                kind, state, severity = "opened", "open", "ticket"
            case "open", "resolved":
                kind, state = "amended", "open"
            case "raise", "open" if severity == "ticket":
                kind, severity = "escalated", "page"
            case "again", "open" if severity == "page":
                kind = "escalated"
            case "lower", "open" if severity == "page":
                kind, severity = "amended", "ticket"
            case "resolve", "open":
                kind, state = "resolved", "resolved"
            case "withdraw", "open" | "resolved":
                kind, state = "withdrawn", "withdrawn"
            case "move", "open" | "resolved":
                kind = "amended"
            case _:
                continue
        over = T0 + 99 * S if state == "resolved" else None
        incident = replace(BASE, severity="page" if severity == "page" else "ticket", resolved_us=over)
        changes.append(IncidentChange(kind, T0, incident))
    return changes, state, severity


@example(
    [
        (["open"], True, False),
        (["withdraw"], False, False),
        (["open", "resolve"], False, False),
        (["withdraw"], True, False),
    ]
)
@given(steps)
def test_whatever_happens_a_target_can_follow_and_ends_up_knowing(
    history: list[tuple[list[str], bool, bool]],
) -> None:
    """No message comes out of turn or twice, none for a rise while pages are held; once they are due, a target knows what
    is open, of no less than its severity, and of every rise that was not taken back.
    """
    stored, receiver, state, severity = Stored(), Receiver(), None, "ticket"
    news = False
    for moved, due, acknowledged in [*history, ([], True, False)]:
        changes, state, severity = played(state, severity, moved)
        now_open = [replace(BASE, severity=severity)] if state == "open" else []
        held = {name: told for name, told in stored.told.items() if told.state == "open" and told.owed}
        seen = {name: told for name, told in stored.told.items() if name in held or changes}
        paging = replace(DUE, due=due).record(changes, seen, now_open)
        receiver.take(paging)
        stored.write(paging)
        if acknowledged:
            receiver.keys |= stored.acknowledge()
        rises = {"incident.opened", "incident.escalated"} & set(types(paging))
        news = (news or any(one.kind == "escalated" for one in changes)) and (state, severity) == ("open", "page")
        if due:
            assert (receiver.believes == "open") == (state == "open")
            assert rises or not news
            news = False
        else:
            assert not rises
        assert receiver.believes != "open" or state == "open"
    assert state != "open" or severity == "ticket" or receiver.severity == "page"
