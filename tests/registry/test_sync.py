"""Tests of the registry's files against its tables, on a real PostgreSQL."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hj212gw.clock import Clock
from hj212gw.errors import SchemaMismatch, StoreError, StoreUnavailable
from hj212gw.protocol.dialects import SLUGS
from hj212gw.registry import KINDS, Findings, InputFile, check_files, export_registry, import_files, read_files
from hj212gw.registry.cells import format_cell, format_name
from hj212gw.registry.kinds import EARLIEST
from hj212gw.store.loggers import add_found_loggers, read_known_loggers
from hj212gw.store.migrate import migrate
from hj212gw.store.pool import connect
from hj212gw.store.registry import RegistryStore

EXAMPLES = Path(__file__).parents[2] / "config" / "registry"
NOW = datetime(2026, 5, 1, tzinfo=UTC)
DEADLINE_SECS = 20
MN = "530401A8900016F000169D01"
EXPORTED = [name for name, kind in KINDS.items() if kind.is_exported]
EXAMPLE_ROWS = {
    "enterprises": 4,
    "outlets": 6,
    "data_loggers": 7,
    "channels": 1,
    "dialects": 1,
    "time_labels": 1,
    "units": 3,
    "cipher_keys": 0,
    "networks": 1,
    "limits": 6,
    "legal_holds": 1,
    "base_list": 34,
}
LOGGERS = "mn,pw,st,outlet,cns,rtd_interval_secs,min_interval_mins,factors,valid_from,valid_to\n"


@pytest.fixture
async def connection(postgres_dsn):
    """A connection to a database with the current schema."""
    connection = await connect(postgres_dsn, name="test")
    await migrate(connection, now=NOW)
    yield connection
    await connection.close()


@pytest.fixture
async def store(postgres_dsn, connection):
    """The registry of that database, over a connection of its own."""
    async with RegistryStore.open(postgres_dsn) as store:
        yield store


def example_files():
    """The example set, as files that came in."""
    return [InputFile(path.name, path.read_bytes()) for path in sorted(EXAMPLES.glob("*.csv"))]


def logger_file(*lines):
    """A file of data loggers with these lines."""
    return [InputFile("loggers.csv", (LOGGERS + "\n".join(lines)).encode())]


def clock_at(moment):
    """A clock that as good as stands at a moment."""
    return Clock(epoch=moment, speed=1e-9)


async def dump(connection):
    """Every row of every registry table, superseded ones included."""
    rows = {name: await connection.fetch(f"SELECT * FROM hj212.{name} ORDER BY row_id") for name in KINDS}
    marks = {
        name: await connection.fetch(f"SELECT * FROM hj212.{name} ORDER BY 1") for name in ("marks", "mark_events")
    }
    return rows | marks


async def count_rows(connection):
    """How many rows each table of dated rows has."""
    return {name: len(rows) for name, rows in (await dump(connection)).items() if name in KINDS}


async def test_export_gives_the_imported_files_back(store, connection, tmp_path):
    """The example files come back from the database byte by byte."""
    report = await import_files(store, example_files(), Clock())
    assert report.findings.kept() == []
    assert report.is_written
    written = await export_registry(store, tmp_path / "new" / "folder")
    assert [path.name for path in written] == [*(f"{name}.csv" for name in EXPORTED), "marks.csv"]
    for path in written:
        assert path.read_bytes() == (EXAMPLES / path.name).read_bytes()


async def test_import_twice_is_the_same_as_once(store, connection):
    """A second import of the same files touches no row and tells the gateway nothing."""
    await import_files(store, example_files(), clock_at(NOW))
    before = await dump(connection)
    heard = []
    await connection.add_listener("hj212_registry", lambda *event: heard.append(event))
    report = await import_files(store, example_files(), clock_at(NOW + timedelta(days=1)))
    assert await dump(connection) == before
    assert heard == []
    assert {name: change.unchanged for name, change in report.changes.items()} == EXAMPLE_ROWS
    assert (report.marks.unchanged, report.marks.added, report.marks.continued) == (5, [], [])


async def test_import_writes_nothing_when_the_last_line_is_bad(store, connection):
    """One bad line, the last of the last file, keeps every row of every file out."""
    *files, last = sorted(example_files(), key=lambda file: file.name == "outlets.csv")
    files.append(last._replace(content=last.content + b"o9,yx-paper,x,air,,,,,,\n"))
    report = await import_files(store, files, Clock())
    assert [str(finding) for finding in report.findings.kept()] == [
        "outlets.csv:8: medium: expected one of water, gas, noise, other, came 'air'"
    ]
    assert not report.is_written
    assert await count_rows(connection) == dict.fromkeys(KINDS, 0)


async def test_import_undoes_all_when_the_database_fails(store, connection):
    """An error of the database at the last table leaves no row in the first and shows no password; the next import works."""
    await connection.execute("ALTER TABLE hj212.data_loggers ADD CONSTRAINT refuse CHECK (pw <> '123456')")
    with pytest.raises(StoreError) as caught:
        await import_files(store, example_files(), Clock())
    assert "123456" not in f"{caught.value} {caught.value.__cause__}"
    assert await count_rows(connection) == dict.fromkeys(KINDS, 0)
    await connection.execute("ALTER TABLE hj212.data_loggers DROP CONSTRAINT refuse")
    assert (await import_files(store, example_files(), Clock())).is_written


async def test_import_keeps_what_it_replaces(store, connection):
    """A corrected row is recorded at its import; the old one stays, superseded at the same moment."""
    await import_files(store, logger_file(f"{MN},old,32,,,,,,,", f"{MN[:-1]}2,x,32,,,,,,,"), clock_at(NOW))
    later = NOW + timedelta(days=3)
    report = await import_files(store, logger_file(f"{MN},new,32,,,,,,,2026-06-01"), clock_at(later))
    assert (report.changes["data_loggers"].replaced, len(report.changes["data_loggers"].added)) == (1, 1)
    old, other, new = (await dump(connection))["data_loggers"]
    assert (old["pw"], old["superseded_at"]) == ("old", new["recorded_at"])
    assert old["recorded_at"] < later <= new["recorded_at"]
    assert (new["pw"], new["superseded_at"], other["superseded_at"]) == ("new", None, None)


async def test_import_registers_found_data_loggers(store, connection, tmp_path):
    """A data logger the gateway found stays out of the export until a file names it; then it is known by the file."""
    await add_found_loggers(connection, [(MN, "32"), ("12345678901234", "31")])
    files = await export_registry(store, tmp_path)
    assert set(files.values()) == {0}
    report = await import_files(store, logger_file(f"{MN},secret,32,,,60,,,,"), Clock())
    assert report.changes["data_loggers"].registered == 1
    known = {logger.mn: logger.pw for logger in await read_known_loggers(connection, NOW)}
    assert known == {MN: "secret", "12345678901234": None}
    assert (await export_registry(store, tmp_path))[tmp_path / "data_loggers.csv"] == 1


async def test_import_tells_the_gateway(store, connection):
    """An import that changes data loggers is announced on the gateway's channel."""
    heard = asyncio.Event()
    await connection.add_listener("hj212_registry", lambda *_: heard.set())
    await import_files(store, logger_file(f"{MN},x,32,,,,,,,"), Clock())
    await asyncio.wait_for(heard.wait(), DEADLINE_SECS)


