"""Which topics are read, by name and by pattern."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from consumers.topics import DEAD_LETTERS, BadPattern, TopicChoice

NAMES = st.text(st.sampled_from("abz019._-"), min_size=1, max_size=8)  # Kafka's letters, and few
ODD_NAMES = NAMES | st.text(min_size=1, max_size=8)
PATTERNS = st.sampled_from(
    ["a", "a|b", "a.*", ".*", r"[ab]+", r"(a)\1", r"(?P<x>a|b)(?P=x)", "(?i:A)", "", "(?!a).*", "a$"]
)


@given(
    names=st.lists(ODD_NAMES, max_size=3).map(tuple),
    pattern=st.none() | PATTERNS | NAMES.map(re.escape),
    topic=ODD_NAMES | NAMES.map(lambda name: name + DEAD_LETTERS) | NAMES.map(lambda name: f"__{name}"),
)
@example(names=("a\n",), pattern=None, topic="a")
@example(names=("a",), pattern=None, topic="a\n")
@example(names=(), pattern="a", topic="a\n")
@example(names=("a|b",), pattern="c", topic="a")
def test_a_topic_is_read_if_it_is_named_or_if_its_whole_name_matches(
    names: tuple[str, ...], pattern: str | None, topic: str
) -> None:
    """The broker's client asks by `re.match` with the expression; both say what the words say."""
    choice = TopicChoice(names, pattern)
    hidden = topic.startswith("__") or topic.endswith(DEAD_LETTERS)
    chosen = pattern is not None and not hidden and re.fullmatch(pattern, topic) is not None

    assert choice.matches(topic) == (topic in names or chosen)
    assert (re.match(choice.expression, topic) is not None) == choice.matches(topic)
    assert choice.found_among([topic, topic, *names]) == ({topic} if chosen and topic not in names else set())


@given(names=st.lists(ODD_NAMES, min_size=1, max_size=5).map(tuple), pattern=st.none() | PATTERNS)
@example(names=("__consumer_offsets", "events.dlq"), pattern="orders")
@example(names=("(", "a.b", "*", "\\", "a b", "#"), pattern=None)
def test_a_topic_that_is_named_is_read_however_odd_its_name(names: tuple[str, ...], pattern: str | None) -> None:
    """Internal ones and dead letters too: somebody wants them."""
    choice = TopicChoice(names, pattern)

    assert all(choice.matches(name) for name in names)
    assert choice.found_among(names) == frozenset()


@given(topic=NAMES.map(lambda name: name + DEAD_LETTERS) | NAMES.map(lambda name: f"__{name}"), pattern=PATTERNS)
def test_no_pattern_reads_dead_letters_or_internal_topics(topic: str, pattern: str) -> None:
    """What was rejected once would be rejected again, into a topic that matches again."""
    assert not TopicChoice(("events",), pattern).matches(topic)
    assert not TopicChoice((), re.escape(topic)).matches(topic)
    assert TopicChoice((topic,), pattern).matches(topic)


@given(name=NAMES, other=NAMES)
def test_a_name_is_no_pattern(name: str, other: str) -> None:
    """The dot in `orders.eu` is a dot."""
    assume(name != other)

    assert not TopicChoice((name,)).matches(other)


@given(topic=st.text(max_size=8))
def test_where_nothing_is_chosen_nothing_is_read(topic: str) -> None:
    """An empty expression would match all there is."""
    assert not TopicChoice(()).matches(topic)


def test_topics_are_found_by_their_whole_names() -> None:
    """New topics appear; their dead letters follow them and are left alone."""
    choice = TopicChoice(("events",), r"orders\.[a-z]+|payments")
    topics = [
        "events",
        "orders.eu",
        "orders.eu.dlq",
        "orders.EU",
        "payments",
        "payments.dlq",
        "my-payments",
        "__payments",
    ]

    assert choice.found_among(topics) == {"orders.eu", "payments"}


@pytest.mark.parametrize("pattern", ["(", "a\\", "*", "[a", "(?P<x>a)(?P<x>b)", r"\1", "a)|(b", "(?x:a # b)"])
def test_what_is_no_regular_expression_is_refused(pattern: str) -> None:
    """At once, and not when the first topic is looked at."""
    with pytest.raises(BadPattern, match=r"^is no regular expression: \w+"):
        TopicChoice(("events",), pattern)


@pytest.mark.parametrize("pattern", ["a{99999999999}", "(" * 3_000 + ")" * 3_000])
def test_an_expression_beyond_the_bounds_of_python_is_refused(pattern: str) -> None:
    """Python has other errors for these."""
    with pytest.raises(BadPattern, match=r"^is no regular expression: \w+"):
        TopicChoice((), pattern)


@pytest.mark.parametrize("pattern", ["(?i)orders", "(?x) orders # all of them", "(?u)orders"])
@pytest.mark.parametrize("names", [(), ("events",)])
def test_flags_for_the_whole_expression_are_refused_with_what_to_write(names: tuple[str, ...], pattern: str) -> None:
    """They would hold for the names as well."""
    with pytest.raises(BadPattern, match=re.escape("write (?i:...) instead of (?i)...")):
        TopicChoice(names, pattern)

    assert TopicChoice(names, "(?i:orders)").matches("ORDERS")
