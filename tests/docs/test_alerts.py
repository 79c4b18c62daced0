"""The alerts about Upheld itself: they parse, ask for what is exported, and promtool finds that each fires and is quiet."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from pathlib import Path

import promql_parser
import pytest
import yaml

from service.telemetry import Telemetry
from tests.docs.test_deploy import COMPLIANCE_METRICS, DEPLOY, ROOT

RULES = DEPLOY / "prometheus" / "rules.yaml"
CASES = Path(__file__).with_name("rules_test.yaml")
KUBERNETES = ROOT / "docs" / "deploy" / "kubernetes"
SEVERITIES = {"page", "ticket"}
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool (Debian: prometheus)")


def exported() -> set[str]:
    """Every name that /metrics of a part or of the API can have."""
    names = {"up"} | COMPLIANCE_METRICS
    for family in Telemetry().registry.collect():
        names |= {family.name, f"{family.name}_total", f"{family.name}_bucket", f"{family.name}_count"}
    return names


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_parses_and_asks_for_metrics_that_are_exported(alert: dict) -> None:
    """An alert on a name that nobody exports never fires."""
    promql_parser.parse(alert["expr"])

    assert set(re.findall(r"\bupheld_[a-z_]+", alert["expr"])) <= exported()
    assert alert["labels"]["severity"] in SEVERITIES
    assert alert["annotations"]["summary"]


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_quiet() -> None:
    """Whether or not promtool is here to try them."""
    cases = [case for test in yaml.safe_load(CASES.read_text())["tests"] for case in test["alert_rule_test"]]
    names = {alert["alert"] for alert in ALERTS}

    assert {case["alertname"] for case in cases if case["exp_alerts"]} == names
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == names


@needs_promtool
def test_promtool_finds_every_alert_right() -> None:
    """The rules as they stand, on made-up histories."""
    for arguments in (["check", "rules", str(RULES)], ["test", "rules", str(CASES)]):
        done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False)

        assert done.returncode == 0, done.stdout + done.stderr


def test_the_operator_gets_the_same_rules() -> None:
    """What make.py writes, and the same as values; so one file is changed, and the other made."""
    made = KUBERNETES / "monitoring" / "prometheus-rule.yaml"

    assert made.read_text() == runpy.run_path(str(KUBERNETES / "make.py"))["rule"]()
    assert yaml.safe_load(made.read_text())["spec"] == yaml.safe_load(RULES.read_text())


def test_every_alert_is_explained_to_operators() -> None:
    """docs/operations.md has a row for each, and for none that is gone."""
    text = (ROOT / "docs" / "operations.md").read_text()

    assert set(re.findall(r"`(Upheld[A-Z]\w+)`", text)) == {alert["alert"] for alert in ALERTS}
