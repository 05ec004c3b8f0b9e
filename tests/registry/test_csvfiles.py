"""Tests of the registry's CSV files: what is read, what is refused and how, what is written."""

import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hj212gw.registry import FILES, KINDS, Findings, InputFile, Level, read_files, write_file

HEADERS = {
    "enterprises": "enterprise,name,credit_code,county,level,valid_from,valid_to",
    "outlets": "outlet,enterprise,name,medium,permit_number,county,longitude,latitude,valid_from,valid_to",
    "data_loggers": "mn,pw,st,outlet,cns,rtd_interval_secs,min_interval_mins,factors,role,valid_from,valid_to",
    "channels": "mn,st,factor,outlet,valid_from,valid_to",
    "dialects": "mn,dialect,valid_from,valid_to",
    "time_labels": "mn,st,cn,label,valid_from,valid_to",
    "units": "mn,code,factor,unit,scale,valid_from,valid_to",
    "cipher_keys": "mn,key_id,secret,valid_from,valid_to",
    "networks": "mn,network,valid_from,valid_to",
    "limits": "outlet,factor,low,high,unit,basis,valid_from,valid_to",
    "legal_holds": "outlet,reason,valid_from,valid_to",
    "base_list": "outlet,factor,fields,valid_from,valid_to",
    "marks": "outlet,factor,kind,from,to,recorded_at,value,source,author,note,state,decided_by,decided_at,proof_sha256,proof_name,proof_at",
}
OLD_OUTLETS = "outlet,enterprise,name,medium,valid_from,valid_to"
OLD_LOGGERS = "mn,pw,st,outlet,cns,rtd_interval_secs,min_interval_mins,factors,valid_from,valid_to"
GOOD = {
    "enterprises": "e1,纸厂,91530400EXAMPLE001,红塔区,national,2026-01-01,",
    "outlets": "o1,e1,总排口,water,91530400EXAMPLE001-DW001,红塔区,102.5,24.35,2026-01-01,2027-01-01T08:00",
    "data_loggers": "530401A8900016F000169D01,secret99,32,o1,2011 2061,60,10,w01018 w21003,standby,,",
    "channels": "530401A8900016F000169D01,32,w01018,o1,2026-01-01,",
    "dialects": "530401A8900016F000169D01,crc_modbus,2026-01-01,",
    "time_labels": "530401A8900016F000169D01,,2061,end,2026-01-01,",
    "units": "530401A8900016F000169D01,020,w20111,ug/L,1000,2026-01-01,",
    "cipher_keys": "530401A8900016F000169D01,k1,top-secret-key-1,2026-01-01,",
    "networks": "530401A8900016F000169D01,10.1.0.0/16,2026-01-01,",
    "limits": "o1,w01001,6,9.5,1,GB 18918-2002 一级A,2026-01-01,",
    "legal_holds": "o1,处罚案取证,2026-01-01,2026-02-01",
    "base_list": "o1,a21026,3,2026-01-01,",
    "marks": f"o1,a21026,manual,2026-01-01,2026-01-01T06:00,2026-01-01T08:30:05.25,38.5,city,王工,'=停,accepted,李伟,2026-01-02,{'0a' * 32},报告.pdf,2026-01-03",
}
# kind, column, the bad cell, what the finding says of it
BAD_CELLS = [
    ("enterprises", "enterprise", "", "printable characters, no spaces"),
    ("enterprises", "enterprise", "two words", "printable characters, no spaces"),
    ("enterprises", "enterprise", "=cmd", "none of = + - @ in front"),
    ("enterprises", "name", "", "came nothing"),
    ("enterprises", "name", "x" * 201, "1 to 200 characters"),
    ("enterprises", "credit_code", "lower", "capital letters and digits"),
    ("enterprises", "level", "", "one of national, other"),
    ("enterprises", "level", "National", "came 'National'"),
    ("enterprises", "valid_from", "2026/1/1", "2026-01-01 or 2026-01-01T08:00"),
    ("enterprises", "valid_to", "2025-12-31", "a moment after valid_from, 2026-01-01"),
    ("enterprises", "valid_to", "2026-01-01", "a moment after valid_from, 2026-01-01"),
    ("outlets", "medium", "air", "one of water, gas, noise, other"),
    ("outlets", "enterprise", "", "came nothing"),
    ("data_loggers", "mn", "", "without ; , = & and spaces"),
    ("data_loggers", "mn", "A B", "without ; , = & and spaces"),
    ("data_loggers", "mn", "x" * 65, "1 to 64 printable ASCII"),
    ("data_loggers", "pw", "top;secret", "10 characters (not shown)"),
    ("data_loggers", "st", "3=2", "without ; , = & and spaces"),
    ("data_loggers", "cns", "2011 20", "a CN of four digits"),
    ("data_loggers", "cns", "２０１１", "a CN of four digits"),
    ("data_loggers", "cns", "2011 2011", "each code once"),
    ("data_loggers", "rtd_interval_secs", "0", "1 to 3600"),
    ("data_loggers", "rtd_interval_secs", "3601", "1 to 3600"),
    ("data_loggers", "rtd_interval_secs", "30.0", "a whole number"),
    ("data_loggers", "rtd_interval_secs", "9" * 5000, "a whole number"),
    ("data_loggers", "min_interval_mins", "7", "one of (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)"),
    ("data_loggers", "factors", "w01018;w21003", "without ; , = & and spaces"),
    ("data_loggers", "role", "spare", "one of main, standby"),
    ("outlets", "permit_number", "a b", "no spaces"),
    ("outlets", "longitude", "180.1", "a number, -180 to 180, came '180.1'"),
    ("outlets", "longitude", "E102", "a number, -180 to 180"),
    ("outlets", "latitude", "-90.5", "a number, -90 to 90"),
    ("outlets", "latitude", "nan", "a number, -90 to 90"),
    ("channels", "mn", "", "without ; , = & and spaces"),
    ("channels", "outlet", "", "no spaces"),
    ("channels", "factor", "a;b", "without ; , = & and spaces"),
    ("dialects", "dialect", "modbus", "one of crc_modbus, crc_modbus_swapped, crc_short"),
    ("time_labels", "cn", "61", "a CN of four digits"),
    ("time_labels", "label", "middle", "one of start, end, sent"),
    ("units", "unit", "=mg", "a unit of 1 to 32 printable characters"),
    ("units", "unit", "", "came nothing"),
    ("units", "scale", "0", "a number above 0, such as 1 or 0.001, came '0'"),
    ("units", "scale", "-1", "a number above 0"),
    ("units", "scale", "", "a number above 0"),
    ("units", "scale", "inf", "a number above 0"),
    ("units", "scale", "1e99", "a number above 0"),
    ("units", "scale", "0.000000000000000001", "a number above 0"),
    ("cipher_keys", "key_id", "", "without ; , = & and spaces"),
    ("cipher_keys", "secret", "too-short", "a key of 16 ASCII characters or 32 hexadecimal digits, came 9 characters"),
    ("cipher_keys", "secret", "密" * 16, "16 characters (not shown)"),
    ("cipher_keys", "secret", "0" * 31 + "g", "32 characters (not shown)"),
    ("networks", "network", "10.1.0.1/16", "a network such as 10.1.0.0/16"),
    ("networks", "network", "", "a network such as 10.1.0.0/16"),
    ("limits", "low", "x", "a number, -1000000000000 to 1000000000000"),
    ("limits", "high", "5.9", "a number not below low, 6"),
    ("limits", "unit", "", "a unit of 1 to 32"),
    ("legal_holds", "reason", "", "1 to 200 characters"),
    ("base_list", "factor", "", "without ; , = & and spaces"),
    ("base_list", "fields", "0", "a whole number, 1 to 8"),
    ("base_list", "fields", "9", "a whole number, 1 to 8"),
    ("marks", "outlet", "", "no spaces"),
    ("marks", "factor", "a b", "without ; , = & and spaces"),
    ("marks", "kind", "holiday", "a kind of mark, such as stop, device or manual"),
    ("marks", "kind", "", "a kind of mark"),
    ("marks", "from", "", "2026-01-01 or 2026-01-01T08:00"),
    ("marks", "from", "2026-01-01 08:00", "2026-01-01T08:00"),
    ("marks", "from", "2026-02-30", "came '2026-02-30'"),
    ("marks", "to", "2025-12-31", "a moment after from, 2026-01-01; to is exclusive, came '2025-12-31'"),
    ("marks", "to", "2026-01-01", "a moment after from, 2026-01-01"),
    ("marks", "to", "", "the end of the time that a manual value covers, came nothing"),
    ("marks", "recorded_at", "now", "2026-01-01T08:00"),
    ("marks", "value", "", "the manual value, came nothing"),
    ("marks", "value", "1,5", "a number, -1000000000000 to"),
    ("marks", "source", "ministry", "one of enterprise, city, province, national"),
    ("marks", "state", "open", "one of declared, accepted, rejected, void"),
    ("marks", "decided_by", "", "the name of who made it accepted, came nothing"),
    ("marks", "proof_sha256", "abc", "the 64 hexadecimal digits of a SHA-256"),
]
ODD_CELLS = [
    ("enterprises", "credit_code", "12345678-9", "18 characters are usual"),
    ("data_loggers", "mn", "short", "24 hexadecimal digits or 14 characters are usual"),
    ("data_loggers", "mn", "ZZ0401A8900016F000169D01", "24 hexadecimal digits or 14 characters are usual"),
    ("data_loggers", "st", "320", "two letters or digits are usual"),
    ("data_loggers", "st", "3-", "two letters or digits are usual"),
    ("data_loggers", "rtd_interval_secs", "10", "30 to 3600 are usual"),
    ("data_loggers", "factors", "S01", "not in the catalogue: S01"),
    ("data_loggers", "factors", "w01018 zz9", "not in the catalogue: zz9"),
    ("channels", "factor", "zz9", "not in the catalogue: zz9"),
    ("time_labels", "cn", "2011", "2031 2041 2051 2061 2111 have periods to label"),
    ("units", "factor", "zz9", "not in the catalogue: zz9"),
    ("limits", "factor", "zz9", "not in the catalogue: zz9"),
    ("base_list", "factor", "zz9", "not in the catalogue: zz9"),
    ("marks", "factor", "zz9", "not in the catalogue: zz9"),
    ("marks", "kind", "stop", "only manual values have one"),
]
# bytes of a file, column, what the finding says
BAD_FILES = [
    (b"", "header", "came an empty file"),
    (b"\n\n", "header", "came an empty file"),
    ("enterprise,name\ne1,纸厂\n".encode("gbk"), "file", "came what looks like GBK: save it as UTF-8"),
    ("enterprise,name\n".encode("utf-16"), "file", "came UTF-16: save it as UTF-8"),
    (b"enterprise,name\n\xff\xff\xff", "file", "came bytes that are no UTF-8"),
    (b"a,b,c\n", "header", "came none of these names"),
    (b"outlet;enterprise;name\n", "header", "came ';' between the names, not commas"),
    (b"outlet\tenterprise\tname\n", "header", "came a tab between the names, not commas"),
    (b"outlet,enterprise,name,medium,valid_from\n", "header", "missing column 'valid_to'"),
    (b"outlet,enterprise,name,medium,valid_from,valid_to,colour\n", "header", "unknown column 'colour'"),
    (b"outlet,outlet,enterprise,name,medium,valid_from,valid_to\n", "header", "column 'outlet' stands twice"),
    (OLD_OUTLETS.encode() + b"\no1,e1,x\n", "row", "expected 6 cells, came 3"),
    (OLD_OUTLETS.encode() + b"\no1,e1,x,water,,,,more\n", "row", "expected 6 cells, came 8"),
    (OLD_OUTLETS.encode() + b'\no1,e1,"x,water,,\n', "row", "quotes doubled and closed"),
    (OLD_OUTLETS.encode() + b'\no1,e1,"x"y,water,,\n', "row", "quotes doubled and closed"),
    (OLD_OUTLETS.encode() + b"\no1,e1," + b"x" * 200_000 + b",water,,\n", "row", "field limit"),
]


