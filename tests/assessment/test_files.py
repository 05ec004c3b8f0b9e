"""Tests of the CSV files of an assessment: what a line holds, and every fault with its file, line, column and reason."""

import asyncio
import io
import re
from datetime import UTC, datetime

import pytest

from hj212gw.assessment.files import BASE_COLUMNS, MARK_COLUMNS, read_base_list, read_marks
from hj212gw.assessment.hours import HOUR_COLUMNS, HoursReader
from hj212gw.assessment.tables import Source
from hj212gw.registry.findings import Findings, Level
from hj212gw.registry.markkinds import KINDS_OF_MARKS
from hj212gw.store.migrate import migrate
from hj212gw.store.pool import connected

BASE = [
    "E1,Hongta,W1,water,w01018,1,2026-03-01,2026-04-01",
    "E1,Hongta,W1,water,w21003,1,2026-03-01T08:00,",
    "E2,,G1,gas,a21026,3,,",
]
HOUR = "W1,w01018,2026-03-02T05:00,2026-03-02T06:01:30,1,true,N"
MARK = "G1,*,stop,2026-03-02T05:10,2026-03-02T07:00,2026-03-02T09:00,"


def source(name, columns, *lines, findings=None, header=None):
    """A file of these lines."""
    text = "\n".join([",".join(columns) if header is None else header, *lines, ""])
    return Source(name, io.BytesIO(text.encode()), findings or Findings())


def read_base(*lines, findings=None, header=None):
    """A base list of these lines."""
    return read_base_list(source("base_list.csv", BASE_COLUMNS, *lines, findings=findings, header=header))


def read_hours(*lines, header=None, findings=None, base=BASE):
    """Lines of COPY of hours of these lines."""
    reader = HoursReader(read_base(*base, findings=findings), "files")
    batches = reader.read(source("hours.csv", HOUR_COLUMNS, *lines, findings=findings, header=header))
    return b"".join(batches).decode().splitlines(), reader


def test_base_list():
    """Each cell means what the issue says; an empty end is open, times are those of UTC+8."""
    findings = Findings()
    base = read_base(*BASE, findings=findings)
    assert findings.kept() == []
    assert base.rows[0] == (
        *("W1", "E1", "Hongta", "water", "w01018", 1),
        *(datetime(2026, 2, 28, 16, tzinfo=UTC), datetime(2026, 3, 31, 16, tzinfo=UTC)),
    )
    assert base.rows[1].from_at == datetime(2026, 3, 1, tzinfo=UTC)
    assert base.rows[2][2:] == (None, "gas", "a21026", 3, None, None)


def test_header_in_any_order_with_a_bom():
    """Columns are found by their names."""
    findings = Findings()
    header = "\ufeffto,from,fields,factor,medium,outlet,county,enterprise"
    base = read_base("2026-04-01,2026-03-01,1,w01018,water,W1,Hongta,E1", findings=findings, header=header)
    assert findings.kept() == []
    assert base.rows == read_base(BASE[0]).rows


@pytest.mark.parametrize(
    ("cells", "column", "reason"),
    [
        ({"enterprise": ""}, "enterprise", "expected 1 to 64 printable characters, no spaces"),
        ({"outlet": "W 1"}, "outlet", "expected 1 to 64 printable characters, no spaces"),
        ({"medium": "noise"}, "medium", "expected one of water, gas, came 'noise'"),
        ({"factor": ""}, "factor", "came nothing"),
        ({"fields": "0"}, "fields", "expected a whole number, 1 to 8, came '0'"),
        ({"fields": "9"}, "fields", "expected a whole number, 1 to 8, came '9'"),
        ({"fields": "many"}, "fields", "expected a whole number, 1 to 8, came 'many'"),
        ({"from": "1 March"}, "from", "expected a time on UTC+8 such as 2026-01-31T08:00"),
        ({"from": "2026-02-30"}, "from", "came '2026-02-30'"),
        ({"to": "2026-03-01"}, "to", "expected a moment after from, 2026-03-01T00:00, came 2026-03-01T00:00"),
        ({"to": "2026-02-01"}, "to", "expected a moment after from"),
    ],
)
def test_bad_cell_of_base_list(cells, column, reason):
    """The finding names file, line, column, what was expected and what came."""
    findings = Findings()
    row = {**dict(zip(BASE_COLUMNS, BASE[0].split(","), strict=True)), **cells}
    read_base(BASE[2], ",".join(row.values()), findings=findings)
    (finding,) = findings.kept()
    assert (finding.file, finding.line, finding.column) == ("base_list.csv", 3, column)
    assert reason in finding.message


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        ("E1,Hongta,W1,gas,a21026,3,,", "medium", "expected water as in the outlet's other lines, came 'gas'"),
        ("E1,Hongta,W1,water,w01018,1,2026-03-31,2026-05-01", "factor", "an earlier line overlaps"),
        ("E2,Hongta,W1,water,w21011,1,2026-03-31,2026-05-01", "enterprise", "expected E1 in Hongta"),
        ("E1,Jiangchuan,W1,water,w21011,1,2026-03-31,2026-05-01", "enterprise", "expected E1 in Hongta"),
    ],
)
def test_line_that_contradicts_an_earlier_one(line, column, reason):
    """An outlet is one thing at a time, and each of its hours is listed once."""
    findings = Findings()
    read_base(*BASE, line, findings=findings)
    (finding,) = findings.kept()
    assert (finding.line, finding.column) == (5, column)
    assert reason in finding.message


