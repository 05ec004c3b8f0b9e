"""What the sheets of a report hold, in the words of a bureau: headings, rows, notes."""

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from hj212gw import __version__
from hj212gw.assessment.rates import show_percent, validity_of_received
from hj212gw.assessment.reports import Bound, Figure, LostHour, Report, Spread
from hj212gw.protocol.times import WIRE_ZONE

LEVEL_NAMES = {"outlet": "监控点", "enterprise": "企业", "county": "区县", "city": "全市"}
STAGE_NAMES = {"immediate": "即时", "completed": "补全"}
STATE_NAMES = {"missing": "缺失", "late": "迟到", "flag": "数据标识", "mark": "标记", "partial": "数值不全"}
NO_RATE_NAMES = {
    "nothing is due": "无应报数据",
    "stopped or excused all the time": "停运或全部不参与考核",
    "nothing the policy assesses": "没有考核办法所考核的因子",
}
DENOMINATOR_NAMES = {
    "expected": "有效率分母为应收组数",
    "received": "有效率分母为收到组数",
    "none": "有效率固定为100%",
}
# Reasons of lost hours, as the calculation words them; what is not here stays as it is.
_REASONS = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (r"nothing came", "未收到数据"),
        (r"was filled in later", "事后补缺"),
        (r"came after the cut-off, (\S+)", r"晚于截止时间 \1 到达"),
        (
            r"device marks leave less than (\d+) minutes, or a further check lies in it",
            r"扣除设备标记后不足 \1 分钟，或有再次标样核查",
        ),
        (r"(\d+) of (\d+) values came, the mean did not", r"应收 \2 个数值,收到 \1 个,缺均值"),
        (r"(\d+) of (\d+) values came", r"应收 \2 个数值,收到 \1 个"),
        (r"no flow, and no stop is recorded", "流量为零,且没有停运记录"),
        (r"its data flag is not (.+)", r"数据标识不是 \1"),
    )
)
SETTING_NAMES = {
    "policy": "考核办法",
    "threshold": "目标(%),空为办法自带",
    "immediate_cutoff_hours": "即时截止:日末后小时数",
    "completed_days": "补全截止:数据日后天数",
    "immediate_by": "即时的判定:按到达时间或按来源标识",
    "v_denominator": "有效率分母:应收组数或收到组数",
    "t_unit": "传输率计数:数值或组",
    "combine": "传输有效率的合成方式",
    "expected_groups": "应收组数:扣除或不扣除不参与组数",
    "stop_partial": "部分停运小时的处理",
    "manual": "手工监测值计入的阶段",
    "manual_min_per_day": "手工监测值每日最少个数",
    "manual_max_hours": "一个手工监测值最长覆盖小时数",
    "interruption": "通讯中断标记:仅说明或豁免",
    "not_responsible": "非排污单位责任:从哪些率中扣除",
    "not_responsible_minutes": "非排污单位责任:每小时须超过的分钟数",
    "uncounted_factors": "只展示不计入的因子",
    "qc_exempt_scope": "标样核查豁免:按因子或按监控点",
    "qc_exempt_hours": "标样核查每日豁免小时数",
    "qc_factors": "自动标样核查的因子",
    "zero_flow": "零流量小时的处理",
    "flow_factors": "流量因子",
    "rollup": "汇总方式",
    "rounding": "百分数取位:截断或四舍五入",
    "nothing_due": "无应报数据时的率",
    "records": "计入的数据类型",
    "invalid_received": "无效数据是否算已传输",
    "unconverted": "缺少部分数值的组是否有效",
    "exceeding": "超标值是否有效",
    "corrections": "修约后采用的值",
    "period_figure": "月、年数据的合成方式",
    "base_list": "考核名单的来源",
    "void_marks": "虚假标记失效的起点",
    "vouchers": "凭证逾期的标记是否失效",
    "valid_minutes": "有效小时须无标记的分钟数",
    "good_flags": "有效的数据标识",
}

