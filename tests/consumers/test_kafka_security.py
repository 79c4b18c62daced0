"""Who a client is to a cluster, from files and passwords to the client's arguments."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from aiokafka import AIOKafkaConsumer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from consumers.kafka.security import Mechanism, Protocol, Security, UnusableSecurity

SECRET = "hunter2"
WRONG = "correct-horse"
BROKER = "broker.test"
NO_PAIR = "there is no certificate with its key in PEM format"
BAD_PASSWORD = "the password of the key is wrong or missing"


@dataclass(frozen=True)
class Files:
    """Certificates of one authority, each a file."""

    folder: Path
    ca: trustme.CA
    client: trustme.LeafCert

    def file(self, name: str, content: bytes | str) -> Path:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    @property
    def authorities(self) -> Path:
        return self.file("ca.pem", self.ca.cert_pem.bytes())

    @property
    def certificate(self) -> Path:
        return self.file("client.pem", b"".join(pem.bytes() for pem in self.client.cert_chain_pems))

    @property
    def key(self) -> Path:
        return self.file("client.key", self.client.private_key_pem.bytes())

    @property
    def both(self) -> Path:
        return self.file("both.pem", self.client.private_key_and_cert_chain_pem.bytes())

    def encrypted_key(self, form: PrivateFormat = PrivateFormat.PKCS8, password: str = SECRET) -> Path:
        key = load_pem_private_key(self.client.private_key_pem.bytes(), password=None)
        encryption = BestAvailableEncryption(password.encode())
        return self.file("encrypted.key", key.private_bytes(Encoding.PEM, form, encryption))

    def binary_key(self) -> Path:
        key = load_pem_private_key(self.client.private_key_pem.bytes(), password=None)
        return self.file("client.der", key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def weak_pair() -> bytes:
    """A certificate and its key, which is shorter than is allowed today."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "weak")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), serial_number=1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def client(ca: trustme.CA) -> trustme.LeafCert:
    return ca.issue_cert("client.test")


@pytest.fixture
def files(tmp_path: Path, ca: trustme.CA, client: trustme.LeafCert) -> Files:
    return Files(tmp_path, ca, client)


def shaken_hands(security: Security, ca: trustme.CA, host: str = BROKER) -> str | None:
    """Connect to a broker in this process that asks for certificates; the name that it sees on ours, if any."""
    broker = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    broker.minimum_version = ssl.TLSVersion.TLSv1_2
    broker.maximum_version = ssl.TLSVersion.TLSv1_2  # in 1.3 a client is done before the server has looked at it
    ca.issue_cert(BROKER).configure_cert(broker)
    ca.configure_trust(broker)
    broker.verify_mode = ssl.CERT_OPTIONAL
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = security.client_settings()["ssl_context"]
    ours = context.wrap_bio(back, there, server_hostname=host)
    theirs = broker.wrap_bio(there, back, server_side=True)
    waiting = [ours, theirs]
    while waiting:
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    seen = theirs.getpeercert() or {}
    return seen["subjectAltName"][0][1] if seen else None


def refusal(security: Security) -> str:
    """What is said, which never shows a secret."""
    with pytest.raises(UnusableSecurity) as caught:
        security.client_settings()
    said = str(caught.value)
    assert SECRET not in said
    assert WRONG not in said
    assert caught.value.__suppress_context__, "the original error may hold what was read"
    return said


def test_without_anything_a_client_is_plain_and_anonymous() -> None:
    """As with a broker on one's own machine."""
    security = Security()

    assert security.client_settings() == {"security_protocol": "PLAINTEXT"}
    assert security.principal == "an anonymous client"


def test_without_a_file_the_authorities_of_the_system_are_trusted(
    monkeypatch: pytest.MonkeyPatch, files: Files
) -> None:
    """Where OpenSSL is told that they are."""
    monkeypatch.setenv("SSL_CERT_FILE", str(files.authorities))

    assert shaken_hands(Security("SSL"), files.ca) is None


def test_an_authority_of_ones_own_is_trusted_by_its_file(files: Files) -> None:
    """And we stay anonymous to the broker without a certificate of ours."""
    assert shaken_hands(Security("SSL", ca_file=files.authorities), files.ca) is None


def test_a_broker_of_another_authority_is_not_trusted(files: Files) -> None:
    """Whoever can answer at its address could read along."""
    with pytest.raises(ssl.SSLCertVerificationError, match=r"unable to get local issuer|self-signed"):
        shaken_hands(Security("SSL", ca_file=files.authorities), trustme.CA())


