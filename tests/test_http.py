"""The HTTP endpoint over real sockets: its routes, and what a bad or slow client can do to it."""

import asyncio
import socket
from contextlib import suppress

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hj212gw import http, telemetry_gateway
from hj212gw.errors import ConfigError
from hj212gw.http import HttpServer, Readiness
from hj212gw.merging import MergedMetrics, Snapshot

DEADLINE_SECS = 20.0


class Gateway:
    """What the server asks about readiness."""

    def __init__(self):
        self.readiness = Readiness(True)
        self.asked = 0

    def __call__(self):
        """Tell the readiness."""
        self.asked += 1
        return self.readiness


@pytest.fixture
def gateway():
    """A gateway that is ready until a test says otherwise."""
    return Gateway()


@pytest.fixture
async def address(gateway):
    """A server's address on a free port."""
    server = HttpServer("127.0.0.1", 0, gateway)
    yield await server.start()
    await server.stop()


async def exchange(address, data):
    """Send bytes, read until the server closes, and return everything."""
    async with asyncio.timeout(DEADLINE_SECS):
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(data)
            return await reader.read()
        finally:
            writer.close()


async def until(condition):
    """Let the server run until a condition of its own holds."""
    async with asyncio.timeout(DEADLINE_SECS):
        while not condition():  # noqa: ASYNC110 - the server has no event for tests
            await asyncio.sleep(0)


async def read_or_reset(address):
    """What a request gets from a server that may close before it is read."""
    try:
        return await exchange(address, b"GET /healthz HTTP/1.1\r\n\r\n")
    except ConnectionError:
        return b""


