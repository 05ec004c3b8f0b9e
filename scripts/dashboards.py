#!/usr/bin/env python3
"""Write the dashboards of config/grafana/dashboards: Gateway, City, Outlet.

`make docs` runs it; `tests/watch` compares, and asks what the panels ask. Titles are English and Chinese. A data source
is a variable, so that a dashboard works wherever it is imported. Every SQL panel asks views that analysts may read,
with its time range as a condition that finds partitions.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dashboard_queries import CITY, OUTLET, VARIABLES

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path("config/grafana/dashboards")
WIDTH = 24
SCHEMA_VERSION = 39  # Grafana 11

PROMETHEUS = {"type": "prometheus", "uid": "${prometheus}"}
POSTGRES = {"type": "grafana-postgresql-datasource", "uid": "${postgres}"}
INSTANCE = 'instance=~"$instance"'

Panel = dict[str, Any]
# Colours of thresholds: from which value on.
RATES = ((None, "red"), (0.95, "green"))
ABOVE_ZERO = ((None, "red"), (0, "green"))
ZERO_IS_GOOD = ((None, "green"), (1, "red"))
ONE_IS_GOOD = ((None, "red"), (1, "green"))
SHARES = ((None, "green"), (0.5, "orange"), (0.8, "red"))
QUIET = ((None, "text"),)
FLAGS = {
    "N": ("正常 normal", "green"),
    "F": ("停运 stopped", "blue"),
    "M": ("维护 maintenance", "yellow"),
    "S": ("手工 manual", "purple"),
    "D": ("故障 fault", "red"),
    "C": ("校准 calibration", "yellow"),
    "T": ("超限 out of range", "orange"),
    "B": ("通讯异常 no contact", "dark-red"),
}


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
    """Make a panel; `unit`, `steps`, `custom`, `overrides` and more say how it looks, `since` of which time."""
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
    return panel("table", title, [select(statement)], (width, 9), options={"showHeader": True}, **more)


def field(name: str, **properties: Any) -> Panel:
    """Say how one column looks; `unit`, `links`, `displayName`, `decimals`, `thresholds`, `custom.cellOptions`."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()],
    }


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


def instance_variable() -> Panel:
    """Make the variable of the gateway's processes."""
    query = {"query": "label_values(hj212gw_build_info, instance)", "refId": "instance"}
    base = {"name": "instance", "label": "Process · 进程", "type": "query", "datasource": PROMETHEUS, "query": query}
    current = {"text": ["All"], "value": ["$__all"]}
    more = {"multi": True, "includeAll": True, "allValue": ".*", "current": current}
    return {**base, "definition": query["query"], "refresh": 2, "sort": 1, "hide": 0, "regex": "", **more}


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


def rate(name: str, matchers: str = "") -> str:
    """Write how fast a counter of the gateway grows."""
    return f"rate(hj212gw_{name}_total{{{INSTANCE}{matchers}}}[$__rate_interval])"


def gauge(name: str) -> str:
    """Write a gauge or a recorded series of the gateway."""
    return f"{name}{{{INSTANCE}}}"


def known(name: str) -> str:
    """Write a gauge that one panel shows the value of: a process that has none of it, where it is NaN, is left out."""
    return f"{gauge(name)} >= 0"


def quantile(share: float, name: str, *labels: str) -> str:
    """Write a quantile of a histogram of the gateway."""
    by = ", ".join(("instance", *labels, "le"))
    return f"histogram_quantile({share}, sum by ({by}) (rate({name}_bucket{{{INSTANCE}}}[$__rate_interval])))"


