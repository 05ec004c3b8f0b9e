"""Text that is meant for terminals, spreadsheets, logs and databases goes through a running gateway and does nothing."""

import asyncio
import csv
import io
import json
import re
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support import assert_conserved, run_cli, secs, wait_until

from hj212gw.protocol import FrameBuffer, encode_frame, parse_packet
from hj212gw.protocol.times import format_data_time
from hj212gw.telemetry import (
    ACK_CODES,
    BATCH_PATHS,
    FAULT_PLACES,
    LOGGER_VERDICTS,
    QUARANTINE_REASONS,
    RATE_PERIODS,
    RATE_STAGES,
    REJECT_REASONS,
    RELOAD_OUTCOMES,
    SESSION_ENDS,
    STORE_REASONS,
    STORE_WARNING_REASONS,
    SUSPICIONS,
)

MN = "010000A8900016F000169DC0"
MOMENT = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
TIME = format_data_time(MOMENT)
LABELS = {
    *ACK_CODES, *BATCH_PATHS, *LOGGER_VERDICTS, *QUARANTINE_REASONS, *REJECT_REASONS, *SESSION_ENDS, *STORE_REASONS,
    *STORE_WARNING_REASONS, *SUSPICIONS, *RELOAD_OUTCOMES, *FAULT_PLACES, *RATE_PERIODS, *RATE_STAGES,
}  # fmt: skip

TEXTS = (
    b"=cmd|'/c calc'!A1",
    b"@SUM(1+1)",
    b"'; DROP TABLE hj212.packets; --",
    b"%s%n{}{0.__class__}$(id)`id`",
    b"\x1b]0;owned\x07\x1b[2J",
    b"a\r\nlevel=error event=forged",
    b'{"event": "forged"}\n',
    b"a\tb\x08\x7f",
    "\x9b31m\u2028\u202e\u200b".encode(),
    "\U0001f4a9清".encode(),
    "清洗".encode("gbk"),
    b"\xed\xa0\x80\xff",
    b"\\x00\\u0000",
    b'"quoted","cells"',
    b"x" * 300,
)
NULS = (b"a\0b", b"\0")
PRINTABLE_MNS = (b"=1+1", b"@SUM(1+1)*cmd|'/c", b"-1+1", b"M'--", b'M"{}%s', b"M\\x1b[31m", b"<script>", b"../../etc")


def frame(number, cp, *, mn=MN.encode(), cn=b"2011", extra=b""):
    """One upload that asks for an answer."""
    head = b"QN=%s%03d;ST=32;CN=%s;PW=123456;MN=%s;%bFlag=5;CP=&&" % (TIME.encode(), number, cn, mn, extra)
    return encode_frame(head + b"DataTime=" + TIME.encode() + b";" + cp + b"&&")


def make_frames():
    """Each text in each place a packet has for it."""
    made = []
    for text in (*TEXTS, *NULS):
        places = [
            b"w01018-Rtd=1,w01018-Flag=%b" % text,
            b"w01018-Rtd=%b" % text,
            b"%b-Rtd=1" % text,
            b"w01018-%b=1" % text,
            b"w01018-Rtd=1;%b=2" % text,
        ]
        made += [(b"2011", place) for place in places]
        made += [(b"3020", b"PolId=w01018;i11001-Info=//%b//" % text), (b"2021", b"%b-RS=1" % text)]
    frames = [frame(number % 1000, cp, cn=cn) for number, (cn, cp) in enumerate(made)]
    frames += [frame(500 + number, b"w01018-Rtd=2", mn=mn) for number, mn in enumerate(PRINTABLE_MNS)]
    named = [text for text in TEXTS if re.fullmatch(rb"[ -:<-~]{1,64}", text)]
    return frames + [
        frame(600 + number, b"w01018-Rtd=3", extra=b"USCC=%b;" % text) for number, text in enumerate(named)
    ]


def make_rejects():
    """Each text in frames that are refused, and between frames."""
    rejects = []
    for text in (*TEXTS, *NULS):
        segment = b"QN=1;ST=32;CN=2011;PW=secret;MN=%b;Flag=5;CP=&&x=1&&" % text
        rejects += [encode_frame(segment)[:-6] + b"0000\r\n", b"##0011%b" % text, text + b"\r\n"]
        rejects += [encode_frame(b"QN=%b;ST=32;CN=2011;PW=secret;MN=x;CP=&&&&" % text)]
    return rejects


@pytest.fixture
async def gateway(serve, dsn):
    """A gateway that registers what it does not know."""
    process = serve(dsn, "--unknown-mn", "accept", log__level="debug")
    await asyncio.to_thread(process.start)
    yield process
    assert await asyncio.to_thread(process.stop) == 0


