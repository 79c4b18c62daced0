"""How a client shows a cluster who it is, and makes sure of whom it talks to. Files are read anew for every client."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

_SOMETHING: Final = b"no password was given"
"""Without any, OpenSSL would ask the terminal for the password of an encrypted key, and wait."""
_MISMATCH: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""The last one: no certificate for a key of this type."""


class UnusableSecurity(Exception):
    """A file is missing or not what it should be. Its text names the file and holds no secret."""


@dataclass(frozen=True, slots=True)
class Security:
    """Of one connection. `password_file` and `key_password_file` win over the values beside them.

    Without `ca_file` the operating system's authorities are trusted. `certificate_file` may hold the key as well.
    """

    protocol: Protocol = "PLAINTEXT"
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    key_password: str | None = field(default=None, repr=False)
    key_password_file: Path | None = None
    check_hostname: bool = True
    mechanism: Mechanism | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None

    @property
    def principal(self) -> str:
        """Who we are to the cluster, for people who grant rights."""
        if self.mechanism is not None:
            return f"user {self.username}"
        return "the client certificate's subject" if self.certificate_file else "an anonymous client"

    def client_settings(self) -> Mapping[str, Any]:
        """What aiokafka is given. Raises UnusableSecurity."""
        settings: dict[str, Any] = {"security_protocol": self.protocol}
        if self.protocol in ("SSL", "SASL_SSL"):
            settings["ssl_context"] = self._context()
        if self.mechanism is not None:
            settings["sasl_mechanism"] = self.mechanism
            settings["sasl_plain_username"] = self.username
            settings["sasl_plain_password"] = _secret(self.password_file, self.password) or ""
        return settings

    def _context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=self.ca_file)
        except OSError as error:
            raise UnusableSecurity(f"authorities cannot be read from {self.ca_file}: {_words(error)}") from None
        context.check_hostname = self.check_hostname
        if self.certificate_file is not None:
            self._certify(context, self.certificate_file)
        return context

    def _certify(self, context: ssl.SSLContext, certificate_file: Path) -> None:
        password = _secret(self.key_password_file, self.key_password) or _SOMETHING
        encrypted = False

        def asked() -> str | bytes:
            nonlocal encrypted
            encrypted = True
            return password

        try:
            context.load_cert_chain(certificate_file, self.key_file, asked)
        except (OSError, ValueError) as error:  # ValueError: a password longer than OpenSSL takes
            files = " and ".join(str(file) for file in (certificate_file, self.key_file) if file)
            raise UnusableSecurity(
                f"the client certificate cannot be read from {files}: {_certificate_words(error, encrypted=encrypted)}"
            ) from None


def _secret(file: Path | None, value: str | None) -> str | None:
    """Without the line end that editors put behind it."""
    if file is None:
        return value
    try:
        return file.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableSecurity(f"a password cannot be read from {file}: {_words(error)}") from None


def _words(error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not text"
    if isinstance(error, ssl.SSLError):
        return "it is not in PEM format"
    return error.strerror or type(error).__name__


def _certificate_words(error: OSError | ValueError, *, encrypted: bool) -> str:
    """Python gives no reason where a file cannot be parsed or a key not be decrypted."""
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return _words(error)
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    if reason in _MISMATCH:
        return "the key does not belong to the certificate"
    if encrypted:
        return "the password of the key is wrong or missing"
    if reason and reason.endswith(("_TOO_SMALL", "_TOO_WEAK")):
        return f"OpenSSL refuses it: {reason.replace('_', ' ').lower()}"
    return "there is no certificate with its key in PEM format"
