"""The manifests under docs/deploy/kubernetes are what Kubernetes takes, and fit each other and the program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import promql_parser
import pytest
import yaml

from service.settings import described
from tests.docs.test_deploy import ROOT

FOLDER = ROOT / "docs" / "deploy" / "kubernetes"
OPERATOR = {"PodMonitor": "podMetricsEndpoints", "PrometheusRule": "groups"}  # kinds of the Prometheus operator
PARTS = {"ingest", "evaluate", "deliver", "serve"}
OLDEST, NEWEST = "1.30", "1.37"
SETTINGS = {name for name, _, _ in described()}
Json = dict[str, Any]


def listed(folder: Path) -> Iterator[Json]:
    """Every document of a kustomization."""
    for name in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]:
        yield from yaml.safe_load_all((folder / name).read_text())


MANIFESTS = [*listed(FOLDER), *yaml.safe_load_all((FOLDER / "secrets.example.yaml").read_text())]
MONITORING = list(listed(FOLDER / "monitoring"))
DEPLOYMENTS = {each["metadata"]["name"]: each for each in MANIFESTS if each["kind"] == "Deployment"}


def container(manifest: Json) -> Json:
    (found,) = manifest["spec"]["template"]["spec"]["containers"]
    return found


def of_kind(kind: str) -> list[Json]:
    found = [each for each in MANIFESTS if each["kind"] == kind]
    assert found
    return found


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_kubernetes_takes_every_manifest_and_knows_every_field(manifest: Json, version: str) -> None:
    """By the schemas of Kubernetes itself, strictly."""
    kubernetes_validate.validate(manifest, version, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    """The check above can fail."""
    wrong = {**DEPLOYMENTS["upheld-serve"], "spec": {**DEPLOYMENTS["upheld-serve"]["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


def test_every_file_is_part_of_a_kustomization() -> None:
    """A manifest that nobody applies is a mistake."""
    beside = {"secrets.example.yaml", "kustomization.yaml", "adapter-rules.yaml"}
    listed_files = {
        path
        for folder in (FOLDER, FOLDER / "monitoring")
        for path in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    }
    assert {path.name for path in FOLDER.rglob("*.yaml")} - beside == listed_files


def test_there_is_a_deployment_of_every_part_that_drops_all_rights() -> None:
    """Each runs its own command, as nobody, on a file system that it cannot write."""
    assert {container(each)["args"][0] for each in DEPLOYMENTS.values()} == PARTS
    for manifest in [*DEPLOYMENTS.values(), *of_kind("Job")]:
        pod, one = manifest["spec"]["template"]["spec"], container(manifest)
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == 10001  # the image's
        assert one["securityContext"]["readOnlyRootFilesystem"]
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert not one["securityContext"]["allowPrivilegeEscalation"]
        assert {"cpu", "memory"} <= one["resources"]["requests"].keys()
        assert "memory" in one["resources"]["limits"]


def test_every_probe_and_port_is_one_that_the_part_serves() -> None:
    """9464 for itself, 8080 for the API; and it gets the time that a clean stop takes."""
    for name, manifest in DEPLOYMENTS.items():
        one = container(manifest)
        ports = {port["name"]: port["containerPort"] for port in one["ports"]}
        assert ports == {"metrics": 9464} | ({"http": 8080} if name == "upheld-serve" else {})
        probes = {probe: one[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
        assert {probe["port"] for probe in probes.values()} <= ports.keys()
        assert [probe["path"] for probe in probes.values()] == ["/healthz", "/healthz", "/readyz"]
        assert manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 10
        assert manifest["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_what_selects_pods_selects_some() -> None:
    """Deployments, services, budgets, policies, spreads and monitors name labels that pods have."""
    pods = [each["spec"]["template"]["metadata"]["labels"] for each in [*DEPLOYMENTS.values(), *of_kind("Job")]]
    selectors = [each["spec"]["selector"] for each in of_kind("Service")]
    selectors += [
        each["spec"]["selector"]["matchLabels"] for each in (*DEPLOYMENTS.values(), *of_kind("PodDisruptionBudget"))
    ]
    selectors += [each["spec"]["podSelector"]["matchLabels"] for each in of_kind("NetworkPolicy")]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in MONITORING if each["kind"] == "PodMonitor"]
    for selector in selectors:
        assert any(selector.items() <= pod.items() for pod in pods), selector
    budgets = {
        each["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]
        for each in of_kind("PodDisruptionBudget")
    }
    assert budgets == PARTS


def test_every_config_and_secret_that_is_named_is_there() -> None:
    """And every setting in them is one that Upheld reads."""
    there = {(each["kind"], each["metadata"]["name"]): each for each in MANIFESTS}
    for manifest in [*DEPLOYMENTS.values(), *of_kind("Job")]:
        for source in container(manifest)["envFrom"]:
            assert ("configMapRef" in source and ("ConfigMap", source["configMapRef"]["name"]) in there) or (
                "secretRef" in source and ("Secret", source["secretRef"]["name"]) in there
            )
        for volume in manifest["spec"]["template"]["spec"].get("volumes", []):
            assert ("Secret", volume["secret"]["secretName"]) in there
    named = {*there["ConfigMap", "upheld"]["data"], *there["Secret", "upheld-database"]["stringData"]}
    assert named <= SETTINGS


def test_ingest_is_scaled_by_a_metric_that_the_adapter_gives_and_never_beyond_its_partitions() -> None:
    """The autoscaler's name, the adapter's rule and the exported gauge are one."""
    (scaler,) = of_kind("HorizontalPodAutoscaler")
    spec = scaler["spec"]
    (rule,) = yaml.safe_load((FOLDER / "monitoring" / "adapter-rules.yaml").read_text())["rules"]["external"]
    settings = next(each["data"] for each in of_kind("ConfigMap"))
    assert spec["scaleTargetRef"]["name"] in DEPLOYMENTS
    assert "replicas" not in DEPLOYMENTS[spec["scaleTargetRef"]["name"]]["spec"], "each apply would undo the scaling"
    assert spec["metrics"][0]["external"]["metric"]["name"] == rule["name"]["as"] == rule["seriesQuery"]
    assert spec["maxReplicas"] <= int(settings["UPHELD_TOPIC_PARTITIONS"])
    query = (
        rule["metricsQuery"]
        .replace("<<.Series>>", rule["seriesQuery"])
        .replace("<<.LabelMatchers>>", 'namespace="upheld"')
    )
    promql_parser.parse(query)


def test_the_operators_objects_hold_what_their_kind_holds() -> None:
    """Their schemas are the operator's own; here: the kinds, the ports that pods name, and the jobs' names."""
    names = {port["name"] for each in DEPLOYMENTS.values() for port in container(each)["ports"]}
    for manifest in MONITORING:
        assert manifest["apiVersion"] == "monitoring.coreos.com/v1"
        assert manifest["spec"][OPERATOR[manifest["kind"]]]
        for endpoint in manifest["spec"].get("podMetricsEndpoints", []):
            assert endpoint["port"] in names
    scraped = yaml.safe_load((ROOT / "docs/deploy/compose/prometheus/prometheus.yml").read_text())["scrape_configs"]
    jobs = {
        endpoint["relabelings"][0]["replacement"]
        for manifest in MONITORING
        for endpoint in manifest["spec"].get("podMetricsEndpoints", [])
    }
    assert jobs == {each["job_name"] for each in scraped}


def test_every_secret_of_the_example_is_named_to_be_changed_or_empty() -> None:
    """Nothing in it opens anything."""
    text = (FOLDER / "secrets.example.yaml").read_text()
    assert re.findall(r"://[^:]+:([^@]+)@", text) == ["change-me"]
