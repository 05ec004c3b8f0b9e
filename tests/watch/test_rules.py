"""Rules and alerts: written well, known to the documentation, proven by promtool."""

import re
import subprocess
from itertools import pairwise

import pytest
import yaml
from tests.watch.rules import ALERTS, FOLDER, RECORDS, ROOT, RULE_FILES

from hj212gw.config import options
from hj212gw.telemetry import REGISTRY

RUNBOOKS = ROOT / "docs" / "runbooks"
BASE = "https://hj212gw.example/docs/runbooks/"
TESTS = sorted((FOLDER / "tests").glob("*.yml"))
TARGETS = {
    "targets/gateway.yml": ("http.host", "http.port"),
    "targets/aggregator.yml": ("aggregator.http_host", "aggregator.http_port"),
}
OWN = {"up", "process_start_time_seconds"}

by_name = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)


def page_of(alert):
    """The name of an alert's page."""
    return alert.raw["annotations"]["runbook_url"].removeprefix(BASE).removesuffix(".html")


def run(*command):
    """Run a program that has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr


def test_configuration_and_rules_are_valid(promtool):
    """Prometheus takes them."""
    run(promtool, "check", "config", "prometheus.yml")
    run(promtool, "check", "rules", *RULE_FILES)


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_unit_tests_of_alert(promtool, file):
    """It fires when it should, and at no other time."""
    run(promtool, "test", "rules", f"tests/{file.name}")


@by_name
def test_alert_says_what_it_has_to(alert):
    """Severity, two sentences, and a page that exists and names it."""
    assert alert.name.startswith("Hj212")
    assert alert.raw["labels"] == {"severity": alert.raw["labels"]["severity"]}
    severity = alert.raw["labels"]["severity"]
    assert severity in {"critical", "warning"}
    notes = alert.raw["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    assert len(notes["summary"]) < 60
    text = (RUNBOOKS / f"{page_of(alert)}.md").read_text(encoding="utf-8")
    assert f"Alert `{alert.name}`, {severity}." in text
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["What it means", "What to look at", "What to do"]
    index = (RUNBOOKS / "index.md").read_text(encoding="utf-8")
    assert f"| [{alert.name}]({page_of(alert)}.md) | {severity} | {notes['summary']} |" in index


@by_name
def test_alert_has_unit_tests(alert):
    """In one of them it does not fire, then fires, then has resolved."""
    document = yaml.safe_load((FOLDER / "tests" / f"{page_of(alert)}.yml").read_text(encoding="utf-8"))
    courses = []
    for case in document["tests"]:
        assert all(
            f'alertname="{alert.name}", alertstate="firing"' in check["expr"] for check in case["promql_expr_test"]
        )
        courses.append([bool(check["exp_samples"]) for check in case["promql_expr_test"]])
    assert any(course[0] is False and course[-1] is False and True in course for course in courses)
    assert any((True, False) in pairwise(course) for course in courses)


def test_every_page_is_of_an_alert():
    """And no two alerts share one."""
    pages = [page_of(alert) for alert in ALERTS]
    assert sorted(pages) == sorted(page.stem for page in RUNBOOKS.glob("*.md") if page.stem != "index")
    assert sorted(pages) == [file.stem for file in TESTS]


def test_rules_ask_for_metrics_that_exist():
    """Every name in them is a metric of ours, of the process, or is recorded."""
    known = {sample.name for family in REGISTRY.collect() for sample in family.samples} | OWN
    recorded = {rule.name for rule in RECORDS}
    for rule in [*RECORDS, *ALERTS]:
        names = set(re.findall(r"\b(?:hj212gw[_:][\w:]+|up\b|process_\w+)", re.sub(r'"[^"]*"', "", rule.text)))
        assert names, rule.name
        assert names <= known | recorded, rule.name


def test_targets_are_the_defaults_of_the_settings():
    """Who changes nothing has Prometheus look at the right ports."""
    known = options()
    for file, (host, port) in TARGETS.items():
        (entry,) = yaml.safe_load((FOLDER / file).read_text(encoding="utf-8"))
        assert entry["targets"] == [f"{known[host].default}:{known[port].default}"]
