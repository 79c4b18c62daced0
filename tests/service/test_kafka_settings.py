"""How Kafka is reached and which topics are read: from the settings to a connection."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from consumers.kafka import BadOption, KafkaConnection, Security, consumer_options, producer_options
from consumers.topics import TopicChoice
from service.errors import BadSettings
from service.settings import Settings, described, load
from service.wiring.kafka import kafka_connection
from tests.examples import examples

SECRET = "hunter2"
LOGIN = {
    "kafka_security_protocol": "SASL_PLAINTEXT",
    "kafka_sasl_mechanism": "SCRAM-SHA-512",
    "kafka_sasl_username": "ann",
    "kafka_sasl_password": SECRET,
}


@pytest.fixture(autouse=True)
def _no_outside_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, _, _ in described():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UPHELD_CONFIG", str(tmp_path / "upheld.yaml"))


def refusal(**flags: Any) -> str:
    """What is said, which never shows a secret."""
    with pytest.raises(BadSettings) as caught:
        kafka_connection(load(**flags), "upheld-test")
    assert SECRET not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_without_settings_kafka_is_on_this_machine_and_not_encrypted() -> None:
    """As the quick start has it."""
    assert kafka_connection(load(), "upheld-ingest") == KafkaConnection(
        "127.0.0.1:9092", client_id="upheld-ingest", idempotent=True
    )


def test_every_setting_reaches_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment, where passwords come from files."""
    ca, password = tmp_path / "ca.pem", tmp_path / "password"
    certificate = tmp_path / "client.pem"
    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca)
    authority.issue_cert("client.test").private_key_and_cert_chain_pem.write_to_path(certificate)
    password.write_text("hunter2\n")
    for name, value in {
        "BOOTSTRAP_SERVERS": "a:9093,b:9093",
        "IDEMPOTENCE": "false",
        "SECURITY_PROTOCOL": "SASL_SSL",
        "CA_FILE": ca,
        "CERTIFICATE_FILE": certificate,
        "KEY_FILE": certificate,
        "KEY_PASSWORD_FILE": password,
        "CHECK_HOSTNAME": "false",
        "SASL_MECHANISM": "PLAIN",
        "SASL_USERNAME": "ann",
        "SASL_PASSWORD_FILE": password,
        "CLIENT_RACK": "eu-1a",
        "CONSUMER_SETTINGS": "fetch.min.bytes=2",
        "PRODUCER_SETTINGS": "linger.ms=5",
    }.items():
        monkeypatch.setenv(f"UPHELD_KAFKA_{name}", str(value))

    assert kafka_connection(load(), "upheld-ingest") == KafkaConnection(
        "a:9093,b:9093",
        client_id="upheld-ingest",
        security=Security(
            protocol="SASL_SSL",
            ca_file=ca,
            certificate_file=certificate,
            key_file=certificate,
            key_password_file=password,
            check_hostname=False,
            mechanism="PLAIN",
            username="ann",
            password_file=password,
        ),
        idempotent=False,
        rack="eu-1a",
        consumer_options={"fetch_min_bytes": 2},
        producer_options={"linger_ms": 5},
    )


def test_passwords_reach_the_connection_and_are_not_shown_on_the_way(tmp_path: Path) -> None:
    """Settings and connections end in logs and bug reports."""
    certificate = tmp_path / "client.pem"
    trustme.CA().issue_cert("client.test").private_key_and_cert_chain_pem.write_to_path(certificate)
    settings = load(
        **{**LOGIN, "kafka_security_protocol": "SASL_SSL"},
        kafka_certificate_file=certificate,
        kafka_key_password=SECRET,
        kafka_consumer_settings=f"ssl.key.password={SECRET}",
        kafka_producer_settings=f"ssl.key.password={SECRET}",
    )
    usable = settings.model_copy(update={"kafka_consumer_settings": {}, "kafka_producer_settings": {}})

    connection = kafka_connection(usable, "upheld-test")

    assert (connection.security.password, connection.security.key_password) == (SECRET, SECRET)
    for shown in (repr(settings), str(settings), repr(connection), str(settings.model_dump(include={*LOGIN}))):
        assert SECRET not in shown


