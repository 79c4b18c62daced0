"""Writes monitoring/prometheus-rule.yaml from the rules of the compose file, which are the ones that promtool tests.

python docs/deploy/kubernetes/make.py
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
RULES = HERE.parent / "compose" / "prometheus" / "rules.yaml"
TARGET = HERE / "monitoring" / "prometheus-rule.yaml"
HEAD = """\
# Made by make.py from ../../compose/prometheus/rules.yaml: change that one.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: upheld
  labels: {app.kubernetes.io/name: upheld}
spec:
"""


def rule() -> str:
    """The manifest: the same text, one level deeper."""
    lines = RULES.read_text().splitlines()
    body = lines[lines.index("groups:") :]
    return HEAD + "".join(f"  {line}\n" for line in body)


if __name__ == "__main__":
    TARGET.write_text(rule())
    print(f"written: {TARGET.name}")