def make_gateway() -> Panel:
    """Make the dashboard of flow, answers, journal, database and processes."""
    named = "{{instance}}"
    acks, fsync = "hj212gw_ack_duration_seconds", "hj212gw_journal_fsync_duration_seconds"
    now = [
        stat(
            "Ready · 就绪",
            [ask_now(f'hj212gw_ready{{job="hj212gw-gateway", {INSTANCE}}}', named)],
            4,
            steps=ONE_IS_GOOD,
        ),
        stat("Database away · 数据库中断", [ask_now(known("hj212gw_store_away"), named)], 4, steps=ZERO_IS_GOOD),
        stat(
            "Alerts firing · 告警",
            [ask_now('count(ALERTS{alertname=~"Hj212.*", alertstate="firing"}) or vector(0)', "firing")],
            4,
            steps=ZERO_IS_GOOD,
        ),
        stat("Open connections · 连接数", [ask_now(known("hj212gw_sessions_open"), named)], 4),
        stat(
            "Journal waits for database · 日志积压",
            [ask_now(known("hj212gw:journal:used_ratio"), named)],
            4,
            unit="percentunit",
            steps=SHARES,
        ),
        stat(
            "Journal's disk free · 磁盘剩余",
            [ask_now(known("hj212gw:journal_disk:free_ratio"), named)],
            4,
            unit="percentunit",
            steps=((None, "red"), (0.1, "orange"), (0.3, "green")),
        ),
    ]
    flow = [
        lines(
            "Packets · 数据包",
            [
                ask(rate("frames_accepted"), f"accepted {named}"),
                ask(rate("packets_stored"), f"stored {named}"),
                ask(rate("packets_repeated"), f"repeated {named}"),
            ],
            unit="pps",
        ),
        lines("Readings stored · 入库监测值", [ask(rate("readings_stored"), named)], unit="cps"),
        lines(
            "Rejected by reason · 拒收原因",
            [ask(f"sum by (reason) ({rate('frames_rejected')})", "{{reason}}")],
            unit="pps",
        ),
    ]
    answers = [
        lines(
            "Answer time · 应答时间",
            [ask(quantile(share, acks), f"p{share * 100:g} {named}") for share in (0.5, 0.99)],
            unit="s",
            steps=((None, "green"), (1, "red")),
        ),
        lines("Answers sent · 应答", [ask(f"sum by (cn) ({rate('acks_sent')})", "{{cn}}")], unit="pps"),
        lines(
            "Connections · 连接",
            [
                ask(gauge("hj212gw_sessions_open"), f"open {named}"),
                ask(gauge("hj212gw_sessions_limit"), f"limit {named}"),
                ask(rate("sessions_opened"), f"opened a second {named}"),
            ],
        ),
    ]
    journal = [
        lines(
            "Waiting for the database · 待入库",
            [ask(gauge("hj212gw_journal_pending_packets"), f"packets {named}")],
        ),
        lines(
            "Age of the oldest · 最早积压时长",
            [ask(gauge("hj212gw:journal_pending:age_seconds"), named)],
            unit="s",
            steps=((None, "green"), (600, "red")),
        ),
        lines(
            "Journal and disk · 日志与磁盘",
            [
                ask(gauge("hj212gw_journal_size_bytes"), f"files {named}"),
                ask(gauge("hj212gw_journal_pending_bytes"), f"pending {named}"),
                ask(gauge("hj212gw_journal_limit_bytes"), f"limit {named}"),
                ask(gauge("hj212gw_journal_disk_free_bytes"), f"disk free {named}"),
            ],
            unit="bytes",
        ),
        lines("Time of an fsync · 落盘时间", [ask(quantile(0.99, fsync), f"p99 {named}")], unit="s"),
    ]
    database = [
        lines(
            "Time of a batch · 入库批次时间",
            [ask(quantile(0.9, "hj212gw_store_batch_duration_seconds", "path"), "p90 {{path}} {{instance}}")],
            unit="s",
        ),
        lines(
            "Batches tried again, faults · 重试与故障",
            [
                ask(rate("store_retries"), f"retries {named}"),
                ask(f"sum by (reason) ({rate('store_failures')})", "{{reason}}"),
                ask(f"sum by (what) ({rate('faults_contained')})", "contained {{what}}"),
            ],
        ),
    ]
    processes = [
        lines("Memory · 内存", [ask(gauge("process_resident_memory_bytes"), named)], unit="bytes"),
        lines(
            "Processor · 处理器",
            [ask(f"rate(process_cpu_seconds_total{{{INSTANCE}}}[$__rate_interval])", named)],
            unit="percentunit",
        ),
        lines(
            "Open files · 打开文件",
            [ask(gauge("process_open_fds"), f"open {named}"), ask(gauge("process_max_fds"), f"limit {named}")],
        ),
    ]
    rows = {
        "Now · 当前": now,
        "Flow · 流量": flow,
        "Answers · 应答": answers,
        "Journal · 日志": journal,
        "Database · 数据库": database,
        "Processes · 进程": processes,
    }
    panels = [each for title, group in rows.items() for each in (row(title), *group)]
    variables = [source_variable("prometheus", "prometheus", "Prometheus"), instance_variable()]
    return dashboard("hj212gw-gateway", "Gateway · 网关", variables, panels, since="now-6h", refresh="30s")


def sources() -> list[Panel]:
    """Make the variables of both data sources."""
    return [
        source_variable("prometheus", "prometheus", "Prometheus"),
        source_variable("postgres", "grafana-postgresql-datasource", "PostgreSQL"),
    ]


