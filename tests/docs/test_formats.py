"""The page of formats: its examples are what they are said to be."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from consumers.formats import native
from consumers.formats.choice import FORMATS
from consumers.formats.recognition import recognised
from tests.consumers.formats.native_events import RECORD_US
from tests.docs.test_deploy import ROOT

PAGE = (ROOT / "docs" / "formats.md").read_text()
_HEADINGS = [*re.finditer(r"^## .*\(([`a-z_, ]+)\)$", PAGE, re.MULTILINE), re.search(r"\Z", PAGE)]
SECTIONS = {
    heading[1]: PAGE[heading.end() : after.start()] for heading, after in pairwise(_HEADINGS) if heading and after
}


@pytest.mark.parametrize("named", SECTIONS)
def test_each_example_is_recognised_as_its_format(named: str) -> None:
    """Readers copy it."""
    example = re.search(r"```(\w+)\n(.*?)```", SECTIONS[named], re.DOTALL)
    assert example is not None
    value = bytes.fromhex(example[2]) if example[1] == "hex" else example[2].encode()
    form = recognised(value, {})
    if form is None:
        assert native.read(value, record_time_us=RECORD_US, bounds=None)
    assert f"`{form or 'native'}`" in named


def test_every_format_that_can_be_set_has_its_section() -> None:
    """And no section is of one that is gone."""
    named = {name for section in SECTIONS for name in re.findall(r"`(\w+)`", section)}
    assert set(FORMATS) - {"auto"} <= named
