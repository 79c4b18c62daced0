"""Numbers and times as people read them."""

from __future__ import annotations

import math
from fractions import Fraction
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.web import figures
from tests.service.web.catalogue import NOW
from tests.service.web.markup import PLAIN

RATIOS = st.floats(-5, 5, allow_nan=False)
DAY = 86_400_000_000


def plain(text: str) -> str:
    """With ordinary signs."""
    return text.translate(PLAIN)


def value_of(text: str) -> Fraction:
    """The number that a percentage says."""
    return Fraction(plain(text).removesuffix(" %").replace(",", "")) / 100


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (figures.percent(0.9995), "99.95 %"),
        (figures.percent(0.9999999), "99.99 %"),
        (figures.percent(1.0), "100.00 %"),
        (figures.percent(None), "-"),
        (figures.percent(math.nan), "-"),
        (figures.target(0.999), "99.9 %"),
        (figures.target(0.9), "90 %"),
        (figures.target(0.99995), "99.995 %"),
        (figures.share(0.298), "29.8 %"),
        (figures.share(-0.7021), "-70.3 %"),
        (figures.share(1.0), "100 %"),
        (figures.share(-12.5), "-1,250 %"),
        (figures.overspent(-0.7021), "70.3 %"),
        (figures.overspent(-12.004), "1,201 %"),
        (figures.burn(14.9), "14.9x"),
        (figures.burn(0.04), "0.04x"),
        (figures.burn(0.0), "0x"),
        (figures.burn(0.001), "<0.01x"),
        (figures.burn(1204.4), "1,204x"),
        (figures.burn(None), "-"),
        (figures.count(1204), "1,204"),
        (figures.count(997.7), "997.7"),
        (figures.count(12345.6), "12,346"),
        (figures.span(2_592_000_000), "43 min 12 s"),
        (figures.window("5m"), "5m"),
        (figures.window("1008m"), "16h 48m"),
        (figures.window("120m"), "2h"),
        (figures.window("70s"), "1m 10s"),
        (figures.window("36h"), "36h"),
        (figures.window("odd"), "odd"),
        (figures.window(""), ""),
    ],
)
def test_numbers_are_written_as_people_write_them(said: str, expected: str) -> None:
    """One line a rule."""
    assert plain(said) == expected


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.sampled_from((0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999)))
def test_an_sli_is_never_shown_better_than_counted(bad: int, extra: int, target: float) -> None:
    """Not up to 100 %, and not across the target."""
    total = bad + extra
    sli = (total - bad) / total
    shown = value_of(figures.percent(sli, figures.decimals_for(target)))
    assert shown <= Fraction(repr(sli))
    assert Fraction(repr(sli)) - shown < Fraction(1, 10 ** (figures.decimals_for(target) + 2))
    if sli < target:
        assert shown < Fraction(repr(target))


@given(RATIOS)
def test_a_share_of_the_budget_is_rounded_against_its_owner(ratio: float) -> None:
    """What is left is never more than it is."""
    assert value_of(figures.share(ratio)) <= Fraction(repr(ratio))
    if ratio < 0:
        assert value_of(figures.overspent(ratio)) >= -Fraction(repr(ratio))


@given(
    st.lists(st.tuples(st.text("ab_c", min_size=1), st.text(max_size=20)), max_size=4),
    st.text(min_size=1),
    st.text(min_size=1),
)
def test_the_address_of_a_group_leads_back_to_it(labels: list[tuple[str, str]], agreement: str, objective: str) -> None:
    """Whatever its names and labels are."""
    parts = urlsplit(figures.objective_url(agreement, objective, labels))
    query = parse_qsl(parts.query, keep_blank_values=True, encoding="utf-8")
    assert [tuple(value.split("=", 1)) for name, value in query if name == "group"] == labels
    assert len(parts.path.split("/")) == 5


@pytest.mark.parametrize(
    ("us", "expected"),
    [(NOW, "15:50:10"), (NOW - DAY, "22 Nov 15:50"), (NOW - 400 * DAY, "19 Oct 2025 15:50")],
)
def test_a_moment_says_just_enough_beside_now(us: int, expected: str) -> None:
    """The time today, the date this year, else the year too."""
    assert plain(figures.short(us, NOW)) == expected


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " data:text/html,x",
        "//evil.example.com",
        "http:",
        "http://[",
        "",
        None,
        "mailto:a@b",
    ],
)
def test_only_the_web_is_linked_to(url: str | None) -> None:
    """A runbook comes from a document, and a page from the network."""
    assert figures.safe_link(url) is None


def test_a_runbook_on_the_web_is_linked_to() -> None:
    """As it is written."""
    assert figures.safe_link("https://runbooks.example.com/a?b#c") == "https://runbooks.example.com/a?b#c"


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"breached": True}, "the promise was broken: nothing of the error budget is left"),
        ({"silent": "10m"}, "no samples for 10m"),
        ({"budgetRemaining": 0.1, "view": "experienced"}, "error budget left below 10.0 %, experienced view"),
        ({"exhaustion": "3d", "view": "contractual"}, "error budget gone within 3d, contractual view"),
        ({"odd": 1}, "odd 1"),
        ({}, ""),
    ],
)
def test_conditions_are_put_in_words(condition: dict[str, object], words: str) -> None:
    """Each kind that an incident can carry."""
    assert plain(figures.condition_words(condition)) == words
