"""Prometheus' rules as data, and copies of them whose times are a test's."""

import re
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "config" / "prometheus"
RULE_FILES = ("recording.rules.yml", "alerts.rules.yml")

_RANGE = re.compile(r"\[\d+[smhd]\]")
_COMPARISON = re.compile(r" (==|!=|>=|<=|>|<) ")


class Rule(NamedTuple):
    """One rule: the name it records or alerts by, its expression, and all that is written of it."""

    name: str
    text: str
    raw: dict


def read_rules(name):
    """The rules of a file, in order."""
    groups = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    return [Rule(rule.get("alert") or rule["record"], rule["expr"], rule) for rule in rules]


ALERTS = read_rules("alerts.rules.yml")
RECORDS = read_rules("recording.rules.yml")


def with_range(expression, span):
    """The same expression over another time."""
    return _RANGE.sub(f"[{span}]", expression)


def always(expression):
    """An alert's expression that has a value whether it fires or not: a comparison is 0 or 1, an exception is none."""
    return _COMPARISON.sub(r" \1 bool ", expression).replace(" unless ", " and ").replace("\nunless ", "\nand ")


def copy_rules(folder, *, wait, span):
    """Write the rules into a folder with another `for` and other ranges."""
    for name in RULE_FILES:
        document = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
        for group in document["groups"]:
            for rule in group["rules"]:
                rule["expr"] = with_range(rule["expr"], span)
                if "for" in rule:
                    rule["for"] = wait
        (folder / name).write_text(yaml.safe_dump(document), encoding="utf-8")


def copy_config(folder, *, interval, targets):
    """Write the configuration into a folder with another interval, and the addresses of each job's file."""
    document = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    document["global"] = dict.fromkeys(document["global"], interval)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    (folder / "targets").mkdir()
    for job in document["scrape_configs"]:
        (file,) = job["file_sd_configs"][0]["files"]
        text = yaml.safe_dump([{"targets": targets.get(job["job_name"], [])}])
        (folder / file).write_text(text, encoding="utf-8")
