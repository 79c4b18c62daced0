"""Settings from file, environment and flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.formats.choice import Formats
from service.errors import BadSettings
from service.settings import described, load


@pytest.fixture(autouse=True)
def _no_outside_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, _, _ in described():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UPHELD_CONFIG", str(tmp_path / "upheld.yaml"))


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In rising order: upheld.yaml, environment, flags; a flag that was not given does not count."""
    (tmp_path / "upheld.yaml").write_text("topics: [one, two]\nport: 1000\nhost: 10.0.0.1\n")
    monkeypatch.setenv("UPHELD_PORT", "2000")
    settings = load(host="127.0.0.1", database_url=None)
    assert (settings.topics, settings.port, settings.host) == (("one", "two"), 2000, "127.0.0.1")


def test_durations_are_microseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written as people write them, held as the evaluators count."""
    monkeypatch.setenv("UPHELD_LATENESS", "1m")
    settings = load()
    assert (settings.slot, settings.lateness, settings.page_max_lag) == (10_000_000, 60_000_000, 3_600_000_000)


def test_the_ledger_is_kept_for_an_hour_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter than that nobody could look into it."""
    assert load().keep_ledger == 7 * 86_400_000_000
    monkeypatch.setenv("UPHELD_KEEP_LEDGER", "1h")
    assert load().keep_ledger == 3_600_000_000
    monkeypatch.setenv("UPHELD_KEEP_LEDGER", "59m")
    with pytest.raises(BadSettings, match=r"UPHELD_KEEP_LEDGER: .*at least 1h"):
        load()


def test_every_bad_setting_is_named_and_no_value_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value may be a password."""
    monkeypatch.setenv("UPHELD_PORT", "hunter2")
    monkeypatch.setenv("UPHELD_SHARDS", "0")
    with pytest.raises(BadSettings) as caught:
        load()
    assert "UPHELD_PORT" in str(caught.value)
    assert "UPHELD_SHARDS" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_the_database_password_does_not_show_when_settings_are_printed() -> None:
    """They end in logs and bug reports."""
    assert "hunter2" not in repr(load(database_url="postgresql://u:hunter2@h/d"))


def test_only_loopback_addresses_count_as_loopback() -> None:
    """Writes without tokens depend on it."""
    assert [load(host=host).loopback for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "10.0.0.1")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_links_point_to_the_public_address_where_there_is_one() -> None:
    """A page read on a phone must not link to 127.0.0.1."""
    assert load().base_url == "http://127.0.0.1:8080"
    assert load(public_url="https://upheld.example.com/").base_url == "https://upheld.example.com"


def test_every_setting_is_described_with_its_default() -> None:
    """The help text is made from this."""
    rows = {name: (default, text) for name, default, text in described()}
    assert rows["UPHELD_METRICS_WINDOWS"][0] == "5m,1h,6h,3d,period"
    assert rows["UPHELD_SLOT"][0] == "10s"
    assert all(text for _, text in rows.values())


def test_every_topic_is_in_any_format_unless_it_is_said() -> None:
    """What a record is in, it shows by itself."""
    assert load().formats == Formats("auto", {})
    assert load(format="native").formats.of("events") == "native"


@pytest.mark.parametrize(
    "written", ["checkout=native, edge=auto", "checkout=native\nedge = auto", '{"checkout": "native", "edge": "auto"}']
)
def test_formats_of_single_topics_are_a_mapping(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written like the settings of Kafka's clients; the other topics are in UPHELD_FORMAT."""
    monkeypatch.setenv("UPHELD_TOPICS", "checkout,edge,search")
    monkeypatch.setenv("UPHELD_TOPIC_FORMATS", written)
    assert [load(format="native").formats.of(topic) for topic in ("checkout", "edge", "search")] == [
        "native",
        "auto",
        "native",
    ]


def test_formats_of_single_topics_come_from_the_file_too(tmp_path: Path) -> None:
    """As YAML; a topic may be one that a pattern finds."""
    (tmp_path / "upheld.yaml").write_text("topics_pattern: metrics-.*\ntopic_formats:\n  metrics-a: native\n")
    assert load().formats.by_topic == {"metrics-a": "native"}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"format": "hunter2"}, "UPHELD_FORMAT: Input should be 'auto'"),
        ({"topic_formats": "events=hunter2"}, "no such format for events: there are auto, native"),
        ({"topic_formats": {"events": ["hunter2"], "a": None}}, "no such format for a, events: there are auto, native"),
        ({"topic_formats": ["hunter2"]}, "UPHELD_TOPIC_FORMATS: Input should be a valid dictionary"),
        ({"topic_formats": "native"}, "UPHELD_TOPIC_FORMATS: Value error, must be a JSON object or name=value"),
        ({"topic_formats": "other=native"}, "UPHELD_TOPIC_FORMATS has topics that are not read: other"),
        ({"topic_formats": "events=native", "topics_pattern": "x"}, "has topics that are not read: events"),
    ],
)
def test_a_format_that_there_is_not_is_refused(flags: dict[str, object], said: str) -> None:
    """So is one for a topic that nobody reads: somebody believes that it is used."""
    with pytest.raises(BadSettings) as caught:
        load(**flags)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "written",
    ["checkout=5000, edge", "edge;checkout = 5000", '{"checkout": 5000, "edge": 100000}', "edge,\ncheckout=5000,"],
)
def test_topics_are_deduplicated_as_far_back_as_they_ask_for(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic without a number has the default, and the others take every event as it comes."""
    monkeypatch.setenv("UPHELD_TOPICS", "checkout,edge,search")
    monkeypatch.setenv("UPHELD_TOPIC_DEDUPLICATION", written)
    assert [load().horizons.of(topic) for topic in ("checkout", "edge", "search")] == [5_000, 100_000, None]


def test_deduplication_comes_from_the_file_too(tmp_path: Path) -> None:
    """As YAML; a topic may be one that a pattern finds."""
    (tmp_path / "upheld.yaml").write_text("topics_pattern: metrics-.*\ntopic_deduplication:\n  metrics-a: 7\n")
    assert load().horizons.by_topic == {"metrics-a": 7}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"topic_deduplication": "events=0"}, "greater than or equal to 1"),
        ({"topic_deduplication": "events=5000001"}, "less than or equal to 5000000"),
        ({"topic_deduplication": "events=hunter2"}, "Input should be a valid integer"),
        ({"topic_deduplication": ["hunter2"]}, "UPHELD_TOPIC_DEDUPLICATION: Input should be a valid dictionary"),
        ({"topic_deduplication": "other"}, "UPHELD_TOPIC_DEDUPLICATION has topics that are not read: other"),
        (
            {"topic_deduplication": "events", "format": "statsd"},
            "has topics in a format without ids: events; events have them in auto, cloudevents, native",
        ),
    ],
)
def test_a_deduplication_that_cannot_be_is_refused(flags: dict[str, object], said: str) -> None:
    """Somebody would believe that it is done."""
    with pytest.raises(BadSettings) as caught:
        load(**flags)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)
