"""What each of the four database roles cannot do, over every table, view and function there is."""

from datetime import UTC, datetime

import asyncpg
import pytest
from tests.conftest import prepared_database, undone

from hj212gw.store.migrate import migrate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANALYST, GATEWAY, AGGREGATOR, OWNER = "hj212_analyst", "hj212_gateway", "hj212_aggregator", "hj212_owner"
ROLES = (ANALYST, GATEWAY, AGGREGATOR, OWNER)
REGISTRY = {
    "enterprises", "outlets", "channels", "dialects", "time_labels", "units", "limits", "legal_holds", "networks",
    "cipher_keys", "base_list", "marks", "mark_events",
}  # fmt: skip
# What the gateway may add but never change, and what it may change; all else it may read at most.
ADDED_TO = {"data_loggers", "day_digests", "loggers", "odd_readings", "reading_history", "rejects", "sub_packets"}
CHANGED = {
    "archive_days", "dirty", "infos", "journals", "logger_activity", "packets", "proposals", "readings_day",
    "readings_hour", "readings_minute", "readings_rtd", "replays", "states", "suspicions",
}  # fmt: skip
# What the aggregator makes, and what it takes off its lists.
COMPUTED = {"assessed_days", "assessment_state", "rate_counts", "stale_days"}
# Functions that run with their owner's rights; `PUBLIC` ones tell sizes, dates and what is due, nothing of a packet.
WITH_OWNERS_RIGHTS = {
    ANALYST: {"due_at", "hypertable_bytes", "partitions_ahead"},
    GATEWAY: {
        "due_at", "hypertable_bytes", "partitions_ahead", "apply_columnstore", "drop_partitions", "ensure_partitions",
    },
    AGGREGATOR: {"due_at", "hypertable_bytes", "partitions_ahead", "drop_partitions", "ensure_partitions"},
}  # fmt: skip
SECRETS = ("hush-hush", "sixteen-letters.", b"sixteen-letters.".hex())
CALLABLE = """
SELECT p.proname FROM pg_proc p
WHERE p.pronamespace = 'hj212'::regnamespace AND p.prosecdef AND has_function_privilege($1, p.oid, 'EXECUTE')
"""


@pytest.fixture(scope="module")
def secret_dsn(postgres_server_dsn, schema_template):
    """A migrated database that holds secrets."""
    with prepared_database(postgres_server_dsn, schema_template, prepare) as dsn:
        yield dsn


async def prepare(dsn):
    """Migrate, and put secrets in."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "hj212, public"})
    await migrate(connection, now=NOW)
    await connection.execute("INSERT INTO data_loggers (mn, pw) VALUES ('MN1', 'hush-hush')")
    await connection.execute("INSERT INTO cipher_keys (mn, key_id, secret) VALUES ('MN1', 'k1', 'sixteen-letters.')")
    await connection.close()


@pytest.fixture
async def connection(secret_dsn):
    """An administrator's connection to it; what the test does is undone."""
    async with undone(secret_dsn, search_path="hj212, public") as connection:
        yield connection


async def may(connection, role, privilege):
    """The relations, partitions included, on which a role has a privilege."""
    rows = await connection.fetch(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'hj212'::regnamespace"
        " AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND has_table_privilege($1, c.oid, $2)",
        role,
        privilege,
    )
    return {row["relname"] for row in rows}


async def views(connection):
    """Every view for people."""
    rows = await connection.fetch("SELECT viewname FROM pg_views WHERE schemaname = 'hj212' AND viewname LIKE 'v\\_%'")
    return {row["viewname"] for row in rows}


async def test_analysts_read_views_and_nothing_else(connection):
    """Every v_ view, and not one table or partition."""
    assert await may(connection, ANALYST, "SELECT") == await views(connection)


@pytest.mark.parametrize("privilege", ["INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"])
async def test_analysts_change_nothing(connection, privilege):
    """In no table and through no view."""
    assert await may(connection, ANALYST, privilege) == set()


@pytest.mark.parametrize("privilege", ["DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"])
async def test_gateway_deletes_nothing(connection, privilege):
    """Retention is a function of the owner's: whoever takes the gateway over cannot make evidence disappear."""
    assert await may(connection, GATEWAY, privilege) == set()


async def test_gateway_writes_what_it_receives_and_no_registry(connection):
    """Found data loggers are added; keys, outlets and limits are people's."""
    assert await may(connection, GATEWAY, "INSERT") == ADDED_TO | CHANGED
    assert await may(connection, GATEWAY, "UPDATE") == CHANGED - {"packets"}
    assert not REGISTRY & (ADDED_TO | CHANGED)


@pytest.mark.parametrize("column", ["raw", "digest", "mn", "received_at", "peer", "key_id"])
async def test_gateway_never_changes_a_packet_as_it_came(connection, column):
    """It marks packets, by state and warnings alone."""
    await connection.execute("SET ROLE hj212_gateway")
    await connection.execute("UPDATE packets SET state = 'conflict', warnings = '{}'")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(f"UPDATE packets SET {column} = {column}")


async def test_aggregator_writes_nothing_of_the_gateways(connection):
    """It takes days off its lists, writes what it computes, and reads."""
    for privilege in ("TRUNCATE", "REFERENCES", "TRIGGER"):
        assert await may(connection, AGGREGATOR, privilege) == set()
    assert await may(connection, AGGREGATOR, "INSERT") == COMPUTED
    for privilege in ("UPDATE", "DELETE"):
        assert await may(connection, AGGREGATOR, privilege) == COMPUTED | {"dirty"}


