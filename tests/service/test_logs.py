"""Logs hold sentences and key-values, and never a secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from service import logs

SECRET = "hunter2-in-a-local"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def failing() -> None:
    password = SECRET
    if password:
        raise RuntimeError("broken")


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_shows_no_local_variables(style: str) -> None:
    """Among them are database addresses with passwords, tokens and payloads."""
    out = io.StringIO()
    logs.configure(style, "info", out)
    log = structlog.get_logger("test")
    try:
        failing()
    except RuntimeError:
        log.exception("It broke.", action="test")
        logging.getLogger("other").exception("It broke there.")
    assert "broken" in out.getvalue()
    assert SECRET not in out.getvalue()


def test_json_lines_carry_sentence_level_time_and_values() -> None:
    """One object a line, for machines."""
    out = io.StringIO()
    logs.configure("json", "info", out)
    structlog.get_logger("test").info("Partitions assigned.", action="assigned", count=3)
    structlog.get_logger("test").debug("Not this one.")
    (line,) = out.getvalue().splitlines()
    read = json.loads(line)
    assert (read["event"], read["level"], read["action"], read["count"]) == (
        "Partitions assigned.",
        "info",
        "assigned",
        3,
    )
    assert "timestamp" in read