def test_a_file_that_cannot_be_used_is_a_bad_setting(tmp_path: Path) -> None:
    """Said at the start, with the name of the file."""
    file = tmp_path / "ca.pem"
    file.write_text(SECRET)

    assert refusal(kafka_security_protocol="SSL", kafka_ca_file=file) == (
        f"UPHELD_KAFKA_*: authorities cannot be read from {file}: it is not in PEM format"
    )


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            {"kafka_ca_file": "ca.pem"},
            (
                "UPHELD_KAFKA_SECURITY_PROTOCOL is PLAINTEXT, which is not encrypted: "
                "UPHELD_KAFKA_CA_FILE would be in vain"
            ),
        ),
        (
            {**LOGIN, "kafka_certificate_file": "c.pem", "kafka_key_file": "c.key"},
            (
                "UPHELD_KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT, which is not encrypted: "
                "UPHELD_KAFKA_CERTIFICATE_FILE and UPHELD_KAFKA_KEY_FILE would be in vain"
            ),
        ),
        (
            {"kafka_check_hostname": False},
            (
                "UPHELD_KAFKA_SECURITY_PROTOCOL is PLAINTEXT, which is not encrypted: "
                "UPHELD_KAFKA_CHECK_HOSTNAME would be in vain"
            ),
        ),
        (
            {"kafka_security_protocol": "SSL", "kafka_key_file": "c.key"},
            "UPHELD_KAFKA_KEY_FILE needs UPHELD_KAFKA_CERTIFICATE_FILE",
        ),
        (
            {"kafka_security_protocol": "SSL", "kafka_key_password": SECRET},
            "UPHELD_KAFKA_KEY_PASSWORD needs UPHELD_KAFKA_CERTIFICATE_FILE",
        ),
        (
            {"kafka_key_password_file": "password"},
            "UPHELD_KAFKA_KEY_PASSWORD needs UPHELD_KAFKA_CERTIFICATE_FILE",
        ),
        (
            {
                "kafka_security_protocol": "SSL",
                "kafka_certificate_file": "c.pem",
                "kafka_key_password": SECRET,
                "kafka_key_password_file": "password",
            },
            "give UPHELD_KAFKA_KEY_PASSWORD or UPHELD_KAFKA_KEY_PASSWORD_FILE, not both",
        ),
        (
            {**LOGIN, "kafka_sasl_password_file": "password"},
            "give UPHELD_KAFKA_SASL_PASSWORD or UPHELD_KAFKA_SASL_PASSWORD_FILE, not both",
        ),
        (
            {**LOGIN, "kafka_sasl_mechanism": None},
            "UPHELD_KAFKA_SASL_MECHANISM is needed: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        ),
        ({**LOGIN, "kafka_sasl_username": ""}, "UPHELD_KAFKA_SASL_USERNAME is needed"),
        (
            {**LOGIN, "kafka_sasl_password": ""},
            "UPHELD_KAFKA_SASL_PASSWORD or UPHELD_KAFKA_SASL_PASSWORD_FILE is needed",
        ),
        (
            {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "PLAIN"},
            (
                "UPHELD_KAFKA_SASL_USERNAME is needed; "
                "UPHELD_KAFKA_SASL_PASSWORD or UPHELD_KAFKA_SASL_PASSWORD_FILE is needed"
            ),
        ),
        *(
            (
                {"kafka_security_protocol": protocol, name: value},
                f"UPHELD_KAFKA_SECURITY_PROTOCOL is {protocol}: a login needs SASL_SSL or SASL_PLAINTEXT",
            )
            for protocol in ("PLAINTEXT", "SSL")
            for name, value in (
                ("kafka_sasl_mechanism", "PLAIN"),
                ("kafka_sasl_username", "ann"),
                ("kafka_sasl_password", SECRET),
                ("kafka_sasl_password_file", "password"),
            )
        ),
    ],
)
def test_what_is_half_given_or_given_in_vain_is_refused(flags: dict[str, Any], words: str) -> None:
    """Somebody believes that it protects them; no file has been looked at by then."""
    assert refusal(**flags) == words