async def test_imports_at_the_same_time_are_one_after_the_other(postgres_dsn, connection):
    """Two imports of the same files at once write the rows once."""

    async def run():
        async with RegistryStore.open(postgres_dsn) as store:
            return await import_files(store, example_files(), Clock())

    reports = await asyncio.gather(run(), run())
    assert sorted(report.changes["outlets"].unchanged for report in reports) == [0, 6]
    assert await count_rows(connection) == EXAMPLE_ROWS


async def test_change_makes_the_gateway_wait(postgres_dsn, connection, store):
    """A data logger found while an import runs is not registered a second time behind its back."""
    gateway = await connect(postgres_dsn, name="gateway")
    columns = KINDS["data_loggers"].columns
    row = (MN, "x", "32", None, (), None, None, (), "main", None, None)
    async with store.change():
        finding = asyncio.create_task(add_found_loggers(gateway, [(MN, "32")]))
        deadline = time.monotonic() + DEADLINE_SECS
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            assert time.monotonic() < deadline, "the gateway did not wait"
        await store.add_rows("data_loggers", columns, [row], NOW)
    await finding
    assert [row["origin"] for row in (await dump(connection))["data_loggers"]] == ["registry"]
    await gateway.close()


async def test_check_writes_nothing(store, connection):
    """A check finds what an import would find and do, and leaves the tables alone."""
    report = await check_files(store, example_files())
    assert {name: len(change.added) for name, change in report.changes.items()} == EXAMPLE_ROWS
    assert not report.is_written
    assert await count_rows(connection) == dict.fromkeys(KINDS, 0)