def read(*contents):
    """Read contents as files 0.csv, 1.csv …; return their rows and findings."""
    findings = Findings()
    files = [InputFile(f"{index}.csv", content) for index, content in enumerate(contents)]
    return read_files(files, findings), findings.kept()


def with_cell(kind, column, cell):
    """A file of a good line and one with another cell in a column."""
    cells = dict(zip(HEADERS[kind].split(","), GOOD[kind].split(","), strict=True)) | {column: cell}
    return f"{HEADERS[kind]}\n{GOOD[kind]}\n{','.join(cells.values())}\n".encode()


@pytest.mark.parametrize(("kind", "column", "cell", "message"), BAD_CELLS)
def test_read_names_line_and_column_of_a_bad_cell(kind, column, cell, message):
    """A cell that cannot be read is an error with its line, its column, what was expected and what came."""
    content = with_cell(kind, column, f'"{cell}"' if "," in cell else cell)
    rows, (finding,) = read(content)
    assert (finding.file, finding.line, finding.column, finding.level) == ("0.csv", 3, column, Level.ERROR)
    assert message in finding.message
    assert finding.message.startswith("expected ")
    assert len(finding.message) < 300
    assert len(rows.entries + rows.marks) == 1


@pytest.mark.parametrize(("kind", "column", "cell", "message"), ODD_CELLS)
def test_read_warns_of_an_odd_cell(kind, column, cell, message):
    """A cell that is unusual is a warning, and its row is taken."""
    rows, (finding,) = read(with_cell(kind, column, cell))
    assert (finding.line, finding.level) == (3, Level.WARNING)
    assert finding.column == ("value" if cell == "stop" else column)
    assert message in finding.message
    assert len(rows.entries + rows.marks) == 2