def test_a_broker_reached_by_another_name_is_refused_unless_that_is_switched_off(files: Files) -> None:
    """Without the check its certificate must still be of a trusted authority."""
    strict = Security("SSL", ca_file=files.authorities)
    loose = Security("SSL", ca_file=files.authorities, check_hostname=False)

    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shaken_hands(strict, files.ca, "other.test")
    assert shaken_hands(loose, files.ca, "other.test") is None
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken_hands(loose, trustme.CA(), "other.test")


def test_a_certificate_and_its_key_may_be_in_one_file_or_apart(files: Files) -> None:
    """The broker sees the same client."""
    one = Security("SSL", ca_file=files.authorities, certificate_file=files.both)
    apart = Security("SSL", ca_file=files.authorities, certificate_file=files.certificate, key_file=files.key)

    assert shaken_hands(one, files.ca) == "client.test"
    assert shaken_hands(apart, files.ca) == "client.test"
    assert one.principal == apart.principal == "the client certificate's subject"


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_opened_by_its_password(files: Files, form: PrivateFormat) -> None:
    """In both formats that are about."""
    security = Security(
        "SSL",
        ca_file=files.authorities,
        certificate_file=files.certificate,
        key_file=files.encrypted_key(form),
        key_password=SECRET,
    )

    assert shaken_hands(security, files.ca) == "client.test"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_password_file_wins_and_its_line_end_does_not_count(files: Files, end: str) -> None:
    """Editors put one there."""
    security = Security(
        "SASL_SSL",
        ca_file=files.authorities,
        certificate_file=files.certificate,
        key_file=files.encrypted_key(),
        key_password=WRONG,
        key_password_file=files.file("key.password", f"{SECRET}{end}"),
        mechanism="PLAIN",
        username="ann",
        password=WRONG,
        password_file=files.file("sasl.password", f" pässword {end}"),
    )

    settings = security.client_settings()

    assert settings["sasl_plain_password"] == " pässword "
    assert shaken_hands(security, files.ca) == "client.test"


def test_password_files_are_read_anew_for_every_client(files: Files) -> None:
    """Passwords are changed while processes run."""
    password_file = files.file("sasl.password", "old\n")
    security = Security("SASL_PLAINTEXT", mechanism="PLAIN", username="ann", password_file=password_file)
    before = security.client_settings()["sasl_plain_password"]
    password_file.write_text("new\n")

    assert (before, security.client_settings()["sasl_plain_password"]) == ("old", "new")


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_a_login_is_given_in_words_that_the_client_takes(protocol: Protocol, mechanism: Mechanism) -> None:
    """A real consumer is made of them; only encrypted protocols get a context."""
    security = Security(protocol, mechanism=mechanism, username="ann", password=SECRET)

    settings = dict(security.client_settings())

    await AIOKafkaConsumer(**settings).stop()
    assert isinstance(settings.pop("ssl_context", None), ssl.SSLContext) == (protocol == "SASL_SSL")
    assert settings == {
        "security_protocol": protocol,
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "ann",
        "sasl_plain_password": SECRET,
    }
    assert security.principal == "user ann"


def test_an_empty_password_file_is_an_empty_password(files: Files) -> None:
    """Whether that will do is up to the broker."""
    security = Security("SASL_PLAINTEXT", mechanism="PLAIN", username="ann", password_file=files.file("empty", "\n"))

    assert security.client_settings()["sasl_plain_password"] == ""


def test_passwords_do_not_show_when_it_is_printed() -> None:
    """It is part of what logs and tracebacks print."""
    assert SECRET not in repr(Security("SASL_SSL", key_password=SECRET, password=SECRET))


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("password", [WRONG, "", None, WRONG * 100])
def test_a_wrong_or_missing_password_of_the_key_is_said(
    files: Files, form: PrivateFormat, password: str | None
) -> None:
    """Nobody is asked at a terminal, and a password longer than OpenSSL takes is as wrong as others."""
    certificate, key = files.certificate, files.encrypted_key(form)
    security = Security("SSL", certificate_file=certificate, key_file=key, key_password=password)

    assert refusal(security) == f"the client certificate cannot be read from {certificate} and {key}: {BAD_PASSWORD}"