async def test_check_looks_into_the_database(store, connection):
    """What the files refer to may stand in the database only."""
    await import_files(store, example_files(), Clock())
    good, bad = (logger_file(f"{MN[:-1]}9,x,32,{outlet},,,,,2026-01-01,") for outlet in ("yx-paper-water", "no-such"))
    assert not (await check_files(store, good)).has_errors
    (finding,) = (await check_files(store, bad)).findings.kept()
    assert (finding.line, finding.column) == (2, "outlet")


async def test_import_needs_the_schema(empty_dsn):
    """A database without the schema is named as such, with the next step."""
    async with RegistryStore.open(empty_dsn) as store:
        with pytest.raises(SchemaMismatch, match="db migrate"):
            await import_files(store, example_files(), Clock())


async def test_import_says_that_the_database_went_away(postgres_dsn, connection):
    """A connection that is cut becomes an error to try again."""
    async with RegistryStore.open(postgres_dsn) as store:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hj212gw registry'"
            " AND datname = current_database()"
        )
        for action in (import_files(store, example_files(), Clock()), check_files(store, example_files())):
            with pytest.raises(StoreUnavailable):
                await action


KEY_HEADER = "mn,key_id,secret,valid_from,valid_to"
# a file that makes the gateway's data loggers others than they were
TELLING = [
    "mn,st,factor,outlet,valid_from,valid_to\n{mn},32,w01018,yx-paper-boiler,2025-01-01,",
    "mn,dialect,valid_from,valid_to\n{mn},crc_short,2025-01-01,",
    "mn,st,cn,label,valid_from,valid_to\n{mn},,2051,sent,2025-01-01,",
    "mn,code,factor,unit,scale,valid_from,valid_to\n{mn},020,w20111,ug/L,1000,2025-01-01,",
    f"{KEY_HEADER}\n{{mn}},k1,sixteen-letters.,2025-01-01,",
]


@pytest.mark.parametrize("content", TELLING)
async def test_import_of_what_the_gateway_needs_tells_it(content, store, connection):
    """Every kind by which the gateway reads packets is announced; limits and holds are not."""
    await import_files(store, example_files(), Clock())
    heard = asyncio.Event()
    await connection.add_listener("hj212_registry", lambda *_: heard.set())
    report = await import_files(store, [InputFile("f.csv", content.format(mn=MN).encode())], Clock())
    assert report.findings.kept() == []
    await asyncio.wait_for(heard.wait(), DEADLINE_SECS)


async def test_keys_are_imported_and_never_exported(store, connection, tmp_path):
    """Keys reach the table as bytes, come twice without a change, and stand in no exported file."""
    await import_files(store, example_files(), Clock())
    keys = [InputFile("keys.csv", f"{KEY_HEADER}\n{MN},k1,sixteen-letters.,2025-01-01,\n".encode())]
    assert (await import_files(store, keys, Clock())).changes["cipher_keys"].new == 1
    assert (await import_files(store, keys, Clock())).changes["cipher_keys"].unchanged == 1
    assert [row["secret"] for row in (await dump(connection))["cipher_keys"]] == [b"sixteen-letters."]
    written = await export_registry(store, tmp_path)
    assert all(b"sixteen" not in path.read_bytes() for path in written)
    assert not (tmp_path / "cipher_keys.csv").exists()


