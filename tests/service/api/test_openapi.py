"""The description of the API: complete, with examples, and honest about errors."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import httpx
import pytest

from service.api.objectives.models import EXAMPLE

PUBLIC = {
    "/api/v1/compliance": {"get"},
    "/api/v1/objectives": {"get"},
    "/api/v1/objectives/{agreement}/{objective}": {"get"},
    "/api/v1/objectives/{agreement}/{objective}/history": {"get"},
    "/api/v1/agreements": {"get"},
    "/api/v1/agreements/{name}": {"get", "put"},
    "/api/v1/agreements/{name}/versions": {"get"},
    "/api/v1/incidents": {"get"},
    "/api/v1/incidents/{incident_id}": {"get"},
    "/api/v1/incidents/{incident_id}/ack": {"post"},
    "/api/v1/incidents/{incident_id}/notes": {"post"},
    "/api/v1/alerts": {"get"},
    "/api/v1/restatements": {"get"},
    "/api/v1/events": {"post"},
    "/api/v1/stream": {"get"},
    "/metrics": {"get"},
    "/healthz": {"get"},
    "/readyz": {"get"},
}


@pytest.fixture
async def schema(client: httpx.AsyncClient) -> dict[str, Any]:
    """The document as served."""
    return (await client.get("/openapi.json")).json()


def test_every_call_is_described_and_no_other(schema: dict[str, Any]) -> None:
    """What later versions bring is not promised yet."""
    assert {path: set(operations) for path, operations in schema["paths"].items()} == PUBLIC


def test_every_operation_says_in_words_what_it_does(schema: dict[str, Any]) -> None:
    """A summary for the list, a description for the details, names that do not change with the paths."""
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert all(operation["summary"] and operation["description"] for operation in operations)
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    assert not any("api_v1" in one for one in ids)


def test_errors_are_problems_and_nothing_else(schema: dict[str, Any]) -> None:
    """The framework's own shape of validation errors is gone."""
    assert "HTTPValidationError" not in schema["components"]["schemas"]
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            assert "422" not in operation["responses"]
            if path.startswith("/api/"):
                assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_every_item_has_an_example(schema: dict[str, Any]) -> None:
    """A reader sees real values before any code."""
    schemas = schema["components"]["schemas"]
    shown = [name for name, model in schemas.items() if model.get("examples")]
    assert {name for name in schemas if name.endswith(("Item", "Detail")) and name not in shown} <= {"TimelineItem"}
    assert "Problem" in shown


def test_examples_have_their_fields_in_the_order_of_answers(schema: dict[str, Any]) -> None:
    """As the contract shows them, so that a reader finds them again."""
    [example] = schema["components"]["schemas"]["ObjectiveItem"]["examples"]
    assert list(example) == list(EXAMPLE)
    assert list(example["contractual"]) == list(EXAMPLE["contractual"])


def test_writes_say_that_they_take_a_token(schema: dict[str, Any]) -> None:
    """And reads do not ask for one."""
    for operations in schema["paths"].values():
        for method, operation in operations.items():
            assert ("security" in operation) == (method != "get")


async def test_the_reference_shows_every_call_without_anything_from_elsewhere(client: httpx.AsyncClient) -> None:
    """One page, no script, nothing that another host would have to serve; it works without a network."""
    page = await client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in PUBLIC:
        assert path in page.text
    assert "<script" not in page.text
    assert " src=" not in page.text
    assert "burning 14.9x over 1h" in page.text
    digest = base64.b64encode(hashlib.sha256(page.text.split("<style>")[1].split("</style>")[0].encode()).digest())
    assert digest.decode() in page.headers["content-security-policy"]
