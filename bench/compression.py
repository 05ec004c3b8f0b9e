"""A month of simulated readings into TimescaleDB's columnstore: bytes before and after, time, and a late row.

    python bench/compression.py --dsn DSN [--loggers 60] [--days 30] [--minutes 10] [--chunk-days 7] [--packets]

DSN is an empty database with TimescaleDB. Half of the data loggers watch flue gas (9 factors, 4 of them with converted
values), half a sewage plant (7 factors); values are the simulator's. Minute and hour readings go through binary COPY
as the gateway writes them, then every chunk is compressed, then a row that is new and one that replaces another are
stored into compressed chunks by the gateway's writer. `--packets` compresses their frames too, to see what that gives.
"""

import argparse
import asyncio
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg

from hj212gw.gateway.rows import make_rows, read_arrival
from hj212gw.protocol import encode_frame
from hj212gw.protocol.times import format_data_time
from hj212gw.store.loggers import add_loggers
from hj212gw.store.migrate import migrate
from hj212gw.store.rows import READING_COLUMNS, Batch, PacketRow
from hj212gw.store.writer import Writer
from hj212sim.presets import FACTOR_SETS
from hj212sim.readings import Interval, ReadingSource

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
GRAINS = {"readings_minute": ("2051", "minutes"), "readings_hour": ("2061", "hour")}
SETS = ("flue gas", "sewage plant")
SUFFIXES = {
    "min": "Min",
    "avg": "Avg",
    "max": "Max",
    "cou": "Cou",
    "zs_min": "ZsMin",
    "zs_avg": "ZsAvg",
    "zs_max": "ZsMax",
}


def mn_of(number):
    """The MN of a data logger."""
    return f"010000A8900016F0{number:08d}"


def make_readings(number, logger_id, cn, step, days):
    """Yield the reading rows of one data logger, as the writer would store them, two seconds after their time."""
    st = "31" if number % 2 == 0 else "32"
    source = ReadingSource(mn_of(number), FACTOR_SETS[SETS[number % 2]], seed=1)
    for index in range(int(timedelta(days=days) / step)):
        moment = BEGIN + index * step
        arrival = moment + step + timedelta(seconds=2 + number % 7, microseconds=(index * 7919 + number) % 1000 * 1000)
        qn = int(f"{format_data_time(moment + step)}{index % 1000:03d}")
        for reading in source.summarise(cn, Interval(int(moment.timestamp()), int(step.total_seconds()))):
            values = reading._replace(data_time=moment)
            yield (logger_id, st, cn, arrival, qn, *values[:-1], None)


def make_frame(number, moment, step, *, shift=0.0):
    """One minute upload as it would be sent."""
    source = ReadingSource(mn_of(number), FACTOR_SETS[SETS[number % 2]], seed=1)
    groups = []
    for reading in source.summarise("2051", Interval(int(moment.timestamp()), int(step.total_seconds()))):
        fields = [f"{reading.factor}-{suffix}={getattr(reading, name) + shift:.3f}" for name, suffix in SUFFIXES.items()
                  if getattr(reading, name) is not None]  # fmt: skip
        groups.append(",".join([*fields, f"{reading.factor}-Flag=N"]))
    st = "31" if number % 2 == 0 else "32"
    text = format_data_time(moment)
    head = f"QN={format_data_time(moment + step)}{int(shift):03d};ST={st};CN=2051;PW=123456;MN={mn_of(number)};Flag=5"
    return encode_frame(f"{head};CP=&&DataTime={text};{';'.join(groups)}&&".encode())


async def fill(connection, numbers, options):
    """Store the month table by table; return seconds."""
    began = time.perf_counter()
    for table, (cn, unit) in GRAINS.items():
        step = timedelta(minutes=options.minutes) if unit == "minutes" else timedelta(hours=1)
        for number in range(options.loggers):
            rows = make_readings(number, numbers[mn_of(number)], cn, step, options.days)
            await connection.copy_records_to_table(table, schema_name="hj212", records=rows, columns=READING_COLUMNS)
    return time.perf_counter() - began


