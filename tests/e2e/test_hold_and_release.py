"""Promise 6: unknown data loggers and wrong passwords are acknowledged, kept apart or flagged, and released."""

import asyncio

import pytest
from tests.refusal import refuse_rows
from tests.support import (
    FACTORS,
    Logger,
    assert_conserved,
    assert_exactly_once,
    digest_of,
    make_frame,
    read_some,
    run_cli,
    running_loggers,
    secs,
    wait_acked,
    wait_until,
)

KNOWN, UNKNOWN, OTHER = "53040120250001", "53040120250002", "53040120250003"


@pytest.fixture
async def gateway(serve, dsn):
    """A gateway with the default of `serve`: what is unknown is held."""
    process = serve(dsn)
    await asyncio.to_thread(process.start)
    yield process
    if process.process.poll() is None:
        assert await asyncio.to_thread(process.stop) == 0


async def register(folder, dsn, *mns, pw="123456"):
    """Register data loggers from a CSV file."""
    path = folder / "data_loggers.csv"
    head = "mn,pw,st,outlet,cns,rtd_interval_secs,min_interval_mins,factors,valid_from,valid_to"
    path.write_text("\n".join([head, *(f"{mn},{pw},32,,2011,60,,,2025-01-01," for mn in mns)]) + "\n")
    code, _, err = await asyncio.to_thread(run_cli, "registry", "import", path, "--dsn", dsn)
    assert code == 0, err


