"""Tests of what files would change: repeats, overlaps, references, against what the database holds."""

import pytest

from hj212gw.registry import KINDS, Findings, InputFile, Level, read_files
from hj212gw.registry.changes import HeldRow, plan_changes

ENTERPRISES = "enterprise,name,credit_code,county,level,valid_from,valid_to"
OUTLETS = "outlet,enterprise,name,medium,valid_from,valid_to"
LOGGERS = "mn,pw,st,outlet,cns,rtd_interval_secs,min_interval_mins,factors,valid_from,valid_to"


def enterprise(name, start="", end=""):
    """A line of an enterprise."""
    return f"{name},x,,,other,{start},{end}"


def outlet(name, of, start="", end=""):
    """A line of an outlet."""
    return f"{name},{of},x,water,{start},{end}"


def logger(mn, at, start="", end=""):
    """A line of a data logger."""
    return f"{mn:0>14},,32,{at},,,,,{start},{end}"


def table(header, *lines):
    """A file with these lines."""
    return "\n".join([header, *lines]).encode()


def entries_of(*contents):
    """The rows of files."""
    return read_files([InputFile("held", content) for content in contents], Findings()).entries


def held_rows(*contents):
    """The rows of files as a database holds them."""
    rows = entries_of(*contents)
    return [HeldRow(entry._replace(place=None), number, is_found=False) for number, entry in enumerate(rows)]


def plan(*contents, held=()):
    """Read contents as files 0.csv, 1.csv … and compare them with held rows; None stands for no database."""
    findings = Findings()
    rows = read_files([InputFile(f"{index}.csv", content) for index, content in enumerate(contents)], findings)
    changes = plan_changes(rows, None if held is None else list(held), findings)
    return changes, [str(finding) for finding in findings.kept()]


def test_plan_of_an_empty_database():
    """Files that fit together in any order are all new."""
    changes, findings = plan(
        table(LOGGERS, logger("1", "o1")), table(OUTLETS, outlet("o1", "e1")), table(ENTERPRISES, enterprise("e1"))
    )
    assert findings == []
    assert {name: len(changes[name].added) for name in KINDS if changes[name].added} == {
        "enterprises": 1,
        "outlets": 1,
        "data_loggers": 1,
    }


def test_plan_names_both_lines_of_a_repeat():
    """A row that stands twice, in one file or in two, is an error that names the first."""
    _, findings = plan(
        table(ENTERPRISES, enterprise("e1"), enterprise("e1")), table(ENTERPRISES, enterprise("e1", end="2026-01-01"))
    )
    assert findings == [
        "0.csv:3: enterprise: expected each row once, came the same row as in 0.csv:2",
        "1.csv:2: enterprise: expected each row once, came the same id and valid_from as in 0.csv:2",
    ]


def test_plan_names_both_lines_of_an_overlap():
    """Periods of one id that overlap are an error that names the other line."""
    rows = [enterprise("e1", "2026-03-01", "2026-04-01"), enterprise("e2"), enterprise("e1", "2026-01-01")]
    _, findings = plan(table(ENTERPRISES, *rows))
    assert findings == [
        "0.csv:2: valid_from: expected periods of one id not to overlap, from 2026-03-01 to 2026-04-01 overlaps 0.csv:4"
    ]


def test_plan_takes_periods_that_touch():
    """A period may begin where another ends."""
    _, findings = plan(table(ENTERPRISES, enterprise("e1", end="2026-01-01"), enterprise("e1", "2026-01-01")))
    assert findings == []


def test_plan_finds_overlaps_with_the_database():
    """An overlap with a held row is an error at the file's line, whichever begins first."""
    held = held_rows(table(ENTERPRISES, enterprise("e1", "2026-03-01", "2026-04-01"), enterprise("e2", "2026-01-01")))
    rows = [enterprise("e1", "2026-01-01"), enterprise("e2", "2026-02-01", "2026-03-01")]
    _, findings = plan(table(ENTERPRISES, *rows), held=held)
    assert [finding.partition(" to overlap, ")[2] for finding in findings] == [
        "from 2026-01-01 to open overlaps the database's row from 2026-03-01 to 2026-04-01",
        "from 2026-02-01 to 2026-03-01 overlaps the database's row from 2026-01-01 to open",
    ]
    assert [finding.partition(": ")[0] for finding in findings] == ["0.csv:2", "0.csv:3"]


def test_plan_replaces_a_row_and_adds_its_successor():
    """A held row is closed by its id and valid_from, and the next one may begin at its end."""
    held = held_rows(table(ENTERPRISES, enterprise("e0"), enterprise("e1", "2026-01-01"), enterprise("e2")))
    rows = [enterprise("e1", "2026-01-01", "2026-06-01"), enterprise("e1", "2026-06-01"), enterprise("e2")]
    changes, findings = plan(table(ENTERPRISES, *rows), held=held)
    change = changes["enterprises"]
    assert findings == []
    assert [len(change.added), change.superseded, change.replaced, change.unchanged] == [2, [1], 1, 1]


