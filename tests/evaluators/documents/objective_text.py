"""Agreements of one objective, as text."""

from __future__ import annotations

from evaluators import documents
from evaluators.agreements import Agreement, Objective

RATIO = "{ratio: {bad: 'http{status=~\"5..\"}', total: http}}"
TARGET = """\
---
apiVersion: upheld/v1
kind: NotificationTarget
metadata: {name: oncall}
spec: {type: alertmanager, url: "http://127.0.0.1:9093"}
"""


def agreement(
    indicator: str = RATIO, *more: str, target: str = "0.99", period: str = "rolling: 30d", alerts: str = "[]"
) -> str:
    """`more` are further lines of the objective, which begin at line 17."""
    lines = "".join(f"      {line}\n" for line in more)
    return f"""\
apiVersion: upheld/v1
kind: Agreement
metadata: {{name: gold}}
spec:
  type: SLA
  provider: {{name: a}}
  customer: {{name: b}}
  effective: {{from: 2026-01-01}}
  service: checkout
  notify: [oncall]
  objectives:
    - name: o
      indicator: {indicator}
      target: {target}
      period: {{{period}}}
      alerts: {alerts}
{lines}"""


def objective(text: str) -> Objective:
    """The only objective of a valid agreement."""
    loaded = documents.load(text)
    assert loaded.problems == ()
    (sourced,) = loaded.documents
    assert isinstance(sourced.document, Agreement)
    (found,) = sourced.document.objectives
    return found


def problems(text: str) -> list[str]:
    """What is wrong, each as `line: path in the objective: message (mend)`."""
    found = documents.load(text, "f").problems
    return [f"{each.line}: {each.path.rpartition('objectives[0].')[2]}: {each.message} ({each.mend})" for each in found]


def warnings(text: str) -> list[str]:
    """What checks say about a valid agreement, likewise."""
    loaded = documents.load(text + TARGET, "f")
    assert loaded.problems == ()
    found = documents.check(loaded.documents)
    assert {each.level for each in found} <= {"warning"}
    return [f"{each.line}: {each.path.rpartition('objectives[0].')[2]}: {each.message} ({each.mend})" for each in found]
