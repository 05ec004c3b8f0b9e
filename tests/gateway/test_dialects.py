"""Data loggers with a dialect or a key: accepted, answered in their way, stored, and readable later."""

from datetime import UTC, datetime

import asyncpg
import pytest
from tests.gateway.support import MN, eventually, frame, live_gateway, qns
from tests.support import wait_until

from hj212gw.protocol import crc_text
from hj212gw.protocol.crc import modbus_crc16
from hj212gw.protocol.dialects import Key, make_dialect
from hj212gw.protocol.outgoing import encode_frame_as
from hj212gw.store.migrate import migrate

KEY = Key("2026-1", b"0123456789abcdef")
SEGMENT = frame(1)[6:-6]


@pytest.fixture
async def admin(postgres_dsn):
    """A migrated database where the data logger is registered."""
    admin = await asyncpg.connect(postgres_dsn, server_settings={"search_path": "hj212, public"})
    await migrate(admin, now=datetime.now(UTC))
    await admin.execute("INSERT INTO data_loggers (mn, pw) VALUES ($1, '123456')", MN)
    yield admin
    await admin.close()


async def stored(admin, state):
    """Wait for the only packet to be in a state."""

    async def found():
        rows = await admin.fetch("SELECT * FROM v_packets WHERE state = $1", state)
        return rows[0] if rows else None

    return await wait_until(found)


async def test_frame_of_a_dialect_is_refused_until_it_is_registered(admin, postgres_dsn, tmp_path):
    """Then it is acknowledged with the same CRC, stored as it came, and names its dialect."""
    raw = encode_frame_as(SEGMENT, make_dialect(["crc_modbus"]))
    async with live_gateway(tmp_path, dsn=postgres_dsn, accepts_unknown=False) as live:
        line = await live.connect()
        await line.send(raw)
        await eventually(lambda: live.rejects() == [("crc", raw)])
        await admin.execute("INSERT INTO dialects (mn, dialect) VALUES ($1, 'crc_modbus')", MN)
        await eventually(lambda: live.intake.dialect_of(MN))
        line.take_any_crc()
        await line.send(raw)
        [answer] = await line.answers(1)
        assert qns([answer]) == ["20260301080000001"]
        assert answer[-6:-2] == b"%04X" % modbus_crc16(answer[6:-6]) != crc_text(answer[6:-6])
        row = await stored(admin, "stored")
        assert (row["raw"], row["warnings"]) == (raw, ["crc_modbus"])
        assert await admin.fetchval("SELECT rtd FROM v_readings") == 35.5


async def test_encrypted_packet_is_stored_as_it_came_with_its_key(admin, postgres_dsn, tmp_path):
    """Acknowledged in plain text; its readings are those of the plain text."""
    await admin.execute("INSERT INTO cipher_keys (mn, key_id, secret) VALUES ($1, $2, $3)", MN, *KEY)
    raw = encode_frame_as(SEGMENT, make_dialect((), [KEY]))
    async with live_gateway(tmp_path, dsn=postgres_dsn, accepts_unknown=False) as live:
        await eventually(lambda: live.intake.dialect_of(MN))
        line = await live.connect()
        await line.send(raw)
        assert qns(await line.answers(1)) == ["20260301080000001"]
        row = await stored(admin, "stored")
        assert (row["raw"], row["warnings"], row["key_id"]) == (raw, [], "2026-1")
        assert await admin.fetchval("SELECT rtd FROM v_readings") == 35.5


async def test_packet_whose_key_is_gone_before_it_is_drained_is_quarantined(admin, postgres_dsn, tmp_path):
    """It was acknowledged, so it is in the database; a replay reads it once the key is back."""
    await admin.execute("INSERT INTO cipher_keys (mn, key_id, secret) VALUES ($1, $2, $3)", MN, *KEY)
    raw = encode_frame_as(SEGMENT, make_dialect((), [KEY]))
    async with live_gateway(tmp_path, dsn=postgres_dsn, accepts_unknown=False) as live:
        await eventually(lambda: live.intake.dialect_of(MN))
    async with live_gateway(tmp_path, accepts_unknown=False) as live:
        line = await live.connect()
        await line.send(raw)
        await line.answers(1)
    await admin.execute("DELETE FROM cipher_keys")
    async with live_gateway(tmp_path, dsn=postgres_dsn, accepts_unknown=False):
        row = await stored(admin, "quarantined")
        assert (row["raw"], row["warnings"], row["key_id"]) == (raw, ["key_missing"], "2026-1")
        assert await admin.fetchval("SELECT count(*) FROM v_readings") == 0


async def test_second_live_line_of_an_mn_that_contradicts_is_a_conflict(admin, postgres_dsn, tmp_path):
    """Both are acknowledged; the first value stays."""
    async with live_gateway(tmp_path, dsn=postgres_dsn, accepts_unknown=False) as live:
        first, second = await live.connect(), await live.connect()
        await first.send(frame(1))
        await first.answers(1)
        await second.send(frame(2, cp="DataTime=20260301080000;w01018-Rtd=99,w01018-Flag=N"))
        await second.answers(1)
        row = await stored(admin, "conflict")
        assert row["warnings"] == ["mn_conflict"]
        assert await admin.fetchval("SELECT rtd FROM v_readings") == 35.5
        assert await admin.fetchval("SELECT count(*) FROM v_history") == 0