async def ask(address, path, method="GET", headers=""):
    """Make one request: status, headers by lower-case name, body."""
    answer = await exchange(address, f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return int(first.split()[1]), {line.split(": ")[0].lower(): line.split(": ")[1] for line in rest}, body


async def test_healthz_says_the_process_lives_whatever_the_gateway_does(address, gateway):
    """Liveness does not ask for readiness: a full journal is no reason to restart."""
    gateway.readiness = Readiness(False, "the journal is full")
    assert (await ask(address, "/healthz"))[::2] == (200, b"alive\n")
    assert gateway.asked == 0


async def test_readyz_follows_the_gateway(address, gateway):
    """503 with the reason while packets cannot be kept, 200 again afterwards."""
    assert (await ask(address, "/readyz"))[::2] == (200, b"ready\n")
    gateway.readiness = Readiness(False, "日志已满: the journal is full")
    assert (await ask(address, "/readyz"))[::2] == (503, "日志已满: the journal is full\n".encode())
    gateway.readiness = Readiness(True)
    assert (await ask(address, "/readyz"))[0] == 200


async def test_metrics_show_readiness(address, gateway):
    """As of the scrape, so that an alarm knows as much as /readyz."""
    for is_ready in (False, True):
        gateway.readiness = Readiness(is_ready, "" if is_ready else "the journal is full")
        _, _, body = await ask(address, "/metrics")
        assert f"\nhj212gw_ready {float(is_ready)}\n".encode() in body


async def test_readiness_may_be_awaited_and_metrics_be_others(gateway):
    """A supervisor has to ask its workers first, and shows what they counted."""

    async def ask_others():
        await asyncio.sleep(0)
        return gateway()

    merged = MergedMetrics()
    merged.note(0, Snapshot({"hj212gw_workers_lost_total": 1000.0}, {}))
    server = HttpServer("127.0.0.1", 0, ask_others, metrics=merged)
    address = await server.start()
    gateway.readiness = Readiness(False, "worker 1: it is starting")
    assert (await ask(address, "/readyz"))[::2] == (503, b"worker 1: it is starting\n")
    status, _, body = await ask(address, "/metrics")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert (status, gateway.asked) == (200, 2)
    assert families["hj212gw_workers_lost"].samples[0].value >= 1000
    await server.stop()


async def test_metrics_are_prometheus_text(address, gateway):
    """What is counted can be read by Prometheus, without the `_created` twins."""
    telemetry_gateway.frames_received(7)
    status, headers, body = await ask(address, "/metrics")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    assert families["hj212gw_frames_received"].samples[0].value >= 7
    assert not any(name.endswith("_created") for name in families)
    assert "process_resident_memory_bytes" in families
    assert gateway.asked == 1


async def test_metrics_are_openmetrics_where_that_is_asked_for(address):
    """The format is negotiated by the Accept header."""
    accept = "Accept: application/openmetrics-text; version=1.0.0,text/plain;q=0.5\r\n"
    _, headers, body = await ask(address, "/metrics", headers=accept)
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/nothing"])
async def test_head_is_get_without_the_body(address, path):
    """The headers are those of GET."""
    status, headers, body = await ask(address, path, "HEAD")
    assert status == (404 if path == "/nothing" else 200)
    assert int(headers["content-length"]) > 0
    assert body == b""


async def test_answers_are_complete_and_close_the_connection(address):
    """Length and body agree, and nothing is kept by caches."""
    _, headers, body = await ask(address, "/healthz?probe=1")
    assert int(headers["content-length"]) == len(body)
    assert (headers["connection"], headers["cache-control"]) == ("close", "no-store")


@pytest.mark.parametrize("path", ["/", "/metrics/", "/healthz/../metrics", "/favicon.ico", "*"])
async def test_unknown_path_is_404(address, path):
    """There are three routes."""
    status, _, body = await ask(address, path)
    assert status == 404
    assert b"/metrics" in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
async def test_other_methods_are_405(address, method):
    """Nothing can be changed here; the answer says what is allowed."""
    status, headers, _ = await ask(address, "/metrics", method)
    assert (status, headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "request_head",
    [
        b"nonsense\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"GET /healthz SPDY/3\r\n\r\n",
        b"\r\n\r\n",
        b"GET  /healthz HTTP/1.1\r\n\r\n",
        b"\xff\xfe\x00\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_400(address, request_head):
    """Any bytes get an answer, and the server lives on."""
    assert (await exchange(address, request_head)).startswith(b"HTTP/1.1 400 ")
    assert (await ask(address, "/healthz"))[0] == 200


async def test_request_that_does_not_end_is_refused_at_8_kib(address):
    """A client cannot make the server hold more."""
    head = b"GET /healthz HTTP/1.1\r\nX: " + b"x" * (http.MAX_REQUEST_BYTES + 1)
    assert (await exchange(address, head)).startswith(b"HTTP/1.1 400 ")


async def test_request_cut_off_is_400_and_no_request_is_no_answer(address):
    """Half a request is told so; a port probe that says nothing gets nothing."""
    for data, start in [(b"GET /hea", b"HTTP/1.1 400 "), (b"", b"")]:
        async with asyncio.timeout(DEADLINE_SECS):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(data)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
        assert answer[:13] == start


async def test_silent_client_is_closed_after_the_timeout(gateway):
    """A client that sends nothing more does not hold a connection."""
    server = HttpServer("127.0.0.1", 0, gateway, timeout_secs=0.1)
    address = await server.start()
    assert await exchange(address, b"GET /healthz HTTP/1.1\r\n") == b""
    assert (await ask(address, "/healthz"))[0] == 200
    await server.stop()


async def test_connections_are_bounded(gateway):
    """Beyond the limit a connection is closed at once; when others leave there is room again."""
    server = HttpServer("127.0.0.1", 0, gateway)
    address = await server.start()
    held = [await asyncio.open_connection(*address) for _ in range(http.MAX_CONNECTIONS)]
    await until(lambda: len(server._tasks) == http.MAX_CONNECTIONS)
    assert await read_or_reset(address) == b""
    for _, writer in held:
        writer.close()
    await until(lambda: not server._tasks)
    assert (await ask(address, "/healthz"))[0] == 200
    await server.stop()


async def test_client_that_leaves_while_it_is_answered_harms_nobody(address):
    """A reset in the middle of an answer is not an error of the server."""
    for _ in range(20):
        client = socket.create_connection(address)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        client.close()
    assert (await ask(address, "/healthz"))[0] == 200


async def test_stop_ends_open_connections_and_can_be_repeated(gateway):
    """After stop nothing listens and nobody waits."""
    server = HttpServer("127.0.0.1", 0, gateway)
    address = await server.start()
    async with asyncio.timeout(DEADLINE_SECS):
        reader, writer = await asyncio.open_connection(*address)
        await until(lambda: server._tasks)
        await server.stop()
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
    with pytest.raises(OSError):
        await asyncio.open_connection(*address)
    await server.stop()


async def test_port_in_use_is_a_fault_of_the_settings(address, gateway):
    """The message names the option and the address."""
    with pytest.raises(ConfigError, match=rf"http\.port: cannot listen on 127\.0\.0\.1:{address[1]}"):
        await HttpServer(*address, gateway).start()
