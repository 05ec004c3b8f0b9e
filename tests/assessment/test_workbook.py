"""The workbook of an assessment, opened with another library than the one that wrote it."""

import zipfile
from datetime import date, datetime, timedelta
from fractions import Fraction

import pytest
from openpyxl import load_workbook

from hj212gw import __version__
from hj212gw.assessment.rates import Counts, Policy, compute_rate
from hj212gw.assessment.reports import STATES, Bound, Figure, LostHour, Report, Spread
from hj212gw.assessment.sheets import SETTING_NAMES
from hj212gw.assessment.workbook import workbook_name, write_workbook
from hj212gw.config_assessment import AssessmentSettings
from hj212gw.protocol.times import WIRE_ZONE

POLICY = Policy("national_platform_v2", "value", "expected", "product", Fraction(95))
NOW = datetime(2026, 3, 2, 13, tzinfo=WIRE_ZONE)
# Cells hold no offset: they are of UTC+8.
HOUR, NOON, CLOSING = map(datetime.fromisoformat, ("2026-03-01T03:00", "2026-03-02T12:00", "2026-03-11T23:59:59"))
SHEETS = ["全市汇总", "企业", "监控点", "只展示不计入", "丢失小时", "计算设置", "区间"]
FULL = Counts(216, 216, 216, 0, 216, 202)  # 202/216: truncated 93.51, rounded 93.52
NAMES = {("outlet", "O1"): "锅炉", ("enterprise", "E1"): "纸厂", ("factor", "a21026"): "二氧化硫"}
REMEDIES = {
    (stage, state, is_dry): f"{stage} {state} {is_dry}"
    for stage in ("immediate", "completed")
    for state in STATES
    for is_dry in (False, True)
}
NOTHING = Counts(0, 0, 0, 48, 0, 0)


def make_figure(level, id_, counts, *, stage="immediate", means=None, name=None, reason=None):
    """A figure of one day."""
    rate = compute_rate(counts, POLICY)
    day = date(2026, 3, 1)
    return Figure(level, id_, name or id_, "day", day, stage, counts, rate, means, means, reason, stage == "completed")


def make_report(**changes):
    """A report of one day with every level."""
    mean = compute_rate(Counts(3, 3, 3, 0, 3, 2), POLICY)
    figures = [
        make_figure("city", "曲靖市", FULL, means=mean),
        make_figure("city", "曲靖市", FULL, stage="completed", means=mean),
        make_figure("county", "麒麟区", FULL, means=mean),
        make_figure("enterprise", "E1", FULL, means=mean, name='=HYPERLINK("http://x")'),
        make_figure("outlet", "O1", FULL, name="锅炉"),
        make_figure("outlet", "0012", NOTHING, reason="stopped or excused all the time"),
    ]
    settings = AssessmentSettings().model_dump(mode="json")
    report = Report(
        figures, POLICY, settings, date(2026, 3, 1), date(2026, 3, 2), "day", NOW, "local", "曲靖市",
        names=NAMES, remedies=REMEDIES,
    )  # fmt: skip
    return report._replace(**changes)


def make_lost(hour, state="missing", stage="completed", reason="nothing came", *, is_dry=False):
    """A lost hour of outlet O1."""
    at = datetime(2026, 3, 1, hour, tzinfo=WIRE_ZONE)
    return LostHour("O1", "a21026", at, stage, state, reason, "E1", is_dry=is_dry)


@pytest.fixture
def write(tmp_path):
    """Write a report and open what was written."""

    def _write(report, **options):
        path = tmp_path / workbook_name(report)
        write_workbook(path, report, **options)
        assert [file.name for file in tmp_path.iterdir()] == [path.name]
        return load_workbook(path)

    return _write


def find_heading(sheet):
    """The line of the headings: what is frozen ends with it."""
    column, line = sheet.freeze_panes[0], sheet.freeze_panes[1:]
    assert column == "A"
    return int(line) - 1