def test_read_knows_factors_of_any_medium_without_st():
    """Without ST a 2005 code may be of any medium."""
    line = "530401A8900016F000169D01,,,,,,,S01 011 w01018,,"
    assert read(f"{OLD_LOGGERS}\n{line}\n".encode())[1] == []


@pytest.mark.parametrize(("content", "column", "message"), BAD_FILES)
def test_read_explains_a_bad_file(content, column, message):
    """A file that cannot be split into named cells says why."""
    rows, findings = read(content)
    assert [finding.column for finding in findings] == [column]
    assert message in findings[0].message
    assert rows.entries == []


def test_read_finds_every_bad_line():
    """Reading goes on after a fault, in the line and in the file."""
    lines = [OLD_OUTLETS, "a b,e1,x,air,,", "o1,e1,x,water,,", "o2,e1,,water,,"]
    rows, findings = read("\n".join(lines).encode(), b"nonsense\n")
    assert [(finding.file, finding.line, finding.column) for finding in findings] == [
        ("0.csv", 2, "outlet"),
        ("0.csv", 2, "medium"),
        ("0.csv", 4, "name"),
        ("1.csv", 1, "header"),
    ]
    assert rows.broken == {("outlets", "a b"), ("outlets", "o2")}
    assert not rows.is_whole


