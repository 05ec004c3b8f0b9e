"""Tests of one data logger in the place of another, on a real PostgreSQL."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from hj212gw.clock import Clock
from hj212gw.registry import (
    KINDS,
    InputFile,
    Swap,
    check_files,
    export_registry,
    import_files,
    replace_logger,
)
from hj212gw.registry.cells import format_cell, parse_moment
from hj212gw.store.loggers import add_found_loggers
from hj212gw.store.migrate import migrate
from hj212gw.store.pool import connect
from hj212gw.store.registry import RegistryStore

EXAMPLES = Path(__file__).parents[2] / "config" / "registry"
NOW = datetime(2026, 5, 1, tzinfo=UTC)
PAPER = "530401A8900016F000169D01"
TAIL_BEFORE, TAIL = "530402A8900016F000169D04", "530402A8900016F000169D05"
NEW = "530401A8900016F000169D99"
FILES = {
    "channels": [
        f"{PAPER},32,,yx-paper-boiler,2025-01-01,",
        f"{PAPER},,w01018,yx-sewage-out,2025-06-01,2026-03-01",
        f"{PAPER},,w21003,yx-sewage-out,2026-09-01,",
    ],
    "dialects": [f"{PAPER},crc_short,2025-01-01,", f"{PAPER},crc_modbus,2027-01-01,"],
    "time_labels": [f"{PAPER},,2061,end,2025-01-01,"],
    "units": [f"{PAPER},020,w20111,ug/L,1000,2025-01-01,2027-01-01"],
    "cipher_keys": [f"{PAPER},k1,sixteen-letters.,2025-01-01,"],
}


@pytest.fixture
async def store(postgres_dsn):
    """The registry of the examples, with rows of every kind for one data logger."""
    connection = await connect(postgres_dsn, name="test")
    await migrate(connection, now=NOW)
    await add_found_loggers(connection, [("FOUND", "32")])
    files = [InputFile(path.name, path.read_bytes()) for path in sorted(EXAMPLES.glob("*.csv"))]
    files += [
        InputFile(name, "\n".join([",".join(KINDS[name].columns), *rows]).encode()) for name, rows in FILES.items()
    ]
    async with RegistryStore.open(postgres_dsn) as store:
        report = await import_files(store, files, Clock())
        assert not report.has_errors, [str(finding) for finding in report.findings.kept()]
        yield store
    await connection.close()


async def read(store, kind, mn):
    """The current rows of a data logger, as the lines of a file without their MN, secrets hidden."""
    columns = [column for column in KINDS[kind].columns if column not in {"mn", *KINDS[kind].secrets}]
    async with store.snapshot():
        rows = await store.read_rows(kind, ["mn", *columns])
    found = [row.values[1:] for row in rows if row.values[0] == mn and not row.is_found]
    return sorted(",".join(map(format_cell, values)) for values in found)


async def test_replace_moves_what_is_the_outlets(store):
    """From the moment on the new one stands where the old one stood; what began before ends, what began later moves."""
    report = await replace_logger(store, Swap(PAPER, NEW, parse_moment("2026-02-01T08:30"), "new-pw"), Clock())
    assert (report.refusal, report.is_written) == ("", True)
    rest = "32,yx-paper-water,2011 2051 2061 2031,60,10,w00000 w01001 w01018 w21003 w21011 w21001,main"
    assert await read(store, "data_loggers", PAPER) == [f"{rest},2025-01-01,2026-02-01T08:30"]
    assert await read(store, "data_loggers", NEW) == [f"{rest},2026-02-01T08:30,"]
    assert await read(store, "channels", PAPER) == [
        ",w01018,yx-sewage-out,2025-06-01,2026-02-01T08:30",
        "32,,yx-paper-boiler,2025-01-01,2026-02-01T08:30",
    ]
    assert await read(store, "channels", NEW) == [
        ",w01018,yx-sewage-out,2026-02-01T08:30,2026-03-01",
        ",w21003,yx-sewage-out,2026-09-01,",
        "32,,yx-paper-boiler,2026-02-01T08:30,",
    ]
    assert await read(store, "units", NEW) == ["020,w20111,ug/L,1000,2026-02-01T08:30,2027-01-01"]
    assert await read(store, "units", PAPER) == ["020,w20111,ug/L,1000,2025-01-01,2026-02-01T08:30"]
    for kind, row in [("dialects", "crc_short"), ("time_labels", ",2061,end"), ("cipher_keys", "k1")]:
        assert await read(store, kind, NEW) == []
        assert await read(store, kind, PAPER) == [f"{row},2025-01-01,2026-02-01T08:30"]
    assert {name: (change.ended, change.moved) for name, change in report.changes.items()} == {
        "data_loggers": (1, 1),
        "channels": (3, 3),
        "dialects": (2, 0),
        "time_labels": (1, 0),
        "units": (1, 1),
        "networks": (0, 0),
        "cipher_keys": (1, 0),
    }


async def test_replace_leaves_a_registry_that_can_be_imported(store, tmp_path):
    """What comes of it has no fault of its own, and nothing that no row is about is touched."""
    await replace_logger(store, Swap(PAPER, NEW, parse_moment("2026-02-01")), Clock())
    files = [InputFile(path.name, path.read_bytes()) for path in await export_registry(store, tmp_path)]
    report = await check_files(store, files)
    assert report.findings.kept() == []
    assert not any(change.added for change in report.changes.values())
    assert await read(store, "data_loggers", TAIL) != []


async def test_replace_keeps_the_past(store, postgres_dsn):
    """The rows that were current before stay, superseded."""
    await replace_logger(store, Swap(PAPER, NEW, parse_moment("2026-02-01")), Clock())
    connection = await connect(postgres_dsn, name="test")
    old = await connection.fetch("SELECT * FROM hj212.data_loggers WHERE mn = $1 AND superseded_at IS NOT NULL", PAPER)
    await connection.close()
    assert [row["valid_to"] for row in old] == [None]


async def test_replace_goes_to_the_end_of_the_row(store):
    """A row that ends by itself gives the new one its end."""
    await replace_logger(store, Swap(TAIL_BEFORE, NEW, parse_moment("2026-01-01"), None), Clock())
    (row,) = await read(store, "data_loggers", NEW)
    assert row.endswith(",main,2026-01-01,2026-03-01T08:30")


async def test_replace_at_the_beginning_leaves_nothing_of_the_old(store):
    """At the moment the old one's row begins, all of it is the new one's."""
    await replace_logger(store, Swap(PAPER, NEW, parse_moment("2025-01-01")), Clock())
    assert await read(store, "data_loggers", PAPER) == []
    assert len(await read(store, "data_loggers", NEW)) == 1


async def test_replace_by_one_that_was_found(store):
    """A data logger that the gateway found becomes registered."""
    report = await replace_logger(store, Swap(PAPER, "FOUND", parse_moment("2026-02-01")), Clock())
    assert report.refusal == ""
    async with store.snapshot():
        rows = await store.read_rows("data_loggers", ["mn"])
    assert [row.is_found for row in rows if row.values == ("FOUND",)] == [False]


# old, new, moment, what is said
REFUSED = [
    ("NOBODY", NEW, "2026-02-01", "came 'NOBODY': it is not registered at all"),
    ("FOUND", NEW, "2026-02-01", "came 'FOUND': it is not registered at all"),
    (PAPER, NEW, "2024-12-31", f"came '{PAPER}': it is from 2025-01-01 to open"),
    (TAIL_BEFORE, NEW, "2026-03-01T08:30", f"came '{TAIL_BEFORE}': it is from 2025-01-01 to 2026-03-01T08:30"),
    (PAPER, TAIL, "2026-02-01", f"came '{TAIL}': it is from 2026-03-01T08:30 to open"),
    (PAPER, PAPER, "2026-02-01", "twice"),
]


@pytest.mark.parametrize(("old", "new", "at", "message"), REFUSED)
async def test_replace_refuses(old, new, at, message, store):
    """One that is not registered then, or a new one that is, is refused, and nothing is written."""
    before = [await read(store, kind, mn) for kind in FILES for mn in (old, new)]
    report = await replace_logger(store, Swap(old, new, parse_moment(at)), Clock())
    assert message in report.refusal
    assert (report.is_written, report.changes) == (False, {})
    assert [await read(store, kind, mn) for kind in FILES for mn in (old, new)] == before


async def test_replace_by_one_that_was_registered_before(store):
    """A data logger that stood elsewhere until then may be taken again."""
    report = await replace_logger(store, Swap(PAPER, TAIL_BEFORE, parse_moment("2026-03-01T08:30")), Clock())
    assert report.refusal == ""
    assert len(await read(store, "data_loggers", TAIL_BEFORE)) == 2


async def test_replace_dry_run_writes_nothing(store):
    """A dry run tells the same and leaves the tables alone."""
    swap = Swap(PAPER, NEW, parse_moment("2026-02-01"), "hush-hush")
    dry = await replace_logger(store, swap, Clock(), is_dry_run=True)
    assert not dry.is_written
    assert await read(store, "data_loggers", NEW) == []
    wet = await replace_logger(store, swap, Clock())
    assert {name: change.moved for name, change in dry.changes.items()} == {
        name: change.moved for name, change in wet.changes.items()
    }
    assert "hush" not in repr(swap) + repr(wet)
