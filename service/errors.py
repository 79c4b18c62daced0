"""What can go wrong in the service, and whether a retry helps.

ServiceError
├── BadSettings          a setting cannot be used: exit code 2
├── DependencyAway       Postgres, Kafka or a port is not there (retry can help): exit code 3
└── CheckFailed          a document is invalid, a promise is breached: exit code 1
"""

from __future__ import annotations

from typing import ClassVar


class ServiceError(Exception):
    """Root of what the service raises on purpose; its text is shown to people as it is."""

    exit_code: ClassVar[int] = 1
    retry_can_help: ClassVar[bool] = False


class BadSettings(ServiceError):
    """A setting or an argument cannot be used."""

    exit_code = 2


class DependencyAway(ServiceError):
    """Something that Upheld needs does not answer."""

    exit_code = 3
    retry_can_help = True


class CheckFailed(ServiceError):
    """What was asked to be checked did not pass."""
