"""Tests of the code tables and of what a command is."""

import csv
from collections import Counter
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hj212gw.protocol.codes import (
    GRAIN_BY_CN,
    CodeMeaning,
    Command,
    CommandKind,
    DataFlag,
    Direction,
    ExeRtn,
    QnRtn,
    SystemCode,
    answers_only_when_asked,
    commands,
    data_flags,
    find_commands,
    find_meanings,
    is_known_data_flag,
    is_known_st,
    name_of,
    sender_kind,
    system_codes,
)
from hj212gw.protocol.editions import Edition


def words(text: str) -> list[str]:
    """Return the words of a text, for lists that read better without quotes."""
    return text.split()


EDITIONS = ("2005", "2017", "2025")
KINDS_OF_CODES = words(
    "data-flag suffix condition-mark QnRtn ExeRtn RS AlarmType CalibrationType ResultType "
    "i12001 i12002 i12003 i22001 i22002 i22003 i22101 i32001"
)

ANSWERS = ("9011", "9012", "9013", "9014", "9010", "9016", "9020", "9022", "9999")
NOTICES = ("1013", "1014", "2072", "9015", "9021")
UPLOADS = words(
    "1011 1021 1031 1041 1061 1063 2011 2013 2021 2031 2041 2051 2052 2061 2062 2071 2081 2111 "
    "3015 3017 3018 3019 3020 2000 2082 2083 2093"
)
UNKNOWN = ("1003", "1999", "2500", "2999", "3023", "3040", "3044", "3999", "0000", "4011", "8888")
REQUESTS = words(
    "1000 1002 1012 1022 1032 1042 1062 1064 1072 2012 2022 3011 3012 3013 3014 3016 3021 3022 3024 3031 3033"
)


def read_shipped(name: str) -> list[list[str]]:
    """Read a shipped table with its header, without the code under test."""
    text = files("hj212gw.protocol.tables").joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.reader(text.splitlines()))


def rows_of(cn: str, edition: str) -> list[tuple[str, str]]:
    """Return direction and kind of the rows of one CN."""
    return [(row.direction.value, row.kind.value) for row in find_commands(cn, edition)]


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("cn_codes", Command._fields),
        ("st_codes", SystemCode._fields),
        ("flags", CodeMeaning._fields),
        ("return_codes", CodeMeaning._fields),
    ],
)
def test_table_has_the_columns_of_its_rows(table, columns):
    """A shipped table's header is the fields of the row made of it."""
    assert tuple(read_shipped(table)[0]) == columns


def test_commands_are_every_shipped_row():
    """Each row of the command table is there, and each edition has as many as its table."""
    shipped = read_shipped("cn_codes")[1:]
    assert [tuple(row) for row in shipped] == [tuple(map(str, row)) for row in commands()]
    assert Counter(row.edition for row in commands()) == {"2005": 45, "2017": 52, "2025": 59, "field": 10}


def test_commands_name_where_each_row_is_from():
    """Every row has a source and says how sure it is."""
    sureness = {"documented", "documented (secondary)", "observed", "unknown"}
    assert all(row.source and row.sureness in sureness for row in commands())


def test_command_ranges_are_ordered():
    """A range runs upwards within four digits, and a plain row is a range of one."""
    ranges = {row.cn for row in commands() if row.first != row.last}
    assert ranges == {
        "1002-1010",
        "3015-3099",
        "1001-1010",
        "1073-1999",
        "2082-2999",
        "3022-3999",
        "9015-9999",
        "3040-3044",
    }
    assert all(row.first <= row.last and len(row.first) == 4 for row in commands())


@pytest.mark.parametrize(
    ("cn", "edition", "rows"),
    [
        ("2011", "2005", [("host->field", "request"), ("field->host", "upload")]),
        ("1001", "2005", [("host->field", "request")]),
        ("1001", "2017", [("", "reserved")]),
        ("1001", "2025", [("field->host", "notice")]),
        ("1014", "2025", [("field->host", "notice"), ("host->field", "request")]),
        ("2062", "2025", [("host->field", "request"), ("field->host", "upload")]),
        ("3014", "2025", [("", "removed")]),
        ("2083", "2017", [("", "reserved")]),
        ("3042", "field", [("both", "unspecified")]),
        ("2083", "2025", []),
        ("10021", "2017", []),
        ("", "2017", []),
    ],
)
def test_find_commands_answers_by_edition(cn, edition, rows):
    """A CN's rows are those of the edition asked for, ranges included."""
    assert rows_of(cn, edition) == rows