_QUARTER = 3


class Column(NamedTuple):
    """A column: what stands above it, how wide it is, and what its cells are: text, count, percent, moment."""

    heading: str
    width: int
    kind: str = "text"


class Sheet(NamedTuple):
    """A sheet: lines above the table, then the table; `rows` may be many and are gone through once."""

    name: str
    columns: tuple[Column, ...]
    rows: Iterable[tuple[Any, ...]]
    notes: tuple[str, ...] = ()


_WHO = (Column("编号", 14), Column("名称", 22))
_COUNTS = (
    Column("考核期", 13),
    Column("阶段", 6),
    Column("应收个数", 9, "count"),
    Column("实报数", 9, "count"),
    Column("应收组数", 9, "count"),
    Column("不参与组数", 9, "count"),
    Column("收到组数", 9, "count"),
    Column("有效组数", 9, "count"),
    Column("传输率", 9, "percent"),
    Column("有效率", 9, "percent"),
    Column("有效率(按收到组数)", 12, "percent"),
    Column("传输有效率", 9, "percent"),
    Column("目标", 8, "percent"),
    Column("是否达标", 9),
)
_MEANS = (Column("监控点平均", 9, "percent"), Column("企业平均", 9, "percent"))
_END = (Column("状态", 6), Column("无传输率原因", 18))
_UNCOUNTED = (Column("监控点", 14), Column("名称", 22), Column("因子", 9), Column("因子名称", 14))
_LOST = (
    Column("监控点", 14),
    Column("名称", 22),
    Column("企业", 22),
    Column("因子", 9),
    Column("因子名称", 14),
    Column("小时", 16, "moment"),
    Column("阶段", 6),
    Column("状态", 9),
    Column("原因", 36),
    Column("补救办法", 34),
    Column("补救截止", 16, "moment"),
)
_SETTINGS = (Column("设置", 24), Column("含义", 36), Column("取值", 36), Column("区间中试用的取值", 40))
_SPREADS = (
    Column("层级", 8),
    *_WHO,
    Column("考核期", 13),
    Column("阶段", 6),
    Column("本次", 10, "percent"),
    Column("最低", 10, "percent"),
    Column("最高", 10, "percent"),
    Column("提示", 18),
    Column("最低时的设置", 36),
    Column("最高时的设置", 36),
)


def make_sheets(report: Report) -> list[Sheet]:
    """Return the sheets of a report in order; those of what nobody asked for say so."""
    return [
        _make_summary(report),
        _make_figures(report, "企业", "enterprise"),
        _make_figures(report, "监控点", "outlet"),
        _make_uncounted(report),
        _make_lost_hours(report),
        _make_settings(report),
        _make_spreads(report),
    ]


def name_range(report: Report) -> str:
    """Return the range of days a report is of: a year, a month, or first and last day."""
    first, last = report.from_day, report.to_day - timedelta(days=1)
    if (first.month, first.day, last.month, last.day) == (1, 1, 12, 31) and first.year == last.year:
        return f"{first:%Y}"
    if first.day == 1 and report.to_day.day == 1 and (first.year, first.month) == (last.year, last.month):
        return f"{first:%Y-%m}"
    return f"{first:%Y-%m-%d}" if first == last else f"{first:%Y-%m-%d}至{last:%Y-%m-%d}"


def name_moment(moment: datetime) -> str:
    """Return a moment on UTC+8."""
    return f"{moment.astimezone(WIRE_ZONE):%Y-%m-%d %H:%M:%S}"


def _make_summary(report: Report) -> Sheet:
    threshold = show_percent(report.policy.threshold / 100)
    denominator = DENOMINATOR_NAMES[report.policy.v_denominator]
    notes = (
        f"{report.city}自动监控数据传输有效率考核 {name_range(report)}",
        f"考核办法 {report.policy.name},目标 {threshold}%,{denominator},计算时间 {name_moment(report.now)}",
        *_name_arrivals(report),
    )
    figures = [figure for figure in report.figures if figure.level in ("city", "county")]
    rows = ((LEVEL_NAMES[figure.level], *_make_row(figure, report, len(_MEANS))) for figure in figures)
    return Sheet("全市汇总", (Column("层级", 8), *_WHO, *_COUNTS, *_MEANS, *_END), rows, notes)


