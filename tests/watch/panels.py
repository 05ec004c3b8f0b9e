"""Reads the dashboards as Grafana would: panels with their questions, variables and macros filled in."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import asyncpg

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "config" / "grafana" / "dashboards"
DASHBOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
SPANS = {"24h": timedelta(hours=24), "30d": timedelta(days=30), "14d": timedelta(days=14), "6h": timedelta(hours=6)}
POINTS = 1000  # about as many as a panel is wide
OF_POSTGRES, OF_PROMETHEUS = "${postgres}", "${prometheus}"


class Question(NamedTuple):
    """One question of a panel: its dashboard and title, what is asked, and of which time."""

    dashboard: str
    title: str
    text: str
    since: str


def panels_of(dashboard):
    """Every panel that shows something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def span_of(dashboard, panel):
    """The time a panel shows: its own, or the dashboard's."""
    return panel.get("timeFrom") or dashboard["time"]["from"].removeprefix("now-")


def questions(source):
    """Every question to one of the data sources, by the name of its variable."""
    field = "rawSql" if source == OF_POSTGRES else "expr"
    return [
        Question(name, f"{panel['title']} {target['refId']}", target[field], span_of(dashboard, panel))
        for name, dashboard in DASHBOARDS.items()
        for panel in panels_of(dashboard)
        for target in panel["targets"]
        if target["datasource"]["uid"] == source
    ]


def variable(dashboard, name):
    """The variable of a dashboard."""
    return next(each for each in DASHBOARDS[dashboard]["templating"]["list"] if each["name"] == name)


def expand(statement, since, values, now=None):
    """Fill macros and variables in; `values` are texts, or lists of texts that stand in quotes."""
    span, to_at = SPANS[since], now or datetime.now(UTC)
    begin, end = (f"'{moment:%Y-%m-%dT%H:%M:%S}Z'" for moment in (to_at - span, to_at))
    statement = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 BETWEEN {begin} AND {end}", statement)
    statement = statement.replace("$__timeFrom()", begin).replace("$__timeTo()", end)
    statement = statement.replace("$__interval", f"{max(1, round(span.total_seconds() / POINTS))}s")
    for name, value in values.items():
        text = value if isinstance(value, str) else ",".join("'{}'".format(each.replace("'", "''")) for each in value)
        statement = re.sub(rf"\$(?:{name}\b|{{{name}}})", lambda _, text=text: text, statement)
    assert "$" not in statement, f"something is not filled in: {statement}"
    return statement


async def find_values(connection, dashboard, *, outlet=None, now=None):
    """What the variables of a dashboard offer, all of it selected; of outlets the given or the first one."""
    values = {"stage": "completed"}
    for each in DASHBOARDS[dashboard]["templating"]["list"]:
        if each["type"] != "query" or each["datasource"]["uid"] != OF_POSTGRES:
            continue
        rows = await connection.fetch(expand(each["query"], "24h", values, now))
        assert rows, f"variable {each['name']} offers nothing"
        found = [row[0] for row in rows]
        values[each["name"]] = found if each["multi"] else (outlet or found[0])
    return values


async def connect_as_analyst(dsn):
    """A connection with no more rights than Grafana's login."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("SET ROLE hj212_analyst")
    return connection
