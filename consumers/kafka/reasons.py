"""Why a cluster is not reached, or refuses, in words that say what to do.

aiokafka keeps to itself why it cannot connect, and retries without end: so whoever wants to know connects by hand.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Collection, Iterator
from typing import Any, Final, cast

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    InvalidSessionTimeoutError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from consumers.errors import LogUnavailable
from consumers.kafka.connection import KafkaConnection

CONNECT_S: Final = 5.0
_CLOSE_S: Final = 1.0
DENIED: Final = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
_PORT: Final = 9092

_EXPIRED: Final = 10
_SELF_SIGNED: Final = (18, 19)
_UNKNOWN_ISSUER: Final = (2, 20, 21)
_OTHER_NAME: Final = (62, 64)

Address = tuple[str, int]


async def why_not(connection: KafkaConnection) -> str | None:
    """None where a bootstrap server, and every broker that it names, lets us in; otherwise why not.

    Credentials and certificates are read anew.
    """
    try:
        settings = connection.client_settings()
    except LogUnavailable as error:
        return str(error)
    reasons: list[str] = []
    for address in _addresses(settings.pop("bootstrap_servers")):
        reason, brokers = await _asked(address, connection, settings)
        if reason is None:
            named = [each for each in brokers if each != address]
            asked = await asyncio.gather(*(_asked(each, connection, settings) for each in named))
            return next((f"a broker that the cluster names: {reason}" for reason, _ in asked if reason), None)
        reasons.append(reason)
    return "; ".join(dict.fromkeys(reasons)) or "no bootstrap server is named"


async def _asked(
    address: Address, connection: KafkaConnection, settings: dict[str, Any]
) -> tuple[str | None, list[Address]]:
    """Why one broker does not let us in; and the brokers that it names."""
    host, port = address
    opened = False

    def closing(_conn: object, _reason: object) -> None:
        nonlocal opened
        opened = True

    within_ms = int(CONNECT_S * 1_000)
    conn: Any = AIOKafkaConnection(host, port, request_timeout_ms=within_ms, on_close=closing, **settings)
    try:
        async with asyncio.timeout(CONNECT_S):
            await conn.connect()
            answer = await conn.send(MetadataRequest([]))
    except (KafkaError, OSError, ValueError, AssertionError) as error:
        return f"{host}:{port} {_why(error, connection)}", []
    finally:
        closed = conn.close()
        if opened:
            await asyncio.wait((closed,), timeout=_CLOSE_S)
    return None, [(broker[1], broker[2]) for broker in answer.brokers]


def _addresses(bootstrap_servers: str) -> Iterator[Address]:
    for each in bootstrap_servers.split(","):
        host, colon, port = each.strip().rpartition(":")
        if colon and port.isdigit():
            yield host.strip("[]"), int(port)
        elif each.strip():
            yield each.strip(), _PORT


def _why(error: BaseException, connection: KafkaConnection) -> str:
    """The innermost cause that we have words for."""
    causes = list(_causes(error))
    for cause in causes:
        words = (
            _refused_by_broker(cause, connection) or _refused_by_tls(cause, connection) or _refused_by_network(cause)
        )
        if words:
            return words
    if any(isinstance(cause, KafkaError | EOFError | ConnectionError) for cause in causes):
        protocol = connection.security.protocol
        return f"closed the connection before it answered: does this listener speak {protocol}?"
    if isinstance(error, ValueError | AssertionError):
        return "did not prove that it knows the password"
    return f"cannot be reached: {error or type(error).__name__}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _refused_by_broker(error: BaseException, connection: KafkaConnection) -> str | None:
    security = connection.security
    if isinstance(error, SaslAuthenticationFailed):
        return f"refuses {security.principal} by {security.mechanism}: the user name or the password is wrong"
    if isinstance(error, UnsupportedSaslMechanismError):
        return f"does not offer {security.mechanism}"
    if isinstance(error, IllegalSaslStateError):
        return f"asks nobody for a password on this listener; {security.protocol} is not what it speaks"
    return None


def _refused_by_tls(error: BaseException, connection: KafkaConnection) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"shows a certificate that is not trusted: {_distrust(error, connection)}"
    if not isinstance(error, ssl.SSLError):
        return None
    reason = (error.reason or "").lower()
    if "wrong_version_number" in reason or "record_layer" in reason or "packet_length" in reason:
        return f"does not speak TLS on this listener, which {connection.security.protocol} needs"
    alert = "alert" in reason
    if "certificate_required" in reason or (alert and not connection.security.certificate_file):
        return "wants a client certificate"
    if alert:
        return f"refuses our client certificate ({reason.replace('_', ' ')})"
    return f"and we found no way to speak TLS ({reason.replace('_', ' ') or 'no reason given'})"


def _distrust(error: ssl.SSLCertVerificationError, connection: KafkaConnection) -> str:
    if error.verify_code == _EXPIRED:
        return "it has expired"
    if error.verify_code in (*_SELF_SIGNED, *_UNKNOWN_ISSUER):
        whose = connection.security.ca_file or "the operating system"
        return f"its authority is not among those of {whose}"
    if error.verify_code in _OTHER_NAME:
        return "it is for another host name"
    return error.verify_message


def _refused_by_network(error: BaseException) -> str | None:
    if isinstance(error, TimeoutError):
        return f"does not answer within {CONNECT_S:g} s"
    if isinstance(error, socket.gaierror):
        return "cannot be reached: its name is not known"
    if isinstance(error, ConnectionRefusedError):
        return "cannot be reached: nobody listens there"
    return None


async def unreachable(connection: KafkaConnection, error: BaseException) -> str:
    """What to say where a client of a cluster did not come to be, because of `error`."""
    words = await why_not(connection) or (in_words(error, connection) if isinstance(error, KafkaError) else str(error))
    return f"the brokers cannot be reached: {words}"


def denied(error: KafkaError, connection: KafkaConnection, what: str = "READ", topic: str | None = None) -> str | None:
    """What to grant, where rights are what is missing; None for every other error. `what` was to be done to a topic."""
    who = connection.security.principal
    if isinstance(error, TopicAuthorizationFailedError):
        named = topic or _named(error)
        return f"{who} may not {what} topic {named}: grant {what} on it"
    if isinstance(error, GroupAuthorizationFailedError):
        named = _named(error)
        return f"{who} may not READ group {named}: grant READ on it"
    if isinstance(error, ClusterAuthorizationFailedError):
        return f"{who} may not {what} on the cluster: grant it"
    return None


def in_words(error: KafkaError, connection: KafkaConnection, what: str = "READ", topic: str | None = None) -> str:
    """Short, for what came of a request that reached a broker: to do `what` to a topic."""
    if isinstance(error, InvalidSessionTimeoutError):
        return "the broker does not allow this session.timeout.ms (its group.min and group.max.session.timeout.ms)"
    return denied(error, connection, what, topic) or repr(error)


def _named(error: KafkaError) -> str:
    names: Any = error.args[0] if error.args else "of the request"
    if not isinstance(names, set | frozenset | list | tuple):
        return str(names)
    return ", ".join(sorted(str(name) for name in cast("Collection[object]", names)))
