"""The parts that dashboards are made of: questions, panels, variables, and where they stand."""

import re
from collections.abc import Iterable
from typing import Any

from dashboard_queries import VARIABLES

WIDTH = 24
SCHEMA_VERSION = 39  # Grafana 11

PROMETHEUS = {"type": "prometheus", "uid": "${prometheus}"}
POSTGRES = {"type": "grafana-postgresql-datasource", "uid": "${postgres}"}

Panel = dict[str, Any]
# Colours of thresholds: from which value on.
RATES = ((None, "red"), (0.95, "green"))
ABOVE_ZERO = ((None, "red"), (0, "green"))
ZERO_IS_GOOD = ((None, "green"), (1, "red"))
ONE_IS_GOOD = ((None, "red"), (1, "green"))
SHARES = ((None, "green"), (0.5, "orange"), (0.8, "red"))
QUIET = ((None, "text"),)
# What columns of tables are called.
HEADS = {
    "clock_skew_secs": "clock skew · 时钟偏差",
    "connected": "connected · 在线",
    "county": "county · 区县",
    "effective": "effective · 有效传输率",
    "enterprise_name": "enterprise · 企业",
    "expected_groups": "due · 应收组数",
    "factor": "factor · 因子",
    "factor_name": "factor name · 因子名称",
    "hour": "hour · 小时",
    "hours": "hours · 小时数",
    "last_packet_at": "last packet · 最近数据包",
    "lost_groups": "lost · 缺失组数",
    "medium": "medium · 介质",
    "mn": "MN · 设备编码",
    "name": "name · 名称",
    "outlet": "outlet · 排放口",
    "outlets": "outlets · 排放口数",
    "reason": "reason · 原因",
    "remedy": "what helps · 补救措施",
    "remedy_until": "until · 截止时间",
    "state": "state · 状态",
    "transmission": "transmission · 传输率",
    "until": "until · 截止时间",
    "valid_groups": "valid · 有效组数",
    "validity": "validity · 有效率",
}
UNITS = {"clock_skew_secs": "s"}


def ask(expression: str, legend: str = "") -> Panel:
    """Make a question to Prometheus."""
    return {"datasource": PROMETHEUS, "expr": expression, "legendFormat": legend or "__auto", "range": True}


def ask_now(expression: str, legend: str = "") -> Panel:
    """Make a question to Prometheus for one value."""
    return {**ask(expression, legend), "range": False, "instant": True}


def select(statement: str, *, is_series: bool = False) -> Panel:
    """Make a question to PostgreSQL."""
    form = "time_series" if is_series else "table"
    return {"datasource": POSTGRES, "rawSql": statement, "rawQuery": True, "format": form, "editorMode": "code"}


def panel(kind: str, title: str, targets: list[Panel], size: tuple[int, int], **more: Any) -> Panel:
    """Make a panel; `unit`, `steps`, `custom`, `overrides` and more say how it looks, `since` of which time.

    With `repeat` there is a panel for each value of that variable.
    """
    defaults: Panel = {
        "unit": more.get("unit", "short"),
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": value, "color": color} for value, color in more.get("steps", QUIET)],
        },
        "custom": more.get("custom", {}),
        "mappings": more.get("mappings", []),
    }
    for name in ("decimals", "min", "max", "noValue", "displayName"):
        if name in more:
            defaults[name] = more[name]
    return {
        "type": kind,
        "title": title,
        "datasource": targets[0]["datasource"],
        "targets": [{**target, "refId": chr(ord("A") + place)} for place, target in enumerate(targets)],
        "gridPos": {"w": size[0], "h": size[1]},
        "fieldConfig": {"defaults": defaults, "overrides": more.get("overrides", [])},
        "options": more.get("options", {}),
        **({"transformations": more["transformations"]} if "transformations" in more else {}),
        **({"timeFrom": more["since"]} if "since" in more else {}),
        # A factor has a unit and a size of its own: on one axis the small ones cannot be seen.
        **({"repeat": more["repeat"], "repeatDirection": "h", "maxPerRow": 2} if "repeat" in more else {}),
    }


def stat(title: str, targets: list[Panel], width: int, **more: Any) -> Panel:
    """Make a panel of single values."""
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "values": False}, "colorMode": "value", "graphMode": "none"}
    return panel("stat", title, targets, (width, 4), options=options, **more)


