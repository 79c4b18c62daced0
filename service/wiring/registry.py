"""From the settings to the schema registry."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from service.errors import BadSettings
from service.registry import SchemaRegistry, connected
from service.settings import Settings


@asynccontextmanager
async def schema_registry(settings: Settings) -> AsyncGenerator[SchemaRegistry | None, None]:
    """None where there is none. Raises BadSettings; what files hold is looked at once, here."""
    url = settings.schema_registry_url
    if url is None:
        yield None
        return
    _check_password_file(settings)
    password = settings.schema_registry_password
    async with connected(
        url,
        _context(settings),
        username=settings.schema_registry_username,
        password=password.get_secret_value() if password is not None else None,
        password_file=settings.schema_registry_password_file,
    ) as registry:
        yield registry


def _context(settings: Settings) -> ssl.SSLContext:
    file = settings.schema_registry_ca_file
    try:
        return ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        raise BadSettings(f"UPHELD_SCHEMA_REGISTRY_CA_FILE: {file} is not in PEM format") from None
    except OSError as error:
        raise BadSettings(f"UPHELD_SCHEMA_REGISTRY_CA_FILE: {file} cannot be read: {error.strerror}") from None


def _check_password_file(settings: Settings) -> None:
    file = settings.schema_registry_password_file
    if file is None:
        return
    try:
        file.read_text("utf-8")
    except UnicodeDecodeError:
        raise BadSettings(f"UPHELD_SCHEMA_REGISTRY_PASSWORD_FILE: {file} is not text") from None
    except OSError as error:
        raise BadSettings(f"UPHELD_SCHEMA_REGISTRY_PASSWORD_FILE: {file} cannot be read: {error.strerror}") from None
