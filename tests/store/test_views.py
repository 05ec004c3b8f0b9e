"""What analysts see of a reading: its outlet, factor, unit, period and the values beside the usual ones."""

import json
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from tests.conftest import prepared_database, undone

from hj212gw.protocol.times import WIRE_ZONE
from hj212gw.store.migrate import load_migrations, migrate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MN, PLAIN, STANDBY = "MN1", "MN2", "MN3"
CUT = "2026-02-10 00:00+08"
REGISTRY = f"""
INSERT INTO hj212.enterprises (enterprise, name, county, level) VALUES ('e1', '纸厂', '红塔区', 'national');
INSERT INTO hj212.outlets (outlet, enterprise, name, medium, permit_number, county, longitude, latitude) VALUES
    ('own', 'e1', '总排口', 'water', 'P-1', NULL, 102.5, 24.3), ('by-st', 'e1', 'x', 'gas', NULL, '通海县', NULL, NULL),
    ('by-factor', 'e1', 'x', 'water', NULL, NULL, NULL, NULL), ('by-both', 'e1', 'x', 'water', NULL, NULL, NULL, NULL),
    ('any', 'e1', 'x', 'water', NULL, NULL, NULL, NULL);
INSERT INTO hj212.data_loggers (mn, pw, outlet, min_interval_mins, role, valid_to) VALUES
    ('{MN}', 'hush-hush', 'own', 5, 'main', NULL), ('{PLAIN}', NULL, NULL, NULL, 'main', NULL),
    ('{STANDBY}', NULL, 'own', NULL, 'standby', '{CUT}');
INSERT INTO hj212.data_loggers (mn, outlet, role, valid_from) VALUES ('{STANDBY}', 'any', 'main', '{CUT}');
INSERT INTO hj212.channels (mn, st, factor, outlet, valid_from) VALUES
    ('{MN}', '31', '', 'by-st', '{CUT}'), ('{MN}', '', 'w01018', 'by-factor', '{CUT}'),
    ('{MN}', '31', 'w01018', 'by-both', '{CUT}'), ('{PLAIN}', '', '', 'any', '{CUT}');
INSERT INTO hj212.channels (mn, st, factor, outlet, superseded_at) VALUES ('{MN}', '', '', 'by-st', now());
INSERT INTO hj212.units (mn, code, factor, unit, scale, valid_from) VALUES
    ('{MN}', '020', 'w20111', 'ug/L', 1000, '{CUT}'), ('{MN}', 'zz9', 'w01018', 'mg/L', 0.001, '{CUT}'),
    ('{MN}', 'w21003', 'w21003', 'ug/L', 1, '{CUT}');
INSERT INTO hj212.time_labels (mn, st, cn, label) VALUES
    ('{MN}', '', '2051', 'sent'), ('{MN}', '32', '2061', 'end'), ('{MN}', '', '2061', 'sent'), ('{MN}', '', '2031', 'end'),
    ('{MN}', '', '2011', 'end'), ('{STANDBY}', '', '2051', 'end');
INSERT INTO hj212.limits (outlet, factor, low, high, unit, basis) VALUES ('own', 'w01001', 6, 9, '1', 'GB 18918-2002');
INSERT INTO hj212.cipher_keys (mn, key_id, secret) VALUES ('{MN}', 'k1', 'sixteen-letters.');
"""
TABLES = {"2051": "readings_minute", "2061": "readings_hour", "2031": "readings_day", "2041": "readings_day"}


@pytest.fixture(scope="module")
def registered_dsn(postgres_server_dsn, schema_template):
    """A migrated database with a registry and the numbers of its data loggers."""
    with prepared_database(postgres_server_dsn, schema_template, prepare) as dsn:
        yield dsn


async def prepare(dsn):
    """Migrate and register."""
    connection = await asyncpg.connect(dsn)
    await migrate(connection, now=NOW)
    await connection.execute(REGISTRY)
    await connection.execute("INSERT INTO hj212.loggers (mn) VALUES ('MN1'), ('MN2'), ('MN3'), ('MN9')")
    await connection.close()