async def test_keys_stay_out_of_database_errors(store, connection):
    """A key the database refuses is in no message."""
    await import_files(store, example_files(), Clock())
    await connection.execute("ALTER TABLE hj212.cipher_keys ADD CONSTRAINT refuse CHECK (key_id <> 'k1')")
    keys = f"{KEY_HEADER}\n{MN},k1,sixteen-letters.,2025-01-01,\n"
    with pytest.raises(StoreError) as caught:
        await import_files(store, [InputFile("keys.csv", keys.encode())], Clock())
    told = f"{caught.value} {caught.value.__cause__} {caught.value.__cause__.detail}"
    assert "sixteen" not in told
    assert b"sixteen-letters.".hex() not in told


async def test_known_loggers_have_dialects_and_keys(store, connection):
    """What is in force comes with the data logger, keys of every time, also of an MN that is registered no more."""
    await import_files(store, example_files(), Clock())
    lines = [
        f"{MN},k1,sixteen-letters.,2025-01-01,2025-04-01",
        f"{MN},k2,{'41' * 16},2025-04-01,",
        "53040120250001,k1,sixteen-letters!,2025-01-01,2025-06-01",
    ]
    await import_files(store, [InputFile("k.csv", "\n".join([KEY_HEADER, *lines]).encode())], Clock())
    known = {logger.mn: logger for logger in await read_known_loggers(connection, datetime(2026, 5, 1, tzinfo=UTC))}
    assert known["53040120250001"].dialects == ("crc_modbus",)
    assert [(dated.key.key_id, dated.key.secret) for dated in known[MN].keys] == [
        ("k1", b"sixteen-letters."),
        ("k2", b"A" * 16),
    ]
    assert (known[MN].min_interval_mins, known[MN].dialects, known[MN].is_registered) == (10, (), True)
    assert "sixteen" not in repr(known)
    later = {logger.mn: logger for logger in await read_known_loggers(connection, datetime(2026, 8, 1, tzinfo=UTC))}
    assert (later["53040120250001"].is_registered, later["53040120250001"].dialects) == (False, ())
    assert len(later["53040120250001"].keys) == 1


IDS = st.text("abc0-_排口", min_size=1, max_size=6).filter(lambda text: text[0] != "-")
NAMES = st.text(
    st.one_of(
        st.sampled_from("=+-@\t'\", ;玉溪"),
        st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp"), exclude_characters=" "),
    ),
    min_size=1,
    max_size=12,
).filter(lambda text: text == text.rstrip() and (text[0] == "\t" or not text[0].isspace()))
SCALES = st.sampled_from([1.0, 1000.0, 0.001, 1e-6, 0.1 + 0.2])
MOMENTS = st.integers(0, 4_000_000_000_000_000).map(
    lambda microseconds: datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)
)
CODES = st.lists(st.from_regex(r"[a-z][0-9]{5}", fullmatch=True), max_size=4, unique=True).map(tuple)
MNS = st.one_of(
    st.from_regex(r"[0-9A-F]{24}", fullmatch=True), st.from_regex(r"[!-%'-+\--:<>-~]{1,20}", fullmatch=True)
)


@st.composite
def periods(draw):
    """Touching periods that together hold for ever."""
    cuts = sorted(draw(st.sets(MOMENTS, max_size=2)))
    return list(zip([None, *cuts], [*cuts, None], strict=True))


@st.composite
def registries(draw):
    """Rows of each kind that fit together."""
    enterprises = [
        (name, draw(NAMES), None, draw(st.none() | NAMES), draw(st.sampled_from(["national", "other"])), *period)
        for name in draw(st.sets(IDS, min_size=1, max_size=3))
        for period in draw(periods())
    ]
    outlets = [
        (
            name,
            draw(st.sampled_from(enterprises))[0],
            draw(NAMES),
            draw(st.sampled_from(["water", "gas"])),
            draw(st.none() | IDS),
            draw(st.none() | NAMES),
            draw(st.none() | st.floats(-180, 180).map(lambda degrees: round(degrees, 6))),
            draw(st.none() | st.sampled_from([0.0, -90.0, 24.3529])),
            *period,
        )
        for name in draw(st.sets(IDS, min_size=1, max_size=3))
        for period in draw(periods())
    ]
    number = st.none() | st.integers(1, 3600)
    mns = draw(st.sets(MNS, max_size=3))
    loggers = [
        (
            mn,
            draw(st.none() | MNS),
            "32",
            draw(st.sampled_from(outlets))[0],
            ("2011",),
            draw(number),
            10,
            draw(CODES),
            draw(st.sampled_from(["main", "standby"])),
            *period,
        )
        for mn in mns
        for period in draw(periods())
    ]
    return {
        "enterprises": enterprises,
        "outlets": outlets,
        "data_loggers": loggers,
        **draw(deviations(mns)),
        **draw(judgements({row[0] for row in outlets})),
        "channels": [
            (mn, draw(st.sampled_from(["", "32"])), factor, draw(st.sampled_from(outlets))[0], *period)
            for mn in mns
            for factor in draw(st.sampled_from([(), ("",), ("", "w01018")]))
            for period in draw(periods())
        ],
    }


