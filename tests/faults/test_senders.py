"""Whatever a sender does: others do not feel it, nothing acknowledged is lost, and every byte is accounted for."""

import asyncio
import resource
from contextlib import AsyncExitStack, contextmanager

import pytest
from tests.faults.scene import ACCEPT, TIMES, Line, ask, hours_ago, scene
from tests.support import digest_of, make_frame, run_cli, wait_until

from hj212gw.protocol import encode_frame
from hj212gw.protocol.times import format_data_time

pytestmark = [pytest.mark.slow, pytest.mark.faults]

MN = "ODDSENDER00001"


def frames_of(count, start=0):
    """Some packets of the sender under test."""
    return [make_frame(MN, number) for number in range(start, start + count)]


@pytest.fixture
def gateway(serve, dsn):
    """A gateway that takes whom it does not know, not started."""
    return serve(dsn, *ACCEPT)


async def test_sender_stalls_in_the_midst_of_a_frame(gateway):
    """Its line waits, nobody else does; the rest of the frame, when it comes, makes it whole."""
    frames = frames_of(2)
    async with scene(gateway) as told:
        line = await Line.open(gateway.port)
        await line.send(frames[0], frames[1][:100])
        await line.answers(1)
        await told.acks(300)
        await line.send(frames[1][100:])
        await line.answers(1)
        line.close()
        told.frames += frames


async def test_sender_stalls_for_ever(gateway):
    """What of a frame came before its line was cut is kept as a reject, and the next line begins anew."""
    frame = frames_of(1)[0]
    async with scene(gateway) as told:
        line = await Line.open(gateway.port)
        await line.send(frame[:200])
        await told.acks(100)
        line.close()
        await told.drains()

        async def is_rejected():
            return await ask(told.dsn, "SELECT reason FROM hj212.v_rejects")

        assert [row["reason"] for row in await wait_until(is_rejected)] == ["incomplete"]
        line = await Line.open(gateway.port)
        await line.send(frame)
        await line.answers(1)
        line.close()
        told.frames.append(frame)


async def test_sender_half_closes(gateway):
    """One that has said all still gets every answer, and then the end."""
    frames = frames_of(200)
    async with scene(gateway) as told:
        line = await Line.open(gateway.port)
        await line.send(*frames)
        line.half_close()
        await line.answers(200)
        assert await line.end() == b""
        line.close()
        told.frames += frames


async def test_sender_floods_and_takes_no_answers(gateway):
    """It is slowed down by its own unread answers, memory stays bounded, others are served, and nothing is lost."""
    frames = frames_of(20_000)
    async with scene(gateway) as told:
        await told.acks(100)
        line = await Line.open(gateway.port)
        line.writer.transport.pause_reading()
        before = gateway.memory_bytes()
        flood = asyncio.create_task(line.send(*frames))
        await told.acks(600)
        assert gateway.memory_bytes() < before + 64 * 2**20
        line.writer.transport.resume_reading()
        assert len(set(await line.answers(len(frames)))) == len(frames)
        await flood
        line.close()
        told.frames += frames


async def test_sender_sends_one_byte_at_a_time(gateway):
    """As a serial line behind a converter does: the frames are found all the same."""
    frames = frames_of(5)
    async with scene(gateway) as told:
        line = await Line.open(gateway.port)
        for number in b"".join(frames):
            await line.send(bytes((number,)))
            await asyncio.sleep(0)
        await line.answers(5)
        line.close()
        told.frames += frames


async def test_sender_resets_right_after_sending(gateway):
    """What it saw acknowledged is stored; of the rest each packet is stored once or not at all."""
    async with scene(gateway) as told:
        rounds = []
        for number in range(20 * TIMES):
            frames = frames_of(50, start=100 * number)  # a second each, and a day ahead no reading is stored
            line = await Line.open(gateway.port)
            await line.send(*frames)
            if number % 2:
                qns = await line.answers(1)
                told.frames += frames[: len(qns)]
            line.reset()
            rounds += frames
        await told.acks(100)
        await told.drains()
        found = [row["digest"] for row in await ask(told.dsn, "SELECT digest FROM hj212.v_packets WHERE mn = $1", MN)]
        assert len(found) == len(set(found))
        assert {digest_of(frame) for frame in told.frames} <= set(found) <= {digest_of(frame) for frame in rounds}


async def test_hundred_packets_in_one_segment(gateway):
    """All are answered and stored."""
    frames = frames_of(100)
    async with scene(gateway) as told:
        line = await Line.open(gateway.port)
        await line.send(b"".join(frames))
        assert len(set(await line.answers(100))) == 100
        line.close()
        told.frames += frames


async def test_same_packet_a_thousand_times(gateway):
    """Every one is acknowledged, one is stored, the others are counted as repeats; over several lines too."""
    frame = frames_of(1)[0]
    async with scene(gateway) as told:
        for _ in range(4):
            line = await Line.open(gateway.port)
            await line.send(*[frame] * 250)
            assert len(await line.answers(250)) == 250
            line.close()
        await told.drains()
        assert (await told.metrics())["hj212gw_packets_repeated_total"] == 999
        told.frames.append(frame)