def test_find_commands_answers_for_all_editions():
    """Without an edition every row that speaks of the CN is found."""
    assert [row.edition for row in find_commands("9015")] == ["2017", "2025", "field"]


@pytest.mark.parametrize(
    ("cn", "edition", "name"),
    [
        ("2011", "2017", "Upload real-time data"),
        ("2011", "2025", "Upload real-time data"),
        ("1062", "2005", "Set real-time interval"),
        ("1001", "2005", "Set over-limit alarm time"),
        ("1001", "2025", "Upload logger hardware serials"),
        ("2083", "2017", "SIM card id upload"),
        ("2072", "2017", "Alarm event"),
        ("9015", "2017", "Heartbeat"),
        ("2555", "2017", ""),
        ("x", "2017", ""),
    ],
)
def test_name_of_prefers_what_the_field_sends(cn, edition, name):
    """The name is of the packet's own edition where that has one, and of the field's side of a CN."""
    assert name_of(cn, edition) == name


@pytest.mark.parametrize("edition", EDITIONS)
@pytest.mark.parametrize(
    ("kind", "cns"),
    [
        (CommandKind.ANSWER, ANSWERS),
        (CommandKind.NOTICE, NOTICES),
        (CommandKind.UPLOAD, [*UPLOADS, *UNKNOWN]),
        (CommandKind.REQUEST, REQUESTS),
    ],
)
def test_sender_kind_is_the_same_in_every_edition(kind, cns, edition):
    """What the field sends is known by its CN, whatever edition its Flag claims."""
    assert {cn: sender_kind(cn, edition) for cn in cns} == dict.fromkeys(cns, kind)


def test_sender_kind_cases_cover_the_command_table():
    """The cases above name every single CN of the table but 1001."""
    named = {row.cn for row in commands() if row.first == row.last}
    assert named - {*ANSWERS, *NOTICES, *UPLOADS, *REQUESTS} == {"1001"}


@pytest.mark.parametrize(
    ("edition", "kind"),
    [
        (Edition.V2005, CommandKind.REQUEST),
        (Edition.V2017, CommandKind.UPLOAD),
        (Edition.V2025, CommandKind.NOTICE),
    ],
)
def test_sender_kind_of_1001_goes_by_its_edition(edition, kind):
    """1001 sets an alarm time in 2005, is reserved in 2017 and reports hardware serials in 2025."""
    assert sender_kind("1001", edition) is kind


@given(cn=st.from_regex(r"[0-9]{4}", fullmatch=True) | st.text(), edition=st.sampled_from(Edition))
def test_sender_kind_is_total(cn, edition):
    """Any text is one of the four kinds, and interaction is never answered but for the two notices."""
    kind = sender_kind(cn, edition)
    assert kind in {CommandKind.REQUEST, CommandKind.UPLOAD, CommandKind.NOTICE, CommandKind.ANSWER}
    if cn.startswith("9") and cn not in {"9015", "9021"}:
        assert kind is CommandKind.ANSWER


def test_sender_kind_is_told_by_one_kind_of_row():
    """No CN is sent by the field as two kinds, so the table decides alone."""
    kinds: dict[str, set[CommandKind]] = {}
    for row in commands():
        if row.direction in {Direction.TO_HOST, Direction.BOTH} and row.kind is not CommandKind.UNSPECIFIED:
            kinds.setdefault(row.cn, set()).add(row.kind)
    assert {cn: found for cn, found in kinds.items() if len(found) > 1} == {}


def test_notices_that_are_answered_only_when_asked():
    """Heartbeat and login are answered where their Flag asks, the other notices always."""
    assert {cn: answers_only_when_asked(cn) for cn in ("1001", *NOTICES)} == {
        "1001": False,
        "1013": False,
        "1014": False,
        "2072": False,
        "9015": True,
        "9021": True,
    }


def test_grains_of_the_commands_that_carry_readings():
    """Readings come with the four grains, and every CN that carries them is an upload."""
    assert dict(GRAIN_BY_CN) == {
        "2011": "rtd",
        "2013": "rtd",
        "2052": "rtd",
        "2051": "minute",
        "2111": "minute",
        "2061": "hour",
        "2031": "day",
    }
    assert {sender_kind(cn, edition) for cn in GRAIN_BY_CN for edition in EDITIONS} == {CommandKind.UPLOAD}


