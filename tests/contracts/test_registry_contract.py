"""What ingest relies on of a schema registry: the same of the real one as of the one in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from consumers.errors import RegistryUnavailable
from consumers.formats.unusable import Unusable
from consumers.schemas import Registry
from service.registry import connected
from tests.consumers.formats.avro_records import EVENT, MemoryRegistry
from tests.contracts.registries import small_registry

Break = Callable[[], None]


@pytest.fixture(params=["memory", "http"])
async def registry(request: Any) -> AsyncGenerator[tuple[Registry, Break]]:
    """Holds EVENT by the id 7; the second value takes it away."""
    if request.param == "memory":
        memory = MemoryRegistry({7: EVENT})
        yield memory, lambda: setattr(memory, "fault", RegistryUnavailable("status 503"))
        return
    with small_registry() as small:
        small.add(7, EVENT)
        async with connected(small.url, verify=True) as made:
            yield made, lambda: setattr(small, "answer", (503, b""))


async def test_a_schema_is_given_as_its_text(registry: tuple[Registry, Break]) -> None:
    """The last of the texts, here the only one."""
    (text,) = await registry[0].schema(7)

    assert json.loads(text) == EVENT


async def test_an_id_without_a_schema_is_a_reason_to_refuse_the_record(registry: tuple[Registry, Break]) -> None:
    """For good."""
    with pytest.raises(Unusable) as refused:
        await registry[0].schema(8)
    assert refused.value.code == "unknown_schema"


async def test_a_registry_that_is_away_is_worth_a_retry(registry: tuple[Registry, Break]) -> None:
    """It is no fault of the record."""
    made, take_away = registry
    take_away()
    with pytest.raises(RegistryUnavailable):
        await made.schema(7)
