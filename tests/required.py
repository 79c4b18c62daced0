"""What a run of the tests may not skip, as UPHELD_REQUIRE says."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import pytest

from service.devstack.apache_kafka import ApacheKafkaUnavailable

T = TypeVar("T")

REQUIRED = os.environ.get("UPHELD_REQUIRE", "")


def kafka_or_skip(start: Callable[[], T]) -> T:
    """What `start` gives. Skips where there is no Apache Kafka to be had, unless UPHELD_REQUIRE names kafka."""
    try:
        return start()
    except ApacheKafkaUnavailable as reason:
        if "kafka" in REQUIRED:
            pytest.fail(f"UPHELD_REQUIRE asks for Apache Kafka: {reason}")
        pytest.skip(f"no Apache Kafka: {reason}")
