"""From the settings to how Kafka clients connect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import SecretStr

from consumers.kafka import (
    BadOption,
    KafkaConnection,
    Security,
    UnusableSecurity,
    consumer_options,
    producer_options,
)
from service.errors import BadSettings
from service.settings import Settings


def kafka_connection(settings: Settings, client_id: str) -> KafkaConnection:
    """How every client of a process connects. Raises BadSettings; what files hold is looked at once, here."""
    security = Security(
        protocol=settings.kafka_security_protocol,
        ca_file=settings.kafka_ca_file,
        certificate_file=settings.kafka_certificate_file,
        key_file=settings.kafka_key_file,
        key_password=_shown(settings.kafka_key_password),
        key_password_file=settings.kafka_key_password_file,
        check_hostname=settings.kafka_check_hostname,
        mechanism=settings.kafka_sasl_mechanism,
        username=settings.kafka_sasl_username,
        password=_shown(settings.kafka_sasl_password),
        password_file=settings.kafka_sasl_password_file,
    )
    try:
        security.client_settings()
    except UnusableSecurity as error:
        raise BadSettings(f"UPHELD_KAFKA_*: {error}") from None
    return KafkaConnection(
        settings.kafka_bootstrap_servers,
        client_id=client_id,
        security=security,
        idempotent=settings.kafka_idempotence,
        rack=settings.kafka_client_rack,
        consumer_options=_options("CONSUMER", consumer_options, settings.kafka_consumer_settings),
        producer_options=_options("PRODUCER", producer_options, settings.kafka_producer_settings),
    )


def _shown(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def _options(
    whose: str, read: Callable[[Mapping[str, str]], dict[str, Any]], given: Mapping[str, str]
) -> dict[str, Any]:
    try:
        return read(given)
    except BadOption as error:
        raise BadSettings(f"UPHELD_KAFKA_{whose}_SETTINGS: {error}") from None