def test_plan_registers_a_found_data_logger():
    """Any row of an MN supersedes the row the gateway made when it found it, whatever the periods."""
    (entry,) = entries_of(table(LOGGERS, logger("1", "")))
    held = [*held_rows(table(OUTLETS, outlet("o1", "e1"))), HeldRow(entry._replace(place=None), 7, is_found=True)]
    for start in ("", "2026-01-01"):
        changes, findings = plan(table(LOGGERS, logger("1", "o1", start)), held=held)
        assert findings == []
        assert changes["data_loggers"].superseded == [7]
        assert changes["data_loggers"].registered == 1
        assert changes["data_loggers"].replaced == 0


def test_plan_leaves_a_found_data_logger_that_no_file_names():
    """A data logger that was found stays found until a file names it."""
    (entry,) = entries_of(table(LOGGERS, logger("1", "")))
    held = [HeldRow(entry._replace(place=None), 7, is_found=True)]
    changes, findings = plan(table(LOGGERS, logger("2", "")), held=held)
    assert findings == []
    assert changes["data_loggers"].superseded == []


def test_plan_refuses_unknown_references():
    """An id that stands neither in the files nor in the database is an error."""
    held = held_rows(table(ENTERPRISES, enterprise("e1")))
    _, findings = plan(table(OUTLETS, outlet("o1", "e1"), outlet("o2", "e9")), held=held)
    assert findings == [
        (
            "0.csv:3: enterprise: expected an id that stands among the enterprises in these files or the database, "
            "came 'e9'"
        )
    ]


def test_plan_refuses_references_for_a_shorter_time():
    """What a row refers to must hold for all of its period; several rows may do so together."""
    files = [
        table(ENTERPRISES, enterprise("e1", "2026-01-01", "2026-03-01"), enterprise("e1", "2026-03-01", "2026-05-01")),
        table(OUTLETS, outlet("o1", "e1", "2026-02-01", "2026-05-01"), outlet("o2", "e1", "2026-02-01")),
    ]
    _, findings = plan(*files)
    assert findings == [
        (
            "1.csv:3: enterprise: expected a row of enterprises 'e1' for all the time from 2026-02-01 to open, "
            "came a shorter one"
        )
    ]


def test_plan_refuses_a_gap_in_a_reference():
    """A gap between the rows referred to is a shorter time too."""
    files = [
        table(ENTERPRISES, enterprise("e1", end="2026-03-01"), enterprise("e1", "2026-03-02")),
        table(OUTLETS, outlet("o1", "e1")),
    ]
    _, findings = plan(*files)
    assert len(findings) == 1
    assert "came a shorter one" in findings[0]


def test_plan_refuses_to_shorten_what_the_database_needs():
    """A row that ends before held rows that refer to it is an error that names them."""
    held = held_rows(table(ENTERPRISES, enterprise("e1")), table(OUTLETS, outlet("o1", "e1", "2026-01-01")))
    _, findings = plan(table(ENTERPRISES, enterprise("e1", end="2026-06-01")), held=held)
    assert findings == [
        "0.csv:2: valid_to: expected a longer period: outlets 'o1' in the database needs it from 2026-01-01 to open"
    ]


def test_plan_leaves_old_faults_of_the_database_alone():
    """Held rows that lack what they refer to, or have it for too short, are no fault of files on other ids."""
    held = held_rows(
        table(ENTERPRISES, enterprise("e1", "2026-01-01")), table(OUTLETS, outlet("o1", "e1"), outlet("o2", "e9"))
    )
    _, findings = plan(table(ENTERPRISES, enterprise("e2")), held=held)
    assert findings == []


def test_plan_does_not_blame_rows_for_the_faults_of_others():
    """A reference to a row with a fault of its own, or into an unreadable file, is not an error as well."""
    _, findings = plan(table(ENTERPRISES, "e1,,,,other,,"), table(OUTLETS, outlet("o1", "e1")))
    assert [finding.partition(": ")[0] for finding in findings] == ["0.csv:2"]
    _, findings = plan(b"nonsense", table(OUTLETS, outlet("o1", "e1")))
    assert [finding.partition(": ")[0] for finding in findings] == ["0.csv:1"]


def test_plan_without_database_warns_of_what_it_cannot_know():
    """Without a database an id may stand there, unless the files hold rows of that kind."""
    alone = table(OUTLETS, outlet("o1", "e1"))
    findings = Findings()
    plan_changes(read_files([InputFile("o", alone)], findings), None, findings)
    assert [finding.level for finding in findings.kept()] == [Level.WARNING]
    _, lines = plan(alone, table(ENTERPRISES, enterprise("e2")), held=None)
    assert lines == [
        (
            "0.csv:2: enterprise: expected an id that stands among the enterprises in these files "
            "(no database was asked), came 'e1'"
        )
    ]


