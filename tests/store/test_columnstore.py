"""TimescaleDB's columnstore: what is late goes into it all the same, and where it is not the reason is told."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from tests.conftest import execute

from hj212gw.gateway.rows import make_rows, read_arrival
from hj212gw.protocol import encode_frame
from hj212gw.protocol.times import format_data_time
from hj212gw.store.loggers import add_loggers
from hj212gw.store.migrate import load_migrations, migrate
from hj212gw.store.rows import Batch
from hj212gw.store.writer import Writer

NOW = datetime(2026, 3, 1, 4, 0, 5, tzinfo=UTC)
LATE = datetime(2026, 1, 5, tzinfo=UTC)
MNS = [f"010000A8900016F0{number:08d}" for number in range(8)]
FACTORS = ("w01018", "w21003", "w01001", "w00000")


@pytest.fixture
async def admin(postgres_dsn):
    """A connection to a migrated database on TimescaleDB."""
    connection = await asyncpg.connect(postgres_dsn, server_settings={"search_path": "hj212, public"})
    await migrate(connection, now=NOW)
    if await connection.fetchval("SELECT hj212.columnstore_obstacle() IS NOT NULL"):
        await connection.close()
        pytest.skip("no columnstore here")
    yield connection
    await connection.close()


@pytest.fixture
async def store(postgres_dsn, admin):
    """A writer with a week of minute readings in its database, all of them in the columnstore."""
    # By the real clock all of this is old: the jobs would set to work on it at once, beside the tests.
    await admin.execute("SELECT public.alter_job(job_id, scheduled => false) FROM timescaledb_information.jobs")
    writer = Writer(postgres_dsn, uuid4())
    await writer.open(NOW)
    numbers = await add_loggers(writer.numbering, MNS)
    await admin.execute(
        "INSERT INTO hj212.readings_minute (logger_id, nth, data_time, received_at, st, cn, factor, avg, data_flag)"
        " SELECT l, 0, t, t + interval '1 hour', '32', '2051', f, 5, 'N' FROM unnest($1::integer[]) l, unnest($2::text[]) f,"
        " generate_series($3::timestamptz, $3::timestamptz + interval '7 days', '10 minutes') t",
        sorted(numbers.values()),
        list(FACTORS),
        LATE,
    )
    await admin.execute("SELECT public.compress_chunk(c) FROM public.show_chunks('hj212.readings_minute') c")
    yield Store(writer, admin, numbers)
    await writer.close()


class Store:
    """Writes batches as the drain does."""

    def __init__(self, writer, admin, numbers):
        self.writer, self.admin, self.numbers = writer, admin, numbers
        self.position = 0

    async def write(self, *frames, rejects=()):
        """Write one batch."""
        arrivals = [read_arrival(frame, NOW, "127.0.0.1:1000") for frame in frames]
        packets = [make_rows(arrival, logger_id=self.numbers[arrival.packet.mn]) for arrival in arrivals]
        batch = Batch(packets, list(rejects), [], self.position, self.position + 1, NOW)
        outcome = await self.writer.write(batch)
        self.position += 1
        return outcome

    async def fetch(self, moment, mn=MNS[0], factor=FACTORS[0]):
        """Read one reading."""
        return await self.admin.fetchrow(
            "SELECT avg, received_at, updated_at FROM hj212.readings_minute"
            " WHERE logger_id = $1 AND data_time = $2 AND factor = $3",
            self.numbers[mn],
            moment,
            factor,
        )


def frame(moment, value, mn=MNS[0], factors=FACTORS):
    """A minute upload."""
    values = ";".join(f"{factor}-Avg={value},{factor}-Flag=N" for factor in factors)
    head = f"QN={format_data_time(moment)}001;ST=32;CN=2051;PW=123456;MN={mn};Flag=5"
    return encode_frame(f"{head};CP=&&DataTime={format_data_time(moment)};{values}&&".encode())


async def test_late_reading_goes_into_a_compressed_chunk(store):
    """A key that is new there is stored by plain COPY."""
    moment = LATE + timedelta(minutes=5)
    outcome = await store.write(frame(moment, 7.5))
    assert (outcome.path, outcome.readings) == ("copy", len(FACTORS))
    assert (await store.fetch(moment))["avg"] == 7.5


async def test_late_value_replaces_one_in_a_compressed_chunk(store):
    """The newer value stands, the old one is in the history, the first arrival stays."""
    moment = LATE + timedelta(hours=30)
    outcome = await store.write(frame(moment, 7.5))
    assert (outcome.path, outcome.readings, outcome.replaced) == ("upsert", 0, len(FACTORS))
    assert tuple(await store.fetch(moment)) == (7.5, moment + timedelta(hours=1), NOW)
    assert await store.admin.fetchval("SELECT count(*) FROM hj212.reading_history WHERE avg = 5") == len(FACTORS)


async def test_late_value_that_says_the_same_unpacks_nothing(store):
    """What stands already is found without decompression: a replay of old days stays cheap."""
    limit = "timescaledb.max_tuples_decompressed_per_dml_transaction"
    await store.writer.connection.execute(f"SET {limit} = 1")
    outcome = await store.write(frame(LATE + timedelta(hours=30), 5))
    assert (outcome.path, outcome.stored, outcome.readings, outcome.replaced) == ("upsert", 1, 0, 0)
    assert await store.writer.connection.fetchval(f"SHOW {limit}") == "1"


async def test_earlier_arrival_is_noted_in_a_compressed_chunk(store):
    """An arrival from another journal, before the first one known, becomes the first; the value stays."""
    moment = LATE + timedelta(hours=30)
    arrival = read_arrival(frame(moment, 9), moment + timedelta(minutes=1), "127.0.0.1:1000")
    packet = make_rows(arrival, logger_id=store.numbers[MNS[0]])
    await store.writer.write(Batch([packet], [], [], 0, 1, NOW))
    first, stands = moment + timedelta(minutes=1), moment + timedelta(hours=1)
    assert tuple(await store.fetch(moment)) == (5, first, stands)


async def test_batch_over_the_decompression_limit_goes_in_parts(store):
    """A batch that would unpack too much is stored in parts, to the last row, and the position moves once."""
    await store.writer.connection.execute("SET timescaledb.max_tuples_decompressed_per_dml_transaction = 5000")
    frames = [frame(LATE + timedelta(hours=hour), 8, mn) for mn in MNS for hour in (1, 60, 120)]
    reject = (NOW, "127.0.0.1:1", "crc", "wrong", b"x")
    outcome = await store.write(*frames, frames[0], rejects=[reject])
    assert (outcome.stored, outcome.repeated, outcome.replaced) == (len(frames), 1, len(frames) * len(FACTORS))
    assert (outcome.rejects, await store.admin.fetchval("SELECT count(*) FROM hj212.rejects")) == (1, 1)
    assert await store.admin.fetchval("SELECT count(*) FROM hj212.readings_minute WHERE avg = 8") == outcome.replaced
    assert await store.admin.fetchval("SELECT position FROM hj212.journals") == 1
    again = await store.write(*frames)
    assert (again.stored, again.repeated) == (0, len(frames))


async def test_old_readings_go_into_the_columnstore_by_a_job(admin):
    """Each table of readings has a job; another setting changes all of them, the same one none."""

    async def jobs():
        rows = await admin.fetch(
            "SELECT job_id, hypertable_name, config ->> 'compress_after' FROM timescaledb_information.jobs"
            " WHERE hypertable_schema = 'hj212' AND proc_name = 'policy_compression' ORDER BY 2"
        )
        return {row[1]: (row[0], row[2]) for row in rows}

    made = await jobs()
    assert {table: after for table, (_, after) in made.items()} == {
        f"readings_{grain}": "45 days" for grain in ("rtd", "minute", "hour", "day")
    }
    await admin.execute("SET ROLE hj212_gateway")
    assert await admin.fetchval("SELECT hj212.apply_columnstore(45)") is None
    assert await jobs() == made
    assert await admin.fetchval("SELECT hj212.apply_columnstore(30)") is None
    assert {after for _, after in (await jobs()).values()} == {"30 days"}


async def test_tables_made_before_the_extension_stay_native(postgres_dsn):
    """The extension comes later than the schema: everything goes on as on plain PostgreSQL, and it is told."""
    connection = await asyncpg.connect(postgres_dsn)
    if not await connection.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'"):
        await connection.close()
        pytest.skip("plain PostgreSQL")
    await connection.close()
    await execute(postgres_dsn, "DROP EXTENSION timescaledb")
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("CREATE SCHEMA hj212; CREATE TABLE hj212.migrations ()")
    for migration in load_migrations():
        await connection.execute(migration.sql)
    await connection.close()
    await execute(postgres_dsn, "CREATE EXTENSION timescaledb")
    connection = await asyncpg.connect(postgres_dsn)
    assert await connection.fetchval("SELECT hj212.ensure_partitions($1)", NOW) > 0
    assert await connection.fetchval("SELECT hj212.drop_partitions('packets', $1)", NOW) > 0
    assert await connection.fetchval("SELECT hj212.apply_columnstore(45)") == "native_partitions"
    await connection.close()
