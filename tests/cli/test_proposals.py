"""Tests of `registry proposals`, `accept` and `dismiss`: rows are written, and what cannot be is explained."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest
from tests.cli.test_registry import NO_DATABASE, dsn, run  # noqa: F401 - a fixture

from hj212gw.store.proposals import note_proposals
from hj212gw.store.rows import ProposalRow

NOW = datetime(2026, 3, 1, 4, 0, 5, tzinfo=UTC)
MN = "010000A8900016F000169DC0"
ROWS = [
    ProposalRow(MN, st, cn, what, value, "evidence 证据", times, NOW, NOW)
    for st, cn, what, value, times in (
        ("", "", "clock", "-3600", 3),
        ("", "", "dialect", "crc_modbus closing_missing", 40),
        ("", "", "register", "", 1),
        ("", "", "rename", "W01018 w01018", 5),
        ("", "", "rename", "o31104 a05024", 5),
        ("", "", "repair", "no_crlf", 7),
        ("", "", "repair", "of_a_newer_version", 7),
        ("", "", "unit", "002 w01002 colour degree 1", 2),
        ("", "", "unit", "020 w20111 ug/L 1000", 2),
        ("32", "2051", "time_label", "end", 9),
        ("32", "2051", "time_label", "start", 9),
        ("32", "2061", "time_label", "end", 9),
    )
]


REGISTER = "INSERT INTO hj212.data_loggers (mn, st, valid_from, valid_to) VALUES ($1, '32', $2, $3)"


def fetch(dsn, statement):  # noqa: F811
    """Run a query."""

    async def read():
        connection = await asyncpg.connect(dsn)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    return asyncio.run(read())


def execute(dsn, statement, *values):  # noqa: F811
    """Run a statement."""

    async def write():
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(statement, *values)
        finally:
            await connection.close()

    asyncio.run(write())


@pytest.fixture
def database(dsn):  # noqa: F811
    """A database with a registered data logger and proposals."""

    async def fill():
        connection = await asyncpg.connect(dsn)
        await connection.execute(REGISTER, MN, date.min, None)
        await note_proposals(connection, ROWS)
        await connection.close()

    asyncio.run(fill())
    return dsn


def current(dsn, table, columns):  # noqa: F811
    """Return the current rows of a registry table with their periods."""
    query = f"SELECT {columns}, valid_from, valid_to FROM hj212.{table} WHERE superseded_at IS NULL ORDER BY {columns}, valid_from"
    return [row[:-2] + tuple(map(period, row[-2:])) for row in fetch(dsn, query)]


def period(moment):
    """An end of a period, None where open."""
    return None if moment is None or moment.year == 1 else moment


def test_proposals_are_listed(database):
    """As a table and as JSON, by data logger and kind."""
    result = run("proposals", "--dsn", database, "--what", "dialect")
    assert result.exit_code == 0
    header, line = result.stdout.splitlines()
    assert header.split()[:4] == ["mn", "st", "cn", "outlet"]
    assert "crc_modbus closing_missing  40" in line
    assert "2026-03-01T12:00:05  open" in line
    rows = json.loads(run("proposals", "--dsn", database, "--json", "--mn", MN).stdout)
    assert len(rows) == len(ROWS) - 1  # it is registered by now
    assert rows[0]["times"] == 3
    assert run("proposals", "--dsn", database, "--mn", "OTHER").stdout.count("\n") == 1


def test_dialects_are_accepted(database):
    """A row a slug; the proposal is decided and listed with --all only."""
    result = run("accept", MN, "dialect", "crc_modbus closing_missing", "--by", "Li Wei", "--dsn", database)
    assert result.exit_code == 0, result.stderr
    assert f"dialects: {MN} crc_modbus from ever" in result.stderr
    assert current(database, "dialects", "mn, dialect") == [
        (MN, "closing_missing", None, None),
        (MN, "crc_modbus", None, None),
    ]
    assert run("proposals", "--dsn", database, "--what", "dialect").stdout.count("\n") == 1
    (row,) = json.loads(run("proposals", "--dsn", database, "--what", "dialect", "--all", "--json").stdout)
    assert row["state"] == "accepted"
    assert fetch(database, "SELECT decided_by FROM hj212.proposals WHERE state = 'accepted'") == [("Li Wei",)]
    again = run("accept", MN, "dialect", "crc_modbus", "closing_missing", "--dsn", database)
    assert again.exit_code == 0
    assert len(current(database, "dialects", "mn, dialect")) == 2


def test_label_ends_the_one_before(database):
    """From the moment that is given; without one the contrary row stands, and nothing is written."""
    assert run("accept", MN, "time_label", "end", "--dsn", database).exit_code == 0
    before = [(MN, "32", cn, "end", None, None) for cn in ("2051", "2061")]
    assert current(database, "time_labels", "mn, st, cn, label") == before
    refused = run("accept", MN, "time_label", "start", "--dsn", database)
    assert refused.exit_code == 3
    assert "give a later --from" in refused.stderr
    assert current(database, "time_labels", "mn, st, cn, label") == before
    start = "2026-03-02T08:00"
    done = run("accept", MN, "time_label", "start", "--from", start, "--cn", "2051", "--dsn", database, "--json")
    assert json.loads(done.stdout) == [
        {"table": "time_labels", "mn": MN, "st": "32", "cn": "2051", "label": "start"},
    ]
    moment = datetime(2026, 3, 2, tzinfo=UTC)
    assert current(database, "time_labels", "mn, st, cn, label") == [
        (MN, "32", "2051", "end", None, moment),
        (MN, "32", "2051", "start", moment, None),
        before[1],
    ]
    for late in (moment, moment - timedelta(days=1)):
        result = run("accept", MN, "time_label", "end", "--from", late.date(), "--st", "32", "--dsn", database)
        assert result.exit_code == 3
        assert "from 2026-03-02T08:00: give a later --from" in result.stderr


def test_rows_hold_no_longer_than_their_data_logger(database, tmp_path):
    """Also when no time is given; so the file the data logger came from can be imported again."""
    start, middle, end = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 6))
    for began, ended in ((date(2020, 1, 1), date(2021, 1, 1)), (start, middle), (middle, end)):
        execute(database, REGISTER, MN, began, ended)
    execute(database, "DELETE FROM hj212.data_loggers WHERE valid_from = '-infinity'")
    for wanted in ("2019-12-31", "2022-01-01", "2026-06-01T08:00"):
        refused = run("accept", MN, "dialect", "crc_modbus closing_missing", "--from", wanted, "--dsn", database)
        assert refused.exit_code == 3
        assert "to 2021-01-01T08:00 and from 2026-01-01T08:00 to 2026-06-01T08:00" in refused.stderr
    done = run("accept", MN, "dialect", "crc_modbus closing_missing", "--dsn", database)
    assert f"{MN} crc_modbus from 2026-01-01T08:00 to 2026-06-01T08:00" in done.stderr
    assert current(database, "dialects", "dialect") == [
        ("closing_missing", start, end),
        ("crc_modbus", start, end),
    ]
    assert run("export", tmp_path / "registry", "--dsn", database).exit_code == 0
    again = run("import", tmp_path / "registry" / "data_loggers.csv", "--dsn", database)
    assert again.exit_code == 0, again.stderr


def test_found_data_logger_is_registered_first(database):
    """A row from ever would stand in the way of its registration."""
    execute(database, "UPDATE hj212.data_loggers SET origin = 'found'")
    refused = run("accept", MN, "dialect", "crc_modbus closing_missing", "--dsn", database)
    assert refused.exit_code == 3
    assert "is not registered: add it to data_loggers.csv" in refused.stderr
    assert current(database, "dialects", "dialect") == []


def test_units_and_renames_are_accepted(database):
    """As rows of one table; the unit of a rename is the catalogue's."""
    for what, value in (
        ("unit", "020 w20111 ug/L 1000"),
        ("unit", "002 w01002 colour degree 1"),
        ("rename", "W01018 w01018"),
    ):
        assert run("accept", MN, what, value, "--from", "2026-01-01", "--dsn", database).exit_code == 0
    start = datetime(2025, 12, 31, 16, tzinfo=UTC)
    assert current(database, "units", "mn, code, factor, unit, scale") == [
        (MN, "002", "w01002", "colour degree", 1.0, start, None),
        (MN, "020", "w20111", "ug/L", 1000.0, start, None),
        (MN, "W01018", "w01018", "mg/L", 1.0, start, None),
    ]
    refused = run("accept", MN, "rename", "o31104 a05024", "--dsn", database)
    assert refused.exit_code == 3
    assert "the catalogue has no unit for a05024" in refused.stderr