def read_table(sheet):
    """A sheet's table as dictionaries; its headings stand above the frozen line."""
    heading = find_heading(sheet)
    names = [cell.value for cell in sheet[heading]]
    rows = sheet.iter_rows(min_row=heading + 1, values_only=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_sheets(write):
    """Each has Chinese headings, a frozen line, a filter over the table, and a print set-up that repeats headings."""
    book = write(make_report(lost_hours=[make_lost(3)]))
    assert book.sheetnames == SHEETS
    for sheet in book:
        heading = find_heading(sheet)
        last = sheet.cell(max(sheet.max_row, heading), sheet.max_column).coordinate
        assert sheet.auto_filter.ref == f"A{heading}:{last}"
        assert sheet.print_title_rows == f"${heading}:${heading}"
        assert (sheet.page_setup.orientation, sheet.page_setup.paperSize) == ("landscape", 9)
        assert (sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight) in {(1, 0), (None, 0)}
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        assert all(sheet.column_dimensions[cell.column_letter].width >= 6 for cell in sheet[heading])
        assert all(cell.value and cell.font.bold for cell in sheet[heading])


def test_city(write):
    """Both stages against the target, means beside the pooled figure, and that local arrivals make an estimate."""
    sheet = write(make_report())["全市汇总"]
    assert sheet["A1"].value == "曲靖市自动监控数据传输有效率考核 2026-03-01"
    assert "有效率分母为应收组数" in sheet["A2"].value
    assert "估算" in sheet["A3"].value
    immediate, completed, county = read_table(sheet)
    assert (immediate["层级"], immediate["阶段"], completed["阶段"], county["层级"]) == ("全市", "即时", "补全", "区县")
    assert immediate["目标"] == 0.95
    assert immediate["是否达标"] == "未达标"
    assert immediate["监控点平均"] == immediate["企业平均"] == 0.6666
    assert (immediate["状态"], completed["状态"]) == ("最终", "暂定")


def test_percent_is_cut_not_rounded(write):
    """202/216 is 93.51 in the cell itself: whatever shows it has nothing left to round."""
    sheet = write(make_report())["监控点"]
    row = read_table(sheet)[0]
    assert (row["传输率"], row["有效率"], row["传输有效率"]) == (1, 0.9351, 0.9351)
    formats = {cell.value: cell.number_format for cell in sheet[2]}
    assert (formats[0.9351], formats[202], formats["锅炉"]) == ("0.00%", "#,##0", "@")
    assert (row["应收个数"], row["实报数"], row["应收组数"], row["有效组数"]) == (216, 216, 216, 202)


def test_validity_by_what_was_received_stands_beside_the_other(write):
    """Cut the same way; nothing where nothing came."""
    counts = Counts(216, 216, 216, 0, 212, 199)  # 199/212: truncated 93.86, rounded 93.87
    report = make_report(figures=[make_figure("outlet", "O1", counts), make_figure("outlet", "O2", NOTHING)])
    sheet = write(report)["监控点"]
    came, nothing = read_table(sheet)
    assert (came["有效率"], came["有效率(按收到组数)"]) == (0.9212, 0.9386)
    assert nothing["有效率(按收到组数)"] is None
    assert {cell.value: cell.number_format for cell in sheet[2]}[0.9386] == "0.00%"


def test_no_rate_has_its_reason(write):
    """An outlet where nothing was due has no figure, not nought and not a hundred."""
    row = read_table(write(make_report())["监控点"])[1]
    assert (row["编号"], row["传输有效率"], row["是否达标"]) == ("0012", None, "无传输率")
    assert row["无传输率原因"] == "停运或全部不参与考核"


@pytest.mark.parametrize(
    "name", ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(1)", "{=1}", "http://x.cn", "0123", "a\x01\ufffeb"]
)
def test_text_stays_text(write, name):
    """What a spreadsheet would calculate, open or shorten is a string, in names as in reasons."""
    report = make_report(figures=[make_figure("enterprise", "E1", FULL, name=name)], city=name)
    sheet = write(report._replace(lost_hours=[make_lost(3, reason=name)]))["企业"]
    cell = sheet["B2"]
    assert cell.data_type == "s"
    assert cell.hyperlink is None
    assert name in (cell.value, cell.value.replace("_x0001_", "\x01").replace("\ufffd", "\ufffe"))


def test_no_formula_in_the_file(tmp_path):
    """The XML itself holds no formula element."""
    path = tmp_path / "report.xlsx"
    write_workbook(path, make_report(lost_hours=[make_lost(1, reason="=1+1")]))
    with zipfile.ZipFile(path) as archive:
        sheets = [archive.read(name) for name in archive.namelist() if name.startswith("xl/worksheets/sheet")]
    assert len(sheets) == len(SHEETS)
    assert not any(b"<f>" in sheet for sheet in sheets)


@pytest.mark.parametrize(
    ("lost", "now", "remedy", "ends_at"),
    [
        (make_lost(3), NOW, "completed missing False", CLOSING),
        (make_lost(3), NOW + timedelta(days=10), "已过截止时间", CLOSING),
        (make_lost(3, stage="immediate"), NOW, "已过截止时间", NOON),
        (make_lost(3, "flag", "immediate"), NOW - timedelta(hours=1), "immediate flag False", NOON),
        (make_lost(3, "flag", "immediate", is_dry=True), NOW - timedelta(hours=1), "immediate flag True", NOON),
        (make_lost(3, "late", "immediate"), NOW - timedelta(hours=1), "immediate late False", NOON),
        (make_lost(3, "late", "immediate"), NOW, "即时阶段已无法补救,补全截止前到达的计入补全阶段", NOON),
        (make_lost(3, "late"), NOW + timedelta(days=10), "已过截止时间", CLOSING),
    ],
)  # fmt: skip
def test_lost_hour(write, lost, now, remedy, ends_at):
    """What was lost, whose, why, what still helps at its stage and until when; noon and the tenth day's end still count."""
    row = read_table(write(make_report(lost_hours=[lost], now=now))["丢失小时"])[0]
    assert (row["监控点"], row["名称"], row["因子"], row["原因"]) == ("O1", "锅炉", "a21026", "未收到数据")
    assert (row["企业"], row["因子名称"]) == ("纸厂", "二氧化硫")
    assert row["小时"] == HOUR
    assert (row["补救办法"], row["补救截止"]) == (remedy, ends_at)


def test_lost_hour_of_whom_the_registry_does_not_know(write):
    """Ids stand where names lack; an outlet may have been nobody's in an hour."""
    lost = [make_lost(3)._replace(outlet="O9", factor="a99999", enterprise=owner) for owner in ("E9", None)]
    rows = read_table(write(make_report(lost_hours=lost))["丢失小时"])
    assert [(row["名称"], row["企业"], row["因子"], row["因子名称"]) for row in rows] == [
        (None, "E9", "a99999", None),
        (None, None, "a99999", None),
    ]


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("came after the cut-off, 2026-03-02T12:00", "晚于截止时间 2026-03-02T12:00 到达"),
        ("2 of 3 values came, the mean did not", "应收 3 个数值,收到 2 个,缺均值"),
        ("2 of 3 values came", "应收 3 个数值,收到 2 个"),
        ("its data flag is not N or S", "数据标识不是 N or S"),
        ("something new", "something new"),
    ],
)
def test_reasons_are_in_chinese(write, reason, text):
    """Those that are known; others stay as they are."""
    row = read_table(write(make_report(lost_hours=[make_lost(3, reason=reason)]))["丢失小时"])[0]
    assert row["原因"] == text