async def send(port, data, count):
    """Send bytes and wait for so many answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    answers, buffer = 0, FrameBuffer()
    async with asyncio.timeout(secs(30)):
        while chunk := await reader.read(65536):
            answers += len([parse_packet(event.segment) for event in buffer.feed(chunk)])
    writer.close()
    assert answers == count


def assert_printable(text):
    """Nothing in a text does anything to a terminal."""
    assert not {char for char in text if not char.isprintable() and char != "\n"}


async def test_text_of_packets_does_nothing(gateway, connection, dsn, tmp_path):
    """Stored or refused with a reason; log, metrics, views, files and commands show it without obeying it."""
    frames = make_frames()
    for start in range(0, len(frames), 20):
        await send(gateway.port, b"".join(frames[start : start + 20]), len(frames[start : start + 20]))
    for reject in make_rejects():
        await send(gateway.port, reject, 0)

    async def all_there():
        return await connection.fetchval("SELECT count(*) FROM hj212.v_packets") == len(frames)

    await wait_until(all_there)
    await assert_conserved(gateway)
    # PostgreSQL has no NUL in text, nor long text in an index: such packets are not left to it to refuse one by one.
    rows = await connection.fetch("SELECT warnings FROM hj212.v_packets WHERE state <> 'stored'")
    assert rows
    assert all("text_too_long" in row["warnings"] for row in rows)
    stored = {bytes(row[0]) for row in await connection.fetch("SELECT raw FROM hj212.v_packets")}
    assert stored == set(frames)
    views = await connection.fetch("SELECT table_name FROM information_schema.views WHERE table_schema = 'hj212'")
    for view in views:
        await connection.fetch(f'SELECT * FROM hj212."{view[0]}"')
    _check_log(gateway)
    _check_metrics(gateway)
    await _check_evidence(connection, dsn, tmp_path / "evidence.zip")
    await _check_export(dsn, tmp_path / "registry")


def _check_log(gateway):
    lines = gateway.log().rstrip("\n").split("\n")
    events = [json.loads(line) for line in lines if line.startswith("{")]
    assert {"frame.rejected", "session.closed"} <= {event["event"] for event in events}
    assert "forged" not in {event["event"] for event in events}
    # What is no JSON is what was printed at the start.
    assert not [line for line in lines[10:] if not line.startswith("{")]
    for line in lines:
        assert_printable(line)
        assert "secret" not in line


def _check_metrics(gateway):
    text = gateway.get("/metrics")[1]
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            values = {value for name, value in sample.labels.items() if name not in {"le", "version", "python"}}
            assert values <= LABELS, sample


def _cells(text):
    return [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]


async def _check_evidence(connection, dsn, path):
    await connection.execute("INSERT INTO hj212.enterprises (enterprise, name) VALUES ('E1', 'E1')")
    await connection.execute(
        "INSERT INTO hj212.outlets (outlet, enterprise, name, medium) VALUES ('O1', 'E1', 'O1', 'water')"
    )
    await connection.execute("UPDATE hj212.data_loggers SET outlet = 'O1'")
    day = (MOMENT + timedelta(hours=8)).date()
    span = ["--from", str(day - timedelta(days=1)), "--to", str(day + timedelta(days=2))]
    code, _, err = await asyncio.to_thread(
        run_cli, "evidence", "export", "--outlet", "O1", *span, "--out", path, "--dsn", dsn
    )
    assert code == 0, err
    code, out, err = await asyncio.to_thread(run_cli, "evidence", "verify", path)
    assert_printable(out + err)
    assert code == 0, err
    with zipfile.ZipFile(path) as package:
        for name in package.namelist():
            if name.endswith(".csv"):
                cells = _cells(package.read(name).decode())
                assert not [cell for cell in cells if cell[:1] in set("=@\t\r+")], name
                assert not [cell for cell in cells if cell.startswith("-") and not _is_number(cell)], name


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


async def _check_export(dsn, folder):
    code, out, err = await asyncio.to_thread(run_cli, "registry", "export", folder, "--dsn", dsn)
    assert code == 0, err
    assert_printable(out + err)
    for path in folder.glob("*.csv"):
        assert not [cell for cell in _cells(path.read_text()) if cell[:1] in set("=@\t\r+")], path
    code, out, err = await asyncio.to_thread(run_cli, "registry", "proposals", "--dsn", dsn)
    assert code == 0, err
    assert_printable(out + err)


@pytest.mark.parametrize("options", [[], ["--json"]])
async def test_decode_prints_what_does_nothing(tmp_path, options):
    """Whatever is in the file."""
    path = tmp_path / "capture.bin"
    path.write_bytes(b"".join((*make_frames(), *make_rejects())))
    code, out, err = await asyncio.to_thread(run_cli, "decode", path, *options)
    assert code in {0, 1}
    assert_printable(out + err)
    assert "Traceback" not in err
