"""Agreements over HTTP: read, and put in force as the command would."""

from __future__ import annotations

import httpx
import pytest

from evaluators.documents import load
from evaluators.documents.starter import STARTER
from service.api.agreements.models import APPLIED_EXAMPLE, DETAIL_EXAMPLE, AgreementDetail, AppliedItem
from tests.service.api.world import NOW_US, Row, World

AGREEMENT = """\
apiVersion: upheld/v1
kind: Agreement
metadata: {name: checkout-gold, displayName: "Checkout, gold plan"}
spec:
  type: SLA
  provider: {name: Example Cloud}
  customer: {name: Example Shop}
  effective: {from: 2026-01-01}
  service: checkout
  notify: [oncall]
  objectives:
    - name: availability
      indicator: {ratio: {bad: 'requests{status=~"5.."}', total: 'requests'}}
      target: 0.999
      period: {rolling: 30d}
---
apiVersion: upheld/v1
kind: NotificationTarget
metadata: {name: oncall}
spec: {type: webhook, url: "http://127.0.0.1:9009/hook"}
"""
YAML = {"Content-Type": "application/yaml"}


async def put(client: httpx.AsyncClient, body: str, name: str = "checkout-gold", query: str = "") -> httpx.Response:
    return await client.put(f"/api/v1/agreements/{name}{query}", content=body, headers=YAML)


async def test_an_agreement_put_is_there_with_its_document(client: httpx.AsyncClient, world: World) -> None:
    """201 for a new one; then listed, told, and in the compliance list before it was ever evaluated."""
    answer = await put(client, AGREEMENT)
    assert answer.status_code == 201
    assert [(item["kind"], item["version"], item["changed"]) for item in answer.json()["items"]] == [
        ("Agreement", 1, True),
        ("NotificationTarget", 1, True),
    ]
    told = (await client.get("/api/v1/agreements/checkout-gold")).json()
    assert list(told) == list(DETAIL_EXAMPLE)
    assert (told["display_name"], told["type"], told["provider"], told["customer"]) == (
        "Checkout, gold plan",
        "SLA",
        "Example Cloud",
        "Example Shop",
    )
    assert told["applied_by"] == "local"
    assert told["document"]["spec"]["objectives"][0]["target"] == 0.999
    assert "displayName" in told["source"]
    assert told["compliance"]["compliant"] is None
    [listed] = (await client.get("/api/v1/agreements")).json()["items"]
    assert listed == {key: value for key, value in told.items() if key not in {"document", "source"}}
    assert (await client.get("/api/v1/objectives/checkout-gold/availability")).json()["items"] == []
    await world.stand(Row("checkout-gold", verdict="breached"))
    assert (await client.get("/api/v1/agreements/checkout-gold")).json()["compliance"]["compliant"] is False


async def test_the_same_again_is_no_new_version_and_a_change_is(client: httpx.AsyncClient) -> None:
    """Every version stays, newest first."""
    await put(client, AGREEMENT)
    same = await put(client, AGREEMENT)
    assert same.status_code == 200
    assert not any(item["changed"] for item in same.json()["items"])
    changed = await put(client, AGREEMENT.replace("0.999", "0.995"))
    assert changed.status_code == 200
    assert [item["changed"] for item in changed.json()["items"]] == [True, False]
    versions = (await client.get("/api/v1/agreements/checkout-gold/versions")).json()["items"]
    assert [version["version"] for version in versions] == [2, 1]
    assert versions[1]["document"]["spec"]["objectives"][0]["target"] == 0.999
    page = (await client.get("/api/v1/agreements/checkout-gold/versions?limit=1")).json()
    rest = await client.get("/api/v1/agreements/checkout-gold/versions", params={"cursor": page["next"]})
    assert [version["version"] for version in rest.json()["items"]] == [1]


async def test_every_fault_of_a_document_is_named_with_its_line_and_mend(client: httpx.AsyncClient) -> None:
    """And nothing of the file is applied."""
    answer = await put(client, AGREEMENT.replace("target: 0.999", "target: 99.9").replace("type: SLA", "type: SLO"))
    assert answer.status_code == 422
    errors = {error["field"]: error["detail"] for error in answer.json()["errors"]}
    assert set(errors) == {"spec.type", "spec.objectives[0].target"}
    assert "line 14" in errors["spec.objectives[0].target"]
    assert "0.999" in errors["spec.objectives[0].target"]
    assert (await client.get("/api/v1/agreements")).json()["items"] == []


async def test_alerts_that_reach_nobody_are_refused(client: httpx.AsyncClient) -> None:
    """What stands between documents is checked beside what is in force."""
    alone = AGREEMENT.split("---", maxsplit=1)[0]
    assert (await put(client, alone)).status_code == 422
    assert (await put(client, AGREEMENT)).status_code == 201
    assert (await put(client, alone.replace("0.999", "0.99"))).status_code == 200


async def test_the_name_in_the_address_is_the_agreements(client: httpx.AsyncClient) -> None:
    """One agreement a request, and the one that was meant."""
    assert (await put(client, AGREEMENT, name="other")).status_code == 422
    assert (await put(client, AGREEMENT.split("---")[1])).status_code == 422


async def test_a_version_begins_when_it_is_said_to_and_not_before_the_last_one(client: httpx.AsyncClient) -> None:
    """409 for a time that would rewrite what another version counted."""
    assert (await put(client, AGREEMENT, query="?from=2026-11-01")).json()["items"][0][
        "in_force_from"
    ] == "2026-11-01T00:00:00Z"
    assert (await put(client, AGREEMENT.replace("0.999", "0.99"), query="?from=2026-10-01")).status_code == 409
    assert (await put(client, AGREEMENT.replace("0.999", "0.99"), query="?from=soon")).status_code == 422
    later = await put(client, AGREEMENT.replace("0.999", "0.99"))
    assert later.json()["items"][0]["in_force_from"] == "2026-11-26T15:30:20Z"
    assert NOW_US % 10_000_000 != 0


@pytest.mark.parametrize("body", ["", "{", "a: &a [*a, *a]", "\t", "--- 1\n--- 2", "\x00"])
async def test_any_text_is_refused_in_words(client: httpx.AsyncClient, body: str) -> None:
    """422, never 500."""
    assert (await put(client, body)).status_code == 422


async def test_bytes_that_are_no_text_are_refused(client: httpx.AsyncClient) -> None:
    """A file in another encoding."""
    answer = await client.put("/api/v1/agreements/x", content=b"\xff\xfe", headers=YAML)
    assert answer.status_code == 422


async def test_an_agreement_that_is_not_there_is_404(client: httpx.AsyncClient) -> None:
    """Told and versions alike."""
    assert (await client.get("/api/v1/agreements/none")).status_code == 404
    assert (await client.get("/api/v1/agreements/none/versions")).status_code == 404


async def test_what_init_writes_can_be_put(client: httpx.AsyncClient) -> None:
    """The first thing that somebody will try."""
    [name] = [each.name for each in load(STARTER).documents if each.kind == "Agreement"]
    assert (await put(client, STARTER, name=name)).status_code == 201


def test_the_documented_examples_fit_the_models() -> None:
    """What the reference shows is what the models take."""
    assert AgreementDetail.model_validate(DETAIL_EXAMPLE).model_dump(mode="json") == DETAIL_EXAMPLE
    assert AppliedItem.model_validate(APPLIED_EXAMPLE).model_dump(mode="json") == APPLIED_EXAMPLE
