"""The webhook and Alertmanager channels against real HTTP receivers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from evaluators.agreements import NotificationTarget
from service.alerting.channels import alertmanager, responses
from service.alerting.channels.alertmanager import AlertmanagerChannel, alerts
from service.alerting.channels.webhook import WebhookChannel, signing_key
from service.alerting.inbox import Inbox
from service.alerting.ports import Notification, Outcome, Rejected, Retry, Sent
from service.errors import BadSettings
from tests.service.alerting.receiver import Receiver, answer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def now_us() -> int:
    return int(datetime.now(UTC).timestamp() * 1e6)


def page(kind: str = "incident.opened", severity: str = "page", **more: Any) -> dict[str, Any]:
    data = {
        "id": "inc_abc",
        "severity": severity,
        "agreement": "checkout-gold",
        "objective": "availability",
        "service": "checkout",
        "group": {"region": "eu"},
        "started_at": "2026-11-23T15:40:10Z",
        "reason": "burning 14.9x over 1h",
        "runbook": "https://runbooks.example.com/checkout",
        "url": "http://127.0.0.1:8080/incidents/inc_abc",
        **more,
    }
    return {"type": kind, "timestamp": "2026-11-23T15:41:27Z", "data": data}


def notification(kind: str = "incident.opened", **more: Any) -> Notification:
    return Notification(1, "inc_abc.1.oncall", "inc_abc", kind, "oncall", page(kind, **more), 0)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


async def sent_by_webhook(receiver: Receiver, environment: dict[str, str], secret_env: str | None = "HOOK") -> Outcome:
    target = NotificationTarget("oncall", "webhook", receiver.url, secret_env)
    async with httpx.AsyncClient() as client:
        return await WebhookChannel(client, environment, now_us).send(target, notification())


async def test_a_webhook_arrives_signed_with_the_idempotency_key_as_its_id(receiver: Receiver) -> None:
    """The receiver can verify body, id and time with the shared secret."""
    assert await sent_by_webhook(receiver, {"HOOK": SECRET}) == Sent()
    (request,) = receiver.requests
    assert request.headers["webhook-id"] == "inc_abc.1.oncall"
    assert Webhook(SECRET).verify(request.body, request.headers) == page()


async def test_a_target_without_a_secret_is_sent_unsigned(receiver: Receiver) -> None:
    """No signature header rather than a false one."""
    assert await sent_by_webhook(receiver, {}, None) == Sent()
    assert "webhook-signature" not in receiver.requests[0].headers


async def test_a_missing_secret_holds_the_page_back_and_names_the_variable(receiver: Receiver) -> None:
    """An unsigned page to somebody who expects a signature would be thrown away there."""
    outcome = await sent_by_webhook(receiver, {})
    assert outcome == Retry("environment variable HOOK is not set")
    assert not receiver.requests


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (answer(204), Sent()),
        (answer(500), Retry("HTTP 500")),
        (answer(404), Retry("HTTP 404")),
        (answer(429, "retry-after: 17"), Retry("HTTP 429", 17.0)),
        (answer(503, "retry-after: Wed, 21 Oct 2026 07:28:00 GMT"), Retry("HTTP 503")),
        (answer(410), Rejected("HTTP 410")),
        (answer(413), Rejected("HTTP 413")),
        (b"not http at all\r\n\r\n", Retry("RemoteProtocolError while sending")),
        (b"", Retry("RemoteProtocolError while sending")),
    ],
)
async def test_the_status_line_decides_what_happens_next(receiver: Receiver, raw: bytes, expected: Outcome) -> None:
    """Taken, worth a retry, or hopeless."""
    receiver.answers = [raw]
    assert await sent_by_webhook(receiver, {"HOOK": SECRET}) == expected


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 400, 401, 403, 405, 415, 422, 501])
async def test_an_answer_from_whoever_stands_in_for_the_receiver_loses_no_page(receiver: Receiver, status: int) -> None:
    """A login page, or a proxy's own error, while the receiver is mended."""
    receiver.answers = [answer(status, "location: http://example.com/login")]
    outcome = await sent_by_webhook(receiver, {"HOOK": SECRET})
    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith(f"HTTP {status}")
    assert len(receiver.requests) == 1