def test_lost_hours_go_on_in_further_sheets(write):
    """More rows than a sheet holds: the next says so and has the headings again; nothing is cut."""
    lost = [make_lost(hour) for hour in range(24)]
    book = write(make_report(lost_hours=lost), rows_per_sheet=12)
    names = [name for name in book.sheetnames if name.startswith("丢失小时")]
    assert names == ["丢失小时", "丢失小时(2)", "丢失小时(3)"]
    assert book["丢失小时(2)"]["A1"].value == "接上页 丢失小时"
    assert all(book[name].max_row <= 12 for name in names)
    hours = [row["小时"].hour for name in names for row in read_table(book[name])]
    assert hours == list(range(24))


def test_what_is_listed_and_not_counted(write):
    """By name: an outlet with nothing else is on no other sheet, and its absence would be taken for an omission."""
    sheet = write(make_report(uncounted=[("O1", "a21026"), ("O9", "w01001")]))["只展示不计入"]
    assert [tuple(row.values()) for row in read_table(sheet)] == [
        ("O1", "锅炉", "a21026", "二氧化硫"),
        ("O9", None, "w01001", None),
    ]
    assert "uncounted_factors" in sheet["A1"].value
    nothing = write(make_report())["只展示不计入"]
    assert (nothing["A1"].value, read_table(nothing)) == ("名单上的因子全部计入", [])


