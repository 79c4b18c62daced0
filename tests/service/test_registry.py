"""The schema registry over HTTP: what it answers, what of that is a record's fault, and that nobody learns the login."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from consumers.errors import RegistryUnavailable
from consumers.formats.avro_schema import Schema
from consumers.formats.unusable import Unusable
from service import registry as module
from service.errors import BadSettings
from service.registry import SchemaRegistry
from service.settings import load
from service.wiring.registry import schema_registry
from tests.consumers.formats.avro_records import EVENT
from tests.contracts.registries import small_registry

SECRET = "hunter2"
LOGIN = {"schema_registry_username": "key", "schema_registry_password": SECRET}


@pytest.fixture(autouse=True)
def _no_outside_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UPHELD_CONFIG", str(tmp_path / "upheld.yaml"))


@asynccontextmanager
async def asked(url: str, **settings: Any) -> AsyncGenerator[SchemaRegistry, None]:
    """A registry as the settings have it."""
    async with schema_registry(load(schema_registry_url=url, **settings)) as made:
        assert made is not None
        yield made


async def away(url: str, **settings: Any) -> str:
    """Why it cannot be asked now."""
    async with asked(url, **settings) as registry:
        with pytest.raises(RegistryUnavailable) as caught:
            await registry.schema(7)
    assert SECRET not in str(caught.value)
    return str(caught.value)


async def refused(url: str) -> Unusable:
    async with asked(url) as registry:
        with pytest.raises(Unusable) as caught:
            await registry.schema(7)
    return caught.value


@pytest.mark.parametrize("path", ["", "/", "/apis/ccompat/v7"])
async def test_the_api_may_begin_at_a_path(path: str) -> None:
    """Apicurio's does."""
    with small_registry(path) as small:
        small.add(7, EVENT)
        async with asked(small.url) as registry:
            assert json.loads((await registry.schema(7))[-1]) == EVENT
    assert small.asked == [f"{path.rstrip('/')}/schemas/ids/7"]
    assert small.agents == {"upheld"}


async def test_without_an_address_there_is_none() -> None:
    """The default."""
    async with schema_registry(load()) as registry:
        assert registry is None


async def test_schemas_that_one_refers_to_come_along() -> None:
    """Each once, and theirs too."""
    kind = {"type": "enum", "name": "Kind", "symbols": ["event"]}
    labels = {"type": "record", "name": "Labels", "fields": [{"name": "kind", "type": "Kind"}]}
    main = {
        "type": "record",
        "name": "Main",
        "fields": [{"name": "labels", "type": "Labels"}, {"name": "kind", "type": "Kind"}],
    }
    of_kind = {"name": "Kind", "subject": "a/kind", "version": 3}
    with small_registry() as small:
        small.add(7, main, references=[{"name": "Labels", "subject": "labels", "version": 1}, of_kind])
        small.versions["labels", 1] = {"schema": json.dumps(labels), "references": [of_kind]}
        small.versions["a/kind", 3] = {"schema": json.dumps(kind)}
        async with asked(small.url) as registry:
            texts = await registry.schema(7)

    assert Schema.of(texts).decoded(b"\0\0") == {"labels": {"kind": "event"}, "kind": "event"}
    assert sorted(small.asked) == ["/schemas/ids/7", "/subjects/a%2Fkind/versions/3", "/subjects/labels/versions/1"]


async def test_a_schema_that_refers_to_what_is_not_there_or_to_too_much_is_refused() -> None:
    """In words; a circle ends by itself."""
    with small_registry() as small:
        small.add(7, EVENT, references=[{"subject": "absent", "version": 1}])
        assert "refers to one that the registry has not" in (await refused(small.url)).reason

        small.add(7, EVENT, references=[{"subject": str(number), "version": 1} for number in range(60)])
        small.versions = {(str(number), 1): {"schema": '"string"'} for number in range(60)}
        assert "needs more than 50 others" in (await refused(small.url)).reason

        small.add(7, EVENT, references=[{"subject": "1", "version": 1}])
        small.versions["1", 1] = {"schema": '"string"', "references": [{"subject": "1", "version": 1}]}
        async with asked(small.url) as registry:
            assert len(await registry.schema(7)) == 2


@pytest.mark.parametrize("kind", ["PROTOBUF", "JSON"])
async def test_schemas_of_other_types_are_refused(kind: str) -> None:
    """Nothing of ours would mend that."""
    with small_registry() as small:
        small.ids[7] = {"schema": 'syntax = "proto3";', "schemaType": kind}
        found = await refused(small.url)
    assert (found.code, "AVRO" in found.reason) == ("unsupported_schema", True)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, b"", "status 503"),
        (429, b"", "status 429"),
        (302, b"", "status 302"),
        (401, b"", "refuses our login"),
        (403, b'{"error_code": 40301}', "refuses our login"),
        (404, b"<html>", "no schema registry (status 404)"),
        (404, b'{"error_code": 404}', "no schema registry (status 404)"),
        (404, b'{"error_code": "40403"}', "no schema registry (status 404)"),
        (200, b"<html>", "what answers is no schema registry"),
        (200, b'{"schema": 7}', "what answers is no schema registry"),
        (200, b'{"schema": "\xff"}', "what answers is no schema registry"),
        (200, b"[" * 100_000, "what answers is no schema registry"),
    ],
)
async def test_what_is_no_word_on_the_schema_is_waited_for(status: int, body: bytes, said: str) -> None:
    """A proxy's page, a wrong path, a login that has expired: no reason to refuse a record."""
    with small_registry() as small:
        small.answer = (status, body)
        assert said in await away(small.url, **LOGIN)