MN = f"{1:0>14}"
CHANNELS = "mn,st,factor,outlet,valid_from,valid_to"
FITTING = [
    table(ENTERPRISES, enterprise("e1")),
    table(OUTLETS, outlet("o1", "e1"), outlet("o2", "e1")),
    table(LOGGERS, logger("1", "o1", "2026-01-01", "2027-01-01")),
]
PERIOD = "2026-01-01,2027-01-01"
# header, two lines about one thing that overlap, the column of the reference
OVERLAPPING = [
    (CHANNELS, f"{MN},32,w01018,o1,{PERIOD}", f"{MN},32,w01018,o2,2026-02-01,2027-01-01"),
    (CHANNELS, f"{MN},,,o1,{PERIOD}", f"{MN},,,o2,2026-02-01,2027-01-01"),
    ("mn,dialect,valid_from,valid_to", f"{MN},crc_modbus,{PERIOD}", f"{MN},crc_modbus,2026-02-01,2026-03-01"),
    (
        "mn,st,cn,label,valid_from,valid_to",
        f"{MN},,2061,end,{PERIOD}",
        f"{MN},,2061,sent,2026-02-01,2027-01-01",
    ),
    (
        "mn,code,factor,unit,scale,valid_from,valid_to",
        f"{MN},011,w01018,mg/L,1,{PERIOD}",
        f"{MN},011,w01018,mg/L,2,2026-02-01,2027-01-01",
    ),
    (
        "mn,key_id,secret,valid_from,valid_to",
        f"{MN},k1,{'0' * 16},{PERIOD}",
        f"{MN},k1,{'1' * 16},2026-02-01,2027-01-01",
    ),
    (
        "outlet,factor,low,high,unit,basis,valid_from,valid_to",
        "o1,w01018,,50,mg/L,,,",
        "o1,w01018,,60,mg/L,,2026-01-01,",
    ),
]
# lines that hold at the same time and are about two things
BESIDE = [
    (CHANNELS, f"{MN},32,w01018,o1,{PERIOD}", f"{MN},,w01018,o2,{PERIOD}", f"{MN},32,,o2,{PERIOD}"),
    ("mn,dialect,valid_from,valid_to", f"{MN},crc_modbus,{PERIOD}", f"{MN},crc_short,{PERIOD}"),
    ("mn,st,cn,label,valid_from,valid_to", f"{MN},,2061,end,{PERIOD}", f"{MN},32,2061,sent,{PERIOD}"),
    ("mn,key_id,secret,valid_from,valid_to", f"{MN},k1,{'0' * 16},{PERIOD}", f"{MN},k2,{'1' * 16},{PERIOD}"),
    ("outlet,reason,valid_from,valid_to", "o1,x,2026-01-01,2026-03-01", "o1,y,2026-02-01,2026-04-01"),
]


@pytest.mark.parametrize(("header", "first", "second"), OVERLAPPING)
def test_plan_refuses_overlaps_of_one_thing(header, first, second):
    """What a data logger or an outlet says of one thing it says once at a time."""
    _, findings = plan(*FITTING, table(header, first, second))
    assert [finding.partition(", from ")[0] for finding in findings] == [
        "3.csv:3: valid_from: expected periods of one id not to overlap"
    ]


@pytest.mark.parametrize("lines", BESIDE)
def test_plan_takes_rows_about_two_things(lines):
    """Other STs, factors, dialects and keys stand beside each other; legal holds of one outlet may overlap."""
    _, findings = plan(*FITTING, table(*lines))
    assert findings == []


@pytest.mark.parametrize(("header", "line", "_second"), [*OVERLAPPING, BESIDE[-1]])
def test_plan_refuses_rows_of_what_is_not_registered(header, line, _second):
    """A row for an MN or an outlet that is not registered, or not for all of its time, is an error."""
    column = header.partition(",")[0]
    target = "data_loggers" if column == "mn" else "outlets"
    others = [FITTING[0], table(OUTLETS, outlet("o9", "e1")), table(LOGGERS, logger("9", "o9"))]
    _, findings = plan(*others, table(header, line))
    assert f"3.csv:2: {column}: expected an id that stands among the {target}" in findings[0]
    others = [
        FITTING[0],
        table(OUTLETS, outlet("o1", "e1", end="2026-01-20")),
        table(LOGGERS, logger("1", "o1", end="2026-01-20")),
    ]
    _, findings = plan(*others, table(header, line))
    assert "came a shorter one" in findings[0]


def test_plan_names_what_needs_a_data_logger():
    """Ending a data logger's row names the held row that needs it for longer."""
    held = held_rows(*FITTING, table(CHANNELS, f"{MN},32,,o2,{PERIOD}"))
    _, findings = plan(table(LOGGERS, logger("1", "o1", "2026-01-01", "2026-06-01")), held=held)
    assert findings == [
        (
            f"0.csv:2: valid_to: expected a longer period: channels '{MN} 32' in the database needs it "
            "from 2026-01-01 to 2027-01-01"
        )
    ]
