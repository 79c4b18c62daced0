"""The page of indicators: its examples are valid, and it leaves none out."""

from __future__ import annotations

import re
from itertools import pairwise
from textwrap import indent
from typing import get_args

import pytest

from evaluators import documents
from evaluators.agreements import Agreement, Budgeting, Indicator
from tests.docs.test_deploy import ROOT

PAGE = (ROOT / "docs" / "indicators.md").read_text()
_HEADINGS = [*re.finditer(r"^#+ (.*)$", PAGE, re.MULTILINE), re.search(r"\Z", PAGE)]
SECTIONS = {
    heading[1].strip("`"): PAGE[heading.end() : after.start()]
    for heading, after in pairwise(_HEADINGS)
    if heading and after and heading[1].startswith("`")
}
HEAD = """\
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
"""
TARGET = """\
---
apiVersion: upheld/v1
kind: NotificationTarget
metadata: {name: oncall}
spec: {type: alertmanager, url: "http://127.0.0.1:9093"}
"""


def kind(value: type) -> str:
    return value.__name__.removesuffix("Indicator")


def test_every_indicator_and_method_has_its_section() -> None:
    """And no section is of one that is gone; the method of those who say nothing is in the table."""
    named = {*(kind(each).lower() for each in get_args(Indicator)), *(each.__name__ for each in get_args(Budgeting))}

    assert set(SECTIONS) == named - {"Occurrences"}
    assert "| `Occurrences` |" in PAGE


@pytest.mark.parametrize("name", SECTIONS)
def test_each_example_is_valid_and_of_its_section(name: str) -> None:
    """Readers copy it; with the built-in policy it draws no warning."""
    (example,) = re.findall(r"```yaml\n(.*?)```", SECTIONS[name], re.DOTALL)

    loaded = documents.load(HEAD + indent(example, "    ") + TARGET)

    assert loaded.problems == ()
    assert documents.check(loaded.documents) == ()
    agreement = loaded.documents[0].document
    assert isinstance(agreement, Agreement)
    (objective,) = agreement.objectives
    assert name in {kind(type(objective.indicator)).lower(), kind(type(objective.budgeting))}


def test_links_within_the_page_lead_somewhere() -> None:
    """To a heading."""
    headings = {heading[1].strip("`").lower().replace(" ", "-") for heading in _HEADINGS if heading and heading[0]}

    assert set(re.findall(r"\(#([^)]*)\)", PAGE)) <= headings
