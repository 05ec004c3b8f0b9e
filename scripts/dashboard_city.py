"""The City dashboard: data loggers, rates, lost hours."""

from dashboard_panels import (
    ABOVE_ZERO,
    RATES,
    WIDTH,
    Panel,
    ask,
    dashboard,
    field,
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
from dashboard_queries import CITY


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
