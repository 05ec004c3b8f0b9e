"""A real Prometheus beside a running gateway: what it scrapes is there, and alerts fire and clear."""

import asyncio
import math
import os
import subprocess
import sys
from datetime import timedelta

import pytest
from tests.conftest import TIMESCALE_DSN
from tests.gateway.certificates import Authority
from tests.support import Logger, as_env, make_frame, read_some, running_loggers, secs, wait_until
from tests.watch.filling import fill
from tests.watch.panels import OF_PROMETHEUS, questions
from tests.watch.prometheus import SPAN, PrometheusProcess, free_port
from tests.watch.rules import ALERTS, RECORDS, always, with_range

from hj212gw.protocol import FrameBuffer

GATEWAY, AGGREGATOR = "hj212gw-gateway", "hj212gw-aggregator"
SERIES_LIMIT = 300
MANY_LOGGERS = 10_000
# Nothing is written of what there is nothing of: age of what waits, share of frames when none comes. Not a number, but
# a series.
MAY_BE_NAN = {"hj212gw:journal_pending:age_seconds"}
if TIMESCALE_DSN:  # makes its chunks by itself
    MAY_BE_NAN.add("hj212gw:partitions:left_seconds")


def everything_asked():
    """Every expression of rules and dashboards, with what it is of."""
    asked = [(rule.name, rule.name) for rule in RECORDS]
    asked += [(rule.name, with_range(rule.text, SPAN)) for rule in RECORDS]
    asked += [(alert.name, always(with_range(alert.text, SPAN))) for alert in ALERTS]
    for question in questions(OF_PROMETHEUS):
        text = question.text.replace("$instance", ".*").replace("$__rate_interval", SPAN).replace("$stage", "completed")
        asked.append((f"{question.dashboard}: {question.title}", text))
    return asked


def launch_aggregator(dsn):
    """An aggregator that looks often; returns its process and where its /metrics are."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "hj212gw", "aggregate", "--dsn", dsn, "--http", address]
    env = {**os.environ, **as_env({"aggregator.interval_secs": 0.5})}
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, env=env), address


async def send_broken(port):
    """Frames with a wrong CRC on one line, until cancelled."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    frame = bytearray(make_frame("010000A8900016F000169DC1", 1))
    frame[-3] ^= 1
    try:
        while True:
            writer.write(bytes(frame) * 5)
            await writer.drain()
            await asyncio.sleep(0.1)  # a pace, not a wait
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.slow
async def test_every_expression_returns_a_series(serve, postgres_dsn, tmp_path, prometheus_program):
    """Rules are healthy; what they and the dashboards ask has an answer from a gateway, an aggregator and a city."""
    await fill(postgres_dsn, monitors=6, days=4, rtd=timedelta(minutes=2))
    certificate, key = Authority(tmp_path / "certificates").sign_gateway()
    tls = {"tls__host": "127.0.0.1", "tls__port": 0, "tls__certificate_file": certificate, "tls__key_file": key}
    gateway = await asyncio.to_thread(serve(postgres_dsn, **tls).start)
    aggregator, address = launch_aggregator(postgres_dsn)
    loggers = [Logger("010000A8900016F000169DC0", gateway.port, pause=0.05)]
    breaking = asyncio.create_task(send_broken(gateway.port))
    targets = {GATEWAY: [gateway.ready["http"]], AGGREGATOR: [address]}
    try:
        async with running_loggers(loggers):
            with PrometheusProcess(prometheus_program, tmp_path / "prometheus", targets) as prometheus:
                await assert_answered(prometheus)
    finally:
        breaking.cancel()
        await asyncio.gather(breaking, return_exceptions=True)
        aggregator.terminate()
        await asyncio.to_thread(aggregator.wait, secs(30))


async def assert_answered(prometheus):
    """Every expression has an answer in time, and every rule is healthy."""
    unanswered = dict.fromkeys(everything_asked())

    async def all_answered():
        for asked in list(unanswered):
            found = await asyncio.to_thread(prometheus.query, asked[1])
            if [value for _, value in found if not math.isnan(value) or asked[0] in MAY_BE_NAN]:
                del unanswered[asked]
        return not unanswered

    try:
        await wait_until(all_answered, 90)
    except AssertionError:
        raise AssertionError(f"no series: {sorted(unanswered)}") from None
    health = {rule["name"]: (rule["health"], rule.get("lastError")) for rule in prometheus.rules()}
    assert health == dict.fromkeys(health, ("ok", None))
    assert len(health) == len(ALERTS) + len(RECORDS)


@pytest.mark.slow
@pytest.mark.faults
async def test_alert_fires_while_the_database_is_away_and_clears(serve, database, tmp_path, prometheus_program):
    """The database is stopped: packets are acknowledged, the alert fires; it is back: the alert clears."""
    await database.start(migrated=True)
    gateway = await asyncio.to_thread(serve(database.dsn, database__retry_max_secs=0.5).start)
    with PrometheusProcess(
        prometheus_program, tmp_path / "prometheus", {GATEWAY: [gateway.ready["http"]]}
    ) as prometheus:

        async def is_away(value):
            found = await asyncio.to_thread(prometheus.query, "hj212gw_store_away")
            return [sample for _, sample in found] == [value]

        async def fires():
            return await asyncio.to_thread(prometheus.states, "Hj212DatabaseAway") == {"firing"}

        async def is_clear():
            return not await asyncio.to_thread(prometheus.states, "Hj212DatabaseAway")

        await wait_until(lambda: is_away(0))
        assert await is_clear()
        await database.stop()
        await wait_until(fires, 60)
        assert not await asyncio.to_thread(prometheus.states, "Hj212GatewayDown")
        assert not await asyncio.to_thread(prometheus.states, "Hj212GatewayNotReady")
        await database.start()
        await wait_until(is_clear, 60)
        await wait_until(lambda: is_away(0))


async def send_one_each(port, numbers):
    """One packet of each of many data loggers on one line, until all are answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(make_frame(f"010000A8900016F0{number:08d}", number) for number in numbers))
    buffer, answered = FrameBuffer(), 0
    while answered < len(numbers):
        answered += len(list(buffer.feed(await read_some(reader))))
    writer.close()
    await writer.wait_closed()


async def test_few_series_for_many_loggers(serve, dsn):
    """What /metrics shows does not grow with the data loggers: fewer than 300 series with 10,000 of them."""
    gateway = await asyncio.to_thread(serve(dsn).start)
    share = MANY_LOGGERS // 20
    async with asyncio.timeout(secs(60)):
        await asyncio.gather(*(send_one_each(gateway.port, range(n * share, (n + 1) * share)) for n in range(20)))
    _, page = await asyncio.to_thread(gateway.get, "/metrics")
    series = [line for line in page.splitlines() if line and not line.startswith("#")]
    assert len(series) < SERIES_LIMIT
    assert (await asyncio.to_thread(gateway.metrics))["hj212gw_frames_accepted_total"] == MANY_LOGGERS
