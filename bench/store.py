"""Encoding of reading rows for COPY: ours, a row and a packet at a time, and asyncpg's own.

    python bench/store.py [--packets 5000] [--dsn DSN]

Without a DSN a throw-away embedded server takes the rows. CPU time of this process alone, best of five.
"""

import argparse
import asyncio
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from hj212gw.protocol import parse_readings, pick_values
from hj212gw.store.copyrows import COPY_COLUMNS, COPY_HEADER, COPY_TRAILER, encode_copy_rows, encode_copy_values
from hj212gw.store.embedded import EmbeddedServer
from hj212gw.store.migrate import migrate
from hj212gw.store.rows import READING_COLUMNS, PacketRow, PacketRows, ReadingHead

FACTORS = ("w01018", "w21003", "w21011", "w21001", "w01001", "w01010", "w00000", "w01012")
AREA = "DataTime=20260301{:06d};" + ";".join(f"{code}-Rtd=12.345,{code}-Flag=N" for code in FACTORS)


def best_of(rounds, work):
    """Return the least CPU time of several rounds, and what the last one made."""
    least = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        made = work()
        least = min(least, time.process_time() - began)
    return least, made


async def copy_native(connection, rows):
    """Let asyncpg encode and send."""
    await connection.execute("TRUNCATE hj212.readings_rtd")
    began = time.process_time()
    await connection.copy_records_to_table("readings_rtd", schema_name="hj212", records=rows, columns=READING_COLUMNS)
    return time.process_time() - began


async def copy_encoded(connection, encode):
    """Encode ourselves and send."""
    await connection.execute("TRUNCATE hj212.readings_rtd")

    async def chunks():
        yield COPY_HEADER
        for data in encode():
            yield data
        yield COPY_TRAILER

    began = time.process_time()
    await connection.copy_to_table(
        "readings_rtd", schema_name="hj212", source=chunks(), columns=COPY_COLUMNS, format="binary"
    )
    return time.process_time() - began


async def measure(dsn, count):
    connection = await asyncpg.connect(dsn)
    await migrate(connection, now=datetime(2026, 3, 1, 12, tzinfo=UTC))
    received_at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    heads = [ReadingHead(number + 1, "32", "2011", received_at, 20260301120000001) for number in range(count)]
    areas = [AREA.format(number % 60).encode() for number in range(count)]
    readings = [parse_readings(area).rows for area in areas]
    values = [pick_values(area) for area in areas]
    packet = PacketRow._make([None] * len(PacketRow._fields))
    rows = [
        row
        for head, area in zip(heads, areas, strict=True)
        for row in PacketRows(packet, True, "readings_rtd", head, area).reading_rows()
    ]
    total = count * len(FACTORS)

    def by_row():
        return [encode_copy_rows(head, made) for head, made in zip(heads, readings, strict=True)]

    def by_packet():
        return [encode_copy_values(head, made) for head, made in zip(heads, values, strict=True)]

    native = min([await copy_native(connection, rows) for _ in range(5)])
    ours = {
        "a row a struct call": min([await copy_encoded(connection, by_row) for _ in range(5)]),
        "a packet a struct call": min([await copy_encoded(connection, by_packet) for _ in range(5)]),
    }
    print(f"{'encode and send':<26} {'us a row':>9} {'ratio':>7}")
    print(f"{'asyncpg copy_records':<26} {native / total * 1e6:>9.2f} {1:>7.2f}")
    for name, secs in ours.items():
        print(f"{name:<26} {secs / total * 1e6:>9.2f} {native / secs:>7.2f}")
    parse, _ = best_of(5, lambda: [parse_readings(area) for area in areas])
    pick, _ = best_of(5, lambda: [pick_values(area) for area in areas])
    print(f"{'parse_readings':<26} {parse / total * 1e6:>9.2f}")
    print(f"{'pick_values':<26} {pick / total * 1e6:>9.2f}")
    await connection.close()


async def run(options):
    if options.dsn:
        await measure(options.dsn, options.packets)
        return
    with tempfile.TemporaryDirectory(prefix="hj212-bench-") as name:
        server = EmbeddedServer(Path(name) / "pg")
        await server.start()
        try:
            await measure(server.dsn, options.packets)
        finally:
            await server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packets", type=int, default=5000)
    parser.add_argument("--dsn", help="an empty database")
    asyncio.run(run(parser.parse_args()))
