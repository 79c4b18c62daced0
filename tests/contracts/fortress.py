"""One Apache Kafka with a listener for each way of securing one, and the certificates that go with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from consumers.kafka import KafkaConnection, Security
from service.devstack.apache_kafka import SCRAM, ApacheKafka, Listener
from service.devstack.children import LOOPBACK, free_ports

USER, PASSWORD = "upheld", "a-password"
STRANGER, OTHER_PASSWORD = "stranger", "another-password"
KEY_PASSWORD = "key-password"
GRANTED: Final = "granted-"
"""Topics and groups whose names begin so are the user's to read, and such topics to write."""
READABLE: Final = "readable-"
SHOWN: Final = "shown-"
"""The user may know of these topics, and nothing else."""
_PLAIN: Final = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule"
_WAYS: Final = {
    "tls": "SSL",
    "mtls": "SSL",
    "expired": "SSL",
    "login": "SASL_SSL",
    "only_plain": "SASL_SSL",
    "bare_login": "SASL_PLAINTEXT",
}


class Fortress:
    """Who comes over the plain listener may do everything; everybody else what they were granted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca_file)
        self.other_ca_file = folder / "other-ca.pem"
        trustme.CA().cert_pem.write_to_path(self.other_ca_file)
        self.client_file = self._pair("client", self._authority.issue_cert("upheld.example", common_name="upheld"))
        self.key_file, self.certificate_file = folder / "locked.key", folder / "locked.pem"
        self._apart(self._authority.issue_cert("upheld.example", common_name="upheld"))
        self.foreign_file = self._pair("foreign", trustme.CA().issue_cert("upheld.example", common_name="upheld"))
        self.ports = dict(zip(_WAYS, free_ports(len(_WAYS)), strict=True))
        self.kafka = ApacheKafka.start(
            directory=folder / "kafka",
            listeners=[Listener(name.upper(), self.ports[name], protocol) for name, protocol in _WAYS.items()],
            settings=self._settings(),
            users={USER: PASSWORD, STRANGER: OTHER_PASSWORD},
        )
        try:
            self.grant("Read", "--topic", GRANTED, "--topic", READABLE, "--group", GRANTED)
            self.grant("Write", "--topic", GRANTED)
            self.grant("Describe", "--topic", SHOWN)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self.kafka.stop()

    @property
    def plain(self) -> str:
        """The bootstrap servers for whoever may do everything."""
        return self.kafka.bootstrap

    def address(self, way: str) -> str:
        return f"{LOOPBACK}:{self.ports[way]}"

    @cached_property
    def ways(self) -> dict[str, KafkaConnection]:
        """Each way in, done right."""
        trusting = Security(protocol="SSL", ca_file=self.ca_file)
        login = Security("SASL_SSL", self.ca_file, username=USER, password=PASSWORD)
        locked = replace(
            trusting, certificate_file=self.certificate_file, key_file=self.key_file, key_password=KEY_PASSWORD
        )
        return {
            "TLS": self._way("tls", trusting),
            "mutual TLS": self._way("mtls", replace(trusting, certificate_file=self.client_file)),
            "mutual TLS with a locked key": self._way("mtls", locked),
            "PLAIN over TLS": self._way("login", replace(login, mechanism="PLAIN")),
            "SCRAM-SHA-256 over TLS": self._way("login", replace(login, mechanism="SCRAM-SHA-256")),
            "SCRAM-SHA-512 over TLS": self._way("login", replace(login, mechanism="SCRAM-SHA-512")),
            "SCRAM-SHA-512 in the open": self._way(
                "bare_login", Security("SASL_PLAINTEXT", mechanism="SCRAM-SHA-512", username=USER, password=PASSWORD)
            ),
        }

    def _way(self, name: str, security: Security) -> KafkaConnection:
        return KafkaConnection(self.address(name), security=security, idempotent=True)

    def _settings(self) -> dict[str, str]:
        store = self._pair("server", self._authority.issue_cert(LOOPBACK))
        long_ago = datetime.now(UTC) - timedelta(days=1)
        expired = self._pair("expired", self._authority.issue_cert(LOOPBACK, not_after=long_ago))
        settings = {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:CN=upheld",
            "ssl.principal.mapping.rules": "RULE:^.*(CN=[a-z]+).*$/$1/,DEFAULT",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(store),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca_file),
            "listener.name.mtls.ssl.client.auth": "required",
            "listener.name.expired.ssl.keystore.location": str(expired),
        }
        users = " ".join(f'user_{name}="{word}"' for name, word in ((USER, PASSWORD), (STRANGER, OTHER_PASSWORD)))
        for name in ("login", "only_plain", "bare_login"):
            mechanisms = ("PLAIN",) if name == "only_plain" else ("PLAIN", *SCRAM)
            settings[f"listener.name.{name}.sasl.enabled.mechanisms"] = ",".join(mechanisms)
            settings[f"listener.name.{name}.plain.sasl.jaas.config"] = f"{_PLAIN} required {users};"
            for mechanism in SCRAM:
                settings[f"listener.name.{name}.{mechanism.lower()}.sasl.jaas.config"] = f"{_SCRAM} required;"
        return settings

    def grant(self, operation: str, *on: str) -> None:
        """To the user, on topics and groups whose names begin so."""
        whom = ("--add", "--allow-principal", f"User:{USER}", "--operation", operation)
        at = ("--bootstrap-server", self.plain, "--resource-pattern-type", "prefixed")
        self.kafka.nodes[0].run("kafka.admin.AclCommand", *at, *whom, *on)

    def _pair(self, name: str, issued: trustme.LeafCert) -> Path:
        """Key and certificate in one file; the server reads keys in PKCS 8 only."""
        file = self._folder / f"{name}.pem"
        chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
        file.write_bytes(_key(issued) + chain)
        return file

    def _apart(self, issued: trustme.LeafCert) -> None:
        self.certificate_file.write_bytes(issued.cert_chain_pems[0].bytes())
        self.key_file.write_bytes(_key(issued, KEY_PASSWORD))


def _key(issued: trustme.LeafCert, password: str | None = None) -> bytes:
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    locked = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)