@pytest.mark.parametrize("privilege", ["UPDATE", "DELETE", "TRUNCATE"])
async def test_nobody_overwrites_a_mark(connection, privilege):
    """Not the registry's login either: what was declared, and what became of it, is added to."""
    for role in ROLES:
        assert not {"marks", "mark_events"} & await may(connection, role, privilege)
    assert {"marks", "mark_events"} <= await may(connection, OWNER, "INSERT")


@pytest.mark.parametrize("role", ROLES)
async def test_nobody_creates_in_our_schemas(connection, role):
    """Tables are made by migrations, which run as the login that owns them; a role cannot shadow one."""
    assert not await connection.fetchval("SELECT has_schema_privilege($1, 'hj212', 'CREATE')", role)
    await connection.execute(f"SET ROLE {role}")
    for statement in (
        "CREATE TABLE hj212.mine (x int)",
        "CREATE FUNCTION hj212.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE hj212.packets DISABLE TRIGGER ALL",
        "DROP TABLE hj212.rejects",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with connection.transaction():
                await connection.execute(statement)


async def test_no_role_passes_its_rights_on(connection):
    """Not even the owner's role: it holds rights without the option to grant them."""
    options = await connection.fetchval(
        "SELECT count(*) FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = 'hj212'::regnamespace"
        " AND a.is_grantable AND a.grantee::regrole::text = ANY($1)",
        list(ROLES),
    )
    assert options == 0


@pytest.mark.parametrize("role", ROLES)
async def test_roles_are_no_logins_and_have_no_powers(connection, role):
    """Logins are made by the operator and put into a role."""
    row = await connection.fetchrow(
        "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles"
        " WHERE rolname = $1",
        role,
    )
    assert not any(row)


@pytest.mark.parametrize("role", [ANALYST, GATEWAY, AGGREGATOR])
async def test_functions_with_the_owners_rights_are_few(connection, role):
    """Each of them is named here."""
    assert {row["proname"] for row in await connection.fetch(CALLABLE, role)} == WITH_OWNERS_RIGHTS[role]


async def test_functions_with_the_owners_rights_fix_their_search_path(connection):
    """So that nobody puts a table or function of his own before ours."""
    loose = await connection.fetch(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'hj212'::regnamespace AND prosecdef AND NOT EXISTS"
        " (SELECT FROM unnest(proconfig) setting WHERE setting LIKE 'search_path=pg_catalog%')"
    )
    assert loose == []


@pytest.mark.parametrize("role", [ANALYST, AGGREGATOR])
async def test_secrets_cannot_be_reached(connection, role):
    """Whatever a role may read, whole or a column at a time, holds no password and no key."""
    await connection.execute(f"SET ROLE {role}")
    columns = await connection.fetch(
        "SELECT c.relname, string_agg(quote_ident(a.attname), ', ') AS columns FROM pg_class c"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relnamespace = 'hj212'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
        " AND has_column_privilege(c.oid, a.attnum, 'SELECT') GROUP BY 1"
    )
    assert len(columns) > 10
    for relation, readable in columns:
        text = await connection.fetchval(
            f"SELECT string_agg(x::text, '') FROM (SELECT {readable} FROM hj212.{relation}) x"
        )
        assert not any(secret in (text or "") for secret in SECRETS), relation


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        (ANALYST, "SELECT pw FROM data_loggers"),
        (ANALYST, "SELECT secret FROM cipher_keys"),
        (ANALYST, "SELECT raw FROM packets"),
        (AGGREGATOR, "SELECT pw FROM data_loggers"),
        (AGGREGATOR, "SELECT pw FROM current_data_loggers"),
        (AGGREGATOR, "SELECT * FROM cipher_keys"),
        (GATEWAY, "UPDATE cipher_keys SET secret = 'another-secret-x'"),
        (GATEWAY, "DELETE FROM packets"),
        (GATEWAY, "DELETE FROM day_digests"),
        (GATEWAY, "UPDATE day_digests SET rows = 0"),
        (GATEWAY, "UPDATE rejects SET raw = ''"),
        (GATEWAY, "UPDATE reading_history SET replaced_at = now()"),
        (AGGREGATOR, "UPDATE readings_hour SET avg = 0"),
        (AGGREGATOR, "INSERT INTO marks (outlet, kind, from_at, author) VALUES ('o', 'stop', now(), 'x')"),
        (AGGREGATOR, "DELETE FROM base_list"),
    ],
)
async def test_statement_is_refused(connection, role, statement):
    """Said in SQL as an attacker would."""
    await connection.execute(f"SET ROLE {role}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)


async def test_passwords_in_frames_are_masked_for_analysts(connection):
    """The frame as it came is evidence; what analysts see of it has no password."""
    frame = b"##0010PW=hush-hush;MN=1"
    await connection.execute(
        "INSERT INTO packets (qn_at, received_at, digest, mn, st, cn, edition, peer, state, raw)"
        " VALUES ($1, $1, 'd', 'MN1', '32', '2011', '2017', 'p', 'stored', $2)",
        NOW,
        frame,
    )
    await connection.execute(
        "INSERT INTO rejects (received_at, peer, reason, detail, raw) VALUES ($1, 'p', 'crc', 'x', $2)", NOW, frame
    )
    await connection.execute("SET ROLE hj212_analyst")
    for view in ("v_packets", "v_rejects"):
        row = await connection.fetchrow(f"SELECT v::text AS text, raw FROM {view} v")
        assert b"hush-hush" not in bytes(row["raw"])
        assert "hush-hush" not in row["text"]
