"""The Outlet dashboard: values, flags, arrivals, gaps."""

from dashboard_panels import (
    RATES,
    WIDTH,
    Panel,
    dashboard,
    lines,
    panel,
    query_variable,
    row,
    select,
    sources,
    stage_variable,
    stat,
    table,
)
from dashboard_queries import OUTLET

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
        lines("Real-time data · 实时数据", [select(OUTLET["real-time data"], is_series=True)], 12, repeat="factor"),
        lines("Hour means and limits · 小时均值与限值", [select(OUTLET["hours"], is_series=True)], 12, repeat="factor"),
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