@pytest.fixture
async def connection(registered_dsn):
    """A connection to it; what the test does is undone."""
    async with undone(registered_dsn) as connection:
        yield connection


async def put(connection, mn, **fields):
    """Store one reading."""
    row = {"mn": mn, "st": "32", "cn": "2061", "factor": "w01018", "at": "2026-02-20 08:00", "extra": None, **fields}
    await connection.execute(
        f"INSERT INTO hj212.{TABLES.get(row['cn'], 'readings_rtd')}"
        " (logger_id, nth, data_time, received_at, st, cn, factor, avg, extra)"
        " SELECT logger_id, 0, $2, $2, $3, $4, $5, 1.5, $6 FROM hj212.loggers WHERE mn = $1",
        mn,
        datetime.fromisoformat(row["at"]).replace(tzinfo=WIRE_ZONE),
        row["st"],
        row["cn"],
        row["factor"],
        row["extra"] and json.dumps(row["extra"]),
    )


async def see(connection, *columns):
    """The one reading there is, as analysts see it."""
    (row,) = await connection.fetch(f"SELECT {', '.join(columns)} FROM hj212.v_readings")
    return tuple(row)


# what the reading is, the outlet and the enterprise it belongs to, the data logger's role
OUTLETS = [
    (MN, {"st": "31", "factor": "w01018"}, ("by-both", "e1", "main")),
    (MN, {"st": "32", "factor": "w01018"}, ("by-factor", "e1", "main")),
    (MN, {"st": "31", "factor": "a34013"}, ("by-st", "e1", "main")),
    (MN, {"st": "32", "factor": "w21003"}, ("own", "e1", "main")),
    (MN, {"st": "31", "factor": "w01018", "at": "2026-02-09 23:00"}, ("own", "e1", "main")),
    (PLAIN, {}, ("any", "e1", "main")),
    (PLAIN, {"at": "2026-02-09 23:00"}, (None, None, "main")),
    (STANDBY, {"at": "2026-02-09 23:00"}, ("own", "e1", "standby")),
    (STANDBY, {}, ("any", "e1", "main")),
    ("MN9", {}, (None, None, None)),
]
# what the reading is; its catalogue factor, unit, scale and what is known of the unit
UNITS = [
    (MN, {"factor": "w01018"}, ("w01018", "mg/L", 1.0, "catalogue")),
    (MN, {"factor": "W01018"}, ("w01018", "mg/L", 1.0, "catalogue")),
    (MN, {"factor": "e10103"}, ("e10103", "L/s", 1.0, "catalogue")),
    (MN, {"factor": "E10103"}, ("e10103", "L/s", 1.0, "catalogue")),
    (MN, {"factor": "020"}, ("w20111", "ug/L", 1000.0, "confirmed")),
    (MN, {"factor": "020", "at": "2026-02-09 23:00"}, ("w20111", "mg/L", 1.0, "unit_unconfirmed")),
    (PLAIN, {"factor": "020"}, ("w20111", "mg/L", 1.0, "unit_unconfirmed")),
    (MN, {"factor": "zz9"}, ("w01018", "mg/L", 0.001, "confirmed")),
    (PLAIN, {"factor": "zz9"}, (None, None, 1.0, "unknown")),
    (MN, {"factor": "w21003"}, ("w21003", "ug/L", 1.0, "confirmed")),
    (STANDBY, {"factor": "S01", "st": "31", "at": "2026-02-09 23:00"}, (None, None, 1.0, "unknown")),
    ("MN9", {"factor": "S01", "st": "31"}, ("a19001", "%", 1.0, "unit_unconfirmed")),
    ("MN9", {"factor": "LA", "st": "23"}, ("LA", "dB", 1.0, "catalogue")),
]
# what the reading is; its label and when its period began, on UTC+8
LABELS = [
    (MN, {"cn": "2051", "at": "2026-02-20 08:07:30"}, ("sent", "2026-02-20 08:00")),
    (MN, {"cn": "2051", "at": "2026-02-20 08:10"}, ("sent", "2026-02-20 08:05")),
    (STANDBY, {"cn": "2051", "at": "2026-02-20 08:10"}, ("end", "2026-02-20 08:00")),
    (PLAIN, {"cn": "2051", "at": "2026-02-20 08:10"}, ("start", "2026-02-20 08:10")),
    (MN, {"cn": "2061", "st": "32"}, ("end", "2026-02-20 07:00")),
    (MN, {"cn": "2061", "st": "31", "at": "2026-02-20 08:00:05"}, ("sent", "2026-02-20 07:00")),
    (MN, {"cn": "2031", "at": "2026-02-21 00:00"}, ("end", "2026-02-20 00:00")),
    (PLAIN, {"cn": "2031", "at": "2026-02-20 00:00"}, ("start", "2026-02-20 00:00")),
    (MN, {"cn": "2041", "at": "2026-02-20 00:00"}, ("start", "2026-02-20 00:00")),
    (MN, {"cn": "2011", "at": "2026-02-20 08:00:30"}, ("moment", "2026-02-20 08:00:30")),
    (MN, {"cn": "2052", "at": "2026-02-20 08:00:30"}, ("moment", "2026-02-20 08:00:30")),
]