def test_outlet_may_change_hands():
    """One line ends where the next begins."""
    findings = Findings()
    base = read_base(BASE[0], "E2,Jiangchuan,W1,water,w01018,1,2026-04-01,", findings=findings)
    assert findings.kept() == []
    assert len(base.rows) == 2


def test_factor_that_is_not_in_the_catalogue():
    """Is a warning: rules that name factors do not see it."""
    findings = Findings()
    read_base("E1,,W1,water,COD,1,,", "E1,,W2,water,COD,1,,", findings=findings)
    (finding,) = findings.kept()
    assert (finding.level, finding.line) == (Level.WARNING, 2)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("enterprise,county,outlet,medium,factor,fields,from", "missing column 'to'"),
        (",".join([*BASE_COLUMNS, "note"]), "unknown column 'note'"),
        (",".join([*BASE_COLUMNS, "to"]), "column 'to' stands twice"),
        (";".join(BASE_COLUMNS), "came ';' between the names, not commas"),
        ("\t".join(BASE_COLUMNS), "came a tab between the names, not commas"),
        ("", "came an empty file"),
        (",,", "came an empty file"),
    ],
)
def test_bad_header(header, reason):
    """Nothing is read below it."""
    findings = Findings()
    base = read_base(*BASE, findings=findings, header=header)
    (finding,) = findings.kept()
    assert (finding.line, finding.column) == (1, "header")
    assert reason in finding.message
    assert base.rows == []


def test_columns_without_a_name_at_the_end_are_left():
    """Spreadsheets save columns that once held something."""
    findings = Findings()
    base = read_base(*(f"{line},," for line in BASE), findings=findings, header=f"{','.join(BASE_COLUMNS)},,")
    assert (findings.kept(), len(base.rows)) == ([], len(BASE))


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [
        (",".join(BASE_COLUMNS).encode() + b"\nE1,\xba\xec\xcb\xfe,W1,water,w01018,1,,\n", 2, "file"),
        (",".join(BASE_COLUMNS).encode() + b'\nE1,"a"b,W1,water,w01018,1,,\n', 2, "row"),
        (",".join(BASE_COLUMNS).encode() + b"\nE1,a,W1,water,w01018,1\n", 2, "row"),
        (b"", 1, "header"),
    ],
)
def test_file_that_is_no_csv(content, line, column):
    """GBK, a broken quote, a row of another length, an empty file."""
    findings = Findings()
    read_base_list(Source("base_list.csv", io.BytesIO(content), findings))
    assert {(finding.line, finding.column) for finding in findings.kept()} == {(line, column)}


def test_hours():
    """A line becomes text of COPY, with UTC in it; empty lines, spaces and the label for filled in are understood."""
    lines, reader = read_hours(
        HOUR, "", " W1 , w01018 ,2026-03-02 06:00,2026-03-03, 0 ,No,", findings=(found := Findings())
    )
    assert found.kept() == []
    assert lines == [
        "files\tW1\tw01018\t2026-03-01T21:00:00+00:00\t2026-03-01T22:01:30+00:00\t1\tt\tN\tf",
        "files\tW1\tw01018\t2026-03-01T22:00:00+00:00\t2026-03-02T16:00:00+00:00\t0\tf\tN\tf",
    ]
    assert reader.count == 2
    assert (reader.first, reader.last) == (datetime(2026, 3, 1, 21, tzinfo=UTC), datetime(2026, 3, 1, 22, tzinfo=UTC))


def test_hours_filled_in():
    """An optional column tells the platform's label."""
    header = f"{','.join(HOUR_COLUMNS)},is_filled"
    lines, _ = read_hours(f"{HOUR},true", f"{HOUR},", f"{HOUR},false", header=header)
    assert [line[-1] for line in lines] == ["t", "f", "f"]