def make_city() -> Panel:
    """Make the dashboard of data loggers, rates and lost hours."""
    to_outlet = [{"title": "Outlet · 排放口", "url": "/d/hj212gw-outlet?var-outlet=${__data.fields.outlet}"}]
    as_share = {"unit": "percentunit", "decimals": 2}
    coloured = {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in RATES]}
    rates = [
        field(name, **as_share, thresholds=coloured, custom__cellOptions={"type": "color-text"})
        for name in ("effective", "transmission", "validity")
    ]
    panels = [
        row("Now · 当前"),
        stat("Data loggers online · 在线数采仪", [select(CITY["loggers online"])], 6),
        stat("Effective rate · 有效传输率", [select(CITY["rates"])], 9, **as_share, steps=RATES),
        stat("Above the target · 高于目标", [select(CITY["above target"])], 9, **as_share, steps=ABOVE_ZERO),
        row("Rates · 传输有效率"),
        lines(
            "Rates of days · 日传输率",
            [select(CITY["rates of days"], is_series=True)],
            12,
            unit="percentunit",
            decimals=2,
            max=1,
            overrides=[
                field("target", custom__lineStyle={"fill": "dash"}, color={"mode": "fixed", "fixedColor": "red"})
            ],
        ),
        lines(
            "The month if it goes on like this · 月度预测",
            [
                ask('hj212gw:city_effective:month_forecast_ratio{stage="$stage"}', "forecast · 预测"),
                ask("hj212gw:city_effective:target_ratio", "target · 目标"),
            ],
            12,
            unit="percentunit",
            decimals=2,
            max=1,
        ),
        table("Counties · 区县", CITY["counties"], 12, overrides=rates),
        table(
            "Worst outlets of the month · 本月最差排放口",
            CITY["worst outlets"],
            12,
            overrides=[*rates, field("outlet", links=to_outlet)],
        ),
        row("Lost hours · 缺失小时"),
        panel(
            "timeseries",
            "Lost hours by reason · 缺失小时原因",
            [select(CITY["lost hours by reason"], is_series=True)],
            (12, 9),
            custom={"drawStyle": "bars", "fillOpacity": 70, "stacking": {"mode": "normal"}},
            since="14d",  # every lost hour is looked at: of more days it takes its time
            options={"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        ),
        table("What can still be saved · 可补救小时", CITY["what can be saved"], 12),
        table(
            "Silent data loggers · 离线数采仪",
            CITY["silent loggers"],
            WIDTH,
            overrides=[field("outlet", links=to_outlet)],
        ),
    ]
    variables = [
        *sources(),
        query_variable("county", "County · 区县"),
        query_variable("enterprise", "Enterprise · 企业"),
        stage_variable(),
    ]
    return dashboard("hj212gw-city", "City · 全市", variables, panels, since="now-30d", refresh="5m")


def make_outlet() -> Panel:
    """Make the dashboard of one outlet's values, flags, arrivals and gaps."""
    flags = [
        {
            "type": "value",
            "options": {flag: {"text": f"{flag} {text}", "color": color} for flag, (text, color) in FLAGS.items()},
        }
    ]
    timeline = {"showValue": "never", "mergeValues": True, "legend": {"displayMode": "list", "placement": "bottom"}}
    # A series of texts is no time series to Grafana's PostgreSQL: a table, cut into a row for each factor.
    cut = {"fields": ["metric"], "keepFields": False, "naming": {"asLabels": True}}
    pivot = [{"id": "partitionByValues", "options": cut}]
    panels = [
        row("Outlet · 排放口"),
        table("Who · 基本信息", OUTLET["who"], 16) | {"gridPos": {"w": 16, "h": 4}},
        stat(
            "Effective rate of the month · 本月有效传输率",
            [select(OUTLET["rates"])],
            8,
            unit="percentunit",
            decimals=2,
            steps=RATES,
            noValue="-",
        ),
        row("Values · 监测值"),
        lines("Real-time data · 实时数据", [select(OUTLET["real-time data"], is_series=True)], WIDTH),
        lines("Hour means and limits · 小时均值与限值", [select(OUTLET["hours"], is_series=True)], WIDTH),
        row("Flags · 数据标记"),
        panel(
            "state-timeline",
            "Flags of hours · 小时数据标记",
            [select(OUTLET["flags"])],
            (WIDTH, 8),
            mappings=flags,
            displayName="${__field.labels.metric}",
            options=timeline,
            transformations=pivot,
        ),
        row("Arrivals and gaps · 到达与缺口"),
        lines(
            "Uploads by command · 上传次数",
            [select(OUTLET["uploads"], is_series=True)],
            12,
            custom={"drawStyle": "bars", "fillOpacity": 70},
        ),
        lines("Delay of hours · 小时数据延迟", [select(OUTLET["delays"], is_series=True)], 12, unit="s"),
        table("Gaps · 缺口", OUTLET["gaps"], WIDTH),
    ]
    variables = [
        *sources(),
        query_variable("county", "County · 区县"),
        query_variable("enterprise", "Enterprise · 企业"),
        query_variable("outlet", "Outlet · 排放口", is_multi=False),
        query_variable("factor", "Factor · 因子"),
        stage_variable(),
    ]
    return dashboard("hj212gw-outlet", "Outlet · 排放口", variables, panels, since="now-24h", refresh="1m")


def make_all() -> dict[Path, str]:
    """Return every dashboard's text by its path in the project."""
    made = {"gateway": make_gateway(), "city": make_city(), "outlet": make_outlet()}
    return {
        FOLDER / f"{name}.json": json.dumps(each, ensure_ascii=False, indent=2) + "\n" for name, each in made.items()
    }


def main() -> None:
    """Write what differs and say so."""
    for path, text in make_all().items():
        if not (ROOT / path).exists() or (ROOT / path).read_text(encoding="utf-8") != text:
            (ROOT / path).write_text(text, encoding="utf-8")
            sys.stderr.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
