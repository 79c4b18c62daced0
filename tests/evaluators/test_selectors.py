import json
import re
from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.selectors import LONGEST_PATTERN, LONGEST_TEXT, Matcher, Selector, SelectorError

CHECKOUT = 'http_requests{service="checkout",status=~"5.."}'


def test_a_selector_names_its_metric_and_keeps_the_rest_as_matchers() -> None:
    """`metric` lets ingest find candidates by a dictionary."""
    selector = Selector.parse(CHECKOUT)

    assert selector.text == CHECKOUT
    assert selector.metric == "http_requests"
    assert selector.matchers == (Matcher("service", "=", "checkout"), Matcher("status", "=~", "5.."))
    assert selector.pinned() == {"service": "checkout"}
    assert hash(selector) == hash(Selector.parse(CHECKOUT))


@pytest.mark.parametrize("text", ['{__name__="up",job="a"}', '{"up",job="a"}', 'up{job="a"}'])
def test_a_metric_pinned_by_its_label_is_the_metric(text: str) -> None:
    """Three ways to write the same."""
    selector = Selector.parse(text)

    assert selector.metric == "up"
    assert selector.matchers == (Matcher("job", "=", "a"),)


def test_a_selector_without_a_metric_matches_any() -> None:
    """As exclusions write it: every sample whose status is 4xx."""
    selector = Selector.parse('{status=~"4.."}')

    assert selector.metric is None
    assert selector.matches("anything", {"status": "404"})
    assert not selector.matches("anything", {"status": "500"})


def test_a_pattern_on_the_metric_name_is_applied_to_the_metric() -> None:
    """A `__name__` matcher reads the metric, never a label."""
    selector = Selector.parse('{__name__=~"http_.*"}')

    assert selector.metric is None
    assert selector.matches("http_requests", {})
    assert not selector.matches("grpc_requests", {"__name__": "http_requests"})


@pytest.mark.parametrize(
    ("matcher", "labels", "matches"),
    [
        ('status=~"5"', {"status": "500"}, False),
        ('status=~"5.."', {"status": "500"}, True),
        ('status=~"4..|5.."', {"status": "5000"}, False),
        ('region=""', {}, True),
        ('region!=""', {}, False),
        ('region!="eu"', {}, True),
        ('region=~".*"', {}, True),
        ('region=~".+"', {}, False),
        ('region!~".+"', {}, True),
        ('path=~"/a.b"', {"path": "/a\nb"}, True),
        ("code=~`\\d+`", {"code": "42"}, True),
        ('code=~"\\\\d+"', {"code": "x"}, False),
        ('say=`"hi"\n`', {"say": '"hi"\n'}, True),
        ('half=~"."', {"half": "\ud800"}, True),
    ],
)
def test_matching_is_prometheus_matching(matcher: str, labels: dict[str, str], matches: bool) -> None:
    """Patterns are anchored at both ends; a label that is missing is empty."""
    assert Selector.parse(f"m{{{matcher}}}").matches("m", labels) is matches


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("{}", "at least one non-empty matcher"),
        ("m[5m]", "range"),
        ("m offset 5m", "offset"),
        ("m offset -5m", "offset"),
        ("m @ 5", "event time"),
        ("rate(m[5m])", "functions"),
        ("(m)", "parentheses"),
        ("m > 5", "one series selector"),
        ("m + m - m", "operators"),
        ("m and n", "one series selector"),
        ("5", "one series selector"),
        ('"text"', "one series selector"),
        ('m{a="1" or b="2"}', "a\\|b"),
        ('http.requests{a="b"}', '{"http.requests"}'),
        ("http-requests", '{"http-requests"}'),
        ('m{a="b"', "not a PromQL selector"),
        ('m{a=~"("}', "illegal regex"),
        ('m{a=~"(?=x)"}', "illegal regex"),
        ('m{a=~"(a{1000}){3}"}', "RE2"),
        ("m\ud800", "not a PromQL selector"),
        ('m{a=~"' + "x" * (LONGEST_PATTERN + 1) + '"}', "too long"),
        ("m" * (LONGEST_TEXT + 1), "too long"),
        ("(" * 3000 + "m" + ")" * 900, "parentheses"),
        ("-" * 3900 + "m", "operators"),
    ],
)
def test_anything_but_a_plain_selector_is_refused_with_the_mend(text: str, said: str) -> None:
    """What is not a vector selector, or could not be evaluated in bounded time, says so."""
    with pytest.raises(SelectorError, match=said):
        Selector.parse(text)


def test_why_a_sample_does_not_match_is_said_in_words() -> None:
    """Every reason at once, missing labels told apart from wrong ones."""
    selector = Selector.parse('m{a="1",b!="2",c=~"3.",d!~"4.",e="5",f=""}')

    assert selector.mismatches("m", {"a": "1", "c": "33", "e": "5"}) == []
    assert selector.mismatches("n", {"a": "x", "b": "2", "c": "4", "d": "44", "f": "6"}) == [
        'the metric is "n", wanted "m"',
        'label a is "x", wanted "1"',
        'label b is "2", wanted anything but "2"',
        'label c is "4", wanted a match of "3."',
        'label d is "44", wanted no match of "4."',
        'label e is missing, wanted "5"',
        'label f is "6", wanted ""',
    ]
    assert Selector.parse('{__name__=~"http_.*"}').mismatches("up", {}) == [
        'the metric is "up", wanted a match of "http_.*"'
    ]


NAMES = st.sampled_from(["a", "b", "service", "le"])
VALUES = st.text(alphabet='ab1 .é\n"\\{}', max_size=3)
PATTERNS = st.sampled_from(["a.*", "", ".*", ".+", "a|b", "[ab]+1?", "(?i)A", "\\.", "a$", "^b", "x{0,2}"])
MATCHERS = st.one_of(
    st.tuples(NAMES, st.sampled_from(["=", "!="]), VALUES), st.tuples(NAMES, st.sampled_from(["=~", "!~"]), PATTERNS)
)


def naive(matchers: list[tuple[str, str, str]], labels: Mapping[str, str]) -> bool:
    """Prometheus' rules word by word, on the standard library's regular expressions."""
    for name, op, value in matchers:
        actual = labels.get(name, "")
        equal = actual == value if op in ("=", "!=") else re.fullmatch(value, actual, re.DOTALL) is not None
        if equal != (op in ("=", "=~")):
            return False
    return True


@given(
    st.lists(MATCHERS, max_size=4),
    st.sampled_from(["m", "n"]),
    st.dictionaries(NAMES, VALUES, max_size=4),
)
def test_matching_agrees_with_a_naive_matcher(
    matchers: list[tuple[str, str, str]], metric: str, labels: dict[str, str]
) -> None:
    """Any matchers, any labels; and the explanation is empty exactly when it matches."""
    inside = ",".join(f"{name}{op}{json.dumps(value, ensure_ascii=False)}" for name, op, value in matchers)
    selector = Selector.parse(f"m{{{inside}}}")

    expected = metric == "m" and naive(matchers, labels)

    assert selector.matches(metric, labels) is expected
    assert (selector.mismatches(metric, labels) == []) is expected


@given(st.one_of(st.text(), st.text(alphabet='m{}[]()=~!"\\`@,-+ offset5')))
def test_any_text_is_a_selector_or_a_named_error(text: str) -> None:
    """Nothing but SelectorError comes out, whatever is written."""
    with suppress(SelectorError):
        assert Selector.parse(text).text == text
