"""Documents that are right, as values."""

from datetime import UTC, datetime

import pytest

from evaluators import documents
from evaluators.agreements import (
    Agreement,
    AgreementType,
    AlertPolicy,
    BudgetRemainingCondition,
    BudgetShareCondition,
    BurnRateCondition,
    CalendarPeriod,
    ExhaustionCondition,
    LabelExclusion,
    Minimum,
    NotificationTarget,
    Objective,
    Party,
    RatioIndicator,
    RollingPeriod,
    SilentCondition,
    ThresholdIndicator,
)
from evaluators.documents import InvalidDocuments
from evaluators.documents.starter import STARTER
from evaluators.durations import DAY, HOUR, MINUTE
from evaluators.selectors import Selector

AGREEMENT = """\
# the promise to the shop
apiVersion: upheld/v1
kind: Agreement
metadata: {name: checkout-gold, displayName: "Checkout, gold plan", labels: {tier: gold}, annotations: {ticket: "42"}}
spec:
  type: SLA
  provider: {name: Example Cloud, contact: "mailto:sla@example.com"}
  customer: {name: Example Shop}
  effective: {from: 2026-01-01, until: 2027-01-01T00:00:00.5+01:00}
  timeZone: Europe/Berlin
  review: {every: 90d, owner: payments-team, last: 2026-10-01}
  service: checkout
  description: What we promise.
  notify: [oncall]
  exclusions:
    - {name: not-ours, cause: customer, where: '{status=~"4.."}'}
  objectives:
    - name: availability
      displayName: Availability
      indicator: {ratio: {bad: 'http{status=~"5.."}', total: http}}
      groupBy: [region, http.route]
      groupBound: 50
      target: 0.999
      period: {rolling: 30d}
      budgetingMethod: Occurrences
      alerts: [burn-rate]
      runbook: "https://runbooks.example.com/checkout"
    - name: latency
      service: payments
      indicator: {threshold: {metric: 'latency{service="checkout"}', op: lte, value: 0.3}}
      targetPercent: 99.9
      period: {calendar: month}
      alerts: []
    - name: goodness
      indicator: {ratio: {good: 'http{ok="1"}', total: http}}
      target: 0.5
      period: {calendar: day}
"""
POLICY = """\
apiVersion: upheld/v1
kind: AlertPolicy
metadata: {name: strict}
spec:
  conditions:
    - {burnRate: {long: 1h, short: 5m, factor: 14.4}, severity: page}
    - {burnRate: {long: 6h, short: 30m, budgetShare: 0.05}, severity: page, view: experienced}
    - {silent: {after: 10m}, severity: ticket}
    - {budgetRemaining: {below: 0.1}, severity: ticket}
    - {exhaustion: {within: 3d}, severity: ticket, view: contractual}
  minimum: {events: 10}
  notify: [oncall]
"""
TARGET = """\
apiVersion: upheld/v1
kind: NotificationTarget
metadata: {name: oncall}
spec: {type: webhook, url: "http://127.0.0.1:9009/hook", secretEnv: HOOK_SECRET}
"""


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // datetime.resolution


def test_an_agreement_is_read_whole() -> None:
    """Every field, with dates in its zone."""
    loaded = documents.load(AGREEMENT, "gold.yaml")

    assert loaded.problems == ()
    assert not loaded.failed
    (sourced,) = loaded.documents
    assert sourced.document == Agreement(
        name="checkout-gold",
        display_name="Checkout, gold plan",
        type=AgreementType.SLA,
        provider=Party("Example Cloud", "mailto:sla@example.com"),
        customer=Party("Example Shop"),
        effective_from_us=us("2025-12-31T23:00+00:00"),
        effective_until_us=us("2026-12-31T23:00:00.5+00:00"),
        time_zone="Europe/Berlin",
        service="checkout",
        description="What we promise.",
        notify=("oncall",),
        exclusions=(LabelExclusion("not-ours", "customer", Selector.parse('{status=~"4.."}')),),
        objectives=(
            Objective(
                name="availability",
                display_name="Availability",
                indicator=RatioIndicator(Selector.parse("http"), bad=Selector.parse('http{status=~"5.."}')),
                target=0.999,
                period=RollingPeriod(30 * DAY),
                service=None,
                group_by=("region", "http.route"),
                group_bound=50,
                alerts=("burn-rate",),
                runbook="https://runbooks.example.com/checkout",
            ),
            Objective(
                name="latency",
                indicator=ThresholdIndicator(Selector.parse('latency{service="checkout"}'), "lte", 0.3),
                target=0.999,
                period=CalendarPeriod("month", "Europe/Berlin"),
                service="payments",
                alerts=(),
            ),
            Objective(
                name="goodness",
                indicator=RatioIndicator(Selector.parse("http"), good=Selector.parse('http{ok="1"}')),
                target=0.5,
                period=CalendarPeriod("day", "Europe/Berlin"),
                service=None,
            ),
        ),
    )