async def test_a_receiver_that_hangs_is_given_up_within_the_bound(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim must never be held for ever."""
    monkeypatch.setattr(responses, "WHOLE_SEND_S", 0.05)
    receiver.answers = [None]
    assert await sent_by_webhook(receiver, {"HOOK": SECRET}) == Retry("no answer in time")


async def test_an_answer_without_end_is_not_read(receiver: Receiver) -> None:
    """A receiver that answers with gigabytes costs a status line only."""
    receiver.answers = [b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n" + b"x" * 65536]
    assert await sent_by_webhook(receiver, {"HOOK": SECRET}) == Sent()


async def test_nobody_listening_is_worth_a_retry() -> None:
    """A restart at the other end must not lose the page."""
    target = NotificationTarget("oncall", "webhook", "http://127.0.0.1:1/hook")
    async with httpx.AsyncClient() as client:
        outcome = await WebhookChannel(client, {}, now_us).send(target, notification())
    assert outcome == Retry("ConnectError while sending")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999999/", "http://[::1", "ftp://example.com/", "http:///hook", "http://xn--a/"]
)
async def test_an_unusable_url_waits_for_the_target_to_be_corrected(url: str) -> None:
    """The next `apply` may mend it; until then nothing raises."""
    target = NotificationTarget("oncall", "webhook", url)
    async with httpx.AsyncClient() as client:
        assert await WebhookChannel(client, {}, now_us).send(target, notification()) == Retry(
            "the target's URL cannot be used"
        )


def test_a_secret_is_base64_after_its_prefix_and_plain_text_otherwise() -> None:
    """What people paste from a receiver's console works, whichever kind it is."""
    assert signing_key("whsec_aGVsbG8=") == b"hello"
    assert signing_key("whsec_not base64!") == b"whsec_not base64!"
    assert signing_key("plain") == b"plain"
    assert signing_key("whsec_\u00fc") == "whsec_\u00fc".encode()
    assert signing_key("\udcff") == b"\xff"


async def test_a_secret_without_a_key_holds_the_page_back(receiver: Receiver) -> None:
    """As after `whsec_$NOT_SET`: the variable is named, and the inbox says what is wrong."""
    assert await sent_by_webhook(receiver, {"HOOK": "whsec_"}) == Retry("environment variable HOOK holds no key")
    assert not receiver.requests
    with pytest.raises(BadSettings, match="no key"):
        Inbox("whsec_", now_us)


async def test_alertmanager_gets_the_alert_with_what_routes_need(receiver: Receiver) -> None:
    """Path, labels and annotations as its API v2 wants them."""
    target = NotificationTarget("am", "alertmanager", f"http://127.0.0.1:{receiver.port}/")
    async with httpx.AsyncClient() as client:
        assert await AlertmanagerChannel(client, now_us).send(target, notification()) == Sent()
    (request,) = receiver.requests
    (alert,) = json.loads(request.body)
    assert request.path == alertmanager.PATH
    assert alert["labels"] == {
        "alertname": "UpheldIncident",
        "agreement": "checkout-gold",
        "objective": "availability",
        "service": "checkout",
        "severity": "page",
        "incident": "inc_abc",
        "group_region": "eu",
    }
    assert alert["annotations"]["description"] == "burning 14.9x over 1h"
    assert alert["generatorURL"] == "http://127.0.0.1:8080/incidents/inc_abc"


async def test_an_acknowledgement_is_not_posted_to_alertmanager(receiver: Receiver) -> None:
    """It has no counterpart there."""
    target = NotificationTarget("am", "alertmanager", f"http://127.0.0.1:{receiver.port}")
    async with httpx.AsyncClient() as client:
        channel = AlertmanagerChannel(client, now_us)
        assert await channel.send(target, notification("incident.acknowledged")) == Sent()
    assert not receiver.requests


def test_raising_the_severity_ends_the_lower_alert() -> None:
    """Severity is a label, so the escalated incident is another alert."""
    now = datetime(2026, 11, 23, 15, 50, tzinfo=UTC)
    fired, ended = alerts("incident.escalated", page()["data"], now)
    assert (fired["labels"]["severity"], fired["endsAt"] > now.isoformat()) == ("page", True)
    assert (ended["labels"]["severity"], ended["endsAt"] < now.isoformat()) == ("ticket", True)


@pytest.mark.parametrize("severity", ["page", "ticket"])
@pytest.mark.parametrize("over", ["incident.resolved", "incident.withdrawn"])
def test_what_is_over_ends_every_severity_that_may_have_fired(over: str, severity: str) -> None:
    """A page that late data made a ticket since must not keep firing at Alertmanager."""
    now = datetime(2026, 11, 23, 15, 50, tzinfo=UTC)
    ended = alerts(over, page(severity=severity)["data"], now)
    assert [alert["labels"]["severity"] for alert in ended] == ["page", "ticket"]
    assert all(alert["endsAt"] < now.isoformat() for alert in ended)


@pytest.mark.parametrize(
    ("started", "resolved", "end"),
    [
        ("2026-11-23T15:40:10Z", "2026-11-23T15:45:00Z", "2026-11-23T15:45:00+00:00"),
        ("2026-11-23T15:40:10Z", "2026-11-23T15:49:55Z", "2026-11-23T15:49:00+00:00"),
        ("2026-11-23T15:40:10Z", None, "2026-11-23T15:49:00+00:00"),
        ("2026-11-23T15:49:50Z", "2026-11-23T15:49:55Z", "2026-11-23T15:49:50+00:00"),
    ],
)
def test_an_end_is_past_by_any_clock_and_never_before_its_start(started: str, resolved: str | None, end: str) -> None:
    """Alertmanager takes an end that is ahead of its clock as still firing, and refuses one before the start."""
    data = page(started_at=started, resolved_at=resolved)["data"]
    ended = alerts("incident.resolved", data, datetime(2026, 11, 23, 15, 50, tzinfo=UTC))
    assert {alert["endsAt"] for alert in ended} == {end}


def test_two_incidents_of_one_objective_are_two_alerts() -> None:
    """One that is withdrawn may arrive after the one that replaces it, and must not end it."""
    now = datetime(2026, 11, 23, 15, 50, tzinfo=UTC)
    gone = alerts("incident.withdrawn", page(id="inc_old")["data"], now)
    (fired,) = alerts("incident.opened", page(id="inc_new")["data"], now)
    assert fired["labels"] not in [alert["labels"] for alert in gone]


def test_group_labels_that_alertmanager_would_refuse_are_made_to_fit() -> None:
    """One bad label name would make it refuse the whole post."""
    data = page(group={"k8s.cluster/name": "a", "empty": ""}, service=None, runbook=None, url=None)["data"]
    (alert,) = alerts("incident.opened", data, datetime(2026, 11, 23, tzinfo=UTC))
    assert alert["labels"]["group_k8s_cluster_name"] == "a"
    assert "group_empty" not in alert["labels"]
    assert "service" not in alert["labels"]
    assert "generatorURL" not in alert


async def test_the_inbox_takes_a_signed_page_once_and_counts_repeats(receiver: Receiver) -> None:
    """It honours the idempotency key, as a good receiver does."""
    inbox = Inbox(SECRET, now_us)
    await sent_by_webhook(receiver, {"HOOK": SECRET})
    (request,) = receiver.requests
    assert inbox.take(request.body, request.headers) is not None
    again = inbox.take(request.body, request.headers)
    assert again is not None
    assert again.deliveries == 2
    assert [(one.type, one.data["id"]) for one in inbox.received()] == [("incident.opened", "inc_abc")]


@pytest.mark.parametrize(
    "change", [{"webhook-signature": "v1,AAAA"}, {"webhook-signature": "junk"}, {"webhook-id": ""}]
)
async def test_the_inbox_refuses_what_is_not_signed_by_its_secret(receiver: Receiver, change: dict[str, str]) -> None:
    """A forged page leaves no trace."""
    inbox = Inbox(SECRET, now_us)
    await sent_by_webhook(receiver, {"HOOK": SECRET})
    (request,) = receiver.requests
    assert inbox.take(request.body, {**request.headers, **change}) is None
    assert inbox.take(b"\xff\xfe", request.headers) is None
    assert not inbox.received()


async def test_the_inbox_keeps_a_bounded_number(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo left running for a week stays small."""
    monkeypatch.setattr("service.alerting.inbox.KEEP", 1)
    inbox = Inbox(SECRET, now_us)
    target = NotificationTarget("oncall", "webhook", receiver.url, "HOOK")
    async with httpx.AsyncClient() as client:
        channel = WebhookChannel(client, {"HOOK": SECRET}, now_us)
        for key in ("a", "b"):
            await channel.send(target, Notification(1, key, "inc", "incident.opened", "oncall", page(), 0))
    for request in receiver.requests:
        inbox.take(request.body, request.headers)
    assert [one.id for one in inbox.received()] == ["b"]