def test_what_only_looks_like_a_contradiction_is_none(tmp_path: Path) -> None:
    """A password of spaces is one; one that is empty beside a file is none; certificates go with logins."""
    password = tmp_path / "password"
    password.write_text(SECRET)

    for flags in (
        {**LOGIN, "kafka_sasl_password": " "},
        {**LOGIN, "kafka_sasl_password": "", "kafka_sasl_password_file": password},
        {**LOGIN, "kafka_security_protocol": "SASL_SSL", "kafka_check_hostname": False},
    ):
        assert kafka_connection(load(**flags), "upheld-test").security.principal == "user ann"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("kafka_security_protocol", SECRET, "Input should be 'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL'"),
        ("kafka_sasl_mechanism", "GSSAPI", "Input should be 'PLAIN', 'SCRAM-SHA-256' or 'SCRAM-SHA-512'"),
        ("kafka_check_hostname", SECRET, "Input should be a valid boolean"),
        ("kafka_sasl_password", [SECRET], "Input should be a valid string"),
        ("kafka_consumer_settings", [SECRET], "Input should be a valid dictionary"),
    ],
)
def test_a_bad_value_is_refused_by_its_name_and_not_shown(name: str, value: Any, words: str) -> None:
    """With what it may be."""
    assert refusal(**{name: value}).startswith(f"UPHELD_{name.upper()}: {words}")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", {}),
        (" , ;\n", {}),
        ("fetch.max.bytes=1000000", {"fetch.max.bytes": "1000000"}),
        (
            "fetch.max.bytes=1000000, session.timeout.ms = 6000",
            {"fetch.max.bytes": "1000000", "session.timeout.ms": "6000"},
        ),
        (
            "\n  fetch.max.bytes=1\r\n  session.timeout.ms=2;check.crcs=true,\n",
            {"fetch.max.bytes": "1", "session.timeout.ms": "2", "check.crcs": "true"},
        ),
        (
            "partition.assignment.strategy=range, roundrobin,fetch.max.bytes=1",
            {"partition.assignment.strategy": "range, roundrobin", "fetch.max.bytes": "1"},
        ),
        ("a=b=c", {"a": "b=c"}),
        (
            "fetch.max.bytes=1,session_timeout_ms=2,Other-1=3",
            {"fetch.max.bytes": "1", "session_timeout_ms": "2", "Other-1": "3"},
        ),
        ('{"fetch.max.bytes": 1000000, "check.crcs": true}', {"fetch.max.bytes": "1000000", "check.crcs": "true"}),
        (' {"partition.assignment.strategy": "range,sticky"}', {"partition.assignment.strategy": "range,sticky"}),
        ("{}", {}),
    ],
)
def test_client_settings_are_json_or_names_with_values(
    text: str, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apart by commas, semicolons or lines; a comma within a value stays there."""
    monkeypatch.setenv("UPHELD_KAFKA_CONSUMER_SETTINGS", text)
    monkeypatch.setenv("UPHELD_KAFKA_PRODUCER_SETTINGS", text)
    settings = load()

    assert settings.kafka_consumer_settings == settings.kafka_producer_settings == options


@examples(30)  # all settings are read for each
@given(
    st.dictionaries(
        st.from_regex(r"[a-z]+(\.[a-z]+)*", fullmatch=True),
        st.from_regex(r"[a-zA-Z0-9.]+(,[a-z]+)*", fullmatch=True),
        max_size=4,
    ),
    st.sampled_from([",", ";", "\n", ", ", ";\n"]),
)
def test_both_ways_to_write_them_mean_the_same(options: dict[str, str], between: str) -> None:
    """Whatever the names and values, and whatever stands between them."""
    written = between.join(f"{name}={value}" for name, value in options.items())
    settings = load(kafka_consumer_settings=written, kafka_producer_settings=json.dumps(options))

    assert settings.kafka_consumer_settings == settings.kafka_producer_settings == options


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fetch.max.bytes", "must be a JSON object or name=value, comma separated"),
        ("hunter2;fetch.max.bytes=1", "must be a JSON object or name=value, comma separated"),
        ('["hunter2"]', "must be a JSON object or name=value, comma separated"),
        ('{"fetch.max.bytes": hunter2}', "is not a JSON object"),
        ("{'fetch.max.bytes': 1}", "is not a JSON object"),
    ],
)
@pytest.mark.parametrize("whose", ["consumer", "producer"])
def test_client_settings_that_cannot_be_read_are_refused(whose: str, text: str, words: str) -> None:
    """With how to write them."""
    assert refusal(**{f"kafka_{whose}_settings": text}) == (
        f"UPHELD_KAFKA_{whose.upper()}_SETTINGS: Value error, {words}"
    )


def test_client_settings_that_cannot_be_set_are_refused() -> None:
    """By Kafka's name, and by that of the setting that it stands in."""
    assert refusal(kafka_consumer_settings="fetch.max.bytes=hunter2") == (
        "UPHELD_KAFKA_CONSUMER_SETTINGS: fetch.max.bytes: must be a whole number"
    )
    assert refusal(kafka_producer_settings="sasl.jaas.config=x.PlainLoginModule required password='hunter2';") == (
        "UPHELD_KAFKA_PRODUCER_SETTINGS: sasl.jaas.config is set by "
        "UPHELD_KAFKA_SASL_USERNAME and UPHELD_KAFKA_SASL_PASSWORD"
    )
    assert refusal(kafka_consumer_settings="fetch.max.bytes=1,session_timeout_ms=6000").endswith(
        "did you mean session.timeout.ms?"
    )


def test_the_file_may_give_client_settings_as_a_mapping(tmp_path: Path) -> None:
    """Numbers and truths as YAML has them."""
    (tmp_path / "upheld.yaml").write_text(
        "kafka_consumer_settings:\n"
        "  fetch.max.bytes: 1000000\n"
        "  check.crcs: false\n"
        "  partition.assignment.strategy: range,roundrobin\n"
        "kafka_producer_settings: {compression.type: none}\n"
    )
    settings = load()
    connection = kafka_connection(settings, "upheld-test")

    assert settings.kafka_consumer_settings == {
        "fetch.max.bytes": "1000000",
        "check.crcs": "false",
        "partition.assignment.strategy": "range,roundrobin",
    }
    assert connection.consumer_options["check_crcs"] is False
    assert connection.producer_options == {"compression_type": None}


@pytest.mark.parametrize(
    "name",
    [
        "bootstrap.servers",
        "client.rack",
        "enable.idempotence",
        "group.id",
        "sasl.mechanism",
        "sasl.jaas.config",
        "security.protocol",
        "ssl.truststore.location",
        "ssl.ca.location",
        "ssl.keystore.location",
        "ssl.certificate.location",
        "ssl.key.location",
        "ssl.key.password",
        "ssl.endpoint.identification.algorithm",
    ],
)
@pytest.mark.parametrize("read", [consumer_options, producer_options])
def test_who_is_pointed_to_a_setting_finds_it(read: Any, name: str) -> None:
    """It is one that there is."""
    with pytest.raises(BadOption, match="is set by") as caught:
        read({name: "1"})
    pointed = set(re.findall(r"UPHELD_\w+", str(caught.value)))

    assert pointed
    assert pointed <= {setting for setting, _, _ in described()}


# ----------------------------------------------------------------------------------------------------------- topics


@pytest.mark.parametrize(
    ("environment", "names", "pattern", "written"),
    [
        ({}, ("events",), None, "events"),
        ({"TOPICS": "a, b"}, ("a", "b"), None, "a"),
        ({"TOPICS_PATTERN": r"orders\..*"}, (), r"orders\..*", None),
        ({"TOPICS_PATTERN": ""}, ("events",), None, "events"),
        ({"TOPICS": "a", "TOPICS_PATTERN": "b.*"}, ("a",), "b.*", "a"),
        ({"TOPICS": "", "TOPICS_PATTERN": "b.*"}, (), "b.*", None),
        ({"TOPICS_PATTERN": "b.*", "EVENTS_TOPIC": "b1"}, (), "b.*", "b1"),
        ({"TOPICS": "a,b", "EVENTS_TOPIC": "b"}, ("a", "b"), None, "b"),
        ({"TOPICS": "a,b", "EVENTS_TOPIC": ""}, ("a", "b"), None, "a"),
    ],
)
def test_topics_are_chosen_by_name_by_pattern_or_both(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    names: tuple[str, ...],
    pattern: str | None,
    written: str | None,
) -> None:
    """The default name is not read where only a pattern was given; events are written to the first name."""
    for name, value in environment.items():
        monkeypatch.setenv(f"UPHELD_{name}", value)
    settings = load()

    assert settings.topic_choice == TopicChoice(names, pattern)
    assert settings.written_topic == written


def test_a_pattern_in_the_file_and_names_in_the_environment_are_both_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever each came from."""
    (tmp_path / "upheld.yaml").write_text("topics_pattern: orders.*\n")
    monkeypatch.setenv("UPHELD_TOPICS", "a")

    assert load().topic_choice == TopicChoice(("a",), "orders.*")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"topics": ""}, "UPHELD_TOPICS names no topic, and there is no UPHELD_TOPICS_PATTERN"),
        (
            {"topics": " , ", "topics_pattern": ""},
            "UPHELD_TOPICS names no topic, and there is no UPHELD_TOPICS_PATTERN",
        ),
        (
            {"topics_pattern": "orders("},
            "UPHELD_TOPICS_PATTERN is no regular expression: missing ), unterminated subpattern at position 6",
        ),
        (
            {"topics_pattern": "(?i)orders", "events_topic": "orders"},
            "UPHELD_TOPICS_PATTERN has flags for the whole expression: write (?i:...) instead of (?i)...",
        ),
        ({"events_topic": "orders"}, "UPHELD_EVENTS_TOPIC is none of the topics that are read"),
        (
            {"topics_pattern": "orders.*", "events_topic": "orders.dlq"},
            "UPHELD_EVENTS_TOPIC is none of the topics that are read",
        ),
    ],
)
def test_topics_that_cannot_be_are_refused(flags: dict[str, str], words: str) -> None:
    """By the names of the settings."""
    assert refusal(**flags) == words


def test_settings_that_are_no_mapping_are_refused_as_such() -> None:
    """Pydantic's own words for what is not even names with values."""
    with pytest.raises(ValueError, match="valid dictionary"):
        Settings.model_validate(["topics"])


# ------------------------------------------------------------------------------------------------------- help texts


def test_every_setting_of_kafka_is_described_with_its_default() -> None:
    """Empty where there is none; no default is a Python object."""
    rows = {name: (default, text) for name, default, text in described()}
    defaults = {name: default for name, (default, _) in rows.items() if "KAFKA" in name or "TOPIC" in name}

    assert defaults == {
        "UPHELD_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
        "UPHELD_KAFKA_IDEMPOTENCE": "True",
        "UPHELD_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
        "UPHELD_KAFKA_CA_FILE": "",
        "UPHELD_KAFKA_CERTIFICATE_FILE": "",
        "UPHELD_KAFKA_KEY_FILE": "",
        "UPHELD_KAFKA_KEY_PASSWORD": "",
        "UPHELD_KAFKA_KEY_PASSWORD_FILE": "",
        "UPHELD_KAFKA_CHECK_HOSTNAME": "True",
        "UPHELD_KAFKA_SASL_MECHANISM": "",
        "UPHELD_KAFKA_SASL_USERNAME": "",
        "UPHELD_KAFKA_SASL_PASSWORD": "",
        "UPHELD_KAFKA_SASL_PASSWORD_FILE": "",
        "UPHELD_KAFKA_CLIENT_RACK": "",
        "UPHELD_KAFKA_CONSUMER_SETTINGS": "",
        "UPHELD_KAFKA_PRODUCER_SETTINGS": "",
        "UPHELD_TOPICS": "events",
        "UPHELD_TOPICS_PATTERN": "",
        "UPHELD_EVENTS_TOPIC": "",
        "UPHELD_TOPIC_FORMATS": "",
        "UPHELD_TOPIC_DEDUPLICATION": "",
        "UPHELD_TOPIC_PARTITIONS": "4",
    }
    assert list(rows) == [f"UPHELD_{name.upper()}" for name in Settings.model_fields]
    assert not [name for name, (default, text) in rows.items() if not text or "object at" in default or "{" in default]