@pytest.mark.parametrize(
    ("header", "line", "expected"),
    [
        (OLD_OUTLETS, "o1,e1,x,water,,", {"permit_number": None, "county": None, "longitude": None, "latitude": None}),
        (OLD_LOGGERS, "530401A8900016F000169D01,,32,,,,,,,", {"role": "main"}),
        (f"role,{OLD_LOGGERS}", ",530401A8900016F000169D01,,32,,,,,,,", {"role": "main"}),
        ("outlet,factor,valid_from,valid_to", "o1,w01018,,", {"fields": 1}),
    ],
)
def test_read_takes_files_without_optional_columns(header, line, expected):
    """A file written before a column was there stays valid; the column is empty."""
    rows, findings = read(f"{header}\n{line}\n".encode())
    assert findings == []
    (entry,) = rows.entries
    assert {column: entry.value(column) for column in expected} == expected


@pytest.mark.parametrize("kind", HEADERS)
def test_read_knows_the_kind_by_its_header(kind):
    """Every kind is told from the others, and its good line has no fault."""
    rows, findings = read(f"{HEADERS[kind]}\n{GOOD[kind]}\n".encode())
    assert findings == []
    assert rows.kinds == {kind}


@pytest.mark.parametrize(("text", "secret"), [("top-secret-key-1", b"top-secret-key-1"), ("3A" * 16, b":" * 16)])
def test_read_takes_keys_in_two_forms(text, secret):
    """A key is sixteen characters or the digits of sixteen bytes; neither it nor its row prints it."""
    rows, _ = read(with_cell("cipher_keys", "secret", text))
    assert rows.entries[1].value("secret") == secret
    assert "top-secret" not in repr(rows.entries)


def test_read_takes_the_least_of_a_mark():
    """Five columns are enough: the rest is declared by an enterprise, and an empty factor is all of the outlet."""
    rows, findings = read(b"outlet,factor,kind,from,to\no1,,stop,2026-01-01,\n")
    assert findings == []
    (mark,) = rows.marks
    assert mark.key == ("o1", "*", "stop")
    assert mark.period == "from 2026-01-01 to open"
    assert [mark.value(column) for column in ("source", "state", "recorded_at", "author")] == [
        "enterprise",
        "declared",
        None,
        None,
    ]


def test_read_needs_one_factor_for_a_manual_value():
    """A number is no value of all factors."""
    _, (finding,) = read(with_cell("marks", "factor", "*"))
    assert (finding.column, finding.message) == (
        "kind",
        "expected one factor for a manual value, not *, came 'manual'",
    )


