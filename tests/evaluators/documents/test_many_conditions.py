"""More conditions than can be evaluated are refused: those beyond would be left out without a word."""

from __future__ import annotations

from evaluators import documents
from evaluators.policies import MOST_CONDITIONS

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
      target: 0.9
      period: {rolling: 30d}
      alerts: [one, two]
---
apiVersion: upheld/v1
kind: NotificationTarget
metadata: {name: oncall}
spec: {type: alertmanager, url: "http://127.0.0.1:9093"}
"""


def policy(name: str, afters: range) -> str:
    """A ticket for each of so many minutes of silence."""
    lines = "\n".join(f"    - {{silent: {{after: {minutes}m}}, severity: ticket}}" for minutes in afters)
    return f"apiVersion: upheld/v1\nkind: AlertPolicy\nmetadata: {{name: {name}}}\nspec:\n  conditions:\n{lines}\n---\n"


def checked(first: range, second: range) -> list[str]:
    loaded = documents.load(policy("one", first) + policy("two", second) + AGREEMENT, "f")
    assert loaded.problems == ()
    return [str(each) for each in documents.check(loaded.documents)]


def test_a_policy_with_too_many_conditions_is_refused_where_they_stand() -> None:
    """All that a policy says is evaluated, or it is not accepted."""
    assert documents.load(policy("one", range(1, MOST_CONDITIONS + 1)), "f").problems == ()
    [problem] = documents.load(policy("one", range(1, MOST_CONDITIONS + 2)), "f").problems
    assert (problem.line, problem.path) == (6, "spec.conditions")
    assert problem.message == "holds 57 conditions, of which 56 could be evaluated"


def test_policies_that_have_too_many_together_are_refused_where_they_are_named() -> None:
    """Each of them is fine by itself."""
    [problem] = checked(range(1, 41), range(41, 58))
    assert "spec.objectives[0].alerts: its alert policies have 57 conditions: at most 56 are evaluated" in problem


def test_a_condition_that_two_policies_share_counts_once() -> None:
    """So it is evaluated."""
    assert checked(range(1, 41), range(40, 57)) == []