def test_an_alert_policy_is_read_whole() -> None:
    """Every condition."""
    (sourced,) = documents.load(POLICY).documents

    assert sourced.document == AlertPolicy(
        name="strict",
        conditions=(
            BurnRateCondition(HOUR, 5 * MINUTE, 14.4, "page"),
            BudgetShareCondition(6 * HOUR, 30 * MINUTE, 0.05, "page", "experienced"),
            SilentCondition(10 * MINUTE, "ticket"),
            BudgetRemainingCondition(0.1, "ticket"),
            ExhaustionCondition(3 * DAY, "ticket"),
        ),
        minimum=Minimum(10, 5),
        notify=("oncall",),
    )


def test_a_notification_target_is_read_whole() -> None:
    """And names the environment variable of its secret."""
    (sourced,) = documents.load(TARGET).documents

    assert sourced.document == NotificationTarget("oncall", "webhook", "http://127.0.0.1:9009/hook", "HOOK_SECRET")


def test_what_is_left_out_has_its_default() -> None:
    """An agreement with the least in it: every objective has a service of its own."""
    (sourced,) = documents.load("""\
apiVersion: upheld/v1
kind: Agreement
metadata: {name: least}
spec:
  type: OLA
  provider: {name: a}
  customer: {name: b}
  effective: {from: 2026-01-01}
  notify: [oncall]
  objectives:
    - {name: o, service: s, indicator: {ratio: {bad: m, total: m}}, target: 0.9, period: {rolling: 1h}}
""").documents

    agreement = sourced.document
    assert isinstance(agreement, Agreement)
    assert agreement.display_name == "least"
    assert agreement.time_zone == "UTC"
    assert agreement.effective_until_us is None
    assert agreement.service is None
    assert agreement.exclusions == ()
    assert agreement.objectives[0].alerts == ("burn-rate",)
    assert agreement.objectives[0].group_bound == 1000

    (policy,) = documents.load(
        "apiVersion: upheld/v1\nkind: AlertPolicy\nmetadata: {name: p}\n"
        "spec: {conditions: [{silent: {after: 1m}, severity: page}], minimum: {failures: 2}}"
    ).documents
    assert policy.document == AlertPolicy("p", (SilentCondition(MINUTE, "page"),), Minimum(100, 2))


def test_a_file_may_hold_several_documents_each_with_its_own_source() -> None:
    """The source of each is just its text, comments before it included, and reads back alone."""
    text = AGREEMENT + "---\n# strict one\n" + POLICY + "...\n---\n\n" + TARGET + "--- \n# nothing more\n"

    loaded = documents.load(text, "all.yaml")

    assert loaded.problems == ()
    assert [(each.kind, each.name, each.line) for each in loaded.documents] == [
        ("Agreement", "checkout-gold", 2),
        ("AlertPolicy", "strict", len(AGREEMENT.split("\n")) + 2),
        ("NotificationTarget", "oncall", text[: text.index(TARGET)].count("\n") + 1),
    ]
    assert [each.source for each in loaded.documents] == [AGREEMENT, "# strict one\n" + POLICY, TARGET]
    for each in loaded.documents:
        assert documents.read(each.source) == each.document


def test_the_spec_is_the_whole_document_as_json_able_values() -> None:
    """Dates, `NO` and `18:00` are text, as YAML 1.2 has it."""
    (sourced,) = documents.load(
        TARGET.replace("oncall}", "oncall, labels: {a: NO, b: 18:00, c: 2026-01-01}}")
    ).documents

    assert sourced.spec == {
        "apiVersion": "upheld/v1",
        "kind": "NotificationTarget",
        "metadata": {"name": "oncall", "labels": {"a": "NO", "b": "18:00", "c": "2026-01-01"}},
        "spec": {"type": "webhook", "url": "http://127.0.0.1:9009/hook", "secretEnv": "HOOK_SECRET"},
    }


def test_the_starter_is_valid_by_itself() -> None:
    """What `upheld init` writes passes `upheld validate`."""
    loaded = documents.load(STARTER, "upheld.yaml")

    assert loaded.problems == ()
    assert documents.check(loaded.documents) == ()
    assert [each.kind for each in loaded.documents] == ["Agreement", "NotificationTarget"]


def test_reading_back_what_is_no_document_is_an_error_with_its_problems() -> None:
    """A stored source that somebody changed."""
    with pytest.raises(InvalidDocuments, match=r"spec\.url: is missing") as raised:
        documents.read(TARGET.replace('url: "http://127.0.0.1:9009/hook", ', ""))
    assert [each.path for each in raised.value.problems] == ["spec.url"]
    with pytest.raises(InvalidDocuments, match="one document was expected, 2 found"):
        documents.read(TARGET + "---\n" + POLICY)


def test_what_the_starter_has_in_comments_is_valid_too() -> None:
    """Whoever takes the comment sign away, or puts another indicator in, gets an agreement that counts."""
    lines = STARTER.split("\n")
    others = [line.removeprefix("    #   ") for line in lines if line.startswith("    #   ")]
    (written,) = (line for line in lines if line.startswith("        threshold:"))
    texts = [STARTER.replace(written, f"        {other}") for other in others]
    texts.append(STARTER.replace("# budgetingMethod", "budgetingMethod").replace("# timeSlice", "timeSlice"))

    assert len(set(texts)) == 7
    for text in texts:
        loaded = documents.load(text)
        assert (loaded.problems, documents.check(loaded.documents)) == ((), ())