@pytest.mark.parametrize(("mn", "fields", "expected"), OUTLETS)
async def test_outlet_of_a_reading(connection, mn, fields, expected):
    """The most specific channel in force at DataTime decides, then the data logger's own outlet."""
    await put(connection, mn, **fields)
    assert await see(connection, "outlet", "enterprise", "role") == expected


@pytest.mark.parametrize(("mn", "fields", "expected"), UNITS)
async def test_unit_of_a_reading(connection, mn, fields, expected):
    """A row of units decides at its time; else a 2017 code is known and the unit of a 2005 code is not confirmed."""
    await put(connection, mn, **fields)
    assert await see(connection, "catalogue_factor", "unit", "scale", "unit_state") == expected
    assert await see(connection, "factor", "avg") == (fields["factor"], 1.5)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
@pytest.mark.parametrize(("mn", "fields", "expected"), LABELS)
async def test_period_of_a_reading(connection, mn, fields, expected, zone):
    """The label shifts the period, on UTC+8 wherever the session is, and never DataTime."""
    await put(connection, mn, **fields)
    await connection.execute(f"SET TIME ZONE '{zone}'")
    label, start, data_time = await see(connection, "time_label", "period_start", "data_time")
    sent = datetime.fromisoformat(fields.get("at", "2026-02-20 08:00")).replace(tzinfo=WIRE_ZONE)
    assert (label, start.astimezone(WIRE_ZONE)) == (
        expected[0],
        datetime.fromisoformat(expected[1]).replace(tzinfo=WIRE_ZONE),
    )
    assert data_time == sent


EXTRAS = [
    ({"Data": "54.8", "DayData": "60.1", "NightData": "45."}, (54.8, 60.1, 45.0, None, None, None, None)),
    ({"RawAvg": "-0.5", "SampleTime": "20260220080000"}, (None, None, None, -0.5, "20260220080000", None, None)),
    ({"EFlag": "A01", "Rtd": "St"}, (None, None, None, None, None, "A01", "St")),
    ({"Data": "1e5", "DayData": "NaN", "NightData": ""}, (None,) * 7),
    ({"Data": "9" * 301, "DayData": "0." + "0" * 297 + "1"}, (None, 1e-298, None, None, None, None, None)),
    (None, (None,) * 7),
]


@pytest.mark.parametrize(("extra", "expected"), EXTRAS)
async def test_values_beside_the_usual_ones(connection, extra, expected):
    """Noise values and those of 2025 are columns; what is no plain number is none, and never an error."""
    await put(connection, MN, extra=extra)
    columns = ("data", "day_data", "night_data", "raw_avg", "sample_time", "e_flag", "text_value")
    assert await see(connection, *columns) == expected