@pytest.mark.parametrize(
    ("what", "value", "step"),
    [
        ("repair", "no_crlf", "every frame ends in CR LF"),
        ("repair", "of_a_newer_version", "unknown to this version"),
        ("clock", "-3600", "set the data logger's clock"),
        ("register", "", "data_loggers.csv"),
    ],
)
def test_what_no_row_answers_is_explained(database, what, value, step):
    """With the next step; the proposal stays open."""
    result = run("accept", "--dsn", database, "--", MN, what, value)
    assert result.exit_code == 3
    assert step in result.stderr
    assert fetch(database, "SELECT count(*) FROM hj212.proposals WHERE state <> 'open'") == [(0,)]


def test_proposals_are_dismissed(database):
    """All of one kind and value, or those of one CN."""
    result = run("dismiss", MN, "time_label", "end", "--cn", "2061", "--dsn", database)
    assert (result.exit_code, result.stderr) == (0, "dismissed: 1\n")
    assert fetch(database, "SELECT cn FROM hj212.proposals WHERE state = 'dismissed'") == [("2061",)]


def test_unknown_proposal_and_wrong_time(database):
    """Nothing happens, and the next step is named."""
    for command in ("accept", "dismiss"):
        result = run(command, MN, "dialect", "crc_short", "--dsn", database)
        assert result.exit_code == 3
        assert "registry proposals --all" in result.stderr
    result = run("accept", MN, "dialect", "x", "--from", "yesterday", "--dsn", database)
    assert result.exit_code == 2
    assert run("proposals", "--dsn", NO_DATABASE).exit_code == 4
    assert run("proposals").exit_code == 3