def _name_arrivals(report: Report) -> Iterator[str]:
    kind, _, name = report.arrivals.partition(":")
    if report.is_estimate:
        yield "按本网关收到数据的时间计算,是对上级平台考核结果的估算,以上级平台公布的为准"
    elif kind == "upstream":
        yield f"按上级平台 {name} 记录的到达时间和标记计算"
    else:
        yield f"按文件 {name} 中的到达时间和标记计算"


def _make_figures(report: Report, name: str, level: str) -> Sheet:
    means = 1 if level == "enterprise" else 0
    figures = [figure for figure in report.figures if figure.level == level]
    rows = (_make_row(figure, report, means) for figure in figures)
    return Sheet(name, (*_WHO, *_COUNTS, *_MEANS[:means], *_END), rows, () if figures else ("未计算这一层级",))


def _make_row(figure: Figure, report: Report, means: int) -> tuple[Any, ...]:
    """Make the row of a figure, with so many of its means: of points, of enterprises."""
    counts, rate = figure.counts, figure.rate
    numbers = (
        counts.expected_values,
        counts.reported_values,
        counts.expected_groups,
        counts.groups_not_taking_part,
        counts.groups_received,
        counts.valid_groups,
    )
    received = validity_of_received(counts)
    rates = [_cut(value, report) for value in (rate.transmission, rate.validity, received, rate.effective)]
    verdict = {None: "无传输率", True: "达标", False: "未达标"}[rate.passed]
    reason = figure.no_rate_reason or ""
    return (
        figure.id,
        figure.name,
        _name_period(figure, report),
        STAGE_NAMES[figure.stage],
        *numbers,
        *rates,
        report.policy.threshold / 100,
        verdict,
        *(
            _cut(mean and mean.effective, report)
            for mean in (figure.mean_of_points, figure.mean_of_enterprises)[:means]
        ),
        "暂定" if figure.provisional else "最终",
        NO_RATE_NAMES.get(reason, reason),
    )


def _cut(fraction: Fraction | None, report: Report) -> Fraction | None:
    """Return a fraction as it is shown: no reader of the sheet rounds what is cut already."""
    text = show_percent(fraction, report.settings.get("rounding", "truncate"))
    return None if text is None else Fraction(text) / 100


def _name_period(of: Figure | Spread, report: Report) -> str:
    start = of.period_start
    names = {
        "day": f"{start:%Y-%m-%d}",
        "month": f"{start:%Y-%m}",
        "quarter": f"{start:%Y}年第{(start.month - 1) // _QUARTER + 1}季度",
        "year": f"{start:%Y}",
    }
    return names.get(of.period, name_range(report))


def _make_uncounted(report: Report) -> Sheet:
    names = report.names
    rows = [
        (outlet, names.get(("outlet", outlet), ""), factor, names.get(("factor", factor), ""))
        for outlet, factor in report.uncounted
    ]
    note = "名单上按设置 uncounted_factors 只展示、不计入考核的因子" if rows else "名单上的因子全部计入"
    return Sheet("只展示不计入", _UNCOUNTED, rows, (note,))


def _make_lost_hours(report: Report) -> Sheet:
    if report.lost_hours is None:
        return Sheet("丢失小时", _LOST, (), ("未列出丢失小时(计算时加 --explain)",))
    rows = (_make_lost_row(lost, report) for lost in report.lost_hours)
    return Sheet("丢失小时", _LOST, rows, () if report.lost_hours else ("没有丢失小时",))


