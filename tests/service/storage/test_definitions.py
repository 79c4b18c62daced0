"""Documents put in force, and what ingest and evaluation make of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.errors import LedgerUnavailable
from evaluators.agreements import AlertPolicy, BurnRateCondition, CalendarPeriod, RatioIndicator
from evaluators.documents import Sourced, load
from service.errors import CheckFailed, DependencyAway
from service.storage.database import create_engine
from service.storage.definitions import Applied, DefinitionsStore, InvalidDefinitions, shard_of
from service.storage.documents import UnreadableDocument, storable
from service.storage.specs import SpecsStore

SLOT_US = 10_000_000
NOW_US = 1_764_000_003_000_000  # within a slot
NEXT_US = 1_764_000_010_000_000
DAY_US = 86_400_000_000
JANUARY_US = 1_767_222_000_000_000  # 2026-01-01 in Berlin

TARGET = """\
apiVersion: upheld/v1
kind: NotificationTarget
metadata: {name: oncall}
spec: {type: webhook, url: "http://127.0.0.1:9009/hook"}
"""
POLICY = """\
apiVersion: upheld/v1
kind: AlertPolicy
metadata: {name: strict}
spec:
  conditions:
    - {burnRate: {long: 1h, short: 5m, factor: FACTOR}, severity: page}
"""
AGREEMENT = """\
apiVersion: upheld/v1
kind: Agreement
metadata: {name: NAME}
spec:
  type: SLA
  provider: {name: Example Cloud}
  customer: {name: Example Shop}
  effective: {from: FROM}
  service: checkout
  notify: [oncall]
  objectives:
    - name: availability
      indicator: {ratio: {bad: 'requests{status=~"5.."}', total: 'requests{service="checkout"}'}}
      target: TARGET
      period: {rolling: 30d}
"""


def documents(*texts: str) -> list[Sourced[Any]]:
    """The documents of some YAML, which must be valid."""
    loaded = load("---\n".join(texts))
    assert not loaded.failed, [str(problem) for problem in loaded.problems]
    return list(loaded.documents)


def agreement(name: str = "gold", *, target: str = "0.999", start: str = "2020-01-01", **changes: str) -> str:
    """An agreement's YAML; `changes` replace text."""
    written = AGREEMENT.replace("NAME", name).replace("TARGET", target).replace("FROM", start)
    for old, new in changes.items():
        assert old in written
        written = written.replace(old, new)
    return written


def policy(factor: str = "14.4") -> str:
    """An alert policy's YAML."""
    return POLICY.replace("FACTOR", factor)


@pytest.fixture
def store(engine: AsyncEngine) -> DefinitionsStore:
    """The store on a database of this test's own."""
    return DefinitionsStore(engine)


async def apply(
    store: DefinitionsStore, *texts: str, from_us: int | None = None, now_us: int = NOW_US
) -> list[Applied]:
    """Apply YAML as somebody."""
    return await store.apply(documents(*texts), by="somebody", from_us=from_us, now_us=now_us)