@st.composite
def deviations(draw, mns):
    """Rows of how data loggers speak."""
    return {
        "dialects": [(mn, slug, *period) for mn in mns for slug in SLUGS[:2] for period in draw(periods())],
        "time_labels": [
            (mn, system, "2061", draw(st.sampled_from(["start", "end", "sent"])), *period)
            for mn in mns
            for system in draw(st.sets(st.sampled_from(["", "32"])))
            for period in draw(periods())
        ],
        "networks": [(mn, "10.1.0.0/16", *period) for mn in mns for period in draw(periods())],
        "units": [(mn, "020", "w20111", "µg/L", draw(SCALES), *period) for mn in mns for period in draw(periods())],
    }


@st.composite
def judgements(draw, outlets):
    """Rows of what outlets may do, and of what is kept of them."""
    return {
        "limits": [
            (outlet, "w01018", draw(st.sampled_from([None, 0.0, -5.5])), 50.0, "mg/L", draw(st.none() | NAMES), *period)
            for outlet in outlets
            for period in draw(periods())
        ],
        "legal_holds": [(outlet, draw(NAMES), *period) for outlet in outlets for period in draw(periods())],
        "base_list": [
            (outlet, factor, draw(st.integers(1, 8)), *period)
            for outlet in outlets
            for factor in draw(st.sampled_from([(), ("w01018",), ("w01018", "w21003")]))
            for period in draw(periods())
        ],
    }


def as_file(name, rows, order):
    """Write rows by hand, all cells quoted, columns and rows in some order."""
    kind = KINDS[name]
    columns = kind.columns
    lines = [[f'"{column}"' for column in columns]]
    for row in rows:
        texts = [
            format_name(format_cell(value))
            if isinstance(value, str | tuple) and column not in kind.secrets
            else format_cell(value)
            for column, value in zip(columns, row, strict=True)
        ]
        lines.append(['"' + text.replace('"', '""') + '"' for text in texts])
    picked = order.sample(range(len(columns)), len(columns))
    head, *body = [",".join(line[index] for index in picked) for line in lines]
    order.shuffle(body)
    return InputFile(f"{name}.csv", "\n".join([head, *body]).encode())


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(rows=registries(), order=st.randoms(use_true_random=False))
async def test_export_of_import_is_the_sorted_file(rows, order, store, connection, tmp_path):
    """Whatever is imported comes back, sorted by id and valid_from; importing that changes nothing."""
    await connection.execute(f"TRUNCATE {', '.join(f'hj212.{name}' for name in KINDS)}")
    files = [as_file(name, rows[name], order) for name in EXPORTED]
    order.shuffle(files)
    report = await import_files(store, files, Clock())
    assert not report.has_errors, [str(finding) for finding in report.findings.kept()]
    written = await export_registry(store, tmp_path)
    back = [InputFile(path.name, path.read_bytes()) for path in written]
    entries = read_files(back, Findings()).entries
    for name in EXPORTED:
        places = [KINDS[name].columns.index(column) for column in KINDS[name].key]
        expected = sorted(rows[name], key=lambda row: ([row[place] for place in places], row[-2] or EARLIEST))
        assert [entry.values for entry in entries if entry.kind.name == name] == expected
    before = await dump(connection)
    assert not (await import_files(store, back, Clock())).has_errors
    assert await dump(connection) == before
    assert [path.read_bytes() for path in await export_registry(store, tmp_path)] == [file.content for file in back]
