"""Every setting, typed, with its default: from `upheld.yaml`, the environment (`UPHELD_...`) and flags, in rising order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from evaluators import durations
from service.errors import BadSettings

CONFIG_FILE_VARIABLE = "UPHELD_CONFIG"
DEFAULT_CONFIG_FILE = Path("upheld.yaml")
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
LEAST_KEPT_LEDGER = durations.HOUR  # who looks into what a count came from does so within the hour

DurationUs = Annotated[int, Field(ge=0)]
Names = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """Settings of every part; a part reads only its own."""

    model_config = SettingsConfigDict(env_prefix="UPHELD_", extra="ignore", frozen=True, validate_default=True)

    kafka_bootstrap_servers: str = Field("127.0.0.1:9092", description="Kafka brokers, host:port, comma separated.")
    kafka_idempotence: bool = Field(
        default=True, description="Idempotent producers: a retried send is not doubled. Not with the embedded broker."
    )
    topics: Names = Field(("events",), description="Topics that carry metric events, comma separated.")
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
            f"UPHELD_{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}" for item in error.errors()
        )
        raise BadSettings(problems) from None  # the original would show the values, and one is a password


def described() -> list[tuple[str, str, str]]:
    """(environment variable, default, what it is) of every setting, for help texts."""
    rows: list[tuple[str, str, str]] = []
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        if isinstance(default, tuple):
            default = ",".join(str(part) for part in default)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        rows.append((f"UPHELD_{name.upper()}", "" if default is None else str(default), field.description or ""))
    return rows
