"""Every setting, typed, with its default: from `upheld.yaml`, the environment (`UPHELD_...`) and flags, in rising order."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from consumers.formats.choice import FORMATS, IDENTIFIED, Format, Formats
from consumers.horizons import DEFAULT_HORIZON, LARGEST_HORIZON, Horizons
from consumers.topics import BadPattern, TopicChoice
from evaluators import durations
from service.errors import BadSettings

CONFIG_FILE_VARIABLE = "UPHELD_CONFIG"
DEFAULT_CONFIG_FILE = Path("upheld.yaml")
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
LEAST_KEPT_LEDGER = durations.HOUR  # who looks into what a count came from does so within the hour

DurationUs = Annotated[int, Field(ge=0)]
Names = Annotated[tuple[str, ...], NoDecode]
Options = Annotated[dict[str, str], NoDecode]
FormatsByTopic = Annotated[dict[str, Format], NoDecode]
HorizonsByTopic = Annotated[dict[str, Annotated[int, Field(ge=1, le=LARGEST_HORIZON)]], NoDecode]

_OPTIONS_APART: Final = re.compile(r"[,;\n]\s*(?=[\w.-]+\s*=)")
"""A comma in a value (`range,roundrobin`) does not begin the next option."""
_REGISTRY: Final = re.compile(r"https?://(?:[\w.-]+|\[[0-9a-fA-F:]+\])(?::\d{1,5})?(?:/[^\s?#@]*)?")


class Settings(BaseSettings):
    """Settings of every part; a part reads only its own."""

    model_config = SettingsConfigDict(
        env_prefix="UPHELD_", extra="ignore", frozen=True, validate_default=True, env_ignore_empty=True
    )

    kafka_bootstrap_servers: str = Field("127.0.0.1:9092", description="Kafka brokers, host:port, comma separated.")
    kafka_idempotence: bool = Field(
        default=True, description="Idempotent producers: a retried send is not doubled. Not with the embedded broker."
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
    )
    kafka_ca_file: Path | None = Field(
        None, description="PEM file with the authorities that brokers are trusted by; otherwise the system's."
    )
    kafka_certificate_file: Path | None = Field(None, description="PEM file with our certificate, for mutual TLS.")
    kafka_key_file: Path | None = Field(None, description="PEM file with its key, unless that is in the same file.")
    kafka_key_password: SecretStr | None = Field(None, description="Password of an encrypted key.")
    kafka_key_password_file: Path | None = Field(None, description="File with that password.")
    kafka_check_hostname: bool = Field(
        default=True, description="Whether a broker's certificate must be for the host name that it is reached by."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; with SASL_PLAINTEXT and SASL_SSL."
    )
    kafka_sasl_username: str | None = Field(None, description="User name for SASL.")
    kafka_sasl_password: SecretStr | None = Field(None, description="Password for SASL.")
    kafka_sasl_password_file: Path | None = Field(
        None, description="File with that password; read again when a connection is opened anew."
    )
    kafka_client_rack: str | None = Field(
        None, description="Where this process is (Kafka's client.rack), to read from a replica nearby."
    )
    kafka_consumer_settings: Options = Field(
        default_factory=dict,
        repr=False,  # somebody may put a password here before the name is refused
        description="Consumer settings by Kafka's names, as JSON or `fetch.max.bytes=1000000,session.timeout.ms=6000`.",
    )
    kafka_producer_settings: Options = Field(
        default_factory=dict, repr=False, description="Producer settings likewise, such as `compression.type=lz4`."
    )
    topics: Names = Field(("events",), description="Topics that carry metric events, comma separated.")
    topics_pattern: str | None = Field(
        None, description="Regular expression of further topics: those whose whole name matches, new ones too."
    )
    events_topic: str | None = Field(
        None, description="Topic that `emit` and POST /events write to; otherwise the first of UPHELD_TOPICS."
    )
    format: Format = Field(
        "auto", description=f"Format of the events: {', '.join(FORMATS)}. auto: each record's headers or shape tell."
    )
    topic_formats: FormatsByTopic = Field(
        default_factory=dict, description="Formats of single topics, as JSON or `checkout=native,edge=auto`."
    )
    schema_registry_url: str | None = Field(
        None, description="Schema registry (http:// or https://) that records in Avro are read by."
    )
    schema_registry_username: str | None = Field(None, description="User name, or API key, for the registry.")
    schema_registry_password: SecretStr | None = Field(None, description="Password, or API secret, for the registry.")
    schema_registry_password_file: Path | None = Field(
        None, description="File with that password; read again for every question."
    )
    schema_registry_ca_file: Path | None = Field(
        None, description="PEM file with the authorities that the registry is trusted by; otherwise the system's."
    )
    topic_deduplication: HorizonsByTopic = Field(
        default_factory=dict,
        description="Topics where an event whose id came before does not count, and how many records back, "
        f"as JSON or `checkout=5000,edge`; {DEFAULT_HORIZON} where no number is given, {LARGEST_HORIZON} at most.",
    )
    group: str = Field("upheld", description="Kafka consumer group of the ingest workers.")
    topic_partitions: int = Field(4, ge=1, le=1000, description="Partitions of a topic that Upheld creates itself.")
    database_url: SecretStr = Field(
        SecretStr("postgresql://upheld@127.0.0.1:5432/upheld"), description="PostgreSQL; postgres:// is the same."
    )
    slot: DurationUs = Field("10s", description="Smallest step of event time; divides 60 s; fixed at first migrate.")  # type: ignore[assignment]
    lateness: DurationUs = Field("5s", description="How long a slot waits for late samples, in event time.")  # type: ignore[assignment]
    future_bound: DurationUs = Field("10m", description="Events further ahead of the clock are dead-lettered.")  # type: ignore[assignment]
    shards: int = Field(
        4, ge=1, le=1024, description="Units of evaluation that processes share; fixed at first migrate."
    )
    page_max_lag: DurationUs = Field("1h", description="No page for what happened further behind the clock than this.")  # type: ignore[assignment]
    keep_ledger: DurationUs = Field(
        "7d", description="Entries of the ledger expire after this, once every shard has read them; at least 1h."
    )  # type: ignore[assignment]
    host: str = Field("127.0.0.1", description="Address that the API and the pages bind to.")
    port: int = Field(8080, ge=0, le=65535, description="Port of the API and the pages.")
    public_url: str | None = Field(None, description="How people reach the pages; used for links in notifications.")
    agreements: Path | None = Field(None, description="Folder of documents that `run` applies at start.")
    tokens_file: Path | None = Field(None, description="Hashed bearer tokens; without it writes need a loopback bind.")
    require_token_for_reads: bool = Field(
        default=False, description="Reading needs a token too: API, pages and /metrics."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of each part's own /metrics, /healthz and /readyz.")
    metrics_port: int = Field(9464, ge=0, le=65535, description="Its port; 0 takes a free one.")
    metrics_windows: Names = Field(
        ("5m", "1h", "6h", "3d", "period"), description="Windows of upheld_burn_rate and upheld_sli_ratio."
    )
    log_format: str = Field("auto", pattern="^(auto|console|json)$", description="auto: console on a terminal.")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least level that is logged.")

    @field_validator("slot", "lateness", "future_bound", "page_max_lag", "keep_ledger", mode="before")
    @classmethod
    def _duration(cls, value: object) -> object:
        return durations.parse(value) if isinstance(value, str) else value

    @field_validator("keep_ledger")
    @classmethod
    def _kept(cls, value: int) -> int:
        if value < LEAST_KEPT_LEDGER:
            raise ValueError(f"must be at least {durations.format(LEAST_KEPT_LEDGER)}")
        return value

    @field_validator("kafka_consumer_settings", "kafka_producer_settings", mode="before")
    @classmethod
    def _options(cls, value: object) -> object:
        return _options_of(value)

    @field_validator("topic_formats", mode="before")
    @classmethod
    def _topic_formats(cls, value: object) -> object:
        found = _options_of(value)
        if isinstance(found, dict):
            _check_formats(cast("dict[str, str]", found))
        return cast("object", found)

    @field_validator("topic_deduplication", mode="before")
    @classmethod
    def _topic_deduplication(cls, value: object) -> object:
        return _horizons_in(value) if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _only_by_pattern(cls, values: object) -> object:
        """Topics that nobody named are not read where a pattern says which are."""
        if isinstance(values, dict) and cast("dict[str, object]", values).get("topics_pattern"):
            return {"topics": (), **cast("dict[str, object]", values)}
        return cast("object", values)

    @model_validator(mode="after")
    def _topics_chosen(self) -> Self:
        if not self.topics and not self.topics_pattern:
            raise ValueError("UPHELD_TOPICS names no topic, and there is no UPHELD_TOPICS_PATTERN")
        try:
            choice = self.topic_choice
        except BadPattern as error:
            raise ValueError(f"UPHELD_TOPICS_PATTERN {error}") from None
        if self.events_topic and not choice.matches(self.events_topic):
            raise ValueError("UPHELD_EVENTS_TOPIC is none of the topics that are read")
        for name, topics in (("FORMATS", self.topic_formats), ("DEDUPLICATION", self.topic_deduplication)):
            unread = sorted(topic for topic in topics if not choice.matches(topic))
            if unread:
                raise ValueError(f"UPHELD_TOPIC_{name} has topics that are not read: {', '.join(unread)}")
        nameless = sorted(each for each in self.topic_deduplication if self.formats.of(each) not in IDENTIFIED)
        if nameless:
            raise ValueError(
                f"UPHELD_TOPIC_DEDUPLICATION has topics in a format without ids: {', '.join(nameless)}; "
                f"events have them in {', '.join(sorted(IDENTIFIED))}"
            )
        return self

    @model_validator(mode="after")
    def _secured(self) -> Self:
        problems = [*_contradictions(self), *_of_the_registry(self)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @field_validator("topics", "metrics_windows", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags over environment over file."""
        del dotenv_settings, file_secret_settings
        file = Path(os.environ.get(CONFIG_FILE_VARIABLE, DEFAULT_CONFIG_FILE))
        return (init_settings, env_settings, YamlConfigSettingsSource(settings_cls, yaml_file=file))

    @property
    def topic_choice(self) -> TopicChoice:
        """The topics that are read."""
        return TopicChoice(self.topics, self.topics_pattern or None)

    @property
    def formats(self) -> Formats:
        """Which format each topic is in."""
        return Formats(self.format, self.topic_formats)

    @property
    def horizons(self) -> Horizons:
        """How far back events are looked for that came before."""
        return Horizons(self.topic_deduplication)

    @property
    def written_topic(self) -> str | None:
        """Where `emit` and POST /events write to; None where nobody said."""
        return self.events_topic or (self.topics[0] if self.topics else None)

    @property
    def loopback(self) -> bool:
        """Whether the API binds to this machine only."""
        return self.host in LOOPBACK_HOSTS

    @property
    def base_url(self) -> str:
        """Where people reach the pages, without a slash at the end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


def load(**flags: Any) -> Settings:
    """Settings from all sources; flags that are None do not count. Raises BadSettings naming each bad one."""
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        problems = "; ".join(
            f"UPHELD_{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}"
            if item["loc"]
            else item["msg"].removeprefix("Value error, ")
            for item in error.errors()
        )
        raise BadSettings(problems) from None  # the original would show the values, and one is a password


def described() -> list[tuple[str, str, str]]:
    """(environment variable, default, what it is) of every setting, for help texts."""
    rows: list[tuple[str, str, str]] = []
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        if isinstance(default, dict):
            default = None
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        if isinstance(default, tuple):
            default = ",".join(str(part) for part in default)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        rows.append((f"UPHELD_{name.upper()}", "" if default is None else str(default), field.description or ""))
    return rows


def _options_of(value: object) -> object:
    """A mapping, or text that holds one; anything else as it is, for pydantic to refuse."""
    if isinstance(value, Mapping):
        return {str(name): _option(each) for name, each in cast("Mapping[object, object]", value).items()}
    return _options_in(value) if isinstance(value, str) else value


def _option(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _options_in(text: str) -> dict[str, object]:
    """Of a JSON object, or of `name=value` apart by commas, semicolons or lines."""
    if text.lstrip().startswith("{"):
        try:
            found: dict[str, object] = json.loads(text)
        except json.JSONDecodeError:
            raise ValueError("is not a JSON object") from None
        return {name: _option(value) for name, value in found.items()}
    options: dict[str, object] = {}
    for part in _OPTIONS_APART.split(text.strip(" ,;\n")):
        name, equals, value = part.partition("=")
        if part and not equals:
            raise ValueError("must be a JSON object or name=value, comma separated")
        if part:
            options[name.strip()] = value.strip()
    return options


def _horizons_in(text: str) -> dict[str, object]:
    """As above, where a topic alone has the default."""
    if text.lstrip().startswith("{"):
        return _options_in(text)
    parts = (part.partition("=") for part in re.split(r"[,;\n]", text) if part.strip())
    return {topic.strip(): horizon.strip() if equals else DEFAULT_HORIZON for topic, equals, horizon in parts}


def _check_formats(by_topic: Mapping[str, str]) -> None:
    unknown = sorted(topic for topic, form in by_topic.items() if form not in FORMATS)
    if unknown:
        raise ValueError(f"no such format for {', '.join(unknown)}: there are {', '.join(FORMATS)}")


def _contradictions(settings: Settings) -> Iterator[str]:
    """What is half given, or given in vain: somebody believes that it protects them."""
    protocol = settings.kafka_security_protocol
    own = [name for name in ("ca_file", "certificate_file", "key_file") if getattr(settings, f"kafka_{name}")]
    own += [] if settings.kafka_check_hostname else ["check_hostname"]
    login = (settings.kafka_sasl_mechanism, settings.kafka_sasl_username, settings.kafka_sasl_password)
    if protocol in ("PLAINTEXT", "SASL_PLAINTEXT") and own:
        names = " and ".join(f"UPHELD_KAFKA_{name.upper()}" for name in own)
        yield f"UPHELD_KAFKA_SECURITY_PROTOCOL is {protocol}, which is not encrypted: {names} would be in vain"
    if settings.kafka_key_file and not settings.kafka_certificate_file:
        yield "UPHELD_KAFKA_KEY_FILE needs UPHELD_KAFKA_CERTIFICATE_FILE"
    if (settings.kafka_key_password or settings.kafka_key_password_file) and not settings.kafka_certificate_file:
        yield "UPHELD_KAFKA_KEY_PASSWORD needs UPHELD_KAFKA_CERTIFICATE_FILE"
    for name in ("kafka_key_password", "kafka_sasl_password"):
        if getattr(settings, name) and getattr(settings, f"{name}_file"):
            yield f"give UPHELD_{name.upper()} or UPHELD_{name.upper()}_FILE, not both"
    if protocol in ("SASL_PLAINTEXT", "SASL_SSL"):
        yield from _half_a_login(settings)
    elif any(login) or settings.kafka_sasl_password_file:
        yield f"UPHELD_KAFKA_SECURITY_PROTOCOL is {protocol}: a login needs SASL_SSL or SASL_PLAINTEXT"


def _of_the_registry(settings: Settings) -> Iterator[str]:
    """Nothing of the address is repeated: somebody may have put a password there."""
    prefix = "UPHELD_SCHEMA_REGISTRY"
    url = settings.schema_registry_url
    login = ("username", "password", "password_file")
    given = [each for each in (*login, "ca_file") if getattr(settings, f"schema_registry_{each}")]
    secret = settings.schema_registry_password or settings.schema_registry_password_file
    if url is None:
        if given:
            yield f"{' and '.join(f'{prefix}_{each.upper()}' for each in given)} would be in vain without {prefix}_URL"
        if "avro" in (settings.format, *settings.topic_formats.values()):
            yield f"the format avro needs {prefix}_URL"
        return
    if not _REGISTRY.fullmatch(url):
        yield f"{prefix}_URL must be http:// or https://, a host and at most a path; a login goes into {prefix}_USERNAME"
    if settings.schema_registry_ca_file and url.startswith("http://"):
        yield f"{prefix}_URL is http://, which is not encrypted: {prefix}_CA_FILE would be in vain"
    if settings.schema_registry_password and settings.schema_registry_password_file:
        yield f"give {prefix}_PASSWORD or {prefix}_PASSWORD_FILE, not both"
    if secret and not settings.schema_registry_username:
        yield f"{prefix}_USERNAME is needed"
    if settings.schema_registry_username and not secret:
        yield f"{prefix}_PASSWORD or {prefix}_PASSWORD_FILE is needed"


def _half_a_login(settings: Settings) -> Iterator[str]:
    if not settings.kafka_sasl_mechanism:
        yield "UPHELD_KAFKA_SASL_MECHANISM is needed: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    if not settings.kafka_sasl_username:
        yield "UPHELD_KAFKA_SASL_USERNAME is needed"
    if not settings.kafka_sasl_password and not settings.kafka_sasl_password_file:
        yield "UPHELD_KAFKA_SASL_PASSWORD or UPHELD_KAFKA_SASL_PASSWORD_FILE is needed"