def _make_lost_row(lost: LostHour, report: Report) -> tuple[Any, ...]:
    hour = lost.hour.astimezone(WIRE_ZONE)
    ends_at = _end_of(hour.date(), lost.stage, report.settings)
    owner = lost.enterprise or ""
    return (
        lost.outlet,
        report.names.get(("outlet", lost.outlet), ""),
        report.names.get(("enterprise", owner), owner),
        lost.factor,
        report.names.get(("factor", lost.factor), ""),
        hour,
        STAGE_NAMES[lost.stage],
        STATE_NAMES.get(lost.state, lost.state),
        _translate(lost.reason),
        _find_remedy(lost, ends_at, report),
        ends_at,
    )


def _find_remedy(lost: LostHour, ends_at: datetime, report: Report) -> str:
    """Say what still helps an hour at its stage; nothing does once that is closed."""
    if report.now <= ends_at:
        return report.remedies.get((lost.stage, lost.state, lost.is_dry), "")
    if (lost.stage, lost.state) == ("immediate", "late"):
        return "即时阶段已无法补救,补全截止前到达的计入补全阶段"
    return "已过截止时间"


@lru_cache(maxsize=4096)
def _translate(reason: str) -> str:
    for pattern, text in _REASONS:
        found = pattern.fullmatch(reason)
        if found:
            return found.expand(text)
    return reason


def _end_of(day: date, stage: str, settings: dict[str, Any]) -> datetime:
    """Return the last moment in which something of a day can still reach a stage."""
    days = 1 if stage == "immediate" else int(settings.get("completed_days", 10))
    hours = int(settings.get("immediate_cutoff_hours", 12)) if stage == "immediate" else 0
    end = datetime.combine(day + timedelta(days=days), time(), WIRE_ZONE) + timedelta(hours=hours)
    return end if stage == "immediate" else end + timedelta(days=1, seconds=-1)


def _make_settings(report: Report) -> Sheet:
    facts = [
        ("考核期", "", name_range(report), ""),
        ("计算时间", "", name_moment(report.now), ""),
        ("软件版本", "", f"hj212gw {__version__}", ""),
        ("考核办法", "名称", report.policy.name, ""),
        ("考核办法", "传输率计数", report.policy.t_unit, ""),
        ("考核办法", "有效率分母", report.policy.v_denominator, ""),
        ("考核办法", "合成方式", report.policy.combine, ""),
        ("考核办法", "目标(%)", show_percent(report.policy.threshold / 100), ""),
        ("到达时间的来源", *_name_arrivals(report), report.arrivals, ""),
    ]
    settings = [
        (name, SETTING_NAMES.get(name, ""), _show_value(value), " | ".join(report.varied.get(name, ())))
        for name, value in report.settings.items()
    ]
    return Sheet("计算设置", _SETTINGS, [*facts, *settings])


def _show_value(value: Any) -> str:
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _make_spreads(report: Report) -> Sheet:
    if report.spreads is None:
        return Sheet("区间", _SPREADS, (), ("未计算区间(计算时加 --range)",))
    rows = (_make_spread_row(spread, report) for spread in report.spreads)
    return Sheet("区间", _SPREADS, rows, ("在未公开规则的各种取值下,同一数据的最低和最高传输有效率",))


def _make_spread_row(spread: Spread, report: Report) -> tuple[Any, ...]:
    lowest, highest = spread.lowest, spread.highest
    is_low = lowest is not None and lowest.effective * 100 < report.policy.threshold
    return (
        LEVEL_NAMES[spread.level],
        spread.id,
        spread.name,
        _name_period(spread, report),
        STAGE_NAMES[spread.stage],
        _cut(spread.configured, report),
        _cut(lowest and lowest.effective, report),
        _cut(highest and highest.effective, report),
        "警告:最低值未达标" if is_low else "",
        _show_bound(lowest),
        _show_bound(highest),
    )


def _show_bound(bound: Bound | None) -> str:
    return "" if bound is None else "; ".join(f"{name}={value}" for name, value in bound.settings.items())