async def send(port, frames):
    """Send frames on a line of their own and wait until all are acknowledged."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(frames))
    answers = b""
    async with asyncio.timeout(secs(20)):
        while answers.count(b"CN=9014") < len(frames):
            answers += await read_some(reader)
    writer.close()


async def packets_in(connection, state, count):
    """Wait until so many packets are in a state; return them by digest."""

    async def found():
        rows = await connection.fetch("SELECT * FROM hj212.v_packets WHERE state = $1", state)
        return {row["digest"]: row for row in rows} if len(rows) == count else None

    return await wait_until(found)


async def test_held_packets_are_released_with_their_arrival(gateway, connection, tmp_path):
    """Unknown: acknowledged, stored, no readings. Registered: the readings appear with the arrival of then."""
    frames = [make_frame(UNKNOWN, number) for number in range(30)]
    strangers = [make_frame(OTHER, number) for number in range(5)]
    await send(gateway.port, frames + strangers)
    held = await packets_in(connection, "unregistered", 35)
    assert set(held) == {digest_of(frame) for frame in frames + strangers}
    assert {tuple(row["warnings"]) for row in held.values()} == {("unknown_mn",)}
    assert await connection.fetchval("SELECT count(*) FROM hj212.v_readings") == 0
    rows = await connection.fetch("SELECT mn, registered FROM hj212.v_loggers ORDER BY mn")
    assert not any(row["registered"] for row in rows)
    await register(tmp_path, gateway.ready["dsn"], UNKNOWN)
    released = await packets_in(connection, "stored", 30)
    await assert_exactly_once(gateway.ready["dsn"], frames)
    for digest, row in released.items():
        assert row["received_at"] == held[digest]["received_at"]
    arrivals = await connection.fetch("SELECT DISTINCT received_at FROM hj212.v_readings")
    assert {row["received_at"] for row in arrivals} == {row["received_at"] for row in released.values()}
    assert await connection.fetchval("SELECT count(*) FROM hj212.v_readings") == 30 * len(FACTORS)
    assert set(await packets_in(connection, "unregistered", 5)) == {digest_of(frame) for frame in strangers}
    await assert_conserved(gateway)


async def test_release_goes_on_under_load(gateway, connection, tmp_path):
    """A data logger that is registered while it sends loses nothing on either side of that moment."""
    async with running_loggers([Logger(UNKNOWN, gateway.port), Logger(KNOWN, gateway.port)]) as loggers:
        await wait_acked(loggers, 300)
        await register(tmp_path, gateway.ready["dsn"], UNKNOWN, KNOWN)
        await wait_acked(loggers, 300)
    frames = [frame for logger in loggers for frame in logger.acked]
    await packets_in(connection, "stored", len(frames))
    await assert_exactly_once(gateway.ready["dsn"], frames)
    await assert_conserved(gateway)


async def test_wrong_password_is_acknowledged_and_flagged(gateway, connection, tmp_path):
    """The packet is stored with its readings and a warning; the right one has none."""
    await register(tmp_path, gateway.ready["dsn"], KNOWN)
    right, wrong = make_frame(KNOWN, 1), make_frame(KNOWN, 2, pw="654321")

    async def is_known():
        metrics = await asyncio.to_thread(gateway.metrics)
        await send(gateway.port, [wrong])
        return metrics['hj212gw_loggers_questioned_total{verdict="wrong_password"}']

    await wait_until(is_known)
    await send(gateway.port, [right])
    await assert_exactly_once(gateway.ready["dsn"], [right, wrong])
    stored = await packets_in(connection, "stored", 2)
    assert stored[digest_of(right)]["warnings"] == []
    assert "wrong_password" in gateway.log()
    await assert_conserved(gateway)


async def test_accept_registers_as_found(serve, dsn, connection):
    """With `accept` an unknown data logger is registered from its first packet on, and its readings are stored."""
    gateway = serve(dsn, "--unknown-mn", "accept")
    await asyncio.to_thread(gateway.start)
    frames = [make_frame(UNKNOWN, number, pw="any") for number in range(5)]
    await send(gateway.port, frames)
    await assert_exactly_once(dsn, frames)

    async def registered():
        return await connection.fetchrow("SELECT registered, origin FROM hj212.v_loggers WHERE mn = $1", UNKNOWN)

    assert tuple(await wait_until(registered)) == (True, "found")
    await assert_conserved(gateway)
    assert await asyncio.to_thread(gateway.stop) == 0


async def test_registry_is_known_without_the_database(gateway, dsn, connection, tmp_path):
    """A restart while the database is away judges by the registry it had last."""
    await register(tmp_path, dsn, KNOWN)
    await wait_until(lambda: knows(gateway, KNOWN))
    assert await asyncio.to_thread(gateway.stop) == 0
    options, gateway.options = gateway.options, ("--dsn", "postgresql://nobody@127.0.0.1:1/nothing")
    await asyncio.to_thread(gateway.start)
    frames = [make_frame(KNOWN, number) for number in range(5)]
    await send(gateway.port, frames)
    assert await asyncio.to_thread(gateway.stop) == 0
    gateway.options = options
    await asyncio.to_thread(gateway.start)
    await assert_exactly_once(dsn, frames)
    await packets_in(connection, "stored", 5)
    await assert_conserved(gateway, is_first=False)


async def knows(gateway, mn):
    """Whether a gateway's snapshot of the registry has a data logger."""
    path = gateway.folder / "data" / "journal" / "registry.json"
    return path.exists() and mn in path.read_text()


async def test_held_packet_the_database_refuses_holds_nothing_up(gateway, connection, tmp_path):
    """A held packet whose readings can never be stored is kept apart when it is released; all others are stored."""
    await refuse_rows(connection, "readings_rtd", "NEW.factor = 'w21011'")
    bad = make_frame(UNKNOWN, 10, factors=("w21011",))
    frames = [make_frame(UNKNOWN, number) for number in range(10)]
    await send(gateway.port, [*frames[:5], bad, *frames[5:]])
    await packets_in(connection, "unregistered", 11)
    await register(tmp_path, gateway.ready["dsn"], UNKNOWN)
    quarantined = await packets_in(connection, "quarantined", 1)
    assert set(quarantined) == {digest_of(bad)}
    await packets_in(connection, "stored", 10)
    await assert_exactly_once(gateway.ready["dsn"], frames)
    later = [make_frame(UNKNOWN, number) for number in range(11, 21)]
    await send(gateway.port, later)
    await assert_exactly_once(gateway.ready["dsn"], frames + later)
    await assert_conserved(gateway)
