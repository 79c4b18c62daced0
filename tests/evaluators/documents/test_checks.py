"""What documents say about each other."""

import pytest

from evaluators import documents
from evaluators.agreements import AlertPolicy, SilentCondition
from evaluators.documents import Known
from evaluators.durations import MINUTE

AGREEMENT = """\
apiVersion: upheld/v1
kind: Agreement
metadata: {name: gold}
spec:
  type: SLA
  provider: {name: a}
  customer: {name: b}
  effective: {from: 2026-01-01}
  service: checkout
  notify: [oncall]
  objectives:
    - name: availability
      indicator: {ratio: {bad: 'http{status=~"5.."}', total: 'http{service="checkout"}'}}
      groupBy: [region]
      target: 0.9
      period: {rolling: 30d}
      alerts: [burn-rate, strict]
---
apiVersion: upheld/v1
kind: AlertPolicy
metadata: {name: strict}
spec:
  conditions:
    - {silent: {after: 5m}, severity: page}
    - {burnRate: {long: 1h, short: 5m, factor: 9.9}, severity: page}
---
apiVersion: upheld/v1
kind: NotificationTarget
metadata: {name: oncall}
spec: {type: alertmanager, url: "http://127.0.0.1:9093"}
"""
ALERTS = "spec.objectives[0].alerts"


def checked(text: str, known: Known | None = None) -> list[str]:
    loaded = documents.load(text, "f")
    assert loaded.problems == ()
    problems = documents.check(loaded.documents) if known is None else documents.check(loaded.documents, known)
    return [f"{each.level} {each}" for each in problems]


def test_documents_that_agree_have_no_problems() -> None:
    """Every name is known, every alert can fire and reaches somebody."""
    assert checked(AGREEMENT) == []


@pytest.mark.parametrize(
    ("old", "new", "place", "said"),
    [
        ("[oncall]", "[oncal]", "error f:10:12: spec.notify[0]", 'called "oncal" (did you mean oncall?)'),
        ("[oncall]", "[zzz]", "error f:10:12: spec.notify[0]", "add a document of kind NotificationTarget called zzz"),
        ("[oncall]", "[]", "error f:12:7: spec.objectives[0]", "reach no target (name one under notify"),
        (", strict]", ", strickt]", f"error f:17:27: {ALERTS}[1]", "did you mean strict?"),
        (", strict]", ", zzzzzz]", f"error f:17:27: {ALERTS}[1]", "burn-rate is built in"),
        (
            "factor: 9.9",
            "factor: 10",
            f"error f:17:27: {ALERTS}[1]",
            'condition 2 of "strict" does not suit this objective',
        ),
        ("factor: 9.9", "budgetShare: 0.001", f"error f:17:27: {ALERTS}[1]", "is below 1"),
        ("severity: page}\n---", "severity: page}\n  notify: [zzz]\n---", "error f:26:12: spec.notify[0]", '"zzz"'),
        (
            "severity: page}\n---",
            "severity: page}\n  minimum: {events: 1}\n---",
            f"warning f:17:15: {ALERTS}",
            "different minimums",
        ),
        (
            "groupBy: [region]",
            "groupBy: [service]",
            "warning f:14:17: spec.objectives[0].groupBy[0]",
            'always "checkout"',
        ),
    ],
)
def test_what_documents_disagree_on_is_found_where_it_is_written(old: str, new: str, place: str, said: str) -> None:
    """Names, factors, targets; oddities as warnings."""
    assert old in AGREEMENT

    (problem,) = checked(AGREEMENT.replace(old, new, 1))

    assert problem.startswith(f"{place}: ")
    assert said in problem


def test_a_policy_with_targets_of_its_own_makes_up_for_the_agreements() -> None:
    """An agreement may name nobody if its policies do."""
    text = AGREEMENT.replace("[oncall]", "[]", 1).replace("burn-rate, ", "")

    assert checked(text.replace("severity: page}\n---", "severity: page}\n  notify: [oncall]\n---")) == []


def test_a_threshold_objective_is_checked_like_a_ratio() -> None:
    """Its metric's selector is the one that pins labels."""
    indicator = "{threshold: {metric: 'latency{service=\"checkout\"}', op: lt, value: 1}}"
    lines = [f"      indicator: {indicator}" if "ratio" in each else each for each in AGREEMENT.split("\n")]

    assert checked("\n".join(lines)) == []
    assert len(checked("\n".join(lines).replace("[region]", "[region, service]"))) == 1


def test_what_is_in_force_already_counts_as_known() -> None:
    """`apply` of one file does not ask for the others again; the file's own documents replace what is in force."""
    agreement = AGREEMENT.partition("---\n")[0]
    strict = AlertPolicy("strict", (SilentCondition(MINUTE, "page"),))

    assert len(checked(agreement)) == 2
    assert checked(agreement, Known(policies={"strict": strict}, targets=frozenset({"oncall"}))) == []
    never = AGREEMENT.replace("9.9", "10")
    assert len(checked(never, Known(policies={"strict": strict}))) == 1


def test_two_documents_of_one_kind_and_name_are_refused() -> None:
    """The message says where the first is; a policy may have an agreement's name."""
    target = AGREEMENT.rpartition("---\n")[2]
    twice = AGREEMENT + "---\n" + target

    assert checked(twice) == [
        'error f:34:18: metadata.name: a second NotificationTarget is called "oncall" (the first is at f:27)'
    ]
    assert checked(AGREEMENT.replace("name: strict", "name: gold").replace(", strict]", ", gold]")) == []