def test_known_lines_and_unknown_ones_read_the_same():
    """A line that was read before is looked up; it gives the same."""
    hours = [
        f"{outlet},{factor},2026-03-{day:02d}T{hour:02d}:00,2026-03-{day:02d}T{hour:02d}:59,{fields},{mean},{flag}"
        for outlet, factor, most in (("W1", "w01018", 1), ("G1", "a21026", 3))
        for day in (2, 3)
        for hour in (5, 23)
        for fields in range(most + 1)
        for mean in ("true", "0")
        for flag in ("", "D")
    ]
    alone = [line for hour in hours for line in read_hours(hour)[0]]
    assert read_hours(*hours, *hours)[0] == alone + alone


@pytest.mark.parametrize(
    ("cells", "column", "reason"),
    [
        ({"outlet": "W9"}, "outlet", "expected an outlet of the base list, came 'W9'"),
        ({"factor": "w21011"}, "factor", "expected a factor of W1 on the base list, came 'w21011'"),
        (
            {"hour": "2026-02-28T23:00"},
            "hour",
            "expected an hour on the base list, 2026-03-01T00:00 to 2026-04-01T00:00",
        ),
        ({"hour": "2026-04-01T00:00"}, "hour", "came 2026-04-01T00:00"),
        ({"hour": "2026-03-02T05:30"}, "hour", "expected a full hour such as"),
        ({"hour": "2026-03-02T05:00:01"}, "hour", "expected a full hour such as"),
        ({"hour": "2026-03-02T24:00"}, "hour", "expected a time on UTC+8"),
        ({"hour": ""}, "hour", "came nothing"),
        ({"arrived_at": "noon"}, "arrived_at", "expected a time on UTC+8"),
        ({"arrived_at": ""}, "arrived_at", "came nothing"),
        ({"fields_received": "-1"}, "fields_received", "expected a whole number, 0 to 1, came '-1'"),
        ({"fields_received": "2"}, "fields_received", "expected a whole number, 0 to 1, came '2'"),
        ({"fields_received": "1.0"}, "fields_received", "expected a whole number, 0 to 1"),
        ({"mean_present": "maybe"}, "mean_present", "expected true or false, came 'maybe'"),
        ({"mean_present": ""}, "mean_present", "expected true or false, came nothing"),
        ({"data_flag": "N;D"}, "data_flag", "expected a data flag such as N or D"),
    ],
)
def test_bad_cell_of_hours(cells, column, reason):
    """Also behind lines that made its other texts known."""
    for before in ([], [HOUR]):
        findings = Findings()
        row = {**dict(zip(HOUR_COLUMNS, HOUR.split(","), strict=True)), **cells}
        lines, reader = read_hours(*before, ",".join(row.values()), findings=findings)
        assert len(lines) == reader.count == len(before)
        (finding,) = findings.kept()
        assert (finding.file, finding.line, finding.column) == ("hours.csv", len(before) + 2, column)
        assert reason in finding.message


def test_every_bad_line_is_told():
    """Reading goes on behind a fault, and one line may have several."""
    findings = Findings()
    read_hours("W9,w01018,2026-03-02T05:00,x,1,true,N", HOUR, "W1,w01018,x,x,7,x,N", findings=findings)
    assert [(finding.line, finding.column) for finding in findings.kept()] == [
        *((2, "arrived_at"), (2, "outlet")),
        *((4, "hour"), (4, "arrived_at"), (4, "mean_present")),
    ]


def test_hours_of_a_broken_line_of_the_base_list():
    """Are not told a second time: the base list is to be mended first."""
    findings = Findings()
    read_hours(HOUR, findings=findings, base=["E1,,W1,fog,w01018,1,,"])
    assert [finding.column for finding in findings.kept()] == ["medium"]


def test_hours_around_two_periods_of_the_list():
    """Each hour has the fields of its own period."""
    base = ["E1,,W1,water,w01018,1,2026-03-01,2026-03-02", "E1,,W1,water,w01018,3,2026-03-03,"]
    findings = Findings()
    lines, _ = read_hours(
        "W1,w01018,2026-03-01T23:00,2026-03-02,1,true,N",
        "W1,w01018,2026-03-03T00:00,2026-03-04,3,true,N",
        "W1,w01018,2026-03-01T23:00,2026-03-04,3,true,N",
        "W1,w01018,2026-03-02T00:00,2026-03-04,1,true,N",
        findings=findings,
        base=base,
    )
    assert len(lines) == 2
    assert [(finding.line, finding.column) for finding in findings.kept()] == [(4, "fields_received"), (5, "hour")]