def test_read_needs_a_limit():
    """A limit without bounds is none."""
    _, (finding,) = read(f"{HEADERS['limits']}\no1,w01018,,,mg/L,,,\n".encode())
    assert (finding.column, finding.message) == ("high", "expected low, high or both, came nothing")


def test_read_keeps_passwords_out_of_findings():
    """No finding shows a password, not even when a header is missing."""
    bad_pw = with_cell("data_loggers", "pw", "hush hush")
    _, findings = read(bad_pw, GOOD["data_loggers"].encode())
    assert len(findings) == 2
    assert not any("hush" in str(finding) or "secret99" in str(finding) for finding in findings)


def test_read_tolerates_how_spreadsheets_write():
    """A BOM, CR LF, spaces around cells, empty rows, trailing commas and any order of columns are taken."""
    content = "\ufeffname, medium,outlet,enterprise,valid_to,valid_from,,\r\n 总排口 ,water,o1,e1,,2026-01-01,,\r\n,,,,,,,\r\n"
    rows, findings = read(content.encode())
    assert findings == []
    (entry,) = rows.entries
    assert entry.values[:4] == ("o1", "e1", "总排口", "water")
    assert entry.period == "from 2026-01-01 to open"


def test_read_counts_lines_of_quoted_cells():
    """The line of a row is where it begins, although quoted cells before it span lines."""
    content = OLD_OUTLETS + '\no1,e1,"a\nb",water,,\no2,e1,x,air,,\n'
    _, findings = read(content.encode())
    assert [(finding.line, finding.column) for finding in findings] == [(2, "name"), (4, "medium")]


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "ignore"))))
def test_read_takes_any_bytes(noise):
    """Whatever bytes come, as a file or below a good header, reading ends in rows or findings."""
    for content in (noise, HEADERS["data_loggers"].encode() + b"\n" + noise):
        _, findings = read(content)
        assert all(finding.line >= 1 for finding in findings)


@pytest.mark.parametrize("kind", [kind for kind in HEADERS if FILES[kind].is_exported])
def test_write_gives_the_text_that_was_read(kind, tmp_path):
    """A file in the exported form comes back the same to the byte."""
    content = f"{HEADERS[kind]}\n{GOOD[kind]}\n".encode()
    rows, _ = read(content)
    path = tmp_path / "out.csv"
    assert write_file(path, FILES[kind], [entry.values for entry in rows.entries + rows.marks]) == 1
    assert path.read_bytes() == content


def test_write_sorts_by_id_and_period(tmp_path):
    """Rows are written sorted by id, then by valid_from, an open start first."""
    lines = ["o2,e1,x,gas,,", "o1,e1,x,gas,2026-01-01,", "o1,e1,x,gas,,2026-01-01"]
    rows, _ = read("\n".join([OLD_OUTLETS, *lines]).encode())
    path = tmp_path / "out.csv"
    write_file(path, KINDS["outlets"], [entry.values for entry in rows.entries])
    assert path.read_text().splitlines()[1:] == [
        "o1,e1,x,gas,,,,,,2026-01-01",
        "o1,e1,x,gas,,,,,2026-01-01,",
        "o2,e1,x,gas,,,,,,",
    ]


def test_write_keeps_passwords_private(tmp_path):
    """A file with passwords is readable by its owner only, also when it replaces an open one."""
    path = tmp_path / "data_loggers.csv"
    path.touch(mode=0o644)
    write_file(path, KINDS["data_loggers"], [])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_write_replaces_nothing_when_it_fails(tmp_path):
    """A write that cannot be finished leaves the old file and nothing beside it."""
    path = tmp_path / "outlets.csv"
    path.mkdir()
    with pytest.raises(OSError, match="outlets"):
        write_file(path, KINDS["outlets"], [])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mn", ["@SUM(1+1)*cmd|'/c", "+1-1", "-1+1", "'+1"])
def test_what_a_data_logger_calls_itself_is_no_formula(tmp_path, mn):
    """An MN or a code that begins like one is written like a name, and read back as it was sent."""
    kind = KINDS["units"]
    values = (mn, mn, "w01018", "mg/L", 1.0, None, None)
    write_file(tmp_path / "units.csv", kind, [values])
    content = (tmp_path / "units.csv").read_bytes()
    assert all(cell.startswith("'") for cell in content.decode().splitlines()[1].split(",")[:2])
    findings = Findings()
    rows = read_files([InputFile("units.csv", content)], findings)
    assert findings.kept() == []
    assert [entry.values for entry in rows.entries] == [values]