async def test_a_reading_is_seen_once(connection):
    """However many rows of the registry fit a reading, it is one row."""
    for hour in range(24):
        await put(connection, MN, st="31", at=f"2026-02-20 {hour:02}:00")
        await put(connection, STANDBY, at=f"2026-02-20 {hour:02}:00")
    assert await connection.fetchval("SELECT count(*) FROM hj212.v_readings") == 48
    rows = await connection.fetch("SELECT outlet, count(*) FROM hj212.v_readings GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in rows] == [("any", 24), ("by-both", 24)]
    assert await connection.fetchval("SELECT count(*) FROM hj212.v_readings WHERE outlet = 'by-both'") == 24


async def test_readings_keep_their_columns(connection):
    """What analysts wrote against the view before goes on working: the columns of then come first, in order."""
    rows = await connection.fetch(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = 'hj212' AND table_name = 'v_readings' ORDER BY ordinal_position"
    )
    assert " ".join(row["column_name"] for row in rows).startswith(
        "data_time mn outlet enterprise st cn factor factor_name unit rtd min avg max cou zs_rtd zs_min zs_avg zs_max"
        " data_flag received_at updated_at qn nth extra factor_name_en unit_cou outlet_name enterprise_name "
    )


async def test_views_of_others_outlive_the_migration(empty_dsn):
    """A view somebody made of v_readings before is still there after the upgrade, and sees the new outlet."""
    connection = await asyncpg.connect(empty_dsn)
    before = [migration for migration in load_migrations() if migration.version < 5]
    await connection.execute(
        "CREATE SCHEMA hj212; CREATE TABLE hj212.migrations (version int, name text, checksum text)"
    )
    for migration in before:
        await connection.execute(migration.sql)
    await connection.execute("CREATE VIEW public.mine AS SELECT * FROM hj212.v_readings; DROP TABLE hj212.migrations")
    await connection.execute(
        "CREATE TABLE hj212.migrations (version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())"
    )
    for migration in before:
        await connection.execute("INSERT INTO hj212.migrations VALUES ($1, $2, $3)", *migration[:2], migration.checksum)
    await migrate(connection, now=NOW)
    await connection.execute(REGISTRY + "; INSERT INTO hj212.loggers (mn) VALUES ('MN2')")
    await put(connection, PLAIN)
    assert await connection.fetchval("SELECT outlet FROM public.mine") == "any"
    await connection.close()


# a condition, and the relation the plan must reach by its key
PLANS = [
    "cn = '2061' AND data_time >= '2026-02-20' AND data_time < '2026-02-21'",
    "mn = 'MN1' AND cn = '2061' AND data_time >= '2026-02-20' AND data_time < '2026-02-21'",
    "outlet = 'by-both' AND cn = '2061' AND data_time >= '2026-02-20' AND data_time < '2026-02-21'",
    "enterprise = 'e1' AND cn = '2061' AND data_time >= '2026-02-20' AND data_time < '2026-02-21'",
]


@pytest.mark.parametrize("condition", PLANS)
async def test_plan_prunes_partitions(connection, condition):
    """A query for some hours touches the partitions of those hours only, whoever it asks for."""
    if await connection.fetchval("SELECT hj212.timescale_schema()"):
        pytest.skip("TimescaleDB names chunks by itself")
    rows = await connection.fetch(f"EXPLAIN (COSTS OFF) SELECT * FROM hj212.v_readings WHERE {condition}")
    plan = "\n".join(row[0] for row in rows)
    parents = ("readings_rtd", "readings_minute", "readings_hour", "readings_day")
    touched = {word for word in plan.split() if word.startswith(tuple(f"{parent}_2" for parent in parents))}
    assert touched
    assert all(sum(name.startswith(f"{parent}_2") for name in touched) <= 2 for parent in parents), touched


async def test_plan_of_one_outlet_begins_with_the_registry(connection):
    """Readings of one outlet are found by the key of its data loggers, not by reading all."""
    await connection.execute(
        "INSERT INTO hj212.loggers (mn) SELECT 'L' || i FROM generate_series(1, 200) i;"
        "INSERT INTO hj212.readings_hour (logger_id, nth, data_time, received_at, st, cn, factor)"
        " SELECT logger_id, 0, timestamptz '2026-02-01' + h * interval '1 hour', now(), '32', '2061', 'w01018'"
        " FROM hj212.loggers, generate_series(0, 99) h; ANALYZE"
    )
    rows = await connection.fetch(
        "EXPLAIN (COSTS OFF) SELECT * FROM hj212.v_readings"
        " WHERE outlet = 'by-factor' AND cn = '2061' AND data_time >= '2026-02-03' AND data_time < '2026-02-04'"
    )
    plan = "\n".join(row[0] for row in rows)
    assert "(logger_id = l.logger_id)" in plan.replace("readings_hour.", "")
    assert "Seq Scan on readings_hour" not in plan


async def test_outlets_and_limits_are_seen(connection):
    """Analysts see where outlets are and what they may discharge."""
    await connection.execute("SET ROLE hj212_analyst")
    rows = await connection.fetch("SELECT * FROM hj212.v_outlets ORDER BY outlet")
    seen = {row["outlet"]: row for row in rows}
    assert tuple(seen["own"])[:10] == ("own", "总排口", "water", "e1", "纸厂", "national", "红塔区", "P-1", 102.5, 24.3)
    assert (seen["by-st"]["county"], seen["by-st"]["valid_from"]) == ("通海县", None)
    (limit,) = await connection.fetch("SELECT outlet, factor, factor_name, low, high, unit, basis FROM hj212.v_limits")
    assert tuple(limit) == ("own", "w01001", "pH值", 6, 9, "1", "GB 18918-2002")


async def test_outlet_shows_its_enterprise_once(connection):
    """An enterprise that changed within an outlet's period gives its last name, not a second row."""
    await connection.execute(
        f"UPDATE hj212.enterprises SET valid_to = '{CUT}';"
        f"INSERT INTO hj212.enterprises (enterprise, name, valid_from) VALUES ('e1', '新名', '{CUT}')"
    )
    names = await connection.fetch("SELECT enterprise_name FROM hj212.v_outlets WHERE outlet = 'own'")
    assert [row[0] for row in names] == ["新名"]


@pytest.mark.parametrize("table", ["cipher_keys", "data_loggers", "channels", "units", "current_data_loggers"])
async def test_analysts_see_no_table_of_the_registry(connection, table):
    """Secrets stand in tables that only the gateway reads."""
    await connection.execute("SET ROLE hj212_analyst")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(f"SELECT * FROM hj212.{table}")


async def test_no_view_for_analysts_has_a_secret(connection):
    """No column that analysts may read holds a password or a key."""
    await put(connection, MN)
    views = await connection.fetch(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'hj212'::regnamespace AND c.relkind IN ('v', 'r', 'p')"
        " AND has_table_privilege('hj212_analyst', c.oid, 'SELECT')"
    )
    assert {"v_readings", "v_outlets", "v_limits"} <= {row["relname"] for row in views}
    for view in views:
        text = await connection.fetchval(f"SELECT string_agg(v::text, '') FROM hj212.{view['relname']} v")
        assert "hush-hush" not in (text or "")
        assert b"sixteen-letters.".hex() not in (text or "")


async def test_gateway_reads_keys_and_the_aggregator_does_not(connection):
    """Each role sees what its work needs."""
    await connection.execute("SET ROLE hj212_gateway")
    assert await connection.fetchval("SELECT secret FROM hj212.cipher_keys") == b"sixteen-letters."
    for table in ("channels", "dialects", "time_labels", "units", "limits", "legal_holds", "outlet_candidates"):
        await connection.execute(f"SELECT * FROM hj212.{table}")
    await connection.execute("SET ROLE hj212_aggregator")
    await connection.execute("SELECT * FROM hj212.v_readings, hj212.units, hj212.limits")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("SELECT * FROM hj212.cipher_keys")


# table, columns, values that the database itself refuses
REFUSED = [
    ("outlets", "outlet, enterprise, name, medium, longitude", "'o', 'e', 'x', 'water', 180.5"),
    ("outlets", "outlet, enterprise, name, medium, latitude", "'o', 'e', 'x', 'water', -91"),
    ("data_loggers", "mn, role", "'MN9', 'spare'"),
    ("dialects", "mn, dialect", "'MN9', 'modbus'"),
    ("time_labels", "mn, cn, label", "'MN9', '2051', 'middle'"),
    ("units", "mn, code, factor, unit, scale", "'MN9', '1', '1', 'mg/L', 0"),
    ("units", "mn, code, factor, unit, scale", "'MN9', '1', '1', 'mg/L', 'Infinity'"),
    ("units", "mn, code, factor, unit, scale", "'MN9', '1', '1', 'mg/L', 'NaN'"),
    ("units", "mn, code, factor, unit, scale", "'MN9', '1', '1', '', 1"),
    ("cipher_keys", "mn, key_id, secret", "'MN9', 'k', 'short'"),
    ("limits", "outlet, factor, low, high, unit", "'o', 'w', 9, 6, '1'"),
    ("limits", "outlet, factor, unit", "'o', 'w', '1'"),
    ("legal_holds", "outlet, reason, valid_from, valid_to", "'o', 'x', '2026-01-02', '2026-01-01'"),
]


@pytest.mark.parametrize(("table", "columns", "values"), REFUSED)
async def test_tables_refuse_what_cannot_be(connection, table, columns, values):
    """What a file may not hold the tables do not hold either."""
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(f"INSERT INTO hj212.{table} ({columns}) VALUES ({values})")


async def test_view_follows_a_replacement_by_data_time(connection):
    """The readings of two data loggers of one outlet are its own by DataTime, whenever they came."""
    await connection.execute(
        f"INSERT INTO hj212.data_loggers (mn, outlet, valid_from) VALUES ('MN9', 'own', '{CUT}');"
        f"UPDATE hj212.data_loggers SET valid_to = '{CUT}' WHERE mn = 'MN1'; DELETE FROM hj212.channels"
    )
    cut = datetime.fromisoformat(CUT)
    for mn in ("MN1", "MN9"):
        for moment in (cut - timedelta(hours=1), cut):
            await put(connection, mn, at=moment.strftime("%Y-%m-%d %H:%M"))
    rows = await connection.fetch("SELECT mn, data_time FROM hj212.v_readings WHERE outlet = 'own' ORDER BY data_time")
    assert [tuple(row) for row in rows] == [("MN1", cut - timedelta(hours=1)), ("MN9", cut)]


async def test_registered_is_who_is_registered_now(connection):
    """A data logger that was ended, or begins later, is not registered; one that moved shows where it is now."""
    await connection.execute(
        "INSERT INTO hj212.data_loggers (mn, outlet, valid_from, valid_to) VALUES"
        " ('ENDED', 'own', '-infinity', now() - interval '1 hour'), ('COMING', 'own', now() + interval '1 hour', NULL),"
        " ('MOVES', 'own', '-infinity', now() + interval '1 hour'), ('MOVES', 'any', now() + interval '1 hour', NULL);"
        "INSERT INTO hj212.logger_activity (mn, last_packet_at) VALUES ('ENDED', now()), ('STRANGER', now())"
    )
    rows = await connection.fetch("SELECT mn, outlet, registered, connected FROM hj212.v_loggers ORDER BY mn")
    assert {row["mn"]: tuple(row)[1:] for row in rows} == {
        "COMING": ("own", False, False),
        "ENDED": ("own", False, True),
        "MN1": ("own", True, False),
        "MN2": (None, True, False),
        "MN3": ("any", True, False),
        "MOVES": ("own", True, False),
        "STRANGER": (None, False, True),
    }