@pytest.mark.parametrize(("name", "note"), [("丢失小时", "--explain"), ("区间", "--range")])
def test_what_nobody_asked_for(write, name, note):
    """Its sheet is there, empty, and says how to get it."""
    sheet = write(make_report())[name]
    assert note in sheet["A1"].value
    assert read_table(sheet) == []


def test_settings(write):
    """Every setting used with its meaning, the policy, period, time, version, and what the ranges tried."""
    report = make_report(varied={"v_denominator": ("expected", "received")})
    rows = read_table(write(report)["计算设置"])
    found = {row["设置"]: row for row in rows}
    assert set(AssessmentSettings.model_fields) <= set(found)
    assert set(SETTING_NAMES) == set(AssessmentSettings.model_fields)
    assert found["v_denominator"]["区间中试用的取值"] == "expected | received"
    assert (found["软件版本"]["取值"], found["计算时间"]["取值"]) == (f"hj212gw {__version__}", "2026-03-02 13:00:00")
    assert (found["考核期"]["取值"], found["qc_factors"]["取值"]) == ("2026-03-01", "w01018 w21003 w21011 w21001")
    assert {"national_platform_v2", "95.00"} <= {row["取值"] for row in rows if row["设置"] == "考核办法"}


def test_ranges(write):
    """The lowest and highest with the settings that give them; a lowest under the target warns."""
    low = Bound(Fraction(202, 216), {"v_denominator": "expected", "rounding": "truncate"})
    high = Bound(Fraction(1), {"v_denominator": "received"})
    spread = Spread("outlet", "O1", "锅炉", "day", date(2026, 3, 1), "completed", Fraction(202, 216), low, high)
    rows = read_table(write(make_report(spreads=[spread, spread._replace(lowest=high)]))["区间"])
    assert (rows[0]["本次"], rows[0]["最低"], rows[0]["最高"]) == (0.9351, 0.9351, 1)
    assert rows[0]["最低时的设置"] == "v_denominator=expected; rounding=truncate"
    assert [row["提示"] for row in rows] == ["警告:最低值未达标", None]


@pytest.mark.parametrize(
    ("first", "after", "name"),
    [
        ((2026, 3, 1), (2026, 3, 2), "曲靖市_传输有效率_2026-03-01.xlsx"),
        ((2026, 3, 1), (2026, 4, 1), "曲靖市_传输有效率_2026-03.xlsx"),
        ((2026, 1, 1), (2027, 1, 1), "曲靖市_传输有效率_2026.xlsx"),
        ((2026, 2, 27), (2026, 3, 2), "曲靖市_传输有效率_2026-02-27至2026-03-01.xlsx"),
    ],
)
def test_period_is_in_the_name(first, after, name):
    """A year, a month, a day, or the first and the last day."""
    assert workbook_name(make_report(from_day=date(*first), to_day=date(*after))) == name


def test_city_cannot_lead_elsewhere():
    """A name with slashes is no path."""
    assert workbook_name(make_report(city="../../etc/x")) == "etc_x_传输有效率_2026-03-01.xlsx"


def test_failed_write_leaves_the_old_file(tmp_path):
    """Whole or not at all."""

    def lost_hours():
        yield make_lost(1)
        raise LookupError("gone")

    path = tmp_path / "report.xlsx"
    write_workbook(path, make_report())
    before = path.read_bytes()
    with pytest.raises(LookupError):
        write_workbook(path, make_report(lost_hours=lost_hours()))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["report.xlsx"]
