"""YAML 1.2 as bounded trees."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators import documents
from evaluators.documents import tree
from evaluators.documents.tree import LONGEST_TEXT, Mapping, Place, Scalar, Sequence


def value(text: str) -> Any:
    raw = tree.grow(text)
    assert raw.stopped is None, raw.stopped
    (document,) = raw.documents
    assert document.faults == ()
    assert document.root is not None
    return tree.plain(document.root)


def stopped(text: str) -> str:
    raw = tree.grow(text)
    assert raw.stopped is not None
    assert raw.stopped.place >= (1, 1)
    return f"{raw.stopped.message} ({raw.stopped.mend})"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("18:00", "18:00"),
        ("2026-01-01", "2026-01-01"),
        ("1_000", "1_000"),
        ("~", None),
        ("null", None),
        ("true", True),
        ("FALSE", False),
        ("010", 10),
        ("-7", -7),
        ("0o17", 15),
        ("0xff", 255),
        ("0.50", 0.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        (".inf", ".inf"),
        ("-.nan", "-.nan"),
        ("1e999", "1e999"),
        ("9" * 30, 1e30),
        ("9" * 5000, "9" * 5000),
        ("'5'", "5"),
        ('"true"', "true"),
        ("!!str 5", "5"),
    ],
)
def test_scalars_follow_the_core_schema(written: str, meant: object) -> None:
    """Only what JSON can hold: infinities stay text."""
    read = value(f"[{written}]")

    assert read == [meant]
    assert type(read[0]) is type(meant)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc.- é", min_size=1), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(JSON, min_size=1, max_size=3))
def test_what_is_written_as_json_is_read_as_it_was(written: object) -> None:
    """YAML 1.2 holds JSON."""
    assert value(json.dumps(written, ensure_ascii=False)) == written


def test_every_value_knows_where_it_stands() -> None:
    """Lines and columns from 1; a value that is not there stands at its key."""
    (document,) = tree.grow("a:\n  - 1\n  - {b: , c: x}\n").documents

    root = document.root
    assert isinstance(root, Mapping)
    items = root.entries["a"].node
    assert isinstance(items, Sequence)
    assert items.place == Place(2, 3)
    inner = items.items[1]
    assert isinstance(inner, Mapping)
    assert inner.in_braces
    assert inner.entries["b"].node == Scalar(Place(3, 6), None, "")
    assert inner.entries["c"].node == Scalar(Place(3, 14), "x", "x")


def test_an_alias_is_what_its_anchor_was() -> None:
    """For people who repeat themselves; merge keys are no part of YAML 1.2."""
    assert value("a: &x {b: [1]}\nc: *x\n") == {"a": {"b": [1]}, "c": {"b": [1]}}
    assert value("a: &x {b: 1}\nc: {<<: *x}\n")["c"] == {"<<": {"b": 1}}


def test_anchors_do_not_reach_the_next_document() -> None:
    """Each document stands for itself, so that its source reads back alone."""
    assert "no anchor" in stopped("a: &x 1\n---\nb: *x\n")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "more than 100,000 values once its aliases are followed"),
        ("[" * 100_000, "nested more than 32 deep"),
        ("a: " + "{a: " * 40 + "1", "nested more than 32 deep"),
        ("- " * 100 + "1", "nested more than 32 deep"),
        ("x" * (LONGEST_TEXT + 1), "the text is too long: 1,000,001 characters"),
        ("a: &a [*a]", "no anchor"),
        ("a: *b", "put text that begins with * in quotes"),
        ("a: b: c", "check the indentation"),
        ("\tx: 1", "not tabs"),
        ("a: [1", "not closed"),
        ('"a', "a quote is not closed"),
        ("a: @b", "in quotes"),
        ('a: "\\UFFFFFFFF"', "this is not YAML"),
        ("a: \x07", "this is not YAML"),
        ("%YAML 3.0\n---\na: 1", "this is not YAML"),
    ],
)
def test_what_cannot_be_read_stops_with_a_place_and_a_reason(text: str, said: str) -> None:
    """In bounded time and memory, whatever was meant by it."""
    assert said in stopped(text)


def test_values_are_counted_without_aliases_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a bound that is reached sooner: a hundred thousand take their time."""
    monkeypatch.setattr(tree, "MOST_NODES", 100)

    assert tree.grow("[" + "1," * 98 + "1]").stopped is None
    assert "more than 100 values" in stopped("[" + "1," * 120 + "]")


def test_documents_before_a_syntax_error_are_kept() -> None:
    """One broken document at the end of a file does not hide the others' problems."""
    raw = tree.grow("a: 1\n---\nb: [\n")

    assert [each.source for each in raw.documents] == ["a: 1\n"]
    assert raw.stopped is not None


def test_a_byte_order_mark_is_no_content() -> None:
    """Some editors write one."""
    assert value("\ufeffa: 1") == {"a": 1}


def test_directives_belong_to_no_documents_source() -> None:
    """A source is read back alone, without them."""
    raw = tree.grow("%YAML 1.2\n---\na: 1\n...\n%YAML 1.2\n---\nb: 2\n")

    assert [each.source for each in raw.documents] == ["a: 1\n", "b: 2\n"]


GIVEN_UP = st.one_of(
    st.sampled_from(list(" \n\t-:,?%~1{}[]'\"|>\\#aé\x00\x85\ud800\ufeff")),
    st.sampled_from(["  ", "- ", "&x", "*x", "!!", "<<", "---\n", "...\n", "# c\n", "\r\n", "kind: Agreement\n"]),
    st.sampled_from(
        ["apiVersion: upheld/v1\n", "metadata: {name: a}\n", "spec: {", "spec:\n", "  objectives:\n", "    - "]
    ),
)


@given(st.one_of(st.text(), st.lists(GIVEN_UP, max_size=40).map("".join)))
def test_any_text_gives_documents_and_problems_and_never_an_exception(text: str) -> None:
    """What is valid reads back from its own source; the rest has a problem with a place."""
    loaded = documents.load(text, "f")

    for problem in loaded.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert str(problem)
    for sourced in loaded.documents:
        assert documents.read(sourced.source) == sourced.document
        json.dumps(sourced.spec, allow_nan=False)


KEYS = [
    "name",
    "type",
    "provider",
    "customer",
    "effective",
    "from",
    "until",
    "objectives",
    "indicator",
    "ratio",
    "bad",
    "good",
    "total",
    "threshold",
    "metric",
    "op",
    "value",
    "target",
    "targetPercent",
    "period",
    "rolling",
    "url",
    "calendar",
    "alerts",
    "notify",
    "exclusions",
    "where",
    "start",
    "conditions",
    "burnRate",
    "long",
    "short",
    "factor",
    "budgetShare",
    "silent",
    "after",
    "severity",
    "view",
    "minimum",
    "events",
    "review",
    "every",
    "x",
]
SHAPES = st.recursive(
    st.sampled_from(["", "a", "30d", 0.9, 99.9, -1, True, {}, [], None, "m{a='b'}", "http://x", "2026-01-01", "lte"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)


@given(st.sampled_from(documents.KINDS), SHAPES, SHAPES)
def test_any_shape_under_a_known_kind_is_a_document_or_has_a_problem(kind: str, metadata: object, spec: object) -> None:
    """Wrong kinds of values in every place."""
    text = json.dumps({"apiVersion": "upheld/v1", "kind": kind, "metadata": metadata, "spec": spec})

    loaded = documents.load(text)

    assert bool(loaded.documents) is not loaded.failed
