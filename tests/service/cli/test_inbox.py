"""`upheld inbox`: a pager for one's own terminal, as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks import Webhook

from tests.acceptance.world import UPHELD
from tests.service.cli.conftest import Command

pytestmark = pytest.mark.slow  # a process each

SECRET = "whsec_dXBoZWxkLWFjY2VwdGFuY2U="
PAGE = {
    "type": "incident.opened",
    "data": {"severity": "page", "agreement": "checkout", "objective": "availability", "reason": "burning [red]14.9x"},
}


@contextmanager
def listening(*arguments: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The hook's address, and the process."""
    process = subprocess.Popen(
        [UPHELD, "inbox", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "200", **environment},
    )
    assert process.stdout is not None
    try:
        found = re.search(r"http://127\.0\.0\.1:\d+/hook", process.stdout.readline())
        assert found
        yield found[0], process
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        process.stdout.close()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline() + process.stdout.readline()


def test_a_page_is_shown_as_text_whatever_it_holds() -> None:
    """A repeat is counted, markup is not read."""
    with listening() as (address, process):
        headers = {"webhook-id": "inc_one.1.oncall"}
        assert httpx.post(address, json=PAGE, headers=headers).status_code == 204
        shown = heard(process)
        assert "incident.opened  page  checkout/availability" in shown
        assert "burning [red]14.9x" in shown
        httpx.post(address, json=PAGE, headers=headers)
        assert "delivered 2 times" in heard(process)


def test_with_a_secret_only_signed_pages_are_taken() -> None:
    """As a careful receiver does."""
    body = json.dumps(PAGE)
    with listening("--secret-env", "HOOK_SECRET", HOOK_SECRET=SECRET) as (address, process):
        assert httpx.post(address, content=body, headers={"webhook-id": "a"}).status_code == 401
        at = datetime.now(UTC)
        signature = Webhook(SECRET).sign("b", at, body)
        headers = {"webhook-id": "b", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
        assert httpx.post(address, content=body, headers=headers).status_code == 204
        assert "signature verified" in heard(process)


def test_what_is_no_page_or_too_large_is_refused() -> None:
    """And nothing is shown of it."""
    with listening() as (address, _):
        assert httpx.post(address, content=b"[]").status_code == 401
        assert httpx.post(address, content=b"x" * 300_000).status_code == 413


def test_a_secret_that_is_not_set_is_wrong_use(upheld: Command) -> None:
    """Better than to refuse every page."""
    done = upheld("inbox", "--secret-env", "NO_SUCH_SECRET")
    assert (done.code, "NO_SUCH_SECRET is not set" in done.err) == (2, True)