def read(*lines, findings):
    """Marks of these lines."""
    return read_marks(source("marks.csv", MARK_COLUMNS, *lines, findings=findings), read_base(*BASE))


def test_marks():
    """An empty end runs on; a mark may be of all factors; the same line twice counts once, with a warning."""
    findings = Findings()
    marks = read(MARK, "W1,w01018,manual,2026-03-02,2026-03-02T06:00,2026-03-05,12.5", MARK, findings=findings)
    assert [mark.factor for mark in marks] == ["*", "w01018"]
    assert marks[1].value == 12.5
    (finding,) = findings.kept()
    assert (finding.level, finding.line) == (Level.WARNING, 4)
    (open_mark,) = read("W1,*,stop,2026-03-02,,2026-03-02,", findings=Findings())
    assert open_mark.to_at is None


def test_mark_may_reach_beyond_the_list():
    """One that lies on it for a while is right: a stop may begin before it and end after."""
    findings = Findings()
    marks = read(
        "W1,w01018,stop,2026-02-01,2026-03-01T00:01,2026-02-01,",
        "W1,w01018,stop,2026-03-31T23:59,,2026-03-31,",
        "W1,*,stop,2026-05-01,,2026-05-01,",
        findings=findings,
    )
    assert findings.kept() == []
    assert len(marks) == 3


@pytest.mark.parametrize(
    ("cells", "column", "reason"),
    [
        ({"outlet": "G9"}, "outlet", "expected an outlet of the base list, came 'G9'"),
        ({"factor": "a21002"}, "factor", "expected a factor of G1 on the base list, came 'a21002'"),
        ({"kind": "holiday"}, "kind", "expected one of stop, device"),
        ({"from": ""}, "from", "came nothing"),
        ({"from": "2026-03-02T08:00"}, "to", "expected a moment after from, 2026-03-02T08:00, came 2026-03-02T07:00"),
        ({"to": "2026-03-02T05:10"}, "to", "expected a moment after from"),
        ({"recorded_at": ""}, "recorded_at", "came nothing"),
        ({"value": "high"}, "value", "expected a number"),
        ({"kind": "manual", "to": "", "factor": "a21026", "value": "1"}, "to", "expected an end"),
        ({"kind": "manual", "factor": "a21026"}, "value", "expected the manual value, came nothing"),
        ({"kind": "manual", "value": "1"}, "factor", "expected one factor for a manual value, came '*'"),
        (
            {"outlet": "W1", "factor": "w01018", "from": "2026-04-01", "to": "2026-04-02"},
            "from",
            "expected hours that are on the base list, where W1 w01018 stands 2026-03-01T00:00 to 2026-04-01T00:00",
        ),
        (
            {"outlet": "W1", "factor": "w21003", "from": "2026-03-01", "to": "2026-03-01T08:00"},
            "from",
            "where W1 w21003 stands from 2026-03-01T08:00",
        ),
        (
            {"outlet": "W1", "from": "2026-02-01", "to": "2026-03-01"},
            "from",
            "where W1 stands 2026-03-01T00:00 to 2026-04-01T00:00, from 2026-03-01T08:00",
        ),
    ],
)
def test_bad_cell_of_marks(cells, column, reason):
    """The finding names file, line, column, what was expected and what came."""
    findings = Findings()
    row = {**dict(zip(MARK_COLUMNS, MARK.split(","), strict=True)), **cells}
    assert read(",".join(row.values()), findings=findings) == []
    (finding,) = findings.kept()
    assert (finding.file, finding.line, finding.column) == ("marks.csv", 2, column)
    assert reason in finding.message


def test_kinds_are_those_of_the_database(postgres_dsn):
    """A kind of mark is known to files and tables alike."""

    async def _read():
        async with connected(postgres_dsn, name="test") as connection:
            await migrate(connection, now=datetime(2026, 3, 1, tzinfo=UTC))
            return {row["kind"] for row in await connection.fetch("SELECT kind FROM hj212.mark_kinds")}

    assert asyncio.run(_read()) == set(KINDS_OF_MARKS)


def test_expected_times_are_told_as_they_are_read():
    """What a message gives as an example can be read."""
    findings = Findings()
    read_base("E1,,W1,water,w01018,1,x,", findings=findings)
    examples = re.findall(r"2026-[\w:-]+", findings.kept()[0].message)
    assert len(examples) == 2
    for example in examples:
        assert read_base(f"E1,,W1,water,w01018,1,{example},").rows