@pytest.mark.parametrize("cn", ["2021", "2041", "2062", "2071", "2072", "2081", "2082", "3019", "3020"])
def test_states_alarms_and_checks_are_no_readings(cn):
    """Equipment states, alarms, standard samples, boot times and parameters carry no reading."""
    assert cn not in GRAIN_BY_CN


def test_system_codes_are_every_shipped_row():
    """The standard lists 22 system codes, and three of vendors are known beside them."""
    shipped = read_shipped("st_codes")[1:]
    assert [row[0] for row in shipped] == [row.st for row in system_codes()]
    assert Counter(row.group for row in system_codes()) == {
        "environment": 7,
        "source": 12,
        "process": 2,
        "interaction": 1,
        "field": 3,
    }


@pytest.mark.parametrize(("edition", "count"), [("2005", 13), ("2017", 20), ("2025", 7)])
def test_system_codes_of_an_edition(edition, count):
    """Each edition lists its own; of 2025 only what a source shows."""
    assert sum(edition in row.editions for row in system_codes()) == count


@pytest.mark.parametrize(
    ("code", "known"),
    [("31", True), ("44", True), ("91", True), ("74", False), ("101", False), ("A0", False), ("", False)],
)
def test_known_system_codes_are_those_of_the_standard(code, known):
    """Vendors' codes and the range left free for extensions are not listed."""
    assert is_known_st(code) is known


def test_code_meanings_are_every_shipped_row():
    """Every row of the flag and return code tables is in one of the lists, and no list is missing."""
    shipped = [row for table in ("flags", "return_codes") for row in read_shipped(table)[1:]]
    assert {row[0] for row in shipped} == set(KINDS_OF_CODES)
    assert (len(read_shipped("flags")), len(read_shipped("return_codes"))) == (70, 70)
    found = {
        (row.kind, row.code, row.editions)
        for kind in KINDS_OF_CODES
        for edition in (*EDITIONS, "field")
        for row in find_meanings(kind, edition)
    }
    assert found == {(kind, code, tuple(editions.split(";"))) for kind, code, editions, *_ in shipped}


@pytest.mark.parametrize(
    ("edition", "letters"),
    [("2005", "PFCMTDSN0123"), ("2017", "NFMSDCTB"), ("2025", "NFMSDCTB"), ("field", "dm")],
)
def test_data_flags_of_an_edition(edition, letters):
    """2005 has its own letters; the list of 2025 was not seen, so 2017's stands."""
    assert "".join(row.code for row in data_flags(edition)) == letters


def test_data_flag_letters_are_those_of_the_tables():
    """The enumeration holds the letters of all editions and no more."""
    assert {str(flag) for flag in DataFlag} == {row.code for edition in EDITIONS for row in data_flags(edition)}


@pytest.mark.parametrize(
    ("letter", "known"),
    [("N", True), ("P", True), ("0", True), ("d", False), ("m", False), ("", False), ("NN", False)],
)
def test_known_data_flags_are_listed_letters(letter, known):
    """Lower case is no listed flag, nor is an empty one."""
    assert is_known_data_flag(letter) is known


@pytest.mark.parametrize(
    ("kind", "edition", "codes"),
    [
        ("QnRtn", "2005", [1, 2, 3]),
        ("QnRtn", "2017", [1, 2, 3, 4, 5, 6, 7, 8, 9, 100]),
        ("QnRtn", "2025", [1, 2, 3, 4, 5, 6, 7, 8, 9, 100]),
        ("ExeRtn", "2005", [1, 2, 100]),
        ("ExeRtn", "2017", [1, 2, 3, 4, 5, 6, 100]),
        ("ExeRtn", "2025", [1, 2, 3, 4, 5, 6, 100]),
        ("RS", "2005", [0, 1]),
        ("RS", "2017", [0, 1, 2, 3, 4, 5]),
        ("i12001", "2017", [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]),
        ("AlarmType", "2017", []),
        ("nothing", "2017", []),
    ],
)
def test_return_codes_and_states_of_an_edition(kind, edition, codes):
    """Each list has the codes of its edition; 2025 keeps 2017's where its own was not seen."""
    assert [int(row.code) for row in find_meanings(kind, edition)] == codes


def test_return_code_enumerations_are_the_tables():
    """The enumerations hold the numbers of 2017, which take in those of 2005."""
    assert [int(row.code) for row in find_meanings("QnRtn", "2017")] == list(QnRtn)
    assert [int(row.code) for row in find_meanings("ExeRtn", "2017")] == list(ExeRtn)