async def run(engine: AsyncEngine, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """The rows of one statement."""
    async with engine.begin() as connection:
        result = await connection.execute(text(statement), values)
        return [tuple(row) for row in result] if result.returns_rows else []


async def read_until(engine: AsyncEngine, event_us: int) -> None:
    """As if ingest had committed an event of that time."""
    await run(
        engine,
        "INSERT INTO partition_offsets (topic, partition, epoch, next_offset, max_event_us) VALUES ('e', 0, 0, 1, :us)",
        us=event_us,
    )


async def test_a_document_is_in_force_from_the_first_slot_after_now(store: DefinitionsStore) -> None:
    """What was measured before was measured under no promise."""
    done = await apply(store, TARGET, agreement())

    assert done == [
        Applied("NotificationTarget", "oncall", 1, changed=True, from_us=NEXT_US),
        Applied("Agreement", "gold", 1, changed=True, from_us=NEXT_US),
    ]


async def test_a_document_is_in_force_after_every_event_that_was_read(
    store: DefinitionsStore, engine: AsyncEngine
) -> None:
    """Events ahead of the clock were matched by the old definitions; they are not read again."""
    await read_until(engine, NEXT_US + 5)

    assert [each.from_us for each in await apply(store, TARGET)] == [NEXT_US + SLOT_US]


async def test_the_same_document_again_is_no_new_version(store: DefinitionsStore) -> None:
    """Nor is one that differs in comments and order only; ingest goes on undisturbed."""
    await apply(store, TARGET, agreement())
    rewritten = "# a comment\n" + agreement().replace("  type: SLA\n", "").replace("spec:\n", "spec:\n  type: SLA\n")

    done = await apply(store, TARGET, rewritten, now_us=NOW_US + DAY_US)

    assert [(each.version, each.changed, each.from_us) for each in done] == [(1, False, NEXT_US)] * 2
    assert (await store.load()).revision == 1


async def test_a_changed_document_is_the_next_version(store: DefinitionsStore) -> None:
    """Both are kept, with who applied them, and each has its time."""
    await apply(store, TARGET, agreement())
    await apply(store, agreement(target="0.99"), now_us=NOW_US + DAY_US)

    versions = await store.versions("gold")

    assert [(each.version, each.in_force_from_us, each.applied_by) for each in versions] == [
        (1, NEXT_US, "somebody"),
        (2, NEXT_US + DAY_US, "somebody"),
    ]
    assert [each.document.objectives[0].target for each in versions] == [0.999, 0.99]  # type: ignore[union-attr]
    assert versions[1].source == documents(agreement(target="0.99"))[0].source
    assert versions[1].spec["spec"]["objectives"][0]["target"] == 0.99
    assert [each.version for each in await store.agreements()] == [2]
    assert (await store.load()).revision == 2


async def test_a_first_version_may_reach_back_and_says_what_that_means(
    store: DefinitionsStore, engine: AsyncEngine
) -> None:
    """Events that were read before are not counted again."""
    await read_until(engine, NOW_US)

    target, made = await apply(store, TARGET, agreement(), from_us=NOW_US - DAY_US)

    assert target.note is None
    assert made.from_us == NEXT_US - DAY_US  # the first whole slot
    assert made.note == (
        "events up to 2025-11-24T16:00:03Z have been read already: those since 2025-11-23T16:00:10Z are not counted again"
    )


async def test_a_first_version_that_reaches_back_before_anything_was_read_needs_no_note(
    store: DefinitionsStore,
) -> None:
    """History that is yet to be sent counts."""
    assert (await apply(store, TARGET, agreement(), from_us=0))[1] == Applied(
        "Agreement", "gold", 1, changed=True, from_us=0
    )


async def test_a_version_cannot_begin_before_the_one_it_replaces(store: DefinitionsStore) -> None:
    """That would rewrite what was promised; nothing of the same call is applied."""
    await apply(store, TARGET, agreement())

    with pytest.raises(CheckFailed, match="version 1 is in force from 2025-11-24T16:00:10Z"):
        await apply(store, agreement("other"), agreement(target="0.9"), from_us=NEXT_US - SLOT_US)

    assert [each.name for each in await store.agreements()] == ["gold"]
    assert (await store.load()).revision == 1


async def test_a_document_that_is_there_twice_is_refused(store: DefinitionsStore) -> None:
    """Which of them would be in force?"""
    with pytest.raises(CheckFailed, match="oncall is there twice"):
        await apply(store, TARGET, TARGET.replace("9009", "9010"))


async def test_documents_are_checked_beside_those_in_force(store: DefinitionsStore) -> None:
    """A target that is stored need not be in the file; one that nobody knows is refused."""
    with pytest.raises(InvalidDefinitions, match="no notification target is called"):
        await apply(store, agreement())
    await apply(store, TARGET)

    assert [each.changed for each in await apply(store, agreement())] == [True]


async def test_a_changed_policy_is_checked_under_the_agreements_that_use_it(store: DefinitionsStore) -> None:
    """A factor that cannot fire there would silence them."""
    own = agreement(target="0.9", **{"      period": "      alerts: [strict]\n      period"})
    await apply(store, TARGET, policy("9"), own)

    with pytest.raises(InvalidDefinitions, match="can never fire"):
        await apply(store, policy("14.4"))


async def test_characters_that_postgres_cannot_hold_are_refused_in_words(store: DefinitionsStore) -> None:
    """A document is input like any other."""
    [target] = documents(TARGET)
    hostile = Sourced(target.document, target.source, {"spec": ["\x00"]}, "f", 1)

    with pytest.raises(CheckFailed, match="cannot be stored"):
        await store.apply([hostile], by="x", from_us=None, now_us=NOW_US)


@pytest.mark.parametrize(
    ("value", "fine"),
    [("a\x00", False), ("\ud800", False), ({"\x00": 1}, False), ([["\udfff"]], False), ({"a": ["é", 1, None]}, True)],
)
def test_storable_looks_into_everything(value: object, fine: bool) -> None:
    """Keys, values, lists."""
    assert storable(value) is fine


async def test_two_applies_at_once_make_two_versions(engine: AsyncEngine) -> None:
    """The installation's row puts them in a row."""
    await apply(DefinitionsStore(engine), TARGET)

    await asyncio.gather(
        *(apply(DefinitionsStore(engine), agreement(target=each)) for each in ("0.9", "0.99", "0.999"))
    )

    store = DefinitionsStore(engine)
    assert [each.version for each in await store.versions("gold")] == [1, 2, 3]
    assert (await store.load()).revision == 4


async def test_ingest_matches_by_every_version_in_its_own_time(store: DefinitionsStore) -> None:
    """A changed indicator is a new one; what counts alike is one rule over both times."""
    await apply(store, TARGET, agreement())
    await apply(store, agreement(target="0.99"), now_us=NOW_US + DAY_US)
    await apply(store, agreement(**{"5..": "[45].."}), now_us=NOW_US + 2 * DAY_US)

    definitions = await store.load()

    assert definitions.slot_us == SLOT_US
    assert [(rule.from_us, rule.until_us) for rule in definitions.rules] == [
        (NEXT_US, NEXT_US + 2 * DAY_US),
        (NEXT_US + 2 * DAY_US, None),
    ]
    first, second = definitions.rules
    assert first.indicator_id != second.indicator_id
    assert (first.agreement, first.objective) == ("gold", "availability")
    assert isinstance(second.indicator, RatioIndicator)


async def test_ingest_matches_within_the_effective_dates_only(store: DefinitionsStore) -> None:
    """They bound the agreement, not a version."""
    bounded = agreement(start="2026-01-01, until: 2026-02-01", **{"  notify": "  timeZone: Europe/Berlin\n  notify"})
    over = agreement("over", start="2020-01-01, until: 2021-01-01")
    await apply(store, TARGET, bounded, over)

    assert [(rule.agreement, rule.from_us, rule.until_us) for rule in (await store.load()).rules] == [
        ("gold", JANUARY_US, JANUARY_US + 31 * DAY_US)
    ]


async def test_other_exclusions_are_another_rule_of_the_same_indicator(store: DefinitionsStore) -> None:
    """Samples count by the exclusions of their own time."""
    await apply(store, TARGET, agreement())
    excluding = agreement(
        **{"  notify": "  exclusions: [{name: theirs, cause: customer, where: '{status=\"499\"}'}]\n  notify"}
    )
    await apply(store, excluding, now_us=NOW_US + DAY_US)

    first, second = (await store.load()).rules

    assert first.indicator_id == second.indicator_id
    assert (first.until_us, len(first.exclusions)) == (second.from_us, 0)
    assert [each.name for each in second.exclusions] == ["theirs"]


async def test_labels_of_groups_keep_the_order_of_their_first_definition(store: DefinitionsStore) -> None:
    """The same groups written in another order are the same series."""
    for number, labels in enumerate(("[region, zone]", "[zone, region]")):
        grouped = agreement(target=f"0.9{number}", **{"      target": f"      groupBy: {labels}\n      target"})
        await apply(store, TARGET, grouped, now_us=NOW_US + number * DAY_US)

    assert [rule.group_by for rule in (await store.load()).rules] == [("region", "zone")]


async def test_a_raised_group_bound_reaches_the_indicator(store: DefinitionsStore, engine: AsyncEngine) -> None:
    """Its row is what admission locks and reads."""
    for bound in (10, 20):
        grouped = agreement(**{"      target": f"      groupBy: [region]\n      groupBound: {bound}\n      target"})
        await apply(store, TARGET, grouped, now_us=NOW_US + bound * DAY_US)

    assert await run(engine, "SELECT group_bound FROM indicators") == [(20,)]


async def test_an_agreement_stays_on_its_shard(store: DefinitionsStore, engine: AsyncEngine) -> None:
    """All its objectives together, by its name alone."""
    await apply(store, TARGET, agreement("gold"), agreement("silver"))

    rows = await run(engine, "SELECT agreement, shard FROM indicators ORDER BY agreement")

    assert rows == [("gold", shard_of("gold", 4)), ("silver", shard_of("silver", 4))]
    assert (shard_of("gold", 4), shard_of("silver", 4), shard_of("gold", 1)) == (GOLD, SILVER, 0)


GOLD, SILVER = 0, 3  # by the hash: another one would move agreements between shards


async def test_apply_wakes_whoever_listens(store: DefinitionsStore, session: Any) -> None:
    """Ingest loads the definitions before its next commit is refused."""
    heard = asyncio.Event()

    def notified(*_: object) -> None:
        heard.set()

    await session.add_listener("upheld_definitions", notified)

    await apply(store, TARGET)

    await asyncio.wait_for(heard.wait(), 5)
    await session.remove_listener("upheld_definitions", notified)


async def test_targets_and_policies_are_read_back_as_values(store: DefinitionsStore) -> None:
    """By name, newest version."""
    await apply(store, TARGET, policy())
    await apply(store, policy("6"), now_us=NOW_US + DAY_US)

    assert {name: target.url for name, target in (await store.targets()).items()} == {
        "oncall": "http://127.0.0.1:9009/hook"
    }
    found = (await store.policies())["strict"]
    assert isinstance(found, AlertPolicy)
    assert [condition.factor for condition in found.conditions if isinstance(condition, BurnRateCondition)] == [6]
    assert [(each.kind, each.version) for each in await store.documents()] == [
        ("AlertPolicy", 2),
        ("NotificationTarget", 1),
    ]


async def test_a_stored_document_that_can_no_longer_be_read_is_named_and_can_be_replaced(
    engine: AsyncEngine, store: DefinitionsStore
) -> None:
    """After an upgrade with stricter rules: loud, with a way out."""
    await apply(store, TARGET)
    await run(engine, "UPDATE documents SET source = 'nonsense: ['")
    later = DefinitionsStore(engine)

    with pytest.raises(UnreadableDocument, match="version 1 of NotificationTarget oncall"):
        await later.targets()

    assert [each.version for each in await apply(later, TARGET.replace("9009", "9010"))] == [2]
    assert (await later.targets())["oncall"].url.endswith(":9010/hook")


async def test_a_database_that_is_away_is_said_to_be_away() -> None:
    """To people, and to the ingest worker in its own words."""
    engine = create_engine("postgresql://upheld:secret@127.0.0.1:1/none")
    store = DefinitionsStore(engine)

    with pytest.raises(LedgerUnavailable):
        await store.load()
    with pytest.raises(DependencyAway):
        await store.agreements()
    with pytest.raises(DependencyAway):
        await apply(store, TARGET)
    with pytest.raises(DependencyAway):
        await SpecsStore(engine).load(None, None)
    await engine.dispose()


# What a shard evaluates.


async def found(engine: AsyncEngine, at_us: int | None, shard: int | None = None) -> Sequence[Any]:
    """The specs at a tick."""
    return (await SpecsStore(engine).load(shard, at_us)).specs


async def test_an_ungrouped_objective_is_evaluated_from_the_start(store: DefinitionsStore, engine: AsyncEngine) -> None:
    """Its series exists before its first sample, so that silence is noticed."""
    await apply(store, TARGET, agreement(**{"      period: {rolling: 30d}": "      period: {calendar: month}"}))

    [spec] = await found(engine, NOW_US)

    assert (spec.identity.agreement, spec.identity.objective, spec.identity.service) == (
        "gold",
        "availability",
        "checkout",
    )
    assert (spec.identity.labels, spec.identity.version, spec.identity.target) == ((), 1, 0.999)
    assert spec.identity.period_kind == "calendar"
    assert spec.period == CalendarPeriod("month", "UTC")
    assert (spec.counts_from_us, spec.counts_until_us) == (NEXT_US, None)
    assert spec.notify == ("oncall",)
    assert spec.policy.conditions
    assert not spec.has_exclusions


async def test_groups_are_evaluated_once_they_are_admitted(store: DefinitionsStore, engine: AsyncEngine) -> None:
    """Labels in groupBy order, whatever order the database keeps."""
    await apply(store, TARGET, agreement(**{"      target": "      groupBy: [zone, region]\n      target"}))
    assert await found(engine, NOW_US) == ()

    await run(
        engine,
        'INSERT INTO series (indicator_id, labels, label_key) SELECT id, \'{"region": "eu", "zone": "a"}\', \'k\' '
        "FROM indicators",
    )

    [spec] = await found(engine, NOW_US)
    assert spec.identity.labels == (("zone", "a"), ("region", "eu"))


async def test_a_version_is_evaluated_from_its_own_time_on(store: DefinitionsStore, engine: AsyncEngine) -> None:
    """The evaluator asks again at the tick that it is told."""
    await apply(store, TARGET, agreement())
    await apply(store, agreement(target="0.99"), now_us=NOW_US + DAY_US)
    specs = SpecsStore(engine)

    before = await specs.load(None, NEXT_US)
    after = await specs.load(None, NEXT_US + DAY_US)
    newest = await specs.load(None, None)

    assert [spec.identity.target for spec in before.specs] == [0.999]
    assert before.changes_at_us == NEXT_US + DAY_US
    assert [spec.identity.target for spec in after.specs] == [spec.identity.target for spec in newest.specs] == [0.99]
    assert (after.changes_at_us, newest.changes_at_us, after.revision) == (None, None, 2)


async def test_slots_carry_on_over_a_new_target_but_not_over_a_new_indicator(
    store: DefinitionsStore, engine: AsyncEngine
) -> None:
    """A new indicator starts its windows anew, even if it is an old one that returns."""
    counts_from: list[int] = []
    for number, changes in enumerate(({}, {"0.999": "0.99"}, {"5..": "4.."}, {"0.999": "0.9"})):
        await apply(store, TARGET, agreement(**changes), now_us=NOW_US + number * DAY_US)
        [spec] = await found(engine, None)
        counts_from.append((spec.counts_from_us - NEXT_US) // DAY_US)

    assert counts_from == [0, 0, 2, 3]


async def test_a_version_that_was_replaced_before_it_began_is_never_evaluated(
    store: DefinitionsStore, engine: AsyncEngine
) -> None:
    """Two applies within one slot."""
    await apply(store, TARGET, agreement())
    await apply(store, agreement(**{"5..": "4.."}), now_us=NOW_US + DAY_US)
    await apply(store, agreement(target="0.99"), now_us=NOW_US + DAY_US)

    [spec] = await found(engine, NEXT_US + DAY_US)

    assert (spec.identity.version, spec.counts_from_us) == (3, NEXT_US)
    assert len((await store.load()).rules) == 1


async def test_an_objective_that_is_gone_is_evaluated_no_longer(store: DefinitionsStore, engine: AsyncEngine) -> None:
    """Its slots stay where they are."""
    await apply(store, TARGET, agreement())
    await apply(store, agreement(**{"name: availability": "name: success"}), now_us=NOW_US + DAY_US)

    assert [spec.identity.objective for spec in await found(engine, None)] == ["success"]


async def test_a_shard_is_given_its_own_agreements(store: DefinitionsStore, engine: AsyncEngine) -> None:
    """And the shard of each series that it may meet in the ledger."""
    await apply(store, TARGET, agreement("gold"), agreement("silver"))
    everything = await SpecsStore(engine).load(None, None)

    gold = await SpecsStore(engine).load(GOLD, None)

    assert [spec.identity.agreement for spec in gold.specs] == ["gold"]
    assert sorted(everything.shard_of.values()) == sorted((GOLD, SILVER))
    assert gold.shard_of == {gold.specs[0].identity.series_id: GOLD}


async def test_an_own_policy_is_resolved_as_of_the_tick(store: DefinitionsStore, engine: AsyncEngine) -> None:
    """A changed policy needs no new version of the agreement."""
    own = agreement(**{"      period": "      alerts: [strict]\n      period"})
    await apply(store, TARGET, policy("14.4"), own)
    await apply(store, policy("10"), now_us=NOW_US + DAY_US)

    factors = [
        [condition.factor for condition in (await found(engine, at_us))[0].policy.conditions]
        for at_us in (NEXT_US, NEXT_US + DAY_US)
    ]

    assert factors == [[14.4], [10]]
