"""Whether something that speaks Kafka's protocol answers: one metadata request by hand, before any client is made."""

from __future__ import annotations

import socket
import struct

from service.devstack.children import LOOPBACK

METADATA = 3
VERSION = 1
CLIENT = b"upheld-probe"
NO_TOPICS = 0
ANSWER_WITHIN_S = 1.0
GREATEST_ANSWER = 1 << 20


def answers(port: int) -> bool:
    """Whether the broker on this port of the loopback address names at least one broker to talk to."""
    return brokers(port) > 0


def brokers(port: int) -> int:
    """How many brokers the one on this port of the loopback address names; 0 if it does not answer."""
    body = struct.pack(">hhih", METADATA, VERSION, 1, len(CLIENT)) + CLIENT + struct.pack(">i", NO_TOPICS)
    try:
        with socket.create_connection((LOOPBACK, port), timeout=ANSWER_WITHIN_S) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            (size,) = struct.unpack(">i", _exactly(connection, 4))
            if not 8 <= size <= GREATEST_ANSWER:
                return 0
            _, named = struct.unpack_from(">ii", _exactly(connection, size))
            return int(named)
    except OSError:
        return 0


def _exactly(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionResetError
        received += part
    return received