async def fill_packets(connection, options):
    """Store the frames of the minute readings."""
    step = timedelta(minutes=options.minutes)
    for number in range(options.loggers):
        moments = (BEGIN + index * step for index in range(int(timedelta(days=options.days) / step)))
        packets = [
            make_rows(
                read_arrival(make_frame(number, moment, step), moment + step, f"10.0.0.{number}:4000"), logger_id=None
            ).packet
            for moment in moments
        ]
        await connection.copy_records_to_table(
            "packets", schema_name="hj212", records=packets, columns=PacketRow._fields
        )


async def compress(connection, table):
    """Compress all chunks of a table; return rows, chunks, bytes before and after, seconds."""
    rows = await connection.fetchval(f"SELECT count(*) FROM hj212.{table}")
    before = await connection.fetchval("SELECT hj212.hypertable_bytes($1)", table)
    chunks = await connection.fetch("SELECT c::text AS name FROM show_chunks($1::regclass) c", f"hj212.{table}")
    began = time.perf_counter()
    for chunk in chunks:
        await connection.execute("SELECT compress_chunk($1::regclass)", chunk["name"])
    secs = time.perf_counter() - began
    after = await connection.fetchval("SELECT hj212.hypertable_bytes($1)", table)
    return rows, len(chunks), before, after, secs


async def store_late(dsn, numbers, options):
    """Store a late row that is new, one that replaces a value, and a day of one data logger again."""
    step = timedelta(minutes=options.minutes)
    writer = Writer(dsn, uuid4())
    await writer.open(BEGIN)
    day = BEGIN + timedelta(days=3)
    again = [make_frame(0, day + index * step, step, shift=2) for index in range(int(timedelta(days=1) / step))]
    batches = (
        ("new", [make_frame(0, day + timedelta(seconds=30), step)]),
        ("replaces", [make_frame(1, day, step, shift=1)]),
        ("a day again", again),
    )
    for position, (name, frames) in enumerate(batches):
        arrivals = [read_arrival(frame, day + timedelta(days=60), "10.0.0.1:4000") for frame in frames]
        packets = [make_rows(arrival, logger_id=numbers[arrival.packet.mn]) for arrival in arrivals]
        began = time.perf_counter()
        outcome = await writer.write(Batch(packets, [], [], position, position + 1, BEGIN))
        secs = time.perf_counter() - began
        print(
            f"late, {name:<12} path {outcome.path:<7} packets {outcome.stored:>4} new readings {outcome.readings:>4}"
            f" replaced {outcome.replaced:>5}  {secs * 1000:8.1f} ms"
        )
    await writer.close()


async def measure(options):
    """Run it all."""
    connection = await asyncpg.connect(
        options.dsn, command_timeout=3600, server_settings={"search_path": "hj212, public"}
    )
    await migrate(connection, now=BEGIN)
    await connection.execute("SELECT alter_job(job_id, scheduled => false) FROM timescaledb_information.jobs")
    await connection.execute(
        "SELECT set_chunk_time_interval('hj212.readings_minute', $1::interval)", timedelta(days=options.chunk_days)
    )
    tables = list(GRAINS)
    numbers = await add_loggers(connection, [mn_of(number) for number in range(options.loggers)])
    secs = await fill(connection, numbers, options)
    if options.packets:
        await connection.execute(
            "ALTER TABLE hj212.packets SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'mn',"
            " timescaledb.orderby = 'qn_at')"
        )
        await fill_packets(connection, options)
        tables.append("packets")
    print(f"{options.loggers} loggers, {options.days} days, {options.minutes} min; stored in {secs:.1f} s")
    print(
        f"{'table':<16} {'rows':>9} {'chunks':>6} {'MiB before':>10} {'after':>8} {'ratio':>6} {'bytes a row':>15} {'secs':>6}"
    )
    for table in tables:
        rows, chunks, before, after, secs = await compress(connection, table)
        print(
            f"{table:<16} {rows:>9} {chunks:>6} {before / 2**20:>10.1f} {after / 2**20:>8.1f} {before / after:>6.1f}"
            f" {before / rows:>8.1f} {after / rows:>6.1f} {secs:>6.1f}"
        )
    await store_late(options.dsn, numbers, options)
    await connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dsn", required=True, help="an empty database with TimescaleDB")
    parser.add_argument("--loggers", type=int, default=60)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--chunk-days", type=int, default=7, help="of the minute readings")
    parser.add_argument("--packets", action="store_true", help="store and compress the frames too")
    asyncio.run(measure(parser.parse_args()))
