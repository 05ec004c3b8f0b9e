"""Proposals in the database: counted in the batch's transaction, decided once."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from hj212gw.errors import PositionMoved, StoreUnavailable
from hj212gw.store.migrate import migrate
from hj212gw.store.proposals import ACCEPTED, DISMISSED, ProposalStore, Wanted, note_proposals, read_time_labels
from hj212gw.store.rows import Batch, ProposalRow
from hj212gw.store.writer import Writer

NOW = datetime(2026, 3, 1, 4, 0, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
MN = "010000A8900016F000169DC0"
ROW = ProposalRow(MN, "", "", "dialect", "crc_modbus", "first", 2, NOW, NOW + HOUR)


@pytest.fixture
async def admin(postgres_dsn):
    """A migrated database."""
    connection = await asyncpg.connect(postgres_dsn, server_settings={"search_path": "hj212, public"})
    await migrate(connection, now=NOW)
    yield connection
    await connection.close()


async def read(admin):
    """What analysts see."""
    return [tuple(row) for row in await admin.fetch("SELECT * FROM hj212.v_proposals ORDER BY mn, what, value")]


async def test_proposals_are_stored_with_the_batch(admin, postgres_dsn):
    """By the gateway's role, and only when the position moves."""
    writer = Writer(postgres_dsn, uuid4())
    await writer.open(NOW)
    await writer.write(Batch([], [], [], 0, 1, NOW, (ROW,)))
    with pytest.raises(PositionMoved):
        await writer.write(Batch([], [], [], 0, 1, NOW, (ROW,)))
    await writer.close()
    assert await read(admin) == [
        (MN, "", "", None, "dialect", "crc_modbus", "first", 2, NOW, NOW + HOUR, "open"),
    ]


async def test_times_add_up(admin):
    """First and last time seen stay the outermost, the evidence is the latest's."""
    await note_proposals(admin, [ROW, ROW._replace(value="crc_short")])
    await note_proposals(admin, [ROW._replace(evidence="later", times=3, last_seen_at=NOW + 2 * HOUR)])
    await note_proposals(
        admin, [ROW._replace(evidence="kept back", times=1, first_seen_at=NOW - HOUR, last_seen_at=NOW)]
    )
    assert [row[5:10] for row in await read(admin)] == [
        ("crc_modbus", "later", 6, NOW - HOUR, NOW + 2 * HOUR),
        ("crc_short", "first", 2, NOW, NOW + HOUR),
    ]


async def test_decided_stays_decided_and_counts(admin, postgres_dsn):
    """Whatever comes later."""
    other = ROW._replace(mn="OTHER", st="32", cn="2051", what="time_label", value="end")
    await note_proposals(admin, [ROW, other, other._replace(cn="2061")])
    async with ProposalStore.open(postgres_dsn) as store:
        async with store.registry.change():
            assert await store.decide(Wanted(*ROW[:1], *ROW[3:5]), DISMISSED, NOW, "Li Wei") == [("", "")]
            assert await store.decide(Wanted("OTHER", "time_label", "end", cn="2061"), ACCEPTED, NOW, "x") == [
                ("32", "2061")
            ]
            assert await store.decide(Wanted("OTHER", "time_label", "start"), ACCEPTED, NOW, "x") == []
        await note_proposals(admin, [ROW])
        assert [(row.mn, row.cn, row.state) for row in await store.read(None, None, decided=False)] == [
            ("OTHER", "2051", "open")
        ]
        (row,) = await store.read(MN, "dialect", decided=True)
        assert (row.state, row.times) == ("dismissed", 4)
    decided = await admin.fetchrow("SELECT decided_at, decided_by FROM hj212.proposals WHERE mn = $1", MN)
    assert tuple(decided) == (NOW, "Li Wei")


async def test_outlet_is_the_last_of_the_data_logger(admin):
    """Rows that were superseded do not count."""
    for outlet, start, superseded in (("a", 1, None), ("b", 2, None), ("c", 3, NOW)):
        await admin.execute(
            "INSERT INTO hj212.data_loggers (mn, outlet, valid_from, superseded_at) VALUES ($1, $2, $3, $4)",
            MN,
            outlet,
            NOW + start * HOUR,
            superseded,
        )
    await note_proposals(admin, [ROW])
    assert [row[3] for row in await read(admin)] == ["b"]


async def test_what_the_registry_answers_is_accepted(admin):
    """Rows also come by files; one that ended answers nothing any more."""
    rows = [
        ROW._replace(what=what, value=value, st=st, cn=cn)
        for what, value, st, cn in (
            ("register", "", "", ""),
            ("time_label", "end", "32", "2051"),
            ("time_label", "end", "32", "2061"),
            ("time_label", "sent", "32", "2051"),
            ("unit", "011 w01018 mg/L 1", "", ""),
            ("unit", "020 w20111 ug/L 1000", "", ""),
        )
    ]
    await note_proposals(admin, rows)
    assert [row[-1] for row in await read(admin)] == ["open"] * 6
    await admin.execute("INSERT INTO data_loggers (mn, origin) VALUES ($1, 'found')", MN)
    assert [row[-1] for row in await read(admin)] == ["open"] * 6
    await admin.execute("UPDATE data_loggers SET origin = 'registry'")
    await admin.execute("INSERT INTO time_labels (mn, cn, label) VALUES ($1, '2051', 'end')", MN)
    units = "INSERT INTO units (mn, code, factor, unit, scale, valid_to) VALUES ($1, $2, 'w01018', 'mg/L', 1, $3)"
    await admin.execute(units, MN, "011", None)
    await admin.execute(units, MN, "020", NOW)
    found = {(row[4], row[5], row[2]) for row in await read(admin) if row[-1] == "accepted"}
    assert found == {
        ("register", "", ""),
        ("time_label", "end", "2051"),
        ("unit", "011 w01018 mg/L 1", ""),
    }


async def test_analyst_reads_the_view_only(admin):
    """The table says who decided."""
    await note_proposals(admin, [ROW])
    await admin.execute("SET ROLE hj212_analyst")
    assert len(await read(admin)) == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await admin.fetch("SELECT * FROM hj212.proposals")


async def test_database_that_goes_away(admin, postgres_dsn):
    """Is told as such, and closing is quick."""
    async with ProposalStore.open(postgres_dsn) as store:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hj212gw proposals'"
            " AND datname = current_database()"
        )
        with pytest.raises(StoreUnavailable):
            await store.read(None, None, decided=True)
        with pytest.raises(StoreUnavailable):
            await read_time_labels(store._connection, NOW)