def lines(title: str, targets: list[Panel], width: int = 8, **more: Any) -> Panel:
    """Make a panel of lines over time."""
    options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    custom = {"lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "spanNulls": False, **more.pop("custom", {})}
    return panel("timeseries", title, targets, (width, 8), options=options, custom=custom, **more)


def table(title: str, statement: str, width: int = 12, **more: Any) -> Panel:
    """Make a table of what a statement returns."""
    heads = [
        field(name, **({"unit": UNITS[name]} if name in UNITS else {}), displayName=head)
        for name, head in HEADS.items()
        if re.search(rf"\b{name}\b", statement)
    ]
    overrides = [*heads, *more.pop("overrides", [])]
    return panel(
        "table", title, [select(statement)], (width, 9), options={"showHeader": True}, overrides=overrides, **more
    )


def field(name: str, **properties: Any) -> Panel:
    """Say how one column looks; `unit`, `links`, `displayName`, `decimals`, `thresholds`, `custom.cellOptions`."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()],
    }


def on_the_right(pattern: str) -> Panel:
    """Give series an axis of their own: beside a limit thousands of times as large the others lie on the ground."""
    properties = [{"id": "custom.axisPlacement", "value": "right"}]
    return {"matcher": {"id": "byRegexp", "options": pattern}, "properties": properties}


def row(title: str) -> Panel:
    """Make a heading."""
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": WIDTH, "h": 1}}


def arrange(panels: Iterable[Panel]) -> list[Panel]:
    """Put panels beside and below each other, and number them."""
    placed: list[Panel] = []
    x = y = height = 0
    for number, each in enumerate(panels, 1):
        size = each["gridPos"]
        if x + size["w"] > WIDTH:
            x, y, height = 0, y + height, 0
        placed.append({"id": number, **each, "gridPos": {"x": x, "y": y, **size}})
        x, height = x + size["w"], max(height, size["h"])
    return placed


def source_variable(name: str, kind: str, label: str) -> Panel:
    """Make the variable of a data source."""
    return {"name": name, "label": label, "type": "datasource", "query": kind, "refresh": 1, "hide": 0, "regex": ""}


def query_variable(name: str, label: str, *, is_multi: bool = True) -> Panel:
    """Make a variable that PostgreSQL is asked for."""
    statement = VARIABLES[name]
    more = {"multi": is_multi, "includeAll": is_multi}
    if is_multi:
        more["current"] = {"text": ["All"], "value": ["$__all"]}
    base = {"name": name, "label": label, "type": "query", "datasource": POSTGRES, "query": statement}
    return {**base, "definition": statement, "refresh": 2, "sort": 0, "hide": 0, "regex": "", **more}


def stage_variable() -> Panel:
    """Make the variable of the two stages."""
    values = {"completed": "Completed · 补全", "immediate": "Immediate · 即时"}
    options = [{"text": text, "value": value, "selected": value == "completed"} for value, text in values.items()]
    query = ",".join(f"{text} : {value}" for value, text in values.items())
    current = {"text": values["completed"], "value": "completed"}
    base = {"name": "stage", "label": "Stage · 阶段", "type": "custom", "query": query, "options": options}
    return {**base, "current": current, "multi": False, "includeAll": False, "hide": 0}


def dashboard(uid: str, title: str, variables: list[Panel], panels: list[Panel], **more: str) -> Panel:
    """Make a dashboard; `since` is its time range, `refresh` how often it looks again."""
    links = [{"type": "dashboards", "tags": ["hj212gw"], "title": "hj212gw", "asDropdown": True, "keepTime": True}]
    return {
        "uid": uid,
        "title": title,
        "tags": ["hj212gw"],
        "timezone": "Asia/Shanghai",
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": more["refresh"],
        "time": {"from": more["since"], "to": "now"},
        "templating": {"list": variables},
        "annotations": {"list": []},
        "links": links,
        "panels": arrange(panels),
    }


def sources() -> list[Panel]:
    """Make the variables of both data sources."""
    return [
        source_variable("prometheus", "prometheus", "Prometheus"),
        source_variable("postgres", "grafana-postgresql-datasource", "PostgreSQL"),
    ]