@contextmanager
def few_files():
    """Programs started here may open few files unless they raise that limit themselves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_sixty_loggers_behind_one_address_and_a_thousand_lines_left_behind(gateway):
    """What a mobile network left open costs nobody an answer; then all of it is cut, and the sixty still send."""
    mns = [f"BEHINDNAT{number:05d}" for number in range(60)]
    async with AsyncExitStack() as stack:
        with few_files():
            told = await stack.enter_async_context(scene(gateway, mns=mns))
        await told.acks(60)
        left = []
        for number in range(1000):
            line = await Line.open(gateway.port)
            stack.callback(line.writer.transport.abort)
            left.append(line)
            if number % 3 == 0:
                await line.send(b"##02"[: number % 4 + 1])
        await told.acks(1200)
        for line in left:
            line.reset()

        async def are_gone():
            metrics = await told.metrics()
            closed = metrics["hj212gw_sessions_closed_total"]
            return metrics["hj212gw_sessions_opened_total"] - closed == len(mns)

        await wait_until(are_gone)
        await told.acks(600)


def values(mn, moment, value):
    """An hour's value."""
    time = format_data_time(moment)
    segment = f"QN={time}{int(value) % 1000:03d};ST=32;CN=2061;PW=123456;MN={mn};Flag=5;"
    return encode_frame((segment + f"CP=&&DataTime={time};w01018-Avg={value},w01018-Flag=N&&").encode())


async def test_two_lines_claim_one_mn(gateway):
    """Both are acknowledged; where their values differ the first stays, and the other packet is kept aside, visible."""
    moments = [hours_ago(number + 3).replace(minute=0, second=0) for number in range(5)]
    async with scene(gateway) as told:
        first, second = await Line.open(gateway.port), await Line.open(gateway.port)
        await first.send(*[values(MN, moment, 10) for moment in moments])
        await first.answers(5)
        await told.drains()
        await second.send(*[values(MN, moment, 99) for moment in moments])
        await second.answers(5)
        await told.drains()
        states = await ask(told.dsn, "SELECT state, count(*) AS n FROM hj212.v_packets WHERE mn = $1 GROUP BY 1", MN)
        assert {row["state"]: row["n"] for row in states} == {"stored": 5, "conflict": 5}
        kept = await ask(told.dsn, "SELECT DISTINCT avg FROM hj212.v_readings WHERE mn = $1", MN)
        assert [row["avg"] for row in kept] == [10]
        first.close()
        second.close()


OUTLETS = {"mill-water": "MILLLOGGER0001", "dyer-water": "DYERLOGGER0001"}


async def register_outlets(folder, dsn):
    """Two outlets of two enterprises, a data logger at each."""
    tables = {
        "enterprises": ["enterprise,name,credit_code,county,level,valid_from,valid_to"],
        "outlets": ["outlet,enterprise,name,medium,valid_from,valid_to"],
        "data_loggers": ["mn,pw,st,outlet,cns,rtd_interval_secs,min_interval_mins,factors,valid_from,valid_to"],
    }
    for outlet, mn in OUTLETS.items():
        tables["enterprises"].append(f"{outlet[:4]},{outlet[:4]},,,other,2025-01-01,")
        tables["outlets"].append(f"{outlet},{outlet[:4]},{outlet},water,2025-01-01,")
        tables["data_loggers"].append(f"{mn},123456,32,{outlet},2061,,,,2025-01-01,")
    paths = []
    for name, lines in tables.items():
        paths.append(folder / f"{name}.csv")
        paths[-1].write_text("\n".join(lines) + "\n")
    code, _, err = await asyncio.to_thread(run_cli, "registry", "import", *paths, "--dsn", dsn)
    assert code == 0, err


async def test_logger_has_the_mn_of_another_outlet(gateway, dsn, tmp_path):
    """A logger set up with a neighbour's MN cannot write over what the neighbour's own logger sent, nor pass for it."""
    await register_outlets(tmp_path, dsn)
    mill, dyer = OUTLETS.values()
    moments = [hours_ago(number + 3).replace(minute=0, second=0) for number in range(3)]
    async with scene(gateway) as told:
        own, wrong = await Line.open(gateway.port), await Line.open(gateway.port)
        await own.send(*[values(mill, moment, 10) for moment in moments])
        await own.answers(3)
        await told.drains()
        await wrong.send(*[values(mill, moment, 88) for moment in moments], values(dyer, moments[0], 20))
        await wrong.answers(4)
        await told.drains()
        rows = await ask(told.dsn, "SELECT DISTINCT outlet, mn, avg FROM hj212.v_readings WHERE cn = '2061' ORDER BY 1")
        assert [tuple(row) for row in rows] == [("dyer-water", dyer, 20), ("mill-water", mill, 10)]
        apart = await ask(told.dsn, "SELECT mn, warnings FROM hj212.v_packets WHERE state = 'conflict'")
        assert [row["mn"] for row in apart] == [mill] * 3
        assert all("mn_conflict" in row["warnings"] for row in apart)
        own.close()
        wrong.close()