def test_a_password_for_a_key_that_is_not_encrypted_does_no_harm(files: Files) -> None:
    """It is not asked for."""
    security = Security(
        "SSL",
        ca_file=files.authorities,
        certificate_file=files.certificate,
        key_file=files.key,
        key_password=WRONG * 100,
    )

    assert shaken_hands(security, files.ca) == "client.test"


@pytest.mark.parametrize("kind", list(trustme.KeyType))
def test_the_key_of_another_certificate_is_said(files: Files, kind: trustme.KeyType) -> None:
    """Of the same type, or of another."""
    other = files.ca.issue_cert("other.test", key_type=kind)
    certificate, key = files.certificate, files.file("other.key", other.private_key_pem.bytes())

    assert refusal(Security("SSL", certificate_file=certificate, key_file=key)) == (
        f"the client certificate cannot be read from {certificate} and {key}: "
        "the key does not belong to the certificate"
    )


def test_a_certificate_that_openssl_finds_too_weak_is_said(files: Files) -> None:
    """The file is in order; another must be issued."""
    weak = files.file("weak.pem", weak_pair())

    assert refusal(Security("SSL", certificate_file=weak)) == (
        f"the client certificate cannot be read from {weak}: OpenSSL refuses it: ee key too small"
    )


@pytest.mark.parametrize("content", [b"", b"hunter2", b"\xff\x00", b"-----BEGIN CERTIFICATE-----\nhunter2\n"])
def test_files_that_are_not_in_pem_format_are_said(files: Files, content: bytes) -> None:
    """Each by the part that it should have played."""
    bad, certificate = files.file("bad", content), files.certificate

    assert refusal(Security("SSL", ca_file=bad)) == f"authorities cannot be read from {bad}: it is not in PEM format"
    assert refusal(Security("SSL", certificate_file=bad)) == (
        f"the client certificate cannot be read from {bad}: {NO_PAIR}"
    )
    assert refusal(Security("SSL", certificate_file=certificate, key_file=bad)) == (
        f"the client certificate cannot be read from {certificate} and {bad}: {NO_PAIR}"
    )


def test_a_certificate_without_a_key_and_files_mixed_up_are_said(files: Files) -> None:
    """All of these are in PEM format, but for the last."""
    certificate, key, binary = files.certificate, files.key, files.binary_key()
    start = "the client certificate cannot be read from"

    assert refusal(Security("SSL", certificate_file=certificate)) == f"{start} {certificate}: {NO_PAIR}"
    assert refusal(Security("SSL", certificate_file=key)) == f"{start} {key}: {NO_PAIR}"
    assert refusal(Security("SSL", certificate_file=key, key_file=certificate)) == (
        f"{start} {key} and {certificate}: {NO_PAIR}"
    )
    assert refusal(Security("SSL", certificate_file=certificate, key_file=binary)) == (
        f"{start} {certificate} and {binary}: {NO_PAIR}"
    )
    assert refusal(Security("SSL", ca_file=key)) == f"authorities cannot be read from {key}: it is not in PEM format"


def test_a_file_that_is_missing_or_none_is_named(files: Files) -> None:
    """With what the system says of it."""
    no, certificate, folder = files.folder / "no", files.certificate, files.folder
    client = "the client certificate cannot be read from"

    assert refusal(Security("SSL", ca_file=no)) == f"authorities cannot be read from {no}: No such file or directory"
    assert refusal(Security("SSL", ca_file=folder)) == f"authorities cannot be read from {folder}: Is a directory"
    assert refusal(Security("SSL", certificate_file=no)) == f"{client} {no}: No such file or directory"
    assert refusal(Security("SSL", certificate_file=certificate, key_file=no)) == (
        f"{client} {certificate} and {no}: No such file or directory"
    )


def test_a_password_file_that_cannot_be_read_is_named(files: Files) -> None:
    """That of the key, and that of the login."""
    no, folder, binary = files.folder / "no", files.folder, files.file("binary", b"hunter2\xff")
    said = "a password cannot be read from"

    for file, words in ((no, "No such file or directory"), (folder, "Is a directory"), (binary, "it is not text")):
        login = Security("SASL_PLAINTEXT", mechanism="PLAIN", username="ann", password_file=file)
        key = Security("SSL", certificate_file=files.both, key_password_file=file)
        assert refusal(login) == refusal(key) == f"{said} {file}: {words}"