async def test_an_answer_is_read_up_to_a_bound() -> None:
    """However much comes."""
    with small_registry() as small:
        small.answer = (200, b" " * (module.LARGEST_ANSWER + 1))
        assert "larger than" in (await refused(small.url)).reason


async def test_who_does_not_answer_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once where nobody listens, after a bounded time where nobody speaks."""
    assert "ConnectError" in await away("http://127.0.0.1:1", **LOGIN)
    monkeypatch.setattr(module, "ANSWER_WITHIN_S", 0.05)
    with small_registry() as small:
        small.wait_s = 0.3
        assert "no answer within 0.05 s" in await away(small.url)


async def test_a_login_comes_from_the_settings_or_from_a_file_that_may_change(tmp_path: Path) -> None:
    """Without the line end that editors put behind it."""
    file = tmp_path / "password"
    file.write_text("old\n")
    with small_registry() as small:
        small.add(7, EVENT)
        small.login = ("key", SECRET)
        async with asked(small.url, **LOGIN) as registry:
            assert await registry.schema(7)
        async with asked(small.url, schema_registry_username="key", schema_registry_password_file=file) as registry:
            with pytest.raises(RegistryUnavailable, match="refuses our login"):
                await registry.schema(7)
            file.write_text(f"{SECRET}\n")
            assert await registry.schema(7)
            file.unlink()
            with pytest.raises(RegistryUnavailable, match="cannot be read from"):
                await registry.schema(7)


async def test_a_certificate_is_trusted_by_the_authorities_of_a_file(tmp_path: Path) -> None:
    """Otherwise by the system's, which do not know this one."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with small_registry(certificate=context) as small:
        small.add(7, EVENT)
        async with asked(small.url, schema_registry_ca_file=tmp_path / "ca.pem") as registry:
            assert await registry.schema(7)
        assert "CERTIFICATE_VERIFY_FAILED" in await away(small.url)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("ca_file", None, "No such file"),
        ("ca_file", b"hunter2", "not in PEM format"),
        ("password_file", None, "No such file"),
        ("password_file", b"\xff", "not text"),
    ],
)
async def test_a_file_that_cannot_be_used_is_a_bad_setting(
    name: str, content: bytes | None, said: str, tmp_path: Path
) -> None:
    """Said at the start, with the name of the setting and of the file."""
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    settings = {f"schema_registry_{name}": file, **({"schema_registry_username": "key"} if "pass" in name else {})}
    with pytest.raises(BadSettings) as caught:
        async with asked("https://registry", **settings):
            pass
    assert f"UPHELD_SCHEMA_REGISTRY_{name.upper()}: {file}" in str(caught.value)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"format": "avro"}, "the format avro needs UPHELD_SCHEMA_REGISTRY_URL"),
        ({"topic_formats": "events=avro"}, "the format avro needs UPHELD_SCHEMA_REGISTRY_URL"),
        (LOGIN, "USERNAME and UPHELD_SCHEMA_REGISTRY_PASSWORD would be in vain without UPHELD_SCHEMA_REGISTRY_URL"),
        ({"schema_registry_url": "registry:8081"}, "must be http:// or https://"),
        ({"schema_registry_url": "http://key:hunter2@registry"}, "a login goes into UPHELD_SCHEMA_REGISTRY_USERNAME"),
        ({"schema_registry_url": "http://a:1,http://b:1"}, "must be http:// or https://"),
        ({"schema_registry_url": "http://registry?x=hunter2"}, "must be http:// or https://"),
        ({"schema_registry_url": "http://r", "schema_registry_ca_file": "ca.pem"}, "CA_FILE would be in vain"),
        ({"schema_registry_url": "http://r", **LOGIN, "schema_registry_password_file": "p"}, "not both"),
        ({"schema_registry_url": "http://r", "schema_registry_password": SECRET}, "REGISTRY_USERNAME is needed"),
        ({"schema_registry_url": "http://r", "schema_registry_username": "key"}, "REGISTRY_PASSWORD_FILE is needed"),
    ],
)
def test_what_is_half_given_or_given_in_vain_is_refused(flags: dict[str, Any], said: str) -> None:
    """And no value is repeated that may be a secret."""
    with pytest.raises(BadSettings) as caught:
        load(**flags)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://r:8081", "https://psrc-1.eu.example.com/", "http://[::1]:8081/apis/ccompat/v7"]
)
def test_usual_addresses_are_taken(url: str) -> None:
    """And no password shows where settings are printed."""
    settings = load(schema_registry_url=url, **LOGIN)
    assert settings.schema_registry_url == url
    assert SECRET not in repr(settings)
