"""What stands under docs/deploy, compose.yaml and the Dockerfile fits the program beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from evaluators import documents
from service.settings import described

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs" / "deploy" / "compose"
COMPLIANCE_METRICS = {
    "upheld_data_state",
    "upheld_evaluated_timestamp_seconds",
}  # rendered by the API, not on the registry
SETTINGS = {name for name, _, _ in described()}


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_every_setting_of_ours_in_compose_and_the_image_exists(compose: dict) -> None:
    """A setting that nobody reads would be a silent mistake."""
    named = set(re.findall(r"\bUPHELD_[A-Z_]+", (ROOT / "Dockerfile").read_text()))
    for service in compose["services"].values():
        named |= {name for name in service.get("environment", {}) if name.startswith("UPHELD_")}

    assert named
    assert named <= SETTINGS


def test_every_folder_that_compose_mounts_is_in_the_repository(compose: dict) -> None:
    """A container would get an empty folder otherwise."""
    mounted = {
        volume.split(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    }

    assert {path for path in mounted if not (ROOT / path).exists()} <= {"./docs/grafana"}


def test_every_port_is_published_on_loopback_only(compose: dict) -> None:
    """What is tried out on a laptop is not offered to its network."""
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_agreements_that_compose_starts_with_are_valid() -> None:
    """`upheld validate` would take them, and every alert reaches a target."""
    for file in sorted((DEPLOY / "agreements").iterdir()):
        loaded = documents.load(file.read_text(), file.name)

        assert loaded.problems == ()
        assert documents.check(loaded.documents) == ()


def test_the_image_holds_only_what_it_is_made_of() -> None:
    """.dockerignore lets in what the Dockerfile copies, and starts from nothing."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert ignored[1] == "*"
    assert {f"!{path}" for line in copied for path in line.split()} == {line for line in ignored if line[:1] == "!"}
