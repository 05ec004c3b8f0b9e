"""Every kind of upload through a running gateway, from the socket to the views analysts read."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.support import assert_conserved, read_some, secs, wait_until

from hj212gw.protocol import FrameBuffer, encode_frame, parse_packet
from hj212gw.protocol.times import format_data_time

MN = "010000A8900016F000169DC0"
HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
TIME = format_data_time(HOUR)


def upload(number, cn, cp, *, flag=5, numbers="", st="32"):
    """One upload or notice of this test."""
    segment = f"QN={TIME}{number:03d};ST={st};CN={cn};PW=123456;MN={MN};Flag={flag};{numbers}CP=&&{cp}&&"
    return encode_frame(segment.encode())


UPLOADS = [
    upload(1, "2021", f"DataTime={TIME};SB1-RS=1;SB2-RS=4"),
    upload(2, "2041", f"DataTime={TIME};SB1-RT=23.5"),
    upload(3, "2081", f"DataTime={TIME};RestartTime={TIME}"),
    upload(4, "3019", f"DataTime={TIME};PolId=w01018;w01018-SN=010000A8900016F000169DC1"),
    upload(5, "3020", f"DataTime={TIME};PolId=w01018;i11001-Info=//清洗;管路, ok//;i12001-Info=3"),
    upload(6, "2062", f"DataTime={TIME};w01018-SampleRd=48.7;w01018-StandardValue=50;w01018-ResultType=1", flag=9),
    upload(7, "2061", f"DataTime={TIME};w01018-Avg=40.1,w01018-Flag=N", flag=7, numbers="PNUM=3;PNO=1;"),
    upload(8, "2061", f"DataTime={TIME};w21003-Avg=1.5,w21003-Flag=N", flag=7, numbers="PNUM=3;PNO=3;"),
    upload(9, "2011", f"DataTime={TIME};p99101-Rtd=St;p99102-Rtd=N", flag=9, st="45"),
    upload(10, "2052", f"DataTime={TIME};LA-Data=51.2", flag=9, st="36"),
    upload(11, "1014", f"SKCreateTime={TIME}", flag=9),
]


@pytest.fixture
async def gateway(serve, dsn):
    """A gateway that registers what it does not know."""
    process = serve(dsn, "--unknown-mn", "accept")
    await asyncio.to_thread(process.start)
    yield process
    assert await asyncio.to_thread(process.stop) == 0


async def send(port, frames):
    """Send frames on a line of their own and return the CNs of their answers by QN."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(frames))
    answers, buffer = {}, FrameBuffer()
    async with asyncio.timeout(secs(20)):
        while len(answers) < len(frames):
            packets = [parse_packet(event.segment) for event in buffer.feed(await read_some(reader))]
            answers |= {packet.qn: packet.cn for packet in packets}
    writer.close()
    return answers


async def stored(connection, count):
    """Wait until so many packets are stored."""

    async def are_there():
        return await connection.fetchval("SELECT count(*) FROM hj212.v_packets WHERE state = 'stored'") == count

    await wait_until(are_there)


async def read(connection, query):
    """Return rows as plain tuples."""
    return [tuple(row) for row in await connection.fetch(query)]


async def test_every_kind_of_upload_is_read_in_the_views(gateway, connection):
    """Answered by its kind, stored once though sent twice, and shown where it belongs."""
    answers = await send(gateway.port, UPLOADS)
    assert [answers[f"{TIME}{number:03d}"] for number in range(1, 12)] == ["9014"] * 10 + ["9013"]
    await send(gateway.port, UPLOADS)
    await stored(connection, len(UPLOADS))
    assert await read(connection, "SELECT cn, subject, name, value, meaning FROM hj212.v_states ORDER BY 1, 2") == [
        ("2021", "SB1", "RS", "1", "Running"),
        ("2021", "SB2", "RS", "4", "Alarm"),
        ("2041", "SB1", "RT", "23.5", None),
        ("2081", "", "RestartTime", TIME, None),
    ]
    assert await read(connection, "SELECT cn, subject, name, value, meaning FROM hj212.v_infos ORDER BY 1, 2, 3") == [
        ("1014", "", "SKCreateTime", TIME, None),
        ("2062", "w01018", "ResultType", "1", "Passed"),
        ("2062", "w01018", "SampleRd", "48.7", None),
        ("2062", "w01018", "StandardValue", "50", None),
        ("3019", "w01018", "SN", "010000A8900016F000169DC1", None),
        ("3020", "w01018", "i11001", "清洗;管路, ok", None),
        ("3020", "w01018", "i12001", "3", "Calibrating"),
    ]
    for view in ("v_states", "v_infos"):
        query = f"SELECT DISTINCT mn, data_time FROM hj212.{view} WHERE cn <> '1014'"
        assert await read(connection, query) == [(MN, HOUR)]
    readings = "SELECT factor, rtd, avg, extra::text, data_flag FROM hj212.v_readings ORDER BY factor"
    assert await read(connection, readings) == [
        ("LA", None, None, '{"Data": "51.2"}', None),
        ("p99101", None, None, '{"Rtd": "St"}', None),
        ("p99102", None, None, '{"Rtd": "N"}', None),
        ("w01018", None, 40.1, None, "N"),
        ("w21003", None, 1.5, None, "N"),
    ]
    assert await read(connection, "SELECT DISTINCT unnest(warnings) FROM hj212.v_packets") == [("unknown_mn",)]
    await assert_conserved(gateway)


async def test_missing_part_is_shown_until_it_comes(gateway, connection):
    """The second part of three comes late, after a restart of the gateway."""
    await send(gateway.port, UPLOADS[6:8])
    await stored(connection, 2)
    query = "SELECT mn, cn, data_time, pnum, parts, missing, is_complete FROM hj212.v_sub_packets"
    assert await read(connection, query) == [(MN, "2061", HOUR, 3, [1, 3], [2], False)]
    assert await asyncio.to_thread(gateway.stop) == 0
    await asyncio.to_thread(gateway.start)
    await send(gateway.port, [upload(99, "2061", f"DataTime={TIME};w01001-Avg=7", flag=7, numbers="PNUM=3;PNO=2;")])
    await stored(connection, 3)
    assert await read(connection, query) == [(MN, "2061", HOUR, 3, [1, 2, 3], [], True)]
